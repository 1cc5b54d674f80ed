"""Passes without a model: what comes next is a sum of what stands in the slot, so a slot that is mixed up is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from sampan.engines.qwen_vl.batching import Limits, Scheduler
from sampan.engines.qwen_vl.forward import Piece, Seen, Step, Tokens
from sampan.engines.qwen_vl.job import Ended, Job, Prompt, Sampling, Ticket

VOCABULARY = 50
END = 0


class FakeCache:
    """Slots as lists of tokens."""

    def __init__(self) -> None:
        self.slots: dict[int, list[int]] = {}
        self.reserved: list[tuple[int, int]] = []
        self.bytes = 0

    def reserve(self, slots: int, length: int) -> None:
        self.reserved.append((slots, length))

    def move(self, source: int, target: int, length: int) -> None:
        self.slots[target] = self.slots[source][:length]


class FakeRunner:
    """`fault` is asked before each pass, with its name and its rows, and may raise."""

    def __init__(self, fault: Callable[[str, int], None] = lambda name, rows: None) -> None:
        self.cache: Any = FakeCache()
        self.fault = fault
        self.passes: list[tuple[str, int]] = []
        self.relieved = 0

    def lay(self, prompt: Prompt) -> Tokens:
        ids = torch.tensor(list(prompt.tokens))
        return Tokens(ids, ids.expand(3, -1), 0, ids == -1)

    def see(self, pixels: Sequence[Any], grids: Sequence[Any]) -> list[Seen]:
        self._pass("see", len(pixels))
        return [Seen(part.float()) for part in pixels]

    def prefill(self, pieces: Sequence[Piece]) -> Any:
        self._pass("prefill", sum(piece.end - piece.start for piece in pieces))
        for piece in pieces:
            held = self.cache.slots.setdefault(piece.slot, [])
            del held[piece.start :]
            held += piece.tokens.ids[piece.start : piece.end].tolist()
        return _logits([self.cache.slots[piece.slot] for piece in pieces])

    def decode(self, steps: Sequence[Step]) -> Any:
        self._pass("decode", len(steps))
        for slot, step in enumerate(steps):
            held = self.cache.slots.setdefault(slot, [])
            del held[step.length :]
            held.append(step.token)
        return _logits([self.cache.slots[slot] for slot in range(len(steps))])

    def relieve(self) -> None:
        self.relieved += 1

    def _pass(self, name: str, rows: int) -> None:
        self.fault(name, rows)
        self.passes.append((name, rows))


def following(held: Sequence[int]) -> int:
    """The token that comes after these; never the end."""
    return 1 + (7 * len(held) + sum(held)) % (VOCABULARY - 1)


def answer(prompt: Sequence[int], count: int) -> list[int]:
    """What a job alone would be told."""
    held = list(prompt)
    for _ in range(count):
        held.append(following(held))
    return held[len(prompt) :]


def _logits(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    logits = torch.zeros((len(rows), VOCABULARY))
    for row, held in enumerate(rows):
        logits[row, following(held)] = 10.0
    return logits


class Caller:
    """Notes what it is told, and in which turn."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.tokens: list[int] = []
        self.turns: list[int] = []
        self.ended: Ended | None = None
        self.ticket: Ticket | None = None

    def deliver(self, what: int | Ended) -> None:
        assert self.ended is None, "told after the end"
        if isinstance(what, Ended):
            self.ended = what
        else:
            self.tokens.append(what)
            self.turns.append(self._desk.turn_number)


class Desk:
    """A scheduler whose turns a test takes one by one."""

    def __init__(
        self,
        runner: FakeRunner | None = None,
        *,
        batch: int = 4,
        context: int = 100,
        chunk: int = 16,
        waiting: int = 64,
    ) -> None:
        self.runner = runner or FakeRunner()
        self.turn_number = 0
        self.lost = 0
        limits = Limits(batch, context, frozenset({END}), VOCABULARY, chunk, waiting)
        self.scheduler = Scheduler(self.runner, limits, clock=lambda: float(self.turn_number), lost=self._lose)

    def _lose(self) -> None:
        self.lost += 1

    def submit(self, prompt: Sequence[int], count: int = 5, *, owner: str = "", guide: Any = None) -> Caller:
        caller = Caller(self)
        job = Job(Prompt(prompt), Sampling(temperature=0.0), count, guide, owner)
        caller.ticket = self.scheduler.submit(job, caller.deliver)
        return caller

    def turn(self, count: int = 1) -> None:
        for _ in range(count):
            self.turn_number += 1
            self.scheduler.turn()

    def run(self, *callers: Caller) -> None:
        """Turns until they have all ended."""
        for _ in range(1000):
            if all(caller.ended for caller in callers):
                return
            self.turn()
        raise AssertionError("they never end")
