"""Ends a text before a stop sequence, even one that comes in many pieces."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """One answer's. `found` is the sequence that ended it: the first that was whole; of two at once the one that begins
    first, or else the longer."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sorted(sequences, key=len, reverse=True)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """What of the text so far may go out now."""
        if not self._sequences:
            return text
        text = self._held + text
        hits = [(at, stop) for stop in self._sequences if (at := text.find(stop)) >= 0]
        if hits:
            at, self.found = min(hits, key=lambda hit: hit[0])
            self._held = ""
            return text[:at]
        keep = max(_overlap(text, stop) for stop in self._sequences)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """What was held back because it might have begun a stop sequence."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How much of the end of `text` could be the beginning of `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
