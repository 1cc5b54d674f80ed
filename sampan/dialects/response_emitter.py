"""Writes a Responses event stream that cannot be out of order: what is legal when stands in a table, all else raises.

    created → in_progress → (item added → its parts, each added → deltas → done → item done)* → completed
                                                                                              | incomplete | failed

Order and fields: the event types of the official SDK (`openai.types.responses`) and its accumulator
(`openai.lib.streaming.responses`), which raises for an item or a part that was not added before its deltas.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Any

import msgspec


class State(StrEnum):
    """Where a stream stands: which item and which part are open. (Text: a plain `Enum` is hashed in Python.)"""

    NEW = auto()
    IDLE = auto()
    MESSAGE = auto()
    TEXT = auto()
    REFUSAL = auto()
    CALL = auto()
    REASONING = auto()
    SUMMARY = auto()
    ENDED = auto()


class Move(StrEnum):
    """What may be said next."""

    CREATE = auto()
    OPEN_MESSAGE = auto()
    OPEN_TEXT = auto()
    TEXT = auto()
    OPEN_REFUSAL = auto()
    REFUSE = auto()
    OPEN_CALL = auto()
    ARGUE = auto()
    OPEN_REASONING = auto()
    OPEN_SUMMARY = auto()
    SUMMARIZE = auto()
    CLOSE_PART = auto()
    CLOSE_ITEM = auto()
    END = auto()
    FAIL = auto()


_OPEN = (State.IDLE, State.MESSAGE, State.TEXT, State.REFUSAL, State.CALL, State.REASONING, State.SUMMARY)

TRANSITIONS: Mapping[tuple[State, Move], State] = {
    (State.NEW, Move.CREATE): State.IDLE,
    (State.IDLE, Move.OPEN_MESSAGE): State.MESSAGE,
    (State.MESSAGE, Move.OPEN_TEXT): State.TEXT,
    (State.TEXT, Move.TEXT): State.TEXT,
    (State.TEXT, Move.CLOSE_PART): State.MESSAGE,
    (State.MESSAGE, Move.OPEN_REFUSAL): State.REFUSAL,
    (State.REFUSAL, Move.REFUSE): State.REFUSAL,
    (State.REFUSAL, Move.CLOSE_PART): State.MESSAGE,
    (State.MESSAGE, Move.CLOSE_ITEM): State.IDLE,
    (State.IDLE, Move.OPEN_CALL): State.CALL,
    (State.CALL, Move.ARGUE): State.CALL,
    (State.CALL, Move.CLOSE_ITEM): State.IDLE,
    (State.IDLE, Move.OPEN_REASONING): State.REASONING,
    (State.REASONING, Move.OPEN_SUMMARY): State.SUMMARY,
    (State.SUMMARY, Move.SUMMARIZE): State.SUMMARY,
    (State.SUMMARY, Move.CLOSE_PART): State.REASONING,
    (State.REASONING, Move.CLOSE_ITEM): State.IDLE,
    (State.IDLE, Move.END): State.ENDED,
    **{(state, Move.FAIL): State.ENDED for state in _OPEN},
}


class IllegalMove(RuntimeError):
    """A mistake of ours: an event was to be written where the wire has no place for it."""


class _TextDelta(msgspec.Struct, tag_field="type", tag="response.output_text.delta"):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: tuple[()] = ()


class _RefusalDelta(msgspec.Struct, tag_field="type", tag="response.refusal.delta"):
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str


class _ArgumentsDelta(msgspec.Struct, tag_field="type", tag="response.function_call_arguments.delta"):
    sequence_number: int
    item_id: str
    output_index: int
    delta: str


class _SummaryDelta(msgspec.Struct, tag_field="type", tag="response.reasoning_summary_text.delta"):
    sequence_number: int
    item_id: str
    output_index: int
    summary_index: int
    delta: str


_encode = msgspec.json.Encoder().encode


class ResponseEmitter:
    """The events of one response, as SSE frames. `envelope` is the Response without its status, output and usage.

    Each method returns the frames of its move and raises `IllegalMove` where the table has none. Items and parts are
    numbered here; `output` is the finished items so far, `response` the whole Response once it has ended. One that is
    `silent` makes the same moves and writes no frames: for an answer of which only the whole is wanted.
    """

    def __init__(self, envelope: Mapping[str, Any], *, silent: bool = False) -> None:
        self._silent = silent
        self.state = State.NEW
        self.output: list[dict[str, Any]] = []
        self.response: bytes | None = None
        self._envelope = envelope
        self._sequence = 0
        self._item: dict[str, Any] = {}
        self._part: dict[str, Any] = {}
        self._item_id = ""
        self._index = 0
        self._pieces: list[str] = []

    def create(self) -> bytes:
        self._move(Move.CREATE)
        if self._silent:
            return b""
        begun = msgspec.Raw(_encode(self._response("in_progress", {})))
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def open_message(self, item_id: str) -> bytes:
        self._move(Move.OPEN_MESSAGE)
        return self._add(
            {"type": "message", "id": item_id, "status": "in_progress", "role": "assistant", "content": []}
        )

    def open_text(self) -> bytes:
        self._move(Move.OPEN_TEXT)
        return self._add_part({"type": "output_text", "text": "", "annotations": [], "logprobs": []})

    def text(self, delta: str) -> bytes:
        self._move(Move.TEXT)
        self._pieces.append(delta)
        return self._delta(_TextDelta(self._sequence, self._item_id, len(self.output), self._index, delta))

    def open_refusal(self) -> bytes:
        self._move(Move.OPEN_REFUSAL)
        return self._add_part({"type": "refusal", "refusal": ""})

    def refuse(self, delta: str) -> bytes:
        self._move(Move.REFUSE)
        self._pieces.append(delta)
        return self._delta(_RefusalDelta(self._sequence, self._item_id, len(self.output), self._index, delta))

    def open_call(self, item_id: str, call_id: str, name: str) -> bytes:
        self._move(Move.OPEN_CALL)
        self._pieces = []
        item = {"type": "function_call", "id": item_id, "status": "in_progress", "arguments": ""}
        return self._add({**item, "call_id": call_id, "name": name})

    def argue(self, delta: str) -> bytes:
        """A piece of a call's arguments, which are JSON text."""
        self._move(Move.ARGUE)
        self._pieces.append(delta)
        return self._delta(_ArgumentsDelta(self._sequence, self._item_id, len(self.output), delta))

    def open_reasoning(self, item_id: str) -> bytes:
        self._move(Move.OPEN_REASONING)
        return self._add({"type": "reasoning", "id": item_id, "summary": [], "encrypted_content": None})

    def open_summary(self) -> bytes:
        self._move(Move.OPEN_SUMMARY)
        return self._add_part({"type": "summary_text", "text": ""})

    def summarize(self, delta: str) -> bytes:
        self._move(Move.SUMMARIZE)
        self._pieces.append(delta)
        return self._delta(_SummaryDelta(self._sequence, self._item_id, len(self.output), self._index, delta))

    def close_part(self) -> bytes:
        """Ends the open text, refusal or summary: its whole text is said once more."""
        before = self.state
        self._move(Move.CLOSE_PART)
        whole = "".join(self._pieces)
        if before is State.SUMMARY:
            part = {**self._part, "text": whole}
            self._item = {**self._item, "summary": [*self._item["summary"], part]}
            if self._silent:
                return b""
            place = self._place(summary_index=self._index)
            said = self._event("response.reasoning_summary_text.done", **place, text=whole)
            return said + self._event("response.reasoning_summary_part.done", **place, part=part)
        name = "text" if before is State.TEXT else "refusal"
        part = {**self._part, name: whole}
        self._item = {**self._item, "content": [*self._item["content"], part]}
        if self._silent:
            return b""
        place = self._place(content_index=self._index)
        if before is State.TEXT:
            said = self._event("response.output_text.done", **place, text=whole, logprobs=[])
        else:
            said = self._event("response.refusal.done", **place, refusal=whole)
        return said + self._event("response.content_part.done", **place, part=part)

    def close_item(self, status: str = "completed", encrypted_content: str | None = None) -> bytes:
        """Ends the open item. `encrypted_content` is a reasoning item's; a message or a call has the `status`."""
        before = self.state
        self._move(Move.CLOSE_ITEM)
        frames = b""
        changes: dict[str, Any] = {"status": status}
        if before is State.REASONING:
            changes = {"encrypted_content": encrypted_content}
        elif before is State.CALL:
            arguments = changes["arguments"] = "".join(self._pieces)
            if not self._silent:
                said = {**self._place(), "name": self._item["name"], "arguments": arguments}
                frames = self._event("response.function_call_arguments.done", **said)
        item = {**self._item, **changes}
        if not self._silent:
            frames += self._event("response.output_item.done", output_index=len(self.output), item=item)
        self.output.append(item)
        return frames

    def end(self, changes: Mapping[str, Any], reason: str | None = None) -> bytes:
        """The last event. `changes` is what is known only now (usage, times); `reason` is why it is incomplete."""
        self._move(Move.END)
        status = "incomplete" if reason else "completed"
        details = {"incomplete_details": {"reason": reason}} if reason else {}
        self.response = _encode(self._response(status, {**changes, **details}))
        if self._silent:
            return b""
        return self._event(f"response.{status}", response=msgspec.Raw(self.response))

    def fail(self, code: str, message: str) -> bytes:
        """The last event of an answer that broke; `code` is one of the SDK's `ResponseError` codes."""
        self._move(Move.FAIL)
        self.response = _encode(self._response("failed", {"error": {"code": code, "message": message}}))
        return self._event("response.failed", response=msgspec.Raw(self.response))

    def _move(self, move: Move) -> None:
        after = TRANSITIONS.get((self.state, move))
        if after is None:
            raise IllegalMove(f"{move.name} in {self.state.name}")
        self.state = after

    def _response(self, status: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._envelope, "status": status, "output": self.output, **changes}

    def _place(self, **indices: int) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": len(self.output), **indices}

    def _add(self, item: dict[str, Any]) -> bytes:
        self._item, self._item_id = item, item["id"]
        if self._silent:
            return b""
        return self._event("response.output_item.added", output_index=len(self.output), item=item)

    def _add_part(self, part: dict[str, Any]) -> bytes:
        self._part = part
        self._pieces = []
        if self.state is State.SUMMARY:
            self._index = len(self._item["summary"])
            if self._silent:
                return b""
            return self._event(
                "response.reasoning_summary_part.added", **self._place(summary_index=self._index), part=part
            )
        self._index = len(self._item["content"])
        if self._silent:
            return b""
        return self._event("response.content_part.added", **self._place(content_index=self._index), part=part)

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        if self._silent:
            return b""
        data = _encode({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _delta(self, event: _TextDelta | _RefusalDelta | _ArgumentsDelta | _SummaryDelta) -> bytes:
        if self._silent:
            return b""
        self._sequence += 1
        return b"%b%b\n\n" % (_HEADS[type(event)], _encode(event))


_HEADS = {
    kind: f"event: {kind.__struct_config__.tag}\ndata: ".encode()
    for kind in (_TextDelta, _RefusalDelta, _ArgumentsDelta, _SummaryDelta)
}
