"""Records: safe in the spool when `append` returns, in the database a moment later, never lost and never twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, func, literal_column, or_, select, tuple_

from sampan.core import Record
from sampan.errors import InvalidRequest
from sampan.storage.chain import Entry, node_of
from sampan.storage.chain_writer import CAPACITY, LINGER, Keeping, Writer
from sampan.storage.db import Database
from sampan.storage.tables import RECORDS, is_value

__all__ = ["CAPACITY", "LINGER", "Records"]

_PAGE = 1000
_FIELDS = tuple(RECORDS.c[name] for name in Record.__struct_fields__)


_ENTRY = (RECORDS.c.node, RECORDS.c.number, RECORDS.c.hash, *_FIELDS)
_WHOLE_ID = 31
_EXACT = ("department", "user", "model", "upstream", "outcome", "operation", "tier", "rule", "node", "dialect", "cache")


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which records are looked for; what is empty does not matter.

    `since` and `until` are Unix seconds of the beginning, `key` is a key's id or name, `id` how a request id begins.
    """

    since: float | None = None
    until: float | None = None
    id: str = ""
    key: str = ""
    confined: bool | None = None
    department: str = ""
    user: str = ""
    model: str = ""
    upstream: str = ""
    outcome: str = ""
    operation: str = ""
    tier: str = ""
    rule: str = ""
    node: str = ""
    dialect: str = ""
    cache: str = ""

    def conditions(self, *, sqlite: bool = False) -> list[ColumnElement[bool]]:
        """The same for the database."""
        table = RECORDS.c
        found: list[ColumnElement[bool]] = [is_value(name, value) for name in _EXACT if (value := getattr(self, name))]
        if self.since is not None:
            found.append(table.started >= self.since)
        if self.until is not None:
            found.append(table.started < self.until)
        if self.id:
            if sqlite:  # its LIKE would read all ids
                here = and_(table.id >= self.id, table.id < self.id + "\U0010ffff")
            else:
                here = table.id.startswith(self.id, autoescape=True)
            found.append(table.id == self.id if len(self.id) >= _WHOLE_ID else here)
        if self.key:
            same = table.key_id == self.key
            found.append(same if self.key.startswith("key_") else or_(same, table.key_name == self.key))
        if self.confined is not None:
            found.append(table.confined != "" if self.confined else table.confined == "")
        return found


class Records:
    """The audit entries of all calls.

    Reading (`latest`, `find`, `export`) works at once and blocks. Writing works between `start` and `close`, in one
    process at a time.
    """

    def __init__(
        self,
        database: Database,
        *,
        capacity: int = CAPACITY,
        linger: float = LINGER,
        keeping: Keeping | None = None,
    ) -> None:
        """`keeping` keeps question and answer beside a record. Raises `ConfigError` when there can be no chain here."""
        self._database = database
        self._sqlite = database.engine.dialect.name == "sqlite"
        self._capacity = capacity
        self.node = node_of(database.folder)
        self._writer = Writer(database, self.node, linger, keeping)

    def start(self) -> int:
        """Replays what a dead process left, starts the writer, and returns how many entries were replayed. Blocks.

        Raises `ConfigError` when another process writes records here, or the spool or the database cannot be used.
        """
        return self._writer.start(self._capacity)

    def append(self, record: Record) -> None:
        """Keeps a record: when this returns it survives `kill -9`. A few µs, no I/O: made for the event loop.

        Its `id` must be its own: of two records with one id the later is taken for a replay of the first.
        """
        self._writer.append(record)

    @property
    def head(self) -> tuple[int, str] | None:
        """The number and the hash of this node's last record in the database; None before `start`, or in trouble."""
        return self._writer.head

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

    def entry(self, record_id: str) -> Entry | None:
        """The same with its place in the chain."""
        with self._database.read() as connection:
            row = connection.execute(select(*_ENTRY).where(RECORDS.c.id == record_id)).one_or_none()
        return None if row is None else _entry(row)

    def search(self, wanted: Wanted, limit: int, after: str = "") -> tuple[tuple[Entry, ...], bool]:
        """The newest records first, at most `limit`, and whether there are more.

        `after` is the request id that the last page ended with. Raises `InvalidRequest` where there is none such.
        """
        started, sequence = RECORDS.c.started, RECORDS.c.sequence
        query = select(*_ENTRY).where(*wanted.conditions(sqlite=self._sqlite))
        with self._database.read() as connection:
            if after:
                at = connection.execute(select(started, sequence).where(RECORDS.c.id == after)).one_or_none()
                if at is None:
                    raise InvalidRequest(f"after: there is no record {after[:100]!r}", param="after")
                query = query.where(started <= at[0], tuple_(started, sequence) < tuple_(*at))
            rows = connection.execute(query.order_by(started.desc(), sequence.desc()).limit(limit + 1)).all()
        return tuple(_entry(row) for row in rows[:limit]), len(rows) > limit

    def count(self, wanted: Wanted, most: int) -> int:
        """How many are looked for; no more than `most` are counted."""
        conditions = wanted.conditions(sqlite=self._sqlite)
        one: ColumnElement[Any] = literal_column("1").label("one")
        found = select(one).select_from(RECORDS).where(*conditions).limit(most)
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(found.subquery())).scalar_one())

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        """Every record that is looked for with its place in the chain, in the order in which they were kept."""
        last, conditions = 0, wanted.conditions(sqlite=self._sqlite)
        while True:
            query = select(RECORDS.c.sequence, *_ENTRY).where(RECORDS.c.sequence > last, *conditions)
            with self._database.read() as connection:
                rows = connection.execute(query.order_by(RECORDS.c.sequence).limit(_PAGE)).all()
            for row in rows:
                yield _entry(row[1:])
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

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


def _record(row: Row[Any] | Sequence[Any]) -> Record:
    return Record(*row)


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], row[2], Record(*row[3:]))
