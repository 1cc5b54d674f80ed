"""Presets, limits, and the noise levels: compared with what diffusers' own scheduler says."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.engines.contract import Manner
from sampan.engines.qwen_image.recipe import PRESETS, lightning_steps, preset_named, settle, sigmas
from sampan.errors import ConfigError, InvalidRequest

LORAS = {"lightning": "/loras/Qwen-Image-Lightning-4steps-V2.0.safetensors", "ink": "/loras/ink.safetensors"}
QWEN = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 8192,
    "max_shift": 0.9,
    "shift_terminal": 0.02,
    "time_shift_type": "exponential",
    "use_dynamic_shifting": True,
}


def test_presets_and_what_openai_calls_them() -> None:
    assert [settle(Manner(quality=q), "balanced", {}).preset for q in ("low", "medium", "high", "auto", "")] == [
        "fast",
        "balanced",
        "best",
        "balanced",
        "balanced",
    ]
    named = settle(Manner(quality="low", preset="best"), "balanced", {})
    assert (named.preset, named.quality, named.steps, named.guidance) == ("best", "high", 50, 4.0)
    assert settle(Manner(), "fast", {}).loras == ()
    fast = settle(Manner(preset="fast"), "balanced", LORAS)
    assert (fast.steps, fast.guidance, fast.loras, fast.lightning) == (4, 1.0, (("lightning", 1.0),), True)


def test_what_a_caller_says_stands_over_the_preset() -> None:
    said = Manner(preset="fast", steps=6, guidance=2.5, negative_prompt="fog", strength=0.3, loras={"ink": 0.5})
    recipe = settle(said, "balanced", LORAS)
    assert (recipe.steps, recipe.guidance, recipe.negative_prompt, recipe.strength) == (6, 2.5, "fog", 0.3)
    assert recipe.loras == (("ink", 0.5), ("lightning", 1.0))
    assert settle(Manner(preset="fast", loras={"lightning": 0.7}), "best", LORAS).loras == (("lightning", 0.7),)


def test_guidance_ends_where_the_preset_says() -> None:
    balanced = settle(Manner(steps=5), "balanced", {})
    assert [balanced.guides(step) for step in range(5)] == [True, True, True, False, False]
    assert all(settle(Manner(steps=5), "best", {}).guides(step) for step in range(5))
    assert not settle(Manner(guidance=1), "best", {}).guides(0)


@pytest.mark.parametrize(
    ("manner", "field", "words"),
    [
        (Manner(preset="quick"), "preset", "fast, balanced, best"),
        (Manner(steps=0), "steps", "from 1 to 100"),
        (Manner(steps=101), "steps", "from 1 to 100"),
        (Manner(guidance=21), "guidance", "from 0 to 20"),
        (Manner(guidance=float("nan")), "guidance", "from 0 to 20"),
        (Manner(strength=0), "strength", "more than 0"),
        (Manner(strength=float("nan")), "strength", "more than 0"),
        (Manner(loras={"oil": 1}), "lora", "no 'oil' here; there is ink, lightning"),
        (Manner(loras={"ink": 5}), "lora", "from -4 to 4"),
        (Manner(loras={"ink": float("nan")}), "lora", "from -4 to 4"),
        (Manner(loras=dict.fromkeys("abcde", 1.0)), "lora", "at most 4"),
    ],
)
def test_limits_are_named(manner: Manner, field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        settle(manner, "balanced", LORAS)
    assert caught.value.param == field


def test_a_preset_of_the_configuration_is_checked() -> None:
    assert preset_named("fast") is PRESETS["fast"]
    with pytest.raises(ConfigError, match="preset: 'slow' is none of fast, balanced, best"):
        preset_named("slow")


def test_a_lightning_file_says_for_how_many_steps_it_is() -> None:
    assert lightning_steps("Qwen-Image-Lightning-8steps-V1.1-bf16.safetensors") == 8
    assert lightning_steps("/a/12steps/edit-4step.safetensors") == 4
    assert lightning_steps("plain.safetensors") == 8
    assert lightning_steps("0steps.safetensors") == 1


def test_levels_of_lightning_are_those_it_was_made_with() -> None:
    recipe = settle(Manner(preset="fast", steps=8), "fast", LORAS)
    levels = [1, 0.955, 0.9, 0.833, 0.75, 0.643, 0.5, 0.3, 0]
    assert sigmas(recipe, 4096, QWEN) == pytest.approx(levels, abs=6e-4)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 100),
    tokens=st.integers(16, 32_000),
    kind=st.sampled_from(["exponential", "linear"]),
    dynamic=st.booleans(),
    terminal=st.sampled_from([None, 0.02]),
)
def test_levels_are_those_of_the_library(steps: int, tokens: int, kind: str, dynamic: bool, terminal: float) -> None:
    """One step is the exception: stretching a single level divides by nothing, and the library answers NaN."""
    library = import_module("diffusers")
    calculate_shift = import_module("diffusers.pipelines.qwenimage.pipeline_qwenimage").calculate_shift
    told = {**QWEN, "time_shift_type": kind, "use_dynamic_shifting": dynamic, "shift_terminal": terminal, "shift": 1.5}
    scheduler = library.FlowMatchEulerDiscreteScheduler(**told)
    mine = sigmas(settle(Manner(preset="best", steps=steps), "best", {}), tokens, told)
    assert mine[-1] == 0
    if steps == 1:
        assert mine == [1.0, 0.0]
        return
    shift = calculate_shift(tokens, 256, 8192, 0.5, 0.9)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=shift)
    assert mine == pytest.approx(scheduler.sigmas.tolist(), abs=2e-5)
