"""Tiny models for tests, opened once for a module, and callers that gather what they are told."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from tiny_models import tiny

from sampan.config import ModelSettings
from sampan.engines.options import Options
from sampan.engines.qwen_vl.batching import Scheduler
from sampan.engines.qwen_vl.job import Ended, Job, Prompt, Sampling
from sampan.engines.qwen_vl.model import QwenModel, open_model

GREEDY = Sampling(temperature=0.0)
SIGHT = "<|vision_start|><|image_pad|><|vision_end|>"


def options(kind: str, **settings: Any) -> Options:
    """fp32: in bf16 a row of one and a row among many are rounded differently, and near equals may swap."""
    return Options(settings=ModelSettings(**{"model": str(tiny(kind)), "device": "cpu", "dtype": "fp32", **settings}))


@contextmanager
def opened(kind: str, **settings: Any) -> Iterator[QwenModel]:
    torch.set_num_threads(1)
    model = open_model(options(kind, **settings))
    try:
        yield model
    finally:
        model.close()


def picture(seed: int, width: int = 0, height: int = 0) -> Image.Image:
    """Noise, of any size up to 300 by 300 unless that is given."""
    draw = random.Random(seed)
    width, height = width or draw.randint(1, 300), height or draw.randint(1, 300)
    return Image.frombytes("RGB", (width, height), draw.randbytes(3 * width * height))


def ask(model: QwenModel, text: str, *pictures: Any) -> Prompt:
    """A turn of a user, as the template writes it."""
    sights = SIGHT * len(pictures)
    return model.read(f"<|im_start|>user\n{sights}{text}<|im_end|>\n<|im_start|>assistant\n", pictures)


def run(model: QwenModel | Scheduler, jobs: Sequence[Job]) -> list[tuple[list[int], Ended]]:
    """Asks for all of them at once, and waits."""
    told: list[list[int]] = [[] for _ in jobs]
    ended: dict[int, Ended] = {}
    left = threading.Semaphore(0)

    def deliver(number: int, what: int | Ended) -> None:
        if isinstance(what, Ended):
            ended[number] = what
            left.release()
        else:
            told[number].append(what)

    for number, job in enumerate(jobs):
        model.submit(job, lambda what, number=number: deliver(number, what))
    for _ in jobs:
        assert left.acquire(timeout=60)
    return [(tokens, ended[number]) for number, tokens in enumerate(told)]
