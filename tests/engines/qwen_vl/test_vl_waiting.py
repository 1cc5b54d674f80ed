"""The queue: owners take turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engines.qwen_vl.waiting import Queue


def test_owners_take_turns_and_keep_their_order() -> None:
    queue: Queue[str] = Queue()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.put(item[0], item)
    assert [queue.take() for _ in range(6)] == ["a1", "b1", "c1", "a2", "c2", "a3"]
    with pytest.raises(IndexError):
        queue.take()


def test_one_that_has_had_its_turn_stands_behind_one_that_has_not() -> None:
    queue: Queue[str] = Queue()
    queue.put("a", "a1")
    queue.put("b", "b1")
    assert queue.take() == "a1"
    queue.put("a", "a2")
    assert [queue.take(), queue.take()] == ["b1", "a2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "take", "remove"])), max_size=60))
def test_nothing_is_lost_or_told_twice(moves: list[tuple[str, str]]) -> None:
    queue: Queue[int] = Queue()
    inside: dict[int, str] = {}
    for number, (owner, move) in enumerate(moves):
        if move == "put":
            queue.put(owner, number)
            inside[number] = owner
        elif move == "take" and inside:
            item = queue.take()
            assert item == min(other for other in inside if inside[other] == inside[item])
            del inside[item]
        elif move == "remove":
            mine = [item for item in inside if inside[item] == owner]
            assert queue.remove(owner, mine[-1] if mine else -1) is bool(mine)
            if mine:
                del inside[mine[-1]]
        assert len(queue) == len(inside)
    assert sorted(queue.clear()) == sorted(inside)
    assert len(queue) == 0
