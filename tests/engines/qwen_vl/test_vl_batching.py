"""The scheduler, turn by turn: who is written, who waits, and who is spared when something goes wrong."""

from __future__ import annotations

import random
import statistics
import threading
from collections.abc import Callable

import pytest
import torch
from fake_runner import END, VOCABULARY, Caller, Desk, FakeRunner, answer

from sampan.engines.qwen_vl.job import Ended, Job, Prompt, Reason, Sampling
from sampan.errors import InternalError, InvalidRequest, Unavailable


def test_rows_of_any_length_get_what_they_would_get_alone() -> None:
    desk = Desk(batch=3)
    draw = random.Random(1)
    prompts = [[draw.randrange(VOCABULARY) for _ in range(draw.randint(1, 40))] for _ in range(20)]
    counts = [draw.randint(1, 12) for _ in prompts]
    callers = [desk.submit(prompt, count) for prompt, count in zip(prompts, counts, strict=True)]
    desk.run(*callers)
    for prompt, count, caller in zip(prompts, counts, callers, strict=True):
        assert caller.tokens == answer(prompt, count)
        assert caller.ended == Ended(Reason.LENGTH)
    assert desk.scheduler.stats.working == desk.scheduler.stats.waiting == 0


def test_an_answer_ends_where_the_model_ends_it_and_the_mark_is_not_told() -> None:
    desk = Desk()
    caller = desk.submit([3, 4], 50, guide=_Guide([5, 6, END]))
    desk.run(caller)
    assert (caller.tokens, caller.ended) == ([5, 6], Ended(Reason.STOP))


def test_an_answer_ends_with_the_context() -> None:
    desk = Desk(context=10)
    caller = desk.submit([1] * 6, 50)
    desk.run(caller)
    assert len(caller.tokens) == 4
    assert caller.ended == Ended(Reason.LENGTH)


def test_no_token_is_asked_for_none_is_made() -> None:
    desk = Desk()
    caller = desk.submit([1], 0)
    desk.run(caller)
    assert (caller.tokens, caller.ended) == ([], Ended(Reason.LENGTH))
    assert desk.runner.passes == []


def test_a_long_prompt_does_not_hold_up_those_who_write() -> None:
    desk = Desk(chunk=16, context=400)
    writing = desk.submit([1, 2], 100)
    desk.turn(3)
    reading = desk.submit([3] * 300, 2)
    desk.turn(18)
    assert writing.turns[-18:] == list(range(4, 22))
    assert [rows for name, rows in desk.runner.passes if name == "prefill"] == [2, *[16] * 18]
    desk.run(reading, writing)
    assert reading.tokens == answer([3] * 300, 2)
    assert writing.tokens == answer([1, 2], 100)


def test_short_prompts_are_read_together() -> None:
    desk = Desk(chunk=16)
    callers = [desk.submit([1] * 5) for _ in range(4)]
    desk.turn()
    assert [rows for name, rows in desk.runner.passes if name == "prefill"] == [15]
    desk.run(*callers)


def test_a_cancelled_answer_gets_no_further_token() -> None:
    desk = Desk(chunk=4)
    writing, reading, waiting = desk.submit([1], 50), desk.submit([2] * 30, 50), desk.submit([3], 50)
    desk.turn(2)
    told = len(writing.tokens)
    for caller in (writing, reading, waiting):
        assert caller.ticket is not None
        caller.ticket.cancel()
    desk.turn()
    assert len(writing.tokens) == told
    assert all(caller.ended == Ended(Reason.CANCELLED) for caller in (writing, reading, waiting))
    assert desk.scheduler.stats.working == 0


def test_one_that_is_cancelled_while_it_waits_gives_its_place_back_at_once() -> None:
    desk = Desk(batch=1, waiting=1)
    working = desk.submit([1])
    desk.turn()
    waiting = desk.submit([2])
    with pytest.raises(Unavailable) as refused:
        desk.submit([3])
    assert refused.value.retry_after is not None and refused.value.retry_after >= 1
    assert waiting.ticket is not None
    waiting.ticket.cancel()
    third = desk.submit([3])
    desk.run(working, waiting, third)
    assert waiting.ended == Ended(Reason.CANCELLED)
    assert third.tokens == answer([3], 5)


def test_a_caller_that_cancels_while_it_is_told_gets_nothing_more() -> None:
    desk = Desk()
    caller = Caller(desk)

    def deliver(what: int | Ended) -> None:
        caller.deliver(what)
        if len(caller.tokens) == 3 and not isinstance(what, Ended):
            ticket.cancel()

    ticket = desk.scheduler.submit(Job(Prompt([1]), Sampling(temperature=0.0), 50), deliver)
    desk.run(caller)
    assert len(caller.tokens) == 3


def test_thirty_two_callers_wait_about_as_long_as_each_other() -> None:
    """In a closed loop over four slots, beside one who asks for everything at once."""
    desk = Desk(batch=4, waiting=500)
    draw = random.Random(2)
    waits: list[int] = []
    asked: dict[int, tuple[Caller, int]] = {}
    crowd = [desk.submit([1], 20, owner="crowd") for _ in range(200)]
    while len(waits) < 600:
        for number in range(32):
            caller, since = asked.get(number, (None, 0))
            if caller is None or caller.ended:
                if caller is not None:
                    waits.append(caller.turns[0] - since)
                fresh = desk.submit([number], draw.randint(1, 20), owner=f"caller {number}")
                asked[number] = fresh, desk.turn_number
        desk.turn()
    assert max(waits) <= 4 * statistics.median(waits)
    assert sum(caller.ended is not None for caller in crowd) < 50


def _shortage_when(matches: Callable[[str, int], bool]) -> Callable[[str, int], None]:
    def fault(name: str, rows: int) -> None:
        if matches(name, rows):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return fault


def test_running_out_of_memory_over_a_prompt_fails_that_one_only() -> None:
    desk = Desk(FakeRunner(_shortage_when(lambda name, rows: name == "prefill" and rows == 16)))
    small, large = desk.submit([1, 2], 10), desk.submit([3] * 16, 10)
    desk.run(small, large)
    assert small.tokens == answer([1, 2], 10)
    assert large.ended is not None and large.ended.reason is Reason.FAILED
    assert isinstance(large.ended.error, Unavailable)
    assert "memory" in large.ended.error.message and large.ended.error.retry_after
    assert desk.runner.relieved == 1


def test_running_out_of_memory_over_several_prompts_fails_the_youngest_of_them() -> None:
    desk = Desk(FakeRunner(_shortage_when(lambda name, rows: name == "prefill" and rows > 2)))
    older = desk.submit([1, 2], 3)
    desk.turn_number += 1
    younger = desk.submit([3, 4], 3)
    desk.run(older, younger)
    assert older.tokens == answer([1, 2], 3)
    assert younger.ended is not None and isinstance(younger.ended.error, Unavailable)


def test_running_out_of_memory_over_a_step_costs_the_youngest_and_the_step_is_taken_again() -> None:
    desk = Desk(FakeRunner(_shortage_when(lambda name, rows: name == "decode" and rows > 2)))
    first, second = desk.submit([1], 9), desk.submit([2], 9)
    desk.turn(2)
    third, fourth = desk.submit([3], 9), desk.submit([4], 9)
    desk.run(first, second)
    assert (first.tokens, second.tokens) == (answer([1], 9), answer([2], 9))
    assert first.turns == [1, *range(1, 9)]  # the first token comes with the prompt; no turn is lost
    for caller in (third, fourth):
        assert caller.ended is not None and isinstance(caller.ended.error, Unavailable)


def test_a_pass_that_fails_fails_its_rows_and_the_next_ones_are_served(caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def fault(name: str, rows: int) -> None:
        if name == "decode" and broken.pop():
            raise ValueError("secret of a prompt")

    desk = Desk(FakeRunner(fault))
    failed = [desk.submit([1]), desk.submit([2])]
    desk.turn()
    broken.append(False)
    for caller in failed:
        assert caller.ended is not None and isinstance(caller.ended.error, InternalError)
        assert "secret" not in caller.ended.error.message
    desk.runner.fault = lambda name, rows: None
    caller = desk.submit([5])
    desk.run(caller)
    assert caller.tokens == answer([5], 5)
    assert desk.lost == 0


def test_a_device_that_is_lost_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    def fault(name: str, rows: int) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    desk = Desk(FakeRunner(fault))
    caller = desk.submit([1])
    desk.turn()
    assert caller.ended is not None and caller.ended.reason is Reason.FAILED
    assert desk.lost == 1
    assert "the accelerator is lost" in caplog.text


def test_a_mistake_between_the_passes_ends_the_rows_and_not_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.scheduler.start()
    over = threading.Semaphore(0)

    def ask(count: int) -> list[int | Ended]:
        told: list[int | Ended] = []

        def deliver(what: int | Ended) -> None:
            told.append(what)
            if isinstance(what, Ended):
                over.release()

        desk.scheduler.submit(Job(Prompt([1]), Sampling(temperature=0.0), count), deliver)
        return told

    def broken(source: int, target: int, length: int) -> None:
        raise KeyError(source)

    whole = desk.runner.cache.move
    desk.runner.cache.move = broken
    with desk.scheduler._changed:  # so that they begin together
        failed = [ask(2), ask(90)]
    assert over.acquire(timeout=30) and over.acquire(timeout=30)
    ends = [told[-1] for told in failed]
    assert any(isinstance(end, Ended) and isinstance(end.error, InternalError) for end in ends)
    desk.runner.cache.move = whole
    served = ask(3)
    assert over.acquire(timeout=30)
    assert served[:-1] == answer([1], 3)
    desk.scheduler.close()


def test_pieces_are_small_on_a_slow_machine() -> None:
    desk = Desk(chunk=64, context=1000)
    now = [0.0]
    desk.scheduler._clock = lambda: now[0]

    def slow(name: str, rows: int) -> None:
        now[0] += rows / 160 if name == "prefill" else 0  # 160 tokens a second

    desk.runner.fault = slow
    caller = desk.submit([1] * 300, 1)
    desk.run(caller)
    assert [rows for name, rows in desk.runner.passes if name == "prefill"] == [64, 40, 40, 40, 40, 40, 36]
    assert caller.tokens == answer([1] * 300, 1)


def test_a_prompt_without_room_for_an_answer_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="room for 100 tokens"):
        Desk().submit([1] * 100)


class _Guide:
    """Lets these tokens come, in this order; nothing after them."""

    def __init__(self, tokens: list[int], *, fails_at: int = -1) -> None:
        self.left = list(tokens)
        self.accepted: list[int] = []
        self.fails_at = fails_at

    def mask(self) -> torch.Tensor:
        if len(self.accepted) == self.fails_at:
            raise RuntimeError("a guide that fails")
        allowed = torch.zeros(VOCABULARY, dtype=torch.bool)
        if self.left:
            allowed[self.left[0]] = True
        return allowed

    def accept(self, token: int) -> None:
        self.accepted.append(token)
        assert token == self.left.pop(0)


def test_a_guide_is_followed_and_told_what_came() -> None:
    desk = Desk()
    guide = _Guide([7, 8, 9])
    guided, free = desk.submit([1], 50, guide=guide), desk.submit([2], 6)
    desk.run(guided, free)
    assert guided.tokens == guide.accepted == [7, 8, 9]
    assert guided.ended == Ended(Reason.STOP)  # it allows nothing more
    assert free.tokens == answer([2], 6)


def test_a_guide_that_fails_fails_its_own_answer() -> None:
    desk = Desk()
    guided, free = desk.submit([1], 50, guide=_Guide([7, 8, 9], fails_at=2)), desk.submit([2], 6)
    desk.run(guided, free)
    assert guided.tokens == [7, 8]
    assert guided.ended is not None and isinstance(guided.ended.error, InternalError)
    assert free.tokens == answer([2], 6)


def test_a_caller_that_cannot_be_told_costs_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()

    def deliver(what: int | Ended) -> None:
        raise RuntimeError("nobody there")

    desk.scheduler.submit(Job(Prompt([1]), Sampling(temperature=0.0), 50), deliver)
    caller = desk.submit([2], 6)
    desk.run(caller)
    assert caller.tokens == answer([2], 6)
    assert desk.scheduler.stats.working == 0


def test_closing_ends_those_who_work_and_those_who_wait() -> None:
    desk = Desk(batch=1)
    callers = [desk.submit([1], 90), desk.submit([2], 90)]
    desk.turn()
    desk.scheduler.close()
    assert all(caller.ended is not None and isinstance(caller.ended.error, Unavailable) for caller in callers)
    with pytest.raises(Unavailable):
        desk.submit([3])


def test_the_thread_serves_many_threads_and_ends() -> None:
    desk = Desk(waiting=500)
    desk.scheduler.start()
    ended: list[tuple[int, list[int]]] = []
    left = threading.Semaphore(0)

    def ask(number: int) -> None:
        tokens: list[int] = []

        def deliver(what: int | Ended) -> None:
            if isinstance(what, Ended):
                ended.append((number, tokens))
                left.release()
            else:
                tokens.append(what)

        desk.scheduler.submit(Job(Prompt([number]), Sampling(temperature=0.0), 5, owner=str(number)), deliver)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert left.acquire(timeout=30)
    desk.scheduler.close()
    assert all(tokens == answer([number], 5) for number, tokens in ended)
    assert desk.scheduler.stats.tokens == 200
