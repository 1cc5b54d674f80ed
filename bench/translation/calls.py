"""The calls, answers and streams that are translated: 1 KB of each, in every wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sampan.core import Call, Dialect, Operation
from sampan.dialects import sse

MODEL = "claude-bench"
SYSTEM = "You are the harbour master's clerk. Answer in one or two sentences, and name the berth. " * 2
TURNS = (
    ("user", "Which of the boats that came in before the storm have not paid their dues for the last quarter yet?"),
    ("assistant", "Three of them: the Heron at berth 4, the Wild Goose at berth 11 and the Sampan at berth 2. " * 2),
    ("user", "Write a letter to the owner of the Wild Goose, friendly but firm, and mention the new tariff. " * 2),
)
TOOL = {"type": "object", "properties": {"berth": {"type": "integer"}}, "required": ["berth"]}
TEXT = "The harbour was quiet and the boats were back before the storm. " * 12
WORD = " harbour and boats"
THOUGHT = " the tariff of March"


def asked(dialect: Dialect, *, stream: bool) -> Call:
    """A call of 1 KB."""
    return Call(
        dialect=dialect,
        operation=Operation.TEXT,
        model=MODEL,
        path="/v1/messages",
        body=msgspec.json.encode(_BODIES[dialect] | {"model": MODEL, "stream": stream}),
        content_type="application/json",
        stream=stream,
        tenant="key_bench",
    )


_TURNS: Sequence[Mapping[str, Any]] = [{"role": role, "content": text} for role, text in TURNS]
_NAMED = {"name": "look_up", "description": "Looks a berth up."}
_BODIES: Mapping[Dialect, dict[str, Any]] = {
    Dialect.ANTHROPIC: {
        "max_tokens": 512,
        "temperature": 0.2,
        "system": SYSTEM,
        "messages": _TURNS,
        "tools": [{**_NAMED, "input_schema": TOOL}],
    },
    Dialect.OPENAI_CHAT: {
        "max_completion_tokens": 512,
        "temperature": 0.2,
        "messages": [{"role": "system", "content": SYSTEM}, *_TURNS],
        "tools": [{"type": "function", "function": {**_NAMED, "parameters": TOOL}}],
    },
    Dialect.OPENAI_RESPONSES: {
        "max_output_tokens": 512,
        "temperature": 0.2,
        "instructions": SYSTEM,
        "input": _TURNS,
        "tools": [{"type": "function", **_NAMED, "parameters": TOOL}],
    },
}


def answered(server: Dialect) -> bytes:
    """A whole answer of 1 KB, as a server of this dialect gives it."""
    if server is Dialect.ANTHROPIC:
        return msgspec.json.encode(
            _message([{"type": "text", "text": TEXT}]) | {"usage": {"input_tokens": 210, "output_tokens": 180}}
        )
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 210, "completion_tokens": 180, "total_tokens": 390}
    return msgspec.json.encode(_chunk("chat.completion", [choice]) | {"usage": usage})


def streamed(server: Dialect, events: int, *, thinking: bool = False) -> list[bytes]:
    """The frames of a stream of `events` events, all but a few of them a word; `thinking`: a thought."""
    return _messages_stream(events, thinking) if server is Dialect.ANTHROPIC else _chat_stream(events)


def _message(content: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    head = {"id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL}
    return {**head, "content": content, "stop_reason": "end_turn", "stop_sequence": None}


def _messages_stream(events: int, thinking: bool) -> list[bytes]:
    start = {**_message([]), "stop_reason": None, "usage": {"input_tokens": 210, "output_tokens": 1}}
    block = {"type": "thinking", "thinking": "", "signature": ""} if thinking else {"type": "text", "text": ""}
    delta = {"type": "thinking_delta", "thinking": THOUGHT} if thinking else {"type": "text_delta", "text": WORD}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *[{"type": "content_block_delta", "index": 0, "delta": delta}] * (events - 5),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": events}},
        {"type": "message_stop"},
    ]
    return [sse.frame(msgspec.json.encode(each), each["type"]) for each in told]


def _chunk(kind: str, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-bench", "object": kind, "created": 1_700_000_000, "model": MODEL, "choices": choices}


def _chat_stream(events: int) -> list[bytes]:
    def choice(delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
        return _chunk("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": reason}])

    usage = {"prompt_tokens": 210, "completion_tokens": events, "total_tokens": 210 + events}
    told = [
        choice({"role": "assistant", "content": ""}),
        *[choice({"content": WORD})] * (events - 4),
        choice({}, "stop"),
        _chunk("chat.completion.chunk", []) | {"usage": usage},
    ]
    return [*(sse.frame(msgspec.json.encode(each)) for each in told), b"data: [DONE]\n\n"]
