"""The parts of Qwen-Image that can be exported: the transformer, and the decoder of the VAE.

The transformer's own rotary positions are complex numbers, which ONNX has not. For the export they are multiplied out
in real numbers, and come in as inputs: then no length is written into the graph, and one export serves all sizes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sampan.engines.export.converting import Draft, Sample
from sampan.engines.export.manifest import ExportError

_BATCH, _IMAGE, _TEXT = "pictures", "patches", "words"


@contextmanager
def transformer(folder: Path) -> Iterator[Draft]:
    """The transformer, ready to be exported. Inside, diffusers' functions for it are the ones for export.

    Raises `ExportError` for a variant whose graph depends on more than its inputs.
    """
    from diffusers.models.transformers import transformer_qwenimage as library

    settings = _settings(folder / "transformer", "QwenImageTransformer2DModel")
    for flag, why in _VARIANTS.items():
        if settings.get(flag):
            raise ExportError(f"its transformer has {flag}: {why}")
    model = _load(library.QwenImageTransformer2DModel, folder / "transformer")
    samples = [
        _pass(model, pictures=2, shapes=[(1, 8, 6)], words=40),
        _pass(model, pictures=1, shapes=[(1, 8, 8)], words=17),
        _pass(model, pictures=1, shapes=[(1, 8, 8), (1, 12, 6)], words=23),
    ]
    kept = library.apply_rotary_emb_qwen, library.compute_text_seq_len_from_mask
    library.apply_rotary_emb_qwen = _rotate
    library.compute_text_seq_len_from_mask = lambda states, mask: (states.shape[1], None, mask)
    try:
        yield Draft(
            name="transformer",
            module=_with_positions(model),
            outputs=("sample",),
            free={
                "hidden_states": {0: _BATCH, 1: _IMAGE},
                "encoder_hidden_states": {0: _BATCH, 1: _TEXT},
                "mask": {0: _BATCH, 1: _TEXT},
                "timestep": {0: _BATCH},
                "image_rope": {0: _IMAGE},
                "text_rope": {0: _TEXT},
            },
            samples=samples,
            settings=settings,
        )
    finally:
        library.apply_rotary_emb_qwen, library.compute_text_seq_len_from_mask = kept


_VARIANTS = {
    "zero_cond_t": "which patches belong to a source picture is computed in Python from its size; run it with torch",
    "guidance_embeds": "its pipelines do not give it the guidance that it wants; run it with torch",
    "use_additional_t_cond": "a second condition of time is not among the inputs of an export; run it with torch",
    "use_layer3d_rope": "layers have positions of their own; run it with torch",
}


@contextmanager
def decoder(folder: Path) -> Iterator[Draft]:
    """The decoder of the VAE, ready to be exported; for one frame, which is what a picture is."""
    import torch
    from diffusers import AutoencoderKLQwenImage

    settings = _settings(folder / "vae", "AutoencoderKLQwenImage")
    model = _load(AutoencoderKLQwenImage, folder / "vae")
    dice = torch.Generator().manual_seed(0)

    def sample(pictures: int, height: int, width: int) -> Sample:
        latents = torch.randn(pictures, settings["z_dim"], 1, height, width, generator=dice)
        with torch.no_grad():
            return Sample({"latents": latents}, (model.decode(latents, return_dict=False)[0],))

    yield Draft(
        name="vae-decoder",
        module=_decoding(model),
        outputs=("sample",),
        free={"latents": {0: _BATCH, 3: "height", 4: "width"}},
        samples=[sample(2, 12, 8), sample(1, 8, 8), sample(1, 6, 20)],
        settings=settings,
    )


PARTS: Mapping[str, Callable[[Path], Any]] = {"transformer": transformer, "vae-decoder": decoder}
REFUSED = {
    "text_encoder": "the pipelines read its hidden states, one layer before its answer; it stays with torch",
    "vae-encoder": "it is used once for a source picture and is no bottleneck; it stays with torch",
}


def _settings(folder: Path, wanted: str) -> dict[str, Any]:
    try:
        told = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder}/config.json cannot be read ({type(error).__name__})") from None
    if told.get("_class_name") != wanted:
        raise ExportError(f"its {folder.name} is a {told.get('_class_name')}; only a {wanted} can be exported")
    return {name: value for name, value in told.items() if not name.startswith("_")}


def _load(kind: Any, folder: Path) -> Any:
    import torch

    # On CPUs without bf16 arithmetic fp32 is several times faster, and it is what both run times know best.
    return kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def _rotate(x: Any, frequencies: Any, use_real: bool = False, use_real_unbind_dim: int = -1) -> Any:
    """`apply_rotary_emb_qwen` without complex numbers: x is [pictures, tokens, heads, size], frequencies
    [tokens, size / 2, 2] with cosine and sine last."""
    import torch

    real, imaginary = x.float().reshape(*x.shape[:-1], -1, 2).unbind(-1)
    cosine, sine = frequencies[:, None, :, 0], frequencies[:, None, :, 1]
    turned = torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], -1)
    return turned.flatten(3).type_as(x)


def _pass(model: Any, *, pictures: int, shapes: list[tuple[int, int, int]], words: int) -> Sample:
    """One pass of the model as the library has it, with random inputs; the last three words are padding, masked."""
    import torch

    dice = torch.Generator().manual_seed(words)
    image, text = model.pos_embed([shapes], max_txt_seq_len=words, device=torch.device("cpu"))
    mask = torch.ones(pictures, words, dtype=torch.bool)
    mask[:, -3:] = False
    given = {
        "hidden_states": torch.randn(pictures, image.shape[0], model.config.in_channels, generator=dice),
        "encoder_hidden_states": torch.randn(pictures, words, model.config.joint_attention_dim, generator=dice),
    }
    timestep = torch.rand(pictures, generator=dice)
    with torch.no_grad():
        made = model(
            **given,
            encoder_hidden_states_mask=mask,
            timestep=timestep,
            img_shapes=[shapes] * pictures,
            return_dict=False,
        )
    rope = {"image_rope": torch.view_as_real(image), "text_rope": torch.view_as_real(text)}
    return Sample({**given, "mask": mask, "timestep": timestep, **rope}, made)


def _with_positions(model: Any) -> Any:
    """The transformer as a module that is given its positions."""
    import torch

    class Given(torch.nn.Module):  # type: ignore[misc]
        """In the place of the module that computes the positions: hands out what it was given for this pass."""

        pair: Any = None

        def forward(self, *shapes: Any, **lengths: Any) -> Any:
            return self.pair

    class Pass(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            model.pos_embed = Given()
            self.model = model

        def forward(self, states: Any, words: Any, mask: Any, timestep: Any, image_rope: Any, text_rope: Any) -> Any:
            self.model.pos_embed.pair = (image_rope, text_rope)
            made = self.model(
                hidden_states=states,
                encoder_hidden_states=words,
                encoder_hidden_states_mask=mask,
                timestep=timestep,
                img_shapes=None,
                return_dict=False,
            )[0]
            self.model.pos_embed.pair = None
            return made

    return Pass()


def _decoding(model: Any) -> Any:
    """The VAE as a module whose call decodes."""
    import torch

    class Decoding(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, latents: Any) -> Any:
            return self.model.decode(latents, return_dict=False)[0]

    return Decoding()
