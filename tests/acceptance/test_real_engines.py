"""The default house: nothing configured but a cloud that is unreachable, and our own engines answer for it."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest
from callers import ask, clients
from clouds import Cloud
from gateway import QUICK, Gateway, eventually, form, is_alive, upstream
from PIL import Image, ImageDraw, ImageFont

WARM = 110.0  # seconds; both engines load at once, on a machine that is busy with other things
LINES = ("INVOICE", "Invoice No: A-2217", "Date: 2026-03-14", "Total: 1,234.50 USD")


def page(lines: Sequence[str] = LINES) -> bytes:
    """A clean page of type as PNG."""
    image = Image.new("RGB", (900, 120 + 70 * len(lines)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=36)
    for number, line in enumerate(lines):
        draw.text((60, 60 + 70 * number), line, fill="black", font=font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def question(text: str, picture: bytes | None = None) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if picture is not None:
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(picture).decode()}
        content.insert(0, {"type": "image", "source": source})
    return [{"role": "user", "content": content}]


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two clouds at a closed port, no routes and no engines in the file: the embedded ones are used."""
    with Cloud() as cloud:
        cloud.close()
        shut = f"http://127.0.0.1:{cloud.port}"
        config = QUICK + upstream("claude", shut, "anthropic", more='probe = "off"')
        config += upstream("openai", shut, "openai-images", more='probe = "off"')
        with Gateway(tmp_path_factory.mktemp("harbour"), config) as gateway:
            yield gateway


@pytest.fixture(scope="module")
def early(harbour: Gateway) -> dict[str, Any]:
    """What happened to a call that came before the engines were warm, and what /ready said then."""
    ready = harbour.http("GET", "/ready", key=None)
    raw = harbour.anthropic(timeout=WARM).messages.with_raw_response.create(
        model="claude-x", max_tokens=200, messages=question("What is the total?", page())
    )
    harbour.wait_ready(WARM)
    return {"ready": ready, "text": raw.parse().content[0].text, "headers": raw.headers}


def test_a_call_before_the_engine_is_warm_waits_for_it(early: dict[str, Any]) -> None:
    assert early["ready"].status == 503
    assert {engine["state"] for engine in early["ready"].json["engines"].values()} == {"starting"}
    assert "1,234.50" in early["text"]
    assert early["headers"]["x-sampan-attempts"] == "claude=refused,reader=ok"
    assert early["headers"]["x-sampan-tier"] == "degraded"


@pytest.fixture
def ready(harbour: Gateway, early: dict[str, Any]) -> Gateway:
    harbour.said("Ready.")
    return harbour


def test_the_reader_answers_every_part_and_says_what_it_is(ready: Gateway) -> None:
    message = ready.anthropic().messages.create(
        model="claude-x",
        max_tokens=300,
        messages=question("What is the invoice number, the date, and the passport number?", page()),
    )
    text = message.content[0].text
    assert "A-2217" in text and "2026-03-14" in text
    assert "Not found" in text and "passport" in text, "what is absent must be said to be absent"
    assert "degraded" in text and "box [" in text
    assert message.usage.input_tokens > 5 and message.usage.output_tokens > 5


def test_the_reader_streams(ready: Gateway) -> None:
    with ready.anthropic().messages.stream(
        model="claude-x", max_tokens=300, messages=question("读出文字", page())
    ) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
        call = stream.response.headers["request-id"]
    assert all(line in text for line in LINES) and "降级" in text
    assert message.stop_reason == "end_turn" and message.usage.output_tokens > 5
    record = ready.record(call)
    assert (record["upstream"], record["tier"], record["operation"]) == ("reader", "degraded", "vision")
    assert record["output_tokens"] == message.usage.output_tokens


def test_the_reader_refuses_to_chat_and_says_what_it_can(ready: Gateway) -> None:
    message = ready.anthropic().messages.create(model="claude-x", max_tokens=99, messages=question("Tell me a joke"))
    text = message.content[0].text
    assert "degraded" in text and "read" in text


def test_a_browser_asks_the_reader_with_a_form(ready: Gateway) -> None:
    body, kind = form({"prompt": "What is the total?"}, {"image": ("a.png", "image/png", page())})
    reply = ready.http("POST", "/v1/messages", body, {"content-type": kind})
    assert reply.status == 200 and "1,234.50" in reply.json["content"][0]["text"]
    counted = ready.http("POST", "/v1/messages/count_tokens", {"model": "claude-x", "messages": question("hello")})
    assert counted.status == 200 and counted.json["input_tokens"] > 0


def _draw(gateway: Gateway, **facts: Any) -> tuple[Image.Image, Any]:
    answer = gateway.openai().images.generate(model="gpt-image-1", **facts)
    assert answer.data and answer.data[0].b64_json
    return Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))), answer


def test_the_sketcher_draws_in_both_languages(ready: Gateway) -> None:
    english, answer = _draw(ready, prompt="a red apple left of a tree", size="512x512")
    assert english.size == (512, 512) and answer.data[0].revised_prompt and answer.usage.output_tokens > 0
    assert english.convert("RGB").getcolors(20) is None, "an empty picture"
    chinese, answer = _draw(ready, prompt="左边一只猫,右边一条狗")
    assert chinese.size == (1024, 1024) and "猫" in answer.data[0].revised_prompt


def test_the_same_seed_draws_the_same_bytes(ready: Gateway) -> None:
    facts: dict[str, Any] = {"prompt": "two cats on the grass", "size": "256x256", "extra_body": {"seed": 7}}
    first, second = (_draw(ready, **facts)[1].data[0].b64_json for _ in range(2))
    assert first == second


def test_nothing_understood_is_a_400_that_says_so(ready: Gateway) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        ready.openai().images.generate(model="gpt-image-1", prompt="qwzx flurb")
    assert failure.value.param == "prompt" and "can draw" in failure.value.message


def test_a_mask_protects_what_lies_outside_it(ready: Gateway) -> None:
    before, answer = _draw(ready, prompt="a cat", size="512x512")
    mask = Image.new("RGBA", (512, 512), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (256, 0, 512, 256))  # alpha 0: edit here
    out = io.BytesIO()
    mask.save(out, "PNG")
    edited = ready.openai().images.edit(
        model="gpt-image-1",
        prompt="a dog",
        image=("cat.png", base64.b64decode(answer.data[0].b64_json), "image/png"),
        mask=("mask.png", out.getvalue(), "image/png"),
        size="512x512",
    )
    assert edited.data and edited.data[0].b64_json
    after = Image.open(io.BytesIO(base64.b64decode(edited.data[0].b64_json))).convert("RGB")
    was = before.convert("RGB")
    for box in ((0, 0, 256, 512), (256, 256, 512, 512)):
        assert after.crop(box).tobytes() == was.crop(box).tobytes(), "pixels outside the mask were changed"
    inside = (256, 0, 512, 256)
    assert after.crop(inside).tobytes() != was.crop(inside).tobytes(), "nothing was drawn inside the mask"


def test_pictures_stream_and_come_as_links(ready: Gateway) -> None:
    stream = ready.openai().images.generate(model="gpt-image-1", prompt="a cat", size="1024x1024", stream=True)
    events = list(stream)
    assert events[-1].type == "image_generation.completed"
    assert stream.response.headers["x-sampan-upstream"] == "sketcher"
    answer = ready.openai().images.generate(model="dall-e-3", prompt="a cat", response_format="url")
    assert answer.data and answer.data[0].url
    reply = ready.http("GET", answer.data[0].url.removeprefix(ready.url), key=None)
    assert reply.status == 200 and reply.headers["content-type"] == "image/png"
    Image.open(io.BytesIO(reply.body)).load()


async def test_both_engines_answer_at_once(ready: Gateway) -> None:
    async with clients(ready) as sdk:
        told = await ask(sdk, "text_stream", "claude-x")
        drawn = await ask(sdk, "generate_stream", "gpt-image-1")
    assert (told.upstream, drawn.upstream) == ("reader", "sketcher")
    assert {told.tier, drawn.tier} == {"degraded"}


def _engines(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return dict(json.loads(gateway.http("GET", "/ready", key=None).body)["engines"])


def test_a_killed_engine_comes_back(ready: Gateway) -> None:
    """While it is away calls are answered with an honest error, never with a hang; then as before."""
    before = set(ready.children)
    assert len(before) == 2
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: ready.http("GET", "/ready", key=None).status == 503, what="/ready to see it")
    ready.wait_ready(WARM)
    assert before.isdisjoint(ready.children) and len(ready.children) == 2
    assert {engine["restarts"] for engine in _engines(ready).values()} == {1}
    message = ready.anthropic(timeout=WARM).messages.create(
        model="claude-x", max_tokens=99, messages=question("What is the total?", page())
    )
    assert "1,234.50" in message.content[0].text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_no_engine_outlives_the_gateway(ready: Gateway, number: signal.Signals) -> None:
    """However it ends, warm (SIGKILL) or still starting (SIGTERM). Starts it again: the tests above do not care."""
    engines = eventually(lambda: ready.children if len(ready.children) == 2 else [], what="two engines")
    ready.process.send_signal(number)
    status = ready.process.wait(30)
    assert status == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, engines)), 20, f"the engines {engines} to end")
    if number is signal.SIGKILL:
        ready.start()
