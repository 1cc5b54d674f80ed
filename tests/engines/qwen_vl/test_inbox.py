"""From the model's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading

from sampan.engines.qwen_vl.inbox import Inbox


async def test_everything_arrives_in_its_order_and_wakes_the_loop_seldom() -> None:
    inbox: Inbox[int] = Inbox()
    count = 20_000

    def put() -> None:
        for number in range(count):
            inbox.put(number)

    thread = threading.Thread(target=put)
    thread.start()
    got: list[int] = []
    while len(got) < count:
        got += await inbox.take()
    thread.join()
    assert got == list(range(count))


async def test_what_lies_there_is_taken_at_once() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    inbox.put(2)
    assert await inbox.take() == [1, 2]
    waiting = asyncio.ensure_future(inbox.take())
    inbox.put(3)
    assert await waiting == [3]


def test_a_loop_that_is_closed_is_nobodys_trouble() -> None:
    async def made() -> Inbox[int]:
        return Inbox()

    inbox = asyncio.run(made())
    inbox.put(1)
    inbox.put(2)
