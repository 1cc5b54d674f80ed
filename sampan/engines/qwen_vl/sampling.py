"""How the next token is chosen: one distribution for each row, one random number for each row and token.

A row draws its numbers from a generator of its own and its token by the inverse of the cumulated distribution
(Devroye, Non-Uniform Random Variate Generation, chapter III.2). What it gets does thus not depend on its neighbours,
and all rows are drawn in a few operations on the device, with one small tensor sent there and one fetched.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from sampan.engines.qwen_vl.job import Guide, Sampling


class Chooser:
    """One row's choices. A seed of None draws one from the system.

    `repetition` makes what stands in `prompt` or has come already less likely: where it is above 1, a logit above 0 is
    divided by it and one below multiplied (Keskar et al. 2019, arXiv 1909.05858, section 4.1). A guided answer is
    spared: what its schema wants, it may want again.
    """

    def __init__(
        self, sampling: Sampling, guide: Guide | None = None, *, repetition: float = 1.0, prompt: Sequence[int] = ()
    ) -> None:
        self.sampling = sampling
        self.guide = guide
        self.repetition = 1.0 if guide is not None else repetition
        self._prompt = prompt
        self._came: Any = None
        self._numbers = random.Random(sampling.seed) if sampling.seed is not None else random.SystemRandom()

    def came(self, like: Any) -> Any:
        """The tokens of the prompt and the answer, a boolean for each of the vocabulary that `like` is a row of."""
        import torch

        if self._came is None:
            self._came = torch.zeros(like.shape, dtype=torch.bool, device=like.device)
            self._came[torch.tensor(sorted(set(self._prompt)), device=like.device, dtype=torch.long)] = True
        return self._came

    def note(self, token: int) -> None:
        """The token that came."""
        if self._came is not None:
            self._came[token] = True

    @property
    def greedy(self) -> bool:
        return self.sampling.temperature <= 0 or self.sampling.top_k == 1

    @property
    def whole(self) -> bool:
        """Whether the whole distribution is drawn from, none of it cut off."""
        return self.sampling.top_k <= 0 and self.sampling.top_p >= 1

    def number(self) -> float:
        """The next one, in [0, 1)."""
        return self._numbers.random()


def choose(logits: Any, rows: Sequence[Chooser], masks: Sequence[Any]) -> list[int]:
    """The next token of each row of `logits`, [rows, vocabulary], which is changed. `masks` hold a row's, or None."""
    import torch

    _weaken(logits, [number for number, row in enumerate(rows) if row.repetition != 1], rows)
    for row, mask in enumerate(masks):
        if mask is not None:
            _forbid(logits[row], mask)
    chosen = logits.argmax(-1)
    for picked, draw in ((_picked(rows, whole=True), _draw_whole), (_picked(rows, whole=False), _draw_cut)):
        if picked:
            index = torch.tensor(picked, device=logits.device)
            chosen[index] = draw(logits[index].float(), [rows[row] for row in picked])
    return [int(token) for token in chosen.tolist()]


def _picked(rows: Sequence[Chooser], *, whole: bool) -> list[int]:
    return [number for number, row in enumerate(rows) if not row.greedy and row.whole is whole]


def _weaken(logits: Any, picked: Sequence[int], rows: Sequence[Chooser]) -> None:
    """Makes what came already less likely, in these rows."""
    import torch

    if not picked:
        return
    came = torch.stack([rows[row].came(logits[row]) for row in picked])
    force = torch.tensor([[rows[row].repetition] for row in picked], dtype=logits.dtype).to(logits.device)
    part = logits if len(picked) == len(rows) else logits[list(picked)]
    part = torch.where(came, torch.where(part > 0, part / force, part * force), part)
    if len(picked) == len(rows):
        logits.copy_(part)
    else:
        logits[list(picked)] = part


def _forbid(logits: Any, mask: Any) -> None:
    """Takes away what a guide does not allow; a mask may be shorter or longer than the padded vocabulary."""
    mask = mask[: logits.shape[-1]]
    logits[mask.shape[0] :] = float("-inf")
    logits[: mask.shape[0]].masked_fill_(~mask.to(logits.device, non_blocking=True), float("-inf"))


def _numbers(rows: Sequence[Chooser], like: Any) -> tuple[Any, Any]:
    """Temperatures and random numbers, [rows, 1] each."""
    import torch

    pairs = torch.tensor([(row.sampling.temperature, row.number()) for row in rows], dtype=torch.float64)
    pairs = pairs.to(like.device, non_blocking=True)
    return pairs[:, :1], pairs[:, 1:]


def _draw_whole(logits: Any, rows: Sequence[Chooser]) -> Any:
    temperatures, numbers = _numbers(rows, logits)
    return _drawn((logits / temperatures.to(logits.dtype)).softmax(-1), numbers)


def _draw_cut(logits: Any, rows: Sequence[Chooser]) -> Any:
    """Of the likeliest `top_k`, then of the likeliest that together make up `top_p`, the one that passes it included.

    The sort is stable: among equals the lower token stands first, whoever else is in the batch.
    """
    import torch

    temperatures, numbers = _numbers(rows, logits)
    sorted_logits, order = (logits / temperatures.to(logits.dtype)).sort(dim=-1, descending=True, stable=True)
    vocabulary = logits.shape[-1]
    counts = [row.sampling.top_k if row.sampling.top_k > 0 else vocabulary for row in rows]
    rank = torch.arange(vocabulary, device=logits.device)
    sorted_logits = sorted_logits.masked_fill(
        rank >= torch.tensor(counts, device=logits.device)[:, None], float("-inf")
    )
    odds = sorted_logits.softmax(-1)
    shares = torch.tensor([row.sampling.top_p for row in rows], dtype=torch.float64, device=logits.device)[:, None]
    before = odds.double().cumsum(-1) - odds
    cut = before >= shares
    cut[:, 0] = False
    place = _drawn(odds.masked_fill(cut, 0.0), numbers)
    return order.gather(-1, place[:, None]).squeeze(-1)


def _drawn(odds: Any, numbers: Any) -> Any:
    """The place at which the cumulated odds pass `numbers` of their sum: never one whose odds are 0."""
    import torch

    heap = odds.double().cumsum(-1)
    total = heap[:, -1:]
    target = torch.minimum(numbers * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(heap, target, right=True).squeeze(-1)
