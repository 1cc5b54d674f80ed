"""Streams with their identifiers restored, in the caller's dialect: frames in, frames out. No I/O.

A text comes in pieces, and a placeholder may be cut anywhere. Each text of an answer has a `Restorer` of its own: it
holds back what may be a placeholder's beginning, and what is left of it goes out in a piece of its own before the text
ends. No frame is left out and none changes its place; a piece whose text is held back goes on empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from sampan.core import Dialect
from sampan.dialects import sse
from sampan.dialects.fields import UNREADABLE
from sampan.governance.redaction import Mask, Restorer

_decode = msgspec.json.decode
_encode = msgspec.json.encode

PIECES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
CHAT_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


class Mender(Protocol):
    """Restores one stream."""

    def feed(self, frames: bytes) -> tuple[bytes, bool]:
        """Whole frames as they go to the caller, and whether there is anything in them to read."""
        ...


def mender(dialect: Dialect, mask: Mask) -> Mender:
    """For a stream of that dialect."""
    if dialect is Dialect.ANTHROPIC:
        return MessagesMender(mask)
    if dialect is Dialect.OPENAI_CHAT:
        return ChatMender(mask)
    if dialect is Dialect.OPENAI_RESPONSES:
        return ResponsesMender(mask)
    return WholeMender(mask)


class _Frames:
    """What all menders share: frames taken apart and put together again."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._said = False

    def feed(self, frames: bytes) -> tuple[bytes, bool]:
        self._said = False
        out = b"".join([piece for frame in frames.split(b"\n\n") if frame for piece in self._frame(frame)])
        return out, self._said

    def _frame(self, frame: bytes) -> Iterable[bytes]:
        data = next(sse.payloads(frame), None)
        if data is None:
            return (frame + b"\n\n",)
        try:
            event = _decode(data)
        except UNREADABLE:
            return self._other(frame + b"\n\n")
        return self._event(event) if isinstance(event, dict) else (frame + b"\n\n",)

    def _other(self, frame: bytes) -> Iterable[bytes]:
        """A frame that is no JSON."""
        return (frame,)

    def _event(self, event: dict[str, Any]) -> Iterable[bytes]:
        raise NotImplementedError

    def _fed(self, restorer: Restorer, text: str) -> str:
        new = restorer.feed(text)
        self._said = self._said or bool(new)
        return new


class MessagesMender(_Frames):
    """A Messages stream: a text for each block."""

    def __init__(self, mask: Mask) -> None:
        super().__init__(mask)
        self._open: dict[Any, tuple[Restorer, str]] = {}

    def _event(self, event: dict[str, Any]) -> Iterable[bytes]:
        kind = event.get("type")
        delta = event.get("delta")
        if kind == "content_block_delta" and isinstance(delta, dict):
            return (self._delta(event, delta),)
        mended = self._mask.restore_value(event)
        frame = sse.frame(_encode(mended), kind if isinstance(kind, str) else None)
        if kind == "content_block_stop" and event.get("index") in self._open:
            restorer, name = self._open.pop(event["index"])
            rest = restorer.rest()
            if rest:
                self._said = True
                return (_piece(event["index"], name, rest), frame)
        return (frame,)

    def _delta(self, event: dict[str, Any], delta: dict[str, Any]) -> bytes:
        name = delta.get("type")
        member = PIECES.get(name) if isinstance(name, str) else None
        if member is None or not isinstance(name, str) or not isinstance(delta.get(member), str):
            self._said = True
            event["delta"] = self._mask.restore_value(delta)
            return sse.frame(_encode(event), "content_block_delta")
        index = event.get("index")
        if index not in self._open:
            restorer = self._mask.restorer(escape=member == "partial_json", strict=member == "thinking")
            self._open[index] = restorer, name
        delta[member] = self._fed(self._open[index][0], delta[member])
        return sse.frame(_encode(event), "content_block_delta")


def _piece(index: Any, name: str, text: str) -> bytes:
    delta = {"type": name, PIECES[name]: text}
    event = {"type": "content_block_delta", "index": index, "delta": delta}
    return sse.frame(_encode(event), "content_block_delta")


class ChatMender(_Frames):
    """A chat stream: texts for each choice, one after the other: its reasoning, what it says, what it calls."""

    def __init__(self, mask: Mask) -> None:
        super().__init__(mask)
        self._open: dict[int, tuple[tuple[Any, ...], Restorer]] = {}
        self._last: dict[str, Any] = {}

    def _other(self, frame: bytes) -> Iterable[bytes]:
        return (*self._ends(), frame)  # [DONE]

    def _event(self, event: dict[str, Any]) -> Iterable[bytes]:
        out: list[bytes] = []
        choices = event.get("choices")
        if isinstance(choices, list) and choices:
            self._last = {name: each for name, each in event.items() if name not in ("choices", "usage")}
        for choice in choices if isinstance(choices, list) else ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if not isinstance(delta, dict):
                continue
            index = choice.get("index") or 0
            for member in CHAT_TEXTS:
                if isinstance(delta.get(member), str) and delta[member]:
                    delta[member] = self._text(index, (member,), delta[member], out)
            called = delta.get("tool_calls")
            for call in called if isinstance(called, list) else ():
                self._called(index, call, out)
            if choice.get("finish_reason"):
                out += self._end(index)
        out.append(sse.frame(_encode(event)))
        return out

    def _called(self, index: int, call: Any, out: list[bytes]) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            return
        if isinstance(function.get("name"), str):
            function["name"] = self._mask.restore(function["name"])
            self._said = True
        if isinstance(function.get("arguments"), str):
            place = ("tool_calls", call.get("index") or 0)
            function["arguments"] = self._text(index, place, function["arguments"], out)

    def _text(self, index: int, place: tuple[Any, ...], text: str, out: list[bytes]) -> str:
        known = self._open.get(index)
        if known is None or known[0] != place:
            out += self._end(index)
            known = self._open[index] = (place, self._mask.restorer(escape=place[0] == "tool_calls"))
        return self._fed(known[1], text)

    def _end(self, index: int) -> Iterable[bytes]:
        """What is held of the text that a choice has been saying."""
        known = self._open.pop(index, None)
        rest = known[1].rest() if known is not None else ""
        if known is None or not rest:
            return ()
        self._said = True
        place = known[0]
        delta: dict[str, Any] = {place[0]: rest}
        if place[0] == "tool_calls":
            delta = {"tool_calls": [{"index": place[1], "function": {"arguments": rest}}]}
        choice = {"index": index, "delta": delta, "finish_reason": None}
        return (sse.frame(_encode({**self._last, "choices": [choice]})),)

    def _ends(self) -> Iterable[bytes]:
        return [frame for index in sorted(self._open) for frame in self._end(index)]


class ResponsesMender(_Frames):
    """A Responses stream: a text for each part; events are numbered anew, for there may be more of them."""

    def __init__(self, mask: Mask) -> None:
        super().__init__(mask)
        self._open: dict[tuple[Any, ...], tuple[Restorer, dict[str, Any]]] = {}
        self._number: int | None = None

    def _event(self, event: dict[str, Any]) -> Iterable[bytes]:
        kind = event.get("type")
        if not isinstance(kind, str):
            return (self._numbered(event),)
        text, _, end = kind.rpartition(".")
        place = (text, *(event.get(name) for name in ("output_index", "content_index", "summary_index")))
        if end == "delta" and isinstance(event.get("delta"), str):
            if place not in self._open:
                escape, strict = "arguments" in text, "reasoning" in text
                self._open[place] = self._mask.restorer(escape=escape, strict=strict), event
            event["delta"] = self._fed(self._open[place][0], event["delta"])
            return (self._numbered(event),)
        out = []
        if end == "done" and place in self._open:
            restorer, first = self._open.pop(place)
            if rest := restorer.rest():
                self._said = True
                out.append(self._numbered({**first, "delta": rest}))
        return (*out, self._numbered(self._mask.restore_value(event)))

    def _numbered(self, event: dict[str, Any]) -> bytes:
        number = event.get("sequence_number")
        if isinstance(number, int):
            self._number = number if self._number is None else self._number + 1
            event = {**event, "sequence_number": self._number}
        kind = event.get("type")
        return sse.frame(_encode(event), kind if isinstance(kind, str) else None)


class WholeMender:
    """A stream without texts that come in pieces: of pictures."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def feed(self, frames: bytes) -> tuple[bytes, bool]:
        if not self._mask.concerns(frames):
            return frames, True
        out = []
        for frame in frames.split(b"\n\n"):
            data = next(sse.payloads(frame), None)
            if data is None or not self._mask.concerns(data):
                out.append(frame)
                continue
            head = frame[: frame.find(b"data:")]
            out.append(head + b"data: " + self._mask.restore_body(data))
        return b"\n\n".join(out), True
