"""The drawing thread with a brush that draws nothing: turns, batches, room, leaving, and memory that runs out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from sampan.engines.contract import Manner
from sampan.engines.qwen_image.recipe import settle
from sampan.engines.qwen_image.scene import blank
from sampan.engines.qwen_image.sheet import Done, Event, Failed, Glimpse, Gone, Sheet, Step, Task
from sampan.engines.qwen_image.studio import Studio
from sampan.errors import InvalidRequest, Unavailable

SECONDS = 30


class FakeBrush:
    """Counts, and does what a test puts into `before` with the sheets of each pass."""

    def __init__(self) -> None:
        self.careful = False
        self.passes: list[tuple[int, ...]] = []
        self.tidied = 0
        self.before: Callable[[Sequence[Sheet]], None] = lambda sheets: None
        self.preparing: Callable[[Sheet], None] = lambda sheet: None
        self.gate: threading.Semaphore | None = None

    def prepare(self, sheet: Sheet) -> None:
        self.preparing(sheet)
        sheet.shapes = [(1, *sheet.task.scene.drawn)]

    def advance(self, sheets: Sequence[Sheet]) -> None:
        if self.gate is not None:
            assert self.gate.acquire(timeout=SECONDS)
        self.before(sheets)
        self.passes.append(tuple(sheet.task.seed for sheet in sheets))
        for sheet in sheets:
            sheet.step += 1

    def develop(self, sheet: Sheet, latents: Any) -> Image.Image:
        return Image.new("RGB", sheet.task.scene.drawn)

    def cache(self, sheets: Sequence[Sheet]) -> None:
        pass

    def forget(self, sheet: Sheet) -> None:
        pass

    def tidy(self) -> None:
        self.tidied += 1


class Caller:
    """One call: its tasks, and what it was told."""

    def __init__(self, seeds: Sequence[int], *, steps: int = 3, side: int = 64, partials: int = 0) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.left = threading.Event()
        recipe = settle(Manner(preset="best", steps=steps), "best", {})
        self.tasks = [
            Task("x", blank((side, side)), recipe, seed, partials, self.events.put, self.left.is_set) for seed in seeds
        ]

    def told(self) -> list[Event]:
        """All until every picture has its end."""
        told: list[Event] = []
        while sum(isinstance(event, Done | Failed | Gone) for event in told) < len(self.tasks):
            told.append(self.events.get(timeout=SECONDS))
        return told


@contextmanager
def studio(brush: FakeBrush, *, batch: int = 16, moves: bool = False, **more: Any) -> Iterator[Studio]:
    model = SimpleNamespace(transformer=None, scheduler={})
    parts: Any = SimpleNamespace(models={"draw": model}, residence=SimpleNamespace(moves=moves))
    fake: Any = brush
    yield Studio(parts, fake, batch, **more)


def ends(events: Sequence[Event]) -> list[type]:
    return [type(event) for event in events if not isinstance(event, Step | Glimpse)]


def held(brush: FakeBrush, room: Studio, first: Caller) -> None:
    """Has the thread stand before the second step of `first`, so that what comes now waits."""
    brush.gate = threading.Semaphore(1)
    room.submit(first.tasks)
    assert isinstance(first.events.get(timeout=SECONDS), Step)


def release(brush: FakeBrush) -> None:
    assert brush.gate is not None
    for _ in range(1000):
        brush.gate.release()


def test_pictures_of_one_kind_go_together_whatever_step_they_are_at() -> None:
    brush = FakeBrush()
    with studio(brush) as room:
        first, others = Caller([1]), [Caller([seed]) for seed in (2, 3)]
        held(brush, room, first)
        for other in others:
            room.submit(other.tasks)
        release(brush)
        for caller in (first, *others):
            assert ends(caller.told()) == [Done]
        assert sorted(map(len, brush.passes), reverse=True)[:2] >= [2, 2]
        assert room.steps == len(brush.passes) < 9


def test_few_steps_do_not_wait_for_many() -> None:
    brush = FakeBrush()
    with studio(brush) as room:
        long, short = Caller([1], steps=60, side=64), Caller([2], steps=4, side=128)  # of another size: never together
        held(brush, room, long)
        room.submit(short.tasks)
        release(brush)
        assert ends(short.told()) == [Done]
        done = brush.passes.index((2,))
        assert brush.passes[done : done + 7].count((2,)) >= 3  # every other turn
        assert ends(long.told()) == [Done]


def test_no_call_begins_its_second_picture_before_another_its_first() -> None:
    brush = FakeBrush()
    with studio(brush, batch=1) as room:
        hog, guest = Caller(range(10), steps=1), Caller([99], steps=1)
        first = Caller([1000], steps=2)
        held(brush, room, first)
        room.submit(hog.tasks)
        room.submit(guest.tasks)
        release(brush)
        hog.told()
        guest.told()
        assert brush.passes.index((99,)) <= 4


def test_starvation_under_many_callers() -> None:
    """32 callers of 4 pictures each: nobody gets the last of theirs long after the others."""
    brush = FakeBrush()
    with studio(brush, batch=4) as room:
        callers = [Caller(range(100 * number, 100 * number + 4)) for number in range(32)]
        for caller in callers:
            room.submit(caller.tasks)
        for caller in callers:
            assert ends(caller.told()) == [Done] * 4
        last = sorted(
            max(place for place, seeds in enumerate(brush.passes) if any(seed // 100 == number for seed in seeds))
            for number in range(32)
        )
        assert last[-1] / last[16] <= 2


def test_room_is_bounded_by_number_and_by_tokens() -> None:
    brush = FakeBrush()
    with studio(brush, batch=3) as room:
        caller = Caller(range(9))
        room.submit(caller.tasks)
        caller.told()
        assert max(map(len, brush.passes)) == 3
        brush.passes.clear()
        large = Caller([1, 2, 3], side=1024)
        room.submit(large.tasks)
        large.told()
        assert max(len(seeds) for seeds in brush.passes) == 2  # of 4,096 tokens each
    with studio(brush, moves=True) as room:
        brush.passes.clear()
        caller = Caller(range(3))
        room.submit(caller.tasks)
        caller.told()
        assert max(map(len, brush.passes)) == 1  # parts come and go: one picture at a time


def test_who_leaves_is_let_go_at_the_next_step() -> None:
    brush = FakeBrush()
    with studio(brush, batch=2) as room:
        gone, waiting, stays = Caller([1], steps=50), Caller([3], steps=50), Caller([2], steps=5)
        held(brush, room, gone)
        room.submit(stays.tasks)
        room.submit(waiting.tasks)
        gone.left.set()
        waiting.left.set()
        release(brush)
        assert ends(gone.told()) == [Gone]
        assert ends(waiting.told()) == [Gone]
        assert ends(stays.told()) == [Done]
        assert sum(1 in seeds for seeds in brush.passes) <= 3
        assert not any(3 in seeds for seeds in brush.passes)


def test_too_many_are_turned_away() -> None:
    brush = FakeBrush()
    with studio(brush, batch=1, waiting=2) as room:
        first = Caller([1])
        held(brush, room, first)
        waiting = [Caller([2]), Caller([3])]
        for caller in waiting:
            room.submit(caller.tasks)
        with pytest.raises(Unavailable, match="too many pictures are waiting"):
            room.submit(Caller([4]).tasks)
        release(brush)
        for caller in (first, *waiting):
            assert ends(caller.told()) == [Done]


def out_of_memory() -> Exception:
    error: Exception = import_module("torch").OutOfMemoryError("CUDA out of memory")
    return error


def test_memory_that_runs_out_once_is_found_by_less_at_once() -> None:
    brush = FakeBrush()
    full: list[Exception] = [out_of_memory()]

    def before(sheets: Sequence[Sheet]) -> None:
        if len(sheets) > 1 and full:
            raise full.pop()

    brush.before = before
    with studio(brush) as room:
        caller = Caller([1, 2, 3])
        room.submit(caller.tasks)
        assert ends(caller.told()) == [Done] * 3
        assert brush.tidied == 1
        assert all(len(seeds) == 1 for seeds in brush.passes)  # careful, until all that were at work are done
        again = Caller([4, 5])
        room.submit(again.tasks)
        again.told()
        assert not brush.careful
        assert len(brush.passes[-1]) == 2


def test_memory_that_does_not_suffice_fails_that_picture_in_words() -> None:
    brush = FakeBrush()

    def before(sheets: Sequence[Sheet]) -> None:
        if any(sheet.task.seed == 13 for sheet in sheets):
            raise out_of_memory()

    brush.before = before
    with studio(brush) as room:
        caller, unlucky = Caller([1, 2]), Caller([13])
        held(brush, room, caller)
        room.submit(unlucky.tasks)
        release(brush)
        assert ends(caller.told()) == [Done] * 2
        (end,) = [event for event in unlucky.told() if isinstance(event, Failed)]
        assert isinstance(end.error, Unavailable)
        assert "more of the accelerator's memory than is free" in end.error.message
        later = Caller([14])
        room.submit(later.tasks)
        assert ends(later.told()) == [Done]


def test_a_mistake_is_its_callers_alone() -> None:
    brush = FakeBrush()

    def preparing(sheet: Sheet) -> None:
        if sheet.task.seed == 13:
            raise InvalidRequest("is too long", param="prompt")

    brush.preparing = preparing
    with studio(brush) as room:
        caller, unlucky = Caller([1, 2]), Caller([13])
        room.submit(caller.tasks)
        room.submit(unlucky.tasks)
        assert ends(caller.told()) == [Done] * 2
        (end,) = unlucky.told()
        assert isinstance(end, Failed)
        assert isinstance(end.error, InvalidRequest)


def test_a_lost_accelerator_ends_the_process() -> None:
    brush = FakeBrush()
    lost: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def before(sheets: Sequence[Sheet]) -> None:
        raise import_module("torch").AcceleratorError("CUDA error: an illegal memory access was encountered")

    brush.before = before
    with studio(brush, give_up=lost.put) as room:
        caller = Caller([1])
        room.submit(caller.tasks)
        assert "illegal memory access" in str(lost.get(timeout=SECONDS))
        assert ends(caller.told()) == [Failed]


def test_previews_come_at_even_distances() -> None:
    brush = FakeBrush()
    with studio(brush) as room:
        for partials, steps, due in ((3, 8, [2, 4, 6]), (2, 4, [1, 3]), (3, 2, [1]), (1, 1, [])):
            caller = Caller([1], steps=steps, partials=partials)
            room.submit(caller.tasks)
            told = caller.told()
            at = [told[place - 1] for place, event in enumerate(told) if isinstance(event, Glimpse)]
            assert [step.step for step in at if isinstance(step, Step)] == due
