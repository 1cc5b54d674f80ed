"""Exported parts compute what torch computes, are loaded only whole; what cannot be exported is refused in words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diffusers
import numpy
import pytest
import torch
import transformers
from PIL import Image
from tiny_exports import alter, exported_painter, exported_talker
from tiny_models import tiny

from sampan.engines.export import manifest
from sampan.engines.export.__main__ import main
from sampan.engines.export.exporting import export
from sampan.engines.export.manifest import ExportError
from sampan.engines.export.runtime import TextModel, open_decoder, open_part, open_transformer

TARGETS = ("onnx", "openvino")

pytestmark = pytest.mark.timeout(
    900
)  # the first test makes the exports: a minute of an idle core, or of a busy one more


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def picture() -> Path:
    return exported_painter()


@pytest.fixture(scope="module")
def text() -> Path:
    return exported_talker()


def draw(pipeline: Any, width: int) -> Any:
    images = pipeline(
        ["a cat", "一条小船停在河边，远处是青山"],
        negative_prompt=["", " "],
        true_cfg_scale=4.0,
        height=64,
        width=width,
        num_inference_steps=3,
        generator=[torch.Generator().manual_seed(seed) for seed in (0, 1)],
    ).images
    return numpy.stack([numpy.asarray(image).astype(int) for image in images])


@pytest.mark.parametrize("to", TARGETS)
def test_a_picture_drawn_by_an_export_is_the_one_that_torch_draws(picture: Path, to: str) -> None:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(picture / "model", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    wanted = [draw(pipeline, width) for width in (64, 112)]
    pipeline.transformer = open_transformer(picture / "model", to, pipeline.transformer, threads=1)
    pipeline.vae.decode = open_decoder(picture / "model", to, threads=1)
    pipeline.vae.decoder = None  # so that nothing can fall back on it
    for width, drawn in zip((64, 112), wanted, strict=True):
        got = draw(pipeline, width)
        assert got.shape == (2, 64, width, 3)
        assert abs(got - drawn).max() <= 2  # of 255
    assert abs(wanted[0][0] - wanted[0][1]).mean() > 1  # which two different pictures are not


@pytest.mark.parametrize("to", TARGETS)
def test_an_answer_about_pictures_through_an_export_is_the_one_that_torch_gives(text: Path, to: str) -> None:
    folder = text / "model"
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    words = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    look = transformers.AutoImageProcessor.from_pretrained(folder)
    seen = look(images=[Image.new("RGB", (96, 64), "teal")], return_tensors="pt")
    shown = (
        "<|vision_start|>"
        + "<|image_pad|>" * (int(seen["image_grid_thw"].prod()) // 4)
        + "<|vision_end|>图中有几个人？"
    )
    given = words([shown, "你好"], padding=True, return_tensors="pt")
    kinds = (given["input_ids"] == words.convert_tokens_to_ids("<|image_pad|>")).int()

    def answer() -> list[list[int]]:
        with torch.inference_mode():
            said = model.generate(
                **given, **seen, mm_token_type_ids=kinds, do_sample=False, max_new_tokens=12, repetition_penalty=1.0
            )
        return [list(row) for row in said.tolist()]

    wanted = answer()
    model.model.language_model.forward = TextModel(open_part(text / f"model.{to}", "text", threads=1))
    model.model.language_model.layers = torch.nn.ModuleList()
    assert answer() == wanted


def test_a_network_may_be_called_by_many_threads(picture: Path) -> None:
    for to in TARGETS:
        decode = open_decoder(picture / "model", to)
        latents = [torch.full((1, 16, 1, 4, 4 + size), size / 8) for size in range(8)]
        alone = [decode(each, return_dict=False)[0] for each in latents]
        with ThreadPoolExecutor(4) as pool:
            together = [made.sample for made in pool.map(decode, latents * 3)]
        for one, other in zip(together, alone * 3, strict=True):
            assert torch.allclose(one, other, atol=1e-5)


def test_the_manifest_says_what_there_is_and_how_near_it_comes(picture: Path) -> None:
    folder = picture / "model.onnx"
    told = manifest.read(folder)
    assert (told.to, told.architecture) == ("onnx", "QwenImagePipeline")
    assert [part.name for part in told.parts] == ["transformer", "vae-decoder"]
    for part in told.parts:
        assert 0 < part.difference < 1e-3 * part.largest
        assert part.files[0].path == f"{part.name}.onnx"
        manifest.verify(part, folder)
    listed = {file.path for part in told.parts for file in part.files}
    assert listed == {path.name for path in folder.iterdir()} - {"export.json"}
    with pytest.raises(ExportError, match="no part 'text_encoder': the pipelines read its hidden states"):
        open_part(folder, "text_encoder")
    with pytest.raises(ExportError, match=r"holds no export: there is no export\.json"):
        open_part(picture, "transformer")


def test_an_export_is_found_beside_its_checkpoint_and_nowhere_else(picture: Path) -> None:
    with pytest.raises(
        ExportError, match=r"was not exported: there is no .*qwen-image\.onnx; run `sampan models export"
    ):
        open_decoder(tiny("qwen-image"), "onnx")
    deeper = diffusers.QwenImageTransformer2DModel.from_pretrained(tiny("qwen-image"), subfolder="transformer")
    with pytest.raises(ExportError, match="is the export of another model: its num_layers is 1, not 2"):
        open_transformer(picture / "model", "onnx", deeper)


def test_a_damaged_export_is_not_loaded(text: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(text / "model.onnx", copy)
    with (copy / "text.onnx.data").open("r+b") as weights:
        weights.seek(1000)
        weights.write(b"\xff\xff")
    with pytest.raises(ExportError, match=r"text\.onnx\.data is damaged: its SHA-256"):
        open_part(copy, "text")
    (copy / "text.onnx.data").unlink()
    with pytest.raises(ExportError, match=r"text\.onnx\.data is missing"):
        open_part(copy, "text")
    with pytest.raises(ExportError, match="could not be loaded"):
        open_part(copy, "text", check=False)
    for bad in ("{", "[]", '{"format": 2}', '{"format": 1, "parts": [{"name": "text"}]}'):
        (copy / "export.json").write_text(bad)
        with pytest.raises(ExportError, match=r"export\.json"):
            manifest.read(copy)
    told = json.loads((text / "model.onnx" / "export.json").read_text())
    told["parts"][0]["files"][0]["path"] = "../elsewhere.onnx"
    (copy / "export.json").write_text(json.dumps(told))
    with pytest.raises(ExportError, match="is no manifest of an export"):
        manifest.read(copy)


def test_what_computes_something_else_is_refused_and_leaves_nothing(text: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(text / "model.onnx", copy)
    samples = dict(numpy.load(copy / "text.samples.npz"))
    samples["1/output/states"][0, 0, 0] += 1
    numpy.savez_compressed(copy / "text.samples.npz", **samples)
    told = json.loads((copy / "export.json").read_text())
    for file in told["parts"][0]["files"]:
        path = copy / file["path"]
        file |= {"size": path.stat().st_size, "sha256": manifest.hashed(path, copy).sha256}
    (copy / "export.json").write_text(json.dumps(told))
    with pytest.raises(ExportError, match="the exported text differs from torch by 1"):
        export(copy, "openvino", tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_what_cannot_be_exported_is_refused_with_a_reason(picture: Path, text: Path, tmp_path: Path) -> None:
    def refused(model: Path, to: Any = "onnx", **given: Any) -> str:
        with pytest.raises(ExportError) as caught:
            export(model, to, tmp_path / "made", **given)
        assert not (tmp_path / "made").exists()
        return str(caught.value)

    assert "each token's experts are chosen by looking at numbers" in refused(tiny("qwen3-vl-moe"))
    assert "computed in Python from each picture's size" in refused(tiny("qwen3-vl"), only=["vision"])
    assert "has no part 'ears'; there are text, vision, embedding" in refused(tiny("qwen3-vl"), only=["ears"])
    assert "only one to onnx can be turned, and only to openvino" in refused(text / "model.openvino")
    assert "is no checkpoint" in refused(tmp_path)
    variant = tmp_path / "variant"
    shutil.copytree(picture / "model", variant)
    alter(variant / "transformer" / "config.json", zero_cond_t=True)
    assert "its transformer has zero_cond_t: which patches" in refused(variant, only=["transformer"])
    (variant / "model_index.json").write_text('{"_class_name": "QwenImage21Pipeline"}')
    assert "a pipeline of class QwenImage21Pipeline cannot be exported" in refused(variant)
    (variant / "model_index.json").write_text("{")
    assert "model_index.json is not JSON" in refused(variant)


def test_the_command_replaces_an_export_and_nothing_else(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(text / "model.onnx"), "--to", "openvino", "--into", str(tmp_path / "made")]
    for _ in range(2):
        main(given)
        said = capsys.readouterr().out
        assert "text: " in said
        assert "differs from torch by" in said
        assert "vision: not exported, its windows" in said
    assert manifest.read(tmp_path / "made").to == "openvino"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(SystemExit, match="mine is there and is no export"):
        main([*given[:-1], str(tmp_path / "mine")])
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_openvino_does_not_report_its_use(text: Path, tmp_path: Path) -> None:
    fake = tmp_path / "packages" / "openvino_telemetry"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(f"open({str(tmp_path / 'called')!r}, 'w')\nraise ImportError\n")
    paths = os.pathsep.join([str(fake.parent), str(Path(__file__).parents[2])])
    environment = os.environ | {"PYTHONPATH": paths}

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, env=environment, capture_output=True)

    made = str(tmp_path / "made")
    run("-m", "sampan.engines.export", str(text / "model.onnx"), "--to", "openvino", "--into", made)
    assert not (tmp_path / "called").exists()
    run("-c", "import openvino.tools.ovc")  # the fake does tell
    assert (tmp_path / "called").exists()
