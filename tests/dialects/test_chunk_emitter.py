from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from sampan.dialects import sse
from sampan.dialects.chunk_emitter import DONE, TRANSITIONS, ChunkEmitter, IllegalMoveError, Move, State

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
MOVES: dict[Move, Callable[[ChunkEmitter], bytes]] = {
    Move.BEGIN: ChunkEmitter.begin,
    Move.SAY: lambda emitter: emitter.text("x"),
    Move.CALL: lambda emitter: emitter.call("call_1", "f"),
    Move.ARGUE: lambda emitter: emitter.arguments("{}"),
    Move.FINISH: lambda emitter: emitter.finish("stop"),
    Move.END: lambda emitter: emitter.end(USAGE),
}
PATHS = {
    State.NEW: [],
    State.BEGUN: [Move.BEGIN],
    State.SAYING: [Move.BEGIN, Move.SAY],
    State.CALLING: [Move.BEGIN, Move.CALL],
    State.FINISHED: [Move.BEGIN, Move.FINISH],
    State.ENDED: [Move.BEGIN, Move.FINISH, Move.END],
}


def emitter(*, usage: bool = False, functions: bool = False) -> ChunkEmitter:
    return ChunkEmitter("chatcmpl-1", "gpt-x", 1_700_000_000, usage=usage, functions=functions)


def chunks(frames: bytes) -> list[dict[str, Any]]:
    return [json.loads(data) for data in sse.payloads(frames) if data.strip() != b"[DONE]"]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("move", Move)
def test_the_table_is_all_there_is(state: State, move: Move) -> None:
    one = emitter()
    for step in PATHS[state]:
        MOVES[step](one)
    assert one.state is state
    if (state, move) in TRANSITIONS:
        assert MOVES[move](one).startswith(b"data: ")
        assert one.state is TRANSITIONS[(state, move)]
    else:
        with pytest.raises(IllegalMoveError):
            MOVES[move](one)
        assert one.state is state


def test_the_chunks_of_an_answer() -> None:
    one = emitter(usage=True)
    frames = one.begin() + one.text("你好\n") + one.finish("stop") + one.end(USAGE)
    assert frames.endswith(DONE)
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-x",
        "system_fingerprint": None,
    }

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice], "usage": None}

    assert chunks(frames) == [
        chunk({"role": "assistant", "content": None}),
        chunk({"content": "你好\n"}),
        chunk({}, "stop"),
        {**head, "choices": [], "usage": USAGE},
    ]


def test_usage_only_for_who_asked() -> None:
    one = emitter()
    frames = one.begin() + one.finish("length") + one.end(USAGE)
    assert b"usage" not in frames
    assert chunks(frames)[-1]["choices"][0] == {
        "index": 0,
        "delta": {"content": ""},
        "logprobs": None,
        "finish_reason": "length",
    }


def test_calls_before_there_were_tools() -> None:
    one = emitter(functions=True)
    frames = one.begin() + one.call("call_1", "f") + one.arguments('{"a"') + one.arguments(":1}")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(frames)][1:]
    assert [delta["function_call"] for delta in deltas] == [
        {"name": "f", "arguments": ""},
        {"arguments": '{"a"'},
        {"arguments": ":1}"},
    ]


STEPS = st.one_of(
    st.tuples(st.just("text"), st.text(min_size=1)),
    st.tuples(st.just("refusal"), st.text(min_size=1)),
    st.tuples(st.just("call"), st.lists(st.text(min_size=1), max_size=3)),
)


@given(st.lists(STEPS, max_size=8))
def test_what_was_put_in_is_what_the_sdk_accumulates(steps: list[tuple[str, Any]]) -> None:
    one = emitter(usage=True)
    frames = one.begin()
    for number, (kind, value) in enumerate(steps):
        if kind == "call":
            frames += one.call(f"call_{number}", f"f{number}")
            frames += b"".join(one.arguments(piece) for piece in value)
        else:
            frames += getattr(one, kind)(value)
    frames += one.finish("stop") + one.end(USAGE)
    state = ChatCompletionStreamState()
    for chunk in chunks(frames):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    message = state.get_final_completion().choices[0].message
    said = {kind: "".join(value for each, value in steps if each == kind) for kind in ("text", "refusal")}
    assert (message.content or "") == said["text"]
    assert (message.refusal or "") == said["refusal"]
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()] == [
        (f"call_{number}", f"f{number}", "".join(value)) for number, (kind, value) in enumerate(steps) if kind == "call"
    ]
