"""What a stand-in says when it is well: whole answers and streams in every dialect, split where they may break.

Formats: https://docs.anthropic.com/en/api/messages-streaming and https://platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from sampan.core import Dialect

SAID = "stand-in: one two three four"
"""The first half of a stand-in's text: whoever finds it in an answer knows who gave that half."""
LEFT = " five six seven eight"
VECTOR = [0.25, 0.5, 0.75]
INPUT_TOKENS, OUTPUT_TOKENS = 11, 9


def png(colour: tuple[int, int, int], side: int = 64) -> bytes:
    """A PNG of one colour, by hand (https://www.w3.org/TR/png/)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\x00" + bytes(colour) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = png((11, 97, 164))
"""What stand-ins draw: an answer with these very bytes came from one."""
PICTURE64 = base64.b64encode(PICTURE).decode()


@dataclass(frozen=True, slots=True)
class Part:
    """Which answer is wanted: its dialect, and for pictures whether one is edited."""

    dialect: Dialect
    edits: bool = False


def frame(data: dict[str, Any] | str, event: str = "") -> bytes:
    """One SSE frame."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{f'event: {event}' + chr(10) if event else ''}data: {text}\n\n".encode()


def _typed(data: dict[str, Any]) -> bytes:
    return frame(data, data["type"])


def whole(part: Part) -> dict[str, Any]:
    """The answer to a call that does not stream."""
    text = SAID + LEFT
    if part.dialect is Dialect.ANTHROPIC:
        return _message([{"type": "text", "text": text}], "end_turn", OUTPUT_TOKENS)
    if part.dialect is Dialect.OPENAI_CHAT:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return _chat("chat.completion") | {"choices": [choice], "usage": _chat_usage()}
    if part.dialect is Dialect.OPENAI_EMBEDDINGS:
        data = [{"object": "embedding", "index": 0, "embedding": VECTOR}]
        usage = {"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS}
        return {"object": "list", "model": "stand-in", "data": data, "usage": usage}
    return {"created": 1, "data": [{"b64_json": PICTURE64}], "usage": _picture_usage()}


def opening(part: Part) -> bytes:
    """The frames of a stream before there is content."""
    if part.dialect is Dialect.ANTHROPIC:
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return _typed({"type": "message_start", "message": _message([], None, 1)}) + _typed(block)
    if part.dialect is Dialect.OPENAI_CHAT:
        return _chunk({"role": "assistant", "content": ""})
    return b": the stand-in is drawing\n\n"


def beat(part: Part) -> bytes:
    """A frame without content, as servers send to keep a connection alive."""
    return _typed({"type": "ping"}) if part.dialect is Dialect.ANTHROPIC else b": ping\n\n"


def first(part: Part) -> bytes:
    """The first half of the content; of a picture, a sketch of it."""
    return _picture(part, "partial_image") if part.dialect is Dialect.OPENAI_IMAGES else _words(part, SAID)


def drop(part: Part) -> bytes:
    """As little content as goes into a frame; pictures have no such thing."""
    return beat(part) if part.dialect is Dialect.OPENAI_IMAGES else _words(part, ".")


def rest(part: Part) -> bytes:
    """The second half, and the end."""
    return closing(part) if part.dialect is Dialect.OPENAI_IMAGES else _words(part, LEFT) + closing(part)


def _words(part: Part, text: str) -> bytes:
    if part.dialect is Dialect.ANTHROPIC:
        return _typed({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
    return _chunk({"content": text})


def closing(part: Part) -> bytes:
    """The frames that end a stream as its dialect wants it."""
    if part.dialect is Dialect.ANTHROPIC:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return (
            _typed({"type": "content_block_stop", "index": 0})
            + _typed({"type": "message_delta", "delta": delta, "usage": {"output_tokens": OUTPUT_TOKENS}})
            + _typed({"type": "message_stop"})
        )
    if part.dialect is Dialect.OPENAI_CHAT:
        usage = frame(_chat("chat.completion.chunk") | {"choices": [], "usage": _chat_usage()})
        return _chunk({}, "stop") + usage + frame("[DONE]")
    return _picture(part, "completed")


def error(part: Part, kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    """An API error as the dialect's cloud writes it."""
    if part.dialect is Dialect.ANTHROPIC:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_standin"}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_frame(part: Part) -> bytes:
    """An error inside a stream."""
    body = error(part, "overloaded_error", "Overloaded", "overloaded")
    if part.dialect is Dialect.OPENAI_CHAT:
        return frame(body)
    return frame({"type": "error"} | body, "error")


def broken_frame(part: Part) -> bytes:
    """A frame whose data is cut inside its JSON."""
    if part.dialect is Dialect.ANTHROPIC:
        return frame('{"type": "content_block_delta", "inde', "content_block_delta")
    return frame('{"id": "stand-in", "choi')


def _message(content: list[dict[str, Any]], stop: str | None, tokens: int) -> dict[str, Any]:
    return {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": "stand-in",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": tokens},
    }


def _chat(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-standin", "object": kind, "created": 1, "model": "stand-in"}


def _chat_usage() -> dict[str, int]:
    total = INPUT_TOKENS + OUTPUT_TOKENS
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": total}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return frame(_chat("chat.completion.chunk") | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _picture_usage() -> dict[str, Any]:
    details = {"input_tokens_details": {"image_tokens": 0, "text_tokens": INPUT_TOKENS}}
    total = {"total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
    return {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS} | total | details


def _picture(part: Part, kind: str) -> bytes:
    facts = {
        "type": f"{'image_edit' if part.edits else 'image_generation'}.{kind}",
        "b64_json": PICTURE64,
        "background": "opaque",
        "created_at": 1,
        "output_format": "png",
        "quality": "low",
        "size": "256x256",
    }
    return _typed(facts | ({"partial_image_index": 0} if kind == "partial_image" else {"usage": _picture_usage()}))
