"""One HTTP exchange on plain ASGI: a body read within its limit, an answer or a stream sent, a caller seen to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias, TypeVar

from sampan.errors import RequestTooLarge

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[str, str]]
T = TypeVar("T")

_STALL = 60.0  # seconds that a caller may send nothing more of its body, or leave our bytes unread, before it is gone


class CallerLeft(Exception):
    """The caller went away, or stopped reading; there is nobody left to answer."""


class Exchange:
    """A request and the answer to it. `started` is true from the answer's first byte on."""

    def __init__(self, scope: Message, receive: Receive, send: Send, *, request_id: str) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.peer = "{}:{}".format(*(scope.get("client") or ("", 0)))  # who sits at the other end of the connection
        self.request_id = request_id
        self.started = False
        self._headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._receive = receive
        self._send = send

    def header(self, name: str) -> str:
        return self._headers.get(name, "")

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises `RequestTooLarge` past `limit` bytes, `CallerLeft` when it ends before its end.

        A body that is too large is still read (and dropped) up to four times the limit: a caller that is cut off
        while it sends sees a broken connection and never the 413.
        """
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await _within(self._receive())
            if message["type"] != "http.request":
                raise CallerLeft
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            else:
                chunks.clear()
            if not message.get("more_body", False):
                break
            if size > 4 * limit:
                break
        if size > limit:
            raise RequestTooLarge(f"the request is larger than {limit // 2**20} MB")
        return b"".join(chunks)

    async def left(self) -> None:
        """Returns when the caller has gone. Only after `body`."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Sends a whole JSON answer."""
        await self._start(status, [("content-type", "application/json"), ("content-length", str(len(body))), *headers])
        await self._write(body, more=False)

    async def start_stream(self) -> None:
        """Begins an answer of server-sent events."""
        stream = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
        await self._start(200, stream)

    async def frame(self, data: bytes) -> None:
        await self._write(data, more=True)

    async def end_stream(self) -> None:
        await self._write(b"", more=False)

    async def _start(self, status: int, headers: Headers) -> None:
        self.started = True
        named = [("request-id", self.request_id), ("x-request-id", self.request_id)]  # as either dialect calls it
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in [*named, *headers]]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _write(self, data: bytes, *, more: bool) -> None:
        await _within(self._send({"type": "http.response.body", "body": data, "more_body": more}))


async def _within(step: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(_STALL):
            return await step
    except TimeoutError:
        raise CallerLeft from None
