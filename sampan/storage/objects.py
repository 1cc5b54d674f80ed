"""Artifacts: bytes we keep, named by their content, and the signed links by which a browser gets them.

Where the bytes are is a store's business, a folder's or a bucket's; who put them, when and how stands in the database.
Several nodes may share one bucket and one database. A put on one of them does not lose to a sweep on another:

- A put writes its row first and then the bytes, so that bytes without a row are never on their way.
- A sweep takes the old rows away and, where none is left, writes down in the same transaction until when it will be
  removing the bytes; only then it removes them. Writers take turns (`Database.write`): either the sweep sees the row of
  the put and leaves the bytes alone, or the put sees the sweep and waits until it is over before it puts them anew.
- A sweep that died leaves that note behind. When its time is over the next put goes ahead, and the next sweep finishes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import Connection, delete, insert, select, union

from sampan.config.objects import read_credentials, read_objects
from sampan.config.settings import StorageSettings
from sampan.errors import ConfigError, Forbidden, InternalError, NotFound, Unavailable
from sampan.storage.bucket import BucketStore
from sampan.storage.db import Database, upsert
from sampan.storage.folder import FolderStore
from sampan.storage.store import SHA256, Store, Stored
from sampan.storage.tables import ARTIFACTS, CONDEMNED, SETTINGS

log = logging.getLogger("sampan.objects")

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

_NAME = re.compile(r"/artifacts/([0-9a-f]{64})\.([a-z0-9]{1,5})")
_EXPIRES = re.compile(r"[0-9]{1,12}")
_DAY = 86400.0
_LEASE = 120.0  # seconds; longer than a store may take to remove one object
_WAIT = 0.05  # seconds between two looks at whether a sweep is over
_BATCH = 500
_WALKED = "objects_walked"
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


def open_store(settings: StorageSettings, folder: Path, environ: Mapping[str, str]) -> Store:
    """The store that `[storage] objects` names; a folder store is `<folder>/objects`. Blocks, and asks no server.

    Raises `ConfigError`.
    """
    bucket = read_objects(settings.objects)
    if bucket is None:
        return FolderStore(folder / "objects")
    credentials = read_credentials(settings, environ)
    if credentials is None:
        raise ConfigError(
            "[storage] objects names a bucket, but there is nothing to sign requests with. Set access_key and "
            "secret_key there, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment."
        )
    return BucketStore(bucket, credentials)


class Objects:
    """The artifacts. The coroutines block nothing; `sign`, `verify` and `link` do no I/O.

    `direct` gives links of the store's own where it has some. Without a `store` it is a folder in the data folder.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        store: Store | None = None,
        *,
        direct: bool = False,
    ) -> None:
        """Blocks: makes at the first start the secret that links are signed with."""
        self._database = database
        self._clock = clock
        self._store = FolderStore(database.folder / "objects") if store is None else store
        self._direct = direct
        self._secret = bytes.fromhex(database.setting("link_secret", lambda: secrets.token_hex(32)))
        # SQLite lets writers wait by looking again and again, ever more seldom; this lets them through one by one.
        self._turn = threading.Lock()
        self._putting: set[asyncio.Task[Artifact]] = set()

    async def put(self, data: bytes, media_type: str, owner_key_id: str, provenance: Mapping[str, object]) -> Artifact:
        """Keeps `data`; the same content twice is one object, with a row for each time.

        `provenance` says how it was made, as JSON values, without prompts. Raises `OSError` or `ConfigError` when the
        store or the database fails; nothing is kept then. Whoever is cancelled while he waits has put it all the same.
        """
        putting = asyncio.create_task(self._put(data, media_type, owner_key_id, provenance))
        self._putting.add(putting)
        putting.add_done_callback(self._ended)
        return await asyncio.shield(putting)

    async def settled(self) -> None:
        """Waits for the puts that nobody waits for any more; to be called before the database is closed."""
        await asyncio.gather(*self._putting, return_exceptions=True)

    async def find(self, sha256: str, owner_key_id: str | None = None) -> Artifact:
        """What is known of an artifact, by its newest row; where an owner is named, by theirs alone.

        Raises `NotFound`, or `Unavailable` without the store.
        """
        found = await asyncio.to_thread(self._find, sha256, owner_key_id)
        with _reading():
            await self._store.size(sha256)
        return found

    async def read(self, sha256: str) -> bytes:
        """All its bytes. Raises `NotFound`, `Unavailable` without the store, `InternalError` where they are damaged."""
        _check_name(sha256)
        with _reading():
            data = await self._store.read(sha256)
        if await asyncio.to_thread(_digest, data) != sha256:
            raise _damaged(sha256)
        return data

    async def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Its bytes, or those from `start` to before `end`, in pieces of 64 KiB. Consume it in `contextlib.aclosing`.

        Raises as `read` does. Where all of it is asked for, the last piece is only given when all are what was put.
        """
        _check_name(sha256)
        whole = start == 0 and end is None
        digest, held = hashlib.sha256(), b""
        with _reading():
            async with aclosing(self._store.stream(sha256, start, end)) as pieces:
                async for piece in pieces:
                    if held:
                        yield held
                    if whole:
                        digest.update(piece)
                    held = piece
        if whole and digest.hexdigest() != sha256:
            raise _damaged(sha256)
        if held:
            yield held

    async def walk(self) -> AsyncGenerator[Stored, None]:
        """Everything in the store, in no order, also what has no row. Raises `OSError` or `ConfigError`."""
        async with aclosing(self._store.walk()) as found:
            async for each in found:
                yield each

    async def check(self) -> None:
        """Asks the store whether it can be used. Raises `ConfigError` where it refuses, `OSError` where it is away."""
        await self._store.check()

    async def sweep(self, days: float, now: float) -> int:
        """Forgets what was last put more than `days` ago (0 keeps it for ever); returns how many objects that freed.

        Frees too what deleted files held, and once a day what nobody has a row of: such an object is what a failure
        in the middle leaves, and is let alone until it is a day old. Any node may do it at any time. Raises `OSError`
        or `ConfigError`; the next time goes on from there.
        """
        before = now - days * _DAY if days > 0 else 0.0
        await self._store.tidy(now - _DAY)
        freed = 0
        for name in await asyncio.to_thread(self._old, before):
            freed += await self._forget(name, before)
        if await asyncio.to_thread(self._may_walk, now):
            freed += await self._sweep_strays(now - _DAY)
        return freed

    def link(self, public_url: str, sha256: str, media_type: str, expires: int) -> str:
        """A URL that is good until `expires`: behind `public_url`, or of the store's own where those are wanted."""
        own = self._store.link(sha256, expires - int(self._clock())) if self._direct else ""
        return own or public_url.rstrip("/") + self.sign(sha256, media_type, expires)

    def sign(self, sha256: str, media_type: str, expires: int) -> str:
        """The path and query of a link that is good until `expires` (Unix seconds); to be put behind `public_url`."""
        _check_name(sha256)
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
        if len(pairs) != 2 or not _EXPIRES.fullmatch(expires) or not SHA256.fullmatch(signature):
            raise Forbidden("This link is not complete: it needs `expires` and `signature`, as it was given.")
        if not hmac.compare_digest(signature, self._signature(path, expires)):
            raise Forbidden("This link was not signed here, or was changed. Use it exactly as it was given.")
        if now >= int(expires):
            raise Forbidden("This link has expired. Ask for the picture again.")
        return Link(name[1], media_type, int(expires))

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _ended(self, putting: asyncio.Task[Artifact]) -> None:
        self._putting.discard(putting)
        if not putting.cancelled():
            putting.exception()  # whoever waited has it; where nobody did any more, asyncio need not say so

    async def _put(self, data: bytes, media_type: str, owner: str, provenance: Mapping[str, object]) -> Artifact:
        artifact = Artifact(await asyncio.to_thread(_digest, data), media_type, len(data))
        sequence, until = await asyncio.to_thread(self._enter, artifact, owner, provenance)
        try:
            while until > self._clock():
                await asyncio.sleep(_WAIT)
                until = await asyncio.to_thread(self._removed_until, artifact.sha256)
            await self._store.put(artifact.sha256, data, media_type)
        except BaseException:
            await asyncio.to_thread(self._withdraw, sequence, artifact.sha256)
            raise
        return artifact

    def _enter(self, artifact: Artifact, owner: str, provenance: Mapping[str, object]) -> tuple[int, float]:
        """The row of a put, and until when a sweep may be removing the same object."""
        values = {
            "sha256": artifact.sha256,
            "media_type": artifact.media_type,
            "size": artifact.size,
            "owner_key_id": owner,
            "created": self._clock(),
            "provenance": msgspec.json.encode(provenance).decode(),
        }
        with self._turn, self._database.write() as connection:
            key = connection.execute(insert(ARTIFACTS).values(values)).inserted_primary_key
            return (key[0] if key else 0), _removed_until(connection, artifact.sha256)

    def _removed_until(self, sha256: str) -> float:
        with self._database.read() as connection:
            return _removed_until(connection, sha256)

    def _withdraw(self, sequence: int, sha256: str) -> None:
        """The row of a put that failed. Its bytes may have come to be there nevertheless."""
        with self._turn, self._database.write() as connection:
            connection.execute(delete(ARTIFACTS).where(ARTIFACTS.c.sequence == sequence))
            condemn(connection, sha256)

    def _find(self, sha256: str, owner: str | None) -> Artifact:
        _check_name(sha256)
        query = select(ARTIFACTS).where(ARTIFACTS.c.sha256 == sha256).order_by(ARTIFACTS.c.sequence.desc()).limit(1)
        if owner is not None:
            query = query.where(ARTIFACTS.c.owner_key_id == owner)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(_NO_SUCH)
        return Artifact(row.sha256, row.media_type, row.size)

    def _old(self, before: float) -> list[str]:
        """What has an old row, or was condemned and is not being removed."""
        rows = select(ARTIFACTS.c.sha256).where(ARTIFACTS.c.created < before)
        condemned = select(CONDEMNED.c.sha256).where(CONDEMNED.c.until <= self._clock())
        with self._database.read() as connection:
            return list(connection.execute(union(rows, condemned)).scalars())

    async def _forget(self, sha256: str, before: float) -> bool:
        """Whether it was removed: its rows were all old, and nobody else is removing it."""
        if not await asyncio.to_thread(self._claim, sha256, before):
            return False
        async with asyncio.timeout(_LEASE / 2):
            await self._store.remove(sha256)
        await asyncio.to_thread(self._acquit, sha256)
        return True

    def _claim(self, sha256: str, before: float) -> bool:
        now = self._clock()
        with self._turn, self._database.write() as connection:
            connection.execute(delete(ARTIFACTS).where(ARTIFACTS.c.sha256 == sha256, ARTIFACTS.c.created < before))
            if _removed_until(connection, sha256) > now:
                return False
            connection.execute(delete(CONDEMNED).where(CONDEMNED.c.sha256 == sha256))
            if _is_wanted(connection, sha256):
                return False
            connection.execute(insert(CONDEMNED).values(sha256=sha256, until=now + _LEASE))
            return True

    def _acquit(self, sha256: str) -> None:
        with self._turn, self._database.write() as connection:
            connection.execute(delete(CONDEMNED).where(CONDEMNED.c.sha256 == sha256))

    def _may_walk(self, now: float) -> bool:
        """Once a day, over all nodes: a store is read through for it."""
        value = SETTINGS.c.value
        with self._database.write() as connection:
            last = connection.execute(select(value).where(SETTINGS.c.name == _WALKED)).scalar()
            if last is not None and 0 <= now - float(last) < _DAY:
                return False
            statement = upsert(connection, SETTINGS).values(name=_WALKED, value=str(now))
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": str(now)}))
            return True

    async def _sweep_strays(self, before: float) -> int:
        freed, batch = 0, set[str]()
        async with aclosing(self._store.walk()) as found:
            async for each in found:
                if each.modified < before:
                    batch.add(each.sha256)
                if len(batch) == _BATCH:
                    freed += await self._forget_strays(batch)
                    batch = set()
        return freed + await self._forget_strays(batch)

    async def _forget_strays(self, names: Collection[str]) -> int:
        known = await asyncio.to_thread(self._known, names)
        freed = 0
        for name in names:
            if name not in known:
                freed += await self._forget(name, 0.0)
        return freed

    def _known(self, names: Collection[str]) -> set[str]:
        with self._database.read() as connection:
            query = select(ARTIFACTS.c.sha256).where(ARTIFACTS.c.sha256.in_(names)).distinct()
            return set(connection.execute(query).scalars())


def condemn(connection: Connection, sha256: str) -> None:
    """Lets the next sweep remove an object, unless somebody has a row of it. Part of the caller's transaction."""
    if not _is_wanted(connection, sha256):
        connection.execute(upsert(connection, CONDEMNED).values(sha256=sha256, until=0.0).on_conflict_do_nothing())


def _is_wanted(connection: Connection, sha256: str) -> bool:
    query = select(ARTIFACTS.c.sequence).where(ARTIFACTS.c.sha256 == sha256).limit(1)
    return connection.execute(query).first() is not None


def _removed_until(connection: Connection, sha256: str) -> float:
    until = connection.execute(select(CONDEMNED.c.until).where(CONDEMNED.c.sha256 == sha256)).scalar()
    return 0.0 if until is None else float(until)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check_name(sha256: str) -> None:
    if not SHA256.fullmatch(sha256):
        raise NotFound(_NO_SUCH)


def _damaged(sha256: str) -> InternalError:
    log.error("the object %s is damaged: its bytes are not those that were put; restore it from a backup", sha256)
    return InternalError("What is stored of this artifact is damaged. Tell the operator; the log names it.")


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(_NO_SUCH) from None
    except (OSError, ConfigError) as error:
        log.error("an artifact could not be read: %s", error)
        raise Unavailable("The store of artifacts cannot be used now. Try again later.", should_retry=True) from None
