"""Slots: rows write at their own length, and what one row holds never reaches another."""

from __future__ import annotations

import pytest
import torch

from sampan.engines.qwen_vl.cache import Aim, SlotCache


def made(rows: int, tokens: int, value: float) -> torch.Tensor:
    return torch.full((rows, 2, tokens, 4), value)


def write(cache: SlotCache, slots: list[int], positions: list[list[int]], value: float, reach: int) -> torch.Tensor:
    cache.aim(Aim(slots, torch.tensor(positions), reach))
    keys, values = cache.update(
        made(len(slots), len(positions[0]), value), made(len(slots), len(positions[0]), -value), 0
    )
    assert torch.equal(keys, -values)
    return keys[:, 0, :, 0]


def test_rows_write_at_their_own_length() -> None:
    cache = SlotCache(4, 8, fixed=True)
    write(cache, [0, 1], [[0, 1, 2], [0, 1, cache.scrap]], 1.0, 3)
    seen = write(cache, [0, 1], [[3], [2]], 2.0, 4)
    assert seen.tolist() == [[1, 1, 1, 2], [1, 1, 2, 0]]


def test_slots_apart_are_read_in_their_order() -> None:
    cache = SlotCache(4, 8, fixed=True)
    write(cache, [1], [[0]], 1.0, 1)
    seen = write(cache, [3, 1], [[0], [1]], 2.0, 2)
    assert seen.tolist() == [[2, 0], [1, 2]]


def test_it_grows_and_keeps_what_is_there() -> None:
    cache = SlotCache(4, 2000)
    cache.reserve(1, 100)
    write(cache, [0], [list(range(100))], 1.0, 100)
    small = cache.bytes
    cache.reserve(3, 900)
    assert cache.length >= 900
    seen = write(cache, [0, 1, 2], [[100], [0], [0]], 2.0, 101)
    assert seen[0].tolist() == [1.0] * 100 + [2.0]
    assert seen[1].tolist() == [2.0] + [0.0] * 100
    assert small < cache.bytes <= 4 * 2001 * 2 * 4 * 4 * 2
    cache.reserve(4, 2000)
    full = cache.bytes
    assert full == 4 * 2001 * 2 * 4 * 4 * 2
    cache.reserve(1, 10)
    assert cache.bytes == full
    with pytest.raises(ValueError, match="more than"):
        cache.reserve(5, 10)
    with pytest.raises(ValueError, match="more than"):
        cache.reserve(1, 2001)


def test_a_slot_moves() -> None:
    cache = SlotCache(3, 8, fixed=True)
    write(cache, [0, 1, 2], [[0, 1]] * 3, 1.0, 2)
    write(cache, [2], [[2, 3]], 5.0, 4)
    cache.move(2, 0, 4)
    assert write(cache, [0], [[4]], 7.0, 5).tolist() == [[1, 1, 5, 5, 7]]
