"""Watches that stand behind one another: what one says is the next one's to read."""

from __future__ import annotations

from sampan.core import Usage
from sampan.dialects import Seen, Watch
from sampan.dialects.thinking import ThinkingSigner


class Relay:
    """Reads a server's stream with `first`, whose words `then` tells the caller."""

    def __init__(self, first: Watch, then: Watch) -> None:
        self._first = first
        self._then = then
        self._usage = Usage()

    @property
    def finished(self) -> bool:
        return self._first.finished

    def feed(self, frames: bytes) -> Seen:
        seen = self._first.feed(frames)
        said = frames if seen.data is None else seen.data
        if not said:
            return Seen(False, seen.ended, seen.usage, b"")
        told = self._then.feed(said)
        return Seen(told.content, told.ended, seen.usage, told.data)


class Signed:
    """Signs the thinking in a Messages stream before `then` reads it."""

    def __init__(self, signer: ThinkingSigner, then: Watch) -> None:
        self._signer = signer
        self._then = then

    @property
    def finished(self) -> bool:
        return self._then.finished

    def feed(self, frames: bytes) -> Seen:
        signed = self._signer.feed(frames) if frames else frames
        seen = self._then.feed(signed)
        if seen.data is None and signed is not frames:
            return Seen(seen.content, seen.ended, seen.usage, signed)
        return seen
