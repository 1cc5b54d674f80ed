from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from sampan.dialects import sse
from sampan.dialects.response_emitter import TRANSITIONS, IllegalMove, Move, ResponseEmitter, State
from sampan.dialects.translation.claude_answers_responses import envelope

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOLD = envelope(b'{"model":"m","input":"hi"}', "resp_1", 1_700_000_000.9, "m")
USAGE = {
    "input_tokens": 1,
    "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 3,
}


def make(emitter: ResponseEmitter, move: Move) -> bytes:
    """The method of a move, with something to say."""
    return {
        Move.CREATE: emitter.create,
        Move.OPEN_MESSAGE: lambda: emitter.open_message(f"msg_{len(emitter.output)}"),
        Move.OPEN_TEXT: emitter.open_text,
        Move.TEXT: lambda: emitter.text("字 "),
        Move.OPEN_REFUSAL: emitter.open_refusal,
        Move.REFUSE: lambda: emitter.refuse("no"),
        Move.OPEN_CALL: lambda: emitter.open_call(f"fc_{len(emitter.output)}", f"c{len(emitter.output)}", "tool"),
        Move.ARGUE: lambda: emitter.argue("{}"),
        Move.OPEN_REASONING: lambda: emitter.open_reasoning(f"rs_{len(emitter.output)}"),
        Move.OPEN_SUMMARY: emitter.open_summary,
        Move.SUMMARIZE: lambda: emitter.summarize("hm"),
        Move.CLOSE_PART: emitter.close_part,
        Move.CLOSE_ITEM: emitter.close_item,
        Move.END: lambda: emitter.end({"usage": USAGE}),
        Move.FAIL: lambda: emitter.fail("server_error", "it broke"),
    }[move]()


def events(frames: bytes) -> list[dict[str, Any]]:
    return [json.loads(data) for data in sse.payloads(frames)]


def test_a_message_with_a_refusal_reads_as_the_wire_says() -> None:
    emitter = ResponseEmitter(TOLD)
    frames = emitter.create() + emitter.open_message("msg_1") + emitter.open_text() + emitter.text("a")
    frames += emitter.text("b") + emitter.close_part() + emitter.open_refusal() + emitter.refuse("no")
    frames += emitter.close_part() + emitter.close_item("incomplete") + emitter.end({"usage": USAGE}, "content_filter")
    said = events(frames)
    assert [each["type"].removeprefix("response.") for each in said] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    assert [each["sequence_number"] for each in said] == list(range(len(said)))
    names = [line[7:] for line in frames.decode().split("\n") if line.startswith("event: ")]
    assert names == [each["type"] for each in said]
    assert said[6]["text"] == "ab"
    assert [each["content_index"] for each in said if "content_index" in each] == [0] * 5 + [1] * 4
    last = said[-1]["response"]
    assert (last["status"], last["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})
    assert [part["type"] for part in last["output"][0]["content"]] == ["output_text", "refusal"]
    assert json.loads(emitter.response or b"") == last


def test_a_call_and_reasoning_carry_what_was_said_of_them() -> None:
    emitter = ResponseEmitter(TOLD)
    frames = emitter.create() + emitter.open_reasoning("rs_0") + emitter.open_summary() + emitter.summarize("why")
    frames += emitter.close_part() + emitter.close_item(encrypted_content="seal")
    frames += emitter.open_call("fc_1", "toolu_1", "add") + emitter.argue('{"a"') + emitter.argue(":1}")
    frames += emitter.close_item()
    said = {each["type"].removeprefix("response."): each for each in events(frames)}
    assert said["reasoning_summary_text.done"]["text"] == "why"
    assert said["reasoning_summary_part.done"]["summary_index"] == 0
    assert said["function_call_arguments.done"]["arguments"] == '{"a":1}'
    assert said["output_item.done"]["item"] == emitter.output[1]
    assert emitter.output[0]["encrypted_content"] == "seal"
    assert (emitter.output[1]["call_id"], emitter.output[1]["status"]) == ("toolu_1", "completed")
    failed = events(emitter.fail("server_error", "it broke"))[0]["response"]
    assert (failed["status"], failed["error"]["code"], len(failed["output"])) == ("failed", "server_error", 2)


def test_a_silent_one_makes_the_same_moves_and_no_frames() -> None:
    loud, silent = ResponseEmitter(TOLD), ResponseEmitter(TOLD, silent=True)
    for move in (Move.CREATE, Move.OPEN_MESSAGE, Move.OPEN_TEXT, Move.TEXT, Move.CLOSE_PART, Move.CLOSE_ITEM, Move.END):
        assert make(loud, move)
        assert make(silent, move) == b""
    assert loud.response == silent.response
    with pytest.raises(IllegalMove):
        silent.text("late")


@given(st.data())
def test_any_legal_walk_is_a_stream_that_the_sdk_types_accept(data: st.DataObject) -> None:
    emitter = ResponseEmitter(TOLD)
    frames = b""
    for _ in range(data.draw(st.integers(1, 25))):
        legal = [move for state, move in TRANSITIONS if state is emitter.state]
        if not legal:
            break
        frames += make(emitter, data.draw(st.sampled_from(legal)))
    for number, event in enumerate(events(frames)):
        assert event["sequence_number"] == number
        EVENT.validate_json(json.dumps(event), strict=True)


@given(st.lists(st.sampled_from(Move), max_size=20))
def test_what_the_table_does_not_hold_is_refused_and_changes_nothing(moves: list[Move]) -> None:
    emitter = ResponseEmitter(TOLD)
    for move in moves:
        before, items = emitter.state, len(emitter.output)
        if (before, move) in TRANSITIONS:
            make(emitter, move)
            assert emitter.state is TRANSITIONS[before, move]
        else:
            with pytest.raises(IllegalMove, match=f"{move.name} in {before.name}"):
                make(emitter, move)
            assert (emitter.state, len(emitter.output)) == (before, items)


def test_every_state_can_be_reached_and_left() -> None:
    assert {after for after in TRANSITIONS.values()} == set(State) - {State.NEW}
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.ENDED}
