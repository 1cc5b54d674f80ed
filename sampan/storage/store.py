"""What every store of bytes can do, a folder or a bucket: each object is named by the SHA-256 of its content."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

CHUNK = 1 << 16
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as the store knows it: `size` in bytes, `modified` (when it was last put) in Unix seconds."""

    sha256: str
    size: int
    modified: float


class Store(Protocol):
    """Names are SHA-256 in hexadecimal, checked by the caller.

    Where an object is not there, `FileNotFoundError`. Any other `OSError` means that the store cannot be used now, and
    `ConfigError` that it cannot be used as it is configured.
    """

    async def put(self, sha256: str, data: bytes, media_type: str) -> None:
        """Keeps the object, whole or not at all; one that is there already is put anew."""
        ...

    async def size(self, sha256: str) -> int:
        """In bytes."""
        ...

    async def read(self, sha256: str) -> bytes: ...

    def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` to before `end` in pieces of at most 64 KiB. Consume it in `contextlib.aclosing`."""
        ...

    async def remove(self, sha256: str) -> None:
        """Forgets the object, if it is there."""
        ...

    def walk(self) -> AsyncGenerator[Stored, None]:
        """Everything in the store that is named as objects are, in no order. Consume it in `contextlib.aclosing`."""
        ...

    async def tidy(self, before: float) -> None:
        """Removes what was being written before that moment by processes that never ended it."""
        ...

    def link(self, sha256: str, seconds: int) -> str:
        """A URL by which anybody may read the object for so long, or nothing where the store gives none. No I/O."""
        ...

    async def check(self) -> None:
        """Asks the store whether it can be used. Raises as everything else does."""
        ...
