"""A caller as an ASGI application sees one, and the rooms behind the door, both as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sampan.core import Actor, Answer, Incoming, Operation
from sampan.dialects import Codec
from sampan.edge.door import BodyLimits, Door, Rooms
from sampan.errors import CallError, Unauthenticated
from sampan.storage.db import Database
from sampan.storage.objects import Objects

NOW = 1_700_000_000.0
LIMIT = 1000
KEY = "good"
GONE = {"type": "http.disconnect"}


class House:
    """What lies behind the door. `run` answers calls; everything that came in is kept."""

    def __init__(
        self,
        folder: Path,
        run: Callable[[Incoming, Codec], Awaitable[Answer]] | None = None,
        *,
        seconds: float = 10.0,
        limit: int = LIMIT,
        keepalive: float = 10.0,
    ) -> None:
        self.came: list[Incoming] = []
        self.refused: list[CallError] = []
        self.ready = True
        self._run = run
        self.database = Database(folder)
        self.objects = Objects(self.database, lambda: NOW)
        rooms = Rooms(
            run=self.run,
            refuse=self.refuse,
            authenticate=self.authenticate,
            models=lambda: {"claude-x": (Operation.TEXT,), "m/y": (Operation.GENERATE,)},
            operations=self.operations,
            readiness=lambda: (self.ready, {"engines": {}}),
            metrics=lambda: b"sampan_calls_total 1.0\n",
            objects=self.objects,
            wall=lambda: NOW,
            keepalive=keepalive,
            version="9.9",
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

    def authenticate(self, credential: str) -> Actor:
        if credential != KEY:
            raise Unauthenticated("no such key")
        return Actor("key_1", "ann", "member")

    def operations(self, model: str) -> tuple[Operation, ...]:
        if model == "broken":
            raise KeyError("secret detail")
        return (Operation.TEXT,) if model in ("claude-x", "m/y", "a%20b") else ()


class Caller:
    """Sends what it is told to, and keeps what comes back."""

    def __init__(
        self,
        method: str = "POST",
        path: str = "/v1/messages",
        *,
        query: bytes = b"",
        headers: Sequence[tuple[str, str]] | Mapping[str, str] = (),
        messages: Sequence[Mapping[str, Any]] = ({"type": "http.request", "body": b"{}"},),
    ) -> None:
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if method == "POST" and not any(name == "x-api-key" for name, _ in pairs):
            pairs.append(("x-api-key", KEY))  # whoever has no key is turned away before its body is read
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
        }
        self.sent: list[dict[str, Any]] = []
        self.answered = asyncio.Event()
        self._coming: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        for message in messages:
            self._coming.put_nowait(message)

    def leave(self) -> None:
        self._coming.put_nowait(GONE)

    async def receive(self) -> dict[str, Any]:
        return dict(await self._coming.get())

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))
        if message["type"] == "http.response.body":
            self.answered.set()

    async def call(self, house: House) -> Caller:
        await house.door(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        assert self.sent[0]["type"] == "http.response.start"
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        """Each name once, or the test fails."""
        pairs = [(name.decode(), value.decode("latin-1")) for name, value in self.sent[0]["headers"]]
        assert len(pairs) == len(dict(pairs)), pairs
        return dict(pairs)

    @property
    def body(self) -> bytes:
        assert [message["type"] for message in self.sent[1:]] == ["http.response.body"] * (len(self.sent) - 1)
        assert [bool(message.get("more_body")) for message in self.sent[1:]] == [True] * (len(self.sent) - 2) + [False]
        return b"".join(message["body"] for message in self.sent[1:])
