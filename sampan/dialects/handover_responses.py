"""The seam of a Responses stream: one response, its items, parts and events numbered in one row.

What our own `response_emitter` wrote is read, and written on: the item that was open is gone on with where it is text,
and closed where it is not. The items of the next target get ids and indices of this response, and the last event, which
holds all of it, is made of what was said by both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.core import Fault, Usage
from sampan.dialects import sse
from sampan.dialects.fields import UNREADABLE
from sampan.dialects.overlap import Overlap
from sampan.dialects.translation.asked import tokens_in
from sampan.errors import TargetFault

BROKEN = (*UNREADABLE, LookupError, TypeError, AttributeError, ValueError)  # what frames of another shape raise
_ENDS = ("response.completed", "response.incomplete")
_PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs"}

_decode = msgspec.json.decode
_encode = msgspec.json.encode


@dataclass
class _Said:
    """What the caller has read: `items` that are whole, and the one that is `open`, with the `part` that is."""

    response: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    open: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    pieces: list[str] = field(default_factory=list)
    sequence: int = -1
    length: int = 0
    text: list[str] = field(default_factory=list)

    def read(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        self.sequence = event["sequence_number"]
        if kind == "response.created":
            self.response = event["response"]
        elif kind == "response.output_item.added":
            self.open, self.part = dict(event["item"]), None
        elif kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
            self.part, self.pieces = dict(event["part"]), []
        elif kind.endswith(".delta"):
            self.pieces.append(event["delta"])
            self.length += len(event["delta"])
            if kind == "response.output_text.delta":
                self.text.append(event["delta"])
        elif kind in ("response.content_part.done", "response.reasoning_summary_part.done"):
            assert self.open is not None
            name = "content" if "content" in self.open else "summary"
            self.open[name] = [*self.open[name], event["part"]]
            self.part = None
        elif kind == "response.output_item.done":
            self.items.append(event["item"])
            self.open = None


class ResponsesSeam:
    """See the module. An answer that broke in a tool call's arguments, or in a refusal, cannot be gone on with."""

    def __init__(self, said: _Said, *, asked: bool) -> None:
        text = "".join(said.text)
        self.text = text.rstrip()
        self.usage = Usage(0, tokens_in(said.length))
        self.whole = said.open is None and bool(said.items) and said.items[-1]["type"] == "function_call"
        self._said = said
        self._stem = str(said.response["id"]).removeprefix("resp_")
        self._joining = said.part is not None and said.part["type"] == "output_text"
        self._before = "".join(said.pieces) if self._joining else ""
        self._overlap = Overlap(text, text[len(self.text) :], asked=asked)
        self._places: dict[int, int] = {}
        self._joined: int | None = None  # the next target's item that goes on with our text
        self._added = ""

    @classmethod
    def read(cls, frames: bytes, *, asked: bool) -> ResponsesSeam | None:
        said = _Said()
        for data in sse.payloads(frames):
            said.read(_decode(data))
        stuck = said.open is not None and said.open["type"] == "function_call"
        stuck = stuck or (said.part is not None and said.part["type"] == "refusal")
        return None if stuck or not said.response else cls(said, asked=asked)

    def end(self) -> bytes:
        usage = self.usage
        told = {
            "input_tokens": 0,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.output_tokens,
        }
        response = {**self._said.response, "status": "completed", "output": self._said.items, "usage": told}
        return self._event({"type": "response.completed", "response": response})

    def join(self, frames: bytes) -> bytes:
        try:
            return b"".join([self._go_on(_decode(data)) for data in sse.payloads(frames)])
        except BROKEN:
            raise TargetFault(Fault.MALFORMED, "a stream that cannot be joined") from None

    def _go_on(self, event: dict[str, Any]) -> bytes:
        kind = event["type"]
        if kind in ("response.created", "response.in_progress"):
            return b""
        if kind == "response.output_item.added":
            return self._begin(event)
        if kind in _ENDS:
            return self._close() + self._finish(event)
        if "output_index" not in event:
            return self._event(event)
        if event["output_index"] == self._joined:
            return self._on_with_ours(event)
        return self._elsewhere(event)

    def _begin(self, event: dict[str, Any]) -> bytes:
        """An item of the next target: the first message goes on with the text that is open, others are new."""
        theirs, item = event["output_index"], event["item"]
        if self._joining and item["type"] == "message" and self._joined is None:
            self._joined = theirs
            return b""
        out = self._close()
        self._places[theirs] = len(self._said.items)
        self._said.open = {"type": item["type"]}  # it holds the place; what is in it comes when it is done
        return out + self._event({**event, "output_index": self._places[theirs], "item": self._named(item, theirs)})

    def _elsewhere(self, event: dict[str, Any]) -> bytes:
        theirs = event["output_index"]
        event["output_index"] = self._places[theirs]
        if "item_id" in event:
            event["item_id"] = self._id(event["item_id"].partition("_")[0], theirs)
        if event["type"] == "response.output_item.done":
            event["item"] = self._named(event["item"], theirs)
            self._said.items.append(event["item"])
            self._said.open = None
        return self._event(event)

    def _on_with_ours(self, event: dict[str, Any]) -> bytes:
        """An event of the message whose first text goes on with ours; a second text of it is a part of its own."""
        kind = event["type"]
        event["output_index"] = len(self._said.items)
        assert self._said.open is not None
        ours = self._said.open
        if "item_id" in event:
            event["item_id"] = ours["id"]
        if kind == "response.output_item.done":
            event["item"] = item = {**event["item"], "id": ours["id"], "content": ours["content"]}
            self._said.items.append(item)
            self._said.open, self._joining = None, False
            return self._event(event)
        if self._said.part is None:  # ours is said to its end: what follows are further parts
            event["content_index"] = len(ours["content"])
            if kind == "response.content_part.done":
                ours["content"] = [*ours["content"], event["part"]]
            return self._event(event)
        return self._text(event)

    def _text(self, event: dict[str, Any]) -> bytes:
        kind = event["type"]
        assert self._said.open is not None
        event["content_index"] = len(self._said.open["content"])
        if kind == "response.content_part.added":
            return b""
        if kind == "response.output_text.delta":
            return self._say(event, self._overlap.take(event["delta"]))
        if kind == "response.output_text.done":
            delta = {**event, "type": "response.output_text.delta", "logprobs": []}
            delta.pop("text")
            out = self._say(delta, self._overlap.rest())
            return out + self._event({**event, "text": self._before + self._added})
        if kind == "response.content_part.done":
            part = {**event["part"], "text": self._before + self._added}
            self._said.open["content"] = [*self._said.open["content"], part]
            self._said.part = None
            return self._event({**event, "part": part})
        return self._event(event)

    def _say(self, event: dict[str, Any], text: str) -> bytes:
        self._added += text
        return self._event({**event, "delta": text}) if text else b""

    def _close(self) -> bytes:
        """Ends what the first target left open and the next does not go on with."""
        item, part = self._said.open, self._said.part
        if item is None or "id" not in item:
            return b""
        index = len(self._said.items)
        out = b""
        name = "summary" if item["type"] == "reasoning" else "content"
        if part is not None:
            place = {"item_id": item["id"], "output_index": index, f"{name}_index": len(item[name])}
            whole = {**part, "text": "".join(self._said.pieces)}
            stem = "response.reasoning_summary_" if name == "summary" else "response."
            word = f"{stem}text.done" if name == "summary" else f"{stem}output_text.done"
            told: dict[str, Any] = {} if name == "summary" else {"logprobs": []}
            out += self._event({"type": word, **place, "text": whole["text"], **told})
            kind = f"{stem}part.done" if name == "summary" else f"{stem}content_part.done"
            out += self._event({"type": kind, **place, "part": whole})
            item = {**item, name: [*item[name], whole]}
        if "status" in item:
            item["status"] = "completed"
        self._said.items.append(item)
        self._said.open = self._said.part = None
        self._joining = False
        return out + self._event({"type": "response.output_item.done", "output_index": index, "item": item})

    def _finish(self, event: dict[str, Any]) -> bytes:
        response = {**event["response"], "output": self._said.items, "created_at": self._said.response["created_at"]}
        usage = response.get("usage")
        if isinstance(usage, dict):
            for name in ("output_tokens", "total_tokens"):
                usage[name] += self.usage.output_tokens
        return self._event({**event, "response": response})

    def _named(self, item: dict[str, Any], theirs: int) -> dict[str, Any]:
        return {**item, "id": self._id(_PREFIXES[item["type"]], theirs)}

    def _id(self, prefix: str, theirs: int) -> str:
        return f"{prefix}_{self._stem}{self._places[theirs]:04x}"

    def _event(self, event: dict[str, Any]) -> bytes:
        self._said.sequence += 1
        event["sequence_number"] = self._said.sequence
        return sse.frame(_encode(event), event["type"])
