"""Shares are exact, and what a candidate does wrong costs no call: playbooks of two releases behind one engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest
from fake_upstreams import HEL, LO, PING, START, STOP, STREAM, WHOLE, Gate, Scripted, Step, call, fault
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.core import Call, Continuing, Event, Fault, Usage
from sampan.dialects import sse
from sampan.errors import InvalidRequest, Rejected, TargetFault
from sampan.routing.canary import HELD_LIMIT, SAID_LIMIT, Canary, Lineup

REFUSAL = Rejected(400, b"{}", {})


class Release(Scripted):
    """A process that knows a model and notes that it was closed."""

    models: tuple[str, ...] = ("m",)
    closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class Pair:
    """Two releases; every call goes to the candidate first."""

    def __init__(self, old: Sequence[Step], new: Sequence[Step], continues: Continuing = Continuing.NO) -> None:
        self.old = Release("old", old, continues=continues)
        self.new = Release("new", new, continues=continues)
        self.lineup = Lineup("old")
        self.built: list[str] = []
        self.canary = Canary("engine", self.lineup, self._build)
        self.lineup.propose("new", 1.0)

    def _build(self, process: str) -> Release:
        self.built.append(process)
        return {"old": self.old, "new": self.new}[process]

    async def ask(self, asked: Call | None = None) -> list[Event]:
        async with aclosing(self.canary.attempt(asked or call(), "m")) as events:
            return [event async for event in events]

    async def fetch(self) -> Event:
        return await self.canary.fetch(call(stream=False), "m")

    @property
    def told(self) -> tuple[int, int]:
        return self.lineup.calls, self.lineup.faults

    def check_closed(self) -> None:
        """No call is open any more."""
        assert self.lineup.open("old") == self.lineup.open("new") == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 1000), st.integers(1, 200))
def test_a_share_is_exact_after_any_number_of_calls(thousandths: int, calls: int) -> None:
    lineup = Lineup("old")
    lineup.propose("new", thousandths / 1000)
    given_away = sum(lineup.choose() == "new" for _ in range(calls))
    assert given_away == 1 + (calls - 1) * thousandths // 1000


def test_every_tenth_call_is_the_candidates_beginning_with_the_first() -> None:
    lineup = Lineup("old")
    lineup.propose("new", 0.1)
    chosen = [lineup.choose() for _ in range(1001)]
    assert [place for place, name in enumerate(chosen) if name == "new"] == list(range(0, 1001, 10))
    lineup.settle("new")
    assert [lineup.choose() for _ in range(3)] == ["new"] * 3


def test_what_a_process_does_that_is_no_candidate_does_not_count() -> None:
    lineup = Lineup("old")
    lineup.propose("new", 0.5)
    lineup.note("old", "cut")
    lineup.note("new", "cut")
    assert (lineup.calls, lineup.faults, lineup.last_fault) == (1, 1, "cut")
    lineup.propose("new", 1.0)
    assert (lineup.calls, lineup.faults, lineup.last_fault) == (0, 0, "")


async def test_a_candidate_answers_its_share() -> None:
    pair = Pair([WHOLE], STREAM)
    assert await pair.ask() == list(STREAM)
    assert pair.old.asked == []
    assert pair.told == (1, 0)
    pair.check_closed()


@pytest.mark.parametrize("opening", [[], [START], [START, PING]])
async def test_a_fault_before_content_is_the_old_ones_to_answer(opening: list[Step]) -> None:
    pair = Pair(STREAM, [*opening, fault(Fault.CUT)])
    assert await pair.ask() == list(STREAM)
    assert pair.told == (1, 1)
    assert pair.lineup.last_fault == "cut: by the script"
    pair.check_closed()


async def test_after_content_the_fault_is_raised_where_nobody_goes_on() -> None:
    pair = Pair(STREAM, [START, HEL, fault(Fault.CUT)])
    seen = []
    with pytest.raises(TargetFault, match="cut"):
        async with aclosing(pair.canary.attempt(call(), "m")) as events:
            async for event in events:
                seen.append(event)
    assert seen == [START, HEL]
    assert pair.old.asked == []
    assert pair.told == (1, 1)
    pair.check_closed()


async def test_what_waits_long_before_its_content_is_handed_on_at_last() -> None:
    pair = Pair(STREAM, [PING] * (HELD_LIMIT + 1) + [HEL, STOP])
    assert len(await pair.ask()) == HELD_LIMIT + 3


async def test_whole_answers() -> None:
    pair = Pair([WHOLE], [WHOLE])
    assert await pair.fetch() == WHOLE
    assert (pair.told, pair.old.asked) == ((1, 0), [])
    pair = Pair([WHOLE], [fault(Fault.OVERLOADED)])
    assert await pair.fetch() == WHOLE
    assert pair.told == (1, 1)
    pair = Pair([fault(Fault.CUT)], [fault(Fault.OVERLOADED)])
    with pytest.raises(TargetFault, match="cut"):
        await pair.fetch()
    pair.check_closed()


async def test_what_only_the_candidate_refuses_is_its_fault() -> None:
    for pair in (Pair(STREAM, [REFUSAL]), Pair([WHOLE], [REFUSAL])):
        if pair.old._scripts[0] is STREAM:
            assert await pair.ask() == list(STREAM)
        else:
            assert await pair.fetch() == WHOLE
        assert pair.told == (1, 1)
        assert pair.lineup.last_fault == "malformed: it refuses with 400 what the release before it answers"
        pair.check_closed()


async def test_what_both_refuse_is_the_callers_mistake() -> None:
    pair = Pair([REFUSAL], [Rejected(422, b"new", {})])
    with pytest.raises(Rejected, match="400"):
        await pair.ask()
    with pytest.raises(Rejected, match="400"):
        await pair.fetch()
    assert pair.told == (0, 0)
    pair.check_closed()


async def test_what_cannot_be_prepared_is_nobodys_fault() -> None:
    pair = Pair(STREAM, [InvalidRequest("too large")])
    with pytest.raises(InvalidRequest):
        await pair.ask()
    assert (pair.told, pair.old.asked) == ((0, 0), [])
    pair.check_closed()


async def test_a_caller_who_leaves_is_not_counted_and_closes_the_call() -> None:
    gate = Gate()
    pair = Pair(STREAM, [START, HEL, gate, LO, STOP])
    async with aclosing(pair.canary.attempt(call(), "m")) as events:
        assert await anext(events) == START
        assert pair.lineup.open("new") == 1
    assert pair.new.ends == ["closed"]
    assert pair.told == (0, 0)
    pair.check_closed()


def event(kind: str, *, content: bool = False, usage: Usage | None = None, **members: Any) -> Event:
    return Event(sse.frame(json.dumps({"type": kind, **members}).encode(), kind), content, usage)


def talk(*words: str, end: bool = True) -> list[Event]:
    opening = [
        event("message_start", message={"id": "msg_a", "usage": {"input_tokens": 9, "output_tokens": 1}}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ]
    said = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}, content=True)
        for word in words
    ]
    closing = [
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=None),
        event("message_stop", usage=Usage(12, 3)),
    ]
    return [*opening, *said, *(closing if end else [])]


def read(events: Sequence[Event]) -> tuple[str, list[str]]:
    payloads = [json.loads(data) for data in sse.payloads(b"".join(each.data for each in events))]
    text = "".join(each["delta"]["text"] for each in payloads if each["type"] == "content_block_delta")
    return text, [each["type"] for each in payloads]


async def test_the_old_one_goes_on_with_a_text_that_the_candidate_breaks_off() -> None:
    pair = Pair(talk(" two"), [*talk("one", end=False), fault(Fault.CUT)], Continuing.PREFILL)
    events = await pair.ask()
    text, kinds = read(events)
    assert text == "one two"
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    assert pair.old.asked[0][0].partial == "one"
    assert events[-1].usage == Usage(21, 4)
    assert pair.told == (1, 1)
    pair.check_closed()


async def test_an_answer_that_breaks_after_its_end_was_said_is_only_ended() -> None:
    pair = Pair(talk("no"), [*talk("one")[:-1], fault(Fault.CUT)], Continuing.PREFILL)
    text, kinds = read(await pair.ask())
    assert (text, kinds[-1], pair.old.asked) == ("one", "message_stop", [])


@pytest.mark.parametrize("how", ["partial", "large", "refused"])
async def test_where_the_old_one_cannot_go_on_the_router_is_told(how: str) -> None:
    word = "x" * (SAID_LIMIT + 1) if how == "large" else "one"
    old = [REFUSAL] if how == "refused" else talk("no")
    pair = Pair(old, [*talk(word, end=False), fault(Fault.CUT)], Continuing.PREFILL)
    asked = Call(*[getattr(call(), name) for name in ("dialect", "operation", "model", "path", "body")], "json", True)
    if how == "partial":  # what is a continuation already is joined by the router, not here
        asked = Call(asked.dialect, asked.operation, "m", asked.path, asked.body, "json", True, partial="zero")
    with pytest.raises(TargetFault, match="cut"):
        await pair.ask(asked)
    assert len(pair.old.asked) == (how == "refused")
    pair.check_closed()


async def test_what_leads_to_a_release_out_of_the_line_is_closed_after_its_calls() -> None:
    gate = Gate()
    pair = Pair([START, HEL, gate, STOP], STREAM)
    pair.lineup.settle("old")
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(pair.ask())
        await gate.reached()
        pair.lineup.settle("new")
        await pair.ask()
        await pair.ask()
        assert pair.old.closed == 0
        gate.open()
        await slow
    await pair.ask()
    assert (pair.old.closed, pair.new.closed) == (1, 0)
    pair.lineup.settle("old")
    await pair.fetch()
    assert pair.built == ["old", "new", "old"]
    await pair.canary.aclose()
    assert pair.new.closed == 1


async def test_what_is_known_of_it_is_known_of_the_one_in_force() -> None:
    pair = Pair(STREAM, STREAM, Continuing.PREFILL)
    assert (pair.canary.models, pair.canary.continues) == (("m",), Continuing.PREFILL)
    await pair.canary.probe()
    assert (pair.old.probed, pair.new.probed) == (1, 0)
