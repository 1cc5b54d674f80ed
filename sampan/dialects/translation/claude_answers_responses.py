"""Messages answers as answers of the Responses wire, whole and streamed.

| Messages | Responses |
|---|---|
| `text` block | part `output_text` of a `message` item; neighbouring text blocks share the item |
| `tool_use` block | `function_call` item; `call_id` is the block's id, `arguments` its input as JSON text |
| `thinking` block | `reasoning` item: the text as one `summary_text`, text and signature in `encrypted_content` |
| `redacted_thinking` block | `reasoning` item without a summary, its data in `encrypted_content` |
| `end_turn`, `stop_sequence`, `tool_use` | `status` `completed` |
| `max_tokens`, `model_context_window_exceeded` | `incomplete`, reason `max_output_tokens`; so is the last item |
| `refusal` | `incomplete`, reason `content_filter`; an explanation becomes a `refusal` part |
| `usage` | `usage`: cached tokens are input here, thinking tokens are `reasoning_tokens` |
| `ping` | a comment: this wire has no such event |
| citations | left out: no Responses request can ask for them in Messages' way |

Blocks of Anthropic's own tools, `pause_turn` and unknown stop reasons are faults of the upstream: none was asked for.
A whole answer is translated by the same moves as a streamed one, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum, auto
from typing import Any

import msgspec

from sampan.core import Fault, Usage
from sampan.dialects import Seen, sse
from sampan.dialects.anthropic import ERROR_FAULTS
from sampan.dialects.fields import UNREADABLE, invalid, read_answer
from sampan.dialects.response_emitter import ResponseEmitter, State
from sampan.dialects.translation.claude_answer import Block, Counted, Delta, Details, Failure
from sampan.dialects.translation.responses_ask_claude import sealed
from sampan.dialects.translation.terms import ANSWER_TOKENS
from sampan.errors import TargetFault

INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
}
COMPLETE = frozenset(("end_turn", "stop_sequence", "tool_use"))

ERROR_CODES = {Fault.RATE_LIMITED: "rate_limit_exceeded"}

_NULL = msgspec.Raw(b"null")


class _Echo(msgspec.Struct):
    """The fields of a request that its response repeats."""

    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    reasoning: dict[str, Any] | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    temperature: float | None = None
    text: dict[str, Any] | None = None
    tool_choice: msgspec.Raw = msgspec.Raw(b'"auto"')
    tools: msgspec.Raw = msgspec.Raw(b"[]")
    top_p: float | None = None
    user: str | None = None


class _Start(msgspec.Struct):
    usage: Counted | None = None


class _Frame(msgspec.Struct):
    type: str
    index: int | None = None
    message: _Start | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Counted | None = None
    error: Failure | None = None


class _Message(msgspec.Struct):
    type: str = ""
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_details: Details | None = None
    usage: Counted | None = None
    error: Failure | None = None


_echo = msgspec.json.Decoder(_Echo)
_frame = msgspec.json.Decoder(_Frame)
_message = msgspec.json.Decoder(_Message)


def envelope(body: bytes, response_id: str, created: float, model: str) -> dict[str, Any]:
    """What a Response says of its request `body`: everything but status, output and usage.

    `created` is in Unix seconds, `model` what the caller named. What we do not do is told as it is: `truncation` is
    `disabled` and `service_tier` `default` whatever was asked. Raises `InvalidRequest`.
    """
    try:
        asked = _echo.decode(body)
    except UNREADABLE as error:
        raise invalid(error) from None
    reasoning, text = asked.reasoning or {}, asked.text or {}
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(created),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens or ANSWER_TOKENS,
        "max_tool_calls": asked.max_tool_calls,
        "model": model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "prompt_cache_key": asked.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": asked.safety_identifier,
        "service_tier": "default",
        "store": asked.store is not False,
        "temperature": asked.temperature,
        "text": {"format": text.get("format") or {"type": "text"}},
        "tool_choice": "auto" if asked.tool_choice == _NULL else asked.tool_choice,
        "tools": [] if asked.tools == _NULL else asked.tools,
        "top_logprobs": 0,
        "top_p": asked.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": asked.user,
        "metadata": asked.metadata or {},
    }


class _Meter:
    """What an answer cost, put together from the pieces that its events tell."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._told = Counted()

    def add(self, usage: Counted | None) -> None:
        """Later words replace earlier ones, silence replaces nothing (and so does a zero: some servers end with it)."""
        if usage is None:
            return
        before = self._told
        told = self._told = Counted(
            usage.input_tokens or before.input_tokens,
            usage.output_tokens or before.output_tokens,
            usage.cache_creation_input_tokens or before.cache_creation_input_tokens,
            usage.cache_read_input_tokens or before.cache_read_input_tokens,
            usage.output_tokens_details or before.output_tokens_details,
        )
        read = (told.input_tokens, told.cache_creation_input_tokens, told.cache_read_input_tokens)
        self.usage = Usage(sum(each or 0 for each in read), told.output_tokens or 0)

    def said(self) -> dict[str, Any]:
        """As the `usage` of a Response."""
        usage, told = self.usage, self._told
        thought = told.output_tokens_details.thinking_tokens if told.output_tokens_details else None
        return {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {
                "cache_write_tokens": told.cache_creation_input_tokens or 0,
                "cached_tokens": told.cache_read_input_tokens or 0,
            },
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": thought or 0},
            "total_tokens": usage.input_tokens + usage.output_tokens,
        }


class _Writer:
    """Turns blocks into the moves of an emitter.

    A message stays open after its text, for the next block may be text too, and so does the last item of any kind:
    whether it is complete is known only with the stop reason.
    """

    def __init__(self, told: dict[str, Any], clock: Callable[[], float] | None, *, silent: bool = False) -> None:
        self.emitter = ResponseEmitter(told, silent=silent)
        self.meter = _Meter()
        self._stem = str(told["id"]).removeprefix("resp_")
        self._created = told["created_at"]
        self._clock = clock
        self._kind = ""
        self._said_input = False
        self._input = b""
        self._thoughts: list[str] = []
        self._signature: str | None = None

    def open(self, block: Block) -> bytes:
        """A block begins. Raises `TargetFault` for a kind that this wire has no item for."""
        self._kind = kind = block.type
        out = b""
        if kind == "text":
            if self.emitter.state is not State.MESSAGE:
                out = self.settle() + self.emitter.open_message(self._id("msg"))
            out += self.emitter.open_text()
            return out + self.emitter.text(block.text) if block.text else out
        out = self.settle()
        if kind == "tool_use":
            if not block.id or not block.name:
                raise TargetFault(Fault.MALFORMED, "a tool_use without an id or a name")
            self._said_input = False
            self._input = b"{}" if block.input == _NULL else bytes(block.input)
            return out + self.emitter.open_call(self._id("fc"), block.id, block.name)
        if kind == "thinking":
            self._thoughts, self._signature = [], block.signature or None
            out += self.emitter.open_reasoning(self._id("rs"))
            return out + self._think(block.thinking)
        if kind == "redacted_thinking":
            self._thoughts, self._signature = [], None
            seal = sealed("", "", block.data or "") if block.data else None
            return out + self.emitter.open_reasoning(self._id("rs")) + self.emitter.close_item("completed", seal)
        raise TargetFault(Fault.MALFORMED, "a content block that the Responses wire has no item for")

    def add(self, delta: Delta) -> bytes:
        """A piece of the open block. Raises `TargetFault` for a piece of another kind of block."""
        kind = delta.type
        if kind == "text_delta" and self._kind == "text":
            return self.emitter.text(delta.text) if delta.text else b""
        if kind == "input_json_delta" and self._kind == "tool_use":
            if not delta.partial_json:
                return b""
            self._said_input = True
            return self.emitter.argue(delta.partial_json)
        if kind == "thinking_delta" and self._kind == "thinking":
            return self._think(delta.thinking)
        if kind == "signature_delta" and self._kind == "thinking":
            self._signature = delta.signature or self._signature
            return b""
        if kind == "citations_delta" and self._kind == "text":
            return b""
        raise TargetFault(Fault.MALFORMED, "a delta of another kind than its block")

    def close(self) -> bytes:
        """A block ends; its item stays open until it is known what follows."""
        if self._kind == "text":
            return self.emitter.close_part()
        if self._kind == "tool_use" and not self._said_input:
            return self.emitter.argue(self._input.decode())  # some servers say it all when the block begins
        if self._kind == "thinking" and self.emitter.state is State.SUMMARY:
            return self.emitter.close_part()
        return b""

    def settle(self, status: str = "completed") -> bytes:
        """Ends the item that is open, if there is one."""
        if self.emitter.state is State.IDLE:
            return b""
        seal = None
        if self.emitter.state is State.REASONING and self._signature:
            seal = sealed("".join(self._thoughts), self._signature)
        return self.emitter.close_item(status, seal)

    def end(self, reason: str | None, details: Details | None) -> bytes:
        """The answer ends. Raises `TargetFault` for a stop reason that an answer to our request cannot have."""
        why = INCOMPLETE.get(reason or "")
        if why is None and reason not in COMPLETE:
            raise TargetFault(Fault.MALFORMED, "an answer without a stop reason that can be told")
        out = b""
        if reason == "refusal" and details is not None and details.explanation:
            if self.emitter.state is not State.MESSAGE:
                out = self.settle("incomplete") + self.emitter.open_message(self._id("msg"))
            out += self.emitter.open_refusal() + self.emitter.refuse(details.explanation) + self.emitter.close_part()
        out += self.settle("incomplete" if why else "completed")
        changes: dict[str, Any] = {"usage": self.meter.said()}
        if why is None:
            changes["completed_at"] = int(self._clock()) if self._clock else self._created
        return out + self.emitter.end(changes, why)

    def _think(self, text: str) -> bytes:
        if not text:
            return b""
        self._thoughts.append(text)
        out = self.emitter.open_summary() if self.emitter.state is State.REASONING else b""
        return out + self.emitter.summarize(text)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._stem}{len(self.emitter.output):04x}"


def whole(body: bytes, told: dict[str, Any], clock: Callable[[], float] | None = None) -> tuple[bytes, Usage]:
    """A Message as a Response, and what it cost. `told` is from `envelope`; `clock` says when it was completed.

    Raises `TargetFault` for what is no Message.
    """
    message = read_answer(body, _message.decode, "answer of this API")
    if message.error is not None and message.type == "error":
        raise TargetFault(ERROR_FAULTS.get(message.error.type, Fault.SERVER_ERROR), "an error with status 200")
    if message.type != "message" or message.content is None:
        raise TargetFault(Fault.MALFORMED, "a 200 that is no Message")
    writer = _Writer(told, clock, silent=True)
    writer.meter.add(message.usage)
    writer.emitter.create()
    for block in message.content:
        writer.open(block)
        writer.close()
    writer.end(message.stop_reason, message.stop_details)
    return writer.emitter.response or b"", writer.meter.usage


class _Stage(StrEnum):
    """Where a Messages stream stands."""

    BEFORE = auto()
    BETWEEN = auto()
    INSIDE = auto()
    CLOSING = auto()
    ENDED = auto()


_ORDER = {
    (_Stage.BEFORE, "message_start"): _Stage.BETWEEN,
    (_Stage.BETWEEN, "content_block_start"): _Stage.INSIDE,
    (_Stage.INSIDE, "content_block_delta"): _Stage.INSIDE,
    (_Stage.INSIDE, "content_block_stop"): _Stage.BETWEEN,
    (_Stage.BETWEEN, "message_delta"): _Stage.CLOSING,
    (_Stage.CLOSING, "message_delta"): _Stage.CLOSING,
    (_Stage.CLOSING, "message_stop"): _Stage.ENDED,
}
_KNOWN = frozenset(kind for _, kind in _ORDER)


class MessagesToResponses:
    """Follows a Messages stream and says the same as Responses events (a `Watch` whose `Seen.data` is theirs).

    `told` is from `envelope`; `clock` (Unix seconds) says when the answer was completed. Raises `TargetFault` for an
    error event, a frame that cannot be read and any order that the Messages wire does not allow.
    """

    def __init__(self, told: dict[str, Any], clock: Callable[[], float] | None = None) -> None:
        self._writer = _Writer(told, clock)
        self._stage = _Stage.BEFORE
        self._blocks = 0
        self._stop: str | None = None
        self._details: Details | None = None

    @property
    def finished(self) -> bool:
        return self._stage is _Stage.ENDED

    @property
    def response(self) -> bytes | None:
        """The whole Response, to be stored, once the stream has ended."""
        return self._writer.emitter.response

    def feed(self, frames: bytes) -> Seen:
        content = False
        out = []
        for data in sse.payloads(frames):
            try:
                frame = _frame.decode(data)
            except UNREADABLE:
                raise TargetFault(Fault.MALFORMED, "a stream frame that is no event") from None
            if frame.type == "content_block_delta":
                content = True
            out.append(self._follow(frame))
        said = out[0] if len(out) == 1 else b"".join(out)
        return Seen(content, self._stage is _Stage.ENDED, self._writer.meter.usage, said)

    def fail(self, fault: Fault, message: str) -> bytes:
        """`response.failed` for an answer that broke after its first event; nothing where it has ended or not begun."""
        if self._stage is _Stage.BEFORE or self._writer.emitter.state in (State.NEW, State.ENDED):
            return b""
        return self._writer.emitter.fail(ERROR_CODES.get(fault, "server_error"), message)

    def _follow(self, frame: _Frame) -> bytes:
        kind = frame.type
        after = _ORDER.get((self._stage, kind))
        if after is _Stage.INSIDE:
            self._stage = after
            return self._block(frame)
        if kind == "error":
            name = frame.error.type if frame.error else ""
            raise TargetFault(ERROR_FAULTS.get(name, Fault.SERVER_ERROR), f"the stream says {name or 'error'}")
        if kind not in _KNOWN:
            if self._stage is _Stage.BEFORE and kind != "ping":
                raise TargetFault(Fault.MALFORMED, "a stream that does not begin with message_start")
            return sse.comment("ping") if kind == "ping" else b""  # new events may be added and are to be ignored
        if after is None:
            raise TargetFault(Fault.MALFORMED, f"{kind} out of order")
        self._stage = after
        if kind == "content_block_stop":
            return self._block(frame)
        if kind == "message_start":
            self._writer.meter.add(frame.message.usage if frame.message else None)
            return self._writer.emitter.create()
        if kind == "message_delta":
            self._writer.meter.add(frame.usage)
            if frame.delta is not None:
                self._stop = frame.delta.stop_reason or self._stop
                self._details = frame.delta.stop_details or self._details
            return b""
        return self._writer.end(self._stop, self._details)

    def _block(self, frame: _Frame) -> bytes:
        if frame.index != self._blocks:
            raise TargetFault(Fault.MALFORMED, "a content block with another index than its turn")
        if frame.type == "content_block_delta":
            if frame.delta is None:
                raise TargetFault(Fault.MALFORMED, "a content block delta without a delta")
            return self._writer.add(frame.delta)
        if frame.type == "content_block_stop":
            self._blocks += 1
            return self._writer.close()
        if frame.content_block is None:
            raise TargetFault(Fault.MALFORMED, "a content block start without a block")
        return self._writer.open(frame.content_block)
