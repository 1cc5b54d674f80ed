"""What the overview is written from: tallies by the minute, percentiles, moments, the board, and one look for all."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sampan.console.broadcast import Broadcast, Sight, event
from sampan.console.live import AT_ONCE, Board
from sampan.console.moments import LASTS, MOST, Kind, Timeline
from sampan.console.tallies import COARSE, FINE, LAST, MANY, OTHER, Days, Tally, merged, percentile, slot
from sampan.core import Fault, Operation, Record
from tests.storage.test_records import record

NOW = 1_700_000_040.0  # the beginning of a minute


def call(at: float = NOW, **changes: object) -> Record:
    """One that ended at `at`."""
    made = record(0, upstream="claude", tier="cloud", attempts="claude=ok", input_tokens=10, output_tokens=5)
    made = msgspec.structs.replace(made, total_ms=100.0, first_event_ms=20.0, started=at - 0.1)
    return msgspec.structs.replace(made, **changes)


class Wall:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


# Percentiles.


@given(st.lists(st.floats(0.0, 5e6), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_right_within_a_tenth(latencies: list[float], share: float) -> None:
    counts: dict[int, int] = {}
    for each in latencies:
        counts[slot(each)] = counts.get(slot(each), 0) + 1
    rank = next(value for place, value in enumerate(sorted(latencies), 1) if place >= share * len(latencies))
    told = percentile(counts, share)
    assert told is not None
    if 0.25 < rank < 0.25 * 2 ** ((LAST - 1) / 4):
        assert abs(told - rank) <= 0.1 * rank
    elif rank <= 0.25:
        assert told <= 0.25


@given(st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_slots_are_in_the_order_of_latencies(one: float, other: float) -> None:
    assert (one <= other) <= (slot(one) <= slot(other))
    assert 0 <= slot(one) <= LAST


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


# Days.

OFFSETS = st.lists(st.integers(0, 24 * 60 - 100), max_size=20)


@given(OFFSETS, st.integers(0, 90))
def test_no_call_of_the_day_is_lost_or_counted_twice(minutes: list[int], later: int) -> None:
    days = Days()
    days.roll(NOW)
    for each in minutes:
        days.at(NOW - 60 * each).count(call())
    days.roll(NOW + 60 * later)
    whole = merged((days.ended(1440), days.current))
    assert whole.calls == len(minutes)
    points: list[tuple[int, ...] | None] = days.curve(600, 144)["points"]  # type: ignore[assignment]
    assert sum(point[0] for point in points if point) == len(minutes) - days.current.calls


def test_what_is_older_than_a_day_is_forgotten_and_memory_is_bounded() -> None:
    days = Days()
    for minute in range(3 * 1440):
        days.roll(NOW + 60 * minute)
        days.at(NOW + 60 * minute).count(call())
    assert len(days._fine) <= FINE and len(days._coarse) <= COARSE
    assert days.ended(15).calls == 15 and 1440 <= days.ended(1440).calls < 1450
    days.at(NOW).count(call())  # a record of long ago
    assert days.ended(1440).calls < 1450
    assert days.roll(NOW + 10 * 86_400) and days.ended(1440).calls == 0


def test_a_tally_bounds_the_names_that_it_counts() -> None:
    tally = Tally()
    for number in range(MANY + 10):
        tally.count(call(upstream=f"u{number}"))
    assert len(tally.targets) == MANY + 1 and tally.targets[OTHER].answers == 10


def test_kept_answers_say_nothing_of_latencies() -> None:
    tally = merged([Tally()])
    tally.count(call(cache="hit", total_ms=0.2))
    tally.count(call(outcome="failed", tier="", upstream=""))
    told = tally.told()
    assert (told["calls"], told["cached"], told["p50"], told["tiers"]) == (2, 1, None, {"cloud": 1})


# Moments.


def test_the_same_fault_over_and_over_is_one_that_lasts() -> None:
    line = Timeline()
    first = line.add(Kind.FAULT, NOW, "refused", upstream="claude", call="a")
    mark = line.mark
    for second in range(1, 10):
        line.add(Kind.FAULT, NOW + second, "refused", upstream="claude", call=f"b{second}")
    line.add(Kind.FAULT, NOW + 9 + LASTS + 1, "refused", upstream="claude")
    line.add(Kind.FAULT, NOW, "refused", upstream="openai")
    assert [each.count for each in line.moments] == [10, 1, 1]
    assert (first.last, first.call) == (NOW + 9, "b9")
    assert [each.id for each in line.news(mark)] == [each.id for each in line.moments]
    assert line.news(line.mark) == []


def test_the_timeline_keeps_the_newest() -> None:
    line = Timeline()
    for number in range(MOST + 50):
        line.add(Kind.BREAKER, NOW + number, "open", upstream=f"u{number}")
    assert len(line.moments) == MOST and line.moments[0].upstream == "u50"


# The board.


def test_the_board_tells_calls_tiers_money_and_who_failed() -> None:
    wall = Wall()
    board = Board(wall)
    board.keep(call(cost=0.25))
    board.keep(call(attempts="claude=refused,reader=ok", upstream="reader", tier="degraded", id="req_2"))
    board.keep(call(outcome="failed", attempts="claude=cut", upstream="", tier="", id="req_3"))
    board.keep(call(attempts="claude=breaker_open,reader=ok", upstream="reader", tier="degraded"))
    told = board.told()
    window = told["windows"]["900"]  # type: ignore[index]
    assert window["calls"] == 4 and window["outcomes"] == {"ok": 3, "failed": 1}
    assert window["tiers"] == {"cloud": 1, "degraded": 2} and window["cost"] == 0.25
    assert window["targets"]["claude"] == {
        "answers": 1,
        "p50": window["p50"],
        "p95": window["p95"],
        "faults": {"refused": 1, "cut": 1},
    }
    faults = [(each.word, each.to, each.call) for each in board.timeline.moments if each.kind is Kind.FAULT]
    assert faults == [("refused", "reader", "req_2"), ("cut", "", "req_3")]
    assert board.last_faults["claude"].fault == "cut"


def test_windows_end_where_they_say() -> None:
    wall = Wall()
    board = Board(wall)
    for minutes in (1, 20, 90, 600):
        wall.now = NOW
        board._days.at(NOW - 60 * minutes).count(call())
    counts = {name: window["calls"] for name, window in board.told()["windows"].items()}  # type: ignore[attr-defined]
    assert counts == {"900": 1, "3600": 2, "21600": 3, "86400": 4}
    wall.now = NOW + 20 * 60
    assert board.told()["windows"]["900"]["calls"] == 0  # type: ignore[index]


def test_nothing_new_is_told_as_the_same() -> None:
    wall = Wall()
    board = Board(wall)
    board.keep(call())
    told = board.told()
    wall.now += 1
    assert board.told() is told
    board.keep(call())
    assert board.told() is not told


def test_an_answer_that_broke_off_and_went_on_is_a_handover() -> None:
    board = Board(Wall())
    board.broke("claude", Operation.TEXT, Fault.CUT)
    board.keep(call(attempts="claude=cut,spare=ok", upstream="spare"))
    board.keep(call(attempts="claude=cut,spare=ok", upstream="spare"))
    board.count()
    kinds = [(each.kind, each.word, each.to) for each in board.timeline.moments[1:]]
    assert kinds == [(Kind.HANDOVER, "cut", "spare"), (Kind.FAULT, "cut", "spare")]


def test_breakers_probes_and_engines_are_told_when_they_change() -> None:
    board = Board(Wall())
    with board.quiet():
        board.breaker("claude", Operation.TEXT, "closed")
    board.breaker("claude", Operation.TEXT, "open")
    with board.quiet():  # another configuration: built closed, then as it was kept
        board.breaker("claude", Operation.TEXT, "closed")
        board.breaker("claude", Operation.TEXT, "open")
    with board.by_hand("ann"):
        board.breaker("claude", Operation.TEXT, "isolated")
    board.probed("claude", None)
    board.probed("claude", Fault.DNS)
    board.probed("claude", Fault.DNS)
    board.probed("claude", None)
    board.engine("reader", "warm", "")
    board.engine("reader", "warm", "")
    board.engine("reader", "backing_off", "it was ended by SIGKILL")
    seen = [(each.kind.value, each.word, each.by) for each in board.timeline.moments]
    assert seen == [
        ("gateway", "started", ""),
        ("breaker", "open", ""),
        ("breaker", "isolated", "ann"),
        ("probe", "dns", ""),
        ("probe", "ok", ""),
        ("engine", "warm", ""),
        ("engine", "backing_off", ""),
    ]
    assert board.timeline.moments[-1].detail == "it was ended by SIGKILL"


def test_the_board_is_filled_from_an_earlier_life_and_counts_no_call_twice() -> None:
    wall = Wall()
    board = Board(wall)
    wall.now += 1
    board.keep(call(NOW + 0.5))
    older = [call(NOW - 3600 * each, attempts="claude=cut,reader=ok", id=f"req_{each}") for each in (2, 1)]
    board.fill([*older, call(NOW + 0.5)])  # the last is ours, and in the database by now
    board.filled(NOW - 86_400)
    assert board.told()["windows"]["86400"]["calls"] == 3  # type: ignore[index]
    assert board.since == NOW - 86_400
    times = [each.at for each in board.timeline.moments]
    assert len(times) == 3 and times == sorted(times)


def test_a_call_costs_the_board_microseconds_and_bounded_memory() -> None:
    board = Board(Wall())
    calls = [call(id=f"req_{number}") for number in range(20_000)]
    began = time.process_time()
    for each in calls:
        board.keep(each)
    spent = time.process_time() - began
    assert spent / len(calls) < 15e-6, f"{spent / len(calls) * 1e6:.1f} µs"  # a tenth of that on a quiet machine
    assert len(board._pending) < AT_ONCE


# One look for all.


class Show:
    """What is seen, and how often it was looked at."""

    def __init__(self) -> None:
        self.looks: list[int] = []
        self.now = 100.0
        self.seen: dict[str, bytes] = {"windows": b"1", "routes": b"[]"}
        self.news = b""
        self.turn = asyncio.Event()
        self.slept = asyncio.Event()

    async def look(self, mark: int) -> Sight:
        self.looks.append(mark)
        return Sight(self.now, dict(self.seen), b"[7]", self.news, len(self.looks))

    async def sleep(self, seconds: float) -> None:
        """Until the test lets a second pass."""
        self.slept.set()
        await self.turn.wait()
        self.turn.clear()
        self.now += seconds

    async def second(self) -> None:
        await self.slept.wait()
        self.slept.clear()
        self.turn.set()
        await self.slept.wait()


def data(told: bytes) -> tuple[str, dict[str, object]]:
    name, _, rest = told.decode().partition("\n")
    return name.removeprefix("event: "), json.loads(rest.removeprefix("data: "))


async def test_twenty_watchers_cost_one_look_a_second() -> None:
    show = Show()
    cast = Broadcast(show.look, clock=lambda: show.now, sleep=show.sleep)
    watchers = [cast.watch() for _ in range(20)]
    firsts = [await anext(each) for each in watchers]
    assert len(set(map(id, firsts))) <= 20 and len(set(firsts)) == 1 and show.looks == [0]
    assert data(firsts[0]) == ("snapshot", {"at": 100.0, "windows": 1, "routes": [], "moments": [7]})
    show.seen = {"windows": b"2", "routes": b"[]"}
    show.news = b"[8]"
    await show.second()
    changes = [await anext(each) for each in watchers]
    assert data(changes[0]) == ("change", {"at": 101.0, "windows": 2, "moments": [8]})
    assert all(each is changes[0] for each in changes), "the same bytes for everybody"
    assert show.looks == [0, 1]
    assert json.loads(await cast.snapshot())["windows"] == 2 and show.looks == [0, 1]
    for each in watchers:
        await each.aclose()
    assert cast.watchers == 0 and not cast.busy


async def test_nobody_is_told_of_nothing() -> None:
    show = Show()
    cast = Broadcast(show.look, clock=lambda: show.now, sleep=show.sleep, beat=0.01)
    async with aclosing(cast.watch()) as watcher:
        await anext(watcher)
        await show.second()
        assert await anext(watcher) == b""  # only whether it is still there


async def test_who_is_too_slow_is_told_everything_once() -> None:
    show = Show()
    cast = Broadcast(show.look, clock=lambda: show.now, sleep=show.sleep)
    async with aclosing(cast.watch()) as quick, aclosing(cast.watch()) as slow:
        await anext(quick)
        await anext(slow)
        for number in range(3):
            show.seen = {"windows": b"%d" % (number + 5)}
            await show.second()
            assert data(await anext(quick))[0] == "change"
        name, seen = data(await anext(slow))
        assert name == "snapshot" and seen["windows"] == 7


async def test_the_looking_stops_with_the_last_watcher_and_begins_anew() -> None:
    show = Show()
    cast = Broadcast(show.look, clock=lambda: show.now, sleep=show.sleep)
    for number in range(2):
        async with aclosing(cast.watch()) as watcher:
            await anext(watcher)
            assert cast.busy
        assert not cast.busy and len(show.looks) == number + 1
        show.now += 60


async def test_watchers_go_home_when_the_server_ends() -> None:
    show = Show()
    cast = Broadcast(show.look, clock=lambda: show.now, sleep=show.sleep)
    watcher = cast.watch()
    await anext(watcher)
    rest = asyncio.ensure_future(anext(watcher, b"end"))
    await asyncio.sleep(0)
    cast.close()
    assert await asyncio.wait_for(rest, 10) == b"end"
    assert not cast.busy


def test_events_are_one_line_each() -> None:
    assert event("change", b'{"a":1}') == b'event: change\ndata: {"a":1}\n\n'
    assert all(one != other for one, other in pairwise(Kind))
