"""Pure codecs of the public wire formats: bytes in, values out, no I/O.

A codec parses a request into a `Call`, watches what an upstream answers, and renders errors as its own wire does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from sampan.core import Call, Dialect, Incoming, Usage
from sampan.errors import CallError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may be: bytes of one picture, and the models that a call without one means."""

    image: int
    default_model: str
    default_image_model: str


class Seen(msgspec.Struct, frozen=True):
    """What a piece of a stream held: content for the caller, whether the answer is over, and the usage known so far.

    `data` is what goes to the caller in place of the frames that were fed, where the two speak different dialects;
    None: those very frames.
    """

    content: bool
    ended: bool
    usage: Usage
    data: bytes | None = None


class Watch(Protocol):
    """Follows the frames of one answer. Raises `TargetFault` for an error event or one that cannot be read."""

    @property
    def finished(self) -> bool:
        """True where the stream may end: anything else is an answer cut short."""
        ...

    def feed(self, frames: bytes) -> Seen: ...


class Codec(Protocol):
    """One public wire format, as the edge and the pipeline see it."""

    @property
    def dialect(self) -> Dialect: ...

    def parse(self, incoming: Incoming, limits: Limits) -> Call:
        """Raises `InvalidRequest` naming the field."""
        ...

    def status(self, error: CallError) -> int: ...

    def error(self, error: CallError, request_id: str) -> bytes:
        """The body of an error answer."""
        ...

    def error_frame(self, error: CallError, request_id: str) -> bytes:
        """An error inside a stream that has begun, as SSE frames."""
        ...
