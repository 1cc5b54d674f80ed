"""How fast Qwen-Image draws: seconds of one picture by preset, and of callers at once.

    python -m bench.qwen_image --shape 20b --device cuda    random weights of Qwen-Image's size, no files
    python -m bench.qwen_image --model DIR --loras lightning=FILE    a checkpoint
    python -m bench.qwen_image --shape tiny --device cpu    the tiny checkpoint: our own overhead

A call is the whole of it but HTTP: the prompt read, all steps, the VAE, the PNG. What the first-block cache spares
depends on the weights: with random ones `passes` says how many whole passes there were.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch

from bench.qwen_vl import large as large_encoder
from sampan.config import ModelSettings
from sampan.engines.contract import Manner, Order
from sampan.engines.options import Options
from sampan.engines.qwen_image import QwenImage
from sampan.engines.qwen_image.checkpoint import GENERATES, Checkpoint
from sampan.engines.qwen_image.loading import Model, Parts, load
from sampan.engines.qwen_image.recipe import LIGHTNING, PRESETS
from sampan.engines.qwen_image.residence import Residence
from sampan.engines.tiny import make

# Qwen/Qwen-Image, scheduler/scheduler_config.json.
_SCHEDULE = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 8192,
    "max_shift": 0.9,
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "shift_terminal": 0.02,
    "time_shift_type": "exponential",
    "use_dynamic_shifting": True,
}
_RANK = 64  # of Qwen-Image-Lightning
_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "net.2"]
_PROMPT = "A small red sampan on a wide river at dawn, mist over the water, mountains behind it, ink and wash"


@dataclass(frozen=True, slots=True)
class Result:
    """One line: `seconds` is the median of a picture, `passes` whole passes of the transformer for it, `gib` the most
    memory that was in use."""

    preset: str
    size: str
    callers: int
    steps: int
    seconds: float
    fastest: float
    pictures_per_minute: float
    passes: float
    gib: float


def large(options: Options) -> Parts:
    """Random weights of Qwen-Image's shape (20.4 B, and a text encoder of 8.3 B), made on the device."""
    settings = options.settings
    device = torch.device(settings.device)
    encoder = large_encoder(settings)
    with torch.device("meta"):
        transformer = diffusers.QwenImageTransformer2DModel()
        vae = diffusers.AutoencoderKLQwenImage()
    for part in (transformer, vae):
        part.to(torch.bfloat16).to_empty(device=device).eval().requires_grad_(False)
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    # Frequencies are computed when the module is made, and were not on "meta".
    with torch.device(device):
        axes = list(transformer.config.axes_dims_rope)
        transformer.pos_embed = type(transformer.pos_embed)(theta=10000, axes_dim=axes, scale_rope=True)
    loras = _lightning(transformer)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**_SCHEDULE)
    pipe = diffusers.QwenImagePipeline(scheduler, vae, encoder.model, encoder.tokenizer, transformer)
    if settings.compile:
        transformer.compile_repeated_blocks()
    checkpoint = Checkpoint(Path(), GENERATES, "random weights", "", {}, "BF16")
    residence = Residence(device, moves=False)
    model = Model("draw", checkpoint, pipe, transformer, dict(scheduler.config), loras)
    return Parts({"draw": model}, vae, device, torch.bfloat16, residence, "none")


def _lightning(transformer: Any) -> frozenset[str]:
    from peft import LoraConfig  # noqa: PLC0415

    transformer.add_adapter(LoraConfig(r=_RANK, lora_alpha=_RANK, target_modules=_TARGETS), adapter_name=LIGHTNING)
    transformer.disable_lora()
    return frozenset({LIGHTNING})


def measure(engine: QwenImage, order: Order, callers: int, calls: int) -> list[float]:
    """Seconds of each of `calls` pictures, by so many callers at once."""
    left = threading.Semaphore(calls)
    seconds: list[float] = []

    def ask() -> None:
        while left.acquire(blocking=False):
            begun = time.perf_counter()
            list(engine.generate(order, lambda: False))
            seconds.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


def run(engine: QwenImage, order: Order, callers: int, calls: int) -> Result:
    """One line of the table, after a picture that is not counted."""
    recipe = engine.settled(order)
    measure(engine, order, 1, 1)
    ran: list[int] = []
    last = engine.parts.models["draw"].transformer.transformer_blocks[-1].img_mlp
    handle = last.register_forward_pre_hook(lambda *_: ran.append(1))
    accelerated = engine.parts.accelerated
    if accelerated:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    seconds = measure(engine, order, callers, calls)
    whole = time.perf_counter() - begun
    handle.remove()
    gib = torch.cuda.max_memory_allocated() / 2**30 if accelerated else 0.0
    return Result(
        recipe.preset,
        order.size,
        callers,
        recipe.steps,
        round(statistics.median(seconds), 3),
        round(min(seconds), 3),
        round(60 * calls / whole, 1),
        round(len(ran) / calls, 1),
        round(gib, 1),
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.qwen_image", description="How fast Qwen-Image draws.")
    parser.add_argument("--shape", choices=["tiny", "20b"], default="tiny", help="random weights of this size")
    parser.add_argument("--model", default="", help="a checkpoint's folder instead")
    parser.add_argument("--loras", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quantization", default="none", help="of a checkpoint")
    parser.add_argument("--size", default="", help="WIDTHxHEIGHT; by default 1024x1024, or 128x128 of the tiny one")
    parser.add_argument("--presets", nargs="*", default=list(PRESETS))
    parser.add_argument("--steps", type=int, default=None, help="instead of the preset's own")
    parser.add_argument("--callers", nargs="*", type=int, default=[1])
    parser.add_argument("--calls", type=int, default=3, help="pictures of each line")
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args(argv)
    device = asked.device if asked.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    settings = ModelSettings(
        model=asked.model,
        device=device,
        quantization=asked.quantization,
        compile=asked.compile,
        loras=dict(pair.split("=", 1) for pair in asked.loras),
    )
    large_shape = asked.shape == "20b" and not asked.model
    size = asked.size or ("128x128" if asked.shape == "tiny" and not asked.model else "1024x1024")
    with tempfile.TemporaryDirectory() as folder:
        if not asked.model:
            tiny = "random" if large_shape else str(make("qwen-image", Path(folder)))
            settings = replace(settings, model=tiny, sizes=[size])
        engine = QwenImage(Options(settings=settings), load=large if large_shape else load)
        begun = time.perf_counter()
        engine.warm_up()
        print(f"warm after {time.perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)
        for preset in asked.presets:
            order = Order(_PROMPT, size=size, seed=1, manner=Manner(preset=preset, steps=asked.steps))
            for callers in asked.callers:
                result = run(engine, order, callers, max(callers, asked.calls))
                print(json.dumps(asdict(result)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
