"""Attempts that nobody awaits: what they take they give back, and breakers learn from them as from any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from fake_upstreams import WHOLE, Clock, Scripted, call, fault, target

from sampan.core import Call, Event, Fault, Operation, Outcome
from sampan.errors import InvalidRequest, Rejected, TargetFault, Unavailable
from sampan.routing.attempts import Errand, Guard
from sampan.routing.breaker import Breaker, State
from sampan.routing.bulkhead import Bulkhead
from sampan.routing.router import Router, Trail

CALL = call(stream=False)


class Deferred(Scripted):
    """Answers what it is asked without waiting when the test says so."""

    def __init__(self, name: str, *, ready: bool = True) -> None:
        super().__init__(name, [WHOLE])
        self.ready = ready
        self.left = 0
        self.answer: Callable[[Outcome], None] | None = None

    def ask(self, call: Call, model: str | None, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        if not self.ready:
            return None
        self.asked.append((call, model))
        self.answer = done
        return self.leave

    def leave(self) -> None:
        self.left += 1


class House:
    """A router over two deferred upstreams, and what it was told."""

    def __init__(self, *, failures: int = 1, budget: int = 4) -> None:
        self.clock = Clock()
        self.first, self.second = Deferred("a"), Deferred("b")
        self.guards = {
            each.name: Guard(
                each,
                {
                    operation: Breaker(failures=failures, delay=30.0, successes=1, clock=self.clock)
                    for operation in Operation
                },
                Bulkhead(1),
                each.ask,
            )
            for each in (self.first, self.second)
        }
        self.plan = [target("a"), target("b")]
        self.observed: list[tuple[str, Fault | None]] = []
        self.router = Router(self.guards, budget, lambda name, _, seen: self.observed.append((name, seen)), self.clock)
        self.outcomes: list[Outcome] = []

    def begin(self) -> Errand | None:
        return self.router.begin(CALL, self.plan, self.outcomes.append)

    def arrives(self, outcome: Outcome) -> None:
        assert self.first.answer is not None
        self.first.answer(outcome)

    @property
    def state(self) -> State:
        return self.guards["a"].breakers[Operation.TEXT].state

    @property
    def taken(self) -> int:
        return self.guards["a"].bulkhead.taken


def test_an_answer_gives_the_place_back() -> None:
    house = House()
    assert house.begin() is not None
    assert house.taken == 1
    house.arrives(WHOLE)
    assert house.outcomes == [WHOLE]
    assert (house.taken, house.state) == (0, State.CLOSED)
    trail = Trail()
    house.router.answered(CALL, house.plan[0], trail)
    assert str(trail) == "a=ok"
    assert trail.target is house.plan[0]
    assert house.observed == [("a", None)]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (fault(Fault.SERVER_ERROR), State.OPEN),
        (fault(Fault.MODEL_MISSING), State.CLOSED),
        (Rejected(400, b"no", {}), State.CLOSED),
        (InvalidRequest("cannot be put to it"), State.CLOSED),
        (RuntimeError("a mistake"), State.CLOSED),
        (None, State.CLOSED),
    ],
)
def test_what_a_breaker_learns(outcome: Outcome, state: State) -> None:
    house = House()
    assert house.begin() is not None
    house.arrives(outcome)
    assert house.outcomes == [outcome]
    assert (house.taken, house.state) == (0, state)


def test_whoever_leaves_gives_the_place_back_and_proves_nothing() -> None:
    house = House()
    errand = house.begin()
    assert errand is not None
    errand.leave()
    assert (house.first.left, house.taken, house.state, house.outcomes) == (1, 0, State.CLOSED, [])


def test_an_answer_without_a_usage_did_not_end() -> None:
    house = House()
    assert house.begin() is not None
    house.arrives(Event(b"{}", content=True))
    (outcome,) = house.outcomes
    assert isinstance(outcome, TargetFault)
    assert outcome.fault is Fault.CUT
    assert house.state is State.OPEN


def test_nothing_begins_where_something_stands_in_the_way() -> None:
    house = House()
    house.first.ready = False
    assert house.begin() is None
    house.first.ready = True
    house.guards["a"].breakers[Operation.TEXT].isolate()
    assert house.begin() is None
    house.guards["a"].breakers[Operation.TEXT].release()
    assert house.begin() is not None
    assert house.begin() is None  # there is one place
    assert len(house.first.asked) == 1
    assert House(budget=0).begin() is None
    house = House()
    house.plan[0] = replace(house.plan[0], hedged=True)
    assert house.begin() is None
    house = House()
    house.guards["a"] = replace(house.guards["a"], ask=None)
    assert house.begin() is None
    assert house.taken == 0


async def test_a_failed_beginning_is_followed_by_the_next_target_and_spends_the_budget() -> None:
    house = House()
    trail = Trail()
    event = await house.router.fetch(CALL, house.plan, trail, fault(Fault.SERVER_ERROR))
    assert event == WHOLE
    assert str(trail) == "a=server_error,b=ok"
    assert [len(each.asked) for each in (house.first, house.second)] == [0, 1]
    assert house.observed == [("a", Fault.SERVER_ERROR), ("b", None)]
    house = House(budget=1)
    with pytest.raises(Unavailable):
        await house.router.fetch(CALL, house.plan, Trail(), fault(Fault.SERVER_ERROR))
    assert house.second.asked == []


async def test_a_rejected_beginning_is_not_put_to_another_target() -> None:
    house = House()
    trail = Trail()
    with pytest.raises(Rejected):
        await asyncio.wait_for(house.router.fetch(CALL, house.plan, trail, Rejected(400, b"no", {})), 10)
    assert (str(trail), house.second.asked) == ("a=ok", [])
