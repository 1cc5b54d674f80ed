"""Upstreams that do what a script says, and a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from sampan.core import Call, Continuing, Dialect, Event, Fault, Location, Operation, Target, Tier, Usage
from sampan.errors import TargetFault


class Clock:
    """Seconds that pass only when told."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Gate:
    """A step that lasts until the test opens it; `reached` tells the test that somebody stands before it."""

    def __init__(self, *, opened: bool = False) -> None:
        self._opened = asyncio.Event()
        self._reached = asyncio.Event()
        if opened:
            self.open()

    def open(self) -> None:
        self._opened.set()

    async def reached(self) -> None:
        await asyncio.wait_for(self._reached.wait(), 10)

    async def passed(self) -> None:
        self._reached.set()
        await self._opened.wait()


Step = Event | Gate | Exception

START = Event(b'event: message_start\ndata: {"type":"message_start"}\n\n', headers=(("x-ratelimit-limit", "7"),))
PING = Event(b'event: ping\ndata: {"type":"ping"}\n\n')
HEL = Event(b'event: content_block_delta\ndata: {"hel"}\n\n', content=True)
LO = Event(b'event: content_block_delta\ndata: {"lo"}\n\n', content=True)
STOP = Event(b'event: message_stop\ndata: {"type":"message_stop"}\n\n', usage=Usage(12, 3))
WHOLE = Event(b'{"type":"message"}', content=True, usage=Usage(12, 3), headers=(("x-ratelimit-limit", "7"),))
STREAM = (START, PING, HEL, LO, STOP)


def fault(kind: Fault, retry_after: float | None = None) -> TargetFault:
    return TargetFault(kind, "by the script", retry_after=retry_after)


class Scripted:
    """Does the steps of its next script at each attempt, the last script again and again, and notes how it ended."""

    def __init__(
        self,
        name: str,
        *scripts: Sequence[Step],
        probes: Sequence[Fault | None] = (),
        continues: Continuing = Continuing.NO,
    ) -> None:
        self.name = name
        self.continues = continues
        self.asked: list[tuple[Call, str | None]] = []
        self.ends: list[str] = []
        self.over = asyncio.Event()  # an attempt has ended, whichever way
        self.probed = 0
        self.looked = asyncio.Event()
        self._scripts = list(scripts)
        self._probes = list(probes)

    async def fetch(self, call: Call, model: str | None) -> Event:
        async with aclosing(self.attempt(call, model)) as events:
            found = [event async for event in events]
        return found[-1] if found else Event(b"")

    async def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        self.asked.append((call, model))
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            for step in script:
                if isinstance(step, Gate):
                    await step.passed()
                elif isinstance(step, Event):
                    yield step
                else:
                    raise step
        except Exception as error:
            self.ends.append(type(error).__name__)
            raise
        except BaseException:
            self.ends.append("closed")
            raise
        else:
            self.ends.append("ended")
        finally:
            self.over.set()

    async def probe(self) -> None:
        self.probed += 1
        self.looked.set()
        seen = self._probes.pop(0) if self._probes else None
        if seen is not None:
            raise fault(seen)


def target(name: str, model: str | None = None) -> Target:
    return Target(name, model, Dialect.ANTHROPIC, Location.CLOUD, Tier.CLOUD)


def call(model: str = "claude-x", operation: Operation = Operation.TEXT, *, stream: bool = True) -> Call:
    return Call(Dialect.ANTHROPIC, operation, model, "/v1/messages", b"{}", "application/json", stream)
