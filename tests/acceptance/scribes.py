"""A cloud that speaks all four dialects well: three calls of four it answers, one it refuses as the caller's mistake.

Which, and in what shape, is told by the bytes of the call: the same call is always answered in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from behaviours import closing, error_body, frame, healthy, message, opening, words
from cells import Exchange
from clouds import Cloud

TEXT = "The harbour is quiet."
CALL = {"name": "look", "arguments": '{"where": "harbour"}'}
BLOCKS: tuple[tuple[str, list[dict[str, Any]]], ...] = (
    ("end_turn", [{"type": "text", "text": TEXT}]),
    ("max_tokens", [{"type": "thinking", "thinking": "Boats.", "signature": "c2ln"}, {"type": "text", "text": TEXT}]),
    ("tool_use", [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "harbour"}}]),
    ("refusal", [{"type": "text", "text": ""}]),
)
CHOICES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("stop", {"content": TEXT}),
    ("length", {"content": TEXT, "reasoning_content": "Boats."}),
    ("tool_calls", {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": CALL}]}),
    ("content_filter", {"content": None, "refusal": "I would rather not."}),
)
CHAT_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


class Scribe(Cloud):
    """Each of its cells speaks whatever dialect its path is of."""

    async def _behave(self, exchange: Exchange) -> None:
        path = exchange.path.split("?")[0]
        shape, luck, *_ = hashlib.sha256(exchange.body).digest()
        if exchange.method == "POST" and luck % 4 == 0:
            await exchange.reply(400, refusal(exchange, path))
        elif path == "/v1/chat/completions":
            await chat(exchange, *CHOICES[shape % len(CHOICES)])
        elif path == "/v1/embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5]}]
            usage = {"prompt_tokens": 3, "total_tokens": 3}
            await exchange.reply(200, {"object": "list", "data": data, "model": "cloud-model", "usage": usage})
        elif path == "/v1/messages" and not exchange.stream:
            reason, blocks = BLOCKS[shape % len(BLOCKS)]
            await exchange.reply(200, message("") | {"content": blocks, "stop_reason": reason})
        elif path == "/v1/messages":
            await exchange.begin_stream()
            await exchange.piece(opening(exchange.cell.name) + words(TEXT))
            await exchange.piece(closing())
            await exchange.end_stream()
        else:
            await healthy(exchange)


def refusal(exchange: Exchange, path: str) -> dict[str, Any]:
    words_ = "this is not how it is asked"
    if path.startswith("/v1/messages") or exchange.pictures:
        return error_body(exchange, "invalid_request_error", words_)
    return {"error": {"message": words_, "type": "invalid_request_error", "param": None, "code": None}}


async def chat(exchange: Exchange, reason: str, said: dict[str, Any]) -> None:
    if exchange.stream:
        await exchange.begin_stream()
        for chunk in chunks(reason, said):
            await exchange.piece(frame(None, chunk))
        await exchange.piece(b"data: [DONE]\n\n")
        await exchange.end_stream()
        return
    choice = {"index": 0, "message": {"role": "assistant"} | said, "finish_reason": reason}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "cloud-model"}
    await exchange.reply(200, whole | {"choices": [choice], "usage": CHAT_USAGE})


def chunks(reason: str, said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "cloud-model"}
    calls = [call | {"index": index} for index, call in enumerate(said.get("tool_calls", ()))]
    delta = {"role": "assistant"} | said | ({"tool_calls": calls} if calls else {})
    yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    yield head | {"choices": [], "usage": CHAT_USAGE}
