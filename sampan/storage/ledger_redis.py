"""The pots of several gateways, in one Redis: all limits of a call are charged at once, or none is.

    sampan:quota:epoch             a random word and when it was written: another word means that Redis lost its data
    sampan:quota:nodes             sorted set: when each node was last heard of (seconds)
    sampan:quota:open:NODE         hash: what each open lease of a node has reserved: lines of key and amount in turn
    sampan:quota:pot:METER|POT|SINCE   hash: `s` spent by all, `r` reserved by all, `n:NODE` spent by that node

A node tells how much it has spent of a pot *in all*, never how much more: telling it twice changes nothing, and telling
everything again builds the pots anew (a counter that only grows, one for each node: a G-counter). The truth of that is
each node's own journal and table. Windows are cut by Redis' own clock, so that nodes need not agree on theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import NoScriptError, RedisError

from sampan.errors import ConfigError
from sampan.storage.ledger import KEEP, KEEP_MINUTES, Pot
from sampan.storage.redis_client import client_of, lost, server_of

T = TypeVar("T")
U = TypeVar("U")

TIMEOUT = 0.5  # seconds one exchange may take: longer than that is as good as away
GRACE = 1.0  # seconds after a loss of data in which nothing is given, so that every node can tell what it knows
TOGETHER = 64  # askings in one exchange
PREFIX = "sampan:quota:"
POT = PREFIX + "pot:"
EPOCH, NODES = PREFIX + "epoch", PREFIX + "nodes"
_CHUNK = 400

# What all scripts share. `give` and `lay` move a reservation, `holds` is its text as a list. Open calls are counted
# over no time: their pots are of the window 0, are never spent, and end with the last of them.
_COMMON = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local function counted(key) return string.sub(key, -2) ~= '|0' end
local function holds(text)
  local found = {}
  for key, amount in string.gmatch(text, '([^\\n]+)\\n([^\\n]+)') do found[#found + 1] = {key, amount} end
  return found
end
local function give(open, lease)
  local text = redis.call('HGET', open, lease)
  if not text then return nil end
  redis.call('HDEL', open, lease)
  local held = holds(text)
  for _, each in ipairs(held) do
    if redis.call('EXISTS', each[1]) == 1 then
      local left = redis.call('HINCRBY', each[1], 'r', '-' .. each[2])
      if left <= 0 and not counted(each[1]) then redis.call('DEL', each[1]) end
    end
  end
  return held
end
local function lay(open, lease, text, keep)
  redis.call('HSET', open, lease, text)
  for _, each in ipairs(holds(text)) do
    redis.call('HINCRBY', each[1], 'r', each[2])
    if counted(each[1]) then redis.call('EXPIREAT', each[1], keep) end
  end
end
local function tell(node, key, total, keep)
  local before = tonumber(redis.call('HGET', key, 'n:' .. node) or '0')
  local more = tonumber(total) - before
  if more > 0 then
    redis.call('HSET', key, 'n:' .. node, total)
    redis.call('HINCRBY', key, 's', string.format('%.0f', more))
    redis.call('EXPIREAT', key, keep)
  end
end
local function word() return string.match(redis.call('GET', '@epoch') or '', '^%S+') or '' end
""".replace("@epoch", EPOCH)

# KEYS: open:NODE. ARGV: the word, the lease, how long grace is; then for each pot: its key without the window, amount,
# most, the bounds of two windows one after the other, and how long its key is kept after its end (0: for ever).
TAKE = (
    _COMMON
    + """
if word() ~= ARGV[1] then return {-1, string.format('%.6f', now)} end
local written = tonumber(string.match(redis.call('GET', '@epoch'), '%S+$'))
if now < written + tonumber(ARGV[3]) and now >= written then return {-3, string.format('%.6f', now)} end
local lines, told, fits, keep = {}, {}, 1, 0
for i = 4, #ARGV, 7 do
  local from, turn, to = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  if now < from or now >= to then return {-2, string.format('%.6f', now)} end
  local since, ends = ARGV[i + 3], turn
  if now >= turn then since, ends = ARGV[i + 4], to end
  local key = ARGV[i] .. since
  local found = redis.call('HMGET', key, 's', 'r')
  local used = (tonumber(found[1]) or 0) + (tonumber(found[2]) or 0)
  local amount = tonumber(ARGV[i + 1])
  if amount > 0 and used + amount > tonumber(ARGV[i + 2]) then fits = 0 end
  lines[#lines + 1] = {key, ARGV[i + 1], tonumber(ARGV[i + 6]) > 0 and ends + tonumber(ARGV[i + 6]) or 0}
  told[#told + 1] = string.format('%.0f', used)
  told[#told + 1] = since
end
if fits == 1 then
  local text = {}
  for _, line in ipairs(lines) do
    redis.call('HINCRBY', line[1], 'r', line[2])
    if line[3] > 0 then redis.call('EXPIREAT', line[1], string.format('%.0f', line[3])) end
    text[#text + 1] = line[1] .. '\\n' .. line[2] .. '\\n'
  end
  redis.call('HSET', KEYS[1], ARGV[2], table.concat(text))
end
return {fits, string.format('%.6f', now), unpack(told)}
"""
).replace("@epoch", EPOCH)

# KEYS: nodes, open:NODE. ARGV: the word, the node, how many totals; each total: key, total, kept until; then leases.
SYNC = (
    _COMMON
    + """
local known = word()
if known ~= ARGV[1] then return {known, string.format('%.6f', now), 0} end
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[2])
local at = 4
for _ = 1, tonumber(ARGV[3]) do
  tell(ARGV[2], ARGV[at], ARGV[at + 1], ARGV[at + 2])
  at = at + 3
end
for i = at, #ARGV do give(KEYS[2], ARGV[i]) end
return {known, string.format('%.6f', now), redis.call('ZCARD', KEYS[1])}
"""
)

# KEYS: nodes, open:NODE, epoch. ARGV: a fresh word, the node, `clear` or `keep`; how many totals; each total: whose,
# key, total, kept until; then leases: name, text, kept until. A node that starts clears what it had open: its calls
# are dead.
JOIN = (
    _COMMON
    + """
if word() == '' then redis.call('SET', KEYS[3], ARGV[1] .. ' ' .. string.format('%.6f', now)) end
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[2])
if ARGV[3] == 'clear' then
  for _, lease in ipairs(redis.call('HKEYS', KEYS[2])) do give(KEYS[2], lease) end
end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  tell(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  at = at + 4
end
for i = at, #ARGV, 3 do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then lay(KEYS[2], ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
end
return {word(), string.format('%.6f', now), redis.call('ZCARD', KEYS[1])}
"""
)

# KEYS: nodes. ARGV: seconds of silence. What nodes that are lost had open is charged to them in full.
LOST = (
    _COMMON
    + """
local lost = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now - tonumber(ARGV[1])))
local charged = 0
for _, node in ipairs(lost) do
  local open = '@open' .. node
  for _, lease in ipairs(redis.call('HKEYS', open)) do
    for _, each in ipairs(give(open, lease) or {}) do
      if counted(each[1]) and redis.call('EXISTS', each[1]) == 1 then
        redis.call('HINCRBY', each[1], 'n:' .. node, each[2])
        redis.call('HINCRBY', each[1], 's', each[2])
      end
    end
    charged = charged + 1
  end
  redis.call('ZREM', KEYS[1], node)
end
return charged
"""
).replace("@open", PREFIX + "open:")


class Wish(NamedTuple):
    """What a call wants of one pot: `windows` are the bounds of two, one after the other, near to now."""

    meter: str
    pot: str
    amount: int
    most: int
    windows: tuple[int, int, int]

    @property
    def kept(self) -> bool:
        """Whether it is counted over a time; open calls are not."""
        return self.windows[0] > 0


class Took(NamedTuple):
    """What came of a wish: `fits`, and for each pot how much was used before, and since when its window is."""

    outcome: int
    now: float
    used: tuple[int, ...] = ()
    since: tuple[int, ...] = ()


GIVEN, FULL, STRANGE, LATE, GRACED = 1, 0, -1, -2, -3


class Held(NamedTuple):
    """An open lease, as it is told again: its pots and amounts."""

    lease: int
    pots: tuple[tuple[Pot, int], ...]


class RedisPots:
    """Asks and tells. Connects when it is first asked; raises `ConfigError` when Redis cannot be reached."""

    def __init__(self, url: str, node: str, timeout: float = TIMEOUT) -> None:
        self._node = node
        self._timeout = timeout
        self._place = server_of(url)
        self._redis = client_of(url, timeout, timeout)
        self._digests: dict[str, str] = {}
        self._queue: list[tuple[tuple[str | int, ...], asyncio.Future[Any]]] = []
        self._pump: asyncio.Task[None] | None = None
        self.open = f"{PREFIX}open:{node}"

    async def take(self, word: str, lease: int, wishes: Iterable[Wish], grace: float = GRACE) -> Took:
        """Reserves all of it, or nothing."""
        words: list[str | int] = [word, lease, str(grace)]
        for wish in wishes:
            first, turn, last = wish.windows
            keep = _keep(turn - first) if wish.kept else 0
            words += [f"{POT}{wish.meter}|{wish.pot}|", wish.amount, wish.most, first, turn, last, keep]
        outcome, now, *told = await self._run(TAKE, [self.open], words)
        return Took(int(outcome), float(now), tuple(map(int, told[::2])), tuple(map(int, told[1::2])))

    async def sync(self, word: str, totals: dict[Pot, int], ended: Sequence[int]) -> tuple[str, float, int]:
        """Tells what this node has spent in all of some pots, and gives its ended leases back; says that it lives.

        Returns the word that is in force (where it is another nothing was done), the time, and how many nodes live.
        """
        told = [(place(pot), total, pot.until + _keep(pot.until - pot.since)) for pot, total in totals.items()]
        known, now, nodes = word, "0", 1
        # All totals come before the first lease is given back: what one took must never be counted nowhere.
        for piece, over in _pieces(told, ended):
            words: list[str | int] = [word, self._node, len(piece), *(each for line in piece for each in line), *over]
            known, now, nodes = await self._run(SYNC, [NODES, self.open], words)
            if known != word:
                break
        return str(known), float(now), int(nodes)

    async def join(
        self, fresh: str, shares: dict[str, dict[Pot, int]], leases: Sequence[Held], *, clear: bool
    ) -> tuple[str, float, int]:
        """Tells everything: what each node spent that the table knows of, and what this one has open.

        `fresh` becomes the word where there is none. `clear` gives back what an earlier life of this node had open.
        """
        told = [
            (node, place(pot), total, pot.until + _keep(pot.until - pot.since))
            for node, pots in shares.items()
            for pot, total in pots.items()
        ]
        held = [(each.lease, _text(each), _last(each)) for each in leases]
        known, now, nodes = "", "0", 1
        for number, (piece, over) in enumerate(_pieces(told, held), 1):
            # After all totals, for what is open stands for what was not told yet, and before the first lease.
            clears = clear and number == max(1, -(-len(told) // _CHUNK))
            words: list[str | int] = [fresh, self._node, "clear" if clears else "keep", len(piece)]
            words += [each for line in (*piece, *over) for each in line]
            known, now, nodes = await self._run(JOIN, [NODES, self.open, EPOCH], words)
        return str(known), float(now), int(nodes)

    async def charge_lost(self, after: float) -> int:
        """Charges in full what nodes had open that were silent for `after` seconds; returns how many leases."""
        return int(await self._run(LOST, [NODES], [str(after)]))

    async def used(self, meter: str) -> dict[tuple[str, int], tuple[int, int]]:
        """Every pot of a limit, by name and window: spent, and reserved. For people: it looks through all keys."""
        found: dict[tuple[str, int], tuple[int, int]] = {}
        start = f"{POT}{meter}|"
        cursor: Any = "0"
        while True:
            cursor, keys = await self._ask("SCAN", cursor, "MATCH", _literal(start) + "*", "COUNT", 1000)
            for key in keys:
                spent, reserved = await self._ask("HMGET", key, "s", "r")
                pot, _, since = key.removeprefix(start).rpartition("|")
                found[pot, int(since)] = (int(spent or 0), int(reserved or 0))
            if str(cursor) == "0":
                return found

    async def aclose(self) -> None:
        if self._pump is not None:
            await asyncio.wait((self._pump,))
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _run(self, script: str, keys: Sequence[str], words: Sequence[str | int]) -> Any:
        digest = self._digests.get(script)
        if digest is not None:
            try:
                return await self._ask("EVALSHA", digest, len(keys), *keys, *words)
            except NoScriptError:
                self._digests.pop(script, None)
        self._digests[script] = str(await self._ask("SCRIPT", "LOAD", script))
        return await self._ask("EVALSHA", self._digests[script], len(keys), *keys, *words)

    async def _ask(self, *words: str | int) -> Any:
        """One exchange; those that are asked at once share one. Raises `ConfigError`.

        Nobody hangs in a queue: who waited while others failed fails with them.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((words, answer))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._exchange())
        return await answer

    async def _exchange(self) -> None:
        while self._queue:
            asked, self._queue = self._queue[:TOGETHER], self._queue[TOGETHER:]
            try:
                async with asyncio.timeout(self._timeout):
                    pipeline = self._redis.pipeline(transaction=False)
                    for words, _ in asked:
                        pipeline.execute_command(*words)
                    answers = await pipeline.execute(raise_on_error=False)
            except (RedisError, OSError, TimeoutError) as error:
                answers = [lost(self._place, self._timeout, error)] * (len(asked) + len(self._queue))
                asked, self._queue = asked + self._queue, []
                with suppress(RedisError, OSError):
                    await self._redis.connection_pool.disconnect()
            for (_, answer), said in zip(asked, answers, strict=True):
                if answer.done():
                    continue  # its caller left
                if isinstance(said, NoScriptError | ConfigError):
                    answer.set_exception(said)
                elif isinstance(said, Exception):
                    answer.set_exception(lost(self._place, self._timeout, said))
                else:
                    answer.set_result(said)


def place(pot: Pot) -> str:
    """The key of a pot in its window."""
    return f"{POT}{pot.meter}|{pot.pot}|{pot.since}"


def _pieces(first: Sequence[T], then: Sequence[U]) -> Iterator[tuple[Sequence[T], Sequence[U]]]:
    """Both in pieces that a script may take, all of the first before any of the others; at least one."""
    starts = list(range(0, len(first), _CHUNK)) or [0]
    for start in starts[:-1]:
        yield first[start : start + _CHUNK], ()
    yield first[starts[-1] :], then[:_CHUNK]
    for start in range(_CHUNK, len(then), _CHUNK):
        yield (), then[start : start + _CHUNK]


def _keep(length: int) -> int:
    return KEEP_MINUTES if length <= 60 else KEEP


def _text(held: Held) -> str:
    return "".join(f"{place(pot)}\n{amount}\n" for pot, amount in held.pots)


def _last(held: Held) -> int:
    """How long the keys of a lease are kept, all of them as long as the one that is kept longest; 0: for ever."""
    return max((pot.until + _keep(pot.until - pot.since) for pot, _ in held.pots if pot.since), default=0)


def _literal(text: str) -> str:
    """As a pattern of SCAN that fits nothing else."""
    return "".join(f"\\{sign}" if sign in "*?[]\\^" else sign for sign in text)
