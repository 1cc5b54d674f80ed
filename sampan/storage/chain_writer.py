"""The writer of records: a spool, and a thread that puts what is in it at the end of the node's chain, each once."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Protocol

import msgspec
from msgspec.structs import astuple
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from sampan.core import Record
from sampan.errors import ConfigError
from sampan.storage.chain import START, linking
from sampan.storage.db import Database, make_file
from sampan.storage.lock import acquire
from sampan.storage.spool import Spool
from sampan.storage.tables import CONTENTS, DAYS_DROPPED, RECORDS, SEALS

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


class Keeping(Protocol):
    """What keeps question and answer beside a record. Both are called by the writer's thread."""

    def resolve(self, record: Record) -> tuple[Record, bytes | None]:
        """The record with what its content is kept under, and what is kept. The same again until it is `settled`."""
        ...

    def settled(self, ids: Collection[str]) -> None:
        """The records of these ids are in the database, with their contents."""
        ...


class Writer:
    """The spool, the thread that drains it, and the lock that keeps other processes out."""

    def __init__(self, database: Database, node: str, linger: float, keeping: Keeping | None) -> None:
        self._database = database
        self._linger = linger
        self._keeping = keeping
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
        self._chain = _Chain(database, node)
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None
        self._lock_handle = -1
        # Entries that found the spool full: only possible when more calls are under way than a quarter of it can hold.
        # They wait in memory, the one place where `kill -9` could reach them.
        self._overflow: deque[bytes] = deque()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def start(self, capacity: int) -> int:
        self._lock_handle = acquire(self._database.folder)
        try:
            self._spool = Spool(self._database.folder / "records.spool", capacity)
            self._chain.adopt()
            replayed = 0
            while count := self._drain(self._spool):
                # Some may have reached the database before the process died, and not been released.
                self._chain.doubt()
                replayed += count
            self._chain.trust()
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

    def append(self, record: Record) -> None:
        payload = encode(record)
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
        if spool is None:
            return False
        capacity = spool.capacity
        return (capacity - spool.tail + spool.head) * 4 >= capacity

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

    @property
    def head(self) -> tuple[int, str] | None:
        """The number and the hash of the last record that is in the database; None while that is not known."""
        head = self._chain.head
        return None if head is None else (head[0], head[1].hex())

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
        records: list[Record] = []
        unreadable: list[tuple[bytes, Exception]] = []
        contents: dict[str, bytes] = {}
        for payload in payloads:
            try:
                record = _DECODER.decode(payload)
            except msgspec.MsgspecError as error:
                unreadable.append((payload, error))
                continue
            if record.content and self._keeping is not None:
                record, kept = self._keeping.resolve(record)
                if kept is not None:
                    contents[record.id] = kept
            records.append(record)
        try:
            self._chain.extend(records, contents)
        except (ConfigError, OverflowError) as error:
            if isinstance(error, ConfigError) and _is_outage(error):
                raise
            unreadable += self._store_each(records, contents)
        if contents and self._keeping is not None:
            self._keeping.settled(contents)
        # At the very end: a database that fails makes all of the above happen again.
        for payload, reason in unreadable:
            self._set_aside(payload, reason)

    def _store_each(self, records: Sequence[Record], contents: dict[str, bytes]) -> list[tuple[bytes, Exception]]:
        """One of them is something that the table cannot hold: it must not keep the others out for ever."""
        refused: list[tuple[bytes, Exception]] = []
        for record in records:
            clean = _clean(record)
            try:
                self._chain.extend([clean], contents)
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


def encode(record: Record) -> bytes:
    try:
        payload = _ENCODER.encode(record)
    except (UnicodeError, OverflowError):
        return _ENCODER.encode(_clean(record))
    return payload if len(payload) <= _MAX_PAYLOAD else _ENCODER.encode(_clean(record))


def _clean(record: Record) -> Record:
    """The same record within what can be kept: a caller may name a model with a megabyte, or with half a character."""

    def fit(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:_MAX_TEXT]
        if isinstance(value, float):
            return value if math.isfinite(value) else 0.0
        return value if isinstance(value, bool) else max(-_MAX_INT, min(_MAX_INT, value))

    return Record(*(fit(value) for value in astuple(record)))


class _Chain:
    """Puts records at the end of the node's chain, in one transaction with their numbers and hashes, each once.

    The end of the chain is held in memory, not read from the table: whoever changes the table under a running gateway
    breaks the chain, even if he computes all hashes anew.
    """

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        self._link = linking(node)
        self._insertion = _Insertion(database)
        # PostgreSQL has no NUL in a text, and takes another sign for it: the hash is made of what is kept.
        self._no_nul = database.dialect == "postgresql"
        self._sure = False
        self.head: tuple[int, bytes] | None = None

    def doubt(self) -> None:
        """What comes next may be in the table already, and the end of the chain may be elsewhere."""
        self._sure = False
        self.head = None

    def trust(self) -> None:
        """Nothing that comes from now on can be in the table. Finds the end of the chain."""
        self.head = self.head or self._find_head()
        self._sure = True

    def extend(self, records: Sequence[Record], contents: dict[str, bytes]) -> None:
        """Records whose id is there already are passed over. Raises `ConfigError`, `OverflowError`."""
        records = [record if self._fits(record) else _clean(record) for record in records]
        try:
            if self._sure:
                try:
                    self._insert(records, contents)
                    return
                except ConfigError as error:
                    if _is_outage(error):
                        raise
            self._insert(self._new(records), contents)
        except BaseException:
            self.doubt()
            raise
        self._sure = True

    def _fits(self, record: Record) -> bool:
        """Whether it is kept as it is; a sum is finite if all its parts are."""
        if not math.isfinite(record.started + record.first_event_ms + record.total_ms + record.cost):
            return False
        return not self._no_nul or not any(type(each) is str and "\0" in each for each in astuple(record))

    def _insert(self, records: Sequence[Record], contents: dict[str, bytes]) -> None:
        number, previous = self.head or self._find_head()
        node, link, rows = self._node, self._link, list[_Row]()
        for record in records:
            number += 1
            previous = link(previous, number, record)
            rows.append((*astuple(record), node, number, previous.hex()))
        with self._database.write() as connection:
            self._insertion.run(connection, rows)
            kept = [{"id": record.id, "data": contents[record.id]} for record in records if record.id in contents]
            if kept:
                connection.execute(insert(CONTENTS), kept)
        self.head = (number, previous)

    def _new(self, records: Sequence[Record]) -> list[Record]:
        """Those that are not in the table; of several with one id the first."""
        by_id: dict[str, Record] = {}
        for record in records:
            by_id.setdefault(record.id, record)
        with self._database.read() as connection:
            known = set(connection.execute(select(RECORDS.c.id).where(RECORDS.c.id.in_(by_id))).scalars())
        return [record for identifier, record in by_id.items() if identifier not in known]

    def _find_head(self) -> tuple[int, bytes]:
        with self._database.read() as connection:
            ends = [
                connection.execute(
                    select(number, table.c.hash).where(table.c.node == self._node).order_by(number.desc()).limit(1)
                ).one_or_none()
                for table, number in (
                    (RECORDS, RECORDS.c.number),
                    (DAYS_DROPPED, DAYS_DROPPED.c.last),
                    (SEALS, SEALS.c.number),
                )
            ]
        found = [(int(end[0]), str(end[1])) for end in ends if end is not None]
        number, digest = max(found, key=lambda end: end[0], default=(0, START.hex()))
        if (
            ends[2] is not None
            and (ends[0] is None or ends[0][0] < number)
            and (ends[1] is None or ends[1][0] < number)
        ):
            # It goes on behind the gap, so that `audit verify` keeps finding it.
            logging.getLogger("sampan.storage").error(
                "records are missing at the end of the audit: it was sealed up to %d; see `sampan audit verify`", number
            )
        return number, bytes.fromhex(digest)

    def adopt(self) -> None:
        """Takes records of a time before there were chains into this node's: in their order, with number and hash."""
        old = RECORDS.c.node == ""
        with self._database.read() as connection:
            if connection.execute(select(RECORDS.c.sequence).where(old).limit(1)).scalar() is None:
                return
        if self._database.setting("audit_adopter", lambda: self._node) != self._node:
            return  # several nodes share the database, and another takes them
        log = logging.getLogger("sampan.storage")
        log.info("records of before there were chains are taken into that of this node; a million takes a minute")
        number, previous = self._find_head()
        page = select(RECORDS.c.sequence, *_FIELDS).where(old).order_by(RECORDS.c.sequence).limit(_PAGE)
        while True:
            with self._database.write() as connection:
                places: list[_Row] = []
                for sequence, *fields in connection.execute(page):
                    number += 1
                    previous = self._link(previous, number, Record(*fields))
                    places.append((sequence, number, previous.hex()))
                if not places:
                    log.info("%d records stand in the chain", number)
                    return
                statement = _adoption(len(places), self._insertion.mark)
                connection.exec_driver_sql(statement, (self._node, *chain.from_iterable(places)))


class _Insertion:
    """Inserts rows, many to a statement.

    Not `executemany`: the driver lets go of the interpreter lock for every row that it steps through, and gets it back
    only when the event loop rests. 64 rows of 34 columns stay far below SQLite's limit of 32,766 variables, few shapes
    let the driver keep them prepared. Text, since SQLAlchemy would spend milliseconds on rendering each group.
    """

    def __init__(self, database: Database) -> None:
        self.mark = "?" if database.engine.dialect.paramstyle == "qmark" else "%s"
        self._statements = {rows: _insertion(rows, self.mark) for rows in (64, 16, 4, 1)}

    def run(self, connection: Connection, rows: Sequence[_Row]) -> None:
        execute = self._straight(connection) if self.mark == "?" else connection.exec_driver_sql
        start = 0
        for size, statement in self._statements.items():
            while len(rows) - start >= size:
                values = tuple(chain.from_iterable(rows[start : start + size]))
                execute(statement, values)
                start += size

    @staticmethod
    def _straight(connection: Connection) -> Callable[[str, tuple[Any, ...]], object]:
        """The driver's own way: what SQLAlchemy does around a statement takes as long as ten rows."""
        cursor = connection.connection.cursor()

        def execute(statement: str, values: tuple[Any, ...]) -> None:
            try:
                cursor.execute(statement, values)
            except sqlite3.Error as error:
                raise DBAPIError.instance(statement, None, error, sqlite3.Error, hide_parameters=True) from error

        return execute


def _insertion(rows: int, mark: str) -> str:
    columns = (*Record.__struct_fields__, "node", "number", "hash")
    names = ", ".join(f'"{name}"' for name in columns)
    row = f"({', '.join([mark] * len(columns))})"
    # A statement of many rows that may fail in the middle has SQLite copy each page that it changes to a file of its
    # own first, to undo that statement alone. Nobody wants that here: what fails takes the transaction with it.
    verb = "INSERT OR ROLLBACK" if mark == "?" else "INSERT"
    return f"{verb} INTO {RECORDS.name} ({names}) VALUES {', '.join([row] * rows)}"


def _adoption(rows: int, mark: str) -> str:
    """Gives rows, by their sequence, a number and a hash, in one statement: a server is asked once for all of them."""
    row = f"(CAST({mark} AS BIGINT), CAST({mark} AS BIGINT), {mark})"
    return (
        f"UPDATE {RECORDS.name} SET node = {mark}, number = place.column2, hash = place.column3 "
        f"FROM (VALUES {', '.join([row] * rows)}) AS place WHERE {RECORDS.name}.sequence = place.column1"
    )


def _is_outage(error: ConfigError) -> bool:
    """Whether the database failed (locked, full, gone), rather than one of the values."""
    cause = error.__cause__
    if isinstance(cause, IntegrityError | DataError):
        return False
    # pg8000 has one class for all that the server says; its SQLSTATE tells: 22 is bad data, 23 a broken constraint.
    said = cause.orig.args[0] if isinstance(cause, DBAPIError) and cause.orig and cause.orig.args else None
    return not (isinstance(said, dict) and str(said.get("C", ""))[:2] in ("22", "23"))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
