"""What callers meet: calls are handed on as they came, pages are answered here.

A caller who leaves cancels everything that was done for it, down to the upstream's socket.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

import msgspec

from sampan.config.edge import CorsSettings
from sampan.core import Actor, Answer, Incoming, Operation
from sampan.dialects import Codec, models, sse
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_chat import OpenAIChat
from sampan.dialects.openai_embeddings import OpenAIEmbeddings
from sampan.dialects.openai_images import OpenAIImages
from sampan.dialects.openai_responses import OpenAIResponses
from sampan.edge import openapi
from sampan.edge.artifacts import artifact_answer
from sampan.edge.exchange import Exchange, lines
from sampan.edge.origins import Origins
from sampan.edge.paging import speaks_anthropic
from sampan.edge.wire import SMALL_BODY
from sampan.errors import CallError, InternalError, InvalidRequest, MethodNotAllowed, NotFound, RequestTooLarge
from sampan.storage.objects import Objects

log = logging.getLogger("sampan.edge")

MESSAGES = ("/v1/messages", "/v1/messages/count_tokens")
CHAT = ("/v1/chat/completions",)
RESPONSES = ("/v1/responses",)
EMBEDDINGS = ("/v1/embeddings",)
IMAGES = ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations")
JSON = ("content-type", "application/json")
WAITING = sse.comment("waiting")
VISIBLE = re.compile(r"[!-~]*")
PRIVATE = frozenset({"admin", "auth"})
"""Where pages stand that no cache on the way may keep."""

# What a page of HTML may do that says nothing of it: show and run what is ours, and stand in nobody's frame.
HTML = (
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
)


class Shelf(Protocol):
    """Pages that belong together, behind a key."""

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        ...

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """Raises `CallError`."""
        ...


class Foyer(Protocol):
    """Pages that belong together and that strangers may open: those by which they come by a key, or a session."""

    def methods(self, path: str) -> tuple[str, ...]:
        """As of a shelf."""
        ...

    async def handle(self, incoming: Incoming) -> Answer:
        """Raises `CallError`."""
        ...


@dataclass(frozen=True, slots=True)
class Rooms:
    """What lies behind the door; each is built once, by `app`."""

    start: Callable[[Incoming, Codec, Exchange], Coroutine[Any, Any, Answer] | None]
    """Answers a call on the exchange; returns what is left to wait for, if anything."""
    refuse: Callable[[Incoming, Codec, CallError], Answer]
    authenticate: Callable[[Incoming], Actor]
    models: Callable[[], Mapping[str, tuple[Operation, ...]]]
    operations: Callable[[str], tuple[Operation, ...]]
    readiness: Callable[[], tuple[bool, dict[str, Any]]]
    metrics: Callable[[], bytes]
    objects: Objects
    shelves: Sequence[tuple[Shelf, int]]
    """Each with the bytes that a body may have there."""
    wall: Callable[[], float]
    keepalive: float
    version: str
    origins: Origins = field(default_factory=lambda: Origins(CorsSettings()))
    foyers: Sequence[Foyer] = ()
    hsts: int = 0
    """Seconds for which browsers are told to come by https only."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of a body, and seconds that it may take to come."""

    size: int
    seconds: float
    rate: float = 0.0
    """Bytes a second that it must bring on average, after its first ten seconds."""


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
        codecs: tuple[tuple[tuple[str, ...], Codec], ...] = (
            (CHAT, OpenAIChat()),
            (RESPONSES, OpenAIResponses()),
            (EMBEDDINGS, OpenAIEmbeddings()),
            (IMAGES, self._openai),
        )
        for paths, codec in codecs:
            self._calls |= dict.fromkeys(paths, codec)
        self._pages: dict[str, Callable[[Incoming], Awaitable[Answer]]] = {
            "/health": self._health,
            "/ready": self._ready,
            "/metrics": self._metrics,
            "/v1/models": self._models,
            openapi.PATH: self._describe,
        }
        self._description = openapi.document(rooms.version)

    def adopt(self, rooms: Rooms, limits: BodyLimits) -> None:
        """What comes from now on is answered by these."""
        self._rooms = rooms
        self._limits = limits

    # Before a call is here.

    @property
    def patience(self) -> float:
        """Seconds that a body may take to come."""
        return self._limits.seconds

    @property
    def pace(self) -> float:
        """Bytes a second that it must bring on average, after its first seconds; 0 for any."""
        return self._limits.rate

    def attire(self, incoming: Incoming) -> bytes:
        """Headers of every answer to this request, lines with their ends: whose pages may read it."""
        return self._rooms.origins.headers(incoming)

    def limit(self, path: str) -> int:
        """Bytes of a body; most pages take none worth speaking of."""
        if path in self._calls:
            return self._limits.size
        return next((size for shelf, size in self._rooms.shelves if shelf.methods(path)), SMALL_BODY)

    def admits(self, incoming: Incoming, length: int, exchange: Exchange) -> bool:
        """Whether a large body is worth waiting for: strangers' are not."""
        try:
            self._rooms.authenticate(incoming)
        except CallError as error:
            self._refuse(incoming, error, exchange)
            return False
        return True

    def too_large(self, incoming: Incoming, exchange: Exchange) -> None:
        limit = self.limit(incoming.path)
        message = f"the body is over the limit of {limit:,} bytes; send a smaller one"
        self._refuse(incoming, RequestTooLarge(message), exchange)

    def too_late(self, incoming: Incoming, exchange: Exchange) -> None:
        message = f"the body did not arrive within {self._limits.seconds:g} seconds; send it faster"
        self._refuse(incoming, InvalidRequest(message), exchange)

    def _refuse(self, incoming: Incoming, error: CallError, exchange: Exchange) -> None:
        codec = self._calls.get(incoming.path)
        if codec is not None and incoming.method == "POST":
            answer = self._rooms.refuse(incoming, codec, error)
        else:
            request_id = _request_id()
            answer = self._dressed(self._error(incoming, error, request_id), incoming, request_id)
        exchange.reply(answer)

    # A call is here.

    def answer(self, incoming: Incoming, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        """Answers on the exchange, as far as that goes without waiting; returns what is left to do."""
        codec = self._calls.get(incoming.path)
        if codec is None or incoming.method != "POST":
            return self.attend(self._page(incoming), exchange, b"")
        query = incoming.query
        if query and not VISIBLE.fullmatch(query):
            # It is handed on to upstreams, where a blank or a byte over 127 would break the line that it stands in.
            return self._refuse_query(incoming, exchange)
        rest = self._rooms.start(incoming, codec, exchange)
        return None if rest is None else self.attend(rest, exchange)

    async def _refuse_query(self, incoming: Incoming, exchange: Exchange) -> None:
        self._refuse(incoming, InvalidRequest("the query has bytes that must be percent-encoded"), exchange)

    async def attend(self, rest: Coroutine[Any, Any, Answer], exchange: Exchange, comment: bytes = WAITING) -> None:
        """Waits for an answer and sends it; the connection itself says when the caller leaves."""
        task = asyncio.current_task()
        assert task is not None
        exchange.left = task.cancel
        self._open.add(task)
        if exchange.departed:
            task.cancel()  # `rest` may hold something already, and is to hear of it
        try:
            await self._send(await rest, exchange, comment)
        except asyncio.CancelledError:
            if not (exchange.departed or self._interrupted):
                raise
            task.uncancel()
        finally:
            self._open.discard(task)
            exchange.close()

    async def _send(self, answer: Answer, exchange: Exchange, comment: bytes) -> None:
        """`comment` fills a stream's silences, where it is one that has comments."""
        body = answer.body
        if isinstance(body, bytes):
            exchange.reply(answer)
            return
        started = False
        async with aclosing(body) as pieces:
            async for data in pieces:
                if not started:  # only now: a generator that never ran could not be closed, nor what it holds
                    started = True
                    exchange.begin(answer.status, lines(answer), comment, self._rooms.keepalive)
                if exchange.bodiless:
                    break
                await exchange.write(data)
        if not started:
            exchange.begin(answer.status, lines(answer), b"", 0.0)
        exchange.end()

    def interrupt(self) -> None:
        """Cancels every call that is still open: the server stops, and has waited long enough."""
        self._interrupted = True
        for task in self._open:
            task.cancel()

    # Pages: what is asked with GET.

    async def _page(self, incoming: Incoming) -> Answer:
        request_id = _request_id()
        if "%" in incoming.path:
            incoming = msgspec.structs.replace(incoming, path=unquote(incoming.path))
        try:
            answer = await self._find(incoming)
        except CallError as error:
            answer = self._error(incoming, error, request_id)
        except Exception:
            log.exception("page %s failed by a mistake of ours", request_id)
            mistake = InternalError("an internal error; the log has it under this request id")
            answer = self._error(incoming, mistake, request_id)
        return self._dressed(answer, incoming, request_id)

    def _dressed(self, answer: Answer, incoming: Incoming, request_id: str) -> Answer:
        """A page with its id, where either SDK looks for it, and with what browsers are told that it does not say."""
        told = [("request-id", request_id), ("x-request-id", request_id)]
        told += [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
        if self._rooms.hsts:
            told.append(("strict-transport-security", f"max-age={self._rooms.hsts}"))
        if incoming.path[1:].partition("/")[0] in PRIVATE:
            told.append(("cache-control", "no-store"))
        said = {name.lower(): value for name, value in answer.headers}
        if said.get("content-type", "").startswith("text/html"):
            told += HTML
        more = tuple(each for each in told if each[0] not in said)
        return msgspec.structs.replace(answer, headers=(*answer.headers, *more))

    async def _find(self, incoming: Incoming) -> Answer:
        path = incoming.path
        if self._rooms.origins.asks(incoming):
            return self._rooms.origins.answer(incoming)
        page = self._pages.get(path)
        if path.startswith("/v1/models/"):
            page = self._model
        elif path.startswith("/artifacts/"):
            page = self._artifact
        if page is not None and incoming.method in ("GET", "HEAD"):
            return await page(incoming)
        for foyer in self._rooms.foyers:
            if incoming.method in foyer.methods(path):
                return await foyer.handle(incoming)
        for shelf, _ in self._rooms.shelves:
            if incoming.method in shelf.methods(path):
                return await shelf.handle(incoming, self._rooms.authenticate(incoming))
        allowed = self._allowed(path)
        if not allowed and page is None:
            raise NotFound(f"there is nothing at {path[:200]}")
        raise MethodNotAllowed(f"this path takes {allowed or 'GET, HEAD'} only")

    def _error(self, incoming: Incoming, error: CallError, request_id: str) -> Answer:
        codec: Codec = self._anthropic if _is_anthropic(incoming) else self._openai
        headers = [JSON]
        if isinstance(error, MethodNotAllowed):
            headers.append(("allow", self._allowed(incoming.path) or "GET, HEAD"))
        return Answer(codec.status(error), tuple(headers), codec.error(error, request_id))

    def _allowed(self, path: str) -> str:
        if path in self._calls:
            return "POST"
        pages: list[Shelf | Foyer] = [*self._rooms.foyers, *(shelf for shelf, _ in self._rooms.shelves)]
        return ", ".join(next((found for each in pages if (found := each.methods(path))), ()))

    async def _health(self, incoming: Incoming) -> Answer:
        return Answer(200, (JSON,), msgspec.json.encode({"status": "ok", "version": self._rooms.version}))

    async def _ready(self, incoming: Incoming) -> Answer:
        ready, said = self._rooms.readiness()
        return Answer(200 if ready else 503, (JSON,), msgspec.json.encode({"ready": ready, **said}))

    async def _metrics(self, incoming: Incoming) -> Answer:
        return Answer(200, (("content-type", "text/plain; version=0.0.4; charset=utf-8"),), self._rooms.metrics())

    async def _describe(self, incoming: Incoming) -> Answer:
        return Answer(200, (JSON,), self._description)

    async def _models(self, incoming: Incoming) -> Answer:
        self._rooms.authenticate(incoming)
        query = dict(parse_qsl(incoming.query))
        body = models.listing(self._rooms.models(), query, anthropic=_is_anthropic(incoming))
        return Answer(200, (JSON,), body)

    async def _model(self, incoming: Incoming) -> Answer:
        self._rooms.authenticate(incoming)
        name = incoming.path.removeprefix("/v1/models/")
        body = models.one(name, self._rooms.operations(name), anthropic=_is_anthropic(incoming))
        return Answer(200, (JSON,), body)

    async def _artifact(self, incoming: Incoming) -> Answer:
        return await artifact_answer(self._rooms.objects, incoming, self._rooms.wall())


def _is_anthropic(incoming: Incoming) -> bool:
    """Whose errors a caller of this path expects."""
    return speaks_anthropic(incoming) or incoming.path.startswith(MESSAGES)


def _request_id() -> str:
    return "req_" + secrets.token_hex(12)
