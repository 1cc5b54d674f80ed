"""The picture side of the shell, driven by the official SDK and by worse callers."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from engine_process import EngineProcess, warm_engine
from fake_engines import PIXEL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def painter() -> Iterator[EngineProcess]:
    with warm_engine("fake_engines:Painter") as running:
        yield running


@pytest.fixture(scope="module")
def client(painter: EngineProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{painter.url}/v1", api_key="x", max_retries=0) as made:
        yield made


def test_pictures_are_generated(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="gpt-image-1", prompt="两只 cats", n=2, size="1024x512", quality="high", extra_body={"seed": 7}
    )
    assert answer.data is not None
    assert [base64.b64decode(one.b64_json or "") for one in answer.data] == [PIXEL, PIXEL]
    assert "prompt='两只 cats', n=2, size='1024x512', seed=7" in (answer.data[0].revised_prompt or "")
    assert (answer.size, answer.quality, answer.output_format, answer.background) == (
        "1024x512",
        "high",
        "png",
        "opaque",
    )
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (3, 16, 19)
    assert answer.usage.input_tokens_details.text_tokens == 3


def test_defaults_are_those_of_the_wire(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="x")
    assert answer.data is not None
    order = "Order(prompt='x', n=1, size='auto', seed=None, output_format='png', output_compression=None,"
    assert answer.data[0].revised_prompt == f"{order} background='auto')"


def test_pictures_stream(client: openai.OpenAI) -> None:
    events: list[Any] = list(client.images.generate(prompt="x", n=2, stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert base64.b64decode(events[0].b64_json) == PIXEL
    assert [event.usage.output_tokens for event in events] == [8, 16]  # the last one's is the call's
    assert events[1].size == "1024x512"


async def test_async(painter: EngineProcess) -> None:
    async with openai.AsyncOpenAI(base_url=f"{painter.url}/v1", api_key="x", max_retries=0) as client:
        answer = await client.images.generate(prompt="x")
        assert answer.data is not None
        assert answer.data[0].b64_json
        stream = await client.images.edit(image=PIXEL, prompt="x", stream=True)
        assert [event.type async for event in stream] == ["image_edit.completed"]


def test_pictures_are_edited(client: openai.OpenAI) -> None:
    answer = client.images.edit(
        image=[("a.png", PIXEL), ("b.png", PIXEL)], mask=("m.png", PIXEL), prompt="加一朵花", n=1
    )
    assert answer.data is not None
    assert answer.data[0].revised_prompt == f"2 images, mask {len(PIXEL)}: 加一朵花"
    assert base64.b64decode(answer.data[0].b64_json or "") == PIXEL
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.image_tokens == 2
    assert answer.usage.input_tokens_details.text_tokens == 4


def test_pictures_are_varied(client: openai.OpenAI) -> None:
    answer = client.images.create_variation(image=("a.png", PIXEL), n=3, size="256x256", extra_body={"seed": 4})
    assert answer.data is not None
    assert [base64.b64decode(one.b64_json or "") for one in answer.data] == [PIXEL] * 3
    assert "prompt='', n=3, size='256x256', seed=4" in (answer.data[0].revised_prompt or "")
    assert answer.usage is not None
    assert (answer.usage.input_tokens_details.text_tokens, answer.usage.input_tokens_details.image_tokens) == (0, 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": b""}, "image"),
        ({"n": 11}, "n"),
        ({"size": "big"}, "size"),
        ({"extra_body": {"prompt": "a cat"}}, "prompt"),
        ({"extra_body": {"stream": "true"}}, "stream"),
    ],
)
def test_mistakes_in_a_variation(client: openai.OpenAI, change: dict[str, Any], field: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.create_variation(**{"image": PIXEL, **change})
    assert caught.value.param == field
    assert isinstance(caught.value.body, dict) and caught.value.body["message"].startswith(f"{field}: ")


def test_a_variation_takes_one_picture_and_no_mask(painter: EngineProcess) -> None:
    part = b'--x\r\ncontent-disposition: form-data; name="%b"; filename="a.png"\r\n\r\n' + PIXEL + b"\r\n"
    for names, field in (((b"image", b"image"), "image"), ((b"image", b"mask"), "mask"), ((), "image")):
        body = b"".join(part % name for name in names) + b"--x--\r\n"
        status, _, said = painter.ask(
            "POST", "/v1/images/variations", body, content_type="multipart/form-data; boundary=x"
        )
        assert (status, said["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": " "}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "big"}, "size"),
        ({"size": "0x10"}, "size"),
        ({"seed": -1}, "seed"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"background": "transparent", "output_format": "jpeg"}, "background"),
        ({"response_format": "file"}, "response_format"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_mistake_is_named_to_the_field(painter: EngineProcess, change: dict[str, Any], field: str) -> None:
    body = json.dumps({"prompt": "x", **change}).encode()
    status, headers, said = painter.ask("POST", "/v1/images/generations", body)
    assert (status, said["error"]["type"], said["error"]["param"]) == (400, "invalid_request_error", field)
    assert said["error"]["message"].startswith(f"{field}: ")
    assert headers["x-request-id"].startswith("req_")


def test_mistakes_in_a_form(client: openai.OpenAI, painter: EngineProcess) -> None:
    for changes, field in (({"image": []}, "image"), ({"image": b""}, "image"), ({"mask": b"x" * 2**23}, "mask")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.edit(**{"image": PIXEL, "prompt": "x", **changes})  # type: ignore[call-overload]
        assert caught.value.param == field
    for path, kind, body in (
        ("/v1/images/edits", "application/json", b"{}"),
        ("/v1/images/edits", "multipart/form-data", b""),
        ("/v1/images/edits", "multipart/form-data; boundary=x", b"--x\r\ncut"),
        ("/v1/images/generations", "application/json", b"{"),
    ):
        status, _, said = painter.ask("POST", path, body, content_type=kind)
        assert (status, said["error"]["type"]) == (400, "invalid_request_error")


def test_the_engines_own_refusal_and_a_crash(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="nothing in this prompt can be drawn"):
            client.images.generate(prompt="nothing", stream=stream)
    with pytest.raises(openai.InternalServerError, match="something went wrong inside this engine"):
        client.images.generate(prompt="break")
    got = []
    with pytest.raises(openai.APIError, match="something went wrong inside this engine"):
        for event in client.images.generate(prompt="break", stream=True):
            got.append(event.type)
    assert got == ["image_generation.completed"]


def test_an_engine_is_told_when_its_caller_leaves(painter: EngineProcess) -> None:
    body = b'{"prompt":"hold"}'
    with socket.create_connection(("127.0.0.1", painter.port)) as sock:
        head = f"POST /v1/images/generations HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        painter.line("fake: asked")
    painter.line("fake: stopped")


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
names = st.sampled_from(["prompt", "n", "size", "seed", "output_format", "background", "stream", "image", "mask"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.dictionaries(names, scalars | st.just("1x1")).map(lambda body: json.dumps(body).encode()) | st.binary())
def test_no_body_at_all_makes_it_fail(painter: EngineProcess, body: bytes) -> None:
    assert painter.ask("POST", "/v1/images/generations", body)[0] in (200, 400)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(fields=st.lists(st.tuples(names, st.binary(max_size=10)), max_size=4), cut=st.integers(0, 20))
def test_no_form_at_all_makes_it_fail(painter: EngineProcess, fields: list[tuple[str, bytes]], cut: int) -> None:
    parts = [b'--x\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (n.encode(), v) for n, v in fields]
    body = b"".join(parts) + b"--x--\r\n"
    body = body[: len(body) - cut]
    status, _, _ = painter.ask("POST", "/v1/images/edits", body, content_type="multipart/form-data; boundary=x")
    assert status in (200, 400)
