"""Servers that do as a list of steps says: real sockets on loopback, no sleeping. Shared by every test of an exchange.

    async with playing([Read(), Send(OK), Read(), Reset()], [Read(), Send(OK)]) as stage:
        ...  # stage.url, stage.requests, stage.connections

Each connection plays the next list; the last one is played by all that follow. After its last step it is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def answer(body: bytes = b"", *, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """A whole answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*chunks: bytes, headers: Sequence[str] = (), end: bool = True) -> bytes:
    """A whole answer in chunks, or one that lacks its end."""
    lines = ["HTTP/1.1 200 OK", "transfer-encoding: chunked", *headers]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body + (b"0\r\n\r\n" if end else b"")


@dataclass(frozen=True, slots=True)
class Read:
    """Read one request with its body, and keep it."""


@dataclass(frozen=True, slots=True)
class ReadHead:
    """Read a request's head, and nothing of its body."""


@dataclass(frozen=True, slots=True)
class ReadRest:
    """Read the body of the request whose head was read last."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Flood:
    """Send `data` again and again, `times` times, as fast as the peer takes it; `Stage.flooded` counts bytes."""

    data: bytes
    times: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when the event is set."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Tell:
    """Set the event."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Stall:
    """Do nothing more until the peer has closed the connection; then `Stage.left` is set."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Close with a reset."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close."""


@dataclass(frozen=True, slots=True)
class Again:
    """Play the list from its start."""


Step = Read | ReadHead | ReadRest | Send | Flood | Wait | Tell | Stall | Reset | Close | Again

SERVE = (Read(), Send(answer(b"hello")), Again())


@dataclass
class Stage:
    """What a test sees of its server. `met`: somebody has connected; `asked`: a request was read; `left`: see Stall."""

    scripts: tuple[Sequence[Step], ...]
    host: str = "127.0.0.1"
    port: int = 0
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    flooded: int = 0
    met: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        self.met.set()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            position = 0
            while position < len(script):
                step = script[position]
                position = 0 if isinstance(step, Again) else position + 1
                await self._perform(step, reader, writer)
        writer.close()

    async def _perform(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case Read() | ReadHead() | ReadRest():
                await self._read(step, reader)
            case Send(data):
                writer.write(data)
                await writer.drain()
            case Flood(data, times):
                for _ in range(times):
                    writer.write(data)
                    await writer.drain()
                    self.flooded += len(data)
            case Wait(event):
                await event.wait()
            case Tell(event):
                event.set()
            case Stall():
                await self._stall(reader)
            case Reset() | Close():
                _end(writer, abruptly=isinstance(step, Reset))

    async def _read(self, step: Read | ReadHead | ReadRest, reader: asyncio.StreamReader) -> None:
        if not isinstance(step, ReadRest):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        length = _LENGTH.search(self.requests[-1])
        if length and not isinstance(step, ReadHead):
            head = self.requests.pop()
            self.requests.append(head + await reader.readexactly(int(length[1])))
        self.asked.set()

    async def _stall(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(65536):
                pass
        finally:
            self.left.set()


def _end(writer: asyncio.StreamWriter, *, abruptly: bool) -> None:
    """Close, with a reset if `abruptly`; raises ConnectionError, since no step can follow."""
    if abruptly:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    raise ConnectionError


@contextlib.asynccontextmanager
async def playing(*scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> AsyncIterator[Stage]:
    """A server on loopback that plays `scripts`, until the block ends."""
    stage = Stage(scripts or (SERVE,), scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await stage.play(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(met, "127.0.0.1", 0, ssl=tls)
    stage.port = server.sockets[0].getsockname()[1]
    try:
        yield stage
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Middleman:
    """A proxy that tunnels to wherever CONNECT says, or does what `reply` says instead."""

    reply: bytes | None = None
    silent: bool = False
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head)
            if self.silent:
                await reader.read()
            elif self.reply is not None:
                writer.write(self.reply)
            else:
                await self._tunnel(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # a client that goes away in the middle is what many of the tests are about
        finally:
            writer.close()

    async def _tunnel(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = head.split()[1].decode().rpartition(":")
        onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, onward_writer), _copy(onward_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def proxying(reply: bytes | None = None, *, silent: bool = False) -> AsyncIterator[Middleman]:
    """A proxy on loopback; `reply` is sent instead of tunnelling, `silent` sends nothing."""
    middleman = Middleman(reply, silent)
    tasks: set[asyncio.Task[None]] = set()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await middleman.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    middleman.port = server.sockets[0].getsockname()[1]
    try:
        yield middleman
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
