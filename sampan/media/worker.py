"""A program of its own that decodes pictures and PDFs: `python -m sampan.media.worker`, one job at a time.

Frames on stdin and stdout are a length of eight bytes, big-endian, and a MessagePack value: a `Job` in, a `Done` out.
It ends when stdin does. What it may take is bounded before it reads its first job, and it is given no environment to
leak.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from typing import BinaryIO, TypeAlias

import msgspec

from sampan.media.pages import Sheet, sheets
from sampan.media.pictures import Unusable, redraw

LENGTH = struct.Struct(">Q")
MEMORY = 3 * 1024**3  # address space, in bytes: 50 megapixels in four channels several times over


class Redraw(msgspec.Struct, frozen=True, tag=True):
    """Decode a picture and encode it upright, as one of `formats` where that can be."""

    data: bytes
    formats: tuple[str, ...]
    most_pixels: int


class Pages(msgspec.Struct, frozen=True, tag=True):
    """The sheets of a PDF, at most `most` of them or none."""

    data: bytes
    most: int
    side: int
    draw: bool


class Redrawn(msgspec.Struct, frozen=True, tag=True):
    data: bytes
    media_type: str
    width: int
    height: int


class Sheets(msgspec.Struct, frozen=True, tag=True):
    sheets: list[Sheet]


class No(msgspec.Struct, frozen=True, tag=True):
    """The job cannot be done, and why, in words for the caller."""

    why: str


Job: TypeAlias = Redraw | Pages
Done: TypeAlias = Redrawn | Sheets | No

_jobs = msgspec.msgpack.Decoder(Job)


def work(job: Job) -> Done:
    """One job, in this process."""
    try:
        if isinstance(job, Redraw):
            return Redrawn(*redraw(job.data, frozenset(job.formats), job.most_pixels))
        return Sheets(sheets(job.data, job.most, job.side, draw=job.draw))
    except Unusable as unusable:
        return No(str(unusable))
    except MemoryError:
        return No("it takes more memory than it may")


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Job after job until the source ends."""
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        frame = source.read(LENGTH.unpack(head)[0])
        answer = msgspec.msgpack.encode(work(_jobs.decode(frame)))
        sink.write(LENGTH.pack(len(answer)) + answer)
        sink.flush()


def confine() -> None:
    """No large memory, no files, no core dumps that would keep somebody's document. What a system lacks is left out."""
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (limit, limit))
        except (ValueError, OSError) as error:  # macOS knows RLIMIT_AS and refuses it
            sys.stderr.write(f"a limit of the worker is not in force: {error}\n")


def main() -> None:
    confine()
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between two frames
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
