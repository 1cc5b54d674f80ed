"""Servers that share what they know: simulated ones with clocks of their own, over a store that may die at any step."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from fake_state import FakeState
from fake_upstreams import Clock, Scripted
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sampan.config import UpstreamSettings
from sampan.core import Dialect, Fault, Operation
from sampan.errors import ConfigError, TargetFault
from sampan.network import place
from sampan.routing.breaker import FOLLOWING, TRANSITIONS, Breaker, Permit, State
from sampan.routing.probes import OWN_LOOK, Prober
from sampan.routing.sharing import FIRST_RETRY, LAST_RETRY, LEASE, LEAST_PAUSE, POLL, UNUSED, Sharing

T = TypeVar("T")

DELAY = 30.0
GRACE = 6.0
INTERVAL = 15.0
PUT_OFF = 0.2


def done(step: Coroutine[Any, Any, T]) -> T:
    """Its result; nothing in these tests has to wait."""
    try:
        step.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


class Server:
    """One server's breaker of the upstream `u`, its prober, and what keeps them in step with the store."""

    def __init__(
        self,
        store: FakeState,
        wall: Clock,
        name: str = "a",
        *,
        offset: float = 0.0,
        failures: int = 2,
        successes: int = 1,
    ) -> None:
        self.clock = lambda: wall.now + offset
        self.changes: list[tuple[State, State]] = []
        self.news: list[ConfigError | None] = []
        self.upstream = Scripted("u", [], probes=[])
        self.waits: list[float] = []
        self.sharing = Sharing(store, name, self.clock, put_off=PUT_OFF, observe=self.news.append, wait=self._wait)
        self.breaker = Breaker(
            failures=failures,
            delay=DELAY,
            successes=successes,
            clock=self.clock,
            probed=True,
            grace=GRACE,
            changed=self._changed,
        )
        self.prober = Prober(
            self.upstream,
            [self.breaker],
            INTERVAL,
            clock=self.clock,
            observe=lambda upstream, fault: self.sharing.probed(upstream, fault is None),
        )
        self.sharing.add("u", {Operation.TEXT: self.breaker}, DELAY)
        self.sharing.add_prober("u", "u", self.prober, INTERVAL)

    def _changed(self, before: State, after: State) -> None:
        self.changes.append((before, after))
        self.sharing.wake()

    async def _wait(self, woken: asyncio.Event, seconds: float) -> None:
        self.waits.append(seconds)

    @property
    def state(self) -> State:
        return self.breaker.state

    def ask(self) -> Permit | None:
        with suppress(TargetFault):
            return self.breaker.permit()
        return None

    def fail(self) -> None:
        with suppress(TargetFault), self.breaker.permit():
            raise TargetFault(Fault.REFUSED)

    def trip(self) -> None:
        while self.state is State.CLOSED:
            self.fail()

    def probe(self, well: bool) -> None:
        self.upstream._probes[:] = [None if well else Fault.REFUSED]
        done(self.prober.probe())

    def step(self) -> None:
        done(self.sharing.step())


class House:
    """Servers over one store."""

    def __init__(self, count: int = 2, **settings: int) -> None:
        self.wall = Clock()
        self.store = FakeState(self.wall)
        self.servers = [Server(self.store, self.wall, f"s{i}", offset=1000.0 * i, **settings) for i in range(count)]
        self.settle()

    def settle(self) -> None:
        for _ in range(4):
            for server in self.servers:
                server.step()


class Servers(RuleBasedStateMachine):
    """Whatever happens to servers, upstream and store: only legal moves, no delay longer than it is, and agreement."""

    @initialize(count=st.integers(2, 3), successes=st.integers(1, 2))
    def begin(self, count: int, successes: int) -> None:
        self.wall = Clock()
        self.store = FakeState(self.wall)
        self.successes = successes
        self.born = 0
        self.servers = [self.server(i) for i in range(count)]
        self.permits: list[tuple[Server, Permit]] = []
        self.emptied = False

    def server(self, place: int) -> Server:
        self.born += 1
        made = Server(
            self.store, self.wall, f"s{self.born}", offset=777.0 * place + self.born, successes=self.successes
        )
        made.step()
        return made

    def pick(self, number: int) -> Server:
        return self.servers[number % len(self.servers)]

    @rule(number=st.integers(0, 2))
    def ask(self, number: int) -> None:
        server = self.pick(number)
        others = [
            other
            for other in self.servers
            if other is not server and other.breaker.trial_out and other.clock() < other.breaker.turn.held_until
        ]
        permit = server.ask()
        if permit is None:
            return
        self.permits.append((server, permit))
        if server.state is State.HALF_OPEN and not server.breaker.turn.alone and not self.emptied:
            assert not others, "two servers try at once"

    @precondition(lambda self: self.permits)
    @rule(number=st.integers(0, 9), how=st.sampled_from(["well", "ill", "ill", "left"]))
    def end(self, number: int, how: str) -> None:
        _, permit = self.permits.pop(number % len(self.permits))
        error = {"well": None, "ill": TargetFault(Fault.CUT), "left": asyncio.CancelledError()}[how]
        with suppress(TargetFault, asyncio.CancelledError), permit:
            if error is not None:
                raise error

    @rule(number=st.integers(0, 2))
    def trip(self, number: int) -> None:
        self.pick(number).trip()

    @rule(number=st.integers(0, 2), well=st.booleans())
    def probe(self, number: int, well: bool) -> None:
        self.pick(number).probe(well)

    @rule(seconds=st.sampled_from([0.01, 0.3, UNUSED, LEASE / 2, LEASE, DELAY, DELAY + GRACE, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.wall.now += seconds

    @rule(number=st.integers(0, 2))
    def step(self, number: int) -> None:
        self.pick(number).step()

    @rule(number=st.integers(0, 2))
    def isolate_or_release(self, number: int) -> None:
        breaker = self.pick(number).breaker
        if breaker.state is State.ISOLATED:
            breaker.release()
        else:
            breaker.isolate()

    @rule(number=st.integers(0, 2))
    def kill_and_start(self, number: int) -> None:
        place = number % len(self.servers)
        self.servers[place] = self.server(place)

    @rule(empty=st.booleans())
    def pull_or_put_the_plug(self, empty: bool) -> None:
        self.store.away = not self.store.away
        if empty:
            self.store.forget()
            self.emptied = True

    @precondition(lambda self: not self.store.away)
    @rule()
    def agree(self) -> None:
        for _ in range(6):
            for server in self.servers:
                server.step()
        assert len({server.state for server in self.servers}) == 1
        if self.servers[0].state is State.OPEN:
            ages = [server.breaker.age for server in self.servers]
            assert max(ages) - min(ages) < 0.001

    @invariant()
    def only_legal_moves(self) -> None:
        legal = {(before, after) for (before, _), after in TRANSITIONS.items()}
        for server in getattr(self, "servers", []):
            assert set(server.changes) <= legal
            moves = [State.CLOSED, *(after for _, after in server.changes)]
            assert [before for before, _ in server.changes] == moves[:-1]
            if server.state is State.OPEN:
                assert server.breaker.cools_at <= server.clock() + DELAY


Servers.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestServersThatShare = Servers.TestCase


# The breaker follows.


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_breaker_can_follow_into_any_state_by_the_table(before: State, after: State) -> None:
    state = before
    for signal in FOLLOWING.get((before, after), ()):
        state = TRANSITIONS[state, signal]
    assert state is after


def test_what_was_opened_elsewhere_is_left_for_the_rest_of_the_delay_and_never_longer() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, delay=DELAY, successes=1, clock=clock)
    breaker.adopt(State.OPEN, 20.0)
    assert breaker.cools_at == clock.now + 10.0
    breaker.adopt(State.OPEN, -500.0)
    assert breaker.cools_at == clock.now + DELAY


# Two servers.


def test_what_one_opens_the_other_leaves_alone_and_what_one_closes_is_closed() -> None:
    house = House()
    one, other = house.servers
    one.trip()
    house.wall.now += 5
    one.step()
    other.step()
    assert other.state is State.OPEN
    assert other.breaker.age == pytest.approx(5.0)
    assert other.ask() is None
    house.wall.now += DELAY
    other.probe(True)
    other.ask()
    house.settle()
    permit = other.ask()
    assert permit is not None
    with permit:
        pass
    house.settle()
    assert one.state is State.CLOSED and other.state is State.CLOSED
    assert one.changes[-2:] == [(State.OPEN, State.HALF_OPEN), (State.HALF_OPEN, State.CLOSED)]


def test_the_way_back_is_one_trial_at_a_time_and_its_failure_counts_for_all() -> None:
    house = House(3)
    one, other, third = house.servers
    one.trip()
    house.settle()
    house.wall.now += DELAY + GRACE
    assert all(server.ask() is None for server in house.servers), "a trial without the lease"
    house.settle()
    permits = [server.ask() for server in house.servers]
    [trial] = [permit for permit in permits if permit is not None]
    house.wall.now += LEASE - 1
    house.settle()
    assert not any(server.ask() for server in house.servers), "the lease of a long trial is kept"
    house.wall.now += LEASE - 1
    assert not any(server.ask() for server in house.servers)
    with suppress(TargetFault), trial:
        raise TargetFault(Fault.CUT)
    house.settle()
    assert [server.state for server in house.servers] == [State.OPEN] * 3
    assert {round(server.breaker.age) for server in (one, other, third)} == {0}


def test_a_lease_that_is_not_used_is_given_on_to_who_waits() -> None:
    house = House()
    one, other = house.servers
    one.trip()
    house.settle()
    house.wall.now += DELAY
    one.probe(True)
    one.ask()
    one.step()
    other.step()
    assert other.state is State.HALF_OPEN  # the other's good probe was the way
    assert other.ask() is None
    other.step()
    assert other.ask() is None
    one.step()
    house.wall.now += UNUSED
    one.step()
    other.step()
    assert other.ask() is not None
    assert one.ask() is None


def test_a_holder_that_died_keeps_nobody_waiting_for_ever() -> None:
    house = House()
    one, other = house.servers
    one.trip()
    house.settle()
    house.wall.now += DELAY + GRACE
    one.ask()
    one.step()
    assert one.ask() is not None
    house.servers.remove(one)
    assert other.ask() is None
    other.step()
    assert other.ask() is None
    house.wall.now += LEASE
    other.step()
    assert other.ask() is not None


def test_without_the_store_each_goes_on_alone_and_says_so_once() -> None:
    house = House()
    one, other = house.servers
    house.store.away = True
    for _ in range(3):
        house.settle()
    one.trip()
    house.wall.now += DELAY + GRACE
    house.settle()
    assert one.ask() is not None, "alone, the trial is one's own"
    assert other.state is State.CLOSED and other.ask() is not None
    assert [each is None for each in one.news] == [True, False]
    house.store.away = False
    house.settle()
    assert [each is None for each in one.news] == [True, False, True]
    assert other.state is State.HALF_OPEN


def test_a_store_that_comes_back_empty_is_told_again() -> None:
    house = House()
    house.servers[0].trip()
    house.settle()
    house.store.forget()
    house.settle()
    newcomer = Server(house.store, house.wall, "new")
    newcomer.step()
    assert newcomer.state is State.OPEN


def test_an_old_story_of_one_who_was_away_is_put_right() -> None:
    house = House()
    one, other = house.servers
    one.trip()
    house.settle()
    house.wall.now += DELAY + GRACE
    other.ask()
    other.step()
    trial = other.ask()
    assert trial is not None
    with trial:
        pass
    other.step()
    assert other.state is State.CLOSED and one.state is not State.CLOSED
    house.store.forget()  # nothing was said for so long that all of it is forgotten
    house.settle()
    assert one.state is State.CLOSED and other.state is State.CLOSED


def test_a_state_that_only_a_newer_version_knows_is_passed_over() -> None:
    house = House()
    one, other = house.servers
    one.trip()
    one.step()
    [name] = [name for name in house.store.rows if name.startswith("breaker:")]
    fact, stamp, when = house.store.rows[name]
    house.store.rows[name] = (type(fact)("dreaming", fact.by, fact.age, fact.keep), stamp, when)
    other.step()
    assert other.state is State.CLOSED


# Probes.


def test_probes_of_one_count_for_the_other() -> None:
    house = House()
    one, other = house.servers
    one.probe(False)
    house.settle()
    other.probe(False)
    house.settle()
    assert one.state is State.OPEN and other.state is State.OPEN
    house.wall.now += DELAY
    one.probe(True)
    house.settle()
    assert other.state is State.HALF_OPEN


def test_old_probes_say_nothing() -> None:
    house = House()
    one, other = house.servers
    one.probe(False)
    one.step()
    house.wall.now += INTERVAL
    house.settle()
    other.probe(False)
    assert other.state is State.CLOSED


def test_a_look_of_another_puts_ours_off_while_both_see_the_same() -> None:
    house = House()
    one, other = house.servers
    for server in (one, other):
        server.probe(True)
    due = other.prober._due
    house.wall.now += 10
    one.probe(True)
    house.settle()
    assert other.prober._due == pytest.approx(other.clock() + INTERVAL * (1 + PUT_OFF))
    due = other.prober._due
    one.probe(False)
    house.settle()
    assert other.prober._due == due, "they differ: it looks itself"


def test_every_server_looks_itself_now_and_then() -> None:
    house = House()
    one, other = house.servers
    other.probe(True)
    looked = other.clock()
    for _ in range(OWN_LOOK):
        house.wall.now += INTERVAL
        one.probe(True)
        house.settle()
    assert other.prober._due == looked + OWN_LOOK * INTERVAL


# Times.


async def test_a_store_that_is_away_is_asked_ever_more_rarely() -> None:
    house = House(1)
    [one] = house.servers
    house.store.away = True
    waits = []
    for _ in range(12):
        await one.sharing.step()
        one.sharing.wake()  # a breaker that changes meanwhile is no reason to hurry
        one.waits.clear()
        await one.sharing._pause()
        [wait] = one.waits
        waits.append(wait)
    assert FIRST_RETRY / 2 <= waits[0] <= FIRST_RETRY
    assert LAST_RETRY / 2 <= waits[-1] <= LAST_RETRY
    assert max(waits) <= LAST_RETRY


async def test_a_rest_ends_with_the_delay_that_somebody_waits_for() -> None:
    house = House(1)
    [one] = house.servers
    await one.sharing._pause()
    assert one.waits == [LEAST_PAUSE, POLL]
    one.trip()
    one.step()
    house.wall.now += DELAY + GRACE - 0.3
    one.ask()
    one.waits.clear()
    await one.sharing._pause()
    assert one.waits == [LEAST_PAUSE, pytest.approx(0.3)]


async def test_what_is_told_is_heard_at_once_and_what_cannot_be_heard_is_no_mistake() -> None:
    wall = Clock()
    store = FakeState(wall)
    woken = asyncio.Event()

    class Waker(Sharing):
        def wake(self) -> None:
            woken.set()

    sharing = Waker(store, "a", wall)
    await sharing.load()
    listening = asyncio.create_task(sharing.listen())
    store.told.set()
    await asyncio.wait_for(woken.wait(), 10)
    woken.clear()
    store.away = True
    store.told.set()
    await asyncio.wait_for(woken.wait(), 10)
    assert not listening.done()
    listening.cancel()
    await asyncio.wait([listening])


async def test_it_runs_until_it_is_cancelled_and_its_last_words_are_told() -> None:
    wall = Clock()
    store = FakeState(wall)
    server = Server(store, wall)
    rounds = 0

    async def wait(woken: asyncio.Event, seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 6:
            raise asyncio.CancelledError

    server.sharing._wait = wait
    with pytest.raises(asyncio.CancelledError):
        await server.sharing.run()
    assert store.asked >= 2
    server.trip()
    await server.sharing.aclose()
    newcomer = Server(store, wall, "new")
    newcomer.step()
    assert newcomer.state is State.OPEN


# What is the same upstream for all servers.


def _named(monkeypatch: pytest.MonkeyPatch, host: str, url: str, name: str = "u") -> str:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    return place(name, UpstreamSettings(dialect=Dialect.ANTHROPIC, base_url=url, api_key="sk-1"))


@pytest.mark.parametrize("url", ["http://localhost:9000", "http://127.0.0.1:9000/v1", "http://[::1]:9000"])
def test_a_server_of_the_machine_itself_is_another_on_every_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert _named(monkeypatch, "one", url) == _named(monkeypatch, "one", url)
    assert _named(monkeypatch, "one", url) != _named(monkeypatch, "other", url)


def test_an_upstream_is_the_same_by_its_name_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://api.anthropic.com"
    assert _named(monkeypatch, "one", url) == _named(monkeypatch, "other", url)
    assert _named(monkeypatch, "one", url) != _named(monkeypatch, "one", "https://api.example.org")
    assert _named(monkeypatch, "one", url) != _named(monkeypatch, "one", url, "v")
