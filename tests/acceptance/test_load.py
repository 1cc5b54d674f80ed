"""A few hundred calls of every kind at once: all are answered, and what the server holds open stays bounded."""

from __future__ import annotations

import asyncio
import threading

import pytest
from behaviours import answer_text
from callers import SHAPES, ask, clients, draws, messages
from cells import Cell
from clouds import Cloud
from gateway import Gateway, eventually, until

CALLS = 300
AT_ONCE = 8
SPARE = 2 * AT_ONCE + 8  # connections that may stand idle on either side


async def _answered(house: Gateway, calls: int) -> None:
    """All shapes in turn, `AT_ONCE` at a time."""
    shapes = list(SHAPES)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        shape = shapes[number % len(shapes)]
        end = "draw" if draws(shape) else "talk"
        async with places:
            told = await ask(sdk, shape, f"good-{end}-model")
        assert told.content == ("picture" if end == "draw" else answer_text("good-talk"))
        assert told.attempts == f"good-{end}=ok"

    async with clients(house) as sdk:
        await asyncio.gather(*(one(number) for number in range(calls)))


async def test_open_files_and_calls_stay_bounded(house: Gateway, cloud: Cloud) -> None:
    for end in ("talk", "draw"):
        cloud.cell(f"good-{end}").behaviour = "healthy"
    await _answered(house, AT_ONCE * len(SHAPES))
    before = house.open_files
    await _answered(house, CALLS)
    eventually(lambda: house.open_files <= before + SPARE, what=f"no more than {before} + {SPARE} open files")
    eventually(lambda: _open_calls(house) == 0, what="no call to be open")


@pytest.mark.parametrize("leavers", [40])
def test_callers_who_leave_leave_nothing_open(house: Gateway, cloud: Cloud, leavers: int) -> None:
    cell = cloud.cell("middle-talk")
    cell.behaviour = "gated_middle"
    cell.gate.clear()
    before = house.open_files
    body = {"model": "middle-talk-model", "max_tokens": 9, "messages": messages(False), "stream": True}
    socks = [house.connect("/v1/messages", body) for _ in range(leavers)]
    for sock in socks:
        until(sock, b"content_block_delta")
    assert _open_calls(house) >= leavers
    for sock in socks:
        sock.close()
    eventually(lambda: house.open_files <= before + SPARE, 10, "the connections of those who left to be closed")
    eventually(lambda: _open_calls(house) == 0, 10, "their calls to be over")


def test_a_caller_who_does_not_read_stops_the_cloud(house: Gateway, cloud: Cloud) -> None:
    """Backpressure reaches the upstream: what nobody reads is not fetched, so it cannot fill our memory."""
    cell = cloud.cell("middle-talk")
    cell.behaviour = "flood"
    cell.sent = 0
    body = {"model": "middle-talk-model", "max_tokens": 9, "messages": messages(False), "stream": True}
    with house.connect("/v1/messages", body) as sock:
        until(sock, b"content_block_delta")
        stalled = eventually(lambda: _still(cell), what="the cloud to be held back")
        assert stalled < 64 * 1024 * 1024
    cell.behaviour = "healthy"
    eventually(lambda: _open_calls(house) == 0, 10, "the call to be over")


def _still(cell: Cell) -> int:
    """What was sent so far, once nothing more goes out for a while."""
    before = cell.sent
    threading.Event().wait(0.5)
    return before if before and cell.sent == before else 0


def _open_calls(house: Gateway) -> int:
    lines = house.http("GET", "/metrics", key=None).body.decode().splitlines()
    return int(float(next(line.split()[-1] for line in lines if line.startswith("sampan_open_calls "))))
