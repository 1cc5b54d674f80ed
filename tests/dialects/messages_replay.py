"""Serves bytes to the official Anthropic SDK, which is the judge of a Messages stream."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message

from sampan.dialects import sse


def client(body: bytes, content_type: str) -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type, "request-id": "req_1"}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=http, max_retries=0)


def replay(stream: bytes) -> Message:
    """What the SDK's accumulator makes of a stream; its order is checked against the wire's own rules besides."""
    check_order(stream)
    asked: Any = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with client(stream, "text/event-stream").messages.stream(**asked) as events:
        return events.get_final_message()


def receive(body: bytes) -> Message:
    """What the SDK makes of a whole answer."""
    asked: Any = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    message: Message = client(body, "application/json").messages.create(**asked)
    return message


DELTAS = {"text": {"text_delta"}, "thinking": {"thinking_delta", "signature_delta"}, "tool_use": {"input_json_delta"}}


def check_order(stream: bytes) -> None:
    """Names and data agree, one block is open at a time, indices count up, each delta fits its block."""
    events = []
    for frame in stream.split(b"\n\n"):
        if frame:
            name, data = frame.split(b"\n", 1)
            event = json.loads(next(sse.payloads(data)))
            assert name == b"event: " + event["type"].encode()
            if event["type"] != "ping":
                events.append(event)
    assert events[0]["type"] == "message_start"
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    index, block = -1, ""
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert (block, event["index"]) == ("", index + 1)
            index, block = event["index"], event["content_block"]["type"]
        elif event["type"] == "content_block_stop":
            assert block and event["index"] == index
            block = ""
        else:
            assert event["type"] == "content_block_delta" and event["index"] == index
            assert event["delta"]["type"] in DELTAS[block]
    assert block == ""
