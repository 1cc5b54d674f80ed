"""What a person keeps in the console: conversations and drawings, each a JSON document that only its owner sees."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from sampan.errors import InvalidRequest, NotFound
from sampan.storage.db import Database
from sampan.storage.tables import PAPERS

KINDS = ("conversation", "drawing")
MAX_TITLE = 200
MAX_BODY = 2_000_000  # bytes of one document, as JSON
MOST = 500
"""Papers of a kind that one owner may keep."""

TICK = 1e-6
"""Seconds that two versions of a paper differ by at least: `updated` tells them apart."""

_HEADING = (PAPERS.c.id, PAPERS.c.kind, PAPERS.c.title, PAPERS.c.created, PAPERS.c.updated)


@dataclass(frozen=True, slots=True)
class Heading:
    """A paper without what stands in it. Times are Unix seconds; `updated` names the version, too."""

    id: str
    kind: str
    title: str
    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be written."""

    title: str
    body: Mapping[str, Any]


class Papers:
    """The papers in the database. Blocks: from threads only. Every method raises `ConfigError` if that fails.

    `owner` is whoever asks; papers of others are not there.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def list(self, owner: str, kind: str, limit: int, after: str = "") -> tuple[tuple[Heading, ...], bool]:
        """Those written last first, after the one that `after` names; and whether there are more.

        Raises `InvalidRequest`.
        """
        _check_kind(kind)
        mine = and_(PAPERS.c.owner == owner, PAPERS.c.kind == kind)
        query = select(*_HEADING).where(mine).order_by(PAPERS.c.updated.desc(), PAPERS.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            if after:
                query = query.where(_older(connection, mine, after))
            rows = connection.execute(query).all()
        return tuple(Heading(*tuple(row)) for row in rows[:limit]), len(rows) > limit

    def find(self, owner: str, identifier: str) -> tuple[Heading, bytes]:
        """One paper, and its body as JSON. Raises `NotFound`."""
        with self._database.read() as connection:
            row = _row(connection, owner, identifier)
        return Heading(*tuple(row)[:-1]), str(row.body).encode()

    def add(self, owner: str, kind: str, draft: Draft) -> Heading:
        """Keeps a new paper. Raises `InvalidRequest` for a bad one, and where there are too many."""
        _check_kind(kind)
        body, now = _checked(draft), self._clock()
        heading = Heading(f"paper_{secrets.token_hex(12)}", kind, draft.title, now, now)
        mine = and_(PAPERS.c.owner == owner, PAPERS.c.kind == kind)
        with self._database.write() as connection:
            if connection.execute(select(func.count()).where(mine)).scalar_one() >= MOST:
                raise InvalidRequest(f"kind: at most {MOST} of a kind are kept; delete a {kind} first", param="kind")
            values = {"id": heading.id, "kind": kind, "title": draft.title, "created": now, "updated": now}
            connection.execute(insert(PAPERS).values(owner=owner, body=body, **values))
        return heading

    def change(self, owner: str, identifier: str, draft: Draft, updated: float) -> Heading:
        """Writes a paper anew. Raises `NotFound`, and `InvalidRequest` where it is not the version `updated` any more.

        Nobody writes over what they have not seen.
        """
        body = _checked(draft)
        with self._database.write() as connection:
            row = _row(connection, owner, identifier)
            if row.updated != updated:
                raise InvalidRequest(
                    "updated: this was changed meanwhile, perhaps in another window; read it again first",
                    param="updated",
                )
            now = max(self._clock(), row.updated + TICK)
            values = {"title": draft.title, "body": body, "updated": now}
            connection.execute(update(PAPERS).where(PAPERS.c.id == identifier).values(values))
        return Heading(row.id, row.kind, draft.title, row.created, now)

    def remove(self, owner: str, identifier: str) -> None:
        """Forgets a paper. Raises `NotFound`."""
        with self._database.write() as connection:
            _row(connection, owner, identifier)
            connection.execute(delete(PAPERS).where(PAPERS.c.id == identifier))


def _row(connection: Connection, owner: str, identifier: str) -> Any:
    query = select(*_HEADING, PAPERS.c.body).where(PAPERS.c.id == identifier, PAPERS.c.owner == owner)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no paper {identifier[:100]!r}")
    return row


def _older(connection: Connection, mine: ColumnElement[bool], after: str) -> ColumnElement[bool]:
    found = connection.execute(select(PAPERS.c.updated).where(mine, PAPERS.c.id == after)).scalar()
    if found is None:
        raise InvalidRequest(f"after: there is no {after[:100]!r} in this list", param="after")
    return or_(PAPERS.c.updated < found, and_(PAPERS.c.updated == found, PAPERS.c.id < after))


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise InvalidRequest(f"kind: must be one of {', '.join(KINDS)}", param="kind")


def _checked(draft: Draft) -> str:
    """The body as JSON. Raises `InvalidRequest`."""
    if not draft.title.strip() or len(draft.title) > MAX_TITLE or not draft.title.isprintable():
        raise InvalidRequest(f"title: must be 1 to {MAX_TITLE} printable characters", param="title")
    text = msgspec.json.encode(draft.body)
    if len(text) > MAX_BODY:
        raise InvalidRequest(f"body: at most {MAX_BODY:,} bytes as JSON are kept", param="body")
    return text.decode()
