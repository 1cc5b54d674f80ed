"""Server-sent events, as far as a gateway needs them: cut a byte stream into whole frames, and say something in it.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.core import Fault
from sampan.errors import TargetFault

FRAME_LIMIT = 64 * 1024 * 1024  # a picture of 4K travels in one frame; anything longer is no stream of ours


class FrameBuffer:
    """Hands on whole frames only: half a frame followed by our own error event could not be read by anybody."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._limit = limit
        self._after_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """All frames that `chunk` completes, joined, each with its empty line; empty if none. Raises `TargetFault`.

        CR LF and CR are legal ends of lines, but rare; they are handed on as LF.
        """
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")  # the other half of a CR LF: the line has ended already
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not chunk:
            return b""
        if self._parts and chunk.startswith(b"\n") and self._parts[-1].endswith(b"\n"):
            # The border between two frames lies across two chunks.
            chunk = b"".join([*self._parts, chunk])
            self._parts.clear()
            self._size = 0
        end = chunk.rfind(b"\n\n")
        if end < 0:
            self._keep(chunk)
            return b""
        end += 2
        whole = chunk[:end]
        if self._parts:
            whole = b"".join([*self._parts, whole])
            self._parts.clear()
            self._size = 0
        if end < len(chunk):
            self._keep(chunk[end:])
        return whole

    def _keep(self, rest: bytes) -> None:
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > self._limit:
            raise TargetFault(Fault.MALFORMED, f"an SSE frame of more than {self._limit} bytes")

    @property
    def pending(self) -> bool:
        """True where the stream stopped inside a frame."""
        return any(part.strip() for part in self._parts)


def payloads(frames: bytes) -> Iterator[bytes]:
    """The data of each frame in `frames` that has any; lines of several `data:` fields are joined with LF."""
    for frame in frames.split(b"\n\n"):
        start = frame.find(b"data:")
        if start < 0:
            continue
        if start == 0 or frame[start - 1] == 10:
            data = frame[start + 5 :]
            if b"\n" not in data:
                yield data
                continue
        lines = [line[5:].removeprefix(b" ") for line in frame.split(b"\n") if line.startswith(b"data:")]
        if lines:
            yield b"\n".join(lines)


def frame(data: bytes, event: str | None = None) -> bytes:
    """One frame; `data` is JSON and so without line ends."""
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """A line that every SSE reader skips: it keeps a connection alive before there is anything to say."""
    return b": " + text.replace("\n", " ").encode() + b"\n\n"
