"""What was decreed while the gateway runs: rules, limits and roles of one's own, each a JSON document with a name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, select

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.db import Database, Watch, bump
from sampan.storage.tables import SETTINGS, STATUTES

KINDS = ("rule", "limit", "role")
MAX_ID = 100
MAX_BODY = 64 * 1024  # bytes of one document, as JSON


@dataclass(frozen=True, slots=True)
class Statute:
    """One document; `updated` is when it was last written, in Unix seconds."""

    kind: str
    id: str
    body: dict[str, Any]
    updated: float


class Statutes:
    """The documents in the database. Blocks: from threads only. Every method raises `ConfigError` if that fails."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def put(self, kind: str, id: str, body: Mapping[str, Any]) -> Statute:
        """Writes a document, in the place of one of the same name. Raises `InvalidRequest` for a bad name or body."""
        _check(kind)
        if not id.strip() or id != id.strip() or len(id) > MAX_ID or not id.isprintable() or "/" in id:
            raise InvalidRequest(
                f"A name has 1 to {MAX_ID} printable characters, no `/`, and no blanks around.", param="id"
            )
        text = msgspec.json.encode(body)
        if len(text) > MAX_BODY:
            raise InvalidRequest(f"A {kind} has at most {MAX_BODY:,} bytes as JSON.", param="body")
        statute = Statute(kind, id, msgspec.json.decode(text, type=dict[str, Any]), self._clock())
        with self._database.write() as connection:
            # First, for it locks: of two who write the same name at once the second finds what the first left.
            bump(connection, _version_name(kind))
            connection.execute(delete(STATUTES).where(STATUTES.c.kind == kind, STATUTES.c.id == id))
            connection.execute(insert(STATUTES).values(kind=kind, id=id, body=text.decode(), updated=statute.updated))
        return statute

    def remove(self, kind: str, id: str) -> Statute:
        """Takes a document away, and returns it as it was. Raises `NotFound`."""
        _check(kind)
        with self._database.write() as connection:
            bump(connection, _version_name(kind))
            here = (STATUTES.c.kind == kind, STATUTES.c.id == id)
            row = connection.execute(select(STATUTES).where(*here)).one_or_none()
            if row is None:
                raise _missing(kind, id)
            connection.execute(delete(STATUTES).where(*here))
        return _statute(row)

    def find(self, kind: str, id: str) -> Statute:
        """One document. Raises `NotFound`."""
        _check(kind)
        with self._database.read() as connection:
            row = connection.execute(select(STATUTES).where(STATUTES.c.kind == kind, STATUTES.c.id == id)).one_or_none()
        if row is None:
            raise _missing(kind, id)
        return _statute(row)

    def list(self, kind: str) -> tuple[Statute, ...]:
        """All documents of a kind, by name."""
        return self.snapshot(kind)[1]

    def snapshot(self, kind: str) -> tuple[str, tuple[Statute, ...]]:
        """The version of a kind, and its documents by name."""
        _check(kind)
        with self._database.read() as connection:
            found = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == _version_name(kind))).scalar()
            rows = connection.execute(select(STATUTES).where(STATUTES.c.kind == kind)).all()
        # Sorted here: databases differ in how they order Chinese names.
        return str(found or ""), tuple(sorted((_statute(row) for row in rows), key=lambda statute: statute.id))

    def version(self, kind: str) -> str:
        """Another text whenever a document of this kind was written or taken away; empty until the first."""
        _check(kind)
        with self._database.read() as connection:
            found = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == _version_name(kind))).scalar()
        return str(found or "")

    def watch(self) -> Watch:
        """A cheap way to learn that a `version` may have changed."""
        return self._database.watch()


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise InvalidRequest(f"There are these kinds: {', '.join(KINDS)}.", param="kind")


def _version_name(kind: str) -> str:
    return f"statutes_{kind}_version"


def _missing(kind: str, id: str) -> NotFound:
    return NotFound(f"There is no stored {kind} {id[:MAX_ID]!r}.")


def _statute(row: Row[Any]) -> Statute:
    try:
        body = msgspec.json.decode(row.body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ConfigError(f"The stored {row.kind} {row.id!r} is no JSON object: {error}") from None
    return Statute(row.kind, row.id, body, row.updated)
