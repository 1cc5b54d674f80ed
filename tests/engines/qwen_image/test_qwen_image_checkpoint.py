"""A checkpoint that is not whole stops the start, and the message names the file and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import tiny

from sampan.engines.qwen_image.checkpoint import alike, inspect, weights
from sampan.engines.shards import read_header
from sampan.errors import ConfigError


@pytest.fixture(scope="module")
def whole() -> Path:
    return tiny("qwen-image-edit")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def shard(folder: Path, part: str) -> Path:
    return weights(folder / part)[-1]


def test_a_whole_one_is_described(whole: Path, tmp_path: Path) -> None:
    found = inspect(whole, "model")
    assert (found.name, found.revision, found.pipeline) == ("qwen-image-edit", "", "QwenImageEditPlusPipeline")
    assert found.edits
    assert found.many
    assert found.dtype == "BF16"
    assert set(found.sizes) == {"transformer", "text_encoder", "vae"}
    files = sum(file.stat().st_size for file in weights(whole / "transformer"))
    assert 0 < files - found.sizes["transformer"] < 20_000  # all but the headers
    copied = Path(shutil.copytree(whole, tmp_path / "x"))
    (copied / "release.json").write_text(json.dumps({"name": "Qwen/Qwen-Image-Edit", "revision": "abc"}))
    assert (inspect(copied, "model").name, inspect(copied, "model").revision) == ("Qwen/Qwen-Image-Edit", "abc")
    assert not inspect(tiny("qwen-image"), "model").edits


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def scribble(file: Path) -> None:
    file.write_bytes(b"\xff" * 64 + file.read_bytes()[64:])


BREAKAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("a shard cut off", lambda at: cut(shard(at, "transformer")), r"transformer/.*bytes where its header says"),
    (
        "a shard overwritten",
        lambda at: scribble(shard(at, "text_encoder")),
        r"text_encoder/.*header makes no sense",
    ),
    ("a shard empty", lambda at: shard(at, "vae").write_bytes(b""), r"vae/.*its header makes no sense"),
    ("a shard gone", lambda at: shard(at, "transformer").unlink(), r"transformer/.*is not there, and .* names it"),
    ("a part gone", lambda at: shutil.rmtree(at / "vae"), r"vae/config\.json is missing"),
    ("no weights", lambda at: shard(at, "vae").unlink(), r"vae: holds no safetensors file"),
    ("no processor", lambda at: shutil.rmtree(at / "processor"), r"preprocessor_config\.json is missing"),
    ("half a config", lambda at: cut_text(at / "transformer" / "config.json"), r"config\.json is damaged"),
    ("another pipeline", lambda at: index(at, _class_name="FluxPipeline"), r"holds a 'FluxPipeline'; .*QwenImage"),
    ("a part unnamed", lambda at: index(at, scheduler=None), r"names no scheduler"),
]


def cut_text(file: Path) -> None:
    file.write_text(file.read_text()[:-20])


def index(folder: Path, **changes: object) -> None:
    file = folder / "model_index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(("name", "spoil", "words"), BREAKAGES, ids=[name for name, _, _ in BREAKAGES])
def test_what_is_broken_is_named(name: str, spoil: Callable[[Path], None], words: str, copy: Path) -> None:
    spoil(copy)
    with pytest.raises(ConfigError, match=words):
        inspect(copy, "model")


def test_a_damaged_file_comes_with_a_remedy(copy: Path) -> None:
    cut(shard(copy, "transformer"))
    with pytest.raises(ConfigError, match="fetch it again: `sampan models verify`"):
        inspect(copy, "model")
    with pytest.raises(ConfigError, match=r"edit_model: there is no folder .*fetch the model first"):
        inspect(copy / "nowhere", "edit_model")


def test_parts_are_shared_only_where_their_files_are_the_same(whole: Path, copy: Path) -> None:
    assert alike(whole / "vae", copy / "vae")
    file = shard(copy, "vae")
    largest = max(read_header(file).values(), key=lambda tensor: tensor.end - tensor.begin)
    data = bytearray(file.read_bytes())
    data[(largest.begin + largest.end) // 2] ^= 1
    file.write_bytes(data)
    assert not alike(whole / "vae", copy / "vae")
    config = json.loads((copy / "text_encoder" / "config.json").read_text())
    (copy / "text_encoder" / "config.json").write_text(json.dumps({**config, "x": 1}))
    assert not alike(whole / "text_encoder", copy / "text_encoder")
