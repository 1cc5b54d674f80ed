"""Runs exported parts: a network by its file, and stand-ins for the modules of a pipeline or a model.

Into a diffusers pipeline they go as `pipeline.transformer = open_transformer(folder, "onnx")` and
`pipeline.vae.decode = open_decoder(folder, "onnx")`, where `folder` is the checkpoint's.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sampan.engines.export.manifest import ExportError, Part, Target, beside, read, verify


def quiet_openvino() -> None:
    """Keeps OpenVINO from reporting its use: its own package for that cannot be imported in this process.

    `import openvino` already sends an event through `openvino_telemetry` where that is installed
    (openvino/tools/ovc/__init__.py); without it, it falls back on a stub of its own.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


class Network:
    """A network in ONNX Runtime or OpenVINO, in fp32. Arrays go in and come out by name; many threads may call it.

    `threads` is for one call (None: as the library likes it), `providers` ONNX Runtime's list of devices.
    """

    def __init__(
        self,
        path: Path,
        to: Target,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._run = _in_openvino(path, threads) if to == "openvino" else _in_onnxruntime(path, threads, providers)

    def run(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """What the network makes of its inputs. Raises `KeyError` for one that is not given."""
        made = self._run({name: arrays[name] for name in self.inputs}, self.outputs)
        return dict(zip(self.outputs, made, strict=True))


def _in_onnxruntime(path: Path, threads: int | None, providers: Sequence[str]) -> Any:
    import onnxruntime

    runtime: Any = onnxruntime
    runtime.disable_telemetry_events()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # cores are shared with other engines
    if threads is not None:
        options.intra_op_num_threads = threads
    session = runtime.InferenceSession(path, options, providers=list(providers))
    return lambda arrays, outputs: session.run(list(outputs), arrays)


def _in_openvino(path: Path, threads: int | None) -> Any:
    quiet_openvino()
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(path, "CPU", settings)

    def run(arrays: dict[str, Any], outputs: Sequence[str]) -> list[Any]:
        made = compiled.create_infer_request().infer(arrays)  # one request may not be used by two threads
        return [made[name].copy() for name in outputs]

    return run


def open_part(
    folder: Path,
    name: str,
    *,
    threads: int | None = None,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    check: bool = True,
) -> tuple[Part, Network]:
    """Opens a part of an export; with `check` its files are hashed first.

    Raises `ExportError` for an export that lacks the part, is damaged, or cannot be loaded.
    """
    manifest = read(folder)
    part = manifest.part(name)
    if check:
        verify(part, folder)
    path = folder / part.files[0].path
    try:
        return part, Network(path, manifest.to, part.inputs, part.outputs, threads=threads, providers=providers)
    except ImportError as error:
        raise ExportError(f"an export to {manifest.to} needs the package {error.name}") from error
    except Exception as error:  # ONNX Runtime and OpenVINO have kinds of their own, and share none
        raise ExportError(f"{path} could not be loaded: {str(error).strip()[:200]}") from error


def open_transformer(model: Path, to: Target, transformer: Any = None, **given: Any) -> Transformer:
    """The transformer as it was exported beside the checkpoint in the folder `model`, to stand for `transformer`.

    `given` is for `open_part`. Raises `ExportError` where there is no export, or one of another model.
    """
    part, network = _open_beside(model, to, "transformer", given)
    for name, value in part.settings.items():
        other = getattr(transformer.config, name, value) if transformer is not None else value
        if (list(other) if isinstance(other, tuple) else other) != value:
            raise ExportError(f"{beside(model, to)} is the export of another model: its {name} is {value}, not {other}")
    return Transformer((part, network))


def open_decoder(model: Path, to: Target, **given: Any) -> Decoder:
    """The decoder of the VAE as it was exported beside the checkpoint in the folder `model`; see `open_transformer`."""
    return Decoder(_open_beside(model, to, "vae-decoder", given))


def open_text(model: Path, to: Target, **given: Any) -> SlotText:
    """The language model as it was exported beside the checkpoint in the folder `model`; see `open_transformer`."""
    return SlotText(_open_beside(model, to, "text", given))


def _open_beside(model: Path, to: Target, name: str, given: Mapping[str, Any]) -> tuple[Part, Network]:
    folder = beside(model, to)
    if not folder.is_dir():
        raise ExportError(f"{model} was not exported: there is no {folder}; run `sampan models export --to {to}`")
    return open_part(folder, name, **given)


class Transformer:
    """Stands where a pipeline has its `QwenImageTransformer2DModel`: the same call, the same answer.

    The rotary positions of the picture and the text are computed by diffusers' own code, which has no weights, and
    given to the network as numbers: one export serves every size and any number of source pictures.
    """

    def __init__(self, opened: tuple[Part, Network]) -> None:
        from diffusers.models.transformers.transformer_qwenimage import QwenEmbedRope

        part, self._network = opened
        self.config = SimpleNamespace(**part.settings)
        self._rope = QwenEmbedRope(theta=10000, axes_dim=list(self.config.axes_dims_rope), scale_rope=True)

    @property
    def dtype(self) -> Any:
        import torch

        return torch.float32

    @contextlib.contextmanager
    def cache_context(self, name: str) -> Iterator[None]:
        """Pipelines name the pass they make, for caches of blocks; there are no blocks to cache here."""
        yield

    def __call__(
        self,
        hidden_states: Any,
        encoder_hidden_states: Any,
        encoder_hidden_states_mask: Any = None,
        timestep: Any = None,
        img_shapes: Any = None,
        **ignored: Any,
    ) -> Any:
        """One pass over `hidden_states`, [pictures, patches, channels]; returns a tuple of one tensor like it."""
        import torch

        rows, length = encoder_hidden_states.shape[:2]
        mask = encoder_hidden_states_mask
        if mask is None:
            mask = torch.ones(rows, length, dtype=torch.bool)
        image, text = self._rope(img_shapes, max_txt_seq_len=length, device=torch.device("cpu"))
        made = self._network.run(
            {
                "hidden_states": _array(hidden_states),
                "encoder_hidden_states": _array(encoder_hidden_states),
                "mask": mask.bool().cpu().numpy(),
                "timestep": _array(timestep),
                "image_rope": torch.view_as_real(image).numpy(),
                "text_rope": torch.view_as_real(text).numpy(),
            }
        )
        return (_tensor(made["sample"], hidden_states),)


class Decoder:
    """Stands where `pipeline.vae.decode` is: latents, [pictures, channels, 1, height, width], become pixels."""

    def __init__(self, opened: tuple[Part, Network]) -> None:
        self._network = opened[1]

    def __call__(self, latents: Any, return_dict: bool = True) -> Any:
        made = _tensor(self._network.run({"latents": _array(latents)})["sample"], latents)
        return SimpleNamespace(sample=made) if return_dict else (made,)


class TextModel:
    """Stands in for the call of a Qwen-VL's language model: `model.model.language_model.forward = TextModel(…)`.

    Takes a `DynamicCache`, which stays the library's own, and a mask of padding, [rows, all tokens], as `generate`
    gives them.
    """

    def __init__(self, opened: tuple[Part, Network]) -> None:
        part, self._network = opened
        self._layers: int = part.settings["layers"]
        self._deep: int = part.settings["deep"]
        self._heads: int = part.settings["heads"]
        self._size: int = part.settings["size"]

    def __call__(
        self,
        inputs_embeds: Any,
        position_ids: Any,
        past_key_values: Any,
        attention_mask: Any = None,
        visual_pos_masks: Any = None,
        deepstack_visual_embeds: Any = (),
        **ignored: Any,
    ) -> Any:
        """One pass over [rows, tokens, width]; returns the states like it, and adds to the cache."""
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPast

        rows, tokens, _ = inputs_embeds.shape
        known = past_key_values.get_seq_length()
        if attention_mask is None:
            attention_mask = torch.ones(rows, known + tokens)
        floor = torch.finfo(torch.float32).min
        hidden = torch.where(attention_mask.bool(), 0.0, floor)[:, None, None, :].expand(rows, 1, tokens, -1)
        later = torch.full((tokens, tokens), floor).triu(1)
        given = {
            "embeds": _array(inputs_embeds),
            "places": position_ids[-3:].cpu().numpy(),
            "past_mask": _array(hidden[..., :known] if known else torch.full((rows, 1, tokens, 1), floor)),
            "mask": _array(torch.minimum(hidden[..., known:], later)),
        }
        given |= self._past(past_key_values, known, rows) | self._added(
            inputs_embeds, visual_pos_masks, deepstack_visual_embeds
        )
        made = self._network.run(given)
        for layer, (keys, values) in enumerate(zip(made["keys"], made["values"], strict=True)):
            past_key_values.update(_tensor(keys, inputs_embeds), _tensor(values, inputs_embeds), layer)
        states = _tensor(made["states"], inputs_embeds)
        return BaseModelOutputWithPast(last_hidden_state=states, past_key_values=past_key_values)

    def _past(self, cache: Any, known: int, rows: int) -> dict[str, Any]:
        """What the cache holds; where that is nothing, one position that everybody is told not to look at."""
        import numpy
        import torch

        if known:
            pairs = [(layer.keys, layer.values) for layer in cache.layers]
            keys, values = (_array(torch.stack(parts)) for parts in zip(*pairs, strict=True))
            return {"past_keys": keys, "past_values": values}
        nothing = numpy.zeros((self._layers, rows, self._heads, 1, self._size), numpy.float32)
        return {"past_keys": nothing, "past_values": nothing}

    def _added(self, embeds: Any, marks: Any, layers: Any) -> dict[str, Any]:
        """What a picture adds behind the first layers, as a number for every token."""
        import torch

        if not self._deep:
            return {}
        added = torch.zeros(self._deep, *embeds.shape)
        for whole, layer in zip(added, layers or (), strict=False):
            whole[marks.cpu()] = layer.detach().float().cpu()
        return {"deep": added.numpy()}


class SlotText(TextModel):
    """The same for the cache of `qwen_vl`, whose rows are of different length: it tells where each of them stands.

    The past is handed over with every pass, so a token costs a copy of what its conversation holds.
    """

    def __call__(
        self,
        inputs_embeds: Any,
        position_ids: Any,
        past_key_values: Any,
        attention_mask: Any = None,
        visual_pos_masks: Any = None,
        deepstack_visual_embeds: Any = (),
        **ignored: Any,
    ) -> Any:
        """As `TextModel`; `attention_mask` [rows, 1, tokens, reach] says with its last side how far rows are read."""
        import torch

        tokens, reach = inputs_embeds.shape[1], attention_mask.shape[-1]
        floor = torch.finfo(torch.float32).min
        known = torch.arange(reach) < past_key_values.starts.cpu()[:, None, None, None]
        later = torch.full((tokens, tokens), floor).triu(1)
        like = inputs_embeds.new_empty(0, self._heads, 0, self._size)
        pairs = [past_key_values.known(layer, like) for layer in range(self._layers)]
        keys, values = (_array(torch.stack(parts)) for parts in zip(*pairs, strict=True))
        given = {
            "embeds": _array(inputs_embeds),
            "places": position_ids[-3:].cpu().numpy(),
            "past_mask": _array(torch.where(known, 0.0, floor).expand(-1, 1, tokens, -1)),
            "mask": _array(later.expand(inputs_embeds.shape[0], 1, tokens, tokens)),
            "past_keys": keys,
            "past_values": values,
        }
        made = self._network.run(given | self._added(inputs_embeds, visual_pos_masks, deepstack_visual_embeds))
        for layer, (keys, values) in enumerate(zip(made["keys"], made["values"], strict=True)):
            past_key_values.update(_tensor(keys, inputs_embeds), _tensor(values, inputs_embeds), layer)
        return SimpleNamespace(last_hidden_state=_tensor(made["states"], inputs_embeds))


def _array(tensor: Any) -> Any:
    return tensor.detach().float().cpu().numpy()


def _tensor(array: Any, like: Any) -> Any:
    import torch

    return torch.from_numpy(array).to(like.device, like.dtype)
