"""Going on with an answer that broke: what its caller has read, how the next is asked, how both are joined. No I/O.

The *seam* is where one stream ended and the other goes on. Rules, by what was open when the first one broke:

| open, or last | what happens |
|---|---|
| text | the next target goes on in the same block, the text so far being its prefill |
| thinking | the block is closed; the next target begins to think, or to speak, in a block of its own |
| nothing, after text | as text, in a new block |
| a tool call | no target can go on inside of it: the caller gets an error event |
| nothing, after a whole tool call | the answer ends there, with `tool_use`: what was called is known |
| the end was said (`message_delta`, `finish_reason`) | the answer is whole: only its last frame is made |

A target continues by *prefill* (the text so far is its own last turn), or, where its server would begin a new answer,
it is *asked* to go on by a turn of the user's; then words that it says twice are taken out at the seam. Blanks at the
end of a prefill are refused by some wires: they are left out, and taken out of the continuation where it repeats them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from sampan.core import Dialect, Fault, Usage
from sampan.dialects import sse
from sampan.dialects.handover_responses import BROKEN, ResponsesSeam
from sampan.dialects.overlap import Overlap
from sampan.dialects.translation.asked import tokens_in
from sampan.errors import TargetFault

GO_ON = (
    "Your answer was cut off by a broken connection. Go on exactly where it stopped, with the very next character. "
    "Repeat nothing and comment on nothing. 你的回答因连接中断而断开,请从断开处的下一个字接着写,不要重复,不要说明。"
)
OPT_IN = "server-side-fallback-"  # the published beta whose clients know the `fallback` block

_decode = msgspec.json.decode
_encode = msgspec.json.encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Seam(Protocol):
    """An answer that broke, and how it goes on."""

    @property
    def text(self) -> str:
        """The prefill: what the caller has read, without blanks at its end."""
        ...

    @property
    def whole(self) -> bool:
        """Whether nothing is missing but the end."""
        ...

    @property
    def usage(self) -> Usage:
        """What the first part cost, as far as is known: output is estimated from its length."""
        ...

    def end(self) -> bytes:
        """The last frames of a `whole` answer."""
        ...

    def join(self, frames: bytes) -> bytes:
        """The frames of the next target as they go on to the caller. Raises `TargetFault` for what cannot be read."""
        ...


def seam(dialect: Dialect, said: Sequence[bytes], *, asked: bool, models: tuple[str, str] | None = None) -> Seam | None:
    """Reads what was `said`: frames as the caller got them. None where no target could go on from there.

    `asked`: the next target is asked to go on, so that it may repeat itself. `models`: announce the change from one to
    the other by a `fallback` block, for a caller that knows it.
    """
    frames = b"".join(said)
    try:
        if dialect is Dialect.ANTHROPIC:
            return MessagesSeam.read(frames, asked=asked, models=models)
        if dialect is Dialect.OPENAI_CHAT:
            return ChatSeam.read(frames, asked=asked)
        if dialect is Dialect.OPENAI_RESPONSES:
            return ResponsesSeam.read(frames, asked=asked)
    except BROKEN:
        return None
    return None


@dataclass
class _Block:
    kind: str
    closed: bool = False
    text: list[str] = field(default_factory=list)


class MessagesSeam:
    """The seam of a Messages stream: one message, its block indices in one row."""

    def __init__(
        self, blocks: Sequence[_Block], usage: Usage, *, stopped: bool, asked: bool, models: tuple[str, str] | None
    ) -> None:
        text = "".join(part for block in blocks if block.kind == "text" for part in block.text)
        self.text = text.rstrip()
        self.usage = usage
        self._stopped = stopped
        self._called = any(block.kind == "tool_use" for block in blocks)
        self._index = len(blocks) - 1
        self._open = bool(blocks) and not blocks[-1].closed
        self._speaking = self._open and blocks[-1].kind == "text"
        self._models = models
        self._places: dict[int, int] = {}
        self._overlap = Overlap(text, text[len(self.text) :], asked=asked)
        self._first_text: int | None = None

    @classmethod
    def read(cls, frames: bytes, *, asked: bool, models: tuple[str, str] | None) -> MessagesSeam | None:
        blocks: list[_Block] = []
        known = Usage()
        stopped = False
        length = 0
        for data in sse.payloads(frames):
            event = _decode(data)
            kind = event["type"]
            if kind == "message_start":
                told = event["message"].get("usage") or {}
                known = Usage(told.get("input_tokens") or 0, told.get("output_tokens") or 0)
            elif kind == "content_block_start":
                blocks.append(_Block(event["content_block"]["type"]))
                length += _add(blocks[-1], event["content_block"].get("text") or "")
            elif kind == "content_block_delta":
                delta = event["delta"]
                length += _add(blocks[event["index"]], delta.get("text") or "")
                length += len(delta.get("thinking") or delta.get("partial_json") or "")
            elif kind == "content_block_stop":
                blocks[event["index"]].closed = True
            elif kind == "message_delta":
                stopped = True
        usage = Usage(known.input_tokens, max(known.output_tokens, tokens_in(length)))
        last = blocks[-1] if blocks else None
        if not stopped and last is not None and not last.closed and last.kind not in ("text", "thinking"):
            return None
        return cls(blocks, usage, stopped=stopped, asked=asked, models=models)

    @property
    def whole(self) -> bool:
        return self._stopped or self._called

    def end(self) -> bytes:
        out = [self._close()]
        if not self._stopped:
            delta = {"stop_reason": "tool_use", "stop_sequence": None}
            out.append(_event("message_delta", delta=delta, usage={"output_tokens": self.usage.output_tokens}))
        out.append(_event("message_stop"))
        return b"".join(out)

    def join(self, frames: bytes) -> bytes:
        try:
            return b"".join([self._go_on(_decode(data)) for data in sse.payloads(frames)])
        except BROKEN:
            raise TargetFault(Fault.MALFORMED, "a stream that cannot be joined") from None

    def _go_on(self, event: dict[str, Any]) -> bytes:
        kind = event.pop("type")
        if kind == "message_start":
            return self._announce()
        if kind == "content_block_start":
            return self._begin(event)
        if kind == "content_block_delta":
            return self._delta(event)
        if kind == "content_block_stop":
            return self._rest(event["index"]) + self._close()
        if kind == "message_delta":
            usage = event.get("usage")
            if isinstance(usage, dict) and isinstance(usage.get("output_tokens"), int):
                usage["output_tokens"] += self.usage.output_tokens
        return _event(kind, **event)

    def _announce(self) -> bytes:
        if self._models is None:
            return b""
        out = self._close()
        self._speaking = False
        self._index += 1
        before, after = self._models
        block = {"type": "fallback", "from": {"model": before}, "to": {"model": after}, "trigger": {"type": "outage"}}
        start = _event("content_block_start", index=self._index, content_block=block)
        return out + start + _event("content_block_stop", index=self._index)

    def _begin(self, event: dict[str, Any]) -> bytes:
        theirs, block = event["index"], event["content_block"]
        is_text = block.get("type") == "text"
        if is_text and self._first_text is None:
            self._first_text = theirs
            if self._speaking and self._open:
                self._places[theirs] = self._index
                return self._say(theirs, block.get("text") or "")
        out = self._close()
        self._index += 1
        self._places[theirs] = self._index
        self._open = True
        return out + _event("content_block_start", index=self._index, content_block=block)

    def _delta(self, event: dict[str, Any]) -> bytes:
        theirs, delta = event["index"], event["delta"]
        if delta.get("type") == "text_delta" and theirs == self._first_text:
            return self._say(theirs, delta["text"])
        return _event("content_block_delta", **{**event, "index": self._places[theirs]})

    def _say(self, theirs: int, text: str) -> bytes:
        new = self._overlap.take(text)
        return self._text(theirs, new)

    def _rest(self, theirs: int) -> bytes:
        return self._text(theirs, self._overlap.rest()) if theirs == self._first_text else b""

    def _text(self, theirs: int, text: str) -> bytes:
        if not text:
            return b""
        delta = {"type": "text_delta", "text": text}
        return _event("content_block_delta", index=self._places[theirs], delta=delta)

    def _close(self) -> bytes:
        if not self._open:
            return b""
        self._open = False
        return _event("content_block_stop", index=self._index)


class ChatSeam:
    """The seam of a chat stream: one completion, with the first one's id."""

    def __init__(self, text: str, usage: Usage, chunk: dict[str, Any], *, finished: bool, asked: bool) -> None:
        self.text = text.rstrip()
        self.usage = usage
        self.whole = finished
        self._constant = {name: chunk[name] for name in ("id", "created", "model") if name in chunk}
        self._overlap = Overlap(text, text[len(self.text) :], asked=asked)

    @classmethod
    def read(cls, frames: bytes, *, asked: bool) -> ChatSeam | None:
        text: list[str] = []
        first: dict[str, Any] = {}
        finished = False
        length = 0
        for data in sse.payloads(frames):
            if data.strip() == b"[DONE]":
                continue
            chunk = _decode(data)
            first = first or chunk
            for choice in chunk.get("choices") or ():
                delta = choice.get("delta") or {}
                if choice.get("index") or delta.get("function_call"):
                    return None  # several answers in one stream, or a call
                finished = finished or bool(choice.get("finish_reason"))
                if delta.get("tool_calls") and not finished:
                    length = -1
                if length >= 0:
                    text.append(delta.get("content") or "")
                    length += len(text[-1]) + len(delta.get("reasoning_content") or "")
        if length < 0 and not finished:
            return None
        said = "".join(text)
        return cls(said, Usage(0, tokens_in(max(length, 0))), first, finished=finished, asked=asked)

    def end(self) -> bytes:
        return sse.frame(b"[DONE]")

    def join(self, frames: bytes) -> bytes:
        try:
            return b"".join([self._go_on(data) for data in sse.payloads(frames)])
        except BROKEN:
            raise TargetFault(Fault.MALFORMED, "a stream that cannot be joined") from None

    def _go_on(self, data: bytes) -> bytes:
        if data.strip() == b"[DONE]":
            return sse.frame(b"[DONE]")
        chunk = _decode(data) | self._constant
        choices = chunk.get("choices") or []
        for choice in choices:
            delta = choice.get("delta") or {}
            delta.pop("role", None)
            content = delta.get("content")
            ends = bool(choice.get("finish_reason"))
            if isinstance(content, str) or ends:
                content = self._overlap.take(content or "") + (self._overlap.rest() if ends else "")
                delta["content"] = content
            if not content:
                delta.pop("content", None)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            for name in ("completion_tokens", "total_tokens"):
                if isinstance(usage.get(name), int):
                    usage[name] += self.usage.output_tokens
        elif choices and all(not choice.get("delta") and not choice.get("finish_reason") for choice in choices):
            return b""  # nothing is left of it
        return sse.frame(_encode(chunk))


def _add(block: _Block, text: str) -> int:
    if text:
        block.text.append(text)
    return len(text)


def _event(kind: str, **members: Any) -> bytes:
    return sse.frame(_encode({"type": kind, **members}), kind)


# How the next target is asked.


def continued(messages: bytes, text: str, *, asked: bool) -> bytes:
    """A Messages request whose answer goes on from `text`; nothing is changed where there is none.

    It does not think again, which the wire forbids with a prefill, and what was said counts against `max_tokens`.
    """
    if not text:
        return messages
    members = _members.decode(messages)
    turns = msgspec.json.decode(bytes(members["messages"]), type=list[msgspec.Raw])
    added = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
    if asked:
        added.append({"role": "user", "content": [{"type": "text", "text": GO_ON}]})
    members["messages"] = msgspec.Raw(_encode([*turns, *added]))
    members.pop("thinking", None)
    if "max_tokens" in members:
        most = msgspec.json.decode(bytes(members["max_tokens"]), type=int)
        members["max_tokens"] = msgspec.Raw(_encode(max(1, most - tokens_in(len(text.encode())))))
    return _encode(members)


def continued_chat(body: bytes, text: str, *, asked: bool, flags: bool) -> bytes:
    """The same of a chat request; `flags`: say to the server that the last turn is to be gone on with."""
    if not text:
        return body
    members = _members.decode(body)
    turns = msgspec.json.decode(bytes(members["messages"]), type=list[msgspec.Raw])
    added = [{"role": "assistant", "content": text}]
    if asked:
        added.append({"role": "user", "content": GO_ON})
    members["messages"] = msgspec.Raw(_encode([*turns, *added]))
    if flags and not asked:
        members["continue_final_message"] = msgspec.Raw(b"true")
        members["add_generation_prompt"] = msgspec.Raw(b"false")
    for name in ("max_tokens", "max_completion_tokens"):
        if name in members and bytes(members[name]) != b"null":
            most = msgspec.json.decode(bytes(members[name]), type=int)
            members[name] = msgspec.Raw(_encode(max(1, most - tokens_in(len(text.encode())))))
    return _encode(members)
