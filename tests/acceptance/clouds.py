"""A stand-in for the clouds, on loopback and over real sockets, that can be broken in every way while it runs.

A `Cloud` is one port with many *cells*. A cell is what one upstream of the gateway talks to: its base URL is the
cloud's with the cell's name as path, and it has its own behaviour and its own counters. Both dialects are spoken. The
port itself can refuse, swallow connections (a black hole), or show a certificate that nobody trusts.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import TypeVar

from behaviours import BEHAVIOURS, SICK
from cells import Cell, Exchange, Gate

T = TypeVar("T")

SOON = 30.0  # seconds; only a test that fails waits this long


class Cloud:
    """One port, served by a thread of its own. `with Cloud() as cloud:`; all methods may be called from any thread."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.cells: dict[str, Cell] = {}
        self.connections = 0
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloud", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # Holds the port while nobody listens: a bound socket that does not listen lets connections be refused.
        self._holder = _bound(0)
        self.port: int = self._holder.getsockname()[1]
        self._hole: list[socket.socket] = []

    def __enter__(self) -> Cloud:
        self._loop.set_exception_handler(lambda loop, context: None)  # broken connections are our trade
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._holder.close()

    def url(self, cell: str) -> str:
        """The base URL of a cell, which is made if it is new."""
        self.cell(cell)
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/{cell}"

    def cell(self, name: str) -> Cell:
        found = self.cells.get(name)
        if found is None:
            found = self.cells.setdefault(name, Cell(name, Gate(self._loop)))
        return found

    def open(self) -> None:
        """Listens and serves."""
        self.close()
        self._do(self._open())

    def close(self) -> None:
        """Refuses connections, and breaks those that are open."""
        self._do(self._close())
        while self._hole:
            self._hole.pop().close()

    def swallow(self) -> None:
        """A black hole: its queue of connections is full, and nobody takes any of them out."""
        self.close()
        hole = _bound(self.port)
        hole.listen(0)
        self._hole.append(hole)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._hole.append(filler)

    def break_connections(self) -> None:
        """Closes the open connections; new ones are welcome."""
        self._do(self._break())

    def _do(self, step: Awaitable[T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(step, self._loop)
        return future.result(SOON)

    async def _open(self) -> None:
        listener = _bound(self.port)
        self._server = await asyncio.start_server(self._serve, sock=listener, ssl=self._context, limit=1 << 26)

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._break()

    async def _break(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while not writer.is_closing():
                exchange = await self._read(reader, writer)
                if exchange is None:
                    break
                await self._behave(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        _, name, path = target.split("/", 2)
        cell = self.cell(name)
        if method == "POST":
            cell.posts += 1
            cell.bodies.append(body)
            cell.heads.append(headers)
        else:
            cell.gets += 1
        cell.asked.set()
        return Exchange(cell, method, f"/{path}", body, reader, writer, _streams(headers, body))

    async def _behave(self, exchange: Exchange) -> None:
        name = exchange.cell.behaviour
        if exchange.method == "GET" and name not in SICK:
            name = "healthy"
        await BEHAVIOURS[name](exchange)


def _streams(headers: dict[str, str], body: bytes) -> bool:
    """Whether the body asks for a stream, in JSON or as a form."""
    if headers.get("content-type", "").startswith("multipart/"):
        return any(b'name="stream"' in part and b"true" in part.lower() for part in body.split(b"\r\n--"))
    try:
        return bool(json.loads(body).get("stream"))
    except ValueError:
        return False


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock
