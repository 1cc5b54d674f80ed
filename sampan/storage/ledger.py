"""What was charged to pots: durable in a journal in µs, in the table a moment later, each entry exactly once.

A pot is what a limit counts for one of those it concerns, over one window: `meter` (the limit, what it counts, over how
long), `pot` (whose), `since` and `until` (the window, Unix seconds). Amounts are whole numbers in the pot's own unit.

    entry     kind, lease     "<BQ"      the only kind is `SETTLED`
    then      size, pot       "<H", MessagePack of [meter, pot, since, until]    } for each pot that was charged
              amount          "<q"                                               }

The journal is a `Spool`. How far the table has it stands in the same transaction as what it added, so that an entry
that is seen twice counts once.
"""

from __future__ import annotations

import logging
import struct
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import delete, func, select

from sampan.storage.chain import node_of
from sampan.storage.db import Database, upsert
from sampan.storage.spool import Spool
from sampan.storage.tables import QUOTA_JOURNALS, QUOTA_SPENT

CAPACITY = 4 << 20
"""Bytes of the journal: about 25,000 calls that charge two pots each."""

LINGER = 1.0
"""Seconds that the folding thread lets entries gather after the first; the journal keeps them meanwhile."""

KEEP_MINUTES, KEEP = 86_400, 40 * 86_400
"""Seconds that ended windows are kept: those of minutes, and the others. Clocks that go back find theirs again."""

SETTLED = 1

_GROUP = 2048
_BACKOFF = 1.0
_ENTRY = struct.Struct("<BQ")
_SIZE = struct.Struct("<H")
_AMOUNT = struct.Struct("<q")
_CHARGE = _ENTRY.pack(SETTLED, 0)
_encode = msgspec.msgpack.Encoder().encode


class Pot(NamedTuple):
    """One pot in one window."""

    meter: str
    pot: str
    since: int
    until: int


class Entry(NamedTuple):
    """What one lease came to."""

    kind: int
    lease: int
    charges: tuple[tuple[Pot, int], ...]


_decode = msgspec.msgpack.Decoder(tuple[str, str, int, int]).decode


def heading(pot: Pot) -> bytes:
    """A pot as entries name it; made once for many of them."""
    named = _encode(tuple(pot))
    return _SIZE.pack(len(named)) + named


def pack(kind: int, lease: int, charges: Iterable[tuple[bytes, int]]) -> bytes:
    """An entry; charges are headings and amounts."""
    parts = [_ENTRY.pack(kind, lease)]
    for named, amount in charges:
        parts.append(named)
        parts.append(amount.to_bytes(8, "little", signed=True))
    return b"".join(parts)


def unpack(payload: bytes) -> Entry:
    """Raises `ValueError` for what is no entry of this version."""
    try:
        kind, lease = _ENTRY.unpack_from(payload)
        at, charges = _ENTRY.size, []
        while at < len(payload):
            (size,) = _SIZE.unpack_from(payload, at)
            end = at + _SIZE.size + size
            (amount,) = _AMOUNT.unpack_from(payload, end)
            charges.append((Pot(*_decode(payload[at + _SIZE.size : end])), amount))
            at = end + _AMOUNT.size
    except (struct.error, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None
    if kind != SETTLED:
        raise ValueError(f"an entry of kind {kind} with {len(payload)} bytes")
    return Entry(kind, lease, tuple(charges))


class Group(NamedTuple):
    """Entries that lie together in the journal, and the position behind each; `end` releases them."""

    entries: tuple[Entry, ...]
    places: tuple[int, ...]
    end: int


class Books:
    """The journal of this node, and the table of all. `append` is for the event loop, the rest blocks."""

    def __init__(self, database: Database, *, capacity: int = CAPACITY) -> None:
        self.node = node_of(database.folder)
        self._database = database
        self._capacity = capacity
        self._log = logging.getLogger("sampan.quota")
        self._lock = threading.Lock()
        self._spool: Spool | None = None
        self._folded = 0
        self._sure = True  # whether the table is known to end there: a commit that failed may have been one
        # What `charge` took since the last look, by the headings of pots: nobody has to read those entries again. Not
        # `_summed` where others lie among them: those of a dead process, those of `append`, and what found no room.
        self._sums: dict[bytes, int] = {}
        self._summed = False
        self.behind = False
        """Whether entries that had no room came into the journal while others were folded."""
        # Entries that found the journal full: they wait in memory, the one place where `kill -9` could reach them.
        self._overflow: deque[bytes] = deque()

    def open(self) -> None:
        """Opens the journal; what a dead process left in it is there to be read. Raises `ConfigError`."""
        spool = Spool(self._database.folder / "quota.journal", self._capacity)
        self._sums, self._summed, self._sure = {}, False, True
        try:
            folded = self._position()
            # A journal that ends before what the table has of it is a new one: the old one was taken away.
            self._folded = folded if folded <= spool.tail else spool.head
            if self._folded != folded:
                with self._database.write() as connection:
                    statement = upsert(connection, QUOTA_JOURNALS).values(node=self.node, position=self._folded)
                    changed = {"position": self._folded}
                    connection.execute(statement.on_conflict_do_update(index_elements=["node"], set_=changed))
        except BaseException:
            spool.close()
            raise
        self._spool = spool

    @property
    def has_room(self) -> bool:
        """Whether more may be reserved: a quarter of the journal stays free for what is under way."""
        spool = self._spool
        if spool is None or self._overflow:
            return False
        capacity = spool.capacity
        return (capacity - spool.tail + spool.head) * 4 >= capacity

    def append(self, payload: bytes) -> None:
        """When this returns the entry survives `kill -9`. A few µs, no I/O."""
        with self._lock:
            self._put(payload)
            self._summed = False

    def charge(self, charges: Sequence[tuple[bytes, int]]) -> None:
        """The same for an entry of a lease that has no number; charges are headings and amounts of no less than 0."""
        parts = [_CHARGE]
        with self._lock:
            sums = self._sums
            for named, amount in charges:
                parts.append(named)
                parts.append(amount.to_bytes(8, "little"))
                sums[named] = sums.get(named, 0) + amount
            self._put(b"".join(parts))

    def _put(self, payload: bytes) -> None:
        """The lock is held."""
        spool = self._spool
        if spool is None:
            raise RuntimeError("charges are kept only between open and close")
        if self._overflow or not spool.append(payload):
            if not self._overflow:
                self._log.error("the journal of quota is full; charges wait in memory until the database is back")
            self._overflow.append(payload)
            self._summed = False

    def _position(self) -> int:
        """How far the table has the journal. Raises `ConfigError`."""
        with self._database.read() as connection:
            query = select(QUOTA_JOURNALS.c.position).where(QUOTA_JOURNALS.c.node == self.node)
            return int(connection.execute(query).scalar() or 0)

    def group(self) -> Group:
        """The oldest entries that were not released yet; one that cannot be read is logged and counts for nothing."""
        spool = self._spool
        if spool is None:
            return Group((), (), 0)
        place = spool.head
        payloads, end = spool.entries(_GROUP)
        entries, places = [], []
        for payload in payloads:
            place += 8 + len(payload)  # the spool's own header of each
            places.append(place)
            try:
                entries.append(unpack(payload))
            except ValueError as error:
                self._log.error("an entry of the quota journal cannot be read: %s", error)
                entries.append(Entry(SETTLED, 0, ()))
        return Group(tuple(entries), tuple(places), end)

    def fold_next(self) -> int:
        """`group`, `fold` and `release` of all there is, where nobody else has to hear of it.

        Returns how many entries had to be read for it: where all of them came by `charge`, none. Raises `ConfigError`.
        """
        with self._lock:
            spool, summed, sums = self._spool, self._summed, self._sums
            if spool is None:
                return 0
            end = spool.tail
            # From here on they are what lies behind `end`, whatever has to be read before it.
            self._sums, self._summed, self.behind = {}, not self._overflow, False
        try:
            if not self._sure:
                self._folded = max(self._folded, self._position())
                self._sure = True
            if not summed:
                return self._fold_read(spool, end)
            if end > self._folded:
                self._store(self._pots((named[_SIZE.size :], amount) for named, amount in sums.items()), end)
            self.release(Group((), (), end))
            return 0
        except BaseException:
            with self._lock:
                self._summed = self._sure = False  # what was taken out of memory is still in the journal
            raise

    def _fold_read(self, spool: Spool, end: int) -> int:
        """Folds what lies before `end`, and returns how many entries that were. Each name of a pot is read once."""
        count = 0
        while spool.head < end:
            place = spool.head
            named: dict[bytes, int] = {}
            for payload in spool.entries(_GROUP)[0]:
                if place >= end:
                    break
                place += 8 + len(payload)
                count += 1
                if place > self._folded:
                    self._add(payload, named)
            if place > self._folded:
                self._store(self._pots(named.items()), place)
            self.release(Group((), (), place))
        return count

    def _pots(self, named: Iterable[tuple[bytes, int]]) -> dict[Pot, int]:
        sums: dict[Pot, int] = {}
        for name, amount in named:
            try:
                pot = Pot(*_decode(name))
            except msgspec.MsgspecError as error:
                self._log.error("an entry of the quota journal cannot be read: %s", error)
            else:
                sums[pot] = sums.get(pot, 0) + amount
        return sums

    def _add(self, payload: bytes, named: dict[bytes, int]) -> None:
        """As `unpack`, of which it knows the form, without making an entry."""
        at, size = _ENTRY.size, len(payload)
        if size < at or payload[0] != SETTLED:
            self._log.error("an entry of the quota journal cannot be read: it has %d bytes", size)
            return
        while at < size:
            start = at + _SIZE.size
            end = start + int.from_bytes(payload[at:start], "little")
            amount = payload[end : end + _AMOUNT.size]
            if len(amount) < _AMOUNT.size:
                self._log.error("an entry of the quota journal cannot be read: it ends too early")
                return
            name = payload[start:end]
            named[name] = named.get(name, 0) + int.from_bytes(amount, "little", signed=True)
            at = end + _AMOUNT.size

    def fold(self, group: Group) -> dict[Pot, int]:
        """Adds to the table what it has not of a group, and returns how much that is. Raises `ConfigError`.

        A death between the commit and the release shows entries again, and groups are cut anew then.
        """
        sums: dict[Pot, int] = {}
        if group.end <= self._folded or self._spool is None:
            return sums
        for entry, place in zip(group.entries, group.places, strict=True):
            for pot, amount in entry.charges if place > self._folded else ():
                sums[pot] = sums.get(pot, 0) + amount
        self._store(sums, group.end)
        return sums

    def _store(self, sums: Mapping[Pot, int], end: int) -> None:
        """What was added up, and how far that goes in the journal, in one transaction. Raises `ConfigError`."""
        primary = ["node", "meter", "pot", "since"]
        with self._database.write() as connection:
            statement = upsert(connection, QUOTA_JOURNALS).values(node=self.node, position=end)
            changed = {"position": end}
            connection.execute(statement.on_conflict_do_update(index_elements=["node"], set_=changed))
            for pot, amount in sums.items():
                insertion = upsert(connection, QUOTA_SPENT).values(node=self.node, spent=amount, **pot._asdict())
                more = {"spent": QUOTA_SPENT.c.spent + insertion.excluded.spent}
                connection.execute(insertion.on_conflict_do_update(index_elements=primary, set_=more))
        self._folded = end

    def release(self, group: Group) -> None:
        """Gives the journal's room back: the group is safe in the table, and wherever else it has to be."""
        with self._lock:
            spool = self._spool
            if spool is None:
                return
            spool.release(group.end)
            while self._overflow and spool.append(self._overflow[0]):
                self._overflow.popleft()
                self.behind = True

    @property
    def empty(self) -> bool:
        """Whether all that was appended is released."""
        spool = self._spool
        return spool is None or (spool.head == spool.tail and not self._overflow)

    def close(self) -> None:
        """Lets go of the journal; what was not released stays in it for the next start."""
        with self._lock:
            if self._overflow:
                self._log.error("%d charges that the journal had no room for are lost", len(self._overflow))
            if self._spool is not None:
                self._spool.close()
                self._spool = None

    def spent(self, now: float) -> dict[Pot, int]:
        """What all nodes together have charged to pots whose windows have not ended."""
        columns = [QUOTA_SPENT.c[name] for name in Pot._fields]
        query = select(*columns, func.sum(QUOTA_SPENT.c.spent)).where(QUOTA_SPENT.c.until > now).group_by(*columns)
        with self._database.read() as connection:
            return {Pot(*row[:4]): int(row[4]) for row in connection.execute(query)}

    def shares(self, now: float) -> dict[str, dict[Pot, int]]:
        """The same for each node."""
        columns = [QUOTA_SPENT.c[name] for name in Pot._fields]
        query = select(QUOTA_SPENT.c.node, *columns, QUOTA_SPENT.c.spent).where(QUOTA_SPENT.c.until > now)
        found: dict[str, dict[Pot, int]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row[0], {})[Pot(*row[1:5])] = int(row[5])
        return found

    def prune(self, now: float) -> int:
        """Drops windows that ended long ago, and returns how many rows they had."""
        ended = QUOTA_SPENT.c.until
        short = (ended - QUOTA_SPENT.c.since <= 60) & (ended < now - KEEP_MINUTES)
        with self._database.write() as connection:
            return connection.execute(delete(QUOTA_SPENT).where(short | (ended < now - KEEP))).rowcount


class Folder:
    """The thread that moves the journal into the table, where nobody else has to hear of it."""

    def __init__(self, books: Books, linger: float = LINGER) -> None:
        self._books = books
        self._linger = linger
        self._log = logging.getLogger("sampan.quota")
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._idle = threading.Condition()
        self._stopping = False
        self._failing = False
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Replays what a dead process left, starts the thread, and returns how many entries were replayed.

        Raises `ConfigError` where the database cannot be written.
        """
        replayed = 0
        while count := self._fold():
            replayed += count
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="quota", daemon=True)
        self._thread.start()
        return replayed

    def wake(self) -> None:
        """Something was appended. `is_set` costs a tenth of `set`."""
        if not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until the journal is empty; False when that took longer."""
        self._hurry.set()
        self._wake.set()
        with self._idle:
            return self._idle.wait_for(lambda: self._books.empty, timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Folds what is left, for about `timeout` seconds, and ends the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if not self.flush(timeout):
            self._log.error("the database cannot be written; charges stay in the journal until the next start")
        self._stopping = True
        self._hurry.set()
        self._wake.set()
        thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            self._hurry.wait(self._linger)
            self._wake.clear()  # before the tail is read: an append after that sets it again
            self._hurry.clear()
            try:
                self._fold()  # once: while calls come in there is always another entry, each worth a transaction
                while self._books.behind:
                    self._fold()
                self._failing = False
            except Exception as error:
                # Whatever it was, the thread lives and the journal keeps the charges.
                if not self._failing:
                    self._log.error("charges cannot be written to the database, the journal keeps them: %s", error)
                self._failing = True
                self._hurry.wait(_BACKOFF)
                self._wake.set()

    def _fold(self) -> int:
        count = self._books.fold_next()
        with self._idle:
            self._idle.notify_all()
        return count
