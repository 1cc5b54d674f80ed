"""A process that stood still: what arrived meanwhile is read before a clock is believed."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.upstreams.http1 import Clocks, Origin, Pool
from sampan.upstreams.lateness import GRACE, LATE, grace, until

LOOPS = ("asyncio", "uvloop")
CLOCK = 0.05


def stand_still(seconds: float) -> None:
    """Holds the loop, as a process that is stopped does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


def serve_once(listener: socket.socket, asked: threading.Event, go: threading.Event, answers: bool) -> None:
    """A server in a thread: it goes on while the loop stands still."""
    peer, _ = listener.accept()
    with peer:
        peer.recv(65536)
        asked.set()
        go.wait()
        if answers:
            peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        peer.recv(1)


def test_a_clock_on_time_gets_no_grace() -> None:
    assert grace(10.0, 10.0) == 0.0
    assert grace(10.0 + LATE, 10.0) == 0.0
    assert grace(10.0 + LATE * 1.01, 10.0) == GRACE


async def test_what_is_late_for_real_is_late() -> None:
    with pytest.raises(TimeoutError):
        async with until(asyncio.get_running_loop().time() + CLOCK):
            await asyncio.Event().wait()


async def test_what_was_done_while_the_loop_stood_still_is_done() -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    near, far = socket.socketpair()
    with near, far:
        loop.add_reader(near, done.set)
        async with until(loop.time() + CLOCK):
            far.send(b"x")
            stand_still(CLOCK + 2 * LATE)
            await done.wait()
        loop.remove_reader(near)


async def test_what_was_not_done_after_the_loop_stood_still_is_late_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with until(loop.time() + CLOCK):
            stand_still(CLOCK + 2 * LATE)
            await asyncio.Event().wait()


@pytest.mark.parametrize("answers", [True, False])
async def test_an_answer_that_came_while_the_loop_stood_still_is_no_timeout(answers: bool) -> None:
    asked, go = threading.Event(), threading.Event()
    first_event = 1.0
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=serve_once, args=(listener, asked, go, answers), daemon=True).start()
        pool = Pool(Origin.parse(f"http://127.0.0.1:{listener.getsockname()[1]}"), headers={})
        clocks = Clocks(connect=20, first_event=first_event, idle=20, total=60)
        asking = asyncio.ensure_future(pool.request("GET", "/", clocks=clocks))
        try:
            await asyncio.to_thread(asked.wait)
            go.set()
            stand_still(first_event + 2 * LATE)
            if answers:
                assert await (await asking).read(100) == b"hello"
            else:
                with pytest.raises(TargetFault) as caught:
                    await (await asking).read(100)
                assert caught.value.fault is Fault.FIRST_BYTE_TIMEOUT
        finally:
            await pool.aclose()


async def test_a_connection_that_was_made_while_the_loop_stood_still_is_no_timeout() -> None:
    asked, go = threading.Event(), threading.Event()
    go.set()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=serve_once, args=(listener, asked, go, True), daemon=True).start()
        pool = Pool(Origin.parse(f"http://127.0.0.1:{listener.getsockname()[1]}"), headers={})
        asking = asyncio.ensure_future(pool.request("GET", "/", clocks=Clocks(connect=CLOCK, first_event=20)))
        try:
            await asyncio.sleep(0)  # the connect has begun
            stand_still(CLOCK + 2 * LATE)
            assert await (await asking).read(100) == b"hello"
        finally:
            await pool.aclose()
