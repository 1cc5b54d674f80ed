"""Message batches: what was asked, what came of it, and nothing that a killed process could leave in between.

A request of a batch is *pending* until it has an outcome; it gets one once, in the transaction that keeps its result.
The transaction that gives the last one also ends the batch. What is being run stands nowhere: after a restart whatever
is pending is run (again), and what has a result never is.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from sampan.errors import InvalidRequest, NotFound
from sampan.storage.db import Database
from sampan.storage.page import Cut, find_sequence, read_page
from sampan.storage.tables import BATCH_REQUESTS, BATCHES

ID_PREFIX = "msgbatch_"
LIFETIME = 86_400.0
"""Seconds that a batch is given: what has not begun by then expires."""

KEPT = 29 * 86_400.0
"""Seconds, from its creation on, that the results of a batch are kept (as long as Anthropic keeps them)."""

_REQUESTS = BATCH_REQUESTS.c
_NOBODY = ""  # whose a batch is while it is being written
_ROWS = 1000  # rows, and
_BYTES = 8 << 20  # bytes of a transaction: about 0.1 s, for the records of other calls wait that long


class Outcome(StrEnum):
    """What became of a request: the wire's words."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Status(StrEnum):
    """Where a batch is, derived from its times: IN_PROGRESS → (CANCELING →) ENDED, and never back."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a batch: the caller's own id for it, and the Messages body."""

    custom_id: str
    params: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch; times are Unix seconds. The four counts are 0 until it has ended."""

    sequence: int
    id: str
    owner_key_id: str
    headers: Mapping[str, str]
    created: float
    expires: float
    cancel_initiated: float | None
    ended: float | None
    archived: float | None
    total: int
    succeeded: int
    errored: int
    canceled: int
    expired: int

    @property
    def status(self) -> Status:
        if self.ended is not None:
            return Status.ENDED
        return Status.IN_PROGRESS if self.cancel_initiated is None else Status.CANCELING


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a request; `body` is the wire's `result` object."""

    position: int
    custom_id: str
    body: bytes


class Batches:
    """The ledger of batches. Blocks: from threads only. Every method raises `ConfigError` if the database fails.

    A batch is its owner's alone: to others it is not there.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._sole = database.sole("batches")

    def create(self, owner_key_id: str, headers: Mapping[str, str], asked: Sequence[Asked]) -> Batch:
        """Keeps a batch with all its requests; when this returns it is committed. `headers` go with each request.

        A large batch is written in several transactions, for other writers to get in between: until the last it is
        nobody's and not open, and `archive` takes away what a killed process left of one.
        """
        now = self._clock()
        values = {
            "id": ID_PREFIX + secrets.token_hex(12),
            "owner_key_id": _NOBODY,
            "headers": msgspec.json.encode(headers).decode(),
            "created": now,
            "expires": now + LIFETIME,
            "ended": now,
            "total": len(asked),
        }
        sequence = -1
        chunks = list(_chunks(asked))
        for last, rows in enumerate(chunks, 1 - len(chunks)):
            with self._database.write() as connection:
                if sequence < 0:
                    sequence = connection.execute(
                        insert(BATCHES).values(values).returning(BATCHES.c.sequence)
                    ).scalar_one()
                connection.execute(insert(BATCH_REQUESTS), [{"batch_sequence": sequence, **row} for row in rows])
                if last == 0:
                    here = BATCHES.c.sequence == sequence
                    connection.execute(update(BATCHES).where(here).values(owner_key_id=owner_key_id, ended=None))
                    return _batch(connection.execute(select(BATCHES).where(here)).one())
        raise InvalidRequest("requests: a batch has at least one", param="requests")

    def find(self, owner_key_id: str, identifier: str) -> Batch:
        """One batch. Raises `NotFound`."""
        with self._database.read() as connection:
            return _find(connection, owner_key_id, identifier)

    def page(self, owner_key_id: str, limit: int, after_id: str = "", before_id: str = "") -> tuple[list[Batch], bool]:
        """The newest first, and whether there are more. Raises `InvalidRequest` for a cursor that is none."""
        with self._database.read() as connection:
            after, before = (
                find_sequence(connection, BATCHES, owner_key_id, cursor, name) if cursor else None
                for name, cursor in (("after_id", after_id), ("before_id", before_id))
            )
            rows, more = read_page(
                connection, BATCHES, [BATCHES.c.owner_key_id == owner_key_id], Cut(limit, after, before)
            )
        return [_batch(row) for row in rows], more

    def cancel(self, owner_key_id: str, identifier: str) -> Batch:
        """Wants a batch to stop; a second time changes nothing. Raises `NotFound`, or `InvalidRequest` once it ended.

        What has not begun is for `close_pending` to end: only the runner knows what is being run.
        """
        with self._database.write() as connection:
            batch = _find(connection, owner_key_id, identifier)
            if batch.status is Status.ENDED:
                raise InvalidRequest(f"the batch {identifier} has ended already; it cannot be canceled")
            if batch.status is Status.IN_PROGRESS:
                statement = update(BATCHES).where(BATCHES.c.sequence == batch.sequence)
                connection.execute(statement.values(cancel_initiated=self._clock()))
            return _find(connection, owner_key_id, identifier)

    def delete(self, owner_key_id: str, identifier: str) -> None:
        """Forgets a batch that has ended, results and all. Raises `NotFound`, or `InvalidRequest` before its end."""
        with self._database.write() as connection:
            batch = _find(connection, owner_key_id, identifier)
            if batch.status is not Status.ENDED:
                raise InvalidRequest(f"the batch {identifier} has not ended; cancel it first, or wait for its end")
            connection.execute(delete(BATCH_REQUESTS).where(_REQUESTS.batch_sequence == batch.sequence))
            connection.execute(delete(BATCHES).where(BATCHES.c.sequence == batch.sequence))

    def results(self, batch: Batch, after: int, limit: int) -> list[Result]:
        """Results in the order of the requests, from the position beyond `after` (-1: from the first)."""
        query = (
            select(_REQUESTS.position, _REQUESTS.custom_id, _REQUESTS.result)
            .where(
                _REQUESTS.batch_sequence == batch.sequence, _REQUESTS.position > after, _REQUESTS.outcome.is_not(None)
            )
            .order_by(_REQUESTS.position)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Result(*tuple(row)) for row in connection.execute(query)]

    # For the runner.

    def open(self) -> list[Batch]:
        """The batches that have not ended, the oldest first; none where another gateway on the database runs them."""
        if not self._sole.held():
            return []
        query = select(BATCHES).where(BATCHES.c.ended.is_(None)).order_by(BATCHES.c.sequence)
        with self._database.read() as connection:
            return [_batch(row) for row in connection.execute(query)]

    def pending(self, batch: Batch, after: int, limit: int) -> list[tuple[int, bytes]]:
        """The first pending requests beyond the position `after` (-1: from the first): their positions and bodies."""
        query = (
            select(_REQUESTS.position, _REQUESTS.params)
            .where(_REQUESTS.batch_sequence == batch.sequence, _REQUESTS.position > after, _REQUESTS.outcome.is_(None))
            .order_by(_REQUESTS.position)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [(row.position, row.params) for row in connection.execute(query)]

    def settle(self, batch: Batch, position: int, outcome: Outcome, result: bytes) -> bool:
        """Keeps the result of a request, and ends the batch with the last one. False where it has a result already."""
        with self._database.write() as connection:
            values = {"outcome": outcome.value, "result": result, "params": b""}  # nobody asks for the body again
            pending = (_REQUESTS.batch_sequence == batch.sequence, _REQUESTS.outcome.is_(None))
            settled = connection.execute(
                update(BATCH_REQUESTS).where(*pending, _REQUESTS.position == position).values(values)
            )
            self._end(connection, batch.sequence)
            return settled.rowcount == 1

    def close_pending(self, batch: Batch, outcome: Outcome, running: Collection[int]) -> int:
        """Ends every pending request that is not `running`, as canceled or expired; returns how many those were."""
        values = {"outcome": outcome.value, "result": msgspec.json.encode({"type": outcome.value}), "params": b""}
        here = _REQUESTS.batch_sequence == batch.sequence
        some = (
            select(_REQUESTS.position)
            .where(here, _REQUESTS.outcome.is_(None), _REQUESTS.position.not_in(running))
            .order_by(_REQUESTS.position)
            .limit(_ROWS)
        )
        statement = update(BATCH_REQUESTS).where(here, _REQUESTS.position.in_(some)).values(values)
        closed = 0
        while True:
            with self._database.write() as connection:
                found = connection.execute(statement).rowcount
                self._end(connection, batch.sequence)
            closed += found
            if found < _ROWS:
                return closed

    def archive(self) -> int:
        """Takes away the results of batches that have been `KEPT` long enough; returns how many batches those were."""
        now = self._clock()
        old = (BATCHES.c.created < now - KEPT, BATCHES.c.ended.is_not(None), BATCHES.c.archived.is_(None))
        half = (BATCHES.c.owner_key_id == _NOBODY, BATCHES.c.created < now - LIFETIME)
        with self._database.read() as connection:
            forgotten = list(connection.execute(select(BATCHES.c.sequence).where(*half)).scalars())
            archived = list(connection.execute(select(BATCHES.c.sequence).where(*old)).scalars())
        for sequence in forgotten:
            with self._database.write() as connection:
                connection.execute(delete(BATCH_REQUESTS).where(_REQUESTS.batch_sequence == sequence))
                connection.execute(delete(BATCHES).where(BATCHES.c.sequence == sequence))
        for sequence in archived:
            with self._database.write() as connection:
                connection.execute(delete(BATCH_REQUESTS).where(_REQUESTS.batch_sequence == sequence))
                connection.execute(update(BATCHES).where(BATCHES.c.sequence == sequence).values(archived=now))
        return len(archived)

    def _end(self, connection: Connection, sequence: int) -> None:
        """Ends the batch if nothing of it is pending: its counts are taken once, here."""
        here = _REQUESTS.batch_sequence == sequence
        pending = select(_REQUESTS.position).where(here, _REQUESTS.outcome.is_(None)).limit(1)
        if connection.execute(pending).first() is not None:
            return
        tally = select(_REQUESTS.outcome, func.count()).where(here).group_by(_REQUESTS.outcome)
        counts = {outcome: count for outcome, count in connection.execute(tally)}
        connection.execute(
            update(BATCHES)
            .where(BATCHES.c.sequence == sequence, BATCHES.c.ended.is_(None))
            .values(ended=self._clock(), **{outcome.value: counts.get(outcome.value, 0) for outcome in Outcome})
        )


def _chunks(asked: Sequence[Asked]) -> Iterator[list[dict[str, Any]]]:
    """The rows of a batch, a transaction's worth at a time."""
    rows: list[dict[str, Any]] = []
    size = 0
    for position, each in enumerate(asked):
        rows.append({"position": position, "custom_id": each.custom_id, "params": each.params})
        size += len(each.params)
        if len(rows) == _ROWS or size >= _BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _find(connection: Connection, owner_key_id: str, identifier: str) -> Batch:
    query = select(BATCHES).where(BATCHES.c.id == identifier, BATCHES.c.owner_key_id == owner_key_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no batch {identifier[:100]!r}")
    return _batch(row)


def _batch(row: Row[Any]) -> Batch:
    sequence, identifier, owner_key_id, headers, *rest = tuple(row)
    return Batch(sequence, identifier, owner_key_id, msgspec.json.decode(headers, type=dict[str, str]), *rest)
