"""Artifacts: bytes we keep, named by their content, and the signed links by which a browser gets them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import delete, insert, select

from sampan.errors import Forbidden, NotFound
from sampan.storage.db import Database, make_folder
from sampan.storage.tables import ARTIFACTS

LINK_PATH = "/artifacts/"

# What a link may say of its content. Closed, and without anything that a browser would run (HTML, SVG): links stand on
# the gateway's own origin. Everything else is `.bin`, which browsers only download.
EXTENSIONS: Mapping[str, str] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "application/pdf": "pdf",
    "application/octet-stream": "bin",
}
_MEDIA_TYPES = {extension: media_type for media_type, extension in EXTENSIONS.items()}

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"/artifacts/([0-9a-f]{64})\.([a-z0-9]{1,5})")
_EXPIRES = re.compile(r"[0-9]{1,12}")
_DAY = 86400.0
_CHUNK = 1 << 16
_NO_SUCH = "There is no such artifact: it was never made here, or it was older than the days that artifacts are kept."


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes we keep: named by their SHA-256 (hexadecimal), of a media type, `size` bytes long."""

    sha256: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Link:
    """What a good link leads to, until `expires` (Unix seconds)."""

    sha256: str
    media_type: str
    expires: int


class Objects:
    """The artifacts in `<data>/objects/ab/<sha256>`; who made them, when and how stands in the database.

    The coroutines do their I/O in threads; `sign` and `verify` do none. One process at a time may put and sweep.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Blocks: makes the folder, and at the first start the secret that links are signed with."""
        self._database = database
        self._clock = clock
        self._folder = database.folder / "objects"
        self._incoming = self._folder / "incoming"
        make_folder(self._folder)
        make_folder(self._incoming)
        self._secret = bytes.fromhex(database.setting("link_secret", lambda: secrets.token_hex(32)))
        # Between a file and its row: a sweep must not take the file that a put has just found to be there.
        self._lock = threading.Lock()

    async def put(self, data: bytes, media_type: str, owner_key_id: str, provenance: Mapping[str, object]) -> Artifact:
        """Keeps `data`; the same content twice is one file, with a row for each time.

        `provenance` says how it was made, as JSON values, without prompts. Raises `OSError` or `ConfigError` when the
        disk or the database fails.
        """
        return await asyncio.to_thread(self._put, data, media_type, owner_key_id, provenance)

    async def find(self, sha256: str) -> Artifact:
        """What is known of an artifact, by its newest row. Raises `NotFound`."""
        return await asyncio.to_thread(self._find, sha256)

    async def read(self, sha256: str) -> bytes:
        """All its bytes. Raises `NotFound`."""
        return await asyncio.to_thread(self._read, sha256)

    async def stream(self, sha256: str) -> AsyncGenerator[bytes, None]:
        """Its bytes in pieces of 64 KiB. Raises `NotFound` before the first. Consume it in `contextlib.aclosing`."""
        path = self._path(sha256)
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except FileNotFoundError:
            raise NotFound(_NO_SUCH) from None
        with file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk

    async def sweep(self, days: float, now: float) -> int:
        """Forgets what was last put more than `days` ago (0 keeps it for ever); returns how many files that freed."""
        before = now - days * _DAY if days > 0 else 0.0
        return await asyncio.to_thread(self._sweep, before, now - _DAY)

    def sign(self, sha256: str, media_type: str, expires: int) -> str:
        """The path and query of a link that is good until `expires` (Unix seconds); to be put behind `public_url`."""
        self._path(sha256)
        name = f"{LINK_PATH}{sha256}.{EXTENSIONS.get(media_type, 'bin')}"
        return f"{name}?expires={expires}&signature={self._signature(name, str(expires))}"

    def verify(self, path: str, query: str, now: float) -> Link:
        """What a link leads to, if we signed it and it is still good.

        Raises `NotFound` when the path is no artifact's, `Forbidden` when the signature is missing or wrong or the time
        is over. That the artifact is still there is for `find` to say.
        """
        name = _NAME.fullmatch(path)
        media_type = _MEDIA_TYPES.get(name[2]) if name else None
        if name is None or media_type is None:
            raise NotFound(_NO_SUCH)
        pairs = parse_qsl(query, keep_blank_values=True) if query.count("&") == 1 else []
        parameters = dict(pairs)
        expires, signature = parameters.get("expires", ""), parameters.get("signature", "")
        if len(pairs) != 2 or not _EXPIRES.fullmatch(expires) or not _SHA256.fullmatch(signature):
            raise Forbidden("This link is not complete: it needs `expires` and `signature`, as it was given.")
        if not hmac.compare_digest(signature, self._signature(path, expires)):
            raise Forbidden("This link was not signed here, or was changed. Use it exactly as it was given.")
        if now >= int(expires):
            raise Forbidden("This link has expired. Ask for the picture again.")
        return Link(name[1], media_type, int(expires))

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise NotFound(_NO_SUCH)
        return self._folder / sha256[:2] / sha256

    def _put(self, data: bytes, media_type: str, owner_key_id: str, provenance: Mapping[str, object]) -> Artifact:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        # Written before it is known whether it is there: that is known only under the lock, and a disk is slow.
        new = self._write(data)
        try:
            with self._lock:
                make_folder(path.parent)
                new.replace(path)
                with self._database.write() as connection:
                    connection.execute(
                        insert(ARTIFACTS).values(
                            sha256=sha256,
                            media_type=media_type,
                            size=len(data),
                            owner_key_id=owner_key_id,
                            created=self._clock(),
                            provenance=msgspec.json.encode(provenance).decode(),
                        )
                    )
        finally:
            new.unlink(missing_ok=True)
        return Artifact(sha256, media_type, len(data))

    def _write(self, data: bytes) -> Path:
        path = self._incoming / secrets.token_hex(16)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _find(self, sha256: str) -> Artifact:
        known = self._path(sha256).exists()
        query = select(ARTIFACTS).where(ARTIFACTS.c.sha256 == sha256).order_by(ARTIFACTS.c.sequence.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or not known:
            raise NotFound(_NO_SUCH)
        return Artifact(row.sha256, row.media_type, row.size)

    def _read(self, sha256: str) -> bytes:
        try:
            return self._path(sha256).read_bytes()
        except FileNotFoundError:
            raise NotFound(_NO_SUCH) from None

    def _sweep(self, before: float, stale: float) -> int:
        for path in self._incoming.iterdir():
            # What a dead process left half written.
            if _is_older(path, stale):
                path.unlink(missing_ok=True)
        old = select(ARTIFACTS.c.sha256).where(ARTIFACTS.c.created < before)
        with self._database.read() as connection:
            names = set(connection.execute(old).scalars())
        # A file without a row is what is left when a process died, or the database failed, in the middle of a put.
        names.update(
            path.name for path in self._folder.glob("??/*") if _SHA256.fullmatch(path.name) and _is_older(path, before)
        )
        return sum(self._forget(name, before) for name in names)

    def _forget(self, sha256: str, before: float) -> bool:
        """One at a time, so that puts wait for one file at most."""
        rows = ARTIFACTS.c.sha256 == sha256
        with self._lock:
            with self._database.write() as connection:
                connection.execute(delete(ARTIFACTS).where(rows, ARTIFACTS.c.created < before))
                wanted = connection.execute(select(ARTIFACTS.c.sequence).where(rows).limit(1)).first()
            if wanted is None:
                self._path(sha256).unlink(missing_ok=True)
            return wanted is None


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        return False
