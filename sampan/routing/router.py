"""Walks a plan: permit, slot, one attempt; a fault before the first content moves on to the next target.

Until the first content event nothing has reached the caller, and any fault moves on for free. After it, the next target
that can goes on in the same stream (`dialects.handover`); where none can, the fault is raised as `Interrupted`, so that
the caller gets an error event and never a clean end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec

from sampan.core import (
    Attempt,
    Call,
    Continuing,
    Dialect,
    Event,
    Fault,
    Location,
    Operation,
    Target,
    Upstream,
    Usage,
)
from sampan.dialects import sse
from sampan.dialects.handover import OPT_IN, Seam, seam
from sampan.errors import CallError, Interrupted, InvalidRequest, Rejected, TargetFault, Unavailable
from sampan.routing.breaker import Breaker
from sampan.routing.bulkhead import Bulkhead

HELD_LIMIT = 1024 * 1024  # bytes of opening frames that wait for content: pings need a few hundred
SAID_LIMIT = 4 * 1024 * 1024  # bytes of a stream that are kept so that another can go on with it


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


class _Walk:
    """The retry budget of one request: how many targets it may still ask, and when asking again makes sense.

    The budget bounds what a sick cloud costs. A target of one's own is asked even when it is spent: a long list of
    clouds must not hide the one that stands for the outage.
    """

    __slots__ = ("_attempts", "_refusal", "_retry_after", "_spent")

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._spent = 0
        self._retry_after: float | None = None
        self._refusal: InvalidRequest | None = None

    def allows(self, target: Target) -> bool:
        return self._spent < self._attempts or target.location is Location.LOCAL

    def charge(self, error: TargetFault) -> None:
        self._spent += error.fault not in (Fault.BREAKER_OPEN, Fault.BULKHEAD_FULL)
        if error.retry_after is not None:
            known = self._retry_after
            self._retry_after = error.retry_after if known is None else min(known, error.retry_after)

    def unfit(self, error: InvalidRequest) -> None:
        """A target that cannot be given this call: no fault of anybody's, and another may be able to take it."""
        self._refusal = self._refusal or error

    def spent(self, trail: Trail) -> CallError:
        """What the caller is told when nobody is left to ask."""
        refusal = self._refusal
        if refusal is not None and not trail.attempts:
            return refusal
        busy = bool(trail.attempts) and trail.attempts[-1].fault is Fault.BULKHEAD_FULL
        also = f"; another cannot take it: {refusal.message}" if refusal is not None else ""
        message = f"no target could answer: {trail}{also}"
        return Unavailable(message, retry_after=self._retry_after, should_retry=busy)


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
        """`attempts` is the retry budget of one request: the clouds it may really ask."""
        self._guards = guards
        self._attempts = attempts
        self._observe = observe

    async def fetch(self, call: Call, plan: Sequence[Target], trail: Trail) -> Event:
        """The whole answer to a call that does not stream. Raises `Unavailable`, `InvalidRequest` or `Rejected`.

        The same walk as `run` without its generators, which cost a short call more than everything else in it.
        """
        walk = _Walk(self._attempts)
        for target in plan:
            if not walk.allows(target):
                continue
            guard = self._guards[target.upstream]
            try:
                with guard.bulkhead, guard.breakers[call.operation].permit():
                    event = await guard.upstream.fetch(call, target.model)
                    if event.usage is None:
                        raise TargetFault(Fault.CUT, "the attempt ended before its answer did")
            except TargetFault as error:
                self._move_on(call, target, trail, walk, error)
            except InvalidRequest as error:
                walk.unfit(error)
            except Rejected:
                self._answered(call, target, trail)
                raise
            else:
                self._answered(call, target, trail)
                return event
        raise walk.spent(trail)

    async def run(self, call: Call, plan: Sequence[Target], trail: Trail) -> AsyncGenerator[Event, None]:
        """Yields the answer's events, content in the first. Raises `Unavailable`, `Rejected` or `Interrupted`.

        After content was sent, a target that breaks is followed by the next one that can go on where it stopped.
        """
        walk = _Walk(self._attempts)
        said = _Said(call.dialect)
        seam: Seam | None = None
        for position, target in enumerate(plan):
            if not walk.allows(target) or (seam is not None and not self._continues(target)):
                continue
            said.wanted = call.stream and any(map(self._continues, plan[position + 1 :]))
            begun = False
            try:
                async with aclosing(self._ask(call, target, trail, seam)) as events:
                    async for event in events:
                        begun = True
                        said.add(event.data)
                        yield event
                return
            except TargetFault as error:
                if not begun:
                    self._move_on(call, target, trail, walk, error)
                    continue
                self._observe(target.upstream, call.operation, error.fault)
                trail.broke(target, error.fault)
                seam = said.seam(call, target, plan[position + 1 :], self._guards)
                if seam is None:
                    raise _interrupted(target, error) from error
                if seam.whole:
                    yield Event(seam.end(), usage=seam.usage)
                    return
                call = msgspec.structs.replace(call, partial=seam.text)
            except InvalidRequest as error:
                walk.unfit(error)
            except Rejected:
                if seam is None:
                    raise
                # The target refuses to go on from there: nobody's mistake that the caller could mend.
        if seam is not None:
            raise Interrupted(f"the answer broke off and nobody could go on with it ({trail}); ask again")
        raise walk.spent(trail)

    def _continues(self, target: Target) -> bool:
        return self._guards[target.upstream].upstream.continues is not Continuing.NO

    def _move_on(self, call: Call, target: Target, trail: Trail, walk: _Walk, error: TargetFault) -> None:
        self._observe(target.upstream, call.operation, error.fault)
        trail.add(target, error.fault)
        walk.charge(error)

    def _answered(self, call: Call, target: Target, trail: Trail) -> None:
        trail.answered_by(target)
        self._observe(target.upstream, call.operation, None)

    async def _ask(self, call: Call, target: Target, trail: Trail, seam: Seam | None) -> AsyncGenerator[Event, None]:
        """One attempt, its opening frames held back until there is content; joined to what was said before it."""
        guard = self._guards[target.upstream]
        held: list[Event] = []
        size = 0
        begun = ended = False
        try:
            with guard.bulkhead, guard.breakers[call.operation].permit():
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
                            trail.answered_by(target)
                            event = _joined(held)
                            if seam is not None:
                                truth = sse.comment(f"x-sampan-upstream: {target.upstream}; x-sampan-attempts: {trail}")
                                event = _spliced(seam, event, truth)
                        elif seam is not None:
                            event = _spliced(seam, event, b"")
                        yield event
                if not ended:  # an upstream that keeps its word raises this itself, and says more
                    raise TargetFault(Fault.CUT, "the attempt ended before its answer did")
        except Rejected:
            if seam is None:
                self._answered(call, target, trail)
            else:
                trail.add(target, Fault.MALFORMED)
            raise
        self._observe(target.upstream, call.operation, None)


class _Said:
    """What a caller has been sent of an answer, as long as somebody could go on with it."""

    __slots__ = ("_dialect", "_frames", "_size", "wanted")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._frames: list[bytes] | None = []
        self._size = 0
        self.wanted = False

    def add(self, frames: bytes) -> None:
        if self._frames is None:
            return
        self._size += len(frames)
        if not self.wanted or self._size > SAID_LIMIT:
            self._frames = None
        else:
            self._frames.append(frames)

    def seam(self, call: Call, broken: Target, rest: Sequence[Target], guards: Mapping[str, Guard]) -> Seam | None:
        """Where the next of the `rest` that can goes on; None where nobody can."""
        following = [target for target in rest if guards[target.upstream].upstream.continues is not Continuing.NO]
        if self._frames is None or not following:
            return None
        first = following[0]
        announced = OPT_IN in call.headers.get("anthropic-beta", "")
        models = (broken.model or call.model, first.model or call.model) if announced else None
        asked = any(guards[target.upstream].upstream.continues is Continuing.ASK for target in following)
        return seam(self._dialect, self._frames, asked=asked, models=models)


def _interrupted(target: Target, error: TargetFault) -> Interrupted:
    return Interrupted(f"the answer of {target.upstream} broke off ({error.fault.value}); ask again")


def _spliced(seam: Seam, event: Event, before: bytes) -> Event:
    usage = event.usage
    if usage is not None:
        said = seam.usage
        usage = Usage(usage.input_tokens + said.input_tokens, usage.output_tokens + said.output_tokens)
    return Event(before + seam.join(event.data), event.content, usage, event.headers)


def _joined(events: Sequence[Event]) -> Event:
    if len(events) == 1:
        return events[0]
    headers = next((event.headers for event in events if event.headers), ())
    return Event(b"".join(event.data for event in events), events[-1].content, events[-1].usage, headers)
