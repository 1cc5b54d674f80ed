"""Records: safe in the spool when `append` returns, in the database a moment later, never lost and never twice."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import math
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import DataError, IntegrityError

from sampan.core import Record
from sampan.errors import ConfigError
from sampan.storage.db import Database, make_file
from sampan.storage.spool import Spool
from sampan.storage.tables import RECORDS

CAPACITY = 8 << 20
"""Bytes of the spool: about 30,000 records, so minutes of a database that cannot be written."""

LINGER = 0.2
"""Seconds that the writer lets records gather after the first, so that many calls share a commit."""

_GROUP = 1024
_MAX_PAYLOAD = 8192
_MAX_TEXT = 200
_MAX_INT = (1 << 63) - 1
_BACKOFF = (0.1, 5.0)
_PAGE = 1000
_Row = tuple[Any, ...]
_FIELDS = tuple(RECORDS.c[name] for name in Record.__struct_fields__)


class Records:
    """The audit entries of all calls.

    Reading (`latest`, `find`, `export`) works at once and blocks. Writing works between `start` and `close`, in one
    process at a time.
    """

    def __init__(self, database: Database, *, capacity: int = CAPACITY, linger: float = LINGER) -> None:
        self._database = database
        self._folder = database.folder
        self._capacity = capacity
        self._writer = _Writer(database, linger)

    def start(self) -> int:
        """Replays what a dead process left, starts the writer, and returns how many entries were replayed. Blocks.

        Raises `ConfigError` when another process writes records here, or the spool or the database cannot be used.
        """
        return self._writer.start(self._capacity)

    def append(self, record: Record) -> None:
        """Keeps a record: when this returns it survives `kill -9`. A few µs, no I/O: made for the event loop.

        Its `id` must be its own: of two records with one id the later is taken for a replay of the first.
        """
        self._writer.append(_encode(record))

    @property
    def has_room(self) -> bool:
        """Whether another call may be accepted: a quarter of the spool stays free for those already under way."""
        return self._writer.has_room

    async def wait_for_room(self) -> None:
        """Returns as soon as there `has_room`. To be awaited before a call is accepted, not before its record."""
        while not self._writer.has_room:
            await self._writer.room()

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until every record appended so far is in the database; False when that took longer. Blocks."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Drains for about `timeout` seconds and stops; what is left stays in the spool for the next start. Blocks."""
        self._writer.close(timeout)

    def latest(self, limit: int, since: float | None = None) -> tuple[Record, ...]:
        """The newest records first, those that started at `since` (Unix seconds) or later."""
        query = select(*_FIELDS).order_by(RECORDS.c.started.desc(), RECORDS.c.sequence.desc()).limit(limit)
        if since is not None:
            query = query.where(RECORDS.c.started >= since)
        with self._database.read() as connection:
            return tuple(_record(row) for row in connection.execute(query))

    def find(self, record_id: str) -> Record | None:
        """The record of this request id."""
        with self._database.read() as connection:
            row = connection.execute(select(*_FIELDS).where(RECORDS.c.id == record_id)).one_or_none()
        return None if row is None else _record(row)

    def export(self, since: float | None = None) -> Iterator[Record]:
        """Every record (that started at `since` or later), in the order in which they were kept.

        Read in pages: a long export holds neither memory nor a view of the database that would keep its WAL growing.
        """
        last = 0
        while True:
            query = select(RECORDS.c.sequence, *_FIELDS).where(RECORDS.c.sequence > last)
            if since is not None:
                query = query.where(RECORDS.c.started >= since)
            with self._database.read() as connection:
                rows = connection.execute(query.order_by(RECORDS.c.sequence).limit(_PAGE)).all()
            for row in rows:
                yield _record(row[1:])
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]


class _Writer:
    """The spool, the thread that drains it, and the lock that keeps other processes out."""

    def __init__(self, database: Database, linger: float) -> None:
        self._database = database
        self._linger = linger
        self._log = logging.getLogger("sampan.storage")
        self._lock = threading.Lock()
        self._drained = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._stopping = False
        self._failures = 0
        self._appended = 0
        self._stored = 0
        self._insertion = _Insertion()
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None
        self._lock_handle = -1
        # Entries that found the spool full: only possible when more calls are under way than a quarter of it can hold.
        # They wait in memory, the one place where `kill -9` could reach them.
        self._overflow: deque[bytes] = deque()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def start(self, capacity: int) -> int:
        self._lock_handle = _acquire(self._database.folder)
        try:
            self._spool = Spool(self._database.folder / "records.spool", capacity)
            replayed = 0
            while count := self._drain(self._spool):
                replayed += count
        except BaseException:
            self._let_go()
            raise
        if replayed:
            self._log.info("replayed %d records that the last process left in the spool", replayed)
        self._closing = self._stopping = False
        self._appended = self._stored = 0
        self._thread = threading.Thread(target=self._run, args=(self._spool,), name="records", daemon=True)
        self._thread.start()
        return replayed

    def append(self, payload: bytes) -> None:
        with self._lock:
            spool = self._spool
            if spool is None or self._closing:
                raise RuntimeError("records are kept only between start and close")
            if self._overflow or not spool.append(payload):
                if not self._overflow:
                    self._log.error("the spool of records is full; records wait in memory until the database is back")
                self._overflow.append(payload)
            self._appended += 1
        # Only the first of a group wakes the writer: `is_set` costs a tenth of `set`.
        if not self._wake.is_set():
            self._wake.set()

    @property
    def has_room(self) -> bool:
        spool = self._spool
        return spool is not None and spool.free * 4 >= spool.capacity

    async def room(self) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self.has_room:
                return
            if self._spool is None:
                raise RuntimeError("records are kept only between start and close")
            self._waiting.append((loop, future))
        await future

    def flush(self, timeout: float | None) -> bool:
        with self._lock:
            if self._spool is None:
                return True
            wanted = self._appended
            self._hurry.set()
            self._wake.set()
            return self._drained.wait_for(lambda: self._stored >= wanted or self._spool is None, timeout)

    def close(self, timeout: float) -> None:
        thread = self._thread
        if thread is None:
            return
        with self._lock:
            self._closing = True
        if not self.flush(timeout):
            self._log.error("the database cannot be written; records stay in the spool until the next start")
        self._stopping = True
        self._hurry.set()
        self._wake.set()
        thread.join()
        self._thread = None
        if self._overflow:
            self._log.error("%d records that the spool had no room for are lost", len(self._overflow))
        self._let_go()

    def _let_go(self) -> None:
        with self._lock:
            if self._spool is not None:
                self._spool.close()
                self._spool = None
            self._drained.notify_all()
        if self._lock_handle >= 0:
            os.close(self._lock_handle)
            self._lock_handle = -1
        self._admit()

    def _run(self, spool: Spool) -> None:
        while not self._stopping:
            self._wake.wait()
            self._hurry.wait(self._linger)
            # Cleared before the tail is read: an append after that sets it again.
            self._wake.clear()
            self._hurry.clear()
            try:
                while self._drain(spool) == _GROUP:
                    pass
            except Exception as error:
                # Whatever it was, the thread lives and the spool keeps the records: nobody else would write them.
                self._failed(error)
                self._hurry.wait(min(_BACKOFF[0] * 2 ** min(self._failures - 1, 10), _BACKOFF[1]))
                self._wake.set()

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            self._log.error("records cannot be written to the database, the spool keeps them: %s", error)

    def _drain(self, spool: Spool) -> int:
        """Moves one group to the database, gives its room back, and returns how many entries it had."""
        payloads, end = spool.entries(_GROUP)
        if payloads:
            self._store(payloads)
            if self._failures:
                self._log.info("records are written to the database again")
                self._failures = 0
        with self._lock:
            if payloads:
                spool.release(end)
                self._stored += len(payloads)
            while self._overflow and spool.append(self._overflow[0]):
                self._overflow.popleft()
                self._wake.set()
            self._drained.notify_all()
        self._admit()
        return len(payloads)

    def _admit(self) -> None:
        """Wakes the calls that wait for room, each on its own event loop."""
        with self._lock:
            if not self._waiting or (self._spool is not None and not self.has_room):
                return
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            # A loop that was closed meanwhile has nobody left to wake.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, future)

    def _store(self, payloads: Sequence[bytes]) -> None:
        rows: list[_Row] = []
        unreadable: list[tuple[bytes, Exception]] = []
        for payload in payloads:
            try:
                rows.append(msgspec.structs.astuple(_DECODER.decode(payload)))
            except msgspec.MsgspecError as error:
                unreadable.append((payload, error))
        try:
            with self._database.write() as connection:
                self._insertion.run(connection, rows)
        except (ConfigError, OverflowError) as error:
            if isinstance(error, ConfigError) and _is_outage(error):
                raise
            unreadable += self._store_each(rows)
        # At the very end: a database that fails makes all of the above happen again.
        for payload, reason in unreadable:
            self._set_aside(payload, reason)

    def _store_each(self, rows: Sequence[_Row]) -> list[tuple[bytes, Exception]]:
        """One of them is something that the table cannot hold: it must not keep the others out for ever."""
        refused: list[tuple[bytes, Exception]] = []
        for row in rows:
            clean = _clean(Record(*row))
            try:
                with self._database.write() as connection:
                    self._insertion.run(connection, [msgspec.structs.astuple(clean)])
            except ConfigError as error:
                if _is_outage(error):
                    raise
                refused.append((_ENCODER.encode(clean), error))
        return refused

    def _set_aside(self, payload: bytes, error: Exception) -> None:
        """Keeps an entry that is no record of this version, as a line of hexadecimal, for a person to look at."""
        path = self._database.folder / "records.unreadable"
        self._log.error("an entry of the spool is no record and was set aside in %s: %s", path.name, error)
        make_file(path)
        with path.open("a") as file:
            file.write(payload.hex() + "\n")


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Record)


def _encode(record: Record) -> bytes:
    try:
        payload = _ENCODER.encode(record)
    except (UnicodeError, OverflowError):
        return _ENCODER.encode(_clean(record))
    return payload if len(payload) <= _MAX_PAYLOAD else _ENCODER.encode(_clean(record))


def _clean(record: Record) -> Record:
    """The same record within what can be kept: a caller may name a model with a megabyte, or with half a character."""

    def fit(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()[:_MAX_TEXT]
        if isinstance(value, float):
            return value if math.isfinite(value) else 0.0
        return value if isinstance(value, bool) else max(-_MAX_INT, min(_MAX_INT, value))

    return Record(*(fit(value) for value in msgspec.structs.astuple(record)))


class _Insertion:
    """Inserts records whose id is not there yet, many to a statement.

    Not `executemany`: the driver lets go of the interpreter lock for every row that it steps through, and gets it back
    only when the event loop rests. 64 rows of 21 columns stay far below SQLite's limit of 32,766 variables, few shapes
    let the driver keep them prepared. Text, since SQLAlchemy would spend milliseconds on rendering each group.
    """

    def __init__(self) -> None:
        self._statements = {rows: _insertion(rows) for rows in (64, 8, 1)}

    def run(self, connection: Connection, rows: Sequence[_Row]) -> None:
        start = 0
        for size, statement in self._statements.items():
            while len(rows) - start >= size:
                values = tuple(chain.from_iterable(rows[start : start + size]))
                connection.exec_driver_sql(statement, values)
                start += size


def _insertion(rows: int) -> str:
    columns = ", ".join(Record.__struct_fields__)
    row = f"({', '.join('?' * len(Record.__struct_fields__))})"
    return f"INSERT INTO {RECORDS.name} ({columns}) VALUES {', '.join([row] * rows)} ON CONFLICT (id) DO NOTHING"


def _is_outage(error: ConfigError) -> bool:
    """Whether the database failed (locked, full, gone), rather than one of the values."""
    cause = error.__cause__
    return not isinstance(cause, IntegrityError | DataError)


def _record(row: Row[Any] | Sequence[Any]) -> Record:
    return Record(*row)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _acquire(folder: Path) -> int:
    """The handle of a lock that the kernel takes back when the process ends, however it ends."""
    path = folder / "lock"
    make_file(path)
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise ConfigError(
            f"Another gateway (process {holder}) uses the data folder {folder}. Stop it, or choose another folder with "
            "[server] data."
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
