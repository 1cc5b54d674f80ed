"""A call that waits for nothing but its upstream, in callbacks: the same answer and record as by the ordinary way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from fake_upstreams import STREAM, WHOLE, Gate, Scripted, Step, fault
from test_pipeline import REQUEST, House, read

from sampan.core import Answer, Call, Event, Fault, Incoming, Outcome, Usage
from sampan.dialects import Codec
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_images import OpenAIImages
from sampan.errors import Rejected


class Prompt(Scripted):
    """Is asked without waiting, and answers when the test says so; awaited, it does as its script says."""

    def __init__(self, name: str, *scripts: Sequence[Step]) -> None:
        super().__init__(name, *(scripts or ([WHOLE],)))
        self.answer: Callable[[Outcome], None] | None = None
        self.given_up = False

    def ask(self, call: Call, model: str | None, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        self.asked.append((call, model))
        self.answer = done
        return self.give_up

    def give_up(self) -> None:
        self.given_up = True

    def says(self, outcome: Outcome) -> None:
        assert self.answer is not None
        self.answer(outcome)


class Line:
    """Where an answer goes."""

    def __init__(self) -> None:
        self.left: Any = None
        self.answers: list[Answer] = []
        self.rests: list[Coroutine[Any, Any, Answer]] = []

    def reply(self, answer: Answer) -> None:
        self.answers.append(answer)

    def resume(self, rest: Coroutine[Any, Any, Answer]) -> None:
        self.rests.append(rest)


class Begun:
    """One call, begun over prompt upstreams."""

    def __init__(
        self,
        *upstreams: Prompt,
        key: str = "good",
        path: str = "/v1/messages",
        codec: Codec | None = None,
        body: object = None,
        room: bool = True,
        **parts: Any,
    ) -> None:
        self.house = House(*upstreams, **parts)
        if not room:
            self.house.room = Gate(opened=True)
        for each in upstreams:
            self.house.guards[each.name] = replace(self.house.guards[each.name], ask=each.ask)
        self.line = Line()
        data = json.dumps(REQUEST if body is None else body).encode()
        incoming = Incoming("POST", path, "", {"x-api-key": key, "content-type": "application/json"}, data)
        self.rest = self.house.pipeline.start(incoming, codec or Anthropic(), self.line)


async def test_the_answer_and_the_record_are_those_of_the_ordinary_way() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream)
    assert begun.rest is None
    assert begun.line.answers == []
    upstream.says(WHOLE)
    (answer,) = begun.line.answers
    usual = House(Scripted("a", [WHOLE]))
    assert answer == await usual.ask(stream=False, body=json.dumps(REQUEST).encode())
    assert begun.house.record == usual.record
    assert begun.line.left is None
    (call, _), (awaited, _) = upstream.asked[0], usual.upstreams[0].asked[0]
    assert call == awaited
    assert call.tenant == "key_1"


@pytest.mark.parametrize("kind", [Fault.SERVER_ERROR, Fault.CUT, Fault.MODEL_MISSING])
async def test_a_fault_moves_on_to_the_next_target(kind: Fault) -> None:
    first, second = Prompt("a"), Prompt("b")
    begun = Begun(first, second)
    first.says(fault(kind))
    (rest,) = begun.line.rests
    answer = await rest
    assert (answer.status, answer.body) == (200, WHOLE.data)
    assert begun.house.record.attempts == f"a={kind},b=ok"
    assert len(first.asked) == len(second.asked) == 1


async def test_what_nobody_learnt_is_asked_once_more() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream)
    upstream.says(None)
    assert (await begun.line.rests[0]).status == 200
    assert begun.house.record.attempts == "a=ok"
    assert len(upstream.asked) == 2


async def test_a_rejection_goes_back_as_it_came() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream)
    upstream.says(Rejected(400, b"no", {"content-type": "text/x"}))
    answer = await begun.line.rests[0]
    assert (answer.status, answer.body) == (400, b"no")
    assert (begun.house.record.outcome, begun.house.record.attempts) == ("rejected", "a=ok")


async def test_a_mistake_of_ours_is_told_as_one() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream)
    upstream.says(ZeroDivisionError("secret detail"))
    answer = await begun.line.rests[0]
    assert answer.status == 500
    assert b"secret" not in await read(answer)
    assert begun.house.record.outcome == "failed"


async def test_a_caller_who_leaves_ends_the_call() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream)
    begun.line.left()
    assert upstream.given_up
    assert (begun.house.record.outcome, begun.house.record.status) == ("left", 499)
    begun.house.pipeline.stop()
    assert begun.line.answers == []


async def test_a_stop_breaks_off_what_is_open() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream)
    begun.house.pipeline.stop()
    (answer,) = begun.line.answers
    assert answer.status == 529
    assert upstream.given_up
    assert begun.house.record.outcome == "failed"
    assert begun.line.left is None


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [("bad", None, 401), ("good", {"model": "m"}, 400)],
)
async def test_a_refusal_waits_for_its_turn(key: str, body: object, status: int) -> None:
    """Else a thousand bad requests in one read would be a thousand calls deep."""
    begun = Begun(Prompt("a"), key=key, body=body)
    assert begun.rest is not None
    assert begun.line.answers == []
    assert (await begun.rest).status == status
    assert begun.house.record.outcome == "refused"


async def test_what_streams_goes_the_ordinary_way() -> None:
    begun = Begun(Prompt("a", STREAM), body={**REQUEST, "stream": True})
    assert begun.rest is not None
    assert await read(await begun.rest) == b"".join(event.data for event in STREAM)


async def test_pictures_go_the_ordinary_way() -> None:
    picture = Event(b"{}", True, Usage(images=1))
    begun = Begun(Prompt("a", [picture]), path="/v1/images/generations", codec=OpenAIImages(), body={"prompt": "x"})
    assert begun.rest is not None
    assert (await begun.rest).body == b"linked"


async def test_a_full_spool_is_waited_for() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream, room=False)
    assert begun.rest is not None
    assert upstream.asked == []
    assert (await asyncio.wait_for(begun.rest, 10)).status == 200


async def test_a_call_leaves_nothing_for_the_collector_to_untie() -> None:
    upstream = Prompt("a")
    begun = Begun(upstream)
    (express,) = begun.house.pipeline.errands
    upstream.says(msgspec.structs.replace(WHOLE))
    assert not begun.house.pipeline.errands
    assert not hasattr(express, "_errand")
