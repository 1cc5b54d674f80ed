"""The stand-in: a real HTTP server on loopback that plays every cloud upstream, each double under a path of its own.

A double whose trouble is that of a whole port (refused, black hole, TLS) has a port of its own; all others share one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

from sampan.core import Dialect
from sampan.drill.behaviours import BEHAVIOURS, healthy
from sampan.drill.certificates import Certificates
from sampan.drill.exchange import Double, Exchange
from sampan.drill.script import Part
from sampan.drill.troubles import Place, Trouble

LARGEST = 64 << 20  # bytes of a body: far above any picture that a drill sends
BROKEN = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ssl.SSLError)
NO_TLS = b"220 this is no TLS\r\n"
NOWHERE = "http://sampan-drill.invalid"  # RFC 6761: resolves nowhere, ever

Relay = Callable[[Exchange], Awaitable[None]]


class Port:
    """One listening port that can refuse, swallow connections, or fail its TLS handshakes."""

    def __init__(self, standin: Standin, certificates: Certificates | None = None, *, secure: bool = False) -> None:
        self._standin = standin
        self._certificates = certificates
        self._secure = secure
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._hole: list[socket.socket] = []
        self._holder: socket.socket | None = None
        self.host, self.number = "127.0.0.1", 0

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._secure else 'http'}://{host}:{self.number}"

    async def open(self, host: str = "127.0.0.1", number: int = 0) -> None:
        """Takes the port, which stays held until `end`, and serves. Raises `OSError`."""
        self._holder = _bound(host, number)  # bound without listening: connections are refused while nobody serves
        self.host, self.number = self._holder.getsockname()[:2]
        await self.heal()

    async def heal(self) -> None:
        self.close()
        context = self._certificates.good if self._secure and self._certificates else None
        await self._serve(self._standin.serve, context)

    async def break_(self, place: Place) -> None:
        """Goes wrong as a whole, and breaks the connections that are open."""
        self.close()
        if place is Place.HOLE:
            self._swallow()
        elif place is Place.TLS:
            if self._certificates is not None:
                await self._serve(self._standin.serve, self._certificates.bad)
            else:
                await self._serve(_talk_rubbish, None)

    def close(self) -> None:
        """Refuses connections from now on, and breaks the open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        while self._hole:
            self._hole.pop().close()

    def end(self) -> None:
        self.close()
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    async def _serve(
        self,
        talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        context: ssl.SSLContext | None,
    ) -> None:
        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            try:
                await talk(reader, writer)
            finally:
                self._writers.discard(writer)

        sock = _bound(self.host, self.number)
        self._server = await asyncio.start_server(keep, sock=sock, ssl=context, limit=1 << 20, backlog=512)

    def _swallow(self) -> None:
        """A black hole: its queue of connections is full, and nobody takes any of them out."""
        hole = _bound(self.host, self.number)
        hole.listen(0)
        self._hole.append(hole)
        for _ in range(4):
            filler = socket.socket(hole.family)
            filler.setblocking(False)
            filler.connect_ex((self.host, self.number))
            self._hole.append(filler)


class Standin:
    """All doubles and their ports. `async with Standin(certificates) as standin:`, within one event loop."""

    def __init__(self, certificates: Certificates | None = None, *, relay: Relay | None = None) -> None:
        """`relay` answers in place of a double that is well: the real cloud, where that was asked for."""
        self.doubles: dict[str, Double] = {}
        self.certificates = certificates
        self._relay = relay
        self._shared = Port(self)
        self._own: dict[str, Port] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.everything: Double | None = None

    async def __aenter__(self) -> Standin:
        await self._shared.open()
        return self

    async def __aexit__(self, *failure: object) -> None:
        for port in (self._shared, *self._own.values()):
            port.end()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @property
    def url(self) -> str:
        return self._shared.url

    @property
    def relays(self) -> bool:
        """Whether the words of a double that is well are not its own."""
        return self._relay is not None

    async def listen(self, host: str, number: int) -> None:
        """Moves the shared port to a fixed address. Raises `OSError` where it is taken."""
        self._shared.end()
        await self._shared.open(host, number)

    async def add(self, name: str, place: Place = Place.ANSWER) -> str:
        """A new double that is well; returns its base URL."""
        self.doubles[name] = Double(name)
        if place is Place.NAME:
            return f"{NOWHERE}/{name}"
        if place is Place.ANSWER:
            return f"{self.url}/{name}"
        secure = place is Place.TLS
        port = self._own[name] = Port(self, self.certificates, secure=secure)
        await port.open()
        return f"{port.url}/{name}"

    async def break_(self, name: str, trouble: Trouble) -> None:
        self.doubles[name].trouble = trouble
        if name in self._own:
            await self._own[name].break_(trouble.place)
        elif trouble.place is Place.CLOSED or trouble.place is Place.HOLE:
            await self._shared.break_(trouble.place)

    async def heal(self, name: str) -> None:
        trouble, self.doubles[name].trouble = self.doubles[name].trouble, None
        if name in self._own:
            await self._own[name].heal()
        elif trouble is not None and trouble.place in (Place.CLOSED, Place.HOLE):
            await self._shared.heal()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first request to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        used = 0
        try:
            while not writer.is_closing():
                exchange = await self._read(reader, writer, used)
                if exchange is None:
                    break
                await self._behave(exchange)
                used += exchange.asks
        except BROKEN:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _behave(self, x: Exchange) -> None:
        trouble = x.double.trouble
        meets = trouble is not None and trouble.name in BEHAVIOURS and (x.asks or trouble.probed)
        if x.asks:
            x.double.posts += 1
            x.double.latest = x.arrived
        else:
            x.double.probed.set()
        if meets and trouble is not None:
            try:
                await BEHAVIOURS[trouble.name](x)
            finally:
                if x.asks:
                    x.double.waits.append(time.monotonic() - x.arrived)
        elif self._relay is not None:
            await self._relay(x)
        else:
            await healthy(x)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, used: int) -> Exchange | None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(reader, headers)
        double, path = self._double(target.partition("?")[0])
        if double is None:
            return None
        part = Part(_dialect(path), path.endswith(("/edits", "/variations")))
        return Exchange(double, method, path, headers, body, part, _streams(headers, body), used, reader, writer)

    def _double(self, path: str) -> tuple[Double | None, str]:
        """Whose call it is by the path's first part, unless there is one for everything."""
        if self.everything is not None:
            return self.everything, path
        _, name, rest = path.split("/", 2)
        return self.doubles.get(name), f"/{rest}"


def _dialect(path: str) -> Dialect:
    if path.endswith("/chat/completions"):
        return Dialect.OPENAI_CHAT
    if path.endswith("/embeddings"):
        return Dialect.OPENAI_EMBEDDINGS
    return Dialect.OPENAI_IMAGES if "/images/" in path else Dialect.ANTHROPIC


def _streams(headers: dict[str, str], body: bytes) -> bool:
    """Whether the body asks for a stream, in JSON or as a form."""
    if headers.get("content-type", "").startswith("multipart/"):
        return any(b'name="stream"' in part and b"true" in part.lower() for part in body.split(b"\r\n--"))
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    return isinstance(asked, dict) and bool(asked.get("stream"))


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """The request's body, of a known length or in chunks; other gateways send either."""
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        return await reader.readexactly(min(LARGEST, int(headers.get("content-length", "0"))))
    pieces = []
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        pieces.append((await reader.readexactly(min(LARGEST, size) + 2))[:-2])
        if not size:
            return b"".join(pieces)


async def _talk_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(NO_TLS)
    writer.close()


def _bound(host: str, number: int) -> socket.socket:
    """A bound socket that does not listen; several may share the port, so that it is never lost in between."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, number))
    return sock
