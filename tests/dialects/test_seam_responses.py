"""Responses streams joined at a seam: the official SDK reads one response, without a word lost or said twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from test_claude_answers_responses import THINKING, TOOL, client, events, stream, told

from sampan.core import Dialect
from sampan.dialects import handover
from sampan.dialects.handover_responses import ResponsesSeam
from sampan.dialects.translation.claude_answers_responses import MessagesToResponses

ANY_EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def said(frames: Sequence[bytes]) -> list[bytes]:
    """What a caller of the Responses wire reads of Messages frames, one entry an event of theirs."""
    watch = MessagesToResponses(told(), lambda: 1.0)
    return [watch.feed(frame).data or b"" for frame in frames]


def seam(frames: Sequence[bytes], *, asked: bool = False) -> handover.Seam | None:
    return handover.seam(Dialect.OPENAI_RESPONSES, frames, asked=asked)


def joined(first: Sequence[bytes], second: Sequence[bytes], *, asked: bool = False) -> Response:
    """What the SDK makes of both, its events checked one by one against its own types and numbers."""
    joint = seam(first, asked=asked)
    assert joint is not None and not joint.whole
    whole = b"".join(first) + b"".join(joint.join(frame) for frame in second if frame)
    return read(whole)


def read(whole: bytes) -> Response:
    seen = events(whole)
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    for event in seen:
        ANY_EVENT.validate_python(event)
    added = [event["output_index"] for event in seen if event["type"] == "response.output_item.added"]
    done = [event["output_index"] for event in seen if event["type"] == "response.output_item.done"]
    assert added == done == list(range(len(added)))
    assert seen[-1]["response"]["output"] == [
        event["item"] for event in seen if event["type"] == "response.output_item.done"
    ]
    with client(whole).responses.stream(model="m", input="hi") as events_of_sdk:
        response: Response = events_of_sdk.get_final_response()
    return response


words = st.text(alphabet="ab 水\n", min_size=1, max_size=40)


@settings(deadline=None)
@given(words, st.integers(0, 60), st.data())
def test_the_text_goes_on_in_the_same_part(whole: str, cut: int, data: st.DataObject) -> None:
    frames = said(stream(text(whole), size=2))
    first = frames[: 3 + cut % (len(frames) - 6 + 1)]  # from the open block on, at most all of its deltas
    joint = seam(first)
    assert joint is not None
    rest = whole[len(joint.text) :]  # a target that is given the prefill without blanks says them again
    response = joined(first, said(stream(text(rest), size=data.draw(st.integers(1, 5)))))
    assert response.output_text == whole
    assert [item.type for item in response.output] == ["message"]
    assert response.id == "resp_00ff"
    assert response.usage is not None
    assert response.usage.output_tokens == 7 + joint.usage.output_tokens


def test_what_a_target_repeats_is_said_once() -> None:
    whole = "one two three four five six seven eight"
    first = said(stream(text(whole[:24]), size=3))[:10]
    joint = seam(first, asked=True)
    assert joint is not None and joint.text == whole[:24].rstrip()[: len(joint.text)]
    second = said(stream(text(whole[len(joint.text) - 14 :]), size=3))
    assert joined(first, second, asked=True).output_text == whole


def test_thinking_that_was_open_is_closed_and_the_answer_begins_behind_it() -> None:
    first = said(stream(THINKING, size=3))[:5]
    response = joined(first, said(stream(text("Forty-two."))))
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output_text == "Forty-two."


def test_a_target_that_thinks_first_goes_on_in_items_of_its_own() -> None:
    first = said(stream(text("It is so"), size=6))[:4]
    response = joined(first, said(stream(THINKING, text("forty-two."))))
    assert [item.type for item in response.output] == ["message", "reasoning", "message"]
    assert response.output_text == "It is forty-two."


def test_text_whose_part_was_done_is_followed_by_a_message_of_its_own() -> None:
    frames = said(stream(text("One."), text("Two.")))
    first = frames[: next(n for n, each in enumerate(frames) if b"content_part.done" in each) + 1]
    response = joined(first, said(stream(text("Three."))))
    assert [item.type for item in response.output] == ["message", "message"]
    assert response.output_text == "One.Three."


def test_a_second_text_and_a_call_of_the_next_target_keep_their_places() -> None:
    first = said(stream(text("abcdef")))[:4]
    joint = seam(first)
    assert joint is not None
    response = joined(first, said(stream(text("abcdef"[len(joint.text) :]), text("ghi"), TOOL)))
    assert [item.type for item in response.output] == ["message", "function_call"]
    assert response.output_text == "abcdefghi"
    assert len({item.id for item in response.output}) == 2


def test_nobody_goes_on_inside_of_a_call() -> None:
    frames = said(stream(TOOL))
    inside = next(n for n, each in enumerate(frames) if b"function_call_arguments.delta" in each) + 1
    assert seam(frames[:inside]) is None


def test_a_whole_call_ends_the_answer() -> None:
    frames = said(stream(TOOL, text("never read")))
    first = frames[: next(n for n, each in enumerate(frames) if b'"message"' in each and b"item.added" in each)]
    done = next(n for n, each in enumerate(frames) if b"response.output_item.done" in each)
    whole = b"".join(frames[:done]) + frames[done].split(b"event: response.output_item.added")[0]
    joint = seam([whole])
    assert joint is not None and joint.whole and len(first) <= done
    response = read(whole + joint.end())
    assert [item.type for item in response.output] == ["function_call"]
    assert response.status == "completed"


def test_a_third_target_goes_on_where_the_second_broke() -> None:
    whole = "abcdefghijklmnopqrstuvwxyz"
    first = said(stream(text(whole)))[:5]
    joint = seam(first)
    assert joint is not None
    second = [joint.join(frame) for frame in said(stream(text(whole[len(joint.text) :])))[:6] if frame]
    again = seam([*first, *second])
    assert again is not None
    response = joined([*first, *second], said(stream(text(whole[len(again.text) :]))))
    assert response.output_text == whole


@pytest.mark.parametrize("data", [b"data: {}\n\n", b"data: [DONE]\n\n", b'data: {"type":"response.created"}\n\n', b""])
def test_what_cannot_be_read_is_not_gone_on_with(data: bytes) -> None:
    assert seam([data]) is None


def test_a_stream_that_cannot_be_joined_is_a_fault() -> None:
    joint = seam(said(stream(text("abc")))[:4])
    assert isinstance(joint, ResponsesSeam)
    broken = {"type": "response.output_text.delta", "output_index": 7, "delta": "x"}
    with pytest.raises(Exception, match="cannot be joined"):
        joint.join(b"data: %b\n\n" % json.dumps(broken).encode())
