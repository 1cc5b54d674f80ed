"""Finds tool calls in an answer while it is written, and hands their input on as it comes.

    <tool_call>
    {"name": "look_up", "arguments": {"city": "Ulm"}}
    </tool_call>

Format: the Hermes function-calling prompt that Qwen's chat templates share. A call begins for the caller as soon as its
name and the opening brace of its input are there. What is no such call goes by these rules:

- no object between the tags, a name that is no tool's, or no name at all: text, as it came, tags included;
- the input before the name, or given as a string of JSON, or missing: the call is told when it is whole;
- unsound JSON inside the input: mended or closed, see `json_text`; what comes after nonsense is left out;
- no closing tag at the end of the answer: the call counts, its input closed where it stood.

White space around calls goes. Text is held back only while it may be that, or the beginning of a tag.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from enum import Enum, auto
from typing import Any

import msgspec

from sampan.dialects.fields import UNREADABLE
from sampan.engines.conversation import CallBegun, CallDelta, CallEnded, Piece, TextDelta
from sampan.engines.qwen_vl.json_text import JsonText

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')
_NAMED = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"\\]*)"')


class _Place(Enum):
    TEXT = auto()
    HEAD = auto()  # in a call, before its input is known to begin
    INPUT = auto()
    NO_CALL = auto()  # between the tags of what turned out to be none


class Hermes:
    """Splits one answer's text. `calls` counts the calls so far."""

    def __init__(self, tools: Collection[str], *, continued: bool = False) -> None:
        """`tools` are the names that may be called. `continued`: white space at the answer's head belongs to it."""
        self._tools = tools
        self._place = _Place.TEXT
        self._kept = ""
        self._gap = ""  # white space before the tag: what turns out to be no call gets it back
        self._json = JsonText()
        self._fresh = not continued  # no text since the beginning or a call
        self.calls = 0

    def feed(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        self._kept += text
        while self._step(pieces):
            pass
        return pieces

    def end(self) -> list[Piece]:
        """What is left once no more text comes."""
        pieces: list[Piece] = []
        kept, self._kept = self._kept, ""
        match self._place:
            case _Place.HEAD:
                self._whole(kept, kept, pieces)
            case _Place.INPUT:
                self._input(kept, pieces)
                self._end_input(pieces)
            case _:
                self._text(kept, pieces)
        self._place = _Place.TEXT
        return pieces

    def _step(self, pieces: list[Piece]) -> bool:
        """Takes what can be taken; True where the rest has to be looked at again."""
        match self._place:
            case _Place.TEXT:
                return self._look_for_call(pieces)
            case _Place.HEAD:
                return self._look_at_head(pieces)
            case _Place.INPUT:
                return self._until_close(pieces)
            case _Place.NO_CALL:
                return self._pass(pieces)

    def _text(self, text: str, pieces: list[Piece]) -> None:
        if self._fresh:
            text = text.lstrip()
        if text:
            self._fresh = False
            pieces.append(TextDelta(text))

    def _look_for_call(self, pieces: list[Piece]) -> bool:
        before, found, rest = self._kept.partition(OPEN)
        if found:
            said = before.rstrip()
            self._text(said, pieces)
            self._gap = "" if self._fresh else before[len(said) :]
            self._kept, self._place = rest, _Place.HEAD
            return True
        sure = before[: len(before) - _overlap(before, OPEN)].rstrip()
        if sure:
            self._text(sure, pieces)
            self._kept = before[len(sure) :]
        return False

    def _look_at_head(self, pieces: list[Piece]) -> bool:
        body, closed, rest = self._kept.partition(CLOSE)
        head = _HEAD.match(body)
        if head and head[1] in self._tools:
            self._begin(head[1], pieces)
            self._json = JsonText()
            self._kept, self._place = self._kept[head.end() :], _Place.INPUT
            return True
        if closed:
            self._kept, self._place = rest, _Place.TEXT
            self._whole(body, body + CLOSE, pieces)
            return True
        named = _NAMED.match(body)
        if (body.strip() and not body.lstrip().startswith("{")) or (named and named[1] not in self._tools):
            self._fresh = False
            pieces.append(TextDelta(self._gap + OPEN))
            self._place = _Place.NO_CALL
            return True
        return False

    def _pass(self, pieces: list[Piece]) -> bool:
        body, closed, rest = self._kept.partition(CLOSE)
        if closed:
            pieces.append(TextDelta(body + CLOSE))
            self._kept, self._place = rest, _Place.TEXT
            return True
        keep = _overlap(body, CLOSE)
        if len(body) > keep:
            pieces.append(TextDelta(body[: len(body) - keep]))
            self._kept = body[len(body) - keep :]
        return False

    def _begin(self, name: str, pieces: list[Piece]) -> None:
        self.calls += 1
        self._fresh = True
        pieces.append(CallBegun(f"toolu_{secrets.token_hex(12)}", name))

    def _until_close(self, pieces: list[Piece]) -> bool:
        body, closed, rest = self._kept.partition(CLOSE)
        if closed:
            self._input(body, pieces)
            self._end_input(pieces)
            self._kept, self._place = rest, _Place.TEXT
            return True
        keep = _overlap(body, CLOSE)
        self._input(body[: len(body) - keep], pieces)
        self._kept = body[len(body) - keep :]
        return False

    def _input(self, text: str, pieces: list[Piece]) -> None:
        if sound := self._json.feed(text):
            pieces.append(CallDelta(sound))

    def _end_input(self, pieces: list[Piece]) -> None:
        if rest := self._json.close():
            pieces.append(CallDelta(rest))
        pieces.append(CallEnded())

    def _whole(self, body: str, came: str, pieces: list[Piece]) -> None:
        """A call that can only be judged by all of it; `came` is what it is as text."""
        call = _read(body)
        name = call.get("name")
        given = call.get("arguments", call.get("parameters"))
        if isinstance(given, str):
            given = _read(given) if given.strip() else {}
        if not isinstance(name, str) or name not in self._tools or not isinstance(given or {}, dict):
            self._fresh = False
            pieces.append(TextDelta(self._gap + OPEN + came))
            return
        self._begin(name, pieces)
        pieces.append(CallDelta(msgspec.json.encode(given or {}).decode()))
        pieces.append(CallEnded())


def _read(text: str) -> dict[str, Any]:
    """A JSON object, mended where it has to be; empty for what is none."""
    sound = JsonText()
    mended = sound.feed(text)
    mended += sound.close()
    try:
        return msgspec.json.decode(mended, type=dict[str, Any])
    except UNREADABLE:
        return {}


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    start = text.rfind("<", max(0, len(text) - len(tag) + 1))
    return len(text) - start if start >= 0 and tag.startswith(text[start:]) else 0
