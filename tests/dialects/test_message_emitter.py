from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.dialects import sse
from sampan.dialects.anthropic import MessageWatch
from sampan.dialects.message_emitter import MOVES, IllegalMove, MessageEmitter, MessageUsage, Move, State
from tests.dialects.messages_replay import replay

USAGE = MessageUsage(input_tokens=7, output_tokens=1)

# Every move as a call.
CALLS: dict[Move, Callable[[MessageEmitter], None]] = {
    Move.START: lambda emitter: emitter.start("msg_1", "claude-x", USAGE),
    Move.OPEN_TEXT: MessageEmitter.open_text,
    Move.OPEN_THINKING: MessageEmitter.open_thinking,
    Move.OPEN_TOOL: lambda emitter: emitter.open_tool("toolu_1", "weather"),
    Move.WHOLE_BLOCK: lambda emitter: emitter.block({"type": "redacted_thinking", "data": "x"}),
    Move.TEXT: lambda emitter: emitter.text("你好\n"),
    Move.THINKING: lambda emitter: emitter.thinking('"hm"'),
    Move.SIGN: lambda emitter: emitter.sign("sig"),
    Move.ARGUMENTS: lambda emitter: emitter.arguments(" "),
    Move.CLOSE: MessageEmitter.close,
    Move.PING: MessageEmitter.ping,
    Move.END: lambda emitter: emitter.end("end_turn", MessageUsage(input_tokens=8, output_tokens=9)),
}


def test_every_move_can_be_made() -> None:
    assert set(CALLS) == set(Move)


@given(st.lists(st.sampled_from(list(Move)), max_size=30))
def test_any_moves_make_a_stream_that_the_sdk_reads_or_are_refused(moves: list[Move]) -> None:
    """The only way out of the table is an exception; what was written until then is the beginning of a good stream."""
    emitter = MessageEmitter()
    for move in moves:
        if (emitter.state, move) in MOVES:
            CALLS[move](emitter)
        else:
            before = emitter.state
            with pytest.raises(IllegalMove, match=move.name):
                CALLS[move](emitter)
            assert emitter.state is before
    if emitter.state is State.NEW:
        assert emitter.take() == b""
        return
    if emitter.state not in (State.BETWEEN, State.ENDED):
        emitter.close()
    if emitter.state is State.BETWEEN:
        CALLS[Move.END](emitter)
    stream = emitter.take()
    kinds = [json.loads(data)["type"] for data in sse.payloads(stream)]
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    assert MessageWatch().feed(stream).ended
    if b"redacted_thinking" not in stream:
        message = replay(stream)
        assert len(message.content) == emitter.index + 1
        assert (message.usage.input_tokens, message.usage.output_tokens) == (8, 9)


def test_a_message_to_the_letter() -> None:
    emitter = MessageEmitter()
    emitter.start("msg_1", "claude-x", USAGE)
    emitter.open_thinking()
    emitter.thinking("hm")
    emitter.sign("sig")
    emitter.close()
    emitter.ping()
    emitter.open_text()
    emitter.text('a "quoted"\n')
    emitter.text("行")
    emitter.close()
    emitter.open_tool("toolu_1", "weather")
    emitter.arguments('{"city":')
    emitter.arguments('"Qingdao"}')
    emitter.close()
    emitter.end("stop_sequence", MessageUsage(output_tokens=30), stop_sequence="END")
    message = replay(emitter.take())
    thinking, text, tool = (block.to_dict() for block in message.content)
    assert thinking == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert text["text"] == 'a "quoted"\n行'
    assert tool == {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Qingdao"}}
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 30)


def test_the_first_delta_of_a_tool_is_empty() -> None:
    emitter = MessageEmitter()
    emitter.start("msg_1", "claude-x", USAGE)
    emitter.open_tool("toolu_1", "weather")
    events: list[dict[str, Any]] = [json.loads(data) for data in sse.payloads(emitter.take())]
    assert events[-2]["content_block"]["input"] == {}
    assert events[-1]["delta"] == {"type": "input_json_delta", "partial_json": ""}


def test_a_refusal_carries_its_details() -> None:
    emitter = MessageEmitter()
    emitter.start("msg_1", "claude-x", USAGE)
    emitter.end("refusal", USAGE, details={"type": "refusal", "category": None, "explanation": "no"})
    message = replay(emitter.take())
    assert message.stop_details is not None and message.stop_details.explanation == "no"
