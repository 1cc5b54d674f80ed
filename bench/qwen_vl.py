"""How fast Qwen-VL answers: a picture and 64 tokens, by 1 to 32 callers at once.

    python -m bench.qwen_vl --shape 7b --device cuda        random weights of Qwen2.5-VL-7B's size, no files
    python -m bench.qwen_vl --model DIR                     a checkpoint
    python -m bench.qwen_vl --shape tiny --device cpu       the tiny checkpoint: our own overhead

Every caller asks again as soon as it is answered. Cutting the picture is part of a call, HTTP is not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image

from sampan.config import ModelSettings
from sampan.engines.options import Options
from sampan.engines.qwen_vl.eye import open_eye
from sampan.engines.qwen_vl.job import Ended, Job, Sampling
from sampan.engines.qwen_vl.loading import Loaded, load
from sampan.engines.qwen_vl.model import QwenModel
from sampan.engines.qwen_vl.prompts import Patches
from sampan.engines.tiny import make
from sampan.engines.tiny.tokens import QWEN2_5, save, train

# Qwen/Qwen2.5-VL-7B-Instruct, config.json.
_WORDS = {
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128000,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}
_EYE = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
_TEXT = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What is this?<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class Call:
    """One answer: seconds to its first token and to its last."""

    first: float
    whole: float


def large(settings: ModelSettings) -> Loaded:
    """Random weights of Qwen2.5-VL-7B's shape, made on the device, with a small tokenizer."""
    vocabulary = train(QWEN2_5)
    ids = {"image_token_id": vocabulary.id("<|image_pad|>"), "video_token_id": vocabulary.id("<|video_pad|>")}
    config = transformers.AutoConfig.for_model("qwen2_5_vl", text_config=_WORDS, vision_config=_EYE, **ids)
    with torch.device(settings.device):
        model = transformers.AutoModelForImageTextToText.from_config(
            config, dtype=torch.bfloat16, attn_implementation="sdpa"
        )
    open_eye(transformers, model)
    with tempfile.TemporaryDirectory() as folder:
        save(vocabulary, Path(folder), template="", longest=settings.context)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = model.eval().requires_grad_(False)
    return Loaded(model, tokenizer, Patches(), frozenset(), settings.context, {})


def measure(model: QwenModel, picture: Any, callers: int, calls: int, tokens: int) -> list[Call]:
    """`calls` answers of `tokens` tokens, by so many callers at once."""
    left = threading.Semaphore(calls)
    made: list[Call] = []

    def ask() -> None:
        while left.acquire(blocking=False):
            made.append(_call(model, picture, tokens))

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


def _call(model: QwenModel, picture: Any, tokens: int) -> Call:
    begun = time.perf_counter()
    times: list[float] = []
    ended: list[Ended] = []
    over = threading.Event()

    def deliver(what: int | Ended) -> None:
        times.append(time.perf_counter() - begun)
        if isinstance(what, Ended):
            ended.append(what)
            over.set()

    prompt = model.read(_TEXT, [picture])
    model.submit(Job(prompt, Sampling(temperature=0.0), tokens, owner=str(threading.get_ident())), deliver)
    over.wait()
    if ended[0].error is not None:
        raise ended[0].error
    return Call(times[0], times[-1])


def _open(asked: argparse.Namespace) -> QwenModel:
    settings = ModelSettings(
        model=asked.model, device=asked.device, batch=asked.batch, context=asked.context, compile=asked.compile
    )
    if asked.model:
        loaded = load(Options(settings=settings), _say)
    elif asked.shape == "7b":
        loaded = large(settings)
    else:
        with tempfile.TemporaryDirectory() as folder:
            tiny = replace(settings, model=str(make("qwen2.5-vl", Path(folder))))
            loaded = load(Options(settings=tiny), _say)
    model = QwenModel(replace(loaded, ends=frozenset()), settings)  # answers end at their number of tokens
    begun = time.perf_counter()
    model.warm_up(_say)
    _say(f"warm after {time.perf_counter() - begun:.1f} s")
    return model


def _say(stage: str) -> None:
    print(stage, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each number of callers."""
    parser = argparse.ArgumentParser(prog="python -m bench.qwen_vl")
    parser.add_argument("--shape", choices=("tiny", "7b"), default="tiny")
    parser.add_argument("--model", default="", help="a checkpoint's folder instead")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--compile", action="store_true", help="record decode steps (CUDA)")
    parser.add_argument("--picture", type=int, default=448, help="pixels along a side")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--callers", type=int, nargs="*", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--calls", type=int, default=4, help="calls of each caller")
    asked = parser.parse_args(argv)
    if asked.shape == "7b" and not asked.model and asked.device == "auto":
        asked.device = "cuda"
    model = _open(asked)
    picture = Image.effect_noise((asked.picture, asked.picture), 60).convert("RGB")
    cost = len(model.read(_TEXT, [picture]).tokens)
    print(f"{asked.model or asked.shape}: {cost} tokens in, {asked.tokens} out")
    print("callers  calls/s  first p50 s  whole p50 s  whole p95 s  tokens/s")
    for callers in asked.callers:
        begun = time.perf_counter()
        calls = measure(model, picture, callers, callers * asked.calls, asked.tokens)
        spent = time.perf_counter() - begun
        firsts, wholes = sorted(call.first for call in calls), sorted(call.whole for call in calls)
        print(
            f"{callers:7}  {len(calls) / spent:7.2f}  {statistics.median(firsts):11.2f}  "
            f"{statistics.median(wholes):11.2f}  {wholes[int(0.95 * (len(wholes) - 1))]:11.2f}  "
            f"{len(calls) * asked.tokens / spent:8.0f}",
            flush=True,
        )
    model.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
