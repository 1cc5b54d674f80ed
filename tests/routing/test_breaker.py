"""The breaker against a model of it, step by step, and its table of states."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from fake_upstreams import Clock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from sampan.core import Fault
from sampan.errors import Rejected, TargetFault
from sampan.routing.breaker import TRANSITIONS, UNCOUNTED, Breaker, IllegalTransitionError, Permit, Signal, State

DELAY = 30.0
GRACE = 6.0
COUNTED = sorted(set(Fault) - UNCOUNTED)


def end(permit: Permit, error: BaseException | None) -> None:
    """The `with` block of a permit, ended so."""
    with suppress(BaseException), permit:
        if error is not None:
            raise error


def make(clock: Clock, *, failures: int = 3, successes: int = 1, probed: bool = False) -> Breaker:
    return Breaker(failures=failures, delay=DELAY, successes=successes, clock=clock, probed=probed, grace=GRACE)


def trip(breaker: Breaker, times: int = 3) -> None:
    for _ in range(times):
        end(breaker.permit(), TargetFault(Fault.REFUSED))


class BreakerMachine(RuleBasedStateMachine):
    """The model: a state, how often it changed (the era), two counts, and the trial that is out."""

    permits: Bundle[tuple[Permit, int]] = Bundle("permits")

    @initialize(failures=st.integers(1, 4), successes=st.integers(1, 3), probed=st.booleans())
    def begin(self, failures: int, successes: int, probed: bool) -> None:
        self.clock = Clock()
        self.changes: list[tuple[State, State]] = []
        self.failures, self.successes, self.probed = failures, successes, probed
        self.breaker = Breaker(
            failures=failures,
            delay=DELAY,
            successes=successes,
            clock=self.clock,
            probed=probed,
            grace=GRACE,
            changed=lambda before, after: self.changes.append((before, after)),
        )
        self.state = State.CLOSED
        self.era = 0
        self.calls = self.probes = self.good = 0
        self.trial_out = False
        self.cools_at = 0.0

    def become(self, state: State) -> None:
        self.state = state
        self.era += 1
        self.calls = self.probes = self.good = 0
        self.trial_out = False
        if state is State.OPEN:
            self.cools_at = self.clock() + DELAY

    @rule(seconds=st.sampled_from([0.0, 1.0, GRACE, DELAY - 1, DELAY, DELAY + GRACE]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(target=permits)
    def ask(self) -> tuple[Permit, int] | MultipleResults[tuple[Permit, int]]:
        if self.state is State.OPEN and self.clock() >= self.cools_at + (GRACE if self.probed else 0):
            self.become(State.HALF_OPEN)
        allowed = self.state is State.CLOSED or (self.state is State.HALF_OPEN and not self.trial_out)
        try:
            permit = self.breaker.permit()
        except TargetFault as refused:
            assert not allowed
            assert refused.fault is Fault.BREAKER_OPEN
            if self.state is State.OPEN:
                assert refused.retry_after == max(0.0, self.cools_at - self.clock())
            return multiple()
        assert allowed
        self.trial_out = self.state is State.HALF_OPEN
        return (permit, self.era)

    @rule(given=consumes(permits), answer=st.sampled_from([None, Rejected(400, b"", {})]))
    def succeed(self, given: tuple[Permit, int], answer: Exception | None) -> None:
        permit, era = given
        end(permit, answer)
        if era != self.era:
            return
        self.calls = self.probes = 0
        if self.state is State.HALF_OPEN:
            self.trial_out = False
            self.good += 1
            if self.good == self.successes:
                self.become(State.CLOSED)

    @rule(given=consumes(permits), fault=st.sampled_from(COUNTED))
    def fail(self, given: tuple[Permit, int], fault: Fault) -> None:
        permit, era = given
        end(permit, TargetFault(fault))
        if era != self.era:
            return
        self.calls += 1
        if self.state is State.HALF_OPEN or self.calls + self.probes >= self.failures:
            self.become(State.OPEN)

    @rule(
        given=consumes(permits),
        why=st.sampled_from([asyncio.CancelledError(), GeneratorExit(), ValueError(), *map(TargetFault, UNCOUNTED)]),
    )
    def give_back(self, given: tuple[Permit, int], why: BaseException) -> None:
        permit, era = given
        end(permit, why)
        if era == self.era:
            self.trial_out = False

    @rule()
    def probe_well(self) -> None:
        self.breaker.probe_succeeded()
        self.probes = 0
        if self.state is State.OPEN and self.clock() >= self.cools_at:
            self.become(State.HALF_OPEN)

    @rule()
    def probe_badly(self) -> None:
        self.breaker.probe_failed()
        if self.state is State.OPEN and self.clock() >= self.cools_at:
            self.cools_at = self.clock() + DELAY
        elif self.state is State.CLOSED:
            self.probes += 1
            if self.calls + self.probes >= self.failures:
                self.become(State.OPEN)

    @precondition(lambda self: self.state is not State.ISOLATED)
    @rule()
    def isolate(self) -> None:
        self.breaker.isolate()
        self.become(State.ISOLATED)

    @precondition(lambda self: self.state is State.ISOLATED)
    @rule()
    def release(self) -> None:
        self.breaker.release()
        self.become(State.CLOSED)

    @invariant()
    def they_agree(self) -> None:
        assert self.breaker.state is self.state
        assert len(self.changes) == self.era
        legal = {(before, after) for (before, _), after in TRANSITIONS.items()}
        assert set(self.changes) <= legal
        if self.state is State.OPEN:
            assert self.breaker.cools_at == self.cools_at


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBreakerAgainstItsModel = BreakerMachine.TestCase


def test_every_state_can_be_reached_and_left() -> None:
    assert {before for before, _ in TRANSITIONS} == set(State)
    assert set(TRANSITIONS.values()) == set(State)
    assert {signal for _, signal in TRANSITIONS} == set(Signal)
    assert all(before is not after for (before, _), after in TRANSITIONS.items())


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("signal", Signal)
def test_the_table_is_followed_and_anything_else_raises(state: State, signal: Signal) -> None:
    clock = Clock()
    breaker = make(clock)
    if state in (State.OPEN, State.HALF_OPEN):
        trip(breaker)
    if state is State.HALF_OPEN:
        clock.now += DELAY
        breaker.permit()
    if state is State.ISOLATED:
        breaker.isolate()
    assert breaker.state is state
    after = TRANSITIONS.get((state, signal))
    if after is None:
        with pytest.raises(IllegalTransitionError, match=f"{signal.value} in {state.value}"):
            breaker._signal(signal)
        assert breaker.state is state
    else:
        breaker._signal(signal)
        assert breaker.state is after


def test_a_good_probe_does_not_forgive_calls_that_failed() -> None:
    breaker = make(Clock())
    for _ in range(2):
        end(breaker.permit(), TargetFault(Fault.SERVER_ERROR))
        breaker.probe_succeeded()
    end(breaker.permit(), TargetFault(Fault.SERVER_ERROR))
    assert breaker.state is State.OPEN


def test_calls_and_probes_share_the_count() -> None:
    breaker = make(Clock())
    breaker.probe_failed()
    end(breaker.permit(), TargetFault(Fault.REFUSED))
    breaker.probe_failed()
    assert breaker.state is State.OPEN


def test_a_call_that_outlasts_the_delay_says_nothing_about_the_trial() -> None:
    clock = Clock()
    breaker = make(clock)
    slow = breaker.permit()
    trip(breaker)
    clock.now += DELAY
    trial = breaker.permit()
    end(slow, None)
    assert breaker.state == "half_open"  # the old success recovers nothing
    with pytest.raises(TargetFault):
        breaker.permit()  # and did not give the trial back
    end(trial, TargetFault(Fault.CUT))
    assert breaker.state is State.OPEN


def test_an_old_call_that_is_given_up_gives_back_nobody_else_s_trial() -> None:
    clock = Clock()
    breaker = make(clock)
    slow = breaker.permit()
    trip(breaker)
    clock.now += DELAY
    breaker.permit()
    end(slow, GeneratorExit())
    with pytest.raises(TargetFault):
        breaker.permit()


def test_a_probed_breaker_cools_by_a_probe_and_without_one_after_its_grace() -> None:
    clock = Clock()
    breaker = make(clock, probed=True)
    trip(breaker)
    clock.now += DELAY + GRACE - 1
    with pytest.raises(TargetFault) as refused:
        breaker.permit()
    assert refused.value.retry_after == 0.0
    clock.now += 1
    breaker.permit()
    assert breaker.state is State.HALF_OPEN


def test_an_isolated_breaker_lets_nothing_through_until_it_is_released() -> None:
    clock = Clock()
    breaker = make(clock)
    breaker.isolate()
    breaker.isolate()
    clock.now += 10 * DELAY
    breaker.probe_succeeded()
    with pytest.raises(TargetFault) as refused:
        breaker.permit()
    assert refused.value.retry_after is None
    breaker.release()
    breaker.release()
    breaker.permit()
