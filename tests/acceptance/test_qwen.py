"""Tiny Qwen-VL and Qwen-Image behind the default routes: cloud, then Qwen, then the CPU engines, as each is taken away.

The weights are random, so what is said and drawn means nothing; who says it, and in which form, is what counts.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from clouds import Cloud
from gateway import QUICK, Gateway, eventually, upstream
from PIL import Image

from tests.tiny_models import tiny

pytestmark = pytest.mark.timeout(600)  # a test that restarts an engine waits for torch to be imported several times
WARM = 300.0  # seconds; four engines load at once, two of them torch, on a machine that is busy with other things
ASKED: list[Any] = [{"role": "user", "content": "Say something. 说点什么。"}]
ENGINES = """
[engines.vl]
kind = "qwen_vl"
model = "{vl}"
device = "cpu"
context = 2048

[engines.painter]
kind = "qwen_image"
model = "{painter}"
device = "cpu"
preset = "fast"
loras = {{ lightning = "{lightning}" }}

[engines.reader]
kind = "reader"

[engines.sketcher]
kind = "sketcher"
"""


def red() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (96, 64), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


def sees(text: str) -> list[Any]:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(red()).decode()}
    return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}]


@pytest.fixture(scope="module")
def clouds() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the talking checkpoint that may be spoilt."""
    folder = tmp_path_factory.mktemp("shelf") / "vl"
    shutil.copytree(tiny("qwen2.5-vl"), folder)
    return folder


@pytest.fixture(scope="module")
def house(clouds: Cloud, shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = QUICK.replace("delay = 1", "delay = 0.2")
    config += upstream("claude", clouds.url("qwen-talk"), "anthropic", more='probe = "off"')
    config += upstream("openai", clouds.url("qwen-draw"), "openai-images", more='probe = "off"')
    config += ENGINES.format(vl=shelf, painter=tiny("qwen-image"), lightning=tiny("qwen-image-lightning"))
    with Gateway(tmp_path_factory.mktemp("qwen"), config) as gateway:
        gateway.wait_ready(WARM)
        yield gateway


def told(gateway: Gateway, **more: Any) -> tuple[str, str, anthropic.types.Message]:
    """Who answered a talk call, of which tier, and what."""
    asked = {"model": "claude-x", "max_tokens": 12, "messages": ASKED} | more
    raw = gateway.anthropic(timeout=120).messages.with_raw_response.create(**asked)
    return raw.headers["x-sampan-upstream"], raw.headers["x-sampan-tier"], raw.parse()


def drawn(gateway: Gateway, **more: Any) -> tuple[str, str, Image.Image]:
    asked = {"model": "gpt-image-1", "prompt": "a red apple", "size": "128x128"} | more
    raw = gateway.openai(timeout=120).images.with_raw_response.generate(**asked)
    [picture] = raw.parse().data or []
    assert picture.b64_json
    image = Image.open(io.BytesIO(base64.b64decode(picture.b64_json)))
    return raw.headers["x-sampan-upstream"], raw.headers["x-sampan-tier"], image


def pid_of(gateway: Gateway, kind: str) -> int | None:
    """The process of one engine of this gateway."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    for line in listed.splitlines():
        pid, parent, command = line.split(None, 2)
        if int(parent) == gateway.pid and f"sampan.engines.server {kind} " in command:
            return int(pid)
    return None


def engines(gateway: Gateway) -> dict[str, Any]:
    return dict(gateway.http("GET", "/ready", key=None).json["engines"])


def kill(gateway: Gateway, *kinds: str) -> None:
    """All are looked up before the first dies: a list of processes that is read while one ends may miss another."""
    found: dict[str, int] = {}

    def all_found() -> bool:
        found.update({kind: pid for kind in kinds if (pid := pid_of(gateway, kind)) is not None})
        return len(found) == len(kinds)

    eventually(all_found, WARM, what=f"processes of {kinds} (seen before: {engines(gateway)})")
    for pid in found.values():
        os.kill(pid, signal.SIGKILL)


def test_the_best_tier_comes_first(house: Gateway, clouds: Cloud) -> None:
    assert told(house)[:2] == ("claude", "cloud")
    clouds.close()
    try:
        who, tier, message = told(house)
        assert (who, tier) == ("vl", "local")
        assert message.usage.output_tokens == 12 and message.stop_reason == "max_tokens"
        assert told(house, messages=sees("Which colour?"))[:2] == ("vl", "local")
        who, tier, image = drawn(house)
        assert (who, tier, image.size) == ("painter", "local", (128, 128))
    finally:
        clouds.open()
    eventually(lambda: told(house)[0] == "claude", what="the cloud to be asked again")


def test_tokens_are_counted_as_they_are_read(house: Gateway, clouds: Cloud) -> None:
    clouds.close()
    try:
        client = house.anthropic(timeout=120)
        for messages in (ASKED, sees("Which colour?")):
            counted = client.messages.count_tokens(model="vl", messages=messages).input_tokens
            answer = client.messages.create(model="vl", max_tokens=3, messages=messages)
            assert counted == answer.usage.input_tokens > 5
    finally:
        clouds.open()


def test_either_client_streams_from_qwen(house: Gateway) -> None:
    with house.anthropic(timeout=120).messages.stream(model="vl", max_tokens=16, messages=ASKED) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(pieces) > 3 and "".join(pieces) == "".join(block.text for block in message.content)
    chunks = list(
        house.openai(timeout=120).chat.completions.create(model="vl", stream=True, max_tokens=16, messages=ASKED)
    )
    assert chunks[-1].choices[0].finish_reason == "length"
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3


def test_pictures_stream_and_are_edited_outside_of_nothing(house: Gateway) -> None:
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (64, 0, 128, 128))  # alpha 0: edit here
    before = Image.effect_noise((128, 128), 90).convert("RGB")
    files = []
    for image in (before, mask):
        out = io.BytesIO()
        image.save(out, "PNG")
        files.append(("a.png", out.getvalue(), "image/png"))
    edited = house.openai(timeout=120).images.edit(
        model="painter", prompt="a car", image=files[0], mask=files[1], size="128x128"
    )
    assert edited.data and edited.data[0].b64_json
    after = Image.open(io.BytesIO(base64.b64decode(edited.data[0].b64_json))).convert("RGB")
    kept = (0, 0, 64, 128)
    assert after.crop(kept).tobytes() == before.crop(kept).tobytes(), "pixels outside the mask were changed"
    assert after.crop((64, 0, 128, 128)).tobytes() != before.crop((64, 0, 128, 128)).tobytes()
    events = list(
        house.openai(timeout=120).images.generate(
            model="painter", prompt="a cat", size="128x128", stream=True, partial_images=2
        )
    )
    kinds = [event.type for event in events]
    assert kinds[-1] == "image_generation.completed"
    assert kinds.count("image_generation.partial_image") == 2


def test_when_qwen_is_killed_the_cpu_engines_answer_and_it_comes_back(house: Gateway, clouds: Cloud) -> None:
    clouds.close()
    try:
        kill(house, "qwen_vl", "qwen_image")
        eventually(lambda: engines(house)["vl"]["state"] != "warm", what="the death to be seen")
        assert told(house)[:2] == ("reader", "degraded")
        assert drawn(house)[:2] == ("sketcher", "degraded")
        house.wait_ready(WARM)
        eventually(lambda: told(house)[0] == "vl", WARM, what="Qwen to be asked again")
        eventually(lambda: drawn(house)[0] == "painter", WARM, what="Qwen to be asked again")
    finally:
        clouds.open()


def test_a_text_that_the_cloud_breaks_off_is_gone_on_with_at_home(house: Gateway, clouds: Cloud) -> None:
    house.wait_ready(WARM)
    cell = clouds.cell("qwen-talk")
    cell.behaviour = "after_cut"
    cell.gate.clear()
    try:
        with house.anthropic(timeout=120).messages.stream(model="claude-x", max_tokens=12, messages=ASKED) as stream:
            next(stream.text_stream)
            cell.gate.set()
            message = stream.get_final_message()
            call = stream.response.headers["request-id"]
        assert message.stop_reason in ("max_tokens", "end_turn")
        assert house.record(call)["attempts"] == "claude=cut,vl=ok"
    finally:
        cell.behaviour = "healthy"


def test_an_answer_whose_engine_is_killed_ends_in_an_error(house: Gateway) -> None:
    house.wait_ready(WARM)
    with (
        pytest.raises((anthropic.APIStatusError, anthropic.APIConnectionError)),
        house.anthropic(timeout=120).messages.stream(model="vl", max_tokens=1500, messages=ASKED) as stream,
    ):
        for number, _ in enumerate(stream.text_stream):
            if number == 2:
                kill(house, "qwen_vl")
    house.wait_ready(WARM)


def test_a_corrupt_shard_is_told_in_words_and_mended_without_help(house: Gateway, clouds: Cloud, shelf: Path) -> None:
    shard = sorted(shelf.glob("*.safetensors"))[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    clouds.close()
    try:
        kill(house, "qwen_vl")
        eventually(lambda: shard.name in engines(house)["vl"].get("stage", ""), WARM, "the shard to be named")
        assert told(house)[:2] == ("reader", "degraded")
        shard.write_bytes(whole)
        house.wait_ready(WARM)
        eventually(lambda: told(house)[0] == "vl", WARM, what="Qwen to be asked again")
    finally:
        shard.write_bytes(whole)
        clouds.open()


def test_too_long_a_prompt_is_the_callers_mistake(house: Gateway) -> None:
    with pytest.raises(anthropic.BadRequestError, match="too long"):
        told(house, model="vl", messages=[{"role": "user", "content": "word " * 9000}])
    with pytest.raises(openai.BadRequestError, match="size"):
        drawn(house, model="painter", size="100000x3")
