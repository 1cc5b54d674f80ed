"""Stored responses of the Responses wire: the answer, its input items, and the chain of answers it continues.

A response is its owner's alone: for any other key it is not there. Only what a response added is kept with it, so that
a conversation of many turns is kept once; `chain` puts it together again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, insert, literal, select

from sampan.dialects.fields import UNREADABLE
from sampan.errors import InvalidRequest, NotFound
from sampan.storage.db import Database
from sampan.storage.tables import RESPONSE_ITEMS, RESPONSES

RETENTION = 30 * 86400.0
"""Seconds that a response is kept at least, as OpenAI promises; longer while a newer one continues it."""

CHAIN_LIMIT = 500
"""Responses in a chain: one beyond it is refused, or a client's loop would make every call dearer than the last."""

_IN, _OUT = 0, 1
_PARAMETERS = 500  # of one statement: SQLite's oldest limit is 999


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of an answer: JSON as bytes. `created` is in Unix seconds, `previous` the response it continues."""

    id: str
    response: bytes
    input_items: tuple[bytes, ...]
    created: float
    previous: str | None = None


class _Id(msgspec.Struct):
    id: str


class _Output(msgspec.Struct):
    output: list[msgspec.Raw]


_id = msgspec.json.Decoder(_Id)
_output = msgspec.json.Decoder(_Output)


class Responses:
    """The responses in the database. Blocks: from threads only. Every method raises `ConfigError` if it fails."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def save(self, owner: str, kept: Kept) -> None:
        """Keeps an answer for the key `owner`. Raises `ValueError` for JSON that is no response or item with an id."""
        items = list(_rows(kept))
        row = {"id": kept.id, "owner_key_id": owner, "created": kept.created, "previous": kept.previous}
        with self._database.write() as connection:
            connection.execute(insert(RESPONSES).values(**row, response=kept.response))
            if items:
                connection.execute(insert(RESPONSE_ITEMS), items)

    def find(self, owner: str, response_id: str) -> bytes:
        """The response's JSON. Raises `NotFound`."""
        query = select(RESPONSES.c.response).where(_owned(owner, response_id))
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        if found is None:
            raise _missing(response_id)
        return bytes(found)

    def chain(self, owner: str, response_id: str) -> tuple[bytes, ...]:
        """All items of a response and of those it continues, the oldest first, each one's input before its output.

        A chain has an end: a response can only continue one that was there before it. Raises `InvalidRequest` when
        the response, or one that it continues, is not there, or when the chain is longer than `CHAIN_LIMIT`.
        """
        first = select(RESPONSES.c.id, RESPONSES.c.previous, literal(0).label("depth")).where(
            _owned(owner, response_id)
        )
        links = first.cte("links", recursive=True)
        before = select(RESPONSES.c.id, RESPONSES.c.previous, links.c.depth + 1).where(
            RESPONSES.c.id == links.c.previous, RESPONSES.c.owner_key_id == owner, links.c.depth < CHAIN_LIMIT
        )
        links = links.union_all(before)
        items = (
            select(RESPONSE_ITEMS.c.item)
            .join(links, RESPONSE_ITEMS.c.response_id == links.c.id)
            .order_by(links.c.depth.desc(), RESPONSE_ITEMS.c.side, RESPONSE_ITEMS.c.position)
        )
        with self._database.read() as connection:
            found = connection.execute(select(links).order_by(links.c.depth)).all()
            _check_chain(found, response_id)
            return tuple(bytes(item) for item in connection.execute(items).scalars())

    def items(self, owner: str, ids: Sequence[str]) -> dict[str, bytes]:
        """Stored items by their ids, those that are there; of several with one id the newest."""
        found: dict[str, bytes] = {}
        wanted = list(dict.fromkeys(ids))
        with self._database.read() as connection:
            for start in range(0, len(wanted), _PARAMETERS):
                query = (
                    select(RESPONSE_ITEMS.c.id, RESPONSE_ITEMS.c.item)
                    .join(RESPONSES, RESPONSES.c.id == RESPONSE_ITEMS.c.response_id)
                    .where(RESPONSES.c.owner_key_id == owner)
                    .where(RESPONSE_ITEMS.c.id.in_(wanted[start : start + _PARAMETERS]))
                    .order_by(RESPONSES.c.created, RESPONSE_ITEMS.c.sequence)
                )
                found.update({row.id: bytes(row.item) for row in connection.execute(query)})
        return found

    def input_items(
        self, owner: str, response_id: str, after: str | None = None, limit: int = 20, *, descending: bool = True
    ) -> tuple[tuple[tuple[str, bytes], ...], bool]:
        """A page of the response's input items, as pairs of id and JSON, and whether there are more.

        `after` is the id of the last item of the page before. Raises `NotFound` for no such response, `InvalidRequest`
        for no such item.
        """
        table = RESPONSE_ITEMS.c
        mine = and_(table.response_id == response_id, table.side == _IN)
        query = select(table.id, table.item).where(mine)
        with self._database.read() as connection:
            if connection.execute(select(RESPONSES.c.id).where(_owned(owner, response_id))).first() is None:
                raise _missing(response_id)
            if after is not None:
                place = connection.execute(select(table.position).where(mine, table.id == after)).scalar()
                if place is None:
                    raise InvalidRequest("after: this response has no input item with this id", param="after")
                query = query.where(table.position < place if descending else table.position > place)
            order = table.position.desc() if descending else table.position
            rows = connection.execute(query.order_by(order).limit(limit + 1)).all()
        return tuple((row.id, bytes(row.item)) for row in rows[:limit]), len(rows) > limit

    def delete(self, owner: str, response_id: str) -> None:
        """Forgets a response and its items; what continues it can no longer be continued. Raises `NotFound`."""
        with self._database.write() as connection:
            gone = connection.execute(delete(RESPONSES).where(_owned(owner, response_id)))
            if not gone.rowcount:
                raise _missing(response_id)
            connection.execute(delete(RESPONSE_ITEMS).where(RESPONSE_ITEMS.c.response_id == response_id))

    def sweep(self, retention: float = RETENTION) -> int:
        """Forgets what is older than `retention` seconds and continued by nothing younger; returns how many."""
        before = self._clock() - retention
        recent = select(RESPONSES.c.id, RESPONSES.c.previous).where(RESPONSES.c.created >= before)
        alive = recent.cte("alive", recursive=True)
        # UNION, not UNION ALL: many answers may continue one, and its own past is to be walked once.
        alive = alive.union(select(RESPONSES.c.id, RESPONSES.c.previous).where(RESPONSES.c.id == alive.c.previous))
        old = select(RESPONSES.c.id).where(RESPONSES.c.created < before, RESPONSES.c.id.not_in(select(alive.c.id)))
        with self._database.write() as connection:
            ids = [{"gone": each} for each in connection.execute(old).scalars()]
            if ids:
                connection.execute(delete(RESPONSE_ITEMS).where(RESPONSE_ITEMS.c.response_id == bindparam("gone")), ids)
                connection.execute(delete(RESPONSES).where(RESPONSES.c.id == bindparam("gone")), ids)
        return len(ids)


def _owned(owner: str, response_id: str) -> ColumnElement[bool]:
    return and_(RESPONSES.c.id == response_id, RESPONSES.c.owner_key_id == owner)


def _missing(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{response_id[:100]}' not found.")


def _check_chain(found: Sequence[Row[Any]], response_id: str) -> None:
    name = "previous_response_id"
    if not found:
        raise InvalidRequest(f"Previous response with id '{response_id[:100]}' not found.", param=name)
    if len(found) > CHAIN_LIMIT:
        raise InvalidRequest(f"{name}: continues more than {CHAIN_LIMIT} responses; begin a new chain", param=name)
    if found[-1].previous is not None:
        raise InvalidRequest(f"{name}: a response that it continues was deleted; send its items as `input`", param=name)


def _rows(kept: Kept) -> Iterable[dict[str, Any]]:
    """The rows of an answer's items. Raises `ValueError`."""
    try:
        output = _output.decode(kept.response).output
        for side, items in ((_IN, kept.input_items), (_OUT, tuple(bytes(each) for each in output))):
            for position, item in enumerate(items):
                row = {"response_id": kept.id, "side": side, "position": position}
                yield {**row, "id": _id.decode(item).id, "item": item}
    except UNREADABLE as error:
        raise ValueError(f"not a response that can be kept: {error}") from error
