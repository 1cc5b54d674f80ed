"""The choice of a token: what may come, how often, and that neighbours change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from sampan.engines.qwen_vl.job import Sampling
from sampan.engines.qwen_vl.sampling import Chooser, choose

ODDS = (0.4, 0.3, 0.2, 0.06, 0.04)


def logits(rows: int = 1) -> Any:
    return torch.tensor(ODDS).log().repeat(rows, 1)


def crowd(sampling: Sampling, count: int, mask: Any = None) -> list[int]:
    """What as many rows draw at once, each with a seed of its own."""
    return choose(logits(count), [Chooser(replace(sampling, seed=seed)) for seed in range(count)], [mask] * count)


def drawn(sampling: Sampling, count: int, mask: Any = None) -> list[int]:
    """What one row draws, one after the other."""
    chooser = Chooser(sampling)
    return [choose(logits(), [chooser], [mask])[0] for _ in range(count)]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), ODDS),
        (Sampling(temperature=0.5), (0.16, 0.09, 0.04, 0.0036, 0.0016)),
        (Sampling(top_k=3), (0.4, 0.3, 0.2, 0, 0)),
        (Sampling(top_p=0.65), (0.4, 0.3, 0, 0, 0)),
        (Sampling(top_p=0.71), (0.4, 0.3, 0.2, 0, 0)),
        (Sampling(top_p=0.5, top_k=4), (0.4, 0.3, 0, 0, 0)),  # 0.4 of 0.96 is less than half
        (Sampling(top_p=0.0001), (1, 0, 0, 0, 0)),
        (Sampling(temperature=0), (1, 0, 0, 0, 0)),
        (Sampling(temperature=2, top_k=1), (1, 0, 0, 0, 0)),
    ],
)
def test_tokens_come_as_often_as_they_should(sampling: Sampling, expected: tuple[float, ...]) -> None:
    count = 3000
    seen = Counter(crowd(sampling, count))
    for token, share in enumerate(expected):
        share /= sum(expected)
        assert abs(seen[token] / count - share) < 0.03
        assert share or not seen[token]


def test_what_a_guide_does_not_allow_never_comes() -> None:
    mask = torch.tensor([False, True, False, True])  # shorter than the vocabulary: the rest is not allowed either
    seen = Counter(crowd(Sampling(), 600, mask))
    assert set(seen) == {1, 3}
    assert abs(seen[1] / 600 - 0.3 / 0.36) < 0.06
    assert set(drawn(Sampling(temperature=0), 5, mask)) == {1}


def test_a_seed_gives_the_same_answer_again_and_none_another() -> None:
    assert drawn(Sampling(seed=5), 50) == drawn(Sampling(seed=5), 50)
    assert drawn(Sampling(seed=5), 50) != drawn(Sampling(seed=6), 50)
    assert drawn(Sampling(), 50) != drawn(Sampling(), 50)


def test_neighbours_change_nothing() -> None:
    torch.manual_seed(0)
    kinds = [
        Sampling(seed=1),
        Sampling(seed=2, top_p=0.8),
        Sampling(seed=3, top_k=7, temperature=0.7),
        Sampling(temperature=0),
        Sampling(seed=4, temperature=1.3),
    ]
    steps = [torch.randn(len(kinds), 500).bfloat16().float() for _ in range(20)]  # many equals among them
    together = [Chooser(kind) for kind in kinds]
    alone = [Chooser(kind) for kind in kinds]
    for step in steps:
        batch = choose(step.clone(), together, [None] * len(kinds))
        single = [choose(step[[row]].clone(), [alone[row]], [None])[0] for row in range(len(kinds))]
        assert batch == single


def test_the_last_of_all_numbers_still_finds_a_token_that_can_come() -> None:
    chooser = Chooser(Sampling(seed=1))
    chooser.number = lambda: 1.0 - 2**-53  # type: ignore[method-assign]
    row = torch.tensor([[0.0, 0.0, float("-inf")]])
    assert choose(row, [chooser], [None]) == [1]


def test_what_came_already_is_less_likely() -> None:
    row = torch.tensor([[2.0, 1.9, -1.0, -1.05]])
    chooser = Chooser(Sampling(temperature=0), repetition=1.1, prompt=[0, 2])
    assert choose(row.clone(), [chooser], [None]) == [1]
    chooser.note(1)
    assert choose(row.clone(), [chooser], [None]) == [0]
    changed = row.clone()
    choose(changed, [chooser], [None])
    assert torch.allclose(changed, torch.tensor([[2.0 / 1.1, 1.9 / 1.1, -1.1, -1.05]]))


def test_a_guided_answer_may_repeat_itself() -> None:
    class Free:
        def mask(self) -> None: ...
        def accept(self, token: int) -> None: ...

    row = torch.tensor([[2.0, 1.9]])
    assert choose(row, [Chooser(Sampling(temperature=0), Free(), repetition=1.1, prompt=[0])], [None]) == [0]
