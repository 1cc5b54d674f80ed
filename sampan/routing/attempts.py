"""One attempt at one target, through its bulkhead and its breaker: whole, or as a stream whose opening is held back."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from sampan.core import Call, Event, Fault, Operation, Outcome, Target, Upstream
from sampan.errors import TargetFault
from sampan.routing.breaker import Breaker, Permit, State
from sampan.routing.bulkhead import Bulkhead, Slot
from sampan.routing.hedging import Latencies

HELD_LIMIT = 1024 * 1024  # bytes of opening frames that wait for content: pings need a few hundred


Ask = Callable[[Call, str | None, Callable[[Outcome], None]], Callable[[], None] | None]
"""`Upstream.fetch` without waiting: calls back with what came of it, and returns how to give it up. None: not this way,
and nothing was sent."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands before one upstream. Without `ask` every call is awaited."""

    upstream: Upstream
    breakers: Mapping[Operation, Breaker]
    bulkhead: Bulkhead
    ask: Ask | None = None


class Errand:
    """One attempt that nobody awaits: holds its slot and its permit until `done` is told what came of it."""

    __slots__ = ("_done", "_permit", "_slot", "give_up")

    def __init__(self, done: Callable[[Outcome], None]) -> None:
        self._done = done

    def take(self, slot: Slot, permit: Permit, give_up: Callable[[], None]) -> None:
        self._slot = slot
        self._permit = permit
        self.give_up = give_up

    def arrived(self, outcome: Outcome) -> None:
        """For the upstream to say."""
        if isinstance(outcome, Event) and outcome.usage is None:
            outcome = _unended()
        if isinstance(outcome, Event):
            self._permit.__exit__(None, None, None)
            self._slot.__exit__(None, None, None)
        elif isinstance(outcome, Exception):
            self._permit.__exit__(type(outcome), outcome, None)
            self._slot.__exit__(type(outcome), outcome, None)
        else:
            self._permit.abandon()
            self._slot.give_back(used=False)
        done = self._done
        del self._done, self.give_up  # which hold on to whoever holds this: not for the collector to untie
        done(outcome)

    def leave(self) -> None:
        """Nobody wants the answer any more."""
        self.give_up()
        self._permit.abandon()
        self._slot.give_back()


def _unended() -> TargetFault:
    """For an upstream that does not keep its word: one that does raises this itself, and says more."""
    return TargetFault(Fault.CUT, "the attempt ended before its answer did")


class Attempts:
    """Makes attempts, and learns how long first events take. It raises what the upstream raises."""

    def __init__(self, guards: Mapping[str, Guard], clock: Callable[[], float] = time.monotonic) -> None:
        self.latencies = Latencies()
        self.clock = clock
        self._guards = guards

    def guard(self, target: Target) -> Guard:
        return self._guards[target.upstream]

    async def _wait(self, guard: Guard, call: Call, place: Coroutine[Any, Any, Slot]) -> Slot:
        """A place, waited for in line; not before an open breaker, where nobody would be let through in the end."""
        state = guard.breakers[call.operation].state
        if state in (State.OPEN, State.ISOLATED):
            place.close()
            raise TargetFault(Fault.BREAKER_OPEN, state.value)
        return await place

    def begin(self, call: Call, target: Target, done: Callable[[Outcome], None]) -> Errand | None:
        """`whole` without waiting, where nothing stands in the way of a call that is simply handed on; else None."""
        guard = self._guards[target.upstream]
        breaker = guard.breakers[call.operation]
        if guard.ask is None or breaker.state is not State.CLOSED or guard.bulkhead.full:
            return None
        errand = Errand(done)
        give_up = guard.ask(call, target.model, errand.arrived)
        if give_up is None:
            return None
        errand.take(guard.bulkhead.lend(), breaker.permit(), give_up)
        return errand

    async def whole(self, call: Call, target: Target) -> Event:
        """The whole answer to a call that does not stream."""
        guard = self._guards[target.upstream]
        slot = guard.bulkhead.enter(call.tenant)
        if not isinstance(slot, Slot):
            slot = await self._wait(guard, call, slot)
        with slot, guard.breakers[call.operation].permit():
            began = self.clock() if target.hedged else 0.0
            event = await guard.upstream.fetch(call, target.model)
            if event.usage is None:
                raise _unended()
            if target.hedged:
                self.latencies.add(target.upstream, call.operation, max(0.0, self.clock() - began))
            return event

    async def stream(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        """The answer's events, content in the first; ends only after the answer did."""
        guard = self._guards[target.upstream]
        held: list[Event] = []
        size = 0
        begun = ended = False
        slot = guard.bulkhead.enter(call.tenant)
        if not isinstance(slot, Slot):
            slot = await self._wait(guard, call, slot)
        with slot, guard.breakers[call.operation].permit():
            began = self.clock() if target.hedged else 0.0
            async with aclosing(guard.upstream.attempt(call, target.model)) as events:
                async for event in events:
                    ended = event.usage is not None
                    if not begun:
                        held.append(event)
                        size += len(event.data)
                        if not event.content and not ended:
                            if size > HELD_LIMIT:
                                raise TargetFault(Fault.MALFORMED, f"{size} bytes without content")
                            continue
                        begun = True
                        if target.hedged:
                            self.latencies.add(target.upstream, call.operation, max(0.0, self.clock() - began))
                        event = _joined(held)
                    yield event
            if not ended:
                raise _unended()


def _joined(events: Sequence[Event]) -> Event:
    if len(events) == 1:
        return events[0]
    headers = next((event.headers for event in events if event.headers), ())
    return Event(b"".join(event.data for event in events), events[-1].content, events[-1].usage, headers)
