"""From the model's thread to the event loop: what is delivered there is taken here, as much as there is at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Belongs to the loop it is made on. However much is put, the loop is woken once for all that it has not taken."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[T] = deque()
        self._filled = asyncio.Event()
        self._rung = False

    def put(self, item: T) -> None:
        """From any thread; never raises, never waits."""
        self._items.append(item)
        if self._rung:
            return
        self._rung = True
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:  # the loop is closed: the process ends, and nobody takes anything any more
            self._items.clear()

    async def take(self) -> list[T]:
        """Waits until there is something, and takes all of it; seldom nothing, when it was taken just before."""
        await self._filled.wait()
        self._filled.clear()
        self._rung = False  # before the items are taken: what comes now rings again, at worst for nothing
        items: list[T] = []
        while self._items:
            items.append(self._items.popleft())
        return items
