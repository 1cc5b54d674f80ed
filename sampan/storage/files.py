"""Uploaded files: their bytes among the artifacts, their names and owners in a table of their own.

A file holds its bytes by a row of the artifacts that never grows old; deleting the file takes that row away, and the
next sweep frees the bytes unless somebody else has put the same content.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, update

from sampan.errors import NotFound, Unavailable
from sampan.storage.db import Database
from sampan.storage.objects import Objects, condemn
from sampan.storage.page import Cut, find_sequence, read_page
from sampan.storage.tables import ARTIFACTS, FILES

log = logging.getLogger("sampan.files")

ID_PREFIX = "file_"
NEVER = 253_402_300_799.0  # the last second of the year 9999: when a held artifact was "last put"


@dataclass(frozen=True, slots=True)
class Upload:
    """What is to be kept. `expires` is in Unix seconds or None; `downloadable` is what Anthropic's wire says of it."""

    filename: str
    mime_type: str
    data: bytes
    purpose: str
    downloadable: bool
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as it is known, without its bytes. Times are Unix seconds, `size` is in bytes."""

    sequence: int
    id: str
    owner_key_id: str
    filename: str
    mime_type: str
    size: int
    created: float
    expires: float | None
    purpose: str
    sha256: str
    downloadable: bool

    def expired(self, now: float) -> bool:
        return self.expires is not None and now >= self.expires


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files of a list: cursors are ids (`after`, `before`) or a `page` (a sequence); `ids` and `purpose` narrow.

    Raising errors name the cursors as `names` has them, as each wire has its own.
    """

    limit: int
    after: str = ""
    before: str = ""
    page: int | None = None
    ids: Collection[str] | None = None
    purpose: str = ""
    oldest_first: bool = False
    names: tuple[str, str] = ("after_id", "before_id")


class Files:
    """The uploaded files. A file is its owner's alone: to others it is not there.

    The coroutines do their I/O in threads; they raise `ConfigError` when the database fails.
    """

    def __init__(self, database: Database, objects: Objects, clock: Callable[[], float]) -> None:
        self._database = database
        self._objects = objects
        self._clock = clock

    async def keep(self, owner_key_id: str, upload: Upload) -> StoredFile:
        """Keeps a file; when this returns it is committed. Raises `Unavailable` when the store fails."""
        identifier = ID_PREFIX + secrets.token_hex(12)
        try:
            artifact = await self._objects.put(upload.data, upload.mime_type, owner_key_id, {"file": identifier})
        except OSError as error:
            log.error("a file could not be kept: %s", error)
            said = "The file could not be kept: the store cannot be used now. Try again later."
            raise Unavailable(said, should_retry=True) from None
        return await asyncio.to_thread(self._keep, identifier, owner_key_id, upload, artifact.sha256)

    async def find(self, owner_key_id: str, identifier: str) -> StoredFile:
        """One file that has not expired. Raises `NotFound`."""
        file = await self.known(owner_key_id, identifier)
        if file.expired(self._clock()):
            raise NotFound(f"the file {identifier} has expired; upload it again", param="file_id")
        return file

    async def known(self, owner_key_id: str, identifier: str) -> StoredFile:
        """One file, also where it has expired and was not purged yet. Raises `NotFound`."""
        return await asyncio.to_thread(self._known, owner_key_id, identifier)

    async def read(self, owner_key_id: str, identifier: str) -> tuple[StoredFile, bytes]:
        """A file with all its bytes, for a call that names it. Raises `NotFound`."""
        file = await self.find(owner_key_id, identifier)
        return file, await self._objects.read(file.sha256)

    async def stream(self, file: StoredFile) -> AsyncGenerator[bytes, None]:
        """Its bytes in pieces, to be consumed in `contextlib.aclosing`. Raises `NotFound` where they are gone."""
        await self._objects.find(file.sha256)  # asked now: after an answer's head there is no way to say so
        return self._objects.stream(file.sha256)

    async def list(self, owner_key_id: str, wanted: Wanted) -> tuple[tuple[StoredFile, ...], bool]:
        """The files of a page, and whether there are more. Raises `InvalidRequest` for a cursor that is none."""
        return await asyncio.to_thread(self._list, owner_key_id, wanted)

    async def delete(self, owner_key_id: str, identifier: str) -> None:
        """Forgets a file at once; its bytes go with the next sweep. Raises `NotFound`."""
        file = await self.known(owner_key_id, identifier)
        await asyncio.to_thread(self._forget, file)

    async def purge(self) -> int:
        """Forgets the files that have expired; returns how many. To be called now and then, before a sweep."""
        return await asyncio.to_thread(self._purge)

    def _keep(self, identifier: str, owner_key_id: str, upload: Upload, sha256: str) -> StoredFile:
        values = {
            "id": identifier,
            "owner_key_id": owner_key_id,
            "filename": upload.filename,
            "mime_type": upload.mime_type,
            "size": len(upload.data),
            "created": self._clock(),
            "expires": upload.expires,
            "purpose": upload.purpose,
            "sha256": sha256,
            "downloadable": upload.downloadable,
        }
        with self._database.write() as connection:
            connection.execute(update(ARTIFACTS).where(*_hold(identifier, sha256)).values(created=NEVER))
            connection.execute(insert(FILES).values(values))
            return _file(connection.execute(select(FILES).where(FILES.c.id == identifier)).one())

    def _known(self, owner_key_id: str, identifier: str) -> StoredFile:
        query = select(FILES).where(FILES.c.id == identifier, FILES.c.owner_key_id == owner_key_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"there is no file {identifier[:100]!r}", param="file_id")
        return _file(row)

    def _list(self, owner_key_id: str, wanted: Wanted) -> tuple[tuple[StoredFile, ...], bool]:
        conditions: list[ColumnElement[bool]] = [
            FILES.c.owner_key_id == owner_key_id,
            or_(FILES.c.expires.is_(None), FILES.c.expires > self._clock()),
        ]
        if wanted.purpose:
            conditions.append(FILES.c.purpose == wanted.purpose)
        if wanted.ids is not None:
            conditions.append(FILES.c.id.in_(wanted.ids))
        with self._database.read() as connection:
            after, before = (
                find_sequence(connection, FILES, owner_key_id, cursor, name) if cursor else None
                for cursor, name in zip((wanted.after, wanted.before), wanted.names, strict=True)
            )
            cut = Cut(wanted.limit, wanted.page if after is None else after, before, wanted.oldest_first)
            rows, more = read_page(connection, FILES, conditions, cut)
        return tuple(_file(row) for row in rows), more

    def _purge(self) -> int:
        with self._database.read() as connection:
            rows = connection.execute(select(FILES).where(FILES.c.expires <= self._clock())).all()
        for row in rows:
            self._forget(_file(row))
        return len(rows)

    def _forget(self, file: StoredFile) -> None:
        with self._database.write() as connection:
            connection.execute(delete(FILES).where(FILES.c.sequence == file.sequence))
            connection.execute(delete(ARTIFACTS).where(*_hold(file.id, file.sha256)))
            condemn(connection, file.sha256)


def _hold(identifier: str, sha256: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The row of the artifacts by which a file holds its bytes."""
    provenance = msgspec.json.encode({"file": identifier}).decode()
    return ARTIFACTS.c.sha256 == sha256, ARTIFACTS.c.provenance == provenance


def _file(row: Row[Any]) -> StoredFile:
    return StoredFile(*tuple(row))
