"""The engine as a process of its own, asked by the official SDK."""

from __future__ import annotations

import base64
import http.client
import io
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image
from tiny_models import tiny

sys.path.insert(0, str(Path(__file__).parents[1]))
from engine_process import EngineProcess, engine

from sampan.engines.qwen_image.pictures import read_provenance

QUICK: dict[str, Any] = {"preset": "best", "steps": 2, "seed": 3}


@pytest.fixture(scope="module")
def painter() -> Iterator[EngineProcess]:
    options = ["--model", str(tiny("qwen-image")), "--edit-model", str(tiny("qwen-image-edit")), "--name", "painter"]
    options += ["--max-pixels", "16384", "--device", "cpu", "--sizes", "64x64", "96x64", "--loras"]
    options += [f"lightning={tiny('qwen-image-lightning')}", f"ink={tiny('qwen-image-style')}"]
    with engine("qwen_image", *options) as running:
        seen = running.until("/ready", lambda said: bool(said["cold"]) if "cold" in said else False)
        assert not seen["ready"]
        running.line("ready after", seconds=110)
        assert running.until("/ready", lambda said: said["ready"])["cold"] == []
        yield running


@pytest.fixture(scope="module")
def client(painter: EngineProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{painter.url}/v1", api_key="x", max_retries=0, timeout=60) as made:
        yield made


def picture(width: int, height: int, alpha: Any = None) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if alpha is not None:
        values = np.dstack([values, alpha])
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def pixels(b64: str | None) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(b64 or "")))).astype(int)


def only(answer: Any) -> Any:
    (one,) = answer.data
    return one


def test_pictures_are_generated(client: openai.OpenAI) -> None:
    size: Any = "96x64"
    answer = client.images.generate(prompt="一只红色的小船", n=2, size=size, quality="high", extra_body=QUICK)
    assert answer.data is not None
    assert (answer.size, answer.quality, answer.output_format) == ("96x64", "high", "png")
    assert [one.revised_prompt for one in answer.data] == ["一只红色的小船"] * 2
    first, second = (pixels(one.b64_json) for one in answer.data)
    assert first.shape == (64, 96, 3)
    assert np.abs(first - second).mean() > 3
    told: Any = answer.data[1]
    assert told.seed == 4
    assert told.provenance == read_provenance(base64.b64decode(told.b64_json))
    assert told.provenance["steps"] == 2
    again = client.images.generate(prompt="一只红色的小船", size=size, quality="high", extra_body={**QUICK, "seed": 4})
    assert np.abs(pixels(only(again).b64_json) - second).max() <= 8  # bf16: alone its sums are in another order


def test_previews_stream(client: openai.OpenAI) -> None:
    size: Any = "64x64"
    stream = client.images.generate(
        prompt="a boat", size=size, stream=True, partial_images=2, extra_body={**QUICK, "steps": 4}
    )
    events: list[Any] = list(stream)
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert all(pixels(event.b64_json).shape == (64, 64, 3) for event in events)
    assert events[0].b64_json != events[1].b64_json
    assert events[2].usage.output_tokens == 1
    assert events[0].size == "64x64"


def test_steps_are_told_as_comments(painter: EngineProcess) -> None:
    asked = {"prompt": "a boat", "size": "64x64", "stream": True, **QUICK, "steps": 3}
    wire = http.client.HTTPConnection("127.0.0.1", painter.port, timeout=60)
    wire.request("POST", "/v1/images/generations", json.dumps(asked))
    body = wire.getresponse().read().decode()
    wire.close()
    assert [line for line in body.splitlines() if line.startswith(": step")] == [f": step {n} of 3" for n in (1, 2, 3)]
    assert body.rstrip().endswith("data: [DONE]")


def test_outside_the_mask_every_pixel_stays(client: openai.OpenAI) -> None:
    alpha = np.full((72, 100), 255, np.uint8)
    alpha[10:40, 20:60] = 0
    given, mask = picture(100, 72), picture(100, 72, alpha)
    edited = client.images.edit(image=("a.png", given), mask=("m.png", mask), prompt="a hat", extra_body=QUICK)
    one = only(edited)
    result, before = pixels(one.b64_json), pixels(base64.b64encode(given).decode())
    assert np.array_equal(result[alpha == 255], before[alpha == 255])
    assert (result[alpha == 0] != before[alpha == 0]).any(axis=-1).mean() > 0.9
    assert one.provenance["outside_mask"] == "equal"
    assert one.provenance["pixels"] == 100 * 72 - 30 * 40


def test_the_extension_travels_in_a_form(client: openai.OpenAI) -> None:
    """The SDK writes nested members as `sampan[region][]`; others send the JSON as one field."""
    given = picture(80, 64)
    before = pixels(base64.b64encode(given).decode())
    for sent in ({"region": [8, 8, 24, 24]}, json.dumps({"region": [8, 8, 24, 24]})):
        one = only(client.images.edit(image=given, prompt="a hat", extra_body={**QUICK, "sampan": sent}))
        changed = (pixels(one.b64_json) != before).any(axis=-1)
        assert changed[8:32, 8:32].mean() > 0.9
        changed[8:32, 8:32] = False
        assert not changed.any()
    canvas = {"left": 16, "right": 0, "top": 8, "bottom": 8}
    one = only(client.images.edit(image=given, prompt="a sea", extra_body={**QUICK, "sampan": {"canvas": canvas}}))
    result = pixels(one.b64_json)
    assert result.shape == (80, 96, 3)
    assert np.array_equal(result[8:72, 16:], before)


def test_several_pictures_are_edited_together(client: openai.OpenAI) -> None:
    size: Any = "64x64"
    given = [("a.png", picture(64, 64)), ("b.png", picture(96, 64))]
    stream = client.images.edit(
        image=given, prompt="put them together", size=size, stream=True, partial_images=1, extra_body=QUICK
    )
    events: list[Any] = list(stream)
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert pixels(events[1].b64_json).shape == (64, 64, 3)


def test_pictures_are_varied(client: openai.OpenAI) -> None:
    size: Any = "64x64"
    one = only(client.images.create_variation(image=picture(64, 64), size=size, extra_body={"seed": 1, "steps": 2}))
    assert one.provenance["operation"] == "vary"


def test_loras_and_presets(client: openai.OpenAI) -> None:
    size: Any = "64x64"
    drawn = {}
    for name, more in {
        "plain": {},
        "ink": {"lora": "ink"},
        "half": {"lora": {"ink": 0.5}},
        "fast": {"preset": "fast"},
    }.items():
        one = only(client.images.generate(prompt="a boat", size=size, extra_body={**QUICK, **more}))
        drawn[name] = pixels(one.b64_json)
        assert one.provenance["loras"] == {"ink": {"ink": 1.0}, "half": {"ink": 0.5}, "fast": {"lightning": 1.0}}.get(
            name, {}
        )
    assert np.abs(drawn["plain"] - drawn["ink"]).mean() > 0.2
    assert np.abs(drawn["half"] - drawn["ink"]).mean() > 0.2
    assert np.abs(drawn["plain"] - drawn["fast"]).mean() > 0.2
    quick = only(client.images.generate(prompt="a boat", size=size, quality="low", extra_body={"seed": 1}))
    assert quick.provenance["preset"] == "fast"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"steps": 1000}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"guidance": 99}, "guidance"),
        ({"strength": 2}, "strength"),
        ({"preset": "quick"}, "preset"),
        ({"lora": "oil"}, "lora"),
        ({"lora": {"ink": 9}}, "lora"),
        ({"background": "transparent"}, "background"),
        ({"sampan": {"region": [0, 0, 5, 5]}}, "sampan"),
        ({"sampan": {"frame": 1}}, "sampan"),
        ({"size": "64x4000"}, "size"),
    ],
)
def test_mistakes_are_named(client: openai.OpenAI, more: dict[str, Any], field: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="x", extra_body=more)
    body: Any = caught.value.body
    assert body["param"] == field
    assert field in body["message"]


def test_who_leaves_stops_the_steps(painter: EngineProcess) -> None:
    """A caller that hangs up after the first of a hundred steps: the engine is free at once."""
    asked = {"prompt": "a boat", "size": "1024x1024", "stream": True, "preset": "best", "steps": 100}
    wire = http.client.HTTPConnection("127.0.0.1", painter.port, timeout=60)
    wire.request("POST", "/v1/images/generations", json.dumps(asked))
    answer = wire.getresponse()
    while not answer.readline().startswith(b": step"):
        pass
    wire.close()
    painter.until("/ready", lambda said: said["working"] == 0)


def test_32_callers_at_once_all_get_theirs(painter: EngineProcess) -> None:
    body = json.dumps({"prompt": "a boat", "size": "64x64", **QUICK}).encode()
    answers: list[tuple[int, Any]] = []

    def call() -> None:
        status, _, said = painter.ask("POST", "/v1/images/generations", body)
        answers.append((status, said["data"][0]["b64_json"]))

    callers = [threading.Thread(target=call) for _ in range(32)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert [status for status, _ in answers] == [200] * 32
    seen = [pixels(b64) for _, b64 in answers]
    assert max(np.abs(one - seen[0]).max() for one in seen) <= 8


def test_a_corrupt_shard_stops_the_start_in_words(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny("qwen-image"), tmp_path / "spoilt"))
    shard = sorted((folder / "transformer").glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-1000])
    with engine("qwen_image", "--model", str(folder)) as running:
        said = running.line("bytes where its header says")
        assert shard.name in said
        assert "`sampan models fetch`" in said
        assert running.process.wait(20) == 1
