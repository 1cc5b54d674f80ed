"""A circuit breaker per (upstream, operation), as a table of states; after failsafe-go's words and states.

    CLOSED ──tripped──▶ OPEN ──cooled──▶ HALF_OPEN ──recovered──▶ CLOSED
                          ▲                  │
                          └─────tripped──────┘            any ──isolated──▶ ISOLATED ──released──▶ CLOSED

A call that began in one era and ends in another says nothing about the new one: model calls outlast breaker delays.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from math import inf
from types import TracebackType

from sampan.core import Fault
from sampan.errors import Rejected, TargetFault


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"


class Signal(StrEnum):
    TRIPPED = "tripped"
    COOLED = "cooled"
    RECOVERED = "recovered"
    ISOLATED = "isolated"
    RELEASED = "released"


TRANSITIONS: dict[tuple[State, Signal], State] = {
    (State.CLOSED, Signal.TRIPPED): State.OPEN,
    (State.OPEN, Signal.COOLED): State.HALF_OPEN,
    (State.HALF_OPEN, Signal.TRIPPED): State.OPEN,
    (State.HALF_OPEN, Signal.RECOVERED): State.CLOSED,
    (State.CLOSED, Signal.ISOLATED): State.ISOLATED,
    (State.OPEN, Signal.ISOLATED): State.ISOLATED,
    (State.HALF_OPEN, Signal.ISOLATED): State.ISOLATED,
    (State.ISOLATED, Signal.RELEASED): State.CLOSED,
}

# These say something about one model or about us, and nothing about the upstream's health.
UNCOUNTED = frozenset({Fault.MODEL_MISSING, Fault.BREAKER_OPEN, Fault.BULKHEAD_FULL})

# How a breaker follows another one of the same upstream: by signals of the table, one after the other.
FOLLOWING: dict[tuple[State, State], tuple[Signal, ...]] = {
    (State.CLOSED, State.OPEN): (Signal.TRIPPED,),
    (State.CLOSED, State.HALF_OPEN): (Signal.TRIPPED, Signal.COOLED),
    (State.CLOSED, State.ISOLATED): (Signal.ISOLATED,),
    (State.OPEN, State.CLOSED): (Signal.COOLED, Signal.RECOVERED),
    (State.OPEN, State.HALF_OPEN): (Signal.COOLED,),
    (State.OPEN, State.ISOLATED): (Signal.ISOLATED,),
    (State.HALF_OPEN, State.CLOSED): (Signal.RECOVERED,),
    (State.HALF_OPEN, State.OPEN): (Signal.TRIPPED,),
    (State.HALF_OPEN, State.ISOLATED): (Signal.ISOLATED,),
    (State.ISOLATED, State.CLOSED): (Signal.RELEASED,),
    (State.ISOLATED, State.OPEN): (Signal.RELEASED, Signal.TRIPPED),
    (State.ISOLATED, State.HALF_OPEN): (Signal.RELEASED, Signal.TRIPPED, Signal.COOLED),
}
# Looked up by name each costs 0.4 µs, and a short call does it a dozen times.
_CLOSED, _OPEN, _HALF_OPEN, _ISOLATED = State.CLOSED, State.OPEN, State.HALF_OPEN, State.ISOLATED


class IllegalTransitionError(RuntimeError):
    """A signal that its state does not know: a mistake of ours."""


class Permit:
    """Leave to ask once. How its `with` block ends is the verdict."""

    __slots__ = ("_breaker", "_era")

    def __init__(self, breaker: Breaker, era: int) -> None:
        self._breaker = breaker
        self._era = era

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Rejected):
            self._breaker.succeeded(self._era)
        elif isinstance(error, TargetFault) and error.fault not in UNCOUNTED:
            self._breaker.failed(self._era)
        else:
            self._breaker.abandoned(self._era)  # a caller that left proves nothing, nor a call that cannot be put to it

    def abandon(self) -> None:
        """The verdict of an attempt that proves nothing."""
        self._breaker.abandoned(self._era)


class Turn:
    """Whose turn the next trial is. Alone it is always ours; beside other servers, only while we hold the lease.

    `permit` may not wait for a lease, so it says here that it wants one: `sharing` takes it, and the next call tries.
    """

    __slots__ = ("alone", "held_until", "wake", "wanted")

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self.alone = True
        self.held_until = -inf  # on the breaker's clock
        self.wanted = False
        self.wake = wake

    def is_ours(self, now: float) -> bool:
        return self.alone or now < self.held_until

    def want(self, *, now: bool) -> None:
        """A call was refused; `now` where only the lease was missing."""
        if not self.wanted:
            self.wanted = True
            if now:
                self.wake()


class Breaker:
    """Counts failures in a row of calls and probes together, and leaves a sick target alone for a while.

    A probe that succeeds forgives the probes that failed, not the calls: a server whose /v1/models answers while every
    message fails must still trip. `delay` is in seconds of `clock`; with `probed`, only a successful probe cools an
    open breaker, unless none came for `grace` seconds after the delay.
    """

    def __init__(
        self,
        *,
        failures: int,
        delay: float,
        successes: int,
        clock: Callable[[], float],
        probed: bool = False,
        grace: float = 10.0,
        changed: Callable[[State, State], None] = lambda before, after: None,
        turn: Turn | None = None,
    ) -> None:
        self._failures = failures
        self._delay = delay
        self._successes = successes
        self._clock = clock
        self._probed = probed
        self._grace = grace
        self._changed = changed
        self.turn = turn or Turn()
        self._state = _CLOSED
        self._era = 0
        self._since = clock()
        self._failed_calls = 0
        self._failed_probes = 0
        self._good_trials = 0
        self._trial_out = False

    @property
    def state(self) -> State:
        return self._state

    @property
    def cools_at(self) -> float:
        """When an open breaker may be tried again, on its clock."""
        return self._since + self._delay

    @property
    def tries_at(self) -> float:
        """When an open breaker lets a trial through by itself."""
        return self.cools_at + (self._grace if self._probed else 0.0)

    @property
    def age(self) -> float:
        """Seconds since it got into its state; of an open one, since it opened or was last found sick."""
        return max(0.0, self._clock() - self._since)

    @property
    def mark(self) -> tuple[int, float]:
        """Another value after every change, also after one that ends where it began."""
        return self._era, self._since

    @property
    def trial_out(self) -> bool:
        return self._trial_out

    @property
    def ready(self) -> bool:
        """Whether only a trial is missing: it is half open, or open for long enough."""
        return self._state is _HALF_OPEN or (self._state is _OPEN and self._clock() >= self.tries_at)

    def permit(self) -> Permit:
        """Raises `TargetFault(breaker_open)` with the seconds to wait."""
        if self._state is _CLOSED:
            return Permit(self, self._era)
        now = self._clock()
        due = self.ready and not self._trial_out
        if due and self.turn.is_ours(now):
            if self._state is _OPEN:
                self._signal(Signal.COOLED)
            self._trial_out = True
            return Permit(self, self._era)
        self.turn.want(now=due)
        wait = max(0.0, self.cools_at - now) if self._state is _OPEN else None
        raise TargetFault(Fault.BREAKER_OPEN, self._state.value, retry_after=wait)

    def succeeded(self, era: int) -> None:
        if era != self._era:
            return
        self._failed_calls = self._failed_probes = 0
        if self._state is _HALF_OPEN:
            self._trial_out = False
            self._good_trials += 1
            if self._good_trials >= self._successes:
                self._signal(Signal.RECOVERED)

    def failed(self, era: int) -> None:
        if era != self._era:
            return
        self._failed_calls += 1
        self._judge()

    def abandoned(self, era: int) -> None:
        if era == self._era:
            self._trial_out = False

    def probe_succeeded(self) -> None:
        self._failed_probes = 0
        if self._state is _OPEN and self._clock() >= self.cools_at:
            self._signal(Signal.COOLED)

    def probe_failed(self) -> None:
        if self._state is _OPEN:
            if self._clock() >= self.cools_at:
                self._since = self._clock()  # still sick: another delay before the next look
        elif self._state is _CLOSED:
            self._failed_probes += 1
            self._judge()

    def isolate(self) -> None:
        if self._state is not _ISOLATED:
            self._signal(Signal.ISOLATED)

    def release(self) -> None:
        if self._state is _ISOLATED:
            self._signal(Signal.RELEASED)

    def adopt(self, state: State, age: float) -> None:
        """Follows a breaker of the same upstream that got into `state` `age` seconds ago.

        An open one is left for the rest of our own delay, never longer.
        """
        for signal in FOLLOWING.get((self._state, state), ()):
            self._signal(signal)
        self._since = self._clock() - max(0.0, age)

    def _judge(self) -> None:
        count = self._failed_calls + self._failed_probes
        if self._state is _HALF_OPEN or (self._state is _CLOSED and count >= self._failures):
            self._signal(Signal.TRIPPED)

    def _signal(self, signal: Signal) -> None:
        before = self._state
        after = TRANSITIONS.get((before, signal))
        if after is None:
            raise IllegalTransitionError(f"{signal.value} in {before.value}")
        self._state = after
        self._era += 1
        self._failed_calls = self._failed_probes = self._good_trials = 0
        self._trial_out = False
        self._since = self._clock()
        self._changed(before, after)
