"""The pictures of one conversation, each looked at as it is opened: what is kept is what the model reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sampan.engines.conversation import Outcome, Paper, Part, Seen, Sight, Turn
from sampan.engines.qwen_vl.grounding import View
from sampan.engines.qwen_vl.job import Model, Prompt
from sampan.engines.qwen_vl.prompts import PAD
from sampan.engines.qwen_vl.sights import PICTURES, Opener
from sampan.errors import InvalidRequest


class Album:
    """Opens what turns hold. Pictures that are more than the context could take are never all in memory at once."""

    def __init__(self, model: Model, opener: Opener, *, keep: bool) -> None:
        """`keep`: the pictures themselves are wanted later on, too (`pictures`)."""
        self._model = model
        self._opener = opener
        self._keep = keep
        self._read: list[Prompt] = []
        self._sizes: list[tuple[int, int]] = []
        self._total = 0
        self.pictures: list[Any] = []

    def __len__(self) -> int:
        return len(self._read)

    def open(self, turn: Turn) -> Turn:
        """A turn in which every page of a PDF is a picture. Raises `InvalidRequest`."""
        parts: list[Part] = []
        for part in turn.parts:
            match part:
                case Outcome():
                    parts.append(Outcome(tuple(each for inner in part.parts for each in self._look(inner))))
                case Sight() | Paper():
                    parts += self._look(part)
                case _:
                    parts.append(part)
        return Turn(turn.role, tuple(parts))

    def _look(self, part: Seen) -> Sequence[Seen]:
        match part:
            case Sight():
                if len(self) >= PICTURES:
                    words = f"at most {PICTURES} pictures and pages fit into one conversation"
                    raise InvalidRequest(f"{part.where}: {words}", param=part.where)
                self._add(self._opener.picture(part))
                return [part]
            case Paper():
                before = len(self)
                for page in self._opener.pages(part, PICTURES - before):
                    self._add(page)
                return [Sight(b"", part.where)] * (len(self) - before)
            case _:
                return [part]

    def _add(self, picture: Any) -> None:
        read = self._model.read(PAD, [picture])
        self._read.append(read)
        self._sizes.append(picture.size)
        self._total += len(read.tokens)
        check_length(self._total, self._model.context, "at least ")
        if self._keep:
            self.pictures.append(picture)

    def fill(self, tokens: Sequence[int], pad: int | None) -> Prompt:
        """A prompt with the pictures in place of its pads, as many as there are pictures."""
        if not self._read:
            return Prompt(tokens)
        import torch

        costs = iter([len(read.tokens) for read in self._read])
        full = [each for token in tokens for each in ([token] * next(costs) if token == pad else [token])]
        pixels = torch.cat([read.pixels for read in self._read])
        return Prompt(full, pixels, torch.cat([read.grids for read in self._read]))

    def views(self, patch: int) -> Iterator[View]:
        """The sizes of each picture; `patch` is the side of a patch in pixels."""
        for size, read in zip(self._sizes, self._read, strict=True):
            _, rows, columns = read.grids[0].tolist()
            yield View(size, (columns * patch, rows * patch))


def check_length(count: int, context: int, sure: str = "") -> None:
    """Raises `InvalidRequest`, in Anthropic's words, for a prompt that leaves no room for a token of answer."""
    if count > context - 1:
        raise InvalidRequest(f"prompt is too long: {sure}{count} tokens > {context - 1} maximum")
