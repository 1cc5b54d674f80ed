"""What the conformance tests of the `anthropic` client ask with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdk_clouds import model

ASK: Mapping[str, Any] = {"max_tokens": 100, "messages": [{"role": "user", "content": "Who are you?"}]}
WEATHER: Mapping[str, Any] = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOLS: list[Any] = [WEATHER, {**WEATHER, "name": "time"}]
UPSTREAMS: Mapping[str, str] = {"cloud": "claude", "near": "near", "chat": "vllm", "openai": "openai"}
CHATS = ("chat", "openai")  # targets that speak chat


def asking(target: str, script: str, *turns: Any, **facts: Any) -> dict[str, Any]:
    """Arguments of `messages.create`; `turns` are turns, or what a user's only turn holds."""
    ask: dict[str, Any] = {**ASK, "model": model(target, script)}
    if turns:
        is_turns = isinstance(turns[0], dict) and "role" in turns[0]
        ask["messages"] = list(turns) if is_turns else [{"role": "user", "content": list(turns)}]
    return ask | facts


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}
