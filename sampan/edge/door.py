"""The ASGI application that callers meet: a plain callable, for a framework was measured to cost more than all of it.

It reads a body within its limits, hands it on as an `Incoming`, and sends what comes back. A caller who leaves cancels
everything that was done for it, down to the upstream's socket.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import msgspec

from sampan.core import Actor, Answer, Incoming, Operation
from sampan.dialects import Codec, models, sse
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_images import OpenAIImages
from sampan.edge.asgi import (
    Deadline,
    Receive,
    Scope,
    Send,
    Watched,
    close_socket,
    headers_of,
    send_answer,
    send_head,
    turn_away,
)
from sampan.edge.wire import EXTENSION, Exchange
from sampan.errors import CallError, InternalError, InvalidRequest, MethodNotAllowed, NotFound, RequestTooLarge
from sampan.storage.objects import Objects

log = logging.getLogger("sampan.edge")

MESSAGES = ("/v1/messages", "/v1/messages/count_tokens")
IMAGES = ("/v1/images/generations", "/v1/images/edits")
JSON = ("content-type", "application/json")
WAITING = sse.comment("waiting")


@dataclass(frozen=True, slots=True)
class Rooms:
    """What lies behind the door; each is built once, by `app`."""

    run: Callable[[Incoming, Codec], Awaitable[Answer]]
    refuse: Callable[[Incoming, Codec, CallError], Answer]
    authenticate: Callable[[str], Actor]
    models: Callable[[], Mapping[str, tuple[Operation, ...]]]
    operations: Callable[[str], tuple[Operation, ...]]
    readiness: Callable[[], tuple[bool, dict[str, Any]]]
    metrics: Callable[[], bytes]
    objects: Objects
    wall: Callable[[], float]
    keepalive: float
    version: str


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of a body, and seconds that it may take to come."""

    size: int
    seconds: float


class Left(Exception):
    """The caller closed the connection before its body was here."""


class Door:
    """Built once; called by the server for each request."""

    def __init__(self, rooms: Rooms, limits: BodyLimits) -> None:
        self._rooms = rooms
        self._limits = limits
        self._open: set[asyncio.Task[Any]] = set()
        self._interrupted = False
        self._anthropic = Anthropic()
        self._openai = OpenAIImages()
        self._calls: dict[str, Codec] = {path: self._anthropic for path in MESSAGES}
        self._calls |= {path: self._openai for path in IMAGES}
        self._pages: dict[str, Callable[[Incoming], Awaitable[Answer]]] = {
            "/": self._root,
            "/health": self._health,
            "/ready": self._ready,
            "/metrics": self._metrics,
            "/v1/models": self._models,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await close_socket(send)
            return
        codec = self._calls.get(scope["path"])
        if codec is not None and scope["method"] == "POST":
            await self._call(scope, receive, send, codec)
        else:
            await self._page(scope, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send, codec: Codec) -> None:
        headers = headers_of(scope["headers"])
        exchange: Exchange | None = scope.get("extensions", {}).get(EXTENSION)
        body = exchange.take_body() if exchange is not None else None
        refusal: CallError | None = None
        incoming = Incoming("POST", scope["path"], scope["query_string"].decode("latin-1"), headers, body or b"")
        try:
            _check_query(incoming.query)
            if body is None:
                self._rooms.authenticate(incoming.credential)  # strangers' bodies are not worth waiting for
                body = await self._read(headers, receive)
                incoming = msgspec.structs.replace(incoming, body=body)
            elif len(body) > self._limits.size:
                self._too_large()
        except CallError as error:
            refusal = error
        except Left:
            return
        if refusal is not None:
            await turn_away(self._rooms.refuse(incoming, codec, refusal), receive, send)
        elif exchange is not None:
            await self._converse(incoming, codec, exchange)
        else:
            async with Watched(receive) as watched:
                await send_answer(await self._rooms.run(incoming, codec), send, watched)

    # The short way, for `Wire`.

    @property
    def patience(self) -> float:
        """Seconds that a body may take to come."""
        return self._limits.seconds

    def takes(self, path: str) -> bool:
        return path in self._calls

    async def short(self, exchange: Exchange, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
        """Answers a call that is here with its whole body."""
        codec = self._calls[path]
        incoming = Incoming("POST", path, query, headers, body)
        try:
            if len(body) > self._limits.size:
                self._too_large()
            _check_query(query)
        except CallError as error:
            _refuse(self._rooms.refuse(incoming, codec, error), exchange)
            return
        await self._converse(incoming, codec, exchange)

    async def late(self, exchange: Exchange, path: str, query: str, headers: dict[str, str]) -> None:
        """Turns away a caller whose small body did not come in time."""
        incoming = Incoming("POST", path, query, headers, b"")
        _refuse(self._rooms.refuse(incoming, self._calls[path], self._too_late()), exchange)

    async def _converse(self, incoming: Incoming, codec: Codec, exchange: Exchange) -> None:
        """The short way: the connection itself says when the caller leaves, and takes an answer in one write."""
        task = asyncio.current_task()
        assert task is not None
        exchange.left = task.cancel
        self._open.add(task)
        try:
            answer = await self._rooms.run(incoming, codec)
            headers = _lines(answer)
            if isinstance(answer.body, bytes):
                exchange.answer(answer.status, headers, answer.body)
            else:
                await self._stream(answer.status, headers, answer.body, exchange)
        except asyncio.CancelledError:
            if not (exchange.departed or self._interrupted):
                raise
            task.uncancel()
        finally:
            self._open.discard(task)
            exchange.close()

    async def _stream(
        self, status: int, headers: bytes, pieces: AsyncGenerator[bytes, None], exchange: Exchange
    ) -> None:
        started = False
        async with aclosing(pieces):
            async for data in pieces:
                if not started:  # only now: a generator that never ran could not be closed, nor what it holds
                    started = True
                    exchange.begin(status, headers, WAITING, self._rooms.keepalive)
                await exchange.write(data)
        exchange.end()

    def interrupt(self) -> None:
        """Cancels every call that is still open: the server stops, and has waited long enough."""
        self._interrupted = True
        for task in self._open:
            task.cancel()

    async def _read(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limits.size:
            self._too_large()
        pieces: list[bytes] = []
        size = 0
        try:
            with Deadline(self._limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Left
                    piece = message.get("body", b"")
                    size += len(piece)
                    if size > self._limits.size:
                        self._too_large()
                    if not message.get("more_body", False):
                        return b"".join((*pieces, piece)) if pieces else piece
                    pieces.append(piece)
        except TimeoutError:
            raise self._too_late() from None

    def _too_late(self) -> InvalidRequest:
        return InvalidRequest(f"the body did not arrive within {self._limits.seconds:g} seconds; send it faster")

    def _too_large(self) -> NoReturn:
        raise RequestTooLarge(f"the body is over the limit of {self._limits.size:,} bytes; send a smaller one")

    # Pages: what is asked with GET.

    async def _page(self, scope: Scope, send: Send) -> None:
        incoming = Incoming(
            scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers_of(scope["headers"]), b""
        )
        request_id = "req_" + secrets.token_hex(12)
        try:
            answer = await self._find(incoming)
        except CallError as error:
            answer = self._error(incoming, error, request_id)
        except Exception:
            log.exception("page %s failed by a mistake of ours", request_id)
            mistake = InternalError("an internal error; the log has it under this request id")
            answer = self._error(incoming, mistake, request_id)
        headers = (*answer.headers, ("request-id", request_id), ("x-request-id", request_id))
        if incoming.method == "HEAD":
            await send_head(msgspec.structs.replace(answer, headers=headers), send)
        else:
            await send_answer(msgspec.structs.replace(answer, headers=headers), send)

    async def _find(self, incoming: Incoming) -> Answer:
        path = incoming.path
        page = self._pages.get(path)
        if path.startswith("/v1/models/"):
            page = self._model
        elif path.startswith("/artifacts/"):
            page = self._artifact
        if page is None and path not in self._calls:
            raise NotFound(f"there is nothing at {path[:200]}")
        if page is None or incoming.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"this path takes {self._allowed(path)} only")
        return await page(incoming)

    def _error(self, incoming: Incoming, error: CallError, request_id: str) -> Answer:
        codec: Codec = self._anthropic if _is_anthropic(incoming) else self._openai
        headers = [JSON]
        if isinstance(error, MethodNotAllowed):
            headers.append(("allow", self._allowed(incoming.path)))
        return Answer(codec.status(error), tuple(headers), codec.error(error, request_id))

    def _allowed(self, path: str) -> str:
        return "POST" if path in self._calls else "GET, HEAD"

    async def _root(self, incoming: Incoming) -> Answer:
        said = {"name": "Sampan", "version": self._rooms.version, "ready": "/ready", "models": "/v1/models"}
        return Answer(200, (JSON,), msgspec.json.encode(said))

    async def _health(self, incoming: Incoming) -> Answer:
        return Answer(200, (JSON,), msgspec.json.encode({"status": "ok", "version": self._rooms.version}))

    async def _ready(self, incoming: Incoming) -> Answer:
        ready, said = self._rooms.readiness()
        return Answer(200 if ready else 503, (JSON,), msgspec.json.encode({"ready": ready, **said}))

    async def _metrics(self, incoming: Incoming) -> Answer:
        return Answer(200, (("content-type", "text/plain; version=0.0.4; charset=utf-8"),), self._rooms.metrics())

    async def _models(self, incoming: Incoming) -> Answer:
        self._rooms.authenticate(incoming.credential)
        query = dict(parse_qsl(incoming.query))
        body = models.listing(self._rooms.models(), query, anthropic=_is_anthropic(incoming))
        return Answer(200, (JSON,), body)

    async def _model(self, incoming: Incoming) -> Answer:
        self._rooms.authenticate(incoming.credential)
        name = incoming.path.removeprefix("/v1/models/")
        body = models.one(name, self._rooms.operations(name), anthropic=_is_anthropic(incoming))
        return Answer(200, (JSON,), body)

    async def _artifact(self, incoming: Incoming) -> Answer:
        now = self._rooms.wall()
        link = self._rooms.objects.verify(incoming.path, incoming.query, now)
        artifact = await self._rooms.objects.find(link.sha256)
        headers = (
            ("content-type", link.media_type),
            ("content-length", str(artifact.size)),
            ("cache-control", f"private, max-age={max(0, int(link.expires - now))}, immutable"),
            ("etag", f'"{link.sha256}"'),
            ("x-content-type-options", "nosniff"),
        )
        return Answer(200, headers, self._rooms.objects.stream(link.sha256))


def _is_anthropic(incoming: Incoming) -> bool:
    """Which dialect a caller of a shared path speaks: Anthropic's SDK always names its version."""
    return "anthropic-version" in incoming.headers or "x-api-key" in incoming.headers or incoming.path in MESSAGES


def _lines(answer: Answer) -> bytes:
    """The answer's headers as they stand in its head."""
    return "".join([f"{name}: {value}\r\n" for name, value in answer.headers]).encode("latin-1", "replace")


def _refuse(answer: Answer, exchange: Exchange) -> None:
    assert isinstance(answer.body, bytes)
    exchange.answer(answer.status, _lines(answer), answer.body)


def _check_query(query: str) -> None:
    """It is handed on to upstreams, where a blank or a byte over 127 would break the line that it stands in."""
    if query and not re.fullmatch(r"[!-~]*", query):
        raise InvalidRequest("the query has bytes that must be percent-encoded")
