"""A cell of a stand-in cloud, and one request to it with the means to answer it well or badly."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import threading
import zlib
from dataclasses import dataclass, field
from typing import Any


def png(colour: tuple[int, int, int] = (40, 90, 160), side: int = 16) -> bytes:
    """A PNG of one colour, by hand (https://www.w3.org/TR/png/): no test needs a library for that."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\x00" + bytes(colour) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = png()
PICTURE64 = base64.b64encode(PICTURE).decode()


class Gate:
    """An event that any thread may set and the cloud's loop waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def set(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._loop.call_soon_threadsafe(self._event.clear)

    async def wait(self) -> None:
        await self._event.wait()


@dataclass
class Cell:
    """One upstream as the cloud sees it. `gate` holds the gated behaviours back; `gone` is set when a caller leaves."""

    name: str
    gate: Gate
    behaviour: str = "healthy"
    posts: int = 0
    gets: int = 0
    sent: int = 0
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)


@dataclass
class Exchange:
    """One request to a cell, and the means to answer it well or badly."""

    cell: Cell
    method: str
    path: str
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    stream: bool

    @property
    def pictures(self) -> bool:
        return "/images/" in self.path

    @property
    def edits(self) -> bool:
        return self.path.endswith("/edits")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(
        self, status: int, body: bytes | dict[str, Any], kind: str = "application/json", **headers: str
    ) -> None:
        """A whole answer; a dict is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n{more}\r\n"
        await self.send(head.encode() + data)

    async def begin_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def piece(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def until_gone(self) -> None:
        """Waits for the caller to close its end."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            self.cell.gone.set()
        self.cell.gone.set()

    async def until_let(self) -> bool:
        """Waits for the gate to open (True) or the caller to leave (False)."""
        leaving = asyncio.ensure_future(self.until_gone())
        opening = asyncio.ensure_future(self.cell.gate.wait())
        await asyncio.wait((leaving, opening), return_when=asyncio.FIRST_COMPLETED)
        left = leaving.done()
        for task in (leaving, opening):
            task.cancel()
        await asyncio.wait((leaving, opening))
        return not left
