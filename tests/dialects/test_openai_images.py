from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import ImagesResponse

from sampan.core import Call, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, form, sse
from sampan.dialects.openai_images import (
    OpenAIImages,
    PictureWatch,
    body_for,
    check,
    pictures_in,
    with_links,
)
from sampan.errors import (
    CallError,
    InternalError,
    InvalidRequest,
    NotFound,
    RequestTooLarge,
    TargetFault,
    Unauthenticated,
    Unavailable,
)

LIMITS = Limits(image=1000, default_model="claude-default", default_image_model="gpt-image-1")
CODEC = OpenAIImages()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
TYPE = "multipart/form-data; boundary=frontier"


def generate(body: object) -> Call:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CODEC.parse(
        Incoming("POST", "/v1/images/generations", "", {"content-type": "application/json"}, raw), LIMITS
    )


def upload(name: str = "image", data: bytes = PNG) -> form.Part:
    disposition = f'form-data; name="{name}"; filename="a.png"'.encode()
    return form.Part(name, "a.png", ((b"Content-Disposition", disposition), (b"Content-Type", b"image/png")), data)


def edit(*parts: form.Part) -> Call:
    body = form.build(TYPE, parts)
    return CODEC.parse(Incoming("POST", "/v1/images/edits", "x=1", {"content-type": TYPE}, body), LIMITS)


def test_a_generation() -> None:
    body = {"prompt": "一只猫", "model": "m", "n": 2, "response_format": "url", "stream": True, "unknown": [1]}
    call = generate(body)
    assert (call.operation, call.model, call.pictures, call.url_wanted, call.stream) == (
        Operation.GENERATE,
        "m",
        2,
        True,
        True,
    )
    assert json.loads(call.body) == body
    plain = generate({"prompt": "x", "n": None, "stream": None})
    assert (plain.model, plain.pictures, plain.url_wanted, plain.stream) == ("gpt-image-1", 1, False, False)


def test_an_edit() -> None:
    mask = upload("mask")
    call = edit(upload("image[]"), upload("image[]"), mask, form.value("prompt", b"hat"), form.value("n", b"3"))
    assert (call.operation, call.path, call.content_type) == (Operation.EDIT, "/v1/images/edits?x=1", TYPE)
    assert (call.model, call.pictures, call.stream) == ("gpt-image-1", 3, False)
    assert call.body == form.build(TYPE, form.parse(TYPE, call.body))


def vary(*parts: form.Part) -> Call:
    incoming = Incoming("POST", "/v1/images/variations", "", {"content-type": TYPE}, form.build(TYPE, parts))
    return CODEC.parse(incoming, LIMITS)


def test_a_variation_is_an_edit_without_a_prompt() -> None:
    call = vary(
        upload(), form.value("n", b"3"), form.value("response_format", b"url"), form.value("model", b"dall-e-2")
    )
    assert (call.operation, call.path, call.content_type) == (Operation.EDIT, "/v1/images/variations", TYPE)
    assert (call.model, call.pictures, call.url_wanted, call.stream) == ("dall-e-2", 3, True, False)
    sent = {part.name: part.data for part in form.parse(TYPE, body_for(call, "dall-e-9"))}
    assert sent == {"image": PNG, "n": b"3", "response_format": b"b64_json", "model": b"dall-e-9"}
    assert body_for(vary(upload(), form.value("future", b"x")), None) == form.build(
        TYPE, [upload(), form.value("future", b"x")]
    )


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([], "image"),
        ([upload("image[]"), upload("image[]")], "image"),
        ([upload(data=b"GIF89a" + bytes(20))], "image"),
        ([upload(data=PNG + bytes(1000))], "image"),
        ([upload(), form.value("n", b"11")], "n"),
        ([upload(), form.value("stream", b"true")], "stream"),
        ([upload(), form.value("response_format", b"png")], "response_format"),
    ],
)
def test_a_variation_s_mistakes_are_named(parts: list[form.Part], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        vary(*parts)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b'{"x":' + b"[" * 100_000, None),
        ({}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"prompt": "x", "n": 0}, "n"),
        ({"prompt": "x", "n": 11}, "n"),
        ({"prompt": "x", "n": "2"}, "n"),
        ({"prompt": "x", "response_format": "png"}, "response_format"),
        ({"prompt": "x", "model": 4}, "model"),
    ],
)
def test_a_generation_s_mistakes_are_named(body: object, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised:
        generate(body)
    assert raised.value.param == param


PROMPT = form.value("prompt", b"x")


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([PROMPT], "image"),
        ([PROMPT, *[upload("image[]")] * 17], "image"),
        ([upload()], "prompt"),
        ([upload(), form.value("prompt", b"")], "prompt"),
        ([upload(), form.value("prompt", b"\xff")], "prompt"),
        ([upload(data=b"GIF89a" + bytes(20)), PROMPT], "image"),
        ([upload(data=b"%PDF-1.4"), PROMPT], "image"),
        ([upload(data=PNG + bytes(1000)), PROMPT], "image"),
        ([upload(), upload("mask", b"no picture"), PROMPT], "mask"),
        ([upload(), PROMPT, form.value("n", b"two")], "n"),
        ([upload(), PROMPT, form.value("stream", b"2")], "stream"),
    ],
)
def test_an_edit_s_mistakes_are_named(parts: list[form.Part], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        edit(*parts)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("body", "model", "expected"),
    [
        ({"prompt": "x", "model": "m"}, None, {"prompt": "x", "model": "m"}),
        ({"prompt": "x", "model": "m"}, "m", {"prompt": "x", "model": "m"}),
        ({"prompt": "x", "model": "m"}, "z", {"prompt": "x", "model": "z"}),
        ({"prompt": "x"}, "z", {"prompt": "x", "model": "z"}),
        (
            {"prompt": "x", "model": "dall-e-3", "response_format": "url"},
            None,
            {"prompt": "x", "model": "dall-e-3", "response_format": "b64_json"},
        ),
        (
            {"prompt": "x", "model": "dall-e-3", "response_format": "url"},
            "gpt-image-1",
            {"prompt": "x", "model": "gpt-image-1"},
        ),
        ({"prompt": "x", "response_format": "url"}, None, {"prompt": "x"}),
    ],
)
def test_what_an_upstream_is_sent(body: dict[str, Any], model: str | None, expected: dict[str, Any]) -> None:
    call = generate(body)
    assert json.loads(body_for(call, model)) == expected
    parts = [upload(), *(form.value(name, value.encode()) for name, value in body.items())]
    sent = form.parse(TYPE, body_for(edit(*parts), model))
    assert sent[0] == upload()
    assert {part.name: part.text() for part in sent[1:]} == expected


def test_what_need_not_change_goes_as_it_came() -> None:
    call = generate({"prompt": "x", "model": "m"})
    assert body_for(call, None) is call.body
    assert body_for(call, "m") is call.body


def answer(*pictures: bytes, **more: object) -> bytes:
    data = [{"b64_json": base64.b64encode(each).decode()} for each in pictures]
    return json.dumps({"created": 1, "data": data, **more}).encode()


def test_the_usage_of_an_answer_counts_its_pictures() -> None:
    usage = {"input_tokens": 4, "output_tokens": 9, "total_tokens": 13}
    assert check(answer(PNG, PNG, usage=usage)) == Usage(4, 9, 2)
    assert check(b'{"data":[{"url":"https://a/b.png"}]}') == Usage(0, 0, 1)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.EMPTY),
        (b"{", Fault.MALFORMED),
        (b'{"x":' + b"[" * 100_000, Fault.MALFORMED),
        (b"<html>", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (b'{"type":"message","content":[]}', Fault.MALFORMED),
        (b'{"data":[]}', Fault.EMPTY),
        (b'{"data":[{"b64_json":""}]}', Fault.EMPTY),
        (b'{"data":[{"revised_prompt":"x"}]}', Fault.EMPTY),
        (b'{"data":[{"b64_json":"not base64!"}]}', Fault.MALFORMED),
        (b'{"data":[{"b64_json":"AAA"}]}', Fault.MALFORMED),
        (b'{"error":{"code":"insufficient_quota","message":"m"}}', Fault.BILLING),
        (b'{"error":{"type":"rate_limit_exceeded"}}', Fault.RATE_LIMITED),
        (b'{"error":{"code":"model_not_found"}}', Fault.MODEL_MISSING),
        (b'{"error":{"code":500}}', Fault.SERVER_ERROR),
        (b'{"error":"out of memory"}', Fault.SERVER_ERROR),
    ],
)
def test_a_200_that_is_none(body: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        check(body)
    assert raised.value.fault is fault


def event(kind: str, **more: object) -> bytes:
    return sse.frame(json.dumps({"type": kind, **more}).encode(), kind)


def done(kind: str = "image_generation") -> bytes:
    return event(f"{kind}.completed", b64_json="AAAA", usage={"input_tokens": 1, "output_tokens": 2})


@given(st.integers(1, 4), st.sampled_from(["image_generation", "image_edit"]), st.booleans())
def test_a_stream_ends_with_as_many_pictures_as_were_asked_for(expected: int, kind: str, marked: bool) -> None:
    watch = PictureWatch(expected)
    assert not watch.feed(event("ping") + sse.comment("x")).content
    for number in range(1, expected + 1):
        assert watch.feed(event(f"{kind}.partial_image", b64_json="AA", partial_image_index=0)).content
        seen = watch.feed(done(kind) + (sse.frame(b"[DONE]") if marked else b""))
        assert seen.content
        assert seen.ended is (number == expected)
        assert watch.finished
    assert seen.usage == Usage(1, 2, expected)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (sse.frame(b'{"error":{"code":"rate_limit_exceeded","message":"m"}}'), Fault.RATE_LIMITED),
        (event("error", error={"type": "server_error"}), Fault.SERVER_ERROR),
        (sse.frame(b"{"), Fault.MALFORMED),
        (sse.frame(b"[" * 100_000), Fault.MALFORMED),
    ],
)
def test_a_broken_stream_is_a_fault(bad: bytes, fault: Fault) -> None:
    watch = PictureWatch(1)
    watch.feed(event("image_generation.partial_image"))
    with pytest.raises(TargetFault) as raised:
        watch.feed(bad)
    assert raised.value.fault is fault
    assert not watch.finished


def test_links_take_the_place_of_bytes_in_their_order() -> None:
    body = json.dumps(
        {
            "created": 1,
            "data": [
                {"b64_json": base64.b64encode(b"one").decode(), "revised_prompt": "r"},
                {"url": "https://theirs"},
                {"b64_json": base64.b64encode(b"two").decode()},
            ],
            "usage": {"total_tokens": 1, "input_tokens": 1, "output_tokens": 0},
        }
    ).encode()
    assert pictures_in(body) == [b"one", b"two"]
    linked = json.loads(with_links(body, ["https://1", "https://2"]))
    assert linked["data"] == [
        {"revised_prompt": "r", "url": "https://1"},
        {"url": "https://theirs"},
        {"url": "https://2"},
    ]
    assert ImagesResponse.model_validate({**linked, "usage": None}).data is not None
    assert linked["usage"] == json.loads(body)["usage"]


def test_a_picture_that_is_damaged_further_on_is_found_when_it_is_decoded() -> None:
    body = json.dumps({"data": [{"b64_json": "A" * 64 + "!!!!"}]}).encode()
    assert check(body).images == 1
    with pytest.raises(TargetFault):
        pictures_in(body)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InvalidRequest("m", param="n"), 400, "invalid_request_error", None),
        (Unauthenticated("m"), 401, "invalid_request_error", "invalid_api_key"),
        (NotFound("m", param="model"), 404, "invalid_request_error", "model_not_found"),
        (NotFound("m"), 404, "invalid_request_error", None),
        (RequestTooLarge("m"), 413, "invalid_request_error", "request_too_large"),
        (InternalError("m"), 500, "server_error", None),
        (Unavailable("m"), 503, "server_error", "overloaded"),
    ],
)
def test_errors_in_this_dialect(error: CallError, status: int, kind: str, code: str | None) -> None:
    assert CODEC.status(error) == status
    said = json.loads(CODEC.error(error, "req_1"))
    assert said == {"error": {"message": "m", "type": kind, "param": error.param, "code": code}}
    [data] = sse.payloads(CODEC.error_frame(error, "req_1"))
    assert json.loads(data)["error"] == said["error"]
