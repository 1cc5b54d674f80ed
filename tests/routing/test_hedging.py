from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Operation
from sampan.routing.hedging import ENOUGH, Latencies

TEXT, VISION = Operation.TEXT, Operation.VISION


def test_there_is_no_usual_before_enough_is_known() -> None:
    latencies = Latencies()
    assert latencies.p95("claude", TEXT) is None
    for _ in range(ENOUGH - 1):
        latencies.add("claude", TEXT, 1.0)
    assert latencies.p95("claude", TEXT) is None
    latencies.add("claude", TEXT, 1.0)
    assert latencies.p95("claude", TEXT) == 1.0


def test_upstreams_and_operations_have_each_their_own() -> None:
    latencies = Latencies(window=3, enough=1)
    latencies.add("claude", TEXT, 1.0)
    latencies.add("claude", VISION, 5.0)
    latencies.add("gpu", TEXT, 0.1)
    assert [latencies.p95(*each) for each in (("claude", TEXT), ("claude", VISION), ("gpu", TEXT))] == [1.0, 5.0, 0.1]
    assert latencies.p95("gpu", VISION) is None


def test_five_slow_ones_of_a_hundred_are_unusual_and_six_are_not() -> None:
    latencies = Latencies(window=100)
    for seconds in [1.0] * 95 + [9.0] * 5:
        latencies.add("claude", TEXT, seconds)
    assert latencies.p95("claude", TEXT) == 1.0
    latencies.add("claude", TEXT, 9.0)
    assert latencies.p95("claude", TEXT) == 9.0


def test_what_has_left_the_window_is_forgotten() -> None:
    latencies = Latencies(window=20, enough=20)
    for seconds in [60.0] * 20 + [0.5] * 20:
        latencies.add("claude", TEXT, seconds)
    assert latencies.p95("claude", TEXT) == 0.5


@pytest.mark.parametrize("seconds", [-0.001, math.nan, math.inf])
def test_what_is_no_time_is_refused(seconds: float) -> None:
    latencies = Latencies(enough=1)
    with pytest.raises(ValueError, match="is no time"):
        latencies.add("claude", TEXT, seconds)
    assert latencies.p95("claude", TEXT) is None


@given(st.lists(st.floats(0, 600), min_size=1, max_size=60), st.integers(1, 25))
def test_it_is_the_nearest_rank_of_the_last_ones(times: list[float], window: int) -> None:
    latencies = Latencies(window=window, enough=1)
    for seconds in times:
        latencies.add("claude", TEXT, seconds)
    last = sorted(times[-window:])
    p95 = latencies.p95("claude", TEXT)
    assert p95 is not None
    assert sum(each <= p95 for each in last) * 100 >= 95 * len(last)
    assert sum(each < p95 for each in last) * 100 < 95 * len(last)
