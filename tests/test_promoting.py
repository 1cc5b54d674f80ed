"""Every arrow of a promotion, with processes and a clock that do as the test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from promoted import DRAIN, WARM_WITHIN, House, Told, opened, quiet, state

from sampan.config import ReleaseSettings
from sampan.errors import ConfigError
from sampan.promoting import FEW, REFUSALS, STOPPED
from sampan.storage.db import Database
from sampan.storage.releases import Kind, Stage
from sampan.supervisor import Phase

ENGINES = itertools.count()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("promoting")
    opened = Database(folder)
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def house(database: Database) -> AsyncIterator[House]:
    async with opened(House(Told(database), f"e{next(ENGINES)}")) as house:
        yield house


async def test_a_good_release_goes_all_the_way(house: House) -> None:
    number = house.promote("r1")
    sharing = await house.until(Stage.SHARING, number)
    assert (sharing.share, house.lineup.share, house.in_force) == (0.1, 0.1, "r0")
    await house.hands.advance(11)
    assert house.releases.get(number).share == 0.5
    promotion = await house.carry_out(number)
    assert (promotion.stage, promotion.detail) == (Stage.FINISHED, "in force; r0 stays warm for a while")
    assert (house.in_force, house.pinned, house.lineup.candidate) == ("r1", "r1", "")
    assert house.running == ["r0", "r1"]
    assert list(dict.fromkeys(house.releases.stages)) == ["starting", "probing", "sharing", "finished"]
    assert house.settled == house.asked.closed == 1
    assert 20 <= house.hands.now < 30  # two shares of ten seconds
    await house.hands.advance(house.settings.keep + 1)
    assert house.running == ["r1"]


async def test_without_shares_it_goes_from_its_probes_into_force(house: House) -> None:
    house.settings = ReleaseSettings(shares=[], keep=0)
    promotion = await house.carry_out(house.promote("r1"))
    assert (promotion.stage, promotion.detail) == (Stage.FINISHED, "in force")
    await house.hands.advance(1)
    assert house.running == ["r1"]


@pytest.mark.parametrize(
    ("becomes", "why"),
    [
        (state(Phase.BACKING_OFF, crashes=2, last_error="code 3", last_line="no memory"), "code 3; its log said: no m"),
        (state(Phase.STARTING, refusals=REFUSALS, stage="its first call failed: cut"), "its first call failed: cut"),
        (state(Phase.STARTING), "it does not get warm: it says nothing"),
    ],
    ids=["crashes", "first calls", "never"],
)
async def test_what_does_not_get_warm_is_rolled_back(house: House, becomes: object, why: str) -> None:
    house.processes.plans["r1"] = becomes  # type: ignore[assignment]
    promotion = await house.carry_out(house.promote("r1"), WARM_WITHIN + 10)
    assert promotion.stage is Stage.ROLLED_BACK
    assert why in promotion.detail
    await house.hands.advance(1)
    assert (house.in_force, house.running, house.pinned) == ("r0", ["r0"], "")
    assert "probing" not in house.releases.stages


async def test_what_fails_its_probes_is_never_given_a_call(house: House) -> None:
    house.failing["r1"] = "golden probe 'talks': it said nothing"
    promotion = await house.carry_out(house.promote("r1"))
    assert (promotion.stage, promotion.detail) == (Stage.ROLLED_BACK, house.failing["r1"])
    assert "sharing" not in house.releases.stages
    assert house.running == ["r0"]


async def test_what_says_while_it_starts_is_told(house: House) -> None:
    house.processes.plans["r1"] = state(Phase.STARTING, stage="reading weights")
    number = house.promote("r1")
    await house.until(Stage.STARTING, number)
    assert house.releases.get(number).detail == "reading weights"
    name = list(house.processes.states)[-1]
    house.processes.states[name] = state(Phase.WARM)
    assert (await house.carry_out(number)).stage is Stage.FINISHED


async def test_faults_of_its_calls_roll_it_back(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    for _ in range(2):
        house.lineup.note(house.lineup.candidate, "server_error: status 500")
    promotion = await house.carry_out(number)
    assert promotion.stage is Stage.ROLLED_BACK
    assert promotion.detail == "2 of 2 calls failed, the last with server_error: status 500"
    assert (house.in_force, house.lineup.candidate, house.running) == ("r0", "", ["r0"])


async def test_one_fault_of_few_calls_says_nothing_and_five_in_a_hundred_are_allowed(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    for fault in ["cut", *[""] * (FEW - 2)]:
        house.lineup.note(house.lineup.candidate, fault)
    await house.hands.advance(12)
    assert house.releases.get(number).share == 0.5
    for fault in ["cut"] * 5 + [""] * 95:
        house.lineup.note(house.lineup.candidate, fault)
    assert (await house.carry_out(number)).stage is Stage.FINISHED


async def test_the_last_moment_of_the_watch_counts(house: House) -> None:
    number = house.promote("r1")
    sharing = await house.until(Stage.SHARING, number)
    assert sharing.detail == "0 calls, 0 faults"
    while house.lineup.share != 0.5:
        await house.hands.advance(0.1)
    await house.hands.advance(house.settings.watch - 0.15)
    assert house.releases.get(number).stage is Stage.SHARING
    for _ in range(3):
        house.lineup.note(house.lineup.candidate, "cut")
    assert (await house.carry_out(number)).stage is Stage.ROLLED_BACK


async def test_a_crash_while_it_shares_rolls_it_back(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    house.processes.crash(house.lineup.candidate)
    promotion = await house.carry_out(number)
    assert (promotion.stage, promotion.detail) == (Stage.ROLLED_BACK, "it is backing_off: it was ended by SIGKILL")
    assert house.running == ["r0"]


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.PROBING, Stage.SHARING])
async def test_a_rollback_stops_it_wherever_it_is(house: House, stage: Stage) -> None:
    if stage is Stage.STARTING:
        house.processes.plans["r1"] = state(Phase.STARTING)
    house.probing = asyncio.Event()
    if stage is Stage.SHARING:
        house.probing.set()
    number = house.promote("r1")
    await house.until(stage, number)
    back = await house.carry_out(house.ask(Kind.ROLLBACK))
    assert (back.stage, back.revision, back.detail) == (Stage.FINISHED, "r1", "the promotion that went on was stopped")
    promotion = house.releases.get(number)
    assert (promotion.stage, promotion.detail) == (Stage.ROLLED_BACK, STOPPED)
    await house.hands.advance(1)
    assert (house.in_force, house.running, house.pinned) == ("r0", ["r0"], "")


async def test_a_rollback_that_comes_too_late_to_stop_it_goes_back(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    enforce = house.releases.enforce
    asked: list[int] = []

    def ask_and_enforce(*facts: object) -> None:
        """It is asked for while the promotion is being written down."""
        if not asked:
            asked.append(house.ask(Kind.ROLLBACK))
        enforce(*facts)

    house.releases.enforce = ask_and_enforce  # type: ignore[method-assign]
    assert (await house.carry_out(number)).stage is Stage.FINISHED
    back = await house.carry_out(asked[0])
    assert (back.stage, back.detail) == (Stage.FINISHED, "r0 is in force again")
    assert (house.in_force, house.pinned) == ("r0", "r0")


@pytest.mark.parametrize(
    ("revision", "why"),
    [("missing", "missing is not here"), ("r0", "r0 is in force already"), ("buggy", "a mistake of ours")],
)
async def test_what_cannot_be_begun_is_failed_and_leaves_nothing(house: House, revision: str, why: str) -> None:
    house.failing["buggy"] = "bug"
    promotion = await house.carry_out(house.promote(revision))
    assert promotion.stage is Stage.FAILED
    assert why in promotion.detail
    await house.hands.advance(1)
    assert (house.in_force, house.running, house.pinned) == ("r0", ["r0"], "")


async def test_another_servers_engine_is_failed_in_words(house: House) -> None:
    number = house.releases.ask(f"{house.engine}-else", Kind.PROMOTE, "r1")
    promotion = await house.carry_out(number)
    assert (promotion.stage, "runs no engine" in promotion.detail) == (Stage.FAILED, True)


async def test_the_way_back_is_instant_while_the_old_is_kept_and_leads_forth_again(house: House) -> None:
    old = house.lineup.stable
    await house.carry_out(house.promote("r1"))
    new = house.lineup.stable
    before = house.hands.now
    back = await house.carry_out(house.ask(Kind.ROLLBACK))
    assert (back.stage, back.detail, house.lineup.stable) == (Stage.FINISHED, "r0 is in force again", old)
    assert house.hands.now - before <= 1
    assert house.pinned == "r0"
    await house.carry_out(house.ask(Kind.ROLLBACK))
    assert (house.lineup.stable, house.pinned) == (new, "r1")
    await house.hands.advance(house.settings.keep + 1)
    assert house.running == ["r1"]


async def test_the_way_back_is_by_a_start_once_the_old_was_let_go(house: House) -> None:
    await house.carry_out(house.promote("r1"))
    await house.hands.advance(house.settings.keep + 1)
    back = await house.carry_out(house.ask(Kind.ROLLBACK))
    assert (back.stage, house.in_force, house.pinned) == (Stage.FINISHED, "r0", "r0")
    assert house.running == ["r0", "r1"]


async def test_the_way_back_by_a_start_where_what_was_kept_has_crashed(house: House) -> None:
    await house.carry_out(house.promote("r1"))
    house.processes.crash(house.engine)
    back = await house.carry_out(house.ask(Kind.ROLLBACK))
    assert (back.stage, house.in_force) == (Stage.FINISHED, "r0")
    await house.hands.advance(house.settings.keep + 1)
    assert house.running == ["r0"]


async def test_a_way_back_that_does_not_come_up_leaves_what_is(house: House) -> None:
    await house.carry_out(house.promote("r1"))
    await house.hands.advance(house.settings.keep + 1)
    house.failing["r0"] = "golden probe 'talks': cut"
    back = await house.carry_out(house.ask(Kind.ROLLBACK))
    assert back.stage is Stage.FAILED
    assert "r1 stays in force" in back.detail and "golden probe" in back.detail
    await house.hands.advance(1)
    assert (house.in_force, house.running, house.pinned) == ("r1", ["r1"], "r1")


async def test_there_is_no_way_back_from_the_first(house: House) -> None:
    back = await house.carry_out(house.ask(Kind.ROLLBACK))
    assert back.stage is Stage.FAILED
    assert "nothing was promoted" in back.detail


async def test_what_is_kept_is_promoted_without_another_start(house: House) -> None:
    old = house.lineup.stable
    await house.carry_out(house.promote("r1"))
    await house.carry_out(house.promote("r0"))
    assert house.lineup.stable == old
    assert house.running == ["r0", "r1"]


async def test_the_one_before_the_one_before_is_let_go(house: House) -> None:
    await house.carry_out(house.promote("r1"))
    await house.carry_out(house.promote("r2"))
    await house.hands.advance(1)
    assert (house.in_force, house.running) == ("r2", ["r1", "r2"])


async def test_a_process_ends_after_its_calls(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    candidate = house.lineup.candidate
    house.lineup.enter(candidate)
    house.ask(Kind.ROLLBACK)
    await house.carry_out(number)
    await house.hands.advance(30)
    assert house.running == ["r0", "r1"]
    again = house.promote("r2")
    await house.until(Stage.STARTING, again)
    assert "ends its calls first" in house.releases.get(again).detail
    house.lineup.leave(candidate)
    await house.carry_out(again)
    assert (house.in_force, house.running) == ("r2", ["r0", "r2"])


async def test_a_call_that_never_ends_does_not_hold_a_process_for_ever(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    house.lineup.enter(house.lineup.candidate)
    house.ask(Kind.ROLLBACK)
    await house.carry_out(number)
    await house.hands.advance(DRAIN + 1)
    assert house.running == ["r0"]


async def test_a_full_disk_leaves_the_old_in_force_and_is_told_later(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    house.releases.broken = True
    await house.hands.advance(60)
    assert (house.in_force, house.running) == ("r0", ["r0"])
    assert house.releases.get(number).ended is None
    house.releases.broken = False
    promotion = await house.carry_out(number)
    assert (promotion.stage, promotion.detail) == (Stage.FAILED, "disk full")
    assert (await house.carry_out(house.promote("r2"))).stage is Stage.FINISHED


async def test_a_full_disk_on_the_way_back_keeps_what_was_kept(house: House) -> None:
    old = house.lineup.stable
    await house.carry_out(house.promote("r1"))
    number = house.ask(Kind.ROLLBACK)
    house.releases.broken = True
    await house.hands.advance(2)
    assert (house.in_force, house.pinned) == ("r1", "r1")
    house.releases.broken = False
    assert (await house.carry_out(number)).stage is Stage.FAILED
    await house.carry_out(house.ask(Kind.ROLLBACK))
    assert (house.lineup.stable, house.pinned) == (old, "r0")


async def test_what_a_server_that_stops_leaves_undone_is_failed(house: House) -> None:
    number = house.promote("r1")
    await house.until(Stage.SHARING, number)
    await house.close()
    promotion = house.releases.get(number)
    assert (promotion.stage, "the release before stays" in promotion.detail) == (Stage.FAILED, True)
    await house.open()
    assert (house.in_force, house.pinned) == ("r0", "")


async def test_what_a_server_that_was_killed_left_undone_is_failed_by_the_next(house: House) -> None:
    await house.close()
    number, back = house.promote("r1"), house.ask(Kind.ROLLBACK)
    house.releases.note(number, Stage.SHARING, "3 calls", 0.5)
    await house.open()
    await house.hands.advance(5)
    assert {house.releases.get(each).stage for each in (number, back)} == {Stage.FAILED}
    assert (house.in_force, house.running) == ("r0", ["r0"])
    assert (await house.carry_out(house.promote("r1"))).stage is Stage.FINISHED


async def test_two_at_once_are_refused_and_the_next_is_taken_up_at_once(house: House) -> None:
    number = house.promote("r1")
    with pytest.raises(ConfigError, match=r"a promote of e\d+ goes on \(asked\).*sampan models rollback"):
        house.promote("r2")
    house.ask(Kind.ROLLBACK)
    with pytest.raises(ConfigError, match="a rollback of"):
        house.ask(Kind.ROLLBACK)
    await house.carry_out(number)
    assert (await house.carry_out(house.promote("r2"))).stage is Stage.FINISHED


ACTIONS = st.one_of(
    st.sampled_from(["r0", "r1", "r2", "missing", "bad", "never"]).map(lambda each: ("promote", each)),
    st.just(("rollback", "")),
    st.just(("crash", "candidate")),
    st.just(("crash", "kept")),
    st.just(("crash", "stable")),
    st.just(("fault", "")),
    st.just(("restart", "")),
    st.sampled_from(["0.1", "1", "5", "30"]).map(lambda each: ("wait", each)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, max_size=14))
def test_any_order_leaves_one_process_alive_and_a_true_pin(database: Database, actions: list[tuple[str, str]]) -> None:
    house = House(Told(database), f"e{next(ENGINES)}")
    house.failing["bad"] = "golden probe 'talks': cut"
    house.processes.plans["never"] = state(Phase.STARTING, refusals=REFUSALS)
    house.settings = ReleaseSettings(shares=[0.5], watch=2, keep=20)

    async def play() -> None:
        async with opened(house):
            for what, value in actions:
                await act(house, what, value)
                check(house)
            house.processes.revive()
            for left in house.releases.open():
                await house.carry_out(left.id)
            await house.hands.advance(house.settings.keep + 5)
            check(house)
            assert list(house.processes.states) == [house.lineup.stable]
            assert house.lineup.candidate == ""
            assert house.releases.open() == []

    asyncio.run(play())


async def act(house: House, what: str, value: str) -> None:
    if what in ("promote", "rollback"):
        try:
            house.ask(Kind(what), value)
        except ConfigError:  # one goes on
            await quiet()
    elif what == "crash":
        stable, candidate = house.lineup.stable, house.lineup.candidate
        kept = next((name for name in house.processes.states if name not in (stable, candidate)), "")
        victim = {"stable": stable, "candidate": candidate, "kept": kept}[value]
        if victim in house.processes.states:
            house.processes.crash(victim)
    elif what == "fault":
        for _ in range(3):
            house.lineup.note(house.lineup.candidate, "cut")
    elif what == "restart":
        await house.close()
        await house.open()
    else:
        await house.hands.advance(float(value))
        house.processes.revive()


def check(house: House) -> None:
    """What is always true."""
    assert house.lineup.stable in house.processes.states
    assert house.lineup.candidate == "" or house.lineup.candidate in house.processes.states
    assert house.in_force == (house.pinned or "r0")
    assert house.in_force in ("r0", "r1", "r2")
