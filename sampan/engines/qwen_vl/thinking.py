"""Thoughts: `<think>…</think>` at the head of an answer, where the checkpoint can think.

Templates of thinking checkpoints open the tag themselves, so an answer may begin inside it. White space at the edges of
a thought and behind it goes. Signatures are the gateway's (`dialects.thinking`): a block leaves here with an empty one.
"""

from __future__ import annotations

from enum import Enum, auto

OPEN, CLOSE = "<think>", "</think>"


class Start(Enum):
    """How an answer begins: inside a thought, perhaps with one, or with none to be looked for."""

    OPENED = auto()
    EITHER = auto()
    NONE = auto()


class _Place(Enum):
    HEAD = auto()
    INSIDE = auto()
    BEHIND = auto()
    TEXT = auto()


_FIRST = {Start.OPENED: _Place.INSIDE, Start.EITHER: _Place.HEAD, Start.NONE: _Place.TEXT}


class Thoughts:
    """Splits one answer into what was thought and what is said."""

    def __init__(self, start: Start) -> None:
        self._place = _FIRST[start]
        self._kept = ""
        self._begun = False  # the thought has a visible character

    @property
    def inside(self) -> bool:
        """Whether what comes next is thought."""
        return self._place is _Place.INSIDE

    def feed(self, text: str) -> tuple[str, str]:
        """(what was thought, what was said) that is certain by now."""
        if self._place is _Place.TEXT:
            return "", text
        self._kept += text
        if self._place is _Place.HEAD:
            self._look_at_head()
        thought = self._inside() if self._place is _Place.INSIDE else ""
        if self._place in (_Place.HEAD, _Place.INSIDE):
            return thought, ""
        if self._place is _Place.BEHIND:
            self._kept = self._kept.lstrip()
            if not self._kept:
                return thought, ""
        self._place = _Place.TEXT
        said, self._kept = self._kept, ""
        return thought, said

    def end(self) -> tuple[str, str]:
        """What was held back, once no more comes."""
        kept, self._kept = self._kept, ""
        if self._place is _Place.INSIDE:
            return self._trimmed(kept.rstrip()), ""
        return "", kept

    def _look_at_head(self) -> None:
        seen = self._kept.lstrip()
        if seen.startswith(OPEN):
            self._kept, self._place = seen[len(OPEN) :], _Place.INSIDE
        elif not OPEN.startswith(seen):
            self._place = _Place.TEXT

    def _inside(self) -> str:
        before, found, rest = self._kept.partition(CLOSE)
        if found:
            self._kept, self._place = rest, _Place.BEHIND
            return self._trimmed(before.rstrip())
        start = before.rfind("<", max(0, len(before) - len(CLOSE) + 1))
        sure = before[:start] if start >= 0 and CLOSE.startswith(before[start:]) else before
        sure = sure.rstrip()
        self._kept = before[len(sure) :]
        return self._trimmed(sure)

    def _trimmed(self, thought: str) -> str:
        if not self._begun:
            thought = thought.lstrip()
            self._begun = bool(thought)
        return thought
