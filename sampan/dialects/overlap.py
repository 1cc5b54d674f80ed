"""Two ends of one text, the second said by somebody who may repeat the first."""

from __future__ import annotations

SHORTEST_REPEAT = 12  # characters: a shorter one may well be what comes next
LOOK_BACK = 400


class Overlap:
    """Takes out of a continuation what it repeats of the text before it."""

    def __init__(self, before: str, cut: str, *, asked: bool) -> None:
        self._before = before[-LOOK_BACK:]
        self._cut = cut
        self._asked = asked
        self._held = ""
        self._done = not (asked or cut)

    def take(self, text: str) -> str:
        """What of `text` may go on now; the rest is held until it is clear."""
        if self._done:
            return text
        self._held += text
        if not self._asked:
            return self._blanks()
        if len(self._held) < len(self._before) and self._may_repeat():
            return ""
        return self.rest()

    def rest(self) -> str:
        """What is still held, at the end of the block."""
        held, self._held = self._held, ""
        if self._done or not held:
            return held
        self._done = True
        if self._asked:
            for size in range(min(len(held), len(self._before)), SHORTEST_REPEAT - 1, -1):
                if self._before.endswith(held[:size]):
                    return held[size:]
        return held.removeprefix(self._cut) if self._cut else held

    def _may_repeat(self) -> bool:
        return self._held[:SHORTEST_REPEAT] in self._before

    def _blanks(self) -> str:
        """The blanks that the prefill was sent without, and that the target may say again."""
        if len(self._held) < len(self._cut) and self._cut.startswith(self._held):
            return ""
        held, self._held, self._done = self._held, "", True
        return held.removeprefix(self._cut)
