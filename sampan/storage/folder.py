"""Objects in a folder: `ab/<sha256>`, written beside and moved into place."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sampan.storage.db import make_folder
from sampan.storage.store import CHUNK, SHA256, Stored

_BATCH = 500


class FolderStore:
    """The I/O is done in threads. A file is on the disk, whole, before it gets its name."""

    def __init__(self, folder: Path) -> None:
        """Blocks: makes the folder."""
        self._folder = folder
        self._incoming = folder / "incoming"
        make_folder(folder)
        make_folder(self._incoming)

    async def put(self, sha256: str, data: bytes, media_type: str) -> None:
        await asyncio.to_thread(self._put, sha256, data)

    async def size(self, sha256: str) -> int:
        return (await asyncio.to_thread(self._path(sha256).stat)).st_size

    async def read(self, sha256: str) -> bytes:
        return await asyncio.to_thread(self._path(sha256).read_bytes)

    async def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        with await asyncio.to_thread(self._path(sha256).open, "rb") as file:
            if start:
                await asyncio.to_thread(file.seek, start)
            left = CHUNK if end is None else end - start
            while left > 0 and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
                yield chunk
                left -= 0 if end is None else len(chunk)

    async def remove(self, sha256: str) -> None:
        with suppress(FileNotFoundError):
            await asyncio.to_thread(self._path(sha256).unlink)

    async def walk(self) -> AsyncGenerator[Stored, None]:
        found = self._files()
        while batch := await asyncio.to_thread(lambda: list(islice(found, _BATCH))):
            for each in batch:
                yield each

    async def tidy(self, before: float) -> None:
        await asyncio.to_thread(self._tidy, before)

    def link(self, sha256: str, seconds: int) -> str:
        return ""

    async def check(self) -> None:
        await asyncio.to_thread(os.listdir, self._incoming)

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _put(self, sha256: str, data: bytes) -> None:
        path = self._path(sha256)
        new = self._incoming / secrets.token_hex(16)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            make_folder(path.parent)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def _files(self) -> Iterator[Stored]:
        for path in self._folder.glob("??/*"):
            if SHA256.fullmatch(path.name) and path.parent.name == path.name[:2]:
                with suppress(FileNotFoundError):
                    known = path.stat()
                    yield Stored(path.name, known.st_size, known.st_mtime)

    def _tidy(self, before: float) -> None:
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
