"""A page of a list that is kept in a table: rows by their order of arrival, cut where the caller's cursor says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, select

from sampan.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Cut:
    """Which rows: at most `limit`, the newest first unless `oldest_first`.

    `after` and `before` are sequences, and mean what stands after or before that row in the order of the list.
    """

    limit: int
    after: int | None = None
    before: int | None = None
    oldest_first: bool = False


def read_page(
    connection: Connection, table: Table, conditions: Sequence[ColumnElement[bool]], cut: Cut
) -> tuple[list[Row[Any]], bool]:
    """The rows in the order of the list, and whether there are more in the direction that was asked for."""
    sequence = table.c.sequence
    # The rows nearest to a `before` come first when the list is read from its other end.
    rising = cut.oldest_first is (cut.before is None)
    query = select(table).where(*conditions)
    if cut.before is not None:
        query = query.where(sequence > cut.before if rising else sequence < cut.before)
    if cut.after is not None:
        query = query.where(sequence > cut.after if cut.oldest_first else sequence < cut.after)
    query = query.order_by(sequence.asc() if rising else sequence.desc()).limit(cut.limit + 1)
    rows = list(connection.execute(query))
    more, rows = len(rows) > cut.limit, rows[: cut.limit]
    return (rows[::-1] if cut.before is not None else rows), more


def find_sequence(connection: Connection, table: Table, owner_key_id: str, identifier: str, field: str) -> int:
    """The sequence of the owner's row that a cursor names. Raises `InvalidRequest` naming `field`."""
    query = select(table.c.sequence).where(table.c.id == identifier, table.c.owner_key_id == owner_key_id)
    found = connection.execute(query).scalar()
    if found is None:
        raise InvalidRequest(f"{field}: there is no {identifier[:100]!r} in this list", param=field)
    return int(found)
