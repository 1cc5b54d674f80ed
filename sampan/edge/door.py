"""The ASGI application that callers meet: a plain callable, for a framework was measured to cost more than all of it.

It reads a body within its limits, hands it on as an `Incoming`, and sends what comes back. A caller who leaves cancels
everything that was done for it, down to the upstream's socket.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import msgspec

from sampan.core import Actor, Answer, Incoming, Operation
from sampan.dialects import Codec, models
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_images import OpenAIImages
from sampan.errors import CallError, InternalError, InvalidRequest, MethodNotAllowed, NotFound, RequestTooLarge
from sampan.storage.objects import Objects

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("sampan.edge")

MESSAGES = ("/v1/messages", "/v1/messages/count_tokens")
IMAGES = ("/v1/images/generations", "/v1/images/edits")
JSON = ("content-type", "application/json")

# What is read, and thrown away, of a body that was refused.
DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_SECONDS = 2.0
GRACE = 0.02  # seconds before a call is watched for a caller who leaves


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
            await _close_socket(send)
            return
        codec = self._calls.get(scope["path"])
        if codec is not None and scope["method"] == "POST":
            await self._call(scope, receive, send, codec)
        else:
            await self._page(scope, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send, codec: Codec) -> None:
        headers = _headers(scope)
        body = b""
        refusal: CallError | None = None
        try:
            _check_query(scope["query_string"])
            body = await self._read(headers, receive)
        except CallError as error:
            refusal = error
        except Left:
            return
        incoming = Incoming("POST", scope["path"], scope["query_string"].decode("latin-1"), headers, body)
        if refusal is not None:
            await _turn_away(self._rooms.refuse(incoming, codec, refusal), receive, send)
            return
        async with _Watched(receive) as watched:
            await _send(await self._rooms.run(incoming, codec), send, watched)

    async def _read(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limits.size:
            self._too_large()
        pieces: list[bytes] = []
        size = 0
        try:
            with _Deadline(self._limits.seconds):
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
            seconds = self._limits.seconds
            raise InvalidRequest(f"the body did not arrive within {seconds:g} seconds; send it faster") from None

    def _too_large(self) -> NoReturn:
        raise RequestTooLarge(f"the body is over the limit of {self._limits.size:,} bytes; send a smaller one")

    # Pages: what is asked with GET.

    async def _page(self, scope: Scope, send: Send) -> None:
        incoming = Incoming(
            scope["method"], scope["path"], scope["query_string"].decode("latin-1"), _headers(scope), b""
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
            await _send_head(msgspec.structs.replace(answer, headers=headers), send)
        else:
            await _send(msgspec.structs.replace(answer, headers=headers), send)

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


class _Deadline:
    """`asyncio.timeout`, cut down to what a body needs: that one costs a short call a twentieth of its time."""

    __slots__ = ("_late", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._late = False
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        if self._task is not None:
            self._late = True
            self._task.cancel()

    def __enter__(self) -> None:
        """Began when it was made."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        task, self._task = self._task, None
        self._timer.cancel()
        if self._late and kind is asyncio.CancelledError and task is not None and not task.uncancel():
            raise TimeoutError


class _Watched:
    """Cancels the task it was made in when the caller leaves, and keeps that cancellation to itself.

    It starts to watch after `GRACE`: most answers are there by then, and a task for each of them would cost a tenth of
    the whole call.
    """

    __slots__ = ("_left", "_receive", "_task", "_timer", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> _Watched:
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(GRACE, self._start)
        return self

    def _start(self) -> None:
        self._watcher = asyncio.ensure_future(self._watch())

    def done(self) -> None:
        """The whole answer is out: a connection that closes now is a goodbye and no departure."""
        self._task = None
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._left = True
            self._task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        task = self._task
        self.done()
        if self._left and kind is asyncio.CancelledError and task is not None:
            task.uncancel()
            return True
        return False


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name; those of one name are one list (RFC 9110 §5.3)."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if len(headers) != len(scope["headers"]):
        headers.clear()
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _check_query(query: bytes) -> None:
    """It is handed on to upstreams, where a blank or a byte over 127 would break the line that it stands in."""
    if not re.fullmatch(rb"[!-~]*", query):
        raise InvalidRequest("the query has bytes that must be percent-encoded")


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def _send(answer: Answer, send: Send, watched: _Watched | None = None) -> None:
    headers = _raw(answer.headers)
    if isinstance(answer.body, bytes):
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if watched is not None:
            watched.done()
        await send({"type": "http.response.body", "body": answer.body})
        return
    start = {"type": "http.response.start", "status": answer.status, "headers": headers}
    started = False
    async with aclosing(answer.body) as body:
        async for data in body:
            if not started:  # only now: a generator that never ran could not be closed, nor what it holds
                started = True
                await send(start)
            await send({"type": "http.response.body", "body": data, "more_body": True})
    if not started:
        await send(start)
    if watched is not None:
        watched.done()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_head(answer: Answer, send: Send) -> None:
    """The answer to HEAD: what GET would say, without its body."""
    headers = _raw(answer.headers)
    if isinstance(answer.body, bytes):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    else:
        await answer.body.aclose()
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _turn_away(answer: Answer, receive: Receive, send: Send) -> None:
    """Sends a refusal whole, then lets the caller finish its body, within bounds.

    A connection that is closed on bytes which nobody has read is reset, and the refusal may be lost with it.
    """
    assert isinstance(answer.body, bytes)
    headers = _raw((*answer.headers, ("connection", "close"), ("content-length", str(len(answer.body)))))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            left = DRAIN_BYTES
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
                left -= len(message.get("body", b""))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _close_socket(send: Send) -> None:
    """A WebSocket is nothing that we speak."""
    await send({"type": "websocket.close", "code": 1000})
