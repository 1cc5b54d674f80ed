"""An answer's tokens become its pieces: spelt, thoughts and calls set apart, ended before a stop sequence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sampan.engines.conversation import CallDelta, CallEnded, Piece, TextDelta, ThinkingDelta
from sampan.engines.qwen_vl.hermes import Hermes
from sampan.engines.qwen_vl.stops import Stops
from sampan.engines.qwen_vl.thinking import Start, Thoughts
from sampan.engines.qwen_vl.words import Speller, Words


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is to be read. `tools` are the names that may be called; with none, no call is looked for.

    `continued`: it goes on with a text. `marks`: tokens that have no spelling of their own and are to stand in `said`.
    """

    start: Start = Start.NONE
    shown: bool = True
    continued: bool = False
    tools: Collection[str] = ()
    parallel: bool = True
    stops: Sequence[str] = ()
    marks: Mapping[int, str] = field(default_factory=dict)


class Voice:
    """One answer. `over` turns true where it ends before the model does."""

    def __init__(self, words: Words, manner: Manner) -> None:
        self._speller = Speller(words)
        self._thoughts = Thoughts(manner.start)
        self._hermes = Hermes(manner.tools, continued=manner.continued) if manner.tools else None
        self._stops = Stops(manner.stops)
        self._manner = manner
        self._pieces: list[Piece] = []
        self._said: list[str] = []
        self.over = False
        self.tokens = 0
        self.thinking_tokens = 0

    @property
    def calls(self) -> int:
        """Tool calls so far."""
        return self._hermes.calls if self._hermes is not None else 0

    @property
    def stop_sequence(self) -> str | None:
        """The one that ended it."""
        return self._stops.found

    @property
    def said(self) -> str:
        """The text so far, with its marks in."""
        return "".join(self._said)

    def feed(self, token: int) -> None:
        """The next token. One that comes after the answer is over is not counted either."""
        if self.over:
            return
        self.tokens += 1
        self.thinking_tokens += self._thoughts.inside
        if token in self._manner.marks:
            self._said.append(self._manner.marks[token])
        else:
            self._hear(*self._thoughts.feed(self._speller.feed(token)))

    def end(self) -> None:
        """No more tokens come: what was held back goes out."""
        if self.over:
            return
        self._hear(*self._thoughts.feed(self._speller.end()))
        self._hear(*self._thoughts.end())
        if self._hermes is not None:
            self._tell(self._hermes.end())
        self._text(self._stops.end())

    def take(self) -> list[Piece]:
        """The pieces since the last time, what goes together in one."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def _hear(self, thought: str, said: str) -> None:
        if thought:
            self._add(ThinkingDelta(thought if self._manner.shown else ""))
        if not said or self.over:
            return
        if self._hermes is None:
            self._tell([TextDelta(said)])
        else:
            self._tell(self._hermes.feed(said))

    def _tell(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if self.over:
                return
            if isinstance(piece, TextDelta):
                self._text(self._stops.feed(piece.text))
                self.over = self._stops.found is not None
                continue
            self._text(self._stops.end())  # a call follows: what was held back begins no stop sequence
            self._add(piece)
            if isinstance(piece, CallEnded) and not self._manner.parallel:
                self.over = True

    def _text(self, text: str) -> None:
        if text:
            self._said.append(text)
            self._add(TextDelta(text))

    def _add(self, piece: Piece) -> None:
        last = self._pieces[-1] if self._pieces else None
        match piece, last:
            case TextDelta(), TextDelta():
                self._pieces[-1] = TextDelta(last.text + piece.text)
            case ThinkingDelta(), ThinkingDelta():
                self._pieces[-1] = ThinkingDelta(last.text + piece.text)
            case CallDelta(), CallDelta():
                self._pieces[-1] = CallDelta(last.json + piece.json)
            case _:
                self._pieces.append(piece)
