"""How a picture is drawn: the presets, what a caller may change of them, and the noise levels of each step.

A **recipe** is settled before anything is drawn. Steps are forward passes of the transformer, twice each where the
prompt guides them (classifier-free guidance: once with the prompt, once without); so the cost of a picture is
`steps * (1 + guided)`. vLLM-Omni's documentation has 50 guided steps at 1024x1024 at 20 s on an H800: 0.2 s a pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sampan.engines.contract import Manner
from sampan.errors import ConfigError, InvalidRequest

STEPS_MOST = 100
GUIDANCE_MOST = 20.0
LORAS_MOST = 4
WEIGHT_MOST = 4.0
LIGHTNING = "lightning"


@dataclass(frozen=True, slots=True)
class Preset:
    """`guided` is the share of the steps, from the first on, that follow the guidance: what a picture is of is settled
    early. `cache` is the threshold of the first-block cache, 0 for none. `quality` is what OpenAI calls it."""

    name: str
    quality: str
    steps: int
    guidance: float
    guided: float = 1.0
    cache: float = 0.0


# `fast` is for Lightning, a LoRA that was distilled to need few steps and no guidance. The cache's threshold lies a
# little above diffusers' default of 0.05. Neither it nor `guided` was tried on real weights yet.
PRESETS = MappingProxyType(
    {
        "fast": Preset("fast", "low", steps=8, guidance=1.0),
        "balanced": Preset("balanced", "medium", steps=20, guidance=4.0, guided=0.5, cache=0.08),
        "best": Preset("best", "high", steps=50, guidance=4.0),
    }
)
_QUALITIES = {"low": "fast", "medium": "balanced", "high": "best", "hd": "best"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a call settled on. `loras` in the order of their names; `shift` the noise schedule that Lightning learnt."""

    preset: str
    quality: str
    steps: int
    guidance: float
    guided: float
    cache: float
    negative_prompt: str
    strength: float | None
    loras: tuple[tuple[str, float], ...]
    lightning: bool

    def guides(self, step: int) -> bool:
        """Whether a step, counted from 0, follows the guidance."""
        return self.guidance > 1 and step < math.ceil(self.steps * self.guided)


def preset_named(name: str, field: str = "preset") -> Preset:
    """Raises `ConfigError` for a name in the configuration that is none."""
    if name not in PRESETS:
        raise ConfigError(f"{field}: {name!r} is none of {', '.join(PRESETS)}")
    return PRESETS[name]


def settle(manner: Manner, usual: str, known: Mapping[str, str]) -> Recipe:
    """A call's recipe. `usual` is the preset of one that names none, `known` the LoRA files by name.

    Raises `InvalidRequest` naming the field.
    """
    name = manner.preset or _QUALITIES.get(manner.quality, usual)
    if name not in PRESETS:
        raise InvalidRequest(f"must be one of {', '.join(PRESETS)}", param="preset")
    preset = PRESETS[name]
    lightning = preset.name == "fast" and LIGHTNING in known
    steps = preset.steps if not lightning else lightning_steps(known[LIGHTNING])
    loras = dict(_loras(manner.loras, known))
    if lightning:
        loras.setdefault(LIGHTNING, 1.0)
    return Recipe(
        preset=preset.name,
        quality=preset.quality,
        steps=_within(manner.steps, "steps", 1, STEPS_MOST, steps),
        guidance=_within(manner.guidance, "guidance", 0.0, GUIDANCE_MOST, preset.guidance),
        guided=preset.guided,
        cache=preset.cache,
        negative_prompt=manner.negative_prompt or " ",  # an empty one would leave the guidance out
        strength=None if manner.strength is None else _strength(manner.strength),
        loras=tuple(sorted(loras.items())),
        lightning=lightning or LIGHTNING in loras,
    )


def lightning_steps(file: str) -> int:
    """For how many steps a Lightning file is made: it says so in its name."""
    found = re.search(r"(\d+)[-_]?steps?", Path(file).name, re.IGNORECASE)
    return max(1, min(STEPS_MOST, int(found[1]))) if found else PRESETS["fast"].steps


def _loras(asked: Mapping[str, float], known: Collection[str]) -> Mapping[str, float]:
    if len(asked) > LORAS_MOST:
        raise InvalidRequest(f"at most {LORAS_MOST} of them at once", param="lora")
    for name, weight in asked.items():
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise InvalidRequest(f"there is no {name[:60]!r} here; there is {there}", param="lora")
        if not abs(weight) <= WEIGHT_MOST:
            raise InvalidRequest(f"a weight is from -{WEIGHT_MOST:g} to {WEIGHT_MOST:g}", param="lora")
    return asked


def _strength(value: float) -> float:
    if not 0 < value <= 1:
        raise InvalidRequest("must be more than 0 (nothing changes) and at most 1 (all does)", param="strength")
    return value


def _within(value: float | None, name: str, least: float, most: float, usual: float) -> Any:
    if value is None:
        return usual
    if not least <= value <= most:
        raise InvalidRequest(f"must be from {least:g} to {most:g}", param=name)
    return value


def sigmas(recipe: Recipe, tokens: int, scheduler: Mapping[str, Any]) -> list[float]:
    """The noise level before each step and after the last, 1 being noise and nothing else.

    `tokens` is the picture's area in patches: larger pictures stay noisy for longer. `scheduler` is the checkpoint's
    scheduler_config.json. Source: diffusers 0.42 `FlowMatchEulerDiscreteScheduler.set_timesteps` as its QwenImage
    pipelines call it; Lightning's own schedule is a shift of 3, without a stretch to a last level.
    """
    steps = recipe.steps
    levels = [1 - step / steps for step in range(steps)]
    if recipe.lightning:
        mu, last = math.log(3), 0.0
    else:
        least, most = scheduler.get("base_image_seq_len", 256), scheduler.get("max_image_seq_len", 4096)
        low, high = scheduler.get("base_shift", 0.5), scheduler.get("max_shift", 1.15)
        mu = low + (high - low) / (most - least) * (tokens - least)
        last = scheduler.get("shift_terminal") or 0.0
    levels = [_shifted(level, mu, recipe.lightning, scheduler) for level in levels]
    if last and steps > 1:
        scale = (1 - levels[-1]) / (1 - last)
        levels = [1 - (1 - level) / scale for level in levels]
    return [*levels, 0.0]


def _shifted(level: float, mu: float, lightning: bool, scheduler: Mapping[str, Any]) -> float:
    if not lightning and not scheduler.get("use_dynamic_shifting", False):
        shift = scheduler.get("shift", 1.0)
        return float(shift * level / (1 + (shift - 1) * level))
    linear = not lightning and scheduler.get("time_shift_type", "exponential") == "linear"
    shift = mu if linear else math.exp(mu)
    return shift / (shift + (1 / level - 1))
