"""A checkpoint's folder becomes a model in memory: which device, which numbers, which attention."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from sampan.config import ModelSettings
from sampan.engines.export.runtime import open_text
from sampan.engines.ledger import GIB
from sampan.engines.options import Options
from sampan.engines.qwen_vl import eye, weights
from sampan.engines.qwen_vl.devices import Devices, Need, place
from sampan.engines.qwen_vl.prompts import PAD, Patches, read_patches
from sampan.engines.shards import read_json
from sampan.errors import ConfigError

Say: TypeAlias = Callable[[str], None]
"""Told, in a few words, how far the loading has come."""

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
ATTENTIONS = ("auto", "flash", "sdpa", "eager")
QUANTIZATIONS = ("none", "int8", "int4", "fp8")
RUNTIMES = ("torch", "onnx", "openvino")
DTYPES = {"auto": "auto", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
# What a quantised checkpoint's `quant_method` needs besides PyTorch and transformers: module, and name to install.
PACKAGES = {
    "awq": [("gptqmodel", "gptqmodel")],
    "gptq": [("optimum", "optimum"), ("gptqmodel", "gptqmodel")],
    "compressed-tensors": [("compressed_tensors", "compressed-tensors")],
    "bitsandbytes": [("bitsandbytes", "bitsandbytes")],
    "torchao": [("torchao", "torchao")],
    "fp8": [("kernels", "kernels")],
}
_SHARES = {"none": 1.0, "fp8": 0.6, "int8": 0.6, "int4": 0.4}  # of the bf16 weights, the eye left as it is
_WHOLE = ("model.visual", "lm_head")  # parts that are not quantised: small, and what they lose is seen at once

log = logging.getLogger("sampan.engine")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with what belongs to it. `tokenizer` is the library's, `ends` the tokens that end a turn.

    `context` is the tokens it was made for, `defaults` what generation_config.json says of sampling.
    """

    model: Any
    tokenizer: Any
    patches: Patches
    ends: frozenset[int]
    context: int
    defaults: Mapping[str, Any]
    text: Any = None  # the language model as it was exported, where that is to run

    @property
    def vocabulary(self) -> int:
        """Tokens that are text or marks; the model's own table is padded beyond them."""
        return len(self.tokenizer)


def load(options: Options, say: Say) -> Loaded:
    """Reads the folder `options.settings.model`. Raises `ConfigError` in words for whatever is not as it must be."""
    settings = options.settings
    _check(settings)
    folder = Path(settings.model)
    config = _config(folder, settings.quantization)
    say("looking at the weights")
    size = weights.verify(folder)
    say("starting the libraries")
    torch, transformers = _libraries()
    devices = place(settings.device if settings.runtime == "torch" else "cpu", settings.offload)
    need = Need(int(size * _share(config, settings.quantization)), cache_size(config, settings))
    devices.claim(options.ledger, options.name or "qwen_vl", int(settings.memory * GIB) or need.all)
    devices.check(need, settings.quantization)
    tokenizer, processor = _reading(transformers, folder, config)
    say("loading weights")
    with _progress(transformers, say):
        model = _model(torch, transformers, _exact(settings, devices, need), folder, devices)
    generation = model.generation_config
    ends = generation.eos_token_id
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        patches=read_patches(processor, settings.max_pixels),
        ends=frozenset([ends] if isinstance(ends, int) else ends or [tokenizer.eos_token_id]),
        context=_context(config, settings),
        defaults=generation.to_diff_dict(),
        text=None if settings.runtime == "torch" else _exported(torch, settings, model),
    )


def _exported(torch: Any, settings: ModelSettings, model: Any) -> Any:
    """The language model in another runtime. torch keeps the eye, the embeddings and the head, no more."""
    text = open_text(Path(settings.model), "openvino" if settings.runtime == "openvino" else "onnx")
    model.model.language_model.layers = torch.nn.ModuleList()
    return text


def _exact(settings: ModelSettings, devices: Devices, need: Need) -> ModelSettings:
    """Where nobody has said otherwise, a CPU that knows no bf16 is given fp32, if there is room for twice the bytes."""
    roomy = 2 * need.weights <= devices.free
    if settings.runtime != "torch":
        return replace(settings, dtype="fp32")  # as exports are
    if settings.dtype == "auto" and settings.quantization == "none" and not devices.bfloat16 and roomy:
        log.info("this CPU has no bf16: the model is run in fp32")
        return replace(settings, dtype="fp32")
    return settings


def _reading(transformers: Any, folder: Path, config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The tokenizer and the image processor."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder}: its tokenizer or preprocessor cannot be read: {_first(error)}") from None
    # Without its files the library makes an empty tokenizer, and says nothing.
    if tokenizer.convert_tokens_to_ids(PAD) != config.get("image_token_id"):
        raise ConfigError(
            f"{folder}: its tokenizer has no {PAD}: fetch the checkpoint again with `sampan models fetch`"
        )
    return tokenizer, processor


def _share(config: Mapping[str, Any], quantization: str) -> float:
    """What quantisation leaves of the weights. It knows linear layers only, and experts are kept in other ones."""
    if "num_experts" in _words(config) and quantization != "none":
        log.warning("%s leaves the experts as they are; take a checkpoint that is quantised already", quantization)
        return 1.0
    return _SHARES[quantization]


def _context(config: Mapping[str, Any], settings: ModelSettings) -> int:
    """What is asked for, as far as the model was made for it. Older checkpoints keep the words' settings at the top."""
    return min(settings.context, int(_words(config).get("max_position_embeddings", settings.context)))


def _words(config: Mapping[str, Any]) -> Mapping[str, Any]:
    words: Mapping[str, Any] = config.get("text_config") or config
    return words


def cache_size(config: Mapping[str, Any], settings: ModelSettings) -> int:
    """Bytes of the keys and values of `batch` conversations of `context` tokens, two bytes a number."""
    words = _words(config)
    heads = int(words["num_attention_heads"])
    size = int(words.get("head_dim") or words["hidden_size"] // heads)
    token = 2 * 2 * int(words["num_hidden_layers"]) * int(words.get("num_key_value_heads") or heads) * size
    return token * settings.batch * (_context(config, settings) + 1)


def _check(settings: ModelSettings) -> None:
    """Words that are none of those which a setting knows."""
    for name, known in (("quantization", QUANTIZATIONS), ("attention", ATTENTIONS), ("dtype", tuple(DTYPES))):
        given = getattr(settings, name)
        if given not in known:
            raise ConfigError(f"{name}: {given!r} is none of {', '.join(known)}")
    if settings.runtime not in RUNTIMES:
        raise ConfigError(f"runtime: {settings.runtime!r} is none of {', '.join(RUNTIMES)}")
    if settings.runtime != "torch" and (settings.quantization != "none" or settings.device not in ("auto", "cpu")):
        raise ConfigError(f"runtime: what was exported to {settings.runtime} runs unquantised and on the CPU")
    if not settings.model:
        raise ConfigError("model: name the checkpoint that qwen_vl is to run, or its folder")
    if not Path(settings.model).is_dir():
        raise ConfigError(f"model: {settings.model} is no folder; fetch the checkpoint with `sampan models fetch`")


def _config(folder: Path, quantization: str) -> Mapping[str, Any]:
    """config.json, once it is clear that this can be loaded."""
    config = read_json(folder / "config.json")
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ConfigError(f"{folder} is a {family!r} model; qwen_vl runs {', '.join(FAMILIES)}")
    quantised = config.get("quantization_config") or config.get("text_config", {}).get("quantization_config")
    if not quantised:
        return config
    method = str(quantised.get("quant_method", "unknown"))
    if quantization != "none":
        raise ConfigError(f"{folder} is quantised already ({method}): leave quantization at `none`")
    for module, name in PACKAGES.get(method, []):
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"{folder} is quantised with {method}, which needs the package {name}: `pip install {name}`"
            )
    return config


def _libraries() -> tuple[Any, Any]:
    # Kernels for other devices that this build of PyTorch cannot load: said on every start, of use to nobody.
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        import torch
        import transformers
    except ImportError as error:
        missing = error.name or "one of their parts"
        raise ConfigError(
            f"qwen_vl needs PyTorch and transformers, and {missing} is missing: run `make qwen`"
        ) from None
    return torch, transformers


def _model(torch: Any, transformers: Any, settings: ModelSettings, folder: Path, devices: Devices) -> Any:
    """The model, with the best attention that is there: what is asked for first, then what always runs."""
    kind = transformers.AutoModelForImageTextToText
    dtype = DTYPES[settings.dtype]
    given = {
        "dtype": dtype if dtype == "auto" else getattr(torch, dtype),
        "device_map": devices.map,
        "local_files_only": True,
    }
    quantization = _quantization(torch, transformers, settings.quantization, devices)
    if quantization is not None:
        given["quantization_config"] = quantization
    refusals: list[str] = []
    for attention in _attentions(settings.attention, devices):
        try:
            model = kind.from_pretrained(folder, attn_implementation=attention, **given)
        except ImportError as error:
            refusals.append(_first(error))
            continue
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise _refusal(torch, folder, error) from error
        for refusal in refusals:
            log.warning("attention: %s", refusal)
        if attention == "sdpa" and settings.attention != "sdpa":
            eye.open_eye(transformers, model)
        devices.settled(getattr(model, "hf_device_map", {}))
        return model.eval().requires_grad_(False)
    raise ConfigError(f"{folder} cannot be loaded: {'; '.join(refusals)}")


def _attentions(asked: str, devices: Devices) -> list[Any]:
    """What to try, in order: FlashAttention is for the eye, whose windows it takes together. The language model's rows
    of different length go through PyTorch's own attention (SDPA), which reads our cache as it lies."""
    if asked == "eager":
        return [asked]
    flash = {"vision_config": "flash_attention_2", "text_config": "sdpa"}
    present = devices.accelerated and importlib.util.find_spec("flash_attn") is not None
    return [flash, "sdpa"] if asked == "flash" or (asked == "auto" and present) else ["sdpa"]


def _quantization(torch: Any, transformers: Any, asked: str, devices: Devices) -> Any:
    """How weights are made smaller while they are read."""
    if asked == "none":
        return None
    package = "torchao" if asked == "fp8" else "bitsandbytes"
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"quantization: {asked} needs the package {package}: run `make qwen`")
    # It says at every step that bf16 is not what it calculates in.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    if asked == "int8":
        return transformers.BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(_WHOLE))
    if asked == "int4":
        return transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16 if devices.bfloat16 else torch.float32,
            llm_int8_skip_modules=list(_WHOLE),
        )
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, Float8WeightOnlyConfig

    # The arithmetic itself in fp8 where the device has it; else only the weights are kept so.
    how = Float8DynamicActivationFloat8WeightConfig() if devices.float8 else Float8WeightOnlyConfig()
    return transformers.TorchAoConfig(how, modules_to_not_convert=list(_WHOLE))


def _refusal(torch: Any, folder: Path, error: Exception) -> ConfigError:
    if isinstance(error, torch.OutOfMemoryError):
        return ConfigError(
            f"{folder} does not fit into the accelerator's memory: take a smaller model or `quantization = 'int4'`, "
            "or free what others use"
        )
    return ConfigError(f"{folder} cannot be loaded: {_first(error)}")


def _first(error: Exception) -> str:
    """The first line of a library's message, without the advice that follows it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def _progress(transformers: Any, say: Say) -> Iterator[None]:
    """Tells of the weights as the library's own progress bar would, which is not drawn."""

    def bar(_: Any, args: Any, kwargs: Any) -> Any:
        items = kwargs.get("iterable", args[0] if args else ())
        return _told(list(items), say) if kwargs.get("desc") == "Loading weights" else _Silent(items)

    before = transformers.utils.logging.set_tqdm_hook(bar)
    try:
        yield
    finally:
        transformers.utils.logging.set_tqdm_hook(before)


def _told(items: list[Any], say: Say) -> Iterator[Any]:
    told = -1
    for number, item in enumerate(items):
        tenths = 10 * number // len(items)
        if tenths != told:
            told = tenths
            say(f"loading weights, {10 * tenths} %")
        yield item


class _Silent:
    """Stands in for the other bars of the library."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items or ())

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, *_: Any) -> None:
        """One step more."""

    def close(self) -> None:
        """The last step."""

    def set_description(self, *_: Any, **__: Any) -> None:
        """What the step is."""

    def set_postfix(self, *_: Any, **__: Any) -> None:
        """More of it."""
