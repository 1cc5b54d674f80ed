"""Places, the line before them, and what the refused are told; no time passes but by the test's own clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
from fake_upstreams import Clock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.routing.bulkhead import Bulkhead, Slot

SECONDS = 10.0
TENANTS = ("ann", "bob", "cy", "dee")


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by the test's clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.time = clock  # type: ignore[method-assign]

    def settle(self) -> None:
        """Runs whatever can run now."""
        for _ in range(4):
            self.run_until_complete(asyncio.sleep(0))


class Caller:
    """One call in a task of its own: `slot` once it has its place, `fault` if it was sent on."""

    def __init__(self, house: House, tenant: str) -> None:
        self.tenant = tenant
        self.slot: Slot | None = None
        self.fault: TargetFault | None = None
        self.left = False
        self._house = house
        self.task = house.loop.create_task(self._come())

    async def _come(self) -> None:
        try:
            slot = self._house.bulkhead.enter(self.tenant)
            if not isinstance(slot, Slot):
                slot = await slot
        except TargetFault as fault:
            self.fault = fault
            return
        self.slot = slot
        self._house.served.append(self)

    @property
    def waits(self) -> bool:
        return not self.task.done()

    def leave(self) -> None:
        self.left = True
        self.task.cancel()


class House:
    """A bulkhead on a clock of its own."""

    def __init__(self, size: int, *, queue: int = 0, seconds: float = SECONDS, chance: float = 0.0) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.bulkhead = Bulkhead(size, queue=queue, seconds=seconds, clock=self.clock, chance=lambda: chance)
        self.served: list[Caller] = []

    def come(self, *tenants: str) -> list[Caller]:
        callers = [Caller(self, tenant) for tenant in tenants]
        self.loop.settle()
        return callers

    def taken(self) -> Slot:
        slot = self.bulkhead.enter("somebody")
        assert isinstance(slot, Slot)
        return slot

    def refused(self, tenant: str = "somebody") -> TargetFault:
        with pytest.raises(TargetFault) as full:
            self.bulkhead.enter(tenant)
        assert full.value.fault is Fault.BULKHEAD_FULL
        return full.value

    def give_back(self, slot: Slot, after: float = 0.0) -> None:
        self.clock.now += after
        with slot:
            pass
        self.loop.settle()

    def close(self) -> None:
        """Everybody goes home: asyncio warns of tasks that are still there."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.settle()
        self.loop.close()


@pytest.fixture
def one() -> Iterator[House]:
    """One place, eight in line."""
    with closing(House(1, queue=8)) as house:
        yield house


# Places.


def test_a_full_bulkhead_turns_away_and_a_slot_that_comes_back_is_lent_again() -> None:
    with closing(House(2)) as house:
        with house.taken():
            with house.taken():
                assert house.bulkhead.taken == 2
                house.refused()
                assert house.bulkhead.taken == 2
            with house.taken():
                assert house.bulkhead.taken == 2
        assert house.bulkhead.taken == 0


@pytest.mark.parametrize("error", [ValueError(), GeneratorExit(), KeyboardInterrupt(), TargetFault(Fault.CUT)])
def test_a_slot_comes_back_however_its_block_ends(error: BaseException) -> None:
    bulkhead = Bulkhead(1)
    slot = bulkhead.enter("ann")
    assert isinstance(slot, Slot)
    with pytest.raises(type(error)), slot:
        assert bulkhead.taken == 1
        raise error
    assert bulkhead.taken == 0


def test_a_slot_comes_back_once() -> None:
    bulkhead = Bulkhead(2)
    first, second = bulkhead.enter("ann"), bulkhead.enter("ann")
    assert isinstance(first, Slot) and isinstance(second, Slot)
    with first:
        first.give_back()
        first.give_back()
    assert bulkhead.taken == 1
    with second:
        pass
    assert bulkhead.taken == 0


@pytest.mark.parametrize(("queue", "seconds"), [(0, 10.0), (8, 0.0)])
def test_without_a_line_or_time_nobody_waits(queue: int, seconds: float) -> None:
    with closing(House(1, queue=queue, seconds=seconds)) as house:
        house.taken()
        house.refused()
        assert house.bulkhead.waiting == 0


# The line.


def test_whoever_waits_is_given_the_place_in_the_step_that_frees_it(one: House) -> None:
    slot = one.taken()
    [ann] = one.come("ann")
    assert (one.bulkhead.taken, one.bulkhead.waiting) == (1, 1)
    slot.give_back()
    assert (one.bulkhead.taken, one.bulkhead.waiting) == (1, 0), "a newcomer could have taken it"
    one.loop.settle()
    assert ann.slot is not None


def test_within_a_tenant_the_first_to_come_is_the_first_served(one: House) -> None:
    slot = one.taken()
    callers = one.come("ann", "ann", "ann")
    for caller in callers:
        one.give_back(slot)
        assert one.served[-1] is caller and caller.slot is not None
        slot = caller.slot
    one.give_back(slot)


def test_tenants_are_served_in_turn(one: House) -> None:
    slot = one.taken()
    callers = one.come("ann", "ann", "ann", "bob", "cy", "bob")
    for _ in callers:
        one.give_back(slot)
        assert one.served[-1].slot is not None
        slot = one.served[-1].slot
    one.give_back(slot)
    assert [caller.tenant for caller in one.served] == ["ann", "bob", "cy", "ann", "bob", "ann"]
    assert (one.bulkhead.taken, one.bulkhead.waiting) == (0, 0)


def test_a_thousand_calls_of_one_do_not_keep_out_the_one_of_another(one: House) -> None:
    slot = one.taken()
    noisy = one.come(*["ann"] * 1000)
    assert one.bulkhead.waiting == 8
    [quiet] = one.come("bob")
    assert quiet.waits and one.bulkhead.waiting == 8
    assert [caller.waits for caller in noisy[:9]] == [True] * 7 + [False] * 2, "the newest of the noisy one gave way"
    assert noisy[7].fault is not None and noisy[7].fault.fault is Fault.BULKHEAD_FULL
    one.give_back(slot)
    assert one.served == noisy[:1] and noisy[0].slot is not None
    one.give_back(noisy[0].slot)
    assert one.served[-1] is quiet


def test_a_full_line_is_shared_equally(one: House) -> None:
    one.taken()
    ann = one.come(*["ann"] * 8)
    bob = one.come(*["bob"] * 8)
    assert [caller.waits for caller in ann] == [True] * 4 + [False] * 4
    assert [caller.waits for caller in bob] == [True] * 4 + [False] * 4


def test_nobody_gives_way_to_a_tenant_that_would_then_have_more() -> None:
    with closing(House(1, queue=3)) as house:
        house.taken()
        callers = house.come("ann", "ann", "bob", "bob")
        assert [caller.waits for caller in callers] == [True, True, True, False]


def test_time_in_line_is_bounded_by_one_timer(one: House) -> None:
    slot = one.taken()
    [first] = one.come("ann")
    one.clock.now += 4
    [second, third] = one.come("ann", "bob")
    one.clock.now += 5.9
    one.loop.settle()
    assert first.waits
    one.clock.now += 0.1
    one.loop.settle()
    assert first.fault is not None and first.fault.fault is Fault.BULKHEAD_FULL
    assert second.waits and third.waits
    one.clock.now += 3.9
    one.loop.settle()
    assert second.waits and third.waits
    one.clock.now += 0.1
    one.loop.settle()
    assert second.fault is not None and third.fault is not None
    assert (one.bulkhead.taken, one.bulkhead.waiting) == (1, 0)
    one.give_back(slot)
    assert one.bulkhead.taken == 0


def test_the_timer_of_those_before_does_not_ring_for_those_after(one: House) -> None:
    slot = one.taken()
    one.come("ann")
    one.give_back(slot)
    one.come("ann")[0].leave()
    one.loop.settle()
    one.clock.now += 2
    [late] = one.come("bob")
    one.clock.now += SECONDS - 0.5
    one.loop.settle()
    assert late.waits
    one.clock.now += 0.5
    one.loop.settle()
    assert late.fault is not None


# Leaving.


def test_a_caller_who_leaves_the_line_frees_its_place(one: House) -> None:
    slot = one.taken()
    [ann, bob] = one.come("ann", "bob")
    ann.leave()
    one.loop.settle()
    assert one.bulkhead.waiting == 1
    one.give_back(slot)
    assert one.served == [bob]


@pytest.mark.parametrize("leaves_first", [True, False])
def test_leaving_in_the_step_in_which_a_place_is_given_loses_no_place(one: House, leaves_first: bool) -> None:
    slot = one.taken()
    [ann, bob] = one.come("ann", "bob")
    steps = [ann.leave, slot.give_back]
    for step in steps if leaves_first else reversed(steps):
        step()
    one.loop.settle()
    assert one.served == [bob] and bob.slot is not None
    assert (one.bulkhead.taken, one.bulkhead.waiting) == (1, 0)
    one.give_back(bob.slot)
    assert one.bulkhead.taken == 0


def test_somebody_who_has_left_uses_no_turn_of_its_tenant_up(one: House) -> None:
    slot = one.taken()
    [gone, second, _bob] = one.come("ann", "ann", "bob")
    gone.leave()
    slot.give_back()
    one.loop.settle()
    assert one.served == [second]


@pytest.mark.parametrize("leaves_first", [True, False])
def test_leaving_in_the_step_in_which_the_time_is_over_is_only_leaving(one: House, leaves_first: bool) -> None:
    one.taken()
    [ann] = one.come("ann")
    if leaves_first:
        ann.leave()
    one.clock.now += SECONDS
    one.loop.call_soon(ann.leave)
    one.loop.settle()
    assert ann.task.done() and ann.slot is None
    assert (one.bulkhead.taken, one.bulkhead.waiting) == (1, 0)


def test_a_line_that_nobody_awaits_holds_no_place(one: House) -> None:
    """A call may end between asking and waiting."""
    slot = one.taken()
    turn = one.bulkhead.enter("ann")
    assert asyncio.iscoroutine(turn)
    assert one.bulkhead.waiting == 0
    one.give_back(slot)
    assert one.bulkhead.taken == 0
    late = one.loop.run_until_complete(turn)
    assert one.bulkhead.taken == 1, "a place had come free meanwhile"
    late.give_back()


# What the refused are told.


def test_before_any_call_has_ended_the_refused_are_told_a_second() -> None:
    with closing(House(2)) as house:
        house.taken()
        house.taken()
        assert house.refused().retry_after == 1.0


def test_the_refused_are_told_when_a_place_is_likely() -> None:
    """Four places, calls of eight seconds: one comes free every two."""
    with closing(House(4)) as house:
        for _ in range(8):
            house.give_back(house.taken(), after=8.0)
        for _ in range(4):
            house.taken()
        assert house.refused().retry_after == pytest.approx(2.0)


def test_the_recent_calls_speak_and_the_old_are_forgotten() -> None:
    with closing(House(1)) as house:
        for _ in range(5):
            house.give_back(house.taken(), after=100.0)
        for _ in range(100):
            house.give_back(house.taken(), after=2.0)
        house.taken()
        assert house.refused().retry_after == pytest.approx(2.0, rel=0.01)


def test_an_upstream_that_hangs_is_not_as_quick_as_it_was() -> None:
    with closing(House(2)) as house:
        house.give_back(house.taken(), after=1.0)
        house.taken()
        house.taken()
        house.clock.now += 60
        assert house.refused().retry_after == pytest.approx(30.0)


def test_a_call_that_an_open_breaker_turned_away_says_nothing_about_time() -> None:
    with closing(House(1)) as house:
        house.give_back(house.taken(), after=5.0)
        for _ in range(50):
            with pytest.raises(TargetFault), house.taken():
                raise TargetFault(Fault.BREAKER_OPEN)
        house.taken()
        assert house.refused().retry_after == pytest.approx(5.0)


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 1.0), (0.5, 1.125), (0.9999, 1.25)])
def test_those_refused_together_do_not_come_back_together(chance: float, factor: float) -> None:
    with closing(House(1, chance=chance)) as house:
        house.give_back(house.taken(), after=4.0)
        house.taken()
        assert house.refused().retry_after == pytest.approx(4.0 * factor, rel=1e-3)


def test_nobody_waits_for_what_cannot_come_in_time(one: House) -> None:
    """Calls of six seconds and a line of ten: the first gets its place in time, the second would not."""
    one.give_back(one.taken(), after=6.0)
    one.taken()
    one.clock.now += 1
    [ann] = one.come("ann")
    assert ann.waits
    assert one.refused("ann").retry_after == pytest.approx(12.0)
    assert one.bulkhead.waiting == 1


def test_a_call_that_has_almost_ended_is_waited_for(one: House) -> None:
    one.give_back(one.taken(), after=30.0)
    one.taken()
    one.refused()
    one.clock.now += 25
    [ann] = one.come("ann")
    assert ann.waits


def test_whoever_has_more_in_line_is_told_to_come_later() -> None:
    with closing(House(1, queue=4)) as house:
        house.give_back(house.taken(), after=1.0)
        house.taken()
        callers = house.come("ann", "ann", "ann", "bob")
        assert house.refused("ann").retry_after == pytest.approx(5.0)
        assert house.come("cy")[0].waits
        assert callers[2].fault is not None and callers[2].fault.retry_after == pytest.approx(4.0)


def test_a_tenant_whose_turn_is_next_is_told_so() -> None:
    """ann, bob, ann: bob's second would come after these three, ann's after one of bob's two only."""
    with closing(House(1, queue=3)) as house:
        house.give_back(house.taken(), after=1.0)
        house.taken()
        house.come("ann", "bob", "bob")
        assert house.refused("ann").retry_after == pytest.approx(3.0)
        assert house.refused("bob").retry_after == pytest.approx(4.0)


def test_a_place_given_to_somebody_who_had_left_says_nothing_about_time(one: House) -> None:
    one.give_back(one.taken(), after=4.0)
    slot = one.taken()
    [ann] = one.come("ann")
    one.clock.now += 4
    slot.give_back()
    ann.leave()
    one.loop.settle()
    one.taken()
    one.come("bob", "cy")
    assert one.refused("bob").retry_after == pytest.approx(12.0)


# All of it together.


class BulkheadMachine(RuleBasedStateMachine):
    """Callers come, are served, leave and run out of time in any order, several things in one step of the loop."""

    @initialize(size=st.integers(1, 3), queue=st.integers(0, 6), chance=st.floats(0, 1, exclude_max=True))
    def begin(self, size: int, queue: int, chance: float) -> None:
        self.size, self.queue = size, queue
        self.house = House(size, queue=queue, chance=chance)
        self.callers: list[Caller] = []
        self.seen = 0
        self.passed_over: dict[str, int] = {}

    @property
    def holding(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.slot is not None]

    @property
    def waiting(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.waits]

    def settle(self) -> None:
        """Lets the loop run, and looks at who was served: only others may have been, and not often in a row."""
        house = self.house
        house.loop.settle()
        for served in house.served[self.seen :]:
            for tenant in self.passed_over:
                self.passed_over[tenant] += 1
            if served.tenant in self.passed_over:
                self.passed_over[served.tenant] = 0
        self.seen = len(house.served)
        now_waiting = {caller.tenant for caller in self.waiting}
        self.passed_over = {tenant: self.passed_over.get(tenant, 0) for tenant in now_waiting}
        for tenant, times in self.passed_over.items():
            assert times < len(TENANTS), f"{tenant} starves"
        for tenant in TENANTS:
            order = [self.callers.index(caller) for caller in house.served if caller.tenant == tenant]
            assert order == sorted(order), f"{tenant} was served out of turn"
        refused = [caller.fault for caller in self.callers if caller.fault is not None]
        for fault in refused:
            assert fault.fault is Fault.BULKHEAD_FULL
            assert fault.retry_after is not None and 0 <= fault.retry_after < float("inf")

    @rule(tenant=st.sampled_from(TENANTS), times=st.integers(1, 5))
    def come(self, tenant: str, times: int) -> None:
        for _ in range(times):
            self.callers.append(Caller(self.house, tenant))
        self.settle()

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.give_back(data.draw(st.sampled_from(self.holding)))
        self.settle()

    def all_leave(self, callers: list[Caller]) -> None:
        for caller in callers:
            caller.leave()

    def give_back(self, caller: Caller) -> None:
        slot, caller.slot = caller.slot, None
        assert slot is not None
        with slot:
            pass

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.waiting)).leave()
        self.settle()

    @precondition(lambda self: self.waiting and self.holding)
    @rule(data=st.data(), leaving_first=st.booleans(), seconds=st.sampled_from([0.0, SECONDS]))
    def at_once(self, data: st.DataObject, leaving_first: bool, seconds: float) -> None:
        """A place comes free, some leave, the time may be over and others come, all before the loop runs."""
        leaving = data.draw(st.lists(st.sampled_from(self.waiting), unique_by=id, max_size=3))
        ending = data.draw(st.lists(st.sampled_from(self.holding), unique_by=id, min_size=1, max_size=2))
        self.house.clock.now += seconds
        if leaving_first:
            self.all_leave(leaving)
        for caller in ending:
            self.give_back(caller)
        if not leaving_first:
            self.all_leave(leaving)
        self.callers.append(Caller(self.house, data.draw(st.sampled_from(TENANTS))))
        self.settle()

    @rule(seconds=st.floats(0, 6))
    def pass_time(self, seconds: float) -> None:
        self.house.clock.now += seconds
        self.settle()

    @invariant()
    def counts_are_true(self) -> None:
        bulkhead = self.house.bulkhead
        assert bulkhead.taken == len(self.holding) <= self.size
        assert bulkhead.waiting == len(self.waiting) <= self.queue
        assert bulkhead.taken == self.size or not self.waiting, "a place is free while somebody waits"

    def teardown(self) -> None:
        while self.holding:
            self.give_back(self.holding[0])
            self.settle()
        assert (self.house.bulkhead.taken, self.house.bulkhead.waiting) == (0, 0)
        self.house.close()


TestBulkhead = BulkheadMachine.TestCase
TestBulkhead.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
