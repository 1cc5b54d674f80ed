"""One upstream with two releases behind it: a share of the calls goes to the one that is being promoted.

A bad release costs no call. What it cannot answer, or refuses, before its first content the release before it answers;
a text that it breaks off the release before it goes on with, where it can. What is left is the router's business, as
any other broken answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from sampan.core import Call, Continuing, Event, Fault, Upstream, Usage
from sampan.dialects.handover import Seam, seam
from sampan.errors import Rejected, TargetFault

HELD_LIMIT = 1000  # events before the first content: a ping each second of a long wait
SAID_LIMIT = 1024 * 1024  # bytes of a stream that are kept so that the other release can go on with it
_WHOLE = 1_000_000  # shares are counted in millionths: ten tenths of floating point are less than one


@dataclass(slots=True)
class Lineup:
    """Which releases of an engine are in the line. The one place where that is known; changed on the event loop only.

    `stable` and `candidate` are names of processes, `share` (0 to 1) what part of the calls the candidate is given,
    `calls` and `faults` what came of those, `last_fault` the last of these in words.
    """

    stable: str
    candidate: str = ""
    share: float = 0.0
    calls: int = 0
    faults: int = 0
    last_fault: str = ""
    _owed: int = field(default=0, repr=False)
    _open: Counter[str] = field(default_factory=Counter, repr=False)

    def choose(self) -> str:
        """Who is asked next: the first of ten calls at a share of a tenth, and every tenth after it."""
        if not self.candidate:
            return self.stable
        self._owed += round(self.share * _WHOLE)
        if self._owed < _WHOLE:
            return self.stable
        self._owed -= _WHOLE
        return self.candidate

    def propose(self, candidate: str, share: float) -> None:
        """Gives a candidate its share; what it did at another share is forgotten."""
        self.candidate, self.share = candidate, share
        self.calls = self.faults = 0
        self.last_fault = ""
        self._owed = _WHOLE - round(share * _WHOLE)

    def settle(self, stable: str) -> None:
        """Ends it: all calls go to `stable`."""
        self.stable = stable
        self.propose("", 0.0)

    def note(self, process: str, fault: str) -> None:
        """What came of a call, nothing for an answer; one to a process that is no candidate any more does not count."""
        if process != self.candidate:
            return
        self.calls += 1
        if fault:
            self.faults += 1
            self.last_fault = fault

    def enter(self, process: str) -> None:
        """A call begins."""
        self._open[process] += 1

    def leave(self, process: str) -> None:
        """It has ended, however it did."""
        self._open[process] -= 1
        if not self._open[process]:
            del self._open[process]

    def open(self, process: str) -> int:
        """Calls that a process still answers: it is not ended before they are."""
        return self._open[process]


class Process(Upstream, Protocol):
    """One process of an engine, as it is asked."""

    @property
    def models(self) -> tuple[str, ...]:
        """The names that it was seen to know."""
        ...

    async def aclose(self) -> None: ...


class Canary:
    """The upstream of an engine. `build` makes the upstream of one of its processes."""

    def __init__(self, name: str, lineup: Lineup, build: Callable[[str], Process]) -> None:
        self.name = name
        self._lineup = lineup
        self._build = build
        self._upstreams: dict[str, Process] = {}

    @property
    def continues(self) -> Continuing:
        return self._of(self._lineup.stable).continues

    @property
    def models(self) -> tuple[str, ...]:
        return self._of(self._lineup.stable).models

    async def aclose(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.aclose()

    async def probe(self) -> None:
        await self._of(self._lineup.stable).probe()

    async def fetch(self, call: Call, model: str | None) -> Event:
        await self._tidy()
        process = self._lineup.choose()
        if process == self._lineup.stable:
            return await self._fetch(process, call, model)
        try:
            event = await self._fetch(process, call, model)
        except TargetFault as fault:
            self._lineup.note(process, str(fault))
            return await self._fetch(self._lineup.stable, call, model)
        except Rejected as refusal:
            event = await self._fetch(self._lineup.stable, call, model)  # raises where the caller is wrong indeed
            self._lineup.note(process, _refused(refusal))
            return event
        self._lineup.note(process, "")
        return event

    async def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        await self._tidy()
        process = self._lineup.choose()
        refused = ""
        if process != self._lineup.stable:
            said = _Said(call)
            try:
                async with aclosing(self._try(process, call, model)) as events:
                    async for event in events:
                        said.add(event.data)
                        yield event
                return
            except Rejected as refusal:
                refused = _refused(refusal)
            except TargetFault as fault:
                if said.begun:
                    async with aclosing(self._go_on(call, model, said, fault)) as rest:
                        async for event in rest:
                            yield event
                    return
        async with aclosing(self._attempt(self._lineup.stable, call, model)) as events:
            async for event in events:
                if refused:
                    self._lineup.note(process, refused)
                    refused = ""
                yield event

    async def _fetch(self, process: str, call: Call, model: str | None) -> Event:
        self._lineup.enter(process)
        try:
            return await self._of(process).fetch(call, model)
        finally:
            self._lineup.leave(process)

    async def _attempt(self, process: str, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        self._lineup.enter(process)
        try:
            async with aclosing(self._of(process).attempt(call, model)) as events:
                async for event in events:
                    yield event
        finally:
            self._lineup.leave(process)

    async def _try(self, process: str, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        """A candidate's events, none before the first content: until then nobody has seen anything."""
        held: list[Event] = []
        begun = False
        try:
            async with aclosing(self._attempt(process, call, model)) as events:
                async for event in events:
                    held.append(event)
                    begun = begun or event.content or event.usage is not None or len(held) > HELD_LIMIT
                    while begun and held:
                        yield held.pop(0)
        except TargetFault as fault:
            self._lineup.note(process, str(fault))
            raise
        self._lineup.note(process, "")

    async def _go_on(
        self, call: Call, model: str | None, said: _Said, fault: TargetFault
    ) -> AsyncGenerator[Event, None]:
        """The rest of an answer that a candidate broke off. Raises its fault where nobody can go on from there."""
        stable = self._lineup.stable
        continues = self._of(stable).continues
        found = None if continues is Continuing.NO else said.seam(asked=continues is Continuing.ASK)
        if found is None:
            raise fault
        if found.whole:
            yield Event(found.end(), usage=found.usage)
            return
        rest = msgspec.structs.replace(call, partial=found.text)
        try:
            async with aclosing(self._attempt(stable, rest, model)) as events:
                async for event in events:
                    yield _joined(found, event)
        except Rejected:  # it refuses to go on from there: nobody's mistake that the caller could mend
            raise fault from None

    def _of(self, process: str) -> Process:
        upstream = self._upstreams.get(process)
        if upstream is None:
            upstream = self._upstreams[process] = self._build(process)
        return upstream

    async def _tidy(self) -> None:
        """Closes what leads to processes that are out of the line; one that comes back is built anew."""
        if len(self._upstreams) < 2:
            return
        lineup = self._lineup
        for process in list(self._upstreams):
            if process not in (lineup.stable, lineup.candidate) and not lineup.open(process):
                await self._upstreams.pop(process).aclose()


class _Said:
    """What a caller has been sent of a candidate's answer."""

    __slots__ = ("_call", "_frames", "_size", "begun")

    def __init__(self, call: Call) -> None:
        self.begun = False
        self._call = call
        self._frames: list[bytes] = []
        self._size = 0

    def add(self, frames: bytes) -> None:
        self.begun = True
        self._size += len(frames)
        if self._size > SAID_LIMIT:
            self._frames.clear()
        else:
            self._frames.append(frames)

    def seam(self, *, asked: bool) -> Seam | None:
        """Where another goes on with it; None where nobody can. What is a continuation itself is the router's."""
        if self._size > SAID_LIMIT or self._call.partial or not self._call.stream:
            return None
        return seam(self._call.dialect, self._frames, asked=asked)


def _joined(seam: Seam, event: Event) -> Event:
    usage = event.usage
    if usage is not None:
        said = seam.usage
        usage = Usage(usage.input_tokens + said.input_tokens, usage.output_tokens + said.output_tokens)
    return Event(seam.join(event.data), event.content, usage, event.headers)


def _refused(refusal: Rejected) -> str:
    return f"{Fault.MALFORMED.value}: it refuses with {refusal.status} what the release before it answers"
