"""Answers that are kept: how long, how many, and who waits for whom."""

from __future__ import annotations

import pytest
from fake_upstreams import target
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Event, Usage
from sampan.storage.cache import EVENT, OVERHEAD, SHARE, Cache, Kept


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(size: int = 100, until: float = 60.0) -> Kept:
    return Kept((Event(b"x" * size, content=True, usage=Usage()),), target("a"), "", until)


def test_an_answer_is_kept_for_its_time() -> None:
    clock = Clock()
    cache = Cache(100_000, clock)
    cache.keep(b"k", kept())
    clock.now = 59.9
    assert cache.find(b"k") == kept()
    clock.now = 60.0
    assert cache.find(b"k") is None
    assert (len(cache), cache.size) == (0, 0)


def test_the_least_recently_used_makes_room() -> None:
    one = kept(1000).size
    cache = Cache(one * 10, Clock())
    for number in range(10):
        assert cache.keep(bytes([number]), kept(1000))
    assert cache.find(b"\x00") is not None
    cache.keep(b"new", kept(1000))
    assert cache.find(b"\x00") is not None
    assert cache.find(b"\x01") is None


def test_an_answer_that_would_push_others_out_is_not_kept() -> None:
    cache = Cache(8000, Clock())
    cache.keep(b"small", kept(10))
    large = 8000 // SHARE
    assert not cache.keep(b"large", kept(large))
    assert not cache.fits(large)
    assert cache.fits(large - OVERHEAD - EVENT)
    assert cache.find(b"small") is not None


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2000), st.booleans()), max_size=60))
def test_the_budget_is_kept_whatever_comes(steps: list[tuple[int, int, bool]]) -> None:
    cache = Cache(10_000, Clock())
    for key, size, drops in steps:
        name = bytes([key])
        if drops:
            cache.drop(name)
        else:
            cache.keep(name, kept(size))
        assert cache.size == sum(each.size for each in cache._kept.values()) <= 10_000


async def test_a_flight_tells_those_who_wait() -> None:
    cache = Cache(1000, Clock())
    assert cache.flight(b"k") is None
    cache.take_off(b"k")
    flight = cache.flight(b"k")
    assert flight is not None and not flight.done()
    cache.land(b"k", True)
    assert flight.result() is True
    assert cache.flight(b"k") is None
    cache.land(b"k", False)  # nobody waits any more


@pytest.mark.parametrize("capacity", [0, 1])
def test_without_a_budget_nothing_is_kept(capacity: int) -> None:
    cache = Cache(capacity, Clock())
    assert not cache.keep(b"k", kept(0))
