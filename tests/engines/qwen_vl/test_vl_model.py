"""Real models of every family, tiny: what they say together is what they say alone, and what the library says."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import transformers
from tiny_models import tiny
from vl_models import GREEDY, ask, opened, picture, run

from sampan.engines.qwen_vl.batching import Scheduler
from sampan.engines.qwen_vl.cache import SlotCache
from sampan.engines.qwen_vl.forward import Runner
from sampan.engines.qwen_vl.job import Ended, Job, Prompt, Reason, Sampling
from sampan.engines.qwen_vl.model import QwenModel
from sampan.errors import ConfigError, Unavailable

KINDS = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3-vl-thinking", "qwen3-vl-moe")


@pytest.fixture(scope="module")
def model() -> Iterator[QwenModel]:
    with opened("qwen2.5-vl", batch=8, context=1024) as model:
        model.warm_up()
        yield model


def generated(model: QwenModel, prompt: Prompt, count: int) -> list[int]:
    """What the library's own `generate` says, given the same patches."""
    inner = model._loaded.model
    ids = torch.tensor([list(prompt.tokens)])
    given: dict[str, Any] = {}
    if prompt.grids is not None:
        patches = model._runner._patches(prompt.pixels)
        pads = (ids == inner.config.image_token_id).int()
        given = {"pixel_values": patches, "image_grid_thw": prompt.grids, "mm_token_type_ids": pads}
    inner.model.rope_deltas = None
    said = inner.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=count,
        temperature=None,
        top_p=None,
        top_k=None,
        **given,
    )
    return [token for token in said[0, ids.shape[1] :].tolist() if token not in model.ends]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attention", ["auto", "eager"])
def test_a_full_batch_says_what_each_says_alone(kind: str, attention: str) -> None:
    with opened(kind, batch=6, context=512, attention=attention) as model:
        # Small pieces, so that prompts are read in several, with pictures across their bounds.
        object.__setattr__(model._scheduler._limits, "chunk", 48)
        count = 10 if attention == "auto" else 4
        prompts = [ask(model, "word " * (9 * n), *[picture(n + m) for m in range(n % 3)]) for n in range(count)]
        jobs = [Job(prompt, GREEDY, 12) for prompt in prompts]
        together = run(model, jobs)
        assert together == [run(model, [job])[0] for job in jobs]
        for prompt, (tokens, _) in zip(prompts[:6], together, strict=False):
            assert tokens == generated(model, prompt, 12)


def test_shapes_that_are_filled_up_change_nothing(model: QwenModel) -> None:
    """As on an accelerator: few shapes, rows and tokens that are nobody's among them."""
    jobs = [Job(ask(model, "word " * (5 * n), *[picture(n)] * (n % 2)), GREEDY, 12) for n in range(7)]
    free = run(model, jobs)
    loaded = model._loaded
    runner = Runner(loaded.model, SlotCache(8, 600, fixed=True), eye=loaded.patches.eye, batches=(1, 2, 4, 8))
    limits = replace(model._scheduler._limits, context=600)
    scheduler = Scheduler(runner, limits)
    scheduler.start()
    assert runner.shapes == [(rows, reach) for rows in (1, 2, 4, 8) for reach in (256, 512, 600)]
    assert run(scheduler, jobs) == free
    for shape in runner.shapes[::3]:
        scheduler.call(partial(runner.rehearse, *shape))
    assert run(scheduler, jobs) == free
    with pytest.raises(ValueError, match="told to the one who called"):
        scheduler.call(_wrong)
    scheduler.close()


@pytest.mark.parametrize("kind", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3-vl-moe"])
def test_our_eye_sees_what_the_library_s_sees(kind: str) -> None:
    shown = [picture(1, 300, 120), picture(2, 40, 40), picture(3, 130, 250), picture(4, 40, 40)]
    with opened(kind, batch=1, context=512) as ours, opened(kind, batch=1, context=512, attention="sdpa") as theirs:
        prompt = ask(ours, "", *shown)
        counts = prompt.grids.prod(-1).tolist()
        with torch.inference_mode():
            for mine, plain in zip(
                *(each._runner.see(prompt.pixels.split(counts), list(prompt.grids)) for each in (ours, theirs)),
                strict=True,
            ):
                assert torch.allclose(mine.embeds, plain.embeds, atol=1e-4)
                assert len(mine.deep) == len(plain.deep)
                for one, other in zip(mine.deep, plain.deep, strict=True):
                    assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("kind", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qwen3-vl-moe"])
def test_a_step_never_waits_for_a_number(kind: str) -> None:
    """Or it could not be recorded on an accelerator. A `meta` tensor has no numbers: asking for one raises."""
    config = transformers.AutoConfig.from_pretrained(tiny(kind))
    with torch.device("meta"):
        empty = transformers.AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa")
    runner = Runner(empty, SlotCache(4, 600, fixed=True), eye={}, batches=(4,))
    for _ in range(2):
        logits = runner._decode(torch.zeros((3, 4), dtype=torch.long, device="meta"), 512)
    assert logits.shape == (4, config.text_config.vocab_size)


def _wrong() -> None:
    raise ValueError("told to the one who called")


def test_seeds_give_the_same_answer_alone_and_in_company(model: QwenModel) -> None:
    prompt = ask(model, "Hello")
    jobs = [Job(prompt, Sampling(temperature=1.0, top_p=0.9 if n % 2 else 1.0, seed=n), 10) for n in range(8)]
    together = run(model, jobs)
    assert together == [run(model, [job])[0] for job in jobs]
    assert len({tuple(tokens) for tokens, _ in together}) > 4


def test_it_stops_within_a_token_of_being_told(model: QwenModel) -> None:
    told: list[int | Ended] = []
    left = threading.Event()
    ready = threading.Event()

    def deliver(what: int | Ended) -> None:
        told.append(what)
        if len(told) == 5:
            assert ready.wait(10)
            ticket.cancel()
        if isinstance(what, Ended):
            left.set()

    banned = Sampling(temperature=0.0)
    ticket = model.submit(Job(ask(model, "Go on"), banned, 900, guide=_Endless(model)), deliver)
    ready.set()
    assert left.wait(30)
    assert len(told) == 6 and told[-1] == Ended(Reason.CANCELLED)


class _Endless:
    """Lets everything come but an end."""

    def __init__(self, model: QwenModel) -> None:
        self._mask = torch.ones(model.vocabulary, dtype=torch.bool)
        self._mask[list(model.ends)] = False

    def mask(self) -> torch.Tensor:
        return self._mask

    def accept(self, token: int) -> None:
        assert self._mask[token]


def test_the_context_ends_an_answer(model: QwenModel) -> None:
    prompt = ask(model, "word " * 300)
    [(tokens, ended)] = run(model, [Job(prompt, GREEDY, 5000, guide=_Endless(model))])
    assert ended == Ended(Reason.LENGTH)
    assert len(prompt.tokens) + len(tokens) == model.context == 1024


def test_an_end_of_turn_is_not_told(model: QwenModel) -> None:
    class Ending(_Endless):
        def mask(self) -> torch.Tensor:
            return ~self._mask

    [(tokens, ended)] = run(model, [Job(ask(model, "Hello"), GREEDY, 10, guide=Ending(model))])
    assert (tokens, ended) == ([], Ended(Reason.STOP))


def test_hundreds_of_calls_leave_nothing_behind(model: QwenModel) -> None:
    def some(count: int) -> None:
        jobs = [Job(ask(model, "Hello " * (n % 9), *[picture(n, 60, 60)] * (n % 2)), GREEDY, 3) for n in range(count)]
        run(model, jobs)

    def kept() -> int:
        gc.collect()
        return sum(isinstance(each, torch.Tensor) for each in gc.get_objects())

    some(40)
    tensors, cache = kept(), model.stats.cache
    for _ in range(5):
        some(50)
    assert model.stats.cache == cache
    assert kept() <= tensors
    assert (model.stats.working, model.stats.waiting) == (0, 0)


def test_what_was_warmed_up_is_not_cold() -> None:
    with opened("qwen3-vl", batch=3, context=256) as model:
        assert list(model.cold) == ["pictures", "one at a time", "3 at once"]
        stages: list[str] = []
        model.warm_up(stages.append)
        assert not model.cold
        assert stages == ["warming up, pictures", "warming up, one at a time", "warming up, 3 at once"]


def test_a_model_that_cannot_answer_says_so_while_it_warms_up() -> None:
    with opened("qwen3-vl", batch=1, context=256) as model:
        model._runner.prefill = _broken  # type: ignore[method-assign]
        with pytest.raises(ConfigError, match="cannot answer"):
            model.warm_up()


def _broken(pieces: object) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def test_a_closed_model_takes_no_job() -> None:
    with opened("qwen3-vl", batch=1, context=256) as model:
        model.close()
        with pytest.raises(Unavailable):
            model.submit(Job(ask(model, "Hello"), GREEDY, 1), lambda what: None)


def test_what_its_authors_advise() -> None:
    with opened("qwen3-vl-thinking", batch=1, context=256) as model:
        assert model.defaults == Sampling(temperature=1.0, top_p=0.95, top_k=20)
        assert model.write([*ask(model, "Hello").tokens]).count("Hello") == 1
