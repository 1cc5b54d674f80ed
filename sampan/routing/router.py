"""Walks a plan: permit, slot, one attempt; a fault before the first content moves on to the next target.

The first content event is the point of no return: until then nothing has reached the caller. After it, a fault is
raised as `Interrupted`, so that the caller gets an error event and never a clean end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from sampan.core import Attempt, Call, Event, Fault, Operation, Target, Upstream
from sampan.errors import Interrupted, Rejected, TargetFault, Unavailable
from sampan.routing.breaker import Breaker
from sampan.routing.bulkhead import Bulkhead

HELD_LIMIT = 1024 * 1024  # bytes of opening frames that wait for content: pings need a few hundred


@dataclass(slots=True)
class Trail:
    """What happened to one call so far, for headers, the record and metrics. `target` is the one really answering."""

    attempts: list[Attempt] = field(default_factory=list)
    target: Target | None = None

    def add(self, target: Target, fault: Fault | None) -> None:
        self.attempts.append(Attempt(target.upstream, fault))

    def answered_by(self, target: Target) -> None:
        self.target = target
        self.add(target, None)

    def broke(self, target: Target, fault: Fault) -> None:
        """The target that had begun to answer did not end."""
        self.attempts[-1] = Attempt(target.upstream, fault)

    def __str__(self) -> str:
        return ",".join(map(str, self.attempts))


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands before one upstream."""

    upstream: Upstream
    breakers: Mapping[Operation, Breaker]
    bulkhead: Bulkhead


class Router:
    """Built once per configuration from the guards of its upstreams, by name."""

    def __init__(
        self,
        guards: Mapping[str, Guard],
        attempts: int,
        observe: Callable[[str, Operation, Fault | None], None] = lambda upstream, operation, fault: None,
    ) -> None:
        """`attempts` is the retry budget of one request, over all of its targets."""
        self._guards = guards
        self._attempts = attempts
        self._observe = observe

    async def run(self, call: Call, plan: Sequence[Target], trail: Trail) -> AsyncGenerator[Event, None]:
        """Yields the answer's events, content in the first. Raises `Unavailable`, `Rejected` or `Interrupted`."""
        retry_after: float | None = None
        spent = 0
        for target in plan:
            if spent >= self._attempts:
                break
            try:
                async with aclosing(self._ask(call, target, trail)) as events:
                    async for event in events:
                        yield event
                return
            except TargetFault as error:
                self._observe(target.upstream, call.operation, error.fault)
                if trail.target is not None:
                    trail.broke(target, error.fault)
                    raise Interrupted(
                        f"the answer of {target.upstream} broke off ({error.fault.value}); ask again"
                    ) from error
                trail.add(target, error.fault)
                spent += error.fault not in (Fault.BREAKER_OPEN, Fault.BULKHEAD_FULL)
                if error.retry_after is not None:
                    retry_after = error.retry_after if retry_after is None else min(retry_after, error.retry_after)
        busy = bool(trail.attempts) and trail.attempts[-1].fault is Fault.BULKHEAD_FULL
        raise Unavailable(f"no target could answer: {trail}", retry_after=retry_after, should_retry=busy)

    async def _ask(self, call: Call, target: Target, trail: Trail) -> AsyncGenerator[Event, None]:
        """One attempt, its opening frames held back until there is content."""
        guard = self._guards[target.upstream]
        held: list[Event] = []
        size = 0
        ended = False
        try:
            with guard.bulkhead, guard.breakers[call.operation].permit():
                async with aclosing(guard.upstream.attempt(call, target.model)) as events:
                    async for event in events:
                        ended = event.usage is not None
                        if trail.target is None:
                            held.append(event)
                            size += len(event.data)
                            if not event.content and not ended:
                                if size > HELD_LIMIT:
                                    raise TargetFault(Fault.MALFORMED, f"{size} bytes without content")
                                continue
                            trail.answered_by(target)
                            event = _joined(held)
                        yield event
                if not ended:  # an upstream that keeps its word raises this itself, and says more
                    raise TargetFault(Fault.CUT, "the attempt ended before its answer did")
        except Rejected:
            trail.answered_by(target)
            self._observe(target.upstream, call.operation, None)
            raise
        self._observe(target.upstream, call.operation, None)


def _joined(events: Sequence[Event]) -> Event:
    if len(events) == 1:
        return events[0]
    headers = next((event.headers for event in events if event.headers), ())
    return Event(b"".join(event.data for event in events), events[-1].content, events[-1].usage, headers)
