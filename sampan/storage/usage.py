"""What was used, summed from the records of calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, case, func, literal_column, select

from sampan.storage.db import Database
from sampan.storage.tables import RECORDS, is_value

FIELDS = {"department": "department", "user": "user", "key": "key_id", "model": "model", "upstream": "upstream"}
"""What can be summed by, and the column that it is."""


class UsageLine(msgspec.Struct, frozen=True):
    """One line of a report; `label` is a key's name where it is by keys. `engine_seconds` are not in records.

    `not_answered` are calls that were refused, rejected, failed, broke off, or whose callers went away.
    """

    name: str
    label: str
    calls: int
    not_answered: int
    input_tokens: int
    output_tokens: int
    pictures: int
    cost: float


def summed(database: Database, by: str, since: float, until: float, only: Mapping[str, str]) -> list[UsageLine]:
    """What calls used that started in [since, until), by a key of `FIELDS`, the dearest first. Blocks.

    `only` holds values of `FIELDS` that records must have. Costs are to a millionth. Raises `ConfigError`.
    """
    column: ColumnElement[Any] = RECORDS.c[FIELDS[by]]
    label = func.max(RECORDS.c.key_name) if by == "key" else func.max(column)
    lines = _sums(database, column, label, (since, until), only)
    return sorted(lines, key=lambda line: (-line.cost, -line.input_tokens - line.output_tokens, -line.calls, line.name))


def parted(database: Database, edges: Sequence[int], only: Mapping[str, str]) -> list[UsageLine]:
    """The same by when calls started: a line for each [edge, next edge) in which there were any, in their order.

    `name` is the number of its first edge, from 0. Three edges at least. Blocks. Raises `ConfigError`.
    """
    # Literally, for what is grouped by has to be the very text that is selected.
    started, last = RECORDS.c.started, _literal(len(edges) - 2)
    part = case(*((started < _literal(edge), _literal(at)) for at, edge in enumerate(edges[1:-1])), else_=last)
    lines = _sums(database, part, func.max(part), (edges[0], edges[-1]), only)
    return sorted(lines, key=lambda line: int(line.name))


def _literal(number: int) -> ColumnElement[Any]:
    return literal_column(str(number))


def _sums(
    database: Database,
    column: ColumnElement[Any],
    label: ColumnElement[Any],
    bounds: tuple[float, float],
    only: Mapping[str, str],
) -> list[UsageLine]:
    answered = func.sum(case((RECORDS.c.outcome == "ok", 1), else_=0))
    sums = [func.sum(RECORDS.c[name]) for name in ("input_tokens", "output_tokens", "images", "cost")]
    query = select(column, label, func.count(), answered, *sums)
    query = query.where(RECORDS.c.started >= bounds[0], RECORDS.c.started < bounds[1]).group_by(column)
    for name, value in only.items():
        query = query.where(is_value(FIELDS[name], value))
    with database.read() as connection:
        rows = connection.execute(query).all()
    lines = []
    for name, told, calls, fine, read, written, pictures, cost in rows:
        others = int(calls) - int(fine or 0)
        counts = int(read or 0), int(written or 0), int(pictures or 0)
        lines.append(UsageLine(str(name), str(told), int(calls), others, *counts, round(float(cost or 0), 6)))
    return lines
