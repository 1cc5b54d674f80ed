"""A checkpoint's folder becomes parts in memory: which device, which numbers, what waits elsewhere.

The text encoder and the VAE are loaded once; an edit checkpoint whose files are the same shares them, and adds a
transformer of its own. What is only found by running it: `dtype` is always given, or the parts come in different ones;
LoRAs go in before weights are offloaded, or the offloading does not know of them; the processor of an edit checkpoint
would want torchvision for videos that nobody sends, so there is one without.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from sampan.config import ModelSettings
from sampan.engines.ledger import GIB, Claim, Ledger, gib
from sampan.engines.options import Options
from sampan.engines.qwen_image.checkpoint import Checkpoint, alike, inspect
from sampan.engines.qwen_image.recipe import preset_named
from sampan.engines.qwen_image.residence import Residence
from sampan.errors import ConfigError

QUANTIZATIONS = ("none", "int8", "int4", "fp8")
OFFLOADS = ("none", "cpu", "layers", "disk")
RUNTIMES = ("torch", "onnx", "openvino")
ATTENTIONS = {"auto": "", "flash": "flash", "sdpa": "native", "eager": "_native_math"}
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_STORED = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}
_SHARES = {"none": 1.0, "fp8": 0.55, "int8": 0.55, "int4": 0.35}  # of the bf16 weights, an estimate
_EXACT = ["img_in", "txt_in", "time_text_embed", "norm_out", "proj_out"]  # small, and what they lose is seen at once
_WORK = 5 * GIB  # for what is drawn, an estimate: two pictures of 1024x1024 at work, and the VAE's decoder
_SAFE = {"local_files_only": True, "use_safetensors": True}  # nothing from the net, nothing that runs code
EDIT = "edit_"  # a LoRA of this beginning is what the edit checkpoint has under the rest of its name

log = logging.getLogger("sampan.engine")


@dataclass(eq=False)
class Model:
    """One transformer, and the pipeline object that knows how its prompts are read. `scheduler` is its schedule."""

    name: str
    checkpoint: Checkpoint
    pipe: Any
    transformer: Any
    scheduler: Mapping[str, Any]
    loras: frozenset[str] = frozenset()


@dataclass(eq=False)
class Parts:
    """All that was loaded. `models` holds `draw` (what generates) and, where there is one, `edit`."""

    models: Mapping[str, Model]
    vae: Any
    device: Any
    dtype: Any
    residence: Residence
    offload: str
    claim: Claim | None = None
    scratch: Any = field(default=None, repr=False)  # the folder of weights that wait on disk, gone with us

    @property
    def accelerated(self) -> bool:
        return str(self.device) != "cpu"


@dataclass(frozen=True, slots=True)
class _How:
    """What was settled before anything is loaded."""

    settings: ModelSettings
    device: str
    dtype: str
    offload: str


def load(options: Options) -> Parts:
    """Reads the checkpoints that the settings name. Raises `ConfigError` in words for whatever is not as it must be."""
    settings = options.settings
    check(settings)
    drawing = inspect(Path(settings.model), "model")
    editing = inspect(Path(settings.edit_model), "edit_model") if settings.edit_model else None
    if editing is not None and not editing.edits:
        raise ConfigError(f"edit_model: {editing.folder} is a {editing.pipeline}, which does not edit by instruction")
    _libraries()
    how = _How(settings, _device(settings.device), DTYPES[_dtype(settings, drawing)], settings.offload)
    shared = editing is not None and alike_parts(drawing, editing)
    claim: Claim | None = None
    if how.device != "cpu" and options.ledger:
        ledger, name = Ledger(Path(options.ledger)), options.name or "qwen_image"
        needed = needs(drawing, editing, shared, settings.quantization)
        claim, offload = claim_room(ledger, how.device, name, settings, needed)
        how = replace(how, offload=offload)
        _keep_to(claim)
    try:
        return _load(how, drawing, editing, shared, claim)
    except BaseException:
        if claim is not None:
            claim.leave()
        raise


def alike_parts(drawing: Checkpoint, editing: Checkpoint) -> bool:
    """Whether two checkpoints have the same text encoder and VAE."""
    return all(alike(drawing.folder / part, editing.folder / part) for part in ("text_encoder", "vae"))


def check(settings: ModelSettings) -> None:
    """Raises `ConfigError` for words that are none of those which a setting knows."""
    known = {
        "quantization": QUANTIZATIONS,
        "offload": OFFLOADS,
        "runtime": RUNTIMES,
        "attention": tuple(ATTENTIONS),
        "dtype": ("auto", *DTYPES),
    }
    for name, words in known.items():
        if (given := getattr(settings, name)) not in words:
            raise ConfigError(f"{name}: {given!r} is none of {', '.join(words)}")
    preset_named(settings.preset)
    if settings.runtime != "torch":
        fixed = {"loras": bool(settings.loras), "compile": settings.compile}
        fixed |= {name: getattr(settings, name) != "none" for name in ("quantization", "offload")}
        for name in [name for name, given in fixed.items() if given]:
            raise ConfigError(f'{name}: is for runtime = "torch"; what was exported is as it is')
    if not settings.model:
        raise ConfigError("model: name the checkpoint that qwen_image is to run, or its folder")


def _libraries() -> None:
    try:
        import diffusers
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise ConfigError(
            f"qwen_image needs PyTorch, diffusers and transformers ({error.name} is missing): run `make qwen`"
        ) from None
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    if importlib.util.find_spec("peft") is None:
        raise ConfigError("qwen_image needs peft for its LoRAs: run `make qwen`")


def _device(asked: str) -> str:
    import torch

    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return "cpu"
    kind, _, number = asked.partition(":")
    if asked != "auto" and (kind != "cuda" or not (number or "0").isdecimal()):
        raise ConfigError(f"device: {asked!r} is none of auto, cpu, cuda, cuda:0, cuda:1 and so on")
    if int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device: {asked} is not there; CUDA finds {torch.cuda.device_count()} devices here")
    return f"cuda:{int(number or 0)}"


def _dtype(settings: ModelSettings, drawing: Checkpoint) -> str:
    return settings.dtype if settings.dtype != "auto" else _STORED.get(drawing.dtype, "bf16")


def needs(drawing: Checkpoint, editing: Checkpoint | None, shared: bool, quantization: str) -> dict[str, int]:
    """Bytes of an accelerator that each way of offloading needs, from the most to the least."""
    parts = dict(drawing.sizes)
    if editing is not None:
        parts["edit transformer"] = editing.sizes["transformer"]
        if not shared:
            parts |= {f"edit {part}": editing.sizes[part] for part in ("text_encoder", "vae")}
    share = _SHARES[quantization]
    sizes = [round(size * (1.0 if part.endswith("vae") else share)) for part, size in parts.items()]
    work = min(_WORK, sum(sizes))
    return {"none": sum(sizes) + work, "cpu": max(sizes) + work, "layers": max(sizes) // 10 + work}


def claim_room(
    ledger: Ledger, device: str, name: str, settings: ModelSettings, needed: Mapping[str, int]
) -> tuple[Claim, str]:
    """Bytes in the ledger, and the way of offloading that they are for: what was asked, or the next that needs less.

    Where `memory` says how many bytes, it is those and no others. Raises `ConfigError` with the numbers.
    """
    if settings.memory:
        return ledger.claim(device, name, round(settings.memory * GIB)), settings.offload
    asked = "layers" if settings.offload == "disk" else settings.offload
    refusals: list[str] = []
    for way in list(needed)[list(needed).index(asked) :]:
        try:
            claim = ledger.claim(device, name, needed[way])
        except ConfigError as error:
            refusals.append(str(error))
            continue
        if way == asked:
            return claim, settings.offload
        log.warning("%s; so its weights wait in memory (offload = %r), which is slower", refusals[0], way)
        return claim, way
    least = f"; with offload = 'layers' it would need {gib(needed['layers'])}" if asked != "layers" else ""
    raise ConfigError(refusals[0] + least)


def _keep_to(claim: Claim) -> None:
    """What is claimed is all that PyTorch gives us: to want more is our own mistake, and does not take another's."""
    import torch

    total = torch.cuda.mem_get_info(claim.device)[1]
    torch.cuda.set_per_process_memory_fraction(min(1.0, claim.size / total), claim.device)


def _load(how: _How, drawing: Checkpoint, editing: Checkpoint | None, shared: bool, claim: Claim | None) -> Parts:
    import diffusers
    import torch

    scratch = tempfile.TemporaryDirectory(prefix="sampan-weights-") if how.offload == "disk" else None
    residence = Residence(torch.device(how.device), moves=how.offload == "cpu")
    drawn = _model("edit" if drawing.edits else "draw", how, drawing, None, residence, scratch)
    models = {"draw": drawn}
    if editing is not None:
        models["edit"] = _model("edit", how, editing, drawn.pipe if shared else None, residence, scratch)
    elif drawing.edits:
        # A checkpoint that edits also generates; its transformer is there once.
        pipe = diffusers.QwenImagePipeline(
            **{name: part for name, part in drawn.pipe.components.items() if name != "processor"}
        )
        models = {"draw": replace(drawn, name="draw", pipe=pipe), "edit": replace(drawn, name="edit")}
    if how.settings.runtime != "torch":
        for model in models.values():
            _exported(how, model)
    dtype = getattr(torch, how.dtype)
    return Parts(models, drawn.pipe.vae, residence.device, dtype, residence, how.offload, claim, scratch)


def _model(name: str, how: _How, checkpoint: Checkpoint, host: Any, residence: Residence, scratch: Any) -> Model:
    """One model; the text encoder, tokenizer and VAE are the host's where it has one."""
    import diffusers
    import torch

    dtype = getattr(torch, how.dtype)
    folder = checkpoint.folder
    try:
        transformer = diffusers.QwenImageTransformer2DModel.from_pretrained(
            folder / "transformer", dtype=dtype, **_SAFE, **_placed(how), **_quantization(how, "transformer")
        )
        _mend(transformer)
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
        words = host or _words(how, checkpoint, residence, scratch)
        components = {
            "scheduler": scheduler,
            "vae": words.vae,
            "text_encoder": words.text_encoder,
            "tokenizer": words.tokenizer,
            "transformer": transformer,
        }
        if checkpoint.edits:
            components["processor"] = _processor(folder)
    except torch.OutOfMemoryError:
        raise ConfigError(
            f"{folder} does not fit into the accelerator's memory: set quantization or offload, or free what others use"
        ) from None
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ConfigError(f"{folder} cannot be loaded: {_first(error)}") from error
    pipe = getattr(diffusers, checkpoint.pipeline)(**components)
    _attend(transformer, how.settings.attention)
    loras = _load_loras(name, how.settings.loras, pipe)
    _offload(transformer, f"{name} transformer", how, residence, scratch)
    if how.settings.compile:
        transformer.compile_repeated_blocks()
    return Model(name, checkpoint, pipe, transformer, dict(scheduler.config), loras)


@dataclass(frozen=True, slots=True)
class _Words:
    text_encoder: Any
    tokenizer: Any
    vae: Any


def _words(how: _How, checkpoint: Checkpoint, residence: Residence, scratch: Any) -> _Words:
    import diffusers
    import torch
    import transformers

    dtype = getattr(torch, how.dtype)
    folder = checkpoint.folder
    encoder = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder / "text_encoder", dtype=dtype, **_SAFE, **_placed(how), **_quantization(how, "text_encoder")
    )
    _mend(encoder.eval().requires_grad_(False))
    vae = diffusers.AutoencoderKLQwenImage.from_pretrained(folder / "vae", dtype=dtype, **_SAFE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    _offload(encoder, f"{checkpoint.name} text encoder", how, residence, scratch)
    residence.settle("vae", vae)
    return _Words(encoder, tokenizer, vae)


def _placed(how: _How) -> dict[str, Any]:
    """Straight to the accelerator, where all of it stays there: it quantises fast, and memory is not needed twice.

    Not for a CPU: of a part that is mapped there, the libraries believe that it is offloaded, and do not quantise it.
    """
    return {"device_map": {"": how.device}} if how.offload == "none" and how.device != "cpu" else {}


def _quantization(how: _How, part: str) -> dict[str, Any]:
    """How weights are made smaller while they are read, as the library that reads this part wants it said."""
    import torch

    asked = how.settings.quantization
    if asked == "none":
        return {}
    package = "bitsandbytes" if asked == "int4" else "torchao"
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"quantization: {asked} needs the package {package}: run `make qwen`")
    library = import_module("diffusers" if part == "transformer" else "transformers")
    kept = _EXACT if part == "transformer" else ["visual", "lm_head"]
    if asked == "int4":
        if how.device == "cpu":
            raise ConfigError("quantization: int4 needs an accelerator; on a CPU take int8 or fp8")
        how_small = library.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=getattr(torch, how.dtype),
            llm_int8_skip_modules=kept,
        )
        return {"quantization_config": how_small}
    from torchao import quantization

    if asked == "int8":
        config = quantization.Int8WeightOnlyConfig()
    elif how.device != "cpu" and torch.cuda.get_device_capability(how.device) >= (8, 9):
        # The arithmetic itself in fp8, not the weights alone.
        config = quantization.Float8DynamicActivationFloat8WeightConfig(granularity=quantization.PerRow())
    else:
        config = quantization.Float8WeightOnlyConfig()
    return {"quantization_config": library.TorchAoConfig(config, modules_to_not_convert=kept)}


def _mend(part: Any) -> None:
    """Puts right what torchao 0.18 does to a row of noughts: in fp8 it is 0 / 0, and one NaN spoils every picture."""
    import torch

    for weight in part.parameters():
        if getattr(getattr(weight, "qdata", None), "dtype", None) is torch.float8_e4m3fn:
            nought = weight.scale == 0
            if nought.any():
                weight.qdata.view(torch.uint8)[nought.expand_as(weight.qdata)] = 0
                weight.scale[nought] = 1


def _processor(folder: Path) -> Any:
    """The processor of an edit checkpoint, for pictures only: the library's own wants torchvision for its videos."""
    from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
    from transformers.processing_utils import ProcessorMixin

    class PictureProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]
        def __init__(
            self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any
        ) -> None:
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            self.video_processor = None
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    return PictureProcessor.from_pretrained(folder / "processor", local_files_only=True)


def _attend(transformer: Any, asked: str) -> None:
    if not ATTENTIONS[asked]:
        return
    try:
        transformer.set_attention_backend(ATTENTIONS[asked])
    except (RuntimeError, ValueError, ImportError) as error:
        raise ConfigError(f"attention: {asked} cannot be had here: {_first(error)}") from None


def _load_loras(model: str, files: Mapping[str, str], pipe: Any) -> frozenset[str]:
    """Loads each LoRA under its name, all switched off. Raises `ConfigError` naming the one that does not fit."""
    names: dict[str, str] = {}
    for name, file in files.items():
        if not name.startswith(EDIT):
            names.setdefault(name, file)
        elif model == "edit":
            names[name.removeprefix(EDIT)] = file
    for name, file in names.items():
        path = Path(file)
        if not path.exists():
            raise ConfigError(f"loras: {name}: there is no {file}")
        where = {"weight_name": path.name} if path.is_file() else {}
        try:
            pipe.load_lora_weights(str(path.parent if path.is_file() else path), adapter_name=name, **_SAFE, **where)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigError(f"loras: {name}: {file} does not fit this model: {_first(error)}") from None
        if name not in getattr(pipe.transformer, "peft_config", {}):
            raise ConfigError(f"loras: {name}: {file} holds nothing for this model")
    if names:
        pipe.transformer.disable_lora()
    return frozenset(names)


def _offload(part: Any, name: str, how: _How, residence: Residence, scratch: Any) -> None:
    """Settles a part where it is to wait."""
    if how.offload == "cpu" and how.device == "cpu":
        raise ConfigError("offload: cpu is for weights of an accelerator, and there is none; take layers or disk")
    if how.offload not in ("layers", "disk"):
        residence.settle(name, part)
        return
    import torch
    from diffusers.hooks import apply_group_offloading

    folder = None
    if scratch is not None:
        folder = str(Path(scratch.name) / name.replace(" ", "-").replace("/", "-"))
        Path(folder).mkdir()
    try:
        apply_group_offloading(
            part,
            onload_device=residence.device,
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=how.device != "cpu",
            offload_to_disk_path=folder,
        )
    except (RuntimeError, ValueError, TypeError, NotImplementedError, OSError) as error:
        raise ConfigError(
            f"offload: {how.offload} with quantization {how.settings.quantization!r}: {_first(error)}"
        ) from None


def _exported(how: _How, model: Model) -> None:
    """The transformer and the VAE's decoder as they were exported, in the place of PyTorch's."""
    try:
        runtime = import_module("sampan.engines.export.runtime")
        model.transformer = runtime.open_transformer(
            model.checkpoint.folder, how.settings.runtime, model.pipe.transformer
        )
        model.pipe.vae.decode = runtime.open_decoder(model.checkpoint.folder, how.settings.runtime)
    except ImportError as error:
        raise ConfigError(f"runtime: {how.settings.runtime} needs {error.name}: install `sampan[export]`") from None


def _first(error: Exception) -> str:
    """The first line of a library's message, without the advice that follows it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
