"""The rooms behind the door as the test says, the door behind a real socket, and somebody who knocks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sampan.config.edge import CorsSettings
from sampan.core import Actor, Answer, Incoming, Operation
from sampan.dialects import Codec
from sampan.edge.door import BodyLimits, Door, Foyer, Rooms, Shelf
from sampan.edge.listener import IDLE, Listener
from sampan.edge.origins import Origins
from sampan.errors import CallError, Unauthenticated
from sampan.storage.db import Database
from sampan.storage.objects import Objects

NOW = 1_700_000_000.0
LIMIT = 1000
KEY = "good"
Run = Callable[[Incoming, Codec], Awaitable[Answer]]


class House:
    """What lies behind the door. `run` answers calls; everything that came in is kept."""

    def __init__(
        self,
        folder: Path,
        run: Run | None = None,
        *,
        seconds: float = 10.0,
        limit: int = LIMIT,
        keepalive: float = 10.0,
        shelves: Sequence[tuple[Shelf, int]] = (),
        foyers: Sequence[Foyer] = (),
        origins: Origins | None = None,
        hsts: int = 0,
    ) -> None:
        self.came: list[Incoming] = []
        self.refused: list[CallError] = []
        self.ready = True
        self._run = run
        self.database = Database(folder)
        self.objects = Objects(self.database, lambda: NOW)
        rooms = Rooms(
            start=lambda incoming, codec, exchange: self.run(incoming, codec),
            refuse=self.refuse,
            authenticate=self.authenticate,
            models=lambda: {"claude-x": (Operation.TEXT,), "m/y": (Operation.GENERATE,)},
            operations=self.operations,
            readiness=lambda: (self.ready, {"engines": {}}),
            metrics=lambda: b"sampan_calls_total 1.0\n",
            objects=self.objects,
            shelves=shelves,
            wall=lambda: NOW,
            keepalive=keepalive,
            version="9.9",
            foyers=foyers,
            origins=origins or Origins(CorsSettings()),
            hsts=hsts,
        )
        self.door = Door(rooms, BodyLimits(limit, seconds))

    async def run(self, incoming: Incoming, codec: Codec) -> Answer:
        self.came.append(incoming)
        if self._run is not None:
            return await self._run(incoming, codec)
        return Answer(200, (("content-type", "application/json"), ("request-id", "req_1")), b"{}")

    def refuse(self, incoming: Incoming, codec: Codec, error: CallError) -> Answer:
        self.came.append(incoming)
        self.refused.append(error)
        return Answer(codec.status(error), (("request-id", "req_1"),), codec.error(error, "req_1"))

    def authenticate(self, incoming: Incoming) -> Actor:
        if incoming.credential != KEY:
            raise Unauthenticated("no such key")
        return Actor("key_1", "ann", "member")

    def operations(self, model: str) -> tuple[Operation, ...]:
        if model == "broken":
            raise KeyError("secret detail")
        return (Operation.TEXT,) if model in ("claude-x", "m/y", "a b") else ()


@asynccontextmanager
async def opened(house: House, idle: float = IDLE) -> AsyncIterator[int]:
    """The port of the house's door."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listener = Listener(house.door, idle=idle)
        await listener.start(listening)
        try:
            yield listening.getsockname()[1]
        finally:
            await listener.close()
            house.database.close()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


def request(method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> bytes:
    """The bytes of a request; a POST has the key and a length unless `headers` say otherwise."""
    sent = {"host": "x"} | ({"x-api-key": KEY} if method == "POST" else {}) | dict(headers or {})
    if body is not None and "transfer-encoding" not in sent:
        sent.setdefault("content-length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


async def read_reply(reader: asyncio.StreamReader, method: str = "GET") -> Reply:
    """One answer, whole; a stream's chunks joined."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    line, *lines = head[:-4].decode("latin-1").split("\r\n")
    pairs = [each.split(": ", 1) for each in lines]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs), pairs  # each name once
    body = b""
    if method == "HEAD" or line.split()[1] == "204":
        pass
    elif "transfer-encoding" in headers:
        while size := int(await asyncio.wait_for(reader.readline(), 20), 16):
            body += await reader.readexactly(size)
            assert await reader.readline() == b"\r\n"
        assert await reader.readline() == b"\r\n"
    else:
        body = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), 20)
    return Reply(int(line.split()[1]), headers, body)


async def ask(
    port: int, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Reply:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(method, target, headers, body))
    try:
        return await read_reply(reader, method)
    finally:
        writer.close()
