"""What is said of checkpoints that cannot be loaded, and the ways in which they can."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny
from vl_models import GREEDY, ask, opened, options, run

from sampan.engines.qwen_vl import devices, loading, weights
from sampan.engines.qwen_vl.devices import Devices, Need
from sampan.engines.qwen_vl.job import Job, Reason
from sampan.engines.qwen_vl.loading import load
from sampan.engines.qwen_vl.weights import verify
from sampan.errors import ConfigError

FETCH = "sampan models fetch"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("qwen2.5-vl"), tmp_path / "model"))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def refused(folder: Path, **settings: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load(options("qwen2.5-vl", model=str(folder), **settings), lambda stage: None)
    return str(error.value)


def test_a_whole_checkpoint_is_measured(folder: Path) -> None:
    assert verify(folder) == sum(shard.stat().st_size for shard in shards(folder))


def _cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-1000])


def _grow(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes() + b"x")


def _head(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:100])


def _noise(shard: Path) -> None:
    shard.write_bytes(bytes(range(256)) * 40)


def _page(shard: Path) -> None:
    shard.write_bytes(b"<html>404</html>")


def _pointer(shard: Path) -> None:
    shard.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n")


def _empty(shard: Path) -> None:
    shard.write_bytes(b"")


def _places(shard: Path) -> None:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [1], "data_offsets": "none"}}).encode()
    shard.write_bytes(len(header).to_bytes(8, "little") + header)


@pytest.mark.parametrize("harm", [_cut, _grow, _head, _noise, _page, _pointer, _empty, _places])
def test_a_damaged_shard_is_named(folder: Path, harm: Callable[[Path], None]) -> None:
    shard = shards(folder)[1]
    harm(shard)
    said = refused(folder)
    assert shard.name in said and "damaged" in said and FETCH in said


def test_a_missing_shard_is_named(folder: Path) -> None:
    shards(folder)[0].unlink()
    assert f"{shards(folder)[0].name[:6]}" in (said := refused(folder))
    assert "is missing" in said and FETCH in said


def test_a_shard_of_another_release_is_named(folder: Path) -> None:
    first, second = shards(folder)
    shutil.copy(first, second)
    said = refused(folder)
    assert second.name in said and "lacks" in said


def test_other_files_that_are_wrong_are_named(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text("{}")
    assert "has no weight_map" in refused(folder)
    index.unlink()
    assert "holds no weights" in refused(folder)
    (folder / "config.json").write_text("{")
    assert "config.json is damaged" in refused(folder)
    (folder / "config.json").unlink()
    assert "config.json is missing" in refused(folder)


def test_a_lost_tokenizer_is_said(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    assert "its tokenizer has no <|image_pad|>" in refused(folder)


def test_a_lost_preprocessor_is_said(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text("{")
    assert "tokenizer or preprocessor cannot be read" in refused(folder)


def config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_another_family_is_refused(folder: Path) -> None:
    config(folder, model_type="llama")
    assert "'llama' model; qwen_vl runs qwen2_vl" in refused(folder)


@pytest.mark.parametrize(("method", "package"), [("awq", "gptqmodel"), ("gptq", "gptqmodel")])
def test_a_quantised_checkpoint_names_the_package_that_it_needs(
    folder: Path, method: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gptqmodel", None)
    config(folder, quantization_config={"quant_method": method, "bits": 4})
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None if name == "gptqmodel" else object())
    assert f"needs the package {package}" in refused(folder)
    assert f"quantised already ({method})" in refused(folder, quantization="int4")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quantization": "int3"}, "quantization: 'int3' is none of none, int8, int4, fp8"),
        ({"dtype": "bf8"}, "dtype: 'bf8' is none of"),
        ({"attention": "quick"}, "attention: 'quick' is none of"),
        ({"device": "tpu"}, "device: 'tpu' is none of"),
        ({"device": "cuda:7"}, "device: cuda:7 is not there"),
    ],
)
def test_settings_that_are_none(settings: dict[str, str], said: str) -> None:
    assert said in refused(tiny("qwen2.5-vl"), **settings)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "is no folder; fetch the checkpoint" in refused(tmp_path / "none")
    with pytest.raises(ConfigError, match="name the checkpoint"):
        load(options("qwen2.5-vl", model=""), lambda stage: None)


def test_without_the_libraries_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "run `make qwen`" in refused(tiny("qwen2.5-vl"))


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_memory", lambda: 1000)
    said = refused(tiny("qwen2.5-vl"))
    assert "GiB free" in said and "int4" in said


def test_what_an_accelerator_must_hold() -> None:
    need = Need(weights=16 * 2**30, cache=7 * 2**30)
    small = Devices(("cuda:0",), {"": 0}, free=24 * 2**30)
    with pytest.raises(ConfigError, match=r"needs 24\.5 GiB \(16\.0 of them weights, 7\.0 `batch` times `context`\)"):
        small.check(need, "none")
    Devices(("cuda:0",), {"": 0}, free=25 * 2**30).check(need, "none")
    with pytest.raises(ConfigError, match="2 parts of the model found no room"):
        small.settled({"a": 0, "b": "cpu", "c": "disk"})
    spilling = replace(small, spills=True)
    spilling.settled({"a": 0, "b": "cpu"})
    spilling.check(need, "none")


def test_what_it_takes_is_entered_in_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims: list[tuple[Path, str, str, int]] = []

    class Noted:
        def __init__(self, folder: Path) -> None:
            self.folder = folder

        def claim(self, device: str, name: str, size: int) -> None:
            claims.append((self.folder, device, name, size))

    monkeypatch.setattr(devices, "Ledger", Noted)
    two = Devices(("cuda:0", "cuda:1"), "auto", free=0)
    two.claim(str(tmp_path), "eyes", 30)
    assert claims == [(tmp_path, "cuda:0", "eyes", 15), (tmp_path, "cuda:1", "eyes", 15)]
    two.claim("", "nobody to agree with", 30)
    Devices((), "cpu", free=0).claim(str(tmp_path), "no accelerator", 30)
    assert len(claims) == 2


def test_the_cache_of_a_7b_model_is_known_beforehand() -> None:
    words = {"num_attention_heads": 28, "num_key_value_heads": 4, "hidden_size": 3584, "num_hidden_layers": 28}
    size = loading.cache_size({**words, "max_position_embeddings": 128_000}, options("qwen2.5-vl").settings)
    assert size == 57_344 * 16 * 8193


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("qwen2.5-vl", {"quantization": "int8"}),
        ("qwen2.5-vl", {"quantization": "int4"}),
        ("qwen2-vl", {"quantization": "fp8"}),
        ("qwen3-vl", {"quantization": "int4"}),
        ("qwen3-vl-moe", {"quantization": "fp8"}),
        ("qwen3-vl", {"dtype": "fp16", "attention": "flash"}),  # which is not there: falls back
        ("qwen2-vl", {"attention": "sdpa"}),
    ],
)
def test_it_answers_however_it_was_loaded(kind: str, settings: dict[str, Any]) -> None:
    with opened(kind, **{"dtype": "auto", "batch": 2, "context": 256, **settings}) as model:
        [(_, ended)] = run(model, [Job(ask(model, "Hello"), GREEDY, 4)])
        assert ended.reason in (Reason.LENGTH, Reason.STOP) and ended.error is None
        kinds = {type(part).__name__ for part in model._loaded.model.model.language_model.parameters()}
        expected = {"int8": "Int8Params", "int4": "Params4bit", "fp8": "Float8Tensor"}
        assert expected.get(settings.get("quantization", ""), "Parameter") in kinds
        assert {type(part).__name__ for part in model._loaded.model.model.visual.parameters()} == {"Parameter"}


@pytest.mark.parametrize(
    ("able", "free", "asked", "got"),
    [
        (False, 10**12, "auto", torch.float32),
        (False, 2 * 10**6, "auto", torch.bfloat16),  # no room for twice the bytes
        (False, 10**12, "bf16", torch.bfloat16),
        (True, 10**12, "auto", torch.bfloat16),
    ],
)
def test_a_cpu_without_bf16_calculates_in_fp32(
    able: bool, free: int, asked: str, got: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "place", lambda *_: Devices((), "cpu", free, bfloat16=able))
    assert load(options("qwen2.5-vl", dtype=asked), lambda stage: None).model.dtype == got


def test_it_says_how_far_it_has_come() -> None:
    stages: list[str] = []
    loaded = load(options("qwen3-vl"), stages.append)
    assert stages[:3] == ["looking at the weights", "starting the libraries", "loading weights"]
    assert stages[3] == "loading weights, 0 %" and "loading weights, 50 %" in stages
    assert loaded.model.dtype == torch.float32
    assert loaded.context == 4096
    assert weights.read_json(tiny("qwen3-vl") / "config.json")["image_token_id"] not in loaded.ends
