"""Chat streams as servers write them, fed as an upstream feeds them, and what a Claude client gets of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from anthropic.types import Message

from sampan.core import Fault
from sampan.dialects.sse import FrameBuffer
from sampan.dialects.translation.asked import Asked
from sampan.dialects.translation.chat_answers_claude import ChatToMessages
from sampan.errors import TargetFault

ASKED = Asked(tools=frozenset({"weather", "clock"}), stops=("END",), input_tokens=11)
QINGDAO = ("tool_use", "weather", {"city": "Qingdao"})
JINAN = ("tool_use", "weather", {"city": "Jinan"})
CLOCK = ("tool_use", "clock", {})


def numbered() -> Callable[[], str]:
    """Ids that can be foretold."""
    numbers = count()
    return lambda: f"made{next(numbers)}"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if delta is not None else []
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": choices, **more}).encode() + b"\n\n"


def call(arguments: str | None = None, name: str | None = None, id: str | None = None, index: int | None = 0) -> Any:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    given = {key: value for key, value in (("id", id), ("index", index)) if value is not None}
    return {"tool_calls": [{**given, "type": "function", "function": function}]}


DONE = b"data: [DONE]\n\n"


def follow(pieces: list[bytes], watch: ChatToMessages) -> bytes:
    """What a caller gets of these bytes, as the upstream feeds them: whole frames, and the end."""
    buffer, out = FrameBuffer(), []
    for piece in pieces:
        frames = buffer.feed(piece)
        if frames:
            seen = watch.feed(frames)
            out.append(seen.data or b"")
            if seen.ended:
                return b"".join(out)
    if not watch.finished:
        raise TargetFault(Fault.CUT)
    seen = watch.feed(b"")
    assert seen.ended
    return b"".join([*out, seen.data or b""])


def watch(**more: Any) -> ChatToMessages:
    return ChatToMessages("claude-x", ASKED, **{"fresh": numbered(), **more})


def blocks(message: Message) -> list[tuple[Any, ...]]:
    plain = []
    for block in message.content:
        if block.type == "text":
            plain.append(("text", block.text))
        elif block.type == "thinking":
            plain.append(("thinking", block.thinking))
        elif block.type == "tool_use":
            plain.append(("tool_use", block.name, block.input))
    return plain
