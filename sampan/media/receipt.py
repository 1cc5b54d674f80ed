"""What became of each picture and document of a call, for its caller (`x-sampan-receipt`) and for the record.

    messages.0.content.1=9f86d081884c7d65:3p,messages.2.content.0=60303ae22b998861:1369t

A path, the first sixteen hexadecimal digits of the SHA-256 of the bytes that came, and what the target was given:

| ending | meaning |
|---|---|
| `1369t` | a picture of 1,369 patches (28×28 pixels, rounded up each way), as it came or cleaned of its metadata |
| `3p` | a PDF, drawn as three pages |
| `3w` | a PDF of three pages, as words only: the target sees no pictures and the pages hold nothing else |
| `pdf` | a PDF, which the target reads by itself |
| `text` | a document of text |
| `url`, `file` | a reference that the target follows by itself; we saw no bytes, the digest is that of the reference |
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

import msgspec

HEADER_LIMIT = 1024
RECORD_LIMIT = 4096
SHOWN = 16  # hexadecimal digits


class Became(StrEnum):
    """How a target was given a morsel."""

    PATCHES = "t"
    PAGES = "p"
    WORDS = "w"
    PDF = "pdf"
    TEXT = "text"
    URL = "url"
    FILE = "file"


class Entry(msgspec.Struct, frozen=True):
    """One morsel. `count` is of pages or patches (0: nothing to count)."""

    path: str
    sha256: str
    became: Became
    count: int = 0

    def __str__(self) -> str:
        count = str(self.count) if self.count else ""
        return f"{self.path}={self.sha256[:SHOWN]}:{count}{self.became.value}"


class Receipt(msgspec.Struct, frozen=True):
    """The entries of one call, in the order of their blocks."""

    entries: tuple[Entry, ...] = ()

    @property
    def header(self) -> str:
        """The value of `x-sampan-receipt`: ASCII, of 1,024 characters at most; nothing for a call without media."""
        return compact(self.entries, HEADER_LIMIT)

    @property
    def record(self) -> str:
        """The same for the audit record, of 4,096 characters at most."""
        return compact(self.entries, RECORD_LIMIT)


def compact(entries: Sequence[Entry], limit: int) -> str:
    """Entries joined by commas; those that do not fit are counted in a last word such as `+12`."""
    parts = [str(entry) for entry in entries]
    whole = ",".join(parts)
    if len(whole) <= limit:
        return whole
    kept: list[str] = []
    room = limit - len(f",+{len(parts)}")
    for part in parts:
        room -= len(part) + 1
        if room < 0:
            break
        kept.append(part)
    return ",".join([*kept, f"+{len(parts) - len(kept)}"])


def digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
