"""A chat answer as it is read: whole or a chunk, from OpenAI or from a server that took some liberties.

Beyond OpenAI's types: `reasoning_content` (SGLang, llama.cpp, LM Studio, older vLLM) or `reasoning` (vLLM, Ollama,
OpenRouter), `stop_reason` (vLLM) or `matched_stop` (SGLang), tool call deltas without index or id, arguments as an
object, `error` under a 200.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.core import Usage
from sampan.dialects import openai_errors
from sampan.dialects.message_emitter import MessageUsage, OutputDetails
from sampan.dialects.openai_errors import WireError
from sampan.dialects.translation.asked import tokens_in
from sampan.errors import TargetFault


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None

    def text(self) -> str:
        """The arguments as JSON text, or a piece of it."""
        given = self.arguments
        if given is None or isinstance(given, str):
            return given or ""
        return msgspec.json.encode(given).decode()


class ToolDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None

    @property
    def numbered(self) -> int | None:
        """The index; -1 is how vLLM's older parsers say that they have none."""
        return self.index if self.index is not None and self.index >= 0 else None


class Part(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class Delta(msgspec.Struct):
    """A piece of a message, or a whole one."""

    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolDelta] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct):
    index: int | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    matched_stop: int | str | list[int] | None = None


class InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class AnswerDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class ChatUsage(msgspec.Struct):
    """`prompt_tokens` holds the cached ones too, unlike `input_tokens`; servers that do not count say 0."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: AnswerDetails | None = None


class ChatAnswer(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    error: WireError | str | None = None
    object: str | None = None
    type: Any = None
    code: Any = None
    timings: msgspec.Raw = msgspec.Raw()  # llama.cpp alone

    def fault(self) -> TargetFault:
        """What this says as an error: below `error`, or beside `object` in vLLM's older shape."""
        return openai_errors.fault(WireError(self.type, self.code) if self.error is None else self.error)


decode = msgspec.json.Decoder(ChatAnswer).decode


class Bill(msgspec.Struct):
    """What an answer costs, as far as its server says so: what it does not say is estimated from the bytes."""

    input_estimate: int
    reported: ChatUsage | None = None
    written: int = 0

    def write(self, text: str) -> None:
        self.written += len(text) if text.isascii() else len(text.encode(errors="replace"))

    @property
    def input_tokens(self) -> int:
        return (self.reported.prompt_tokens if self.reported else None) or self.input_estimate

    @property
    def output_tokens(self) -> int:
        said = self.reported.completion_tokens if self.reported else None
        return said or (tokens_in(self.written) if self.written else said or 0)

    def usage(self) -> Usage:
        return Usage(self.input_tokens, self.output_tokens)

    def message_usage(self, *, beginning: bool = False) -> MessageUsage:
        """As a Message says it; at the beginning one token is written, as Anthropic has it."""
        reported = self.reported or ChatUsage()
        inputs, outputs = reported.prompt_tokens_details, reported.completion_tokens_details
        cached = min((inputs.cached_tokens if inputs else None) or 0, self.input_tokens)
        thought = outputs.reasoning_tokens if outputs else None
        return MessageUsage(
            input_tokens=self.input_tokens - cached,
            output_tokens=1 if beginning else self.output_tokens,
            cache_creation_input_tokens=0,
            cache_read_input_tokens=cached,
            output_tokens_details=OutputDetails(thought) if thought and not beginning else None,
        )
