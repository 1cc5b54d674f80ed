"""Blocking work on the event loop's behalf: bounded before, between and behind."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import fake_engines
import pytest

from sampan.engines.contract import Stopped
from sampan.engines.options import Options
from sampan.engines.server import Shell
from sampan.engines.workers import Workers
from sampan.errors import Unavailable


async def test_pieces_come_in_order_and_errors_come_through() -> None:
    def work(stopped: Stopped) -> Iterator[int]:
        yield from range(500)
        raise KeyError("x")

    got: list[int] = []
    with pytest.raises(KeyError):
        async for piece in Workers(1).run(work):
            got.append(piece)
    assert got == list(range(500))


async def test_an_engine_that_exits_ends_its_call_only() -> None:
    def work(stopped: Stopped) -> Iterator[int]:
        yield 1
        sys.exit(1)

    workers = Workers(1)
    with pytest.raises(RuntimeError, match="SystemExit"):
        assert [piece async for piece in workers.run(work)] == [1]
    assert [piece async for piece in workers.run(lambda stopped: iter([2]))] == [2]


async def test_an_engine_is_not_far_ahead_of_a_slow_caller_and_is_closed_when_that_leaves() -> None:
    made = 0
    closed = threading.Event()

    def work(stopped: Stopped) -> Iterator[int]:
        nonlocal made
        try:
            while True:
                made += 1
                yield made
        finally:
            closed.set()

    async with aclosing(Workers(1).run(work)) as pieces:
        async for piece in pieces:
            assert made - piece <= 66
            if piece == 1000:
                break
    assert await asyncio.to_thread(closed.wait, 10)
    assert made <= 1066


async def test_a_place_is_free_only_when_its_thread_is() -> None:
    go, begun = threading.Event(), threading.Event()

    def stubborn(stopped: Stopped) -> Iterator[int]:
        begun.set()
        go.wait(20)
        yield 1

    workers = Workers(1, waiting=1)
    first = asyncio.ensure_future(anext(workers.run(stubborn)))
    await asyncio.to_thread(begun.wait, 10)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert workers.working == 1  # the caller left, the thread is still busy
    second = asyncio.ensure_future(anext(workers.run(lambda stopped: iter(["done"]))))
    while workers.waiting == 0:
        await asyncio.wait({second}, timeout=0.01)
    with pytest.raises(Unavailable):
        await anext(workers.run(lambda stopped: iter(["never"])))
    go.set()
    assert await asyncio.wait_for(second, 10) == "done"


async def call(shell: Shell, question: str, left: asyncio.Event) -> tuple[int, Any]:
    """One call on the ASGI application itself; its caller goes away when `left` is set."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": question}]}
    incoming = [{"type": "http.request", "body": json.dumps(body).encode()}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await shell({"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}, receive, send)
    return (sent[0]["status"], json.loads(sent[1]["body"])) if sent else (0, None)


async def test_the_bodies_held_at_once_are_bounded() -> None:
    shell = Shell("fake_engines:Talker", Options(threads=2), held=150)
    shell.open(fake_engines.Talker(threads=2))
    left = asyncio.Event()
    first = asyncio.ensure_future(call(shell, "hold", left))
    await asyncio.sleep(0)
    status, said = await call(shell, "say hi", asyncio.Event())
    assert (status, said["error"]["type"]) == (529, "overloaded_error")
    left.set()
    assert await first == (0, None)
    assert (await call(shell, "say hi", asyncio.Event()))[0] == 200
