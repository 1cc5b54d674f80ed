"""Pictures by the official `openai` client: from a cloud that is handed what was sent, and from our own sketcher."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Mapping
from typing import Any

import openai
import pytest
from cells import PICTURE, png
from gateway import Gateway
from PIL import Image
from sdk_openai_clouds import USAGE, Studio, partial, picture

CLOUD, GPT = "dall-e-2", "chatgpt-image-studio"
PROMPT = "a red boat on a lake"
BOAT = ("boat.png", PICTURE, "image/png")
WARM = 100

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def sdk(quay: Gateway) -> openai.OpenAI:
    return quay.openai()


@pytest.fixture
async def async_sdk(quay: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with quay.async_openai() as client:
        yield client


@pytest.fixture(scope="module")
def sketcher(quay: Gateway) -> openai.OpenAI:
    """A client for when the sketcher is warm."""
    quay.wait_ready(WARM)
    return quay.openai()


def pixels(answer: Any) -> list[bytes]:
    return [base64.b64decode(one.b64_json) for one in answer.data]


# A cloud.


async def test_pictures_are_generated(sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, studio: Studio) -> None:
    ask: dict[str, Any] = {"model": GPT, "prompt": PROMPT, "n": 3, "size": "1024x1024", "quality": "high"}
    ask |= {"background": "opaque", "moderation": "low", "output_format": "webp", "output_compression": 80}
    raw = sdk.images.with_raw_response.generate(**ask, extra_body={"future": {"x": [1.5, None]}}, user="u")
    with sdk.images.with_streaming_response.generate(**ask) as response:
        streamed = response.parse()
    answers = raw.parse(), streamed, await async_sdk.images.generate(**ask)
    for answer in answers:
        assert pixels(answer) == [picture(0), picture(1), picture(2)]
        assert answer.usage is not None and answer.usage.to_dict() == USAGE
        assert answer.to_dict()["future"] == [1.5]
    assert raw.headers["x-sampan-upstream"] == "studio" and raw.headers["x-request-id"]
    assert studio.json("draw") == ask
    assert studio.cell("draw").heads[-1]["authorization"] == "Bearer sk-of-the-studio"


@pytest.mark.parametrize("verb", ["generate", "edit"])
async def test_unfinished_pictures_stream(
    sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, studio: Studio, verb: str
) -> None:
    ask: dict[str, Any] = {"model": GPT, "prompt": PROMPT, "stream": True, "partial_images": 2}
    if verb == "edit":
        ask["image"] = BOAT
    with getattr(sdk.images, verb)(**ask) as stream:
        events = list(stream)
        assert stream.response.headers["x-sampan-upstream"] == "studio"
    async with await getattr(async_sdk.images, verb)(**ask) as async_stream:
        async_events = [event async for event in async_stream]
    kind = "image_edit" if verb == "edit" else "image_generation"
    for seen in (events, async_events):
        assert [event.type for event in seen] == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
        assert [base64.b64decode(event.b64_json) for event in seen] == [partial(0), partial(1), picture(0)]
        assert [event.partial_image_index for event in seen[:2]] == [0, 1]
        assert seen[-1].usage.output_tokens == 30


async def test_several_pictures_are_edited_behind_a_mask(
    sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, studio: Studio
) -> None:
    first, second, mask = (png(colour) for colour in ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    ask: dict[str, Any] = {"model": GPT, "prompt": "加一顶帽子", "n": 2, "input_fidelity": "high"}
    files: dict[str, Any] = {
        "image": [("一.png", first, "image/png"), ("2.png", second, "image/png")],
        "mask": ("m.png", mask),
    }
    for answer in (
        sdk.images.edit(**ask, **files),
        sdk.images.with_raw_response.edit(**ask, **files).parse(),
        await async_sdk.images.edit(**ask, **files),
    ):
        assert pixels(answer) == [picture(0), picture(1)]
        assert studio.fields("draw") == {
            "image[]": [first, second],
            "mask": [mask],
            "model": [GPT.encode()],
            "prompt": ["加一顶帽子".encode()],
            "n": [b"2"],
            "input_fidelity": [b"high"],
        }


async def test_variations_are_made(sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, studio: Studio) -> None:
    ask: dict[str, Any] = {"image": BOAT, "model": CLOUD, "n": 2, "size": "256x256", "user": "u"}
    before = studio.cell("draw").posts
    raw = sdk.images.with_raw_response.create_variation(**ask)
    for answer in (raw.parse(), await async_sdk.images.create_variation(**ask)):
        assert pixels(answer) == [picture(0), picture(1)]
    assert raw.headers["x-sampan-upstream"] == "studio"
    assert studio.cell("draw").posts == before + 2
    assert studio.fields("draw") == {
        "image": [PICTURE],
        "model": [CLOUD.encode()],
        "n": [b"2"],
        "size": [b"256x256"],
        "user": [b"u"],
    }


def _calls(sdk: openai.OpenAI, model: str, **facts: Any) -> Mapping[str, Any]:
    ask = {"model": model, "n": 2, **facts}
    return {
        "generate": sdk.images.generate(**ask, prompt=PROMPT),
        "edit": sdk.images.edit(**ask, prompt=PROMPT, image=BOAT),
        "variation": sdk.images.create_variation(**ask, image=BOAT),
    }


def test_links_are_ours(quay: Gateway, sdk: openai.OpenAI, studio: Studio) -> None:
    """The cloud is asked for bytes; the caller gets links that a browser without a key can open."""
    for verb, answer in _calls(sdk, CLOUD, response_format="url").items():
        assert [one.b64_json for one in answer.data] == [None, None], verb
        for number, one in enumerate(answer.data):
            assert one.url.startswith(f"{quay.url}/artifacts/")
            reply = quay.http("GET", one.url.removeprefix(quay.url), key=None)
            assert (reply.status, reply.body) == (200, picture(number))
    assert studio.fields("draw")["response_format"] == [b"b64_json"]
    for verb, answer in _calls(sdk, GPT, response_format="url").items():  # a model that refuses the field
        assert all(one.url for one in answer.data), verb
    for verb, answer in _calls(sdk, CLOUD, response_format="b64_json").items():
        assert pixels(answer) == [picture(0), picture(1)], verb


def test_an_alias_changes_the_model_and_nothing_else(sdk: openai.OpenAI, studio: Studio) -> None:
    sdk.images.create_variation(model="studio-alias", image=BOAT, size="512x512")
    assert studio.fields("draw") == {"image": [PICTURE], "size": [b"512x512"], "model": [b"dall-e-2"]}
    sdk.images.generate(model="studio-alias", prompt=PROMPT, extra_body={"future": 1})
    assert studio.json("draw") == {"model": "dall-e-2", "prompt": PROMPT, "future": 1}


async def test_a_cloud_s_refusal_comes_back_as_it_was(sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI) -> None:
    model = f"{CLOUD}-blank"
    for ask in (
        lambda: sdk.images.generate(model=model, prompt=PROMPT),
        lambda: sdk.images.generate(model=model, prompt=PROMPT, stream=True),
        lambda: sdk.images.edit(model=model, prompt=PROMPT, image=BOAT),
        lambda: sdk.images.create_variation(model=model, image=BOAT),
    ):
        with pytest.raises(openai.BadRequestError, match="Your request was rejected") as failure:
            ask()
        assert failure.value.code == "moderation_blocked" and failure.value.request_id
    with pytest.raises(openai.BadRequestError):
        await async_sdk.images.create_variation(model=model, image=BOAT)


@pytest.mark.parametrize(
    ("verb", "change", "param"),
    [
        ("generate", {"prompt": " "}, "prompt"),
        ("generate", {"n": 11}, "n"),
        ("generate", {"extra_body": {"response_format": "file"}}, "response_format"),
        ("edit", {"image": ("a.gif", b"GIF89a" + bytes(20))}, "image"),
        ("edit", {"prompt": ""}, "prompt"),
        ("edit", {"mask": ("m.png", b"no picture")}, "mask"),
        ("create_variation", {"image": ("a.txt", b"words")}, "image"),
        ("create_variation", {"n": 0}, "n"),
        ("create_variation", {"extra_body": {"stream": "true"}}, "stream"),
    ],
)
@pytest.mark.parametrize("model", [CLOUD, "sketcher"])
def test_mistakes_are_named_before_anybody_is_asked(
    sdk: openai.OpenAI, studio: Studio, model: str, verb: str, change: dict[str, Any], param: str
) -> None:
    asked = studio.cell("draw").posts
    right: dict[str, Any] = {"generate": {"prompt": PROMPT}, "edit": {"prompt": PROMPT, "image": BOAT}}.get(
        verb, {"image": BOAT}
    )
    with pytest.raises(openai.BadRequestError) as failure:
        getattr(sdk.images, verb)(**{"model": model, **right, **change})
    assert (failure.value.param, failure.value.type) == (param, "invalid_request_error")
    assert studio.cell("draw").posts == asked


# The sketcher.


def _image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _red(image: Image.Image) -> int:
    """How many pixels are plainly red."""
    red, green, blue = (channel.point(lambda v: 255 if v > 140 else 0) for channel in image.split())
    both = zip(red.tobytes(), green.tobytes(), blue.tobytes(), strict=True)
    return sum(r > 0 and g == 0 and b == 0 for r, g, b in both)


CAT = "a red cat on the left and a blue car on the right"


@pytest.fixture(scope="module")
def drawn(sketcher: openai.OpenAI) -> bytes:
    return pixels(sketcher.images.generate(model="sketcher", prompt=CAT, size="512x512", extra_body={"seed": 3}))[0]


async def test_the_sketcher_varies_what_it_drew(
    sketcher: openai.OpenAI, async_sdk: openai.AsyncOpenAI, drawn: bytes
) -> None:
    raw = sketcher.images.with_raw_response.create_variation(model="sketcher", image=("a.png", drawn), n=3)
    assert raw.headers["x-sampan-tier"] == "degraded"
    made = [_image(data) for data in pixels(raw.parse())]
    made.append(_image(pixels(await async_sdk.images.create_variation(model="sketcher", image=("a.png", drawn)))[0]))
    assert len({image.tobytes() for image in (_image(drawn), *made)}) == 5, "two are the same"
    for image in made:
        assert image.size == (512, 512)
        left, right = image.crop((0, 0, 256, 512)), image.crop((256, 0, 512, 512))
        assert _red(left) > 5000 and _red(right) < _red(left) / 10, "the cat is not on the left"
    links = sketcher.images.create_variation(model="sketcher", image=drawn, size="256x256", response_format="url")
    assert links.data and links.data[0].url and not links.data[0].b64_json


def test_the_sketcher_says_that_it_cannot_vary_others_pictures(sketcher: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="carries no scene") as failure:
        sketcher.images.create_variation(model="sketcher", image=BOAT)
    assert failure.value.param == "image" and failure.value.type == "invalid_request_error"


def test_the_sketcher_edits_behind_a_mask_and_streams(sketcher: openai.OpenAI, drawn: bytes) -> None:
    mask = Image.new("RGBA", (512, 512), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 256, 512))  # alpha 0: edit here
    out = io.BytesIO()
    mask.save(out, "PNG")
    with sketcher.images.edit(
        model="sketcher",
        prompt="a green frog",
        image=("a.png", drawn, "image/png"),
        mask=("m.png", out.getvalue(), "image/png"),
        stream=True,
        partial_images=1,
    ) as stream:
        events: list[Any] = list(stream)
    assert [event.type for event in events] == ["image_edit.completed"]
    edited, before = _image(base64.b64decode(events[-1].b64_json)), _image(drawn)
    assert edited.crop((256, 0, 512, 512)).tobytes() == before.crop((256, 0, 512, 512)).tobytes()
    assert edited.crop((0, 0, 256, 512)).tobytes() != before.crop((0, 0, 256, 512)).tobytes()
    assert events[-1].usage.output_tokens == 4


async def test_the_sketcher_draws_and_streams(async_sdk: openai.AsyncOpenAI, sketcher: openai.OpenAI) -> None:
    answer = await async_sdk.images.generate(model="sketcher", prompt="两只猫", n=2, size="256x256")
    assert answer.data and [_image(data).size for data in pixels(answer)] == [(256, 256)] * 2
    assert "猫" in (answer.data[0].revised_prompt or "")
    async with await async_sdk.images.generate(model="sketcher", prompt="a cat", n=2, stream=True) as stream:
        events = [event async for event in stream]
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    with pytest.raises(openai.BadRequestError, match="can draw") as failure:
        sketcher.images.generate(model="sketcher", prompt="qwzx flurb")
    assert failure.value.param == "prompt"
