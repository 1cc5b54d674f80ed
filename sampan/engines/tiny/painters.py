"""The tiny Qwen-Image checkpoints, in the layout of a diffusers pipeline, and two LoRAs for their transformer.

`qwen-image` and `qwen-image-edit` hold the same weights, as drawn from the same seed. Only the transformer, the
text encoder and the VAE are smaller than the real ones: channels, patches and factors (16 latent channels, 8 pixels to
a latent, 2 latents to a patch) are the real ones, so every size means the same. A picture is colourful noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sampan.engines.tiny import tokens
from sampan.engines.tiny.talkers import TALKERS, build, preprocessor, save_words
from sampan.engines.tiny.tokens import write_json

_ENCODER = TALKERS["qwen2.5-vl"]
_HEADS, _HEAD = 2, 32
_LAYERS = 2
_RANK = 4


def make_picture(into: Path, seed: int) -> None:
    """Writes a checkpoint for `QwenImagePipeline`."""
    _write_parts(into, seed)
    write_json(into / "model_index.json", {"_class_name": "QwenImagePipeline"} | _PARTS)


def make_edit(into: Path, seed: int) -> None:
    """Writes a checkpoint for `QwenImageEditPlusPipeline`: the same weights, and a processor for pictures."""
    _write_parts(into, seed)
    processor = into / "processor"
    processor.mkdir()
    save_words(_ENCODER, tokens.train(_ENCODER.specials), processor)
    write_json(processor / "preprocessor_config.json", preprocessor(_ENCODER))
    index = {"_class_name": "QwenImageEditPlusPipeline"} | _PARTS
    write_json(into / "model_index.json", index | {"processor": ["transformers", "Qwen2VLProcessor"]})


_PARTS = {
    "_diffusers_version": "0.36.0",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "QwenImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKLQwenImage"],
}


def _write_parts(into: Path, seed: int) -> None:
    import diffusers
    import torch

    vocabulary = tokens.train(_ENCODER.specials)
    encoder = build(_ENCODER, vocabulary, seed)
    encoder.to(torch.bfloat16).save_pretrained(into / "text_encoder", max_shard_size="1MB")
    (into / "tokenizer").mkdir()
    save_words(_ENCODER, vocabulary, into / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer, vae = _transformer(), _vae()
    for model in (transformer, vae):  # the models' own `to` warns, and for nothing
        torch.nn.Module.to(model, torch.bfloat16)
    transformer.save_pretrained(into / "transformer", max_shard_size="400KB")
    vae.save_pretrained(into / "vae")
    diffusers.FlowMatchEulerDiscreteScheduler(**_SCHEDULE).save_pretrained(into / "scheduler")


# The scheduler_config.json of Qwen-Image.
_SCHEDULE: dict[str, Any] = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "invert_sigmas": False,
    "max_image_seq_len": 8192,
    "max_shift": 0.9,
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "shift_terminal": 0.02,
    "stochastic_sampling": False,
    "time_shift_type": "exponential",
    "use_beta_sigmas": False,
    "use_dynamic_shifting": True,
    "use_exponential_sigmas": False,
    "use_karras_sigmas": False,
}


def _transformer() -> Any:
    import diffusers

    return _spread(
        diffusers.QwenImageTransformer2DModel(
            num_layers=_LAYERS,
            attention_head_dim=_HEAD,
            num_attention_heads=_HEADS,
            joint_attention_dim=128,
            axes_dims_rope=(8, 12, 12),
        )
    )


def _vae() -> Any:
    """Four channels and one block to a level: a CPU without bf16 arithmetic convolves 512x512 in a second."""
    import diffusers

    return _spread(diffusers.AutoencoderKLQwenImage(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1))


def _spread(model: Any) -> Any:
    """Weights under which what goes in still tells in what comes out; the libraries' own shrink it at every layer."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            elif name.endswith("bias"):
                torch.nn.init.zeros_(parameter)
    return model.eval()


def make_lightning(into: Path, seed: int) -> None:
    """Writes a LoRA as Qwen-Image-Lightning comes: `lora_down`, `lora_up` and `alpha`, on attention and MLP."""
    import torch

    weights: dict[str, Any] = {}
    for name, down, up in _adapters(seed, ("to_q", "to_k", "to_v", "to_out.0", "net.2")):
        weights |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        weights[f"{name}.alpha"] = torch.tensor(float(_RANK))
    _write_lora(weights, into)


def make_style(into: Path, seed: int) -> None:
    """Writes a LoRA as diffusers saves one: `transformer.…lora_A` and `lora_B`, on attention."""
    weights: dict[str, Any] = {}
    for name, down, up in _adapters(seed + 1, ("to_q", "to_k", "to_v")):
        weights |= {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}
    _write_lora(weights, into)


def _adapters(seed: int, ends: tuple[str, ...]) -> Iterator[tuple[str, Any, Any]]:
    """The name of each layer of the blocks that ends so, with the two factors of what is added to it."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    layers = dict(_transformer().transformer_blocks.named_modules())
    for name, layer in layers.items():
        if name.endswith(ends) and hasattr(layer, "weight"):
            outputs, inputs = layer.weight.shape
            down = torch.randn(_RANK, inputs, generator=draw) * inputs**-0.5
            up = torch.randn(outputs, _RANK, generator=draw) * 0.5
            yield f"transformer_blocks.{name}", down.bfloat16(), up.bfloat16()


def _write_lora(weights: Mapping[str, Any], into: Path) -> None:
    from safetensors.torch import save_file

    save_file(dict(weights), into / "pytorch_lora_weights.safetensors", metadata={"format": "pt"})


PAINTERS: Mapping[str, Callable[[Path, int], None]] = {
    "qwen-image": make_picture,
    "qwen-image-edit": make_edit,
    "qwen-image-lightning": make_lightning,
    "qwen-image-style": make_style,
}
