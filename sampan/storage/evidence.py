"""What holds the chains together beside the records: seals, notes of dropped days, holds, and how far sinks are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, true

from sampan.core import Record
from sampan.errors import InvalidRequest, NotFound
from sampan.storage.chain import START, AuditKey, Drop, Entry, Seal
from sampan.storage.db import Database, upsert
from sampan.storage.tables import CONTENTS, DAYS_DROPPED, DELIVERIES, HOLDS, RECORDS, SEALS

DAY = 86400
DROP_AT_ONCE = 1000
"""Records that one transaction drops: about 20 ms on a slow disk, so that the writer never waits long."""

_MAX_NAME = 100
_PAGE = 1000
_FIELDS = tuple(RECORDS.c[name] for name in Record.__struct_fields__)
log = logging.getLogger("sampan.storage")


class Hold(msgspec.Struct, frozen=True):
    """Records that must stay: those of a `department` (empty: of all), begun between `since` and `until` (None: open).

    Times are Unix seconds.
    """

    name: str
    department: str = ""
    since: float | None = None
    until: float | None = None
    reason: str = ""
    made: float = 0.0


class Span(msgspec.Struct, frozen=True):
    """The records of one day in a node's chain. `day` is the UTC date of the first."""

    day: str
    first: int
    last: int


class Evidence:
    """Reads what there is of all nodes; signs and drops for its own. Blocks. Every method raises `ConfigError`."""

    def __init__(self, database: Database, node: str, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._wall = wall
        self.node = node

    # Reading.

    def nodes(self) -> tuple[str, ...]:
        """The nodes that anything is known of."""
        with self._database.read() as connection:
            found = {
                str(node)
                for table in (RECORDS, SEALS, DAYS_DROPPED)
                for node in connection.execute(select(table.c.node).distinct()).scalars()
            }
        return tuple(sorted(found))

    def entries(self, node: str, after: int = 0) -> Iterator[tuple[Entry, ...]]:
        """The records of a node behind number `after`, in pages, in the order of the chain."""
        while page := self.page(node, after, _PAGE):
            yield page
            after = page[-1].number

    def page(self, node: str, after: int, limit: int) -> tuple[Entry, ...]:
        """At most `limit` of them."""
        query = select(RECORDS.c.number, RECORDS.c.hash, *_FIELDS)
        query = query.where(RECORDS.c.node == node, RECORDS.c.number > after).order_by(RECORDS.c.number).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(Entry(node, row[0], row[1], Record(*row[2:])) for row in rows)

    def count(self) -> int:
        """How many records there are, of all nodes."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(RECORDS)).scalar_one())

    def first_since(self, node: str, since: float) -> int:
        """The number of a node's first record that started at `since` or later; 0 where there is none."""
        query = select(RECORDS.c.number).where(RECORDS.c.node == node, RECORDS.c.started >= since)
        with self._database.read() as connection:
            return int(connection.execute(query.order_by(RECORDS.c.number).limit(1)).scalar() or 0)

    def before(self, node: str, number: int) -> str:
        """The hash that record `number` goes on from; empty where neither a record nor a note tells it."""
        with self._database.read() as connection:
            return _before(connection, node, number)

    def seals(self, node: str) -> tuple[Seal, ...]:
        """A node's seals, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(SEALS).where(SEALS.c.node == node).order_by(SEALS.c.ordinal)).all()
        return tuple(Seal(**row._mapping) for row in rows)

    def seal_over(self, node: str, number: int) -> Seal | None:
        """The first seal that binds this record; None while it lies behind the last."""
        query = select(SEALS).where(SEALS.c.node == node, SEALS.c.number >= number).order_by(SEALS.c.ordinal).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Seal(**row._mapping)

    def drops(self, node: str) -> tuple[Drop, ...]:
        """A node's notes of dropped days, in the order of the chain."""
        dropped = DAYS_DROPPED
        with self._database.read() as connection:
            rows = connection.execute(select(dropped).where(dropped.c.node == node).order_by(dropped.c.first)).all()
        return tuple(Drop(**row._mapping) for row in rows)

    def content(self, identifier: str) -> bytes | None:
        """What was kept of a call's question and answer, as it was kept."""
        with self._database.read() as connection:
            data = connection.execute(select(CONTENTS.c.data).where(CONTENTS.c.id == identifier)).scalar()
        return None if data is None else bytes(data)

    def contents(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """The same for several."""
        with self._database.read() as connection:
            rows = connection.execute(select(CONTENTS.c.id, CONTENTS.c.data).where(CONTENTS.c.id.in_(ids))).all()
        return {row[0]: bytes(row[1]) for row in rows}

    def place(self, identifier: str) -> tuple[str, int] | None:
        """The node and the number of the record of this request id."""
        query = select(RECORDS.c.node, RECORDS.c.number).where(RECORDS.c.id == identifier)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (str(row[0]), int(row[1]))

    def content_ids(self) -> Iterator[str]:
        """The request ids that contents are kept under."""
        after = ""
        while True:
            query = select(CONTENTS.c.id).where(CONTENTS.c.id > after).order_by(CONTENTS.c.id).limit(_PAGE)
            with self._database.read() as connection:
                found = connection.execute(query).scalars().all()
            yield from found
            if len(found) < _PAGE:
                return
            after = found[-1]

    # Sealing.

    def seal(self, key: AuditKey, head: tuple[int, str] | None) -> Seal | None:
        """Signs the end of this node's chain; None where that is signed already, or nobody knows it."""
        if head is None or not head[0]:
            return None
        with self._database.write() as connection:
            row = connection.execute(
                select(SEALS.c.ordinal, SEALS.c.number, SEALS.c.time, SEALS.c.key)
                .where(SEALS.c.node == self.node)
                .order_by(SEALS.c.ordinal.desc())
                .limit(1)
            ).one_or_none()
            ordinal, number, last, signed_by = row if row is not None else (0, 0, 0.0, key.public)
            if number >= head[0]:
                return None
            if signed_by != key.public:
                log.warning("the audit is sealed with another key from now on: %s", key.public)
            seal = key.seal(Seal(self.node, ordinal + 1, *head, max(self._wall(), last), ""))
            connection.execute(insert(SEALS), msgspec.structs.asdict(seal))
        return seal

    # Dropping.

    def days_over(self, cutoff: float) -> Iterator[Span]:
        """The days of this node that ended by `cutoff`, are sealed whole and hold nothing that is held; oldest first.

        A day begins in the chain with the first record that started in it, so it may hold a few of the evening before.
        """
        own, number = RECORDS.c.node == self.node, RECORDS.c.number
        holds, after = self.holds(), 0
        sealed = max((seal.number for seal in self.seals(self.node)), default=0)
        while True:
            with self._database.read() as connection:
                query = select(number, RECORDS.c.started).where(own, number > after).order_by(number).limit(1)
                row = connection.execute(query).one_or_none()
                if row is None:
                    return
                first, day = int(row[0]), row[1] // DAY
                end = (day + 1) * DAY
                query = select(number).where(own, number >= first, RECORDS.c.started >= end)
                following = connection.execute(query.order_by(number).limit(1)).scalar()
                if end > cutoff or following is None or following > sealed:
                    return  # what is still the last day in the chain may go on
                after = following - 1
                held = (
                    holds
                    and connection.execute(
                        select(number).where(own, number.between(first, after), _held(holds)).limit(1)
                    ).scalar()
                )
            if not held:
                yield Span(datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%d"), first, after)

    def drop(self, key: AuditKey, span: Span, most: int = DROP_AT_ONCE) -> int:
        """Drops the first `most` records of a span, in one transaction with the signed note; returns how many."""
        own = RECORDS.c.node == self.node
        dropped = DAYS_DROPPED
        with self._database.write() as connection:
            query = select(RECORDS.c.number, RECORDS.c.hash, RECORDS.c.id, RECORDS.c.content)
            query = query.where(own, RECORDS.c.number.between(span.first, span.last))
            rows = connection.execute(query.order_by(RECORDS.c.number).limit(most)).all()
            if not rows:
                return 0
            first, last = int(rows[0][0]), int(rows[-1][0])
            row = connection.execute(
                select(dropped).where(dropped.c.node == self.node, dropped.c.last == first - 1)
            ).one_or_none()
            begun = None if row is None else Drop(**row._mapping)
            note = Drop(
                self.node,
                span.day,
                first,
                last,
                _before(connection, self.node, first),
                str(rows[-1][1]),
                len(rows),
                self._wall(),
                "",
            )
            if begun is not None and begun.day >= span.day:  # a drop that broke off goes on
                note = msgspec.structs.replace(
                    note, day=begun.day, first=begun.first, before=begun.before, count=begun.count + len(rows)
                )
                connection.execute(delete(dropped).where(dropped.c.node == self.node, dropped.c.first == begun.first))
            connection.execute(insert(dropped), msgspec.structs.asdict(key.drop(note)))
            connection.execute(delete(RECORDS).where(own, RECORDS.c.number.between(first, last)))
            kept = [row[2] for row in rows if row[3]]
            if kept:
                connection.execute(delete(CONTENTS).where(CONTENTS.c.id.in_(kept)))
        return len(rows)

    # Holds.

    def hold(self, hold: Hold) -> Hold:
        """Keeps what a hold names from being dropped. Raises `InvalidRequest` for a bad or taken name."""
        if not hold.name.strip() or len(hold.name) > _MAX_NAME or not hold.name.isprintable():
            raise InvalidRequest(f"name: a hold is named with 1 to {_MAX_NAME} printable characters", param="name")
        if hold.since is not None and hold.until is not None and hold.since >= hold.until:
            raise InvalidRequest("until: must be later than since", param="until")
        made = msgspec.structs.replace(hold, made=self._wall())
        with self._database.write() as connection:
            if connection.execute(select(HOLDS.c.name).where(HOLDS.c.name == hold.name)).scalar() is not None:
                raise InvalidRequest(f"name: there is a hold {hold.name!r} already; remove it first", param="name")
            connection.execute(insert(HOLDS), msgspec.structs.asdict(made))
        log.info("records are held: %s", made.name)
        return made

    def unhold(self, name: str) -> None:
        """Takes a hold away. Raises `NotFound`."""
        with self._database.write() as connection:
            if not connection.execute(delete(HOLDS).where(HOLDS.c.name == name)).rowcount:
                raise NotFound(f"there is no hold {name[:_MAX_NAME]!r}; `sampan audit hold list` names them")
        log.info("records are held no longer: %s", name)

    def holds(self) -> tuple[Hold, ...]:
        """All holds, by name."""
        with self._database.read() as connection:
            return tuple(Hold(**row._mapping) for row in connection.execute(select(HOLDS).order_by(HOLDS.c.name)))

    # Delivering.

    def delivered(self, sink: str) -> int:
        """The number of the last record of this node that a sink has."""
        query = select(DELIVERIES.c.number).where(DELIVERIES.c.sink == sink, DELIVERIES.c.node == self.node)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def deliver(self, sink: str, number: int) -> None:
        """Notes it."""
        values: dict[str, Any] = {"number": number, "time": self._wall()}
        with self._database.write(alone=False) as connection:
            statement = upsert(connection, DELIVERIES).values(sink=sink, node=self.node, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["sink", "node"], set_=values))


def _before(connection: Connection, node: str, number: int) -> str:
    if number == 1:
        return START.hex()
    for table, place in ((RECORDS, RECORDS.c.number), (DAYS_DROPPED, DAYS_DROPPED.c.last)):
        found = connection.execute(select(table.c.hash).where(table.c.node == node, place == number - 1)).scalar()
        if found is not None:
            return str(found)
    return ""


def _held(holds: Sequence[Hold]) -> ColumnElement[bool]:
    started, department = RECORDS.c.started, RECORDS.c.department
    return or_(
        *(
            and_(
                department == hold.department if hold.department else true(),
                started >= hold.since if hold.since is not None else true(),
                started < hold.until if hold.until is not None else true(),
            )
            for hold in holds
        )
    )
