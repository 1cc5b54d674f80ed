"""One request to a stand-in, the means to answer it well or badly, and the double that counts it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

from sampan.drill.script import Part
from sampan.drill.troubles import Trouble

GATE_SECONDS = 5.0
"""How long an answer waits to be told that its first half arrived: a gateway that holds streams back never says so."""


@dataclass
class Double:
    """One upstream as the stand-in plays it. Only the stand-in's own loop touches it.

    `posts` are the calls that reached it, `whole` the answers it gave to their end; `waits` says of each call that met
    its trouble how long its caller stayed, in seconds; `latest` is when the last call came (monotonic clock). `gate`
    holds a stream back after its first half until the caller has it; `probed` is set by the first GET.
    """

    name: str
    trouble: Trouble | None = None
    posts: int = 0
    whole: int = 0
    waits: list[float] = field(default_factory=list)
    latest: float = 0.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    probed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Exchange:
    """One request. `used` counts those that this connection has carried before it."""

    double: Double
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    part: Part
    stream: bool
    used: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    arrived: float = field(default_factory=time.monotonic)

    @property
    def asks(self) -> bool:
        """Whether it is a call; else it is a probe or a look at the list of models."""
        return self.method == "POST"

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status: int, body: bytes | object, kind: str = "application/json", more: str = "") -> None:
        """A whole answer; what is no bytes is sent as JSON. `more` are further header lines."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} Stand-in\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n{more}\r\n"
        await self.send(head.encode() + data)

    async def begin_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def piece(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    def hang_up(self) -> None:
        self.writer.close()

    async def until_gone(self) -> None:
        """Waits for the caller to close its end."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            self.writer.transport.abort()  # it went the hard way; there is nothing left to close

    async def drip(self, data: bytes, seconds: float) -> None:
        """Sends these bytes again and again, one every `seconds`, until the caller goes."""
        leaving = asyncio.ensure_future(self.until_gone())
        try:
            while not leaving.done():
                for byte in range(len(data)):
                    await self.send(data[byte : byte + 1])
                    await asyncio.wait((leaving,), timeout=seconds)
                    if leaving.done():
                        break
        except ConnectionError:
            self.writer.transport.abort()
        finally:
            leaving.cancel()
            await asyncio.wait((leaving,))

    async def drip_pieces(self, data: bytes, seconds: float) -> None:
        """The same with whole frames."""
        leaving = asyncio.ensure_future(self.until_gone())
        try:
            while not leaving.done():
                await self.piece(data)
                await asyncio.wait((leaving,), timeout=seconds)
        except ConnectionError:
            self.writer.transport.abort()
        finally:
            leaving.cancel()
            await asyncio.wait((leaving,))

    async def until_let(self) -> bool:
        """Waits until the first half has arrived (True) or the caller leaves (False)."""
        leaving = asyncio.ensure_future(self.until_gone())
        opening = asyncio.ensure_future(self.double.gate.wait())
        try:
            await asyncio.wait((leaving, opening), timeout=GATE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return not leaving.done()
        finally:
            for task in (leaving, opening):
                task.cancel()
            await asyncio.wait((leaving, opening))
