"""Going on with another target after content was sent, as playbooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from fake_upstreams import Scripted, call, fault, target
from test_router import Yard

from sampan.core import Call, Continuing, Event, Fault, Usage
from sampan.dialects import sse
from sampan.errors import Interrupted, InvalidRequest, Rejected

STREAMED = msgspec.structs.replace(call(), stream=True)


def event(kind: str, *, content: bool = False, usage: Usage | None = None, **members: Any) -> Event:
    return Event(sse.frame(json.dumps({"type": kind, **members}).encode(), kind), content, usage)


def talk(*words: str, end: bool = True) -> list[Event]:
    start = event("message_start", message={"id": "msg_a", "usage": {"input_tokens": 9, "output_tokens": 1}})
    opened = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    deltas = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}, content=True)
        for word in words
    ]
    closed = [
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=None),
        event("message_stop", usage=Usage(12, 3)),
    ]
    return [start, opened, *deltas, *(closed if end else [])]


def upstream(name: str, *script: Any, continues: Continuing = Continuing.PREFILL) -> Scripted:
    return Scripted(name, script, continues=continues)


def read(events: Sequence[Event]) -> tuple[str, list[str]]:
    """The text, and the types of all events in their order."""
    payloads = [json.loads(data) for data in sse.payloads(b"".join(each.data for each in events))]
    text = "".join(each["delta"]["text"] for each in payloads if each["type"] == "content_block_delta")
    return text, [each["type"] for each in payloads]


async def test_the_next_target_goes_on_in_the_same_stream() -> None:
    near = upstream("near", *talk(" two"))
    yard = Yard(upstream("cloud", *talk("one", end=False), fault(Fault.CUT)), near)
    events = await yard.ask(asked=STREAMED)
    text, kinds = read(events)
    assert text == "one two"
    assert kinds.count("message_start") == kinds.count("content_block_start") == kinds.count("message_stop") == 1
    assert str(yard.trail) == "cloud=cut,near=ok"
    assert yard.trail.target == target("near")
    assert b": x-sampan-upstream: near; x-sampan-attempts: cloud=cut,near=ok\n" in b"".join(
        each.data for each in events
    )
    assert near.asked[0][0].partial == "one"
    assert events[-1].usage == Usage(21, 4)  # both parts: what the first had told and what it had said
    assert yard.observed == ["cloud=cut", "near=ok"]


async def test_targets_that_cannot_go_on_are_passed_over() -> None:
    reader = upstream("reader", *talk("no"), continues=Continuing.NO)
    yard = Yard(upstream("cloud", *talk("one", end=False), fault(Fault.CUT)), reader, upstream("near", *talk(" two")))
    assert read(await yard.ask(asked=STREAMED))[0] == "one two"
    assert reader.asked == []


@pytest.mark.parametrize("other", [Continuing.NO, None])
async def test_where_nobody_can_go_on_the_caller_is_told(other: Continuing | None) -> None:
    others = [] if other is None else [upstream("reader", *talk("no"), continues=other)]
    yard = Yard(upstream("cloud", *talk("one", end=False), fault(Fault.IDLE_TIMEOUT)), *others)
    with pytest.raises(Interrupted, match="broke off"):
        await yard.ask(asked=STREAMED)
    assert str(yard.trail) == "cloud=idle_timeout"


@pytest.mark.parametrize(
    ("second", "noted"),
    [
        (fault(Fault.REFUSED), "cloud=cut,a=refused,near=ok"),
        (Rejected(400, b"no prefill", {}), "cloud=cut,a=malformed,near=ok"),
        (InvalidRequest("tools: no"), "cloud=cut,near=ok"),
    ],
)
async def test_a_target_that_fails_before_it_goes_on_is_followed_by_the_next(second: Exception, noted: str) -> None:
    yard = Yard(
        upstream("cloud", *talk("one", end=False), fault(Fault.CUT)),
        upstream("a", second),
        upstream("near", *talk(" two")),
    )
    assert read(await yard.ask(asked=STREAMED))[0] == "one two"
    assert str(yard.trail) == noted


async def test_a_third_goes_on_where_the_second_broke() -> None:
    third = upstream("c", *talk(" three"))
    yard = Yard(
        upstream("a", *talk("one", end=False), fault(Fault.CUT)),
        upstream("b", *talk(" two", end=False), fault(Fault.IDLE_TIMEOUT)),
        third,
    )
    assert read(await yard.ask(asked=STREAMED))[0] == "one two three"
    assert third.asked[0][0].partial == "one two"
    assert str(yard.trail) == "a=cut,b=idle_timeout,c=ok"


async def test_all_broken_is_an_error_and_no_clean_end() -> None:
    near = upstream("near", fault(Fault.REFUSED))
    yard = Yard(upstream("cloud", *talk("one", end=False), fault(Fault.CUT)), near)
    with pytest.raises(Interrupted, match="nobody could go on"):
        await yard.ask(asked=STREAMED)
    assert str(yard.trail) == "cloud=cut,near=refused"


async def test_an_answer_that_lacks_its_last_frame_asks_nobody() -> None:
    near = upstream("near", *talk("no"))
    yard = Yard(upstream("cloud", *talk("one")[:-1], fault(Fault.CUT)), near)
    events = await yard.ask(asked=STREAMED)
    assert read(events)[1][-1] == "message_stop"
    assert events[-1].usage is not None
    assert near.asked == []


async def test_clients_that_opted_in_see_the_published_block() -> None:
    asked: Call = msgspec.structs.replace(STREAMED, headers={"anthropic-beta": "x,server-side-fallback-2026-07-01"})
    yard = Yard(upstream("cloud", *talk("one", end=False), fault(Fault.CUT)), upstream("near", *talk(" two")))
    assert b'"fallback"' in b"".join(each.data for each in await yard.ask(asked=asked))


async def test_what_is_kept_of_all_streams_together_has_a_bound_and_is_given_back() -> None:
    yard = Yard(upstream("cloud", *talk("one", end=False), fault(Fault.CUT)), upstream("near", *talk(" two")))
    yard.router._shelf.room = 10_000
    assert read(await yard.ask(asked=STREAMED))[0] == "one two"
    assert yard.router._shelf.room == 10_000
    yard = Yard(upstream("cloud", *talk("one", end=False), fault(Fault.CUT)), upstream("near", *talk(" two")))
    yard.router._shelf.room = 100
    with pytest.raises(Interrupted, match="broke off"):
        await yard.ask(asked=STREAMED)
    assert yard.router._shelf.room == 100
