"""A call's way in and out in ASGI messages: headers, a body's deadline, callers who leave, answers and refusals.

Specification: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from contextlib import aclosing, suppress
from typing import Any

from sampan.core import Answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

GRACE = 0.02  # seconds before a call is watched for a caller who leaves
DRAIN_SECONDS = 2.0
DRAIN_BYTES = 64 * 1024 * 1024


class Deadline:
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


class Watched:
    """Cancels the task it was made in when the caller leaves, and keeps that cancellation to itself.

    It starts to watch after `GRACE`: most answers are there by then, and a task for each of them would cost a tenth of
    the whole call.
    """

    __slots__ = ("_left", "_receive", "_task", "_timer", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watched:
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


def headers_of(pairs: Collection[tuple[bytes, bytes]]) -> dict[str, str]:
    """By lower-case name; those of one name are one list (RFC 9110 §5.3)."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
    if len(headers) != len(pairs):
        headers.clear()
        for raw_name, raw_value in pairs:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def send_answer(answer: Answer, send: Send, watched: Watched | None = None) -> None:
    headers = raw(answer.headers)
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


async def send_head(answer: Answer, send: Send) -> None:
    """The answer to HEAD: what GET would say, without its body."""
    headers = raw(answer.headers)
    if isinstance(answer.body, bytes):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    else:
        await answer.body.aclose()
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def turn_away(answer: Answer, receive: Receive, send: Send) -> None:
    """Sends a refusal whole, then lets the caller finish its body, within bounds.

    A connection that is closed on bytes which nobody has read is reset, and the refusal may be lost with it.
    """
    assert isinstance(answer.body, bytes)
    headers = raw((*answer.headers, ("connection", "close"), ("content-length", str(len(answer.body)))))
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


async def close_socket(send: Send) -> None:
    """A WebSocket is nothing that we speak."""
    await send({"type": "websocket.close", "code": 1000})
