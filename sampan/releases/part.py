"""A file that is arriving: `<file>.part`, hashed as it grows, and again from the disk when a fetch goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sampan.releases.hub import Announced
from sampan.releases.names import PART
from sampan.releases.store import CHUNK

ETAG = ".etag"


class TooLong(Exception):
    """More came than was announced."""


class Part:
    """What has arrived of one file. `told` gets the bytes that were added, or less than none when it begins again.

    Use it as a context manager. One that is left before `finish` stays on the disk, for the next one to go on with.
    """

    def __init__(self, target: Path, announced: Announced, told: Callable[[int], None]) -> None:
        """A finished `target` is taken for a part too: it is hashed like one, and stays if it is the right one."""
        self.announced = announced
        self.have = 0
        self._target = target
        self._path = target.with_name(target.name + PART)
        self._etag = target.with_name(target.name + PART + ETAG)
        self._told = told
        self._begin()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.is_file() and not target.is_symlink():
            target.replace(self._path)
        # Never through a link: what is written here has to stay here.
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(handle, "r+b", buffering=0)

    def __enter__(self) -> Part:
        while piece := self._file.read(CHUNK):
            self._add(piece)
            if self.have > self.announced.size:
                self.restart()
                break
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def is_complete(self) -> bool:
        return self.have == self.announced.size

    @property
    def etag(self) -> str:
        """The validator of the answer that what is here came from, or nothing; RFC 9110, 13.1.5: a strong one."""
        try:
            return self._etag.read_text(encoding="latin-1")
        except OSError:
            return ""

    def remember(self, etag: str) -> None:
        """Keeps the validator of the answer that now comes."""
        if etag.startswith('"') and len(etag) < 1000:
            self._etag.write_text(etag, encoding="latin-1")
        else:
            self._etag.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Adds what came. Raises `TooLong` once it is more than was announced, or `OSError`."""
        if self.have + len(piece) > self.announced.size:
            raise TooLong
        view = memoryview(piece)
        while view:
            written = self._file.write(view)
            self._add(view[:written])
            view = view[written:]

    def restart(self) -> None:
        """Throws away what is here."""
        self._told(-self.have)
        self._file.seek(0)
        self._file.truncate()
        self._begin()
        self._etag.unlink(missing_ok=True)

    def finish(self) -> str | None:
        """Puts the file in its place and returns its sha256; None where it is not the one that was announced."""
        if not self.is_complete or not self.announced.is_this(self._sha256.hexdigest(), self._blob.hexdigest()):
            return None
        os.fsync(self._file.fileno())
        self._path.replace(self._target)
        self._etag.unlink(missing_ok=True)
        return self._sha256.hexdigest()

    def discard(self) -> None:
        """Takes it off the disk."""
        for path in (self._path, self._etag):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self.have = 0
        self._sha256 = hashlib.sha256()
        # The name of a Git object: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects.
        self._blob = hashlib.sha1(b"blob %d\0" % self.announced.size, usedforsecurity=False)

    def _add(self, piece: bytes | memoryview) -> None:
        self._sha256.update(piece)
        if self.announced.blob:
            self._blob.update(piece)
        self.have += len(piece)
        self._told(len(piece))
