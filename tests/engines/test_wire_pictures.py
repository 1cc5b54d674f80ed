"""What a picture call says beyond OpenAI's own fields: in JSON, in a form however it was written, and on the way."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._qs import Querystring

from sampan.core import Incoming
from sampan.dialects import Limits, form
from sampan.dialects.openai_images import OpenAIImages, body_for
from sampan.engines import wire_pictures
from sampan.engines.contract import Manner, Margins
from sampan.errors import InvalidRequest

LIMITS = Limits(10**6, "claude", "gpt-image-1")
FIELDS: dict[str, Any] = {
    "preset": "fast",
    "quality": "high",
    "negative_prompt": "fog, 雾",
    "steps": 8,
    "guidance": 2.5,
    "strength": 0.4,
    "lora": {"ink": 0.5, "oil": 1.0},
    "sampan": {"region": [1, 2, 30, 40], "canvas": {"left": 5, "top": 0, "right": 6, "bottom": 7}},
}
MANNER = Manner(
    quality="high",
    preset="fast",
    negative_prompt="fog, 雾",
    steps=8,
    guidance=2.5,
    strength=0.4,
    loras={"ink": 0.5, "oil": 1.0},
    region=(1, 2, 30, 40),
    canvas=Margins(5, 0, 6, 7),
)


def encoded(fields: dict[str, Any]) -> tuple[bytes, str]:
    """A form as the SDK makes it: nested members in brackets."""
    data: dict[str, Any] = {}
    for name, value in Querystring(array_format="brackets").stringify_items(fields):
        data[name] = [*data[name], value] if name in data else [value]
    sent = httpx.Request("POST", "http://x", data=data, files={"image": ("a.png", b"\x89PNG\r\n\x1a\n1", "image/png")})
    return sent.read(), sent.headers["content-type"]


def edited(fields: dict[str, Any]) -> Manner:
    return wire_pictures.parse_edit(*encoded({"prompt": "x", **fields})).order.manner


def test_json_and_forms_say_the_same() -> None:
    body = json.dumps({"prompt": "x", **FIELDS}).encode()
    assert wire_pictures.parse_generation(body).order.manner == MANNER
    assert edited(FIELDS) == MANNER
    assert edited({**FIELDS, "sampan": json.dumps(FIELDS["sampan"]), "lora": json.dumps(FIELDS["lora"])}) == MANNER
    assert edited({"lora": "ink"}).loras == {"ink": 1.0}
    assert edited({}) == Manner()


@pytest.mark.parametrize("name", ["gpt-image-1", "painter"])
def test_all_of_it_passes_the_gateway(name: str) -> None:
    """The gateway replaces the model's name and nothing else."""
    body, content_type = encoded({"prompt": "x", "model": "gpt-image-1", **FIELDS})
    call = OpenAIImages().parse(Incoming("POST", "/v1/images/edits", "", {"content-type": content_type}, body), LIMITS)
    passed = body_for(call, name)
    assert wire_pictures.parse_edit(passed, content_type).order.manner == MANNER
    assert {part.name: part.data for part in form.parse(content_type, passed)}["model"] == name.encode()
    plain = json.dumps({"prompt": "x", "model": "gpt-image-1", **FIELDS}).encode()
    asked = Incoming("POST", "/v1/images/generations", "", {"content-type": "application/json"}, plain)
    passed = body_for(OpenAIImages().parse(asked, LIMITS), name)
    assert wire_pictures.parse_generation(passed).order.manner == MANNER


def test_previews_are_for_streams() -> None:
    asked = {"prompt": "x", "partial_images": 3}
    assert wire_pictures.parse_generation(json.dumps(asked).encode()).order.manner.partials == 0
    assert wire_pictures.parse_generation(json.dumps({**asked, "stream": True}).encode()).order.manner.partials == 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sampan": {"regoin": [1, 2, 3, 4]}}, "sampan"),
        ({"sampan": {"region": [1, 2, 3]}}, "sampan.region"),
        ({"sampan": {"region": [1, 2, 3, -4]}}, "sampan.region"),
        ({"sampan": {"canvas": {"left": "wide"}}}, "sampan.canvas.left"),
        ({"sampan": {"canvas": {"middle": 4}}}, "sampan.canvas"),
        ({"sampan": "{"}, "sampan"),
        ({"sampan": 7}, "sampan"),
        ({"lora": ["ink"]}, "lora"),
        ({"lora": {"ink": "much"}}, "lora"),
        ({"steps": "1.5"}, "steps"),
        ({"guidance": "high"}, "guidance"),
        ({"negative_prompt": "x" * 32_001}, "negative_prompt"),
    ],
)
def test_mistakes_are_named_alike_in_both(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as in_form:
        edited(fields)
    assert (in_form.value.param or "").startswith(field)
    with pytest.raises(InvalidRequest) as in_json:
        wire_pictures.parse_generation(json.dumps({"prompt": "x", **fields}).encode())
    assert (in_json.value.param or "").startswith(field)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sampan", "lora"]),
            st.lists(st.sampled_from(["", "region", "canvas", "left", "ink"]), min_size=1, max_size=4),
            st.sampled_from(["1", "x", ""]),
        ),
        max_size=6,
    )
)
def test_no_form_breaks_the_parser(members: list[tuple[str, list[str], str]]) -> None:
    data: dict[str, Any] = {"prompt": "x"}
    for name, keys, text in members:
        data.setdefault(name + "".join(f"[{key}]" for key in keys), []).append(text)
    sent = httpx.Request("POST", "http://x", data=data, files={"image": ("a.png", io.BytesIO(b"1"), "image/png")})
    try:
        wire_pictures.parse_edit(sent.read(), sent.headers["content-type"])
    except InvalidRequest as error:
        assert error.param


def test_what_an_engine_cannot_do_is_refused_and_not_dropped() -> None:
    for manner, field in (
        (Manner(region=(0, 0, 1, 1)), "sampan.region"),
        (Manner(canvas=Margins(1)), "sampan.canvas"),
        (Manner(loras={"ink": 1.0}), "lora"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            wire_pictures.refuse(manner, ())
        assert caught.value.param == field
        wire_pictures.refuse(manner, {field})
    wire_pictures.refuse(Manner(steps=4, preset="fast"), ())
