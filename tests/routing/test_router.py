"""The walk over a plan, as playbooks: what each target does, and what the caller and the trail then see."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from fake_upstreams import HEL, LO, PING, START, STOP, STREAM, WHOLE, Clock, Gate, Scripted, call, fault, target

from sampan.core import Call, Event, Fault, Operation, Target
from sampan.errors import CallError, Interrupted, InvalidRequest, Rejected, Unavailable
from sampan.routing.attempts import HELD_LIMIT, Guard
from sampan.routing.breaker import Breaker, State
from sampan.routing.bulkhead import Bulkhead
from sampan.routing.router import Router, Trail

A, B = target("a"), target("b", "other-model")


class Yard:
    """A router over scripted upstreams, each behind a breaker (2 failures, 30 s) and a bulkhead of 2."""

    def __init__(self, *upstreams: Scripted, attempts: int = 4) -> None:
        self.clock = Clock()
        self.observed: list[str] = []
        self.guards = {
            each.name: Guard(
                each,
                {Operation.TEXT: Breaker(failures=2, delay=30.0, successes=1, clock=self.clock)},
                Bulkhead(2),
            )
            for each in upstreams
        }
        self.plan = [target(each.name) for each in upstreams]
        self.router = Router(self.guards, attempts, self._observe)
        self.trail = Trail()

    def _observe(self, upstream: str, operation: Operation, kind: Fault | None) -> None:
        self.observed.append(f"{upstream}={kind.value if kind else 'ok'}")

    def breaker(self, name: str) -> Breaker:
        return self.guards[name].breakers[Operation.TEXT]

    async def ask(self, plan: Sequence[Target] = (), asked: Call | None = None) -> list[Event]:
        self.trail = Trail()
        events = []
        async with aclosing(self.router.run(asked or call(), plan or self.plan, self.trail)) as run:
            async for event in run:
                events.append(event)
        return events


async def test_opening_frames_are_held_and_come_joined_with_the_first_content() -> None:
    yard = Yard(Scripted("a", STREAM))
    events = await yard.ask()
    assert events[0] == Event(START.data + PING.data + HEL.data, True, None, START.headers)
    assert events[1:] == [LO, STOP]
    assert str(yard.trail) == "a=ok"
    assert yard.trail.target == A
    assert yard.observed == ["a=ok"]


async def test_an_answer_without_content_still_ends() -> None:
    yard = Yard(Scripted("a", [START, STOP]))
    assert await yard.ask() == [Event(START.data + STOP.data, False, STOP.usage, START.headers)]


@pytest.mark.parametrize("kind", sorted(set(Fault) - {Fault.BREAKER_OPEN, Fault.BULKHEAD_FULL}))
@pytest.mark.parametrize("opening", [[], [START], [START, PING, PING]])
async def test_a_fault_before_content_moves_on_and_nothing_of_it_is_seen(kind: Fault, opening: list[Event]) -> None:
    sick = Scripted("a", [*opening, fault(kind)])
    yard = Yard(sick, Scripted("b", STREAM))
    events = await yard.ask(plan=[A, B])
    assert b"".join(event.data for event in events) == b"".join(event.data for event in STREAM)
    assert str(yard.trail) == f"a={kind.value},b=ok"
    assert yard.trail.target == B
    assert yard.observed == [f"a={kind.value}", "b=ok"]


async def test_each_target_is_asked_for_its_own_model() -> None:
    first, second = Scripted("a", [fault(Fault.DNS)]), Scripted("b", STREAM)
    yard = Yard(first, second)
    asked = call()
    await yard.ask([A, B], asked)
    assert first.asked == [(asked, None)]
    assert second.asked == [(asked, "other-model")]


async def test_a_fault_after_content_is_an_interruption_and_nobody_else_is_asked() -> None:
    second = Scripted("b", STREAM)
    yard = Yard(Scripted("a", [START, HEL, fault(Fault.CUT)]), second)
    trail, seen = Trail(), []
    with pytest.raises(Interrupted, match=r"the answer of a broke off \(cut\)"):
        async with aclosing(yard.router.run(call(), yard.plan, trail)) as events:
            async for event in events:
                seen.append(event)
    assert len(seen) == 1
    assert second.asked == []
    assert str(trail) == "a=cut"
    assert yard.observed == ["a=cut"]


async def test_a_rejection_goes_back_as_it_came_and_proves_the_target_well() -> None:
    no = Rejected(400, b'{"error":1}', {"content-type": "application/json"})
    second = Scripted("b", STREAM)
    yard = Yard(Scripted("a", [fault(Fault.CUT)], [no]), second)
    await yard.ask()
    second.asked.clear()
    with pytest.raises(Rejected) as raised:
        await yard.ask()
    assert raised.value is no
    assert second.asked == []
    assert str(yard.trail) == "a=ok"
    assert yard.trail.target == A
    with pytest.raises(Rejected):
        await yard.ask()
    assert yard.breaker("a").state is State.CLOSED


async def test_a_single_sick_target_trips_and_is_left_alone() -> None:
    sick = Scripted("a", [fault(Fault.SERVER_ERROR)])
    yard = Yard(sick)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await yard.ask()
    yard.clock.now += 10
    with pytest.raises(Unavailable) as spent:
        await yard.ask()
    assert len(sick.asked) == 2
    assert str(yard.trail) == "a=breaker_open"
    assert spent.value.retry_after == 20.0
    assert not spent.value.should_retry


async def test_a_refusal_that_says_how_to_ask_instead_is_told_even_where_others_failed() -> None:
    """The caller's SDK asks again as it says, and the target that refused can answer then."""
    for details in (None, {"error_code": "thread_unsupported_request"}):
        refusal = InvalidRequest("thread: not here", details=details)
        yard = Yard(Scripted("a", [fault(Fault.REFUSED)]), Scripted("b", [refusal]))
        with pytest.raises(CallError) as told:
            await yard.ask()
        assert (told.value is refusal) == (details is not None)
        assert isinstance(told.value, InvalidRequest if details else Unavailable)


async def test_the_budget_counts_what_was_really_asked() -> None:
    upstreams = [Scripted(name, [fault(Fault.REFUSED)]) for name in "abcde"]
    yard = Yard(*upstreams, attempts=2)
    yard.breaker("a").isolate()
    with pytest.raises(Unavailable):
        await yard.ask()
    assert str(yard.trail) == "a=breaker_open,b=refused,c=refused"


async def test_the_shortest_honest_wait_is_told() -> None:
    yard = Yard(
        Scripted("a", [fault(Fault.RATE_LIMITED, 40.0)]),
        Scripted("b", [fault(Fault.OVERLOADED, 7.0)]),
        Scripted("c", [fault(Fault.REFUSED)]),
    )
    with pytest.raises(Unavailable) as spent:
        await yard.ask()
    assert spent.value.retry_after == 7.0


async def test_a_full_bulkhead_is_no_failure_and_worth_another_try() -> None:
    gate = Gate()
    slow = Scripted("a", [HEL, gate, STOP])
    yard = Yard(slow)
    tasks = [asyncio.create_task(yard.ask()) for _ in range(2)]
    await gate.reached()
    with pytest.raises(Unavailable) as spent:
        await yard.ask()
    assert str(yard.trail) == "a=bulkhead_full"
    assert spent.value.should_retry and 1.0 <= (spent.value.retry_after or 0) < 1.25
    gate.open()
    await asyncio.gather(*tasks)
    assert yard.breaker("a").state is State.CLOSED
    assert await yard.ask()


async def test_opening_frames_are_bounded() -> None:
    flood = [START, *[Event(b":" * 1024 + b"\n\n")] * (HELD_LIMIT // 1024 + 1), HEL, STOP]
    yard = Yard(Scripted("a", flood), Scripted("b", [WHOLE]))
    assert await yard.ask() == [WHOLE]
    assert str(yard.trail) == "a=malformed,b=ok"


async def test_an_attempt_that_ends_without_its_answer_is_a_fault() -> None:
    yard = Yard(Scripted("a", [], [START, PING], [HEL]), Scripted("b", STREAM))
    await yard.ask()
    assert str(yard.trail) == "a=cut,b=ok"
    await yard.ask()
    assert str(yard.trail) == "a=cut,b=ok"
    yard = Yard(Scripted("a", [HEL]))
    with pytest.raises(Interrupted):
        await yard.ask()


async def test_a_caller_who_leaves_closes_the_upstream_frees_the_slot_and_gives_the_trial_back() -> None:
    """`async for` alone would leave the attempt open until the garbage collector comes by."""
    upstream = Scripted("a", [fault(Fault.CUT)], [fault(Fault.CUT)], STREAM)
    yard = Yard(upstream)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await yard.ask()
    yard.clock.now += 30
    run = yard.router.run(call(), yard.plan, Trail())
    await anext(run)
    assert yard.breaker("a").state is State.HALF_OPEN
    with pytest.raises(Unavailable):
        await yard.ask()  # one trial at a time
    assert yard.guards["a"].bulkhead.taken == 1
    await run.aclose()
    assert upstream.ends[-1] == "closed"
    assert yard.guards["a"].bulkhead.taken == 0
    assert yard.breaker("a").state is State.HALF_OPEN  # it proved nothing
    await yard.ask()
    assert yard.breaker("a").state is State.CLOSED


async def test_cancelling_an_attempt_that_hangs_frees_everything() -> None:
    gate = Gate()
    upstream = Scripted("a", [START, gate])
    yard = Yard(upstream)
    task = asyncio.create_task(yard.ask())
    await gate.reached()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert upstream.ends == ["closed"]
    assert yard.guards["a"].bulkhead.taken == 0
    assert yard.breaker("a").state is State.CLOSED
    assert yard.observed == []


async def test_a_bug_in_an_upstream_is_not_taken_for_a_fault() -> None:
    second = Scripted("b", STREAM)
    yard = Yard(Scripted("a", [KeyError("oops")]), second)
    with pytest.raises(KeyError):
        await yard.ask()
    assert second.asked == []
    assert yard.guards["a"].bulkhead.taken == 0


def test_a_trail_reads_as_the_header_does() -> None:
    trail = Trail()
    trail.add(A, Fault.DNS)
    trail.answered_by(B)
    trail.broke(B, Fault.IDLE_TIMEOUT)
    assert str(trail) == "a=dns,b=idle_timeout"


async def test_nobody_waits_in_line_before_an_open_breaker() -> None:
    gate = Gate()
    yard = Yard(Scripted("a", (gate, *STREAM)))
    bulkhead = Bulkhead(1, queue=5, seconds=60.0, clock=yard.clock)
    yard.guards["a"] = Guard(yard.guards["a"].upstream, yard.guards["a"].breakers, bulkhead)
    asking = asyncio.ensure_future(yard.ask())
    await gate.reached()
    for _ in range(2):
        yard.breaker("a").probe_failed()
    assert yard.breaker("a").state is State.OPEN
    trail = Trail()
    with pytest.raises(Unavailable):
        await yard.router.fetch(call(), yard.plan, trail)
    assert str(trail) == "a=breaker_open"
    gate.open()
    await asking
