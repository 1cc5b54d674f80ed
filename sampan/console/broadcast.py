"""One look a second for everybody who watches, and none while nobody does: the same bytes go to all of them.

Events are those of https://html.spec.whatwg.org/multipage/server-sent-events.html: first a `snapshot`, an object of
sections, then `change` with the sections that differ from what was told before. Of the section `moments` a change holds
what is new or has changed; they are known by their `id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

EVERY = 1.0
"""Seconds between two looks."""
BEAT = 15.0
"""Seconds of silence after which a watcher is asked whether it is still there."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. `sections` and `moments` are JSON, `moments` all of them, `news` those since the look before.

    `mark` is how far the timeline was.
    """

    at: float
    sections: Mapping[str, bytes]
    moments: bytes = b"[]"
    news: bytes = b""
    mark: int = 0


@dataclass(slots=True)
class _Told:
    """What is known to everybody, and the event that made it so."""

    number: int = 0
    sight: Sight | None = None
    event: bytes = b""
    next: asyncio.Event = field(default_factory=asyncio.Event)


class Broadcast:
    """`look` is asked for what is to be seen, at most every `EVERY` seconds while somebody watches.

    It is told the `mark` of the last one.
    """

    def __init__(
        self,
        look: Callable[[int], Awaitable[Sight]],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        beat: float = BEAT,
    ) -> None:
        self._look = look
        self._clock = clock
        self._sleep = sleep
        self._beat = beat
        self._told = _Told()
        self._looked = float("-inf")
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.watchers = 0

    @property
    def busy(self) -> bool:
        """Whether somebody looks."""
        return self._task is not None and not self._task.done()

    async def snapshot(self) -> bytes:
        """Everything, as JSON; not older than `EVERY` seconds."""
        await self._renew()
        return self._whole()

    async def watch(self) -> AsyncGenerator[bytes, None]:
        """Events for one watcher, for as long as it listens; nothing (`b""`) after each `beat` seconds of silence.

        One that is too slow for every change is sent a snapshot instead of those that it missed.
        """
        self.watchers += 1
        try:
            await self._renew()
            if not self.busy and not self._closed:
                self._task = asyncio.create_task(self._run())
            number = self._told.number
            yield event("snapshot", self._whole())
            while not self._closed:
                told = self._told
                if told.number == number:
                    try:
                        async with asyncio.timeout(self._beat):
                            await told.next.wait()
                    except TimeoutError:
                        yield b""
                    continue
                missed = told.number != number + 1
                number = told.number
                yield event("snapshot", self._whole()) if missed else told.event
        finally:
            self.watchers -= 1
            if not self.watchers and self._task is not None:
                self._task.cancel()
                self._task = None

    def close(self) -> None:
        """The server ends: nobody is kept waiting."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._told.next.set()

    async def _run(self) -> None:
        while True:
            await self._sleep(EVERY)
            await self._renew()

    async def _renew(self) -> None:
        """Looks again where the last look is too old. Whoever asks meanwhile gets the same."""
        async with self._turn:
            now = self._clock()
            if now - self._looked < EVERY * 0.9:
                return
            self._looked = now
            before = self._told.sight
            sight = await self._look(before.mark if before else 0)
            told = _Told(self._told.number, sight)
            changes = b"" if before is None else _changes(before, sight)
            if before is not None and not changes:
                self._told.sight = sight
                return
            told.number += 1
            told.event = event("change", changes)
            last, self._told = self._told, told
            last.next.set()

    def _whole(self) -> bytes:
        sight = self._told.sight
        assert sight is not None
        return _object({"at": b"%.3f" % sight.at, **sight.sections, "moments": sight.moments})


def event(name: str, data: bytes) -> bytes:
    """One event; `data` is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _changes(before: Sight, now: Sight) -> bytes:
    """The sections that differ; nothing where none does."""
    changed = {name: data for name, data in now.sections.items() if before.sections.get(name) != data}
    if now.news:
        changed["moments"] = now.news
    return _object({"at": b"%.3f" % now.at, **changed}) if changed else b""


def _object(members: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), data) for name, data in members.items()) + b"}"
