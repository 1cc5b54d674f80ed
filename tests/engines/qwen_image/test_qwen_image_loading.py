"""Ways of loading: quantised, offloaded, shared by two checkpoints, within the ledger's room; and what cannot be."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import tiny

from sampan.config import ModelSettings
from sampan.engines.contract import Manner, Order, Picture, Preview, Progress
from sampan.engines.ledger import GIB, Ledger, Memory
from sampan.engines.options import Options
from sampan.engines.qwen_image import QwenImage
from sampan.engines.qwen_image.loading import claim_room, load
from sampan.engines.qwen_image.residence import Residence
from sampan.errors import ConfigError

Settings = Callable[..., ModelSettings]
PLAIN = Order("a red boat", size="64x64", seed=3, manner=Manner(preset="best", steps=2))
INKED = Order("a red boat", size="64x64", seed=3, manner=Manner(preset="best", steps=2, loras={"ink": 1.0}))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    import_module("torch").set_num_threads(1)


def settings(**more: Any) -> ModelSettings:
    given: dict[str, Any] = {"model": str(tiny("qwen-image")), "device": "cpu", **more}
    return ModelSettings(**given)


def drawn(engine: QwenImage, order: Order) -> np.ndarray[Any, Any]:
    (made,) = [one for one in engine.generate(order, lambda: False) if not isinstance(one, Progress | Preview)]
    picture: Picture = made
    return np.asarray(Image.open(io.BytesIO(picture.data))).astype(int)


def warm(**more: Any) -> QwenImage:
    engine = QwenImage(Options(settings=settings(loras={"ink": str(tiny("qwen-image-style"))}, **more)))
    assert engine.cold == ("weights",)
    engine.warm_up()
    assert engine.cold == ()
    return engine


@pytest.fixture(scope="module")
def plain() -> tuple[Any, Any]:
    """The picture as it is drawn with nothing made smaller: without and with a LoRA."""
    engine = warm()
    return drawn(engine, PLAIN), drawn(engine, INKED)


@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_quantised_it_draws_nearly_the_same(quantization: str, plain: tuple[Any, Any]) -> None:
    engine = warm(quantization=quantization)
    (model,) = engine.parts.models.values()
    heavy = model.transformer.transformer_blocks[0].attn.to_q.base_layer.weight
    assert "quantiz" in type(heavy).__module__
    for order, picture in zip((PLAIN, INKED), plain, strict=True):
        assert 0 < np.abs(drawn(engine, order) - picture).mean() < 12
    assert np.array_equal(drawn(engine, PLAIN), drawn(engine, PLAIN))


@pytest.mark.parametrize(
    "more", [{"offload": "layers"}, {"offload": "disk"}, {"offload": "layers", "quantization": "int8"}]
)
def test_offloaded_it_draws_the_same(more: dict[str, str], plain: tuple[Any, Any]) -> None:
    engine = warm(**more)
    ours = [drawn(engine, order) for order in (PLAIN, INKED)]
    for one, other in zip(ours, plain, strict=True):
        assert np.abs(one - other).mean() < (12 if "quantization" in more else 1e-9)
    if more["offload"] == "disk":
        assert list(Path(engine.parts.scratch.name).rglob("*.safetensors"))


def test_two_checkpoints_share_what_is_the_same() -> None:
    parts = load(Options(settings=settings(edit_model=str(tiny("qwen-image-edit")), dtype="fp32")))
    draw, edit = parts.models["draw"], parts.models["edit"]
    assert draw.pipe.text_encoder is edit.pipe.text_encoder
    assert draw.pipe.vae is edit.pipe.vae
    assert draw.transformer is not edit.transformer
    assert {parameter.dtype for parameter in draw.transformer.parameters()} == {import_module("torch").float32}


def test_a_checkpoint_that_edits_does_both_with_one_transformer() -> None:
    files = {"ink": str(tiny("qwen-image-style")), "edit_lightning": str(tiny("qwen-image-lightning"))}
    parts = load(Options(settings=settings(model=str(tiny("qwen-image-edit")), loras=files)))
    assert parts.models["draw"].transformer is parts.models["edit"].transformer
    assert parts.models["edit"].loras == {"ink", "lightning"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"quantization": "int2"}, "quantization: 'int2' is none of none, int8, int4, fp8"),
        ({"quantization": "int4"}, "int4 needs an accelerator; on a CPU take int8 or fp8"),
        ({"offload": "cpu"}, "offload: cpu is for weights of an accelerator"),
        ({"offload": "all"}, "offload: 'all' is none of"),
        ({"dtype": "int8"}, "dtype: 'int8' is none of auto, bf16"),
        ({"preset": "slow"}, "preset: 'slow' is none of"),
        ({"attention": "flash"}, "attention: flash cannot be had here"),
        ({"device": "cuda:7"}, "device: cuda:7 is not there"),
        ({"device": "tpu"}, "device: 'tpu' is none of"),
        ({"runtime": "coreml"}, "runtime: 'coreml' is none of torch, onnx, openvino"),
        ({"runtime": "onnx"}, "was not exported: there is no .*; run `sampan models export --to onnx`"),
        ({"runtime": "onnx", "quantization": "int8"}, "quantization: is for runtime = .torch."),
        ({"model": ""}, "name the checkpoint"),
        ({"model": "/nowhere/at/all"}, "fetch the model first"),
        ({"sizes": ["10x10"]}, "sizes: 10x10: each side must be from 64"),
        ({"sizes": ["auto"]}, "sizes: 'auto' is no WIDTHxHEIGHT"),
        ({"sizes": ["large"]}, "sizes: 'large' is no WIDTHxHEIGHT"),
        ({"loras": {"ink": "/nowhere/ink.safetensors"}}, "loras: ink: there is no /nowhere/ink.safetensors"),
    ],
)
def test_what_cannot_be_is_said_in_words(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        QwenImage(Options(settings=settings(**more))).warm_up()


def test_an_edit_model_must_edit() -> None:
    with pytest.raises(ConfigError, match="which does not edit by instruction"):
        load(Options(settings=settings(edit_model=str(tiny("qwen-image")))))


def test_a_lora_of_another_model_is_refused(tmp_path: Path) -> None:
    torch, saving = import_module("torch"), import_module("safetensors.torch")
    name = "transformer.transformer_blocks.0.attn.to_q.lora_"
    wrong = {f"{name}A.weight": torch.zeros(4, 999), f"{name}B.weight": torch.zeros(999, 4)}
    saving.save_file(wrong, tmp_path / "wrong.safetensors")
    with pytest.raises(ConfigError, match=r"loras: ink: .*wrong.safetensors does not fit this model"):
        load(Options(settings=settings(loras={"ink": str(tmp_path / "wrong.safetensors")})))


NEEDED = {"none": 60 * GIB, "cpu": 45 * GIB, "layers": 8 * GIB}


def room(folder: Path, gib: int) -> Ledger:
    return Ledger(folder, measure=lambda device: Memory(gib * GIB, gib * GIB))


@pytest.mark.parametrize(("gib", "asked", "way"), [(80, "none", "none"), (48, "none", "cpu"), (24, "none", "layers")])
def test_where_memory_is_short_the_next_smaller_way_is_taken(
    gib: int, asked: str, way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        claim, settled = claim_room(room(tmp_path, gib), "cuda:0", "image", ModelSettings(offload=asked), NEEDED)
    assert settled == way
    assert claim.size == NEEDED[way]
    assert ("it needs 60.0 GiB" in caplog.text) == (way != asked)


def test_where_nothing_fits_the_numbers_are_said(tmp_path: Path) -> None:
    ledger = room(tmp_path, 24)
    ledger.claim("cuda:0", "vl", 20 * GIB)
    with pytest.raises(ConfigError, match=r"needs 60.0 GiB.*held by vl 20.0 GiB.*'layers' it would need 8.0 GiB"):
        claim_room(ledger, "cuda:0", "image", ModelSettings(), NEEDED)
    with pytest.raises(ConfigError, match=r"image does not fit on cuda:0: it needs 5.0 GiB"):
        claim_room(ledger, "cuda:0", "image", ModelSettings(memory=5.0), NEEDED)
    claim, way = claim_room(ledger, "cuda:0", "image", ModelSettings(memory=3.0, offload="disk"), NEEDED)
    assert (claim.size, way) == (3 * GIB, "disk")
    claim.leave()
    with pytest.raises(ConfigError, match=r"needs 8.0 GiB"):
        claim_room(ledger, "cuda:0", "image", ModelSettings(offload="disk"), NEEDED)


class Part:
    def __init__(self) -> None:
        self.device = "cpu"

    def to(self, device: str) -> None:
        self.device = device


def test_of_parts_that_move_one_is_there_at_a_time() -> None:
    residence = Residence("cuda:0", moves=True)
    parts = [Part(), Part(), Part()]
    for number, part in enumerate(parts):
        residence.settle(str(number), part)
    assert [part.device for part in parts] == ["cpu"] * 3
    for wanted in (0, 1, 1, 2, 0):
        residence.want(parts[wanted])
        assert [part.device for part in parts].count("cuda:0") == 1
        assert parts[wanted].device == "cuda:0"
    stays = Residence("cuda:0", moves=False)
    stays.settle("x", parts[1])
    assert parts[1].device == "cuda:0"
