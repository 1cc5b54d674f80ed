"""What a Messages upstream answers, as chat completions: whole answers, and streams frame by frame.

    Messages                                   chat
    id `msg_…`                                 `chatcmpl-…`
    text blocks                                `content`, joined as they stand (citations have no place and go)
    thinking blocks                            `reasoning_content`; their signatures and redacted ones go
    tool_use                                   `tool_calls`, ids kept (`function_call` for who asked by `functions`)
    end_turn, stop_sequence                    finish_reason stop
    max_tokens, model_context_window_exceeded  length; and pause_turn, an answer that is not at its end either
    tool_use                                   tool_calls (function_call)
    refusal                                    content_filter, with `refusal`: the explanation, or REFUSAL
    usage.input_tokens + cache reads + writes  prompt_tokens; cached_tokens: cache reads; cache_write_tokens
    usage.output_tokens, thinking_tokens       completion_tokens, reasoning_tokens
    ping                                       an SSE comment
    error                                      a `TargetFault`

Blocks of tools that run at Anthropic go: no chat request can ask for them. A stream out of order is a `TargetFault`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.core import Fault, Usage
from sampan.dialects import Seen, anthropic, sse
from sampan.dialects.chunk_emitter import ChunkEmitter
from sampan.dialects.fields import UNREADABLE, invalid
from sampan.dialects.translation.claude_answer import Block, Counted, Delta, Details, Failure
from sampan.errors import TargetFault

REFUSAL = "The model declined to answer this request."
REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# The deltas that a block of each kind may have; a block that is not here says nothing to a chat.
DELTAS = {
    "text": frozenset({"text_delta", "citations_delta"}),
    "thinking": frozenset({"thinking_delta", "signature_delta"}),
    "tool_use": frozenset({"input_json_delta"}),
}
PING = sse.comment("ping")


class Form(msgspec.Struct, frozen=True):
    """What of a chat request shapes the form of its answer; `created` is in Unix seconds.

    `usage`: a stream is to end with it. `functions`: calls go into `function_call`, as before there were tools.
    """

    model: str
    created: int
    usage: bool = False
    functions: bool = False


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Wish(msgspec.Struct):
    stream_options: _Options | None = None
    functions: list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None


class _Message(msgspec.Struct):
    id: str = ""
    content: list[Block] = []
    stop_reason: str | None = None
    stop_details: Details | None = None
    usage: Counted | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = -1
    message: _Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Counted | None = None
    error: Failure | None = None


_wish = msgspec.json.Decoder(_Wish)
_message = msgspec.json.Decoder(_Message)
_event = msgspec.json.Decoder(_Event)


def form_of(body: bytes, model: str, created: int) -> Form:
    """How the chat request `body` wants its answer. Raises `InvalidRequest`."""
    try:
        wish = _wish.decode(body)
    except UNREADABLE as error:
        raise invalid(error) from None
    wants_usage = wish.stream_options is not None and bool(wish.stream_options.include_usage)
    return Form(model, created, usage=wants_usage, functions=bool(wish.functions) and not wish.tools)


class _Cost:
    """The usage of an answer as it becomes known; later figures are totals, not additions."""

    __slots__ = ("_fresh", "_output", "_read", "_thought", "_written")

    def __init__(self) -> None:
        self._fresh = self._read = self._written = self._output = 0
        self._thought: int | None = None

    def learn(self, usage: Counted | None) -> None:
        if usage is None:
            return
        self._fresh = self._fresh if usage.input_tokens is None else usage.input_tokens
        self._output = usage.output_tokens or self._output
        self._read = usage.cache_read_input_tokens or self._read
        self._written = usage.cache_creation_input_tokens or self._written
        details = usage.output_tokens_details
        if details is not None and details.thinking_tokens is not None:
            self._thought = details.thinking_tokens

    @property
    def usage(self) -> Usage:
        return Usage(self._fresh + self._read + self._written, self._output)

    def said(self) -> dict[str, Any]:
        """As chat says it."""
        total = self.usage
        said: dict[str, Any] = {
            "prompt_tokens": total.input_tokens,
            "completion_tokens": total.output_tokens,
            "total_tokens": total.input_tokens + total.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self._read, "cache_write_tokens": self._written},
        }
        if self._thought is not None:
            said["completion_tokens_details"] = {"reasoning_tokens": self._thought}
        return said


def _chat_id(message_id: str) -> str:
    return f"chatcmpl-{message_id.removeprefix('msg_')}"


def _refusal(details: Details | None) -> str:
    return (details.explanation if details is not None else None) or REFUSAL


def _reason(stop_reason: str, *, functions: bool) -> str:
    reason = REASONS.get(stop_reason, "stop")
    return "function_call" if functions and reason == "tool_calls" else reason


def whole(body: bytes, form: Form) -> tuple[bytes, Usage]:
    """A Message as a completion, and what it cost. Raises `TargetFault` for what is no Message."""
    anthropic.check(body)
    try:
        answer = _message.decode(body)
        calls = [_called(block) for block in answer.content if block.type == "tool_use"]
    except UNREADABLE:
        raise TargetFault(Fault.MALFORMED, "a 200 that is no Message") from None
    if answer.stop_reason is None:
        raise TargetFault(Fault.MALFORMED, "a Message without a stop reason")
    if form.functions and len(calls) > 1:
        raise TargetFault(Fault.MALFORMED, "a Message with two calls where one was allowed")
    text = "".join(block.text for block in answer.content if block.type == "text")
    thought = "".join(block.thinking for block in answer.content if block.type == "thinking")
    refused = answer.stop_reason == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text or (None if calls or refused or thought else ""),
        "refusal": _refusal(answer.stop_details) if refused else None,
    }
    if thought:
        message["reasoning_content"] = thought
    if calls and form.functions:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    reason = _reason(answer.stop_reason, functions=form.functions)
    cost = _Cost()
    cost.learn(answer.usage)
    said = {
        "id": _chat_id(answer.id),
        "object": "chat.completion",
        "created": form.created,
        "model": form.model,
        "system_fingerprint": None,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": cost.said(),
    }
    return msgspec.json.encode(said), cost.usage


def _called(block: Block) -> dict[str, Any]:
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": _arguments(block)}}


def _arguments(block: Block) -> str:
    """The input of a call that came whole; none at all is still an object."""
    text = bytes(block.input).decode()
    return text if text.startswith("{") else "{}"


def _disorder(what: str) -> TargetFault:
    return TargetFault(Fault.MALFORMED, f"a Messages stream with {what}")


class MessagesToChat:
    """Follows a Messages stream and says it as chat chunks, in `Seen.data`; success is `message_stop` alone."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._cost = _Cost()
        self._emitter: ChunkEmitter | None = None
        self._open: Block | None = None
        self._open_index = -1
        self._argued = False
        self._calls = 0
        self._said = False
        self._stop: Delta | None = None
        self.finished = False

    def feed(self, frames: bytes) -> Seen:
        out: list[bytes] = []
        self._said = False
        for data in sse.payloads(frames):
            try:
                event = _event.decode(data)
                out.append(self._follow(event))
            except UNREADABLE:
                raise TargetFault(Fault.MALFORMED, "a stream frame that is no event") from None
        return Seen(self._said, self.finished, self._cost.usage, b"".join(out))

    def _follow(self, event: _Event) -> bytes:
        kind = event.type
        if kind == "content_block_delta":  # by far the most
            return self._delta(event)
        if kind == "ping":
            return PING
        if kind == "error":
            name = event.error.type if event.error else ""
            fault = anthropic.ERROR_FAULTS.get(name, Fault.SERVER_ERROR)
            raise TargetFault(fault, f"the stream says {name or 'error'}")
        if kind == "message_start":
            return self._begin(event)
        if kind == "content_block_start":
            return self._start(event)
        if kind == "content_block_stop":
            return self._close(event)
        if kind == "message_delta":
            return self._conclude(event)
        if kind == "message_stop":
            return self._end()
        self._writer()
        return b""  # an event of next year: the wire asks its readers to pass over those

    def _writer(self) -> ChunkEmitter:
        if self._emitter is None:
            raise _disorder("something before message_start")
        if self.finished:
            raise _disorder("something after message_stop")
        return self._emitter

    def _begin(self, event: _Event) -> bytes:
        if self._emitter is not None:
            raise _disorder("a second message_start")
        if event.message is None:
            raise _disorder("a message_start without a message")
        form = self._form
        self._cost.learn(event.message.usage)
        self._emitter = ChunkEmitter(
            _chat_id(event.message.id), form.model, form.created, usage=form.usage, functions=form.functions
        )
        return self._emitter.begin()

    def _start(self, event: _Event) -> bytes:
        writer = self._writer()
        block = event.content_block
        if block is None or self._open is not None or self._stop is not None:
            raise _disorder("a block that begins inside another, or after the last")
        if event.index <= self._open_index:
            raise _disorder("a block twice")
        self._open, self._open_index = block, event.index
        if block.type == "tool_use":
            self._calls += 1
            self._argued = False
            self._said = True
            if self._form.functions and self._calls > 1:
                raise _disorder("two calls where one was allowed")
            return writer.call(block.id, block.name)
        return self._say(block.type, block.text or block.thinking)

    def _say(self, kind: str, text: str) -> bytes:
        if not text:
            return b""
        if kind == "text":
            self._said = True
            return self._writer().text(text)
        if kind == "thinking":
            self._said = True
            return self._writer().reasoning(text)
        return b""

    def _delta(self, event: _Event) -> bytes:
        writer, block, delta = self._writer(), self._open, event.delta
        if block is None or event.index != self._open_index or delta is None:
            raise _disorder("a delta of a block that is not open")
        kind = block.type
        known = DELTAS.get(kind)
        if known is None:
            return b""
        if delta.type not in known:
            raise _disorder("a delta of another kind than its block")
        if kind == "tool_use":
            if not delta.partial_json:
                return b""
            self._argued = self._said = True
            return writer.arguments(delta.partial_json)
        return self._say(kind, delta.text or delta.thinking)

    def _close(self, event: _Event) -> bytes:
        writer, block = self._writer(), self._open
        if block is None or event.index != self._open_index:
            raise _disorder("the end of a block that is not open")
        self._open = None
        if block.type != "tool_use" or self._argued:
            return b""
        return writer.arguments(_arguments(block))

    def _conclude(self, event: _Event) -> bytes:
        self._writer()
        if self._open is not None or event.delta is None:
            raise _disorder("a message_delta inside a block")
        self._cost.learn(event.usage)
        if event.delta.stop_reason is not None:
            self._stop = event.delta
        return b""

    def _end(self) -> bytes:
        writer, stop = self._writer(), self._stop
        if self._open is not None or stop is None or stop.stop_reason is None:
            raise _disorder("a message_stop before its end")
        self.finished = True
        out = b""
        if stop.stop_reason == "refusal":
            self._said = True
            out = writer.refusal(_refusal(stop.stop_details))
        reason = _reason(stop.stop_reason, functions=self._form.functions)
        return out + writer.finish(reason) + writer.end(self._cost.said())
