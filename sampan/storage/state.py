"""What servers know together: named facts, the newest of each kept, and leases on what one server does at a time.

A fact is a short text and since when it holds. Whoever tells an older one than is kept is told the newer one instead (a
last-writer-wins register); what it told itself it may always replace. Moments are the store's own: what comes in and
goes out are ages in seconds, so that clocks of servers may differ as they like.

    memory      `KeptState`     this server alone; kept in the database, so that a restart does not forget
    redis://    `RedisState`    Redis 5 or later, or Valkey, shared by all servers that name it
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from sqlalchemy import select

from sampan.storage.chain import node_of
from sampan.storage.db import Database, upsert
from sampan.storage.redis_client import client_of, lost, server_of
from sampan.storage.tables import SETTINGS

TIMEOUT = 0.2  # seconds one exchange may take: longer than that is as good as away
LISTEN = 60.0  # seconds of silence after which the ear is put to the wall anew
MICRO = 1_000_000
PREFIX = "sampan:"
CHANNEL = "sampan:told"
SETTING = "shared_state"


@dataclass(frozen=True, slots=True)
class Fact:
    """Told by `by`: `value` holds since `age` seconds. It is forgotten `keep` seconds after it was told; 0: never."""

    value: str
    by: str
    age: float
    keep: float


@dataclass(frozen=True, slots=True)
class Known:
    """The newest of a fact: `stamp` grows with every newer one, in units of the store."""

    value: str
    by: str
    age: float
    stamp: int


class State(Protocol):
    """Where facts are kept. All of it raises `ConfigError` when it cannot be reached; nothing else."""

    @property
    def shared(self) -> bool:
        """Whether other servers tell facts here, too."""

    async def exchange(self, told: Mapping[str, Fact], names: Sequence[str]) -> Mapping[str, Known]:
        """Tells, then asks: what is known of `names`, which hold those of `told`. Unknown ones are not in it."""

    async def lease(self, name: str, by: str, seconds: float) -> bool:
        """Takes the lease, or makes its own longer; False: another has it."""

    async def release(self, name: str, by: str) -> None:
        """Gives the lease back, if it is its own."""

    async def heard(self, by: str) -> None:
        """Returns when somebody else than `by` may have told something or given a lease back."""

    async def aclose(self) -> None: ...


class _Row(msgspec.Struct, frozen=True):
    """One fact as it lies in the database; times are Unix seconds of this machine, stamps are in microseconds."""

    value: str
    by: str
    stamp: int
    forget: float | None


class KeptState:
    """The facts of one server, in a row of its own: written when they change, read at the start.

    A clock that was set back makes a fact younger, never newer than now: an open breaker waits its delay at the most.
    """

    shared = False

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        """Blocks. Raises `ConfigError`. What cannot be read (it is from another version) is forgotten."""
        self._database = database
        self._wall = wall
        self._rows: dict[str, _Row] = {}
        self._saved = True
        # Others may use the same server's database; what they know is not what this one knows.
        self._name = SETTING if database.dialect == "sqlite" else f"{SETTING}:{node_of(database.folder)}"
        with database.read() as connection:
            text = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == self._name)).scalar()
        with suppress(msgspec.DecodeError):
            self._rows = msgspec.json.decode(text or "{}", type=dict[str, _Row])

    async def exchange(self, told: Mapping[str, Fact], names: Sequence[str]) -> Mapping[str, Known]:
        now = self._wall()
        self._rows = {name: row for name, row in self._rows.items() if row.forget is None or row.forget > now}
        for name, fact in told.items():
            stamp = round((now - fact.age) * MICRO)
            kept = self._rows.get(name)
            if kept is not None and kept.by == fact.by:
                stamp = max(stamp, kept.stamp + 1)
            if kept is None or stamp > kept.stamp or kept.stamp > now * MICRO:
                forget = now + fact.keep if fact.keep else None
                self._rows[name] = _Row(fact.value, fact.by, stamp, forget)
                self._saved = False
        if not self._saved:
            await asyncio.to_thread(self._save, json.dumps(msgspec.to_builtins(self._rows), ensure_ascii=False))
            self._saved = True
        found = {name: self._rows[name] for name in names if name in self._rows}
        return {
            name: Known(row.value, row.by, max(0.0, now - row.stamp / MICRO), row.stamp) for name, row in found.items()
        }

    def _save(self, text: str) -> None:
        with self._database.write() as connection:
            statement = upsert(connection, SETTINGS).values(name=self._name, value=text)
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": text}))

    async def lease(self, name: str, by: str, seconds: float) -> bool:
        return True  # nobody else is there

    async def release(self, name: str, by: str) -> None:
        return

    async def heard(self, by: str) -> None:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        return


# KEYS: names. ARGV: who tells, and for each fact the index of its key, its value, its age in µs, its keep in ms.
# A message takes its time, so that the second of two quick changes may look older than the first: hence `told_by`.
# A kept moment that lies ahead of now is from before the server's clock was set back, and must not rule for hours.
EXCHANGE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local told = 0
for i = 2, #ARGV, 4 do
  local key, stamp, keep = KEYS[tonumber(ARGV[i])], now - ARGV[i + 2], tonumber(ARGV[i + 3])
  local kept = redis.call('GET', key)
  local told_at, told_by = string.match(kept or '', '^(%d+) (%S+)')
  local before = told_at and tonumber(told_at)
  if told_by == ARGV[1] and before <= now then stamp = math.max(stamp, before + 1) end
  if not before or stamp > before or before > now then
    local value = string.format('%.0f %s %s', stamp, ARGV[1], ARGV[i + 1])
    if keep > 0 then redis.call('SET', key, value, 'PX', keep) else redis.call('SET', key, value) end
    told = told + 1
  end
end
if told > 0 then redis.call('PUBLISH', '@channel', ARGV[1]) end
return {string.format('%.0f', now), redis.call('MGET', unpack(KEYS))}
""".replace("@channel", CHANNEL)

# KEYS: the lease. ARGV: whose, and for how many ms.
LEASE = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', '@channel', ARGV[1])
return 1
""".replace("@channel", CHANNEL)


class RedisState:
    """The facts of all servers that name the same database of the same Redis. Connects when it is first asked.

    `url` is `redis://[user:password@]host[:port][/db]`. No exchange takes longer than `timeout` seconds.
    """

    shared = True

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._place = server_of(url)
        self._redis = client_of(url, timeout, timeout)
        # An ear of its own: whoever waits for others reads for minutes, whoever asks for a fifth of a second.
        self._ear = client_of(url, None, TIMEOUT)
        self._messages: PubSub | None = None
        self._execute: Callable[..., Awaitable[Any]] = self._redis.execute_command

    async def exchange(self, told: Mapping[str, Fact], names: Sequence[str]) -> Mapping[str, Known]:
        if not names:
            await self._ask("PING")
            return {}
        places = {name: index for index, name in enumerate(names, 1)}
        words: list[str | int] = [next((fact.by for fact in told.values()), "")]
        for name, fact in told.items():
            words += [places[name], fact.value, round(fact.age * MICRO), round(fact.keep * 1000)]
        now, found = await self._ask("EVAL", EXCHANGE, len(names), *(PREFIX + name for name in names), *words)
        known = {name: _known(text, int(now)) for name, text in zip(names, found, strict=True) if text}
        return {name: fact for name, fact in known.items() if fact is not None}

    async def lease(self, name: str, by: str, seconds: float) -> bool:
        return bool(await self._ask("EVAL", LEASE, 1, f"{PREFIX}lease:{name}", by, round(seconds * 1000)))

    async def release(self, name: str, by: str) -> None:
        await self._ask("EVAL", RELEASE, 1, f"{PREFIX}lease:{name}", by)

    async def heard(self, by: str) -> None:
        try:
            if self._messages is None:
                async with asyncio.timeout(self._timeout):
                    messages = self._ear.pubsub()
                    await messages.subscribe(CHANNEL)
                self._messages = messages
                return  # what was said before we listened was missed
            silent = False
            while True:
                message = await self._messages.get_message(timeout=LISTEN)
                if message is None:
                    if silent:
                        raise TimeoutError
                    await self._messages.ping()
                silent = message is None
                if message is not None and message.get("type") == "message" and message["data"] != by:
                    return
        except (RedisError, OSError, TimeoutError) as error:
            await self._stop_listening()
            raise lost(self._place, self._timeout, error) from error

    async def aclose(self) -> None:
        await self._stop_listening()
        for each in (self._redis, self._ear):
            with suppress(RedisError, OSError):
                await each.aclose()

    async def _ask(self, *words: str | int) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._execute(*words)
        except (RedisError, OSError, TimeoutError) as error:
            with suppress(RedisError, OSError):
                await self._redis.connection_pool.disconnect()
            raise lost(self._place, self._timeout, error) from error

    async def _stop_listening(self) -> None:
        messages, self._messages = self._messages, None
        if messages is not None:
            with suppress(RedisError, OSError):
                await messages.aclose()  # type: ignore[no-untyped-call]


def _known(text: str, now: int) -> Known | None:
    """None for what we have not written."""
    parts = text.split(" ", 2)
    if len(parts) != 3 or not parts[0].isdecimal():
        return None
    return Known(parts[2], parts[1], max(0.0, (now - int(parts[0])) / MICRO), int(parts[0]))
