"""Objects in a bucket of an S3 store: `<prefix>/objects/ab/<sha256>`.

Put, read, listed and signed for by obstore; what it has no call for, uploads that were never ended, is in `uploads`. No
lock is built on the store: some have no conditional writes. Who may remove what is settled in the
database.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from sampan.config.objects import Bucket, S3Credentials
from sampan.errors import ConfigError
from sampan.storage.store import CHUNK, SHA256, Stored
from sampan.storage.uploads import Uploads, refused

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

PART = 8 << 20
"""Larger objects go up in parts of this size, and all come down in pieces of it: no request is long."""

PARTS_AT_ONCE = 2
PATIENCE = 15.0
"""Seconds that an operation may take beside its bytes; those have to come at `SLOWEST` bytes a second at least."""

SLOWEST = 256 << 10
REST = 5.0
"""Seconds for which a store that did not answer is not asked again: a picture is not to wait for it each time."""

_CONNECT = timedelta(seconds=4)
_RETRIES: RetryConfig = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=8),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
_CODE = re.compile(r"<Code>([A-Za-z0-9_.]{1,64})</Code>")
_STATUS = re.compile(r"status code: ([0-9]{3})")
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# What a browser may be told of an object that the store itself hands out: nothing that it would run.
SAFE_TYPES = frozenset(
    ("image/png", "image/jpeg", "image/webp", "image/gif", "audio/wav", "audio/mpeg", "application/pdf")
)


class BucketStore:
    """obstore's coroutines run on its own threads: nothing here blocks the event loop."""

    def __init__(self, bucket: Bucket, credentials: S3Credentials, clock: Callable[[], float] = time.monotonic) -> None:
        """Does no I/O but for reading the file of certificates. Raises `ConfigError`."""
        self._bucket = bucket
        self._clock = clock
        self._away_until = float("-inf")
        self._prefix = f"{bucket.prefix}/objects/" if bucket.prefix else "objects/"
        self._uploads = Uploads(bucket, credentials, PATIENCE)
        try:
            authority = Path(bucket.ca).read_text(encoding="ascii") if bucket.ca else ""
            self._store = _open(bucket, bucket.endpoint, credentials, authority)
            self._public = _open(bucket, bucket.public, credentials, authority)
        except (BaseError, OSError, UnicodeDecodeError, ValueError):
            raise ConfigError(
                f"The object store {bucket.endpoint} cannot be opened as [storage] objects says. "
                "Check the address, and that the file `ca` holds certificates in PEM."
            ) from None

    async def put(self, sha256: str, data: bytes, media_type: str) -> None:
        kind = media_type if media_type in SAFE_TYPES else "application/octet-stream"
        async with self._asking("keep an object", len(data)):
            # Parts that went up are taken back by obstore when one fails; when this process dies, by `tidy`.
            await obstore.put_async(
                self._store,
                self._key(sha256),
                data,
                attributes={"Content-Type": kind},
                use_multipart=len(data) > PART,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )

    async def size(self, sha256: str) -> int:
        async with self._asking("look up an object"):
            return (await obstore.head_async(self._store, self._key(sha256)))["size"]

    async def read(self, sha256: str) -> bytes:
        first, size = await self._piece(sha256, 0, PART)
        if len(first) == size:
            return first
        pieces = [first]
        for start in range(PART, size, PART):
            pieces.append((await self._piece(sha256, start, min(start + PART, size)))[0])
        return b"".join(pieces)

    async def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        # Piece by piece, each a request of its own: a slow reader does not hold a connection to the store.
        while end is None or start < end:
            until = start + PART if end is None else min(start + PART, end)
            piece, size = await self._piece(sha256, start, until)
            end = size if end is None else min(end, size)
            for offset in range(0, len(piece), CHUNK):
                yield piece[offset : offset + CHUNK]
            start = until

    async def remove(self, sha256: str) -> None:
        async with self._asking("remove an object"):
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, self._key(sha256))

    async def walk(self) -> AsyncGenerator[Stored, None]:
        listing = obstore.list(self._store, self._prefix, chunk_size=500)
        while True:
            async with self._asking("list objects"):
                batch = await anext(listing, None)
            if batch is None:
                return
            for each in batch:
                name = each["path"].rpartition("/")[2]
                if SHA256.fullmatch(name) and each["path"] == self._key(name):
                    yield Stored(name, each["size"], each["last_modified"].timestamp())

    async def tidy(self, before: float) -> None:
        await asyncio.to_thread(self._uploads.abort, self._prefix, before)

    def link(self, sha256: str, seconds: int) -> str:
        return obstore.sign(self._public, "GET", self._key(sha256), timedelta(seconds=max(1, seconds)))

    async def check(self) -> None:
        async with self._asking("list objects"):
            await anext(obstore.list(self._store, self._prefix, chunk_size=1), None)

    def _key(self, sha256: str) -> str:
        return f"{self._prefix}{sha256[:2]}/{sha256}"

    async def _piece(self, sha256: str, start: int, end: int) -> tuple[bytes, int]:
        """The bytes from `start` to before `end`, or to where the object ends, and the size of all of it."""
        if sha256 == _EMPTY:  # of nothing there is no range
            return b"", await self.size(sha256)
        async with self._asking("read an object", end - start):
            found = await obstore.get_async(self._store, self._key(sha256), options={"range": (start, end)})
            return bytes(await found.bytes_async()), found.meta["size"]

    @asynccontextmanager
    async def _asking(self, what: str, length: int = 0) -> AsyncIterator[None]:
        """Bounds the time, and says what went wrong in our words: the store's may hold names and signatures."""
        if self._clock() < self._away_until:
            raise OSError(f"the object store {self._bucket.endpoint} did not answer a moment ago")
        try:
            async with asyncio.timeout(PATIENCE + length / SLOWEST):
                yield
        except TimeoutError:
            self._away_until = self._clock() + REST
            raise OSError(f"the object store {self._bucket.endpoint} took too long to {what}") from None
        except (BaseError, OSError) as error:
            raise self._translated(error, what) from None

    def _translated(self, error: Exception, what: str) -> Exception:
        text = str(error)
        code = _CODE.search(text) or _STATUS.search(text)
        said = f" ({code[1]})" if code else ""  # the store's own word for it, and nothing else of what it said
        status = _STATUS.search(text)
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or (status and status[1] in ("401", "403")):
            return refused(self._bucket, what, said)
        if "<Code>NoSuchBucket</Code>" in text:
            return self._no_bucket()
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(f"the object store {self._bucket.endpoint} has no such object")
        if not status:
            self._away_until = self._clock() + REST
        return OSError(f"the object store {self._bucket.endpoint} could not {what}{said}")

    def _no_bucket(self) -> ConfigError:
        return ConfigError(
            f"The object store {self._bucket.endpoint} has no bucket {self._bucket.name}. Make it there, or correct "
            "[storage] objects."
        )


def _open(bucket: Bucket, base: str, credentials: S3Credentials, authority: str) -> S3Store:
    url = bucket.url(base)
    options: ClientConfig = {
        "allow_http": url.startswith("http://"),
        "connect_timeout": _CONNECT,
        "timeout": timedelta(seconds=PATIENCE + PART / SLOWEST),
        # A proxy is used where the configuration names one, never because the environment does: this one is for none.
        "proxy_url": bucket.proxy or "http://127.0.0.1:9",
        "proxy_excludes": "" if bucket.proxy else urlsplit(url).hostname or "",
    }
    if authority:
        options["root_certificate"] = authority
    # Both of the endpoint's names, and the credentials by a call: what the environment says of them is not to win.
    config: S3Config = {
        "bucket": bucket.name,
        "endpoint": url,
        "aws_endpoint_url_s3": url,
        "region": bucket.region,
        "virtual_hosted_style_request": bucket.virtual,
        "disable_bulk_delete": True,  # not every store has it
        "skip_signature": False,
    }
    if bucket.sse:
        config["server_side_encryption"] = bucket.sse
    if bucket.kms_key:
        config["sse_kms_key_id"] = bucket.kms_key
    given: S3Credential = {
        "access_key_id": credentials.access_key,
        "secret_access_key": credentials.secret_key,
        "token": credentials.token or None,
        "expires_at": None,
    }
    return S3Store(config=config, credential_provider=lambda: given, client_options=options, retry_config=_RETRIES)
