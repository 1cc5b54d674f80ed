"""Finds thinking and tool calls in the text of a server that has no parser for them, also when cut anywhere.

    <think>…</think>                                       only at the head of the answer
    <tool_call>{"name": …, "arguments": {…}}</tool_call>   only where the call has a tool of that name

Format: the Hermes function-calling prompt that Qwen's and Nous' chat templates share. What looks like a tag and turns
out to be none is text, as it came.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from sampan.dialects.fields import UNREADABLE

THINK, THOUGHT = "<think>", "</think>"
CALL, CALLED = "<tool_call>", "</tool_call>"


class Text(msgspec.Struct, frozen=True):
    """Text for the reader."""

    text: str


class Thought(msgspec.Struct, frozen=True):
    """Text that the model thought."""

    text: str


class Called(msgspec.Struct, frozen=True):
    """A whole tool call; `arguments` is a JSON object."""

    name: str
    arguments: str


Piece = Text | Thought | Called


class Place(Enum):
    """Where the splitter stands in the text."""

    HEAD = auto()
    THINKING = auto()
    AFTER_TAG = auto()
    TEXT = auto()
    CALL = auto()


class _Call(msgspec.Struct):
    name: str
    arguments: dict[str, msgspec.Raw] | None = None
    parameters: dict[str, msgspec.Raw] | None = None


_call = msgspec.json.Decoder(_Call)


class TagSplitter:
    """Splits text into `Text`, `Thought` and `Called`; `end` hands out what was kept back."""

    def __init__(self, *, thinking: bool, tools: frozenset[str]) -> None:
        """`tools` are the names that may be called; with none, no call is looked for."""
        self._tools = tools
        self._place = Place.HEAD if thinking else Place.TEXT
        self._kept = ""
        self._call: list[str] = []

    def lets_pass(self, text: str) -> bool:
        """Whether `text` is only text, with nothing before it that was kept back."""
        return self._place is Place.TEXT and not self._kept and ("<" not in text or not self._tools)

    def feed(self, text: str) -> list[Piece]:
        if self.lets_pass(text):
            return [Text(text)]
        if self._place is Place.CALL and ">" not in text:  # long arguments are not searched again at each delta
            self._call.append(text)
            return []
        pieces: list[Piece] = []
        self._kept += self._gathered() + text
        while self._step(pieces):
            pass
        return pieces

    def _gathered(self) -> str:
        if not self._call:
            return ""
        gathered = "".join(self._call)
        self._call.clear()
        return gathered

    def end(self) -> list[Piece]:
        """What is left once no more text comes: a call without its closing tag counts if it is whole."""
        pieces: list[Piece] = []
        kept, self._kept = self._kept + self._gathered(), ""
        if self._place is Place.CALL:
            pieces.append(self._called(kept) or Text(CALL + kept))
            self._place = Place.TEXT
        elif kept:
            pieces.append(Thought(kept) if self._place is Place.THINKING else Text(kept))
        return pieces

    def _step(self, pieces: list[Piece]) -> bool:
        """Takes what can be taken; True where the rest has to be looked at again."""
        if self._place is Place.THINKING:
            return self._until(THOUGHT, Thought, Place.AFTER_TAG, pieces)
        if self._place is Place.CALL:
            body, tag, rest = self._kept.partition(CALLED)
            if not tag:
                return False
            called = self._called(body)
            pieces.append(called or Text(CALL + body + CALLED))
            self._kept, self._place = rest, Place.AFTER_TAG if called else Place.TEXT
            return True
        if self._place is Place.HEAD:
            return self._head()
        if self._place is Place.AFTER_TAG:
            self._kept = self._kept.lstrip()
            if not self._kept:
                return False
            self._place = Place.TEXT
        if not self._tools:
            if self._kept:
                pieces.append(Text(self._kept))
                self._kept = ""
            return False
        return self._until(CALL, Text, Place.CALL, pieces)

    def _head(self) -> bool:
        """White space and, perhaps, half a tag: nothing is known before it is whole."""
        seen = self._kept.lstrip()
        if len(seen) < len(THINK) and THINK.startswith(seen):
            return False
        if seen.startswith(THINK):
            self._kept, self._place = seen[len(THINK) :].removeprefix("\n"), Place.THINKING
        else:
            self._place = Place.TEXT
        return True

    def _until(self, tag: str, kind: type[Text] | type[Thought], after: Place, pieces: list[Piece]) -> bool:
        """All before `tag` is of one kind; the beginning of what may become the tag is kept back."""
        before, found, rest = self._kept.partition(tag)
        if found:
            if before:
                pieces.append(kind(before))
            self._kept, self._place = rest, after
            return True
        keep = _overlap(before, tag)
        if len(before) > keep:
            pieces.append(kind(before[: len(before) - keep]))
            self._kept = before[len(before) - keep :]
        return False

    def _called(self, body: str) -> Called | None:
        try:
            call = _call.decode(body)
        except UNREADABLE:
            return None
        if call.name not in self._tools:
            return None
        given = call.arguments if call.arguments is not None else call.parameters
        return Called(call.name, msgspec.json.encode(given or {}).decode())


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    start = text.rfind("<", max(0, len(text) - len(tag) + 1))
    return len(text) - start if start >= 0 and tag.startswith(text[start:]) else 0
