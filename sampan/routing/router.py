"""Walks a plan: permit, slot, one attempt; a fault before the first content moves on to the next target.

Until the first content event nothing has reached the caller, and any fault moves on for free. After it, the next target
that can goes on in the same stream (`dialects.handover`); where none can, the fault is raised as `Interrupted`, so that
the caller gets an error event and never a clean end.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
    Outcome,
    Target,
    Usage,
)
from sampan.dialects import sse
from sampan.dialects.handover import OPT_IN, Seam, seam
from sampan.errors import CallError, Interrupted, InvalidRequest, Rejected, TargetFault, Unavailable
from sampan.routing.attempts import Attempts, Errand, Guard
from sampan.routing.hedging import race

T = TypeVar("T")
ALL_SAID_LIMIT = 256 * 1024 * 1024
SAID_LIMIT = 4 * 1024 * 1024  # bytes of a stream that are kept so that another can go on with it


@dataclass(slots=True)
class Trail:
    """What happened to one call so far, for headers, the record and metrics. `target` is the one really answering.

    `seams` counts the targets that began the answer and did not end it.
    """

    attempts: list[Attempt] = field(default_factory=list)
    target: Target | None = None
    seams: int = 0

    def add(self, target: Target, fault: Fault | None) -> None:
        self.attempts.append(Attempt(target.upstream, fault))

    def answered_by(self, target: Target) -> None:
        self.target = target
        self.attempts.append(Attempt(target.upstream, None))

    def outrun(self, target: Target) -> None:
        """Another was faster; what this one would have said nobody knows."""
        self.attempts.append(Attempt(target.upstream, None, outrun=True))

    def broke(self, target: Target, fault: Fault) -> None:
        """The target that had begun to answer did not end."""
        self.attempts[-1] = Attempt(target.upstream, fault)
        self.seams += 1

    def __str__(self) -> str:
        attempts = self.attempts
        return str(attempts[0]) if len(attempts) == 1 else ",".join(map(str, attempts))


class _Walk:
    """The retry budget of one request: how many targets it may still ask, and when asking again makes sense.

    The budget bounds what a sick cloud costs. A target of one's own is asked even when it is spent: a long list of
    clouds must not hide the one that stands for the outage.
    """

    __slots__ = ("_attempts", "_done", "_refusal", "_retry_after", "_spent")

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._spent = 0
        self._retry_after: float | None = None
        self._refusal: InvalidRequest | None = None
        self._done: Target | None = None

    def done(self, target: Target) -> None:
        """It was asked beside another, and need not be asked again."""
        self._done = target

    def allows(self, target: Target) -> bool:
        if target is self._done:
            return False
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
        if refusal is not None and (refusal.details is not None or not trail.attempts):
            return refusal  # one with details tells the caller's SDK how to ask so that somebody can answer
        busy = bool(trail.attempts) and trail.attempts[-1].fault is Fault.BULKHEAD_FULL
        also = f"; another cannot take it: {refusal.message}" if refusal is not None else ""
        message = f"no target could answer: {trail}{also}"
        return Unavailable(message, retry_after=self._retry_after, should_retry=busy)


class Router:
    """Built once per configuration from the guards of its upstreams, by name."""

    def __init__(
        self,
        guards: Mapping[str, Guard],
        attempts: int,
        observe: Callable[[str, Operation, Fault | None], None] = lambda upstream, operation, fault: None,
        clock: Callable[[], float] = time.monotonic,
        broke: Callable[[str, Operation, Fault], None] = lambda upstream, operation, fault: None,
    ) -> None:
        """`attempts` is the retry budget of one request: the clouds it may really ask.

        `observe` is told of every attempt, `broke` of those that broke off an answer which its caller had begun to
        read.
        """
        self._guards = guards
        self._budget = attempts
        self._observe = observe
        self._broke = broke
        self._attempts = Attempts(guards, clock)
        self._shelf = _Shelf()

    def begin(self, call: Call, plan: Sequence[Target], done: Callable[[Outcome], None]) -> Errand | None:
        """Asks the first target of a call that does not stream, where that takes no waiting and nothing but handing on.

        `done` is told what came of it: an `Event` belongs to `answered`, anything else to `fetch`. None: nothing began.
        """
        target = plan[0]
        if target.hedged or self._budget < 1:
            return None
        return self._attempts.begin(call, target, done)

    def answered(self, call: Call, target: Target, trail: Trail) -> None:
        """What was begun with `begin` ended well."""
        trail.answered_by(target)
        self._observe(target.upstream, call.operation, None)

    async def fetch(self, call: Call, plan: Sequence[Target], trail: Trail, begun: Exception | None = None) -> Event:
        """The whole answer to a call that does not stream. Raises `Unavailable`, `InvalidRequest` or `Rejected`.

        The same walk as `run` without its generators, which cost a short call more than everything else in it. `begun`
        is how an attempt at the first target failed that was made with `begin`.
        """
        walk = _Walk(self._budget)
        for position, target in enumerate(plan):
            if not walk.allows(target):
                continue
            if target.hedged and (hedge := self._hedge(call, target, plan[position + 1 :], walk)) is not None:
                won = await self._race(call, hedge, trail, walk, self._attempts.whole)
                if won is not None:
                    self._observe(won[0].upstream, call.operation, None)
                    return won[1]
                continue
            try:
                if begun is not None:
                    (failure, begun) = (begun, None)
                    raise failure
                event = await self._attempts.whole(call, target)
            except TargetFault as error:
                self._move_on(call, target, trail, walk, error)
            except InvalidRequest as error:
                walk.unfit(error)
            except Rejected:
                self.answered(call, target, trail)
                raise
            else:
                self.answered(call, target, trail)
                return event
        raise walk.spent(trail)

    async def run(self, call: Call, plan: Sequence[Target], trail: Trail) -> AsyncGenerator[Event, None]:
        """Yields the answer's events, content in the first. Raises `Unavailable`, `Rejected` or `Interrupted`.

        After content was sent, a target that breaks is followed by the next one that can go on where it stopped.
        """
        walk = _Walk(self._budget)
        with closing(_Said(call.dialect, self._shelf)) as said:
            seam: Seam | None = None
            for position, target in enumerate(plan):
                if not self._may_ask(target, walk, seam):
                    continue
                rest = plan[position + 1 :]
                said.wanted = call.stream and any(map(self._continues, rest))
                begun = False
                try:
                    async with aclosing(self._events(call, target, rest, trail, walk, seam)) as events:
                        async for event in events:
                            if not begun and trail.target is not None:
                                begun, target = True, trail.target
                            said.add(event.data)
                            yield event
                    if begun:
                        self._observe(target.upstream, call.operation, None)
                        return
                except TargetFault as error:
                    if not begun:
                        self._move_on(call, target, trail, walk, error)
                        continue
                    self._observe(target.upstream, call.operation, error.fault)
                    self._broke(target.upstream, call.operation, error.fault)
                    trail.broke(target, error.fault)
                    seam = said.seam(call, target, rest, self._guards, error)
                    if seam.whole:
                        yield Event(seam.end(), usage=seam.usage)
                        return
                    call = msgspec.structs.replace(call, partial=seam.text)
                except InvalidRequest as error:
                    walk.unfit(error)
                except Rejected:
                    if seam is None:
                        self.answered(call, target, trail)
                        raise
                    # The target refuses to go on from there: nobody's mistake that the caller could mend.
                    trail.add(target, Fault.MALFORMED)
            raise walk.spent(trail) if seam is None else _nobody_goes_on(trail)

    async def _events(
        self, call: Call, target: Target, rest: Sequence[Target], trail: Trail, walk: _Walk, seam: Seam | None
    ) -> AsyncGenerator[Event, None]:
        """One attempt's events, or those of the faster of two; joined to what was said before. None where both fail."""
        first: Event | None = None
        stream: AsyncGenerator[Event, None]
        if target.hedged and seam is None and (hedge := self._hedge(call, target, rest, walk)) is not None:
            won = await self._race(call, hedge, trail, walk, self._first)
            if won is None:
                return
            stream, first = won[1]
        else:
            stream = self._attempts.stream(call, target)
        async with aclosing(stream):
            if first is not None:
                yield first
            async for event in stream:
                if first is None:
                    first = event
                    trail.answered_by(target)
                    if seam is not None:
                        truth = sse.comment(f"x-sampan-upstream: {target.upstream}; x-sampan-attempts: {trail}")
                        yield _spliced(seam, event, truth)
                        continue
                yield event if seam is None else _spliced(seam, event, b"")

    async def _first(self, call: Call, target: Target) -> tuple[AsyncGenerator[Event, None], Event]:
        """A stream and its first event; closed again where that does not come."""
        stream = self._attempts.stream(call, target)
        try:
            return stream, await anext(stream)
        except BaseException:
            await stream.aclose()
            raise

    # Hedging.

    def _hedge(self, call: Call, target: Target, rest: Sequence[Target], walk: _Walk) -> _Hedge | None:
        """The local target to ask beside `target`, and when; None while nobody knows what is late."""
        delay = self._attempts.latencies.p95(target.upstream, call.operation)
        other = next((each for each in rest if each.location is Location.LOCAL and walk.allows(each)), None)
        return None if delay is None or other is None else _Hedge(target, other, delay)

    async def _race(
        self,
        call: Call,
        hedge: _Hedge,
        trail: Trail,
        walk: _Walk,
        ask: Callable[[Call, Target], Coroutine[Any, Any, T]],
    ) -> tuple[Target, T] | None:
        """Who was faster, and what came of it; None where both failed, which is noted. Raises `Rejected`."""
        began = self._attempts.clock()
        ended = await race(ask(call, hedge.target), hedge.delay, lambda: ask(call, hedge.other))
        winner: Target | None = None
        rejected: Rejected | None = None
        for target, task in ((hedge.target, ended.first), (hedge.other, ended.second)):
            if task is None:
                continue
            if task is ended.winner:
                winner = target
            elif task.cancelled():
                trail.outrun(target)
                self._attempts.latencies.add(target.upstream, call.operation, self._attempts.clock() - began)
            elif isinstance(error := task.exception(), TargetFault):
                self._move_on(call, target, trail, walk, error)
            elif isinstance(error, InvalidRequest):
                walk.unfit(error)
            elif isinstance(error, Rejected):
                rejected = error
            elif error is not None:
                raise error
            else:
                await _let_go(task.result())  # both came at once: one answer is enough
                trail.outrun(target)
            if target is hedge.other:
                walk.done(target)
        if winner is not None and ended.winner is not None:
            trail.answered_by(winner)
            return winner, ended.winner.result()
        if rejected is not None:
            raise rejected
        return None

    def _may_ask(self, target: Target, walk: _Walk, seam: Seam | None) -> bool:
        return walk.allows(target) and (seam is None or self._continues(target))

    def _continues(self, target: Target) -> bool:
        return self._guards[target.upstream].upstream.continues is not Continuing.NO

    def _move_on(self, call: Call, target: Target, trail: Trail, walk: _Walk, error: TargetFault) -> None:
        self._observe(target.upstream, call.operation, error.fault)
        trail.add(target, error.fault)
        walk.charge(error)


@dataclass(frozen=True, slots=True)
class _Hedge:
    """`other` is asked too where `target` has said nothing for `delay` seconds."""

    target: Target
    other: Target
    delay: float


async def _let_go(result: object) -> None:
    if isinstance(result, tuple):
        await result[0].aclose()


class _Shelf:
    """The room for all streams that are kept at once, in bytes: thousands of long ones must not take all memory."""

    __slots__ = ("room",)

    def __init__(self) -> None:
        self.room = ALL_SAID_LIMIT


class _Said:
    """What a caller has been sent of an answer, as long as somebody could go on with it."""

    __slots__ = ("_dialect", "_frames", "_shelf", "_size", "wanted")

    def __init__(self, dialect: Dialect, shelf: _Shelf) -> None:
        self._dialect = dialect
        self._shelf = shelf
        self._frames: list[bytes] | None = []
        self._size = 0
        self.wanted = False

    def add(self, frames: bytes) -> None:
        if self._frames is None:
            return
        if not self.wanted or self._size + len(frames) > SAID_LIMIT or len(frames) > self._shelf.room:
            self.close()
            return
        self._size += len(frames)
        self._shelf.room -= len(frames)
        self._frames.append(frames)

    def close(self) -> None:
        """Nobody will go on with it."""
        self._shelf.room += self._size
        self._size = 0
        self._frames = None

    def seam(
        self, call: Call, broken: Target, rest: Sequence[Target], guards: Mapping[str, Guard], error: TargetFault
    ) -> Seam:
        """Where the next of the `rest` that can goes on. Raises `Interrupted` where nobody can."""
        following = [target for target in rest if guards[target.upstream].upstream.continues is not Continuing.NO]
        told = Interrupted(f"the answer of {broken.upstream} broke off ({error.fault.value}); ask again")
        if self._frames is None or not following:
            raise told from error
        first = following[0]
        announced = OPT_IN in call.headers.get("anthropic-beta", "")
        models = (broken.model or call.model, first.model or call.model) if announced else None
        asked = any(guards[target.upstream].upstream.continues is Continuing.ASK for target in following)
        found = seam(self._dialect, self._frames, asked=asked, models=models)
        if found is None:
            raise told from error
        return found


def _nobody_goes_on(trail: Trail) -> Interrupted:
    return Interrupted(f"the answer broke off and nobody could go on with it ({trail}); ask again")


def _spliced(seam: Seam, event: Event, before: bytes) -> Event:
    usage = event.usage
    if usage is not None:
        said = seam.usage
        usage = Usage(usage.input_tokens + said.input_tokens, usage.output_tokens + said.output_tokens)
    return Event(before + seam.join(event.data), event.content, usage, event.headers)
