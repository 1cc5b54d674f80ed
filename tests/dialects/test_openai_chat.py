from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Call, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, openai_errors, sse
from sampan.dialects.openai_chat import ChatWatch, OpenAIChat, check, watch
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

LIMITS = Limits(image=1000, default_model="claude-default", default_image_model="image-default")
CODEC = OpenAIChat()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100)).decode()
LARGE = "A" * 1400  # 1,050 bytes


def body(*parts: object, **more: object) -> dict[str, Any]:
    return {"model": "gpt-x", "messages": [{"role": "user", "content": list(parts)}], **more}


def parse(what: object, query: str = "") -> Call:
    raw = what if isinstance(what, bytes) else json.dumps(what).encode()
    headers = {"content-type": "application/json", "openai-organization": "ours"}
    return CODEC.parse(Incoming("POST", "/v1/chat/completions", query, headers, raw), LIMITS)


def picture(url: object) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


PARTS: list[tuple[dict[str, Any], bool]] = [
    ({"type": "text", "text": "hi"}, False),
    (picture("https://a/b.png"), True),
    (picture("https://a/" + "b" * 3000), True),
    (picture(f"data:image/png;base64,{PNG}"), True),
    ({"type": "image_url", "image_url": "https://a/b.png"}, True),
    ({"type": "file", "file": {"file_data": f"data:application/pdf;base64,{LARGE}", "filename": "a.pdf"}}, True),
    ({"type": "file", "file": {"file_id": "file-1"}}, True),
    ({"type": "video_url", "video_url": {"url": "https://a/b.mp4"}}, True),
    ({"type": "refusal", "refusal": "no"}, False),
    ({"type": "a_part_of_next_year", "anything": [None]}, False),
]


@pytest.mark.parametrize(("part", "seen"), PARTS, ids=lambda each: each["type"] if isinstance(each, dict) else "")
def test_every_part_is_accepted_and_the_body_untouched(part: dict[str, Any], seen: bool) -> None:
    raw = json.dumps(body(part, unknown={"kept": 1})).encode()
    call = parse(raw)
    assert call.operation is (Operation.VISION if seen else Operation.TEXT)
    assert call.body is raw


def test_what_a_call_is_made_of() -> None:
    call = parse(body({"type": "text", "text": "x"}, stream=True, max_tokens=5, max_completion_tokens=7), "a=1")
    assert (call.model, call.path, call.stream, call.answer_tokens) == ("gpt-x", "/v1/chat/completions?a=1", True, 7)
    assert (call.content_type, call.headers, call.pictures) == ("application/json", {}, 0)
    plain = parse({"model": "m", "messages": [{"role": "system", "content": "s"}], "stream": None, "max_tokens": 9})
    assert (plain.stream, plain.answer_tokens, plain.operation) == (False, 9, Operation.TEXT)


def test_every_role_and_a_turn_without_content() -> None:
    roles = ["developer", "system", "user", "assistant", "tool", "function"]
    turns: list[dict[str, Any]] = [{"role": role, "content": "x"} for role in roles]
    turns.append({"role": "assistant", "content": None, "tool_calls": []})
    assert parse({"model": "m", "messages": turns}).operation is Operation.TEXT


@pytest.mark.parametrize(
    ("what", "param"),
    [
        (b"", None),
        (b"\xff", None),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', None),
        (b'{"x":' + b"[" * 100_000, None),
        ([], None),
        ({"messages": []}, "model"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "", "messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"model": "m", "messages": [{"content": "x"}]}, "messages.0.role"),
        ({"model": "m", "messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        (body({"text": "x"}), "messages.0.content.0.type"),
        (body({"type": "image_url"}), "messages.0.content.0.image_url"),
        (body({"type": "image_url", "image_url": {}}), "messages.0.content.0.image_url.url"),
        (body({"type": "text"}, picture(5)), "messages.0.content.1.image_url.url"),
        (body(picture(f"data:image/png;base64,{LARGE}")), "messages.0.content.0.image_url.url"),
        (body(picture(f"DATA:image/png;base64,{LARGE}")), "messages.0.content.0.image_url.url"),
        (
            json.dumps(body(picture(f"data:image/png;base64,{LARGE}"))).encode().replace(b"data:", b"\\u0064ata:"),
            "messages.0.content.0.image_url.url",
        ),
        (
            body({"type": "image_url", "image_url": f"data:image/png;base64,{LARGE}"}),
            "messages.0.content.0.image_url",
        ),
        (body({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}), "messages.0.content.0"),
        (body(max_tokens=0), "max_tokens"),
        (body(max_completion_tokens=-1), "max_completion_tokens"),
        (body(n=0), "n"),
        (body(stream="yes"), "stream"),
    ],
)
def test_mistakes_are_named(what: object, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(what)
    assert raised.value.param == param


def test_a_picture_at_the_limit_passes() -> None:
    exact = base64.b64encode(bytes(999)).decode()
    assert parse(body(picture(f"data:image/png;base64,{exact}"))).operation is Operation.VISION


@given(st.binary(max_size=60))
def test_any_bytes_are_a_call_or_a_mistake_of_the_caller(raw: bytes) -> None:
    for what in (raw, b'{"model":"m","messages":[{"role":"user","content":[' + raw + b"]}]}"):
        try:
            parse(what)
        except InvalidRequest:
            continue


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (InvalidRequest("x: bad", param="x"), openai.BadRequestError, None),
        (Unauthenticated("no key"), openai.AuthenticationError, "invalid_api_key"),
        (NotFound("no model", param="model"), openai.NotFoundError, "model_not_found"),
        (NotFound("no file"), openai.NotFoundError, None),
        (RequestTooLarge("big"), openai.APIStatusError, "request_too_large"),
        (InternalError("ours"), openai.InternalServerError, None),
        (Unavailable("all spent"), openai.InternalServerError, "overloaded"),
    ],
)
def test_the_sdk_reads_our_errors(error: CallError, raised: type[openai.APIStatusError], code: str | None) -> None:
    answer = httpx2.Response(CODEC.status(error), content=CODEC.error(error, "req_1"))
    client = openai.OpenAI(
        base_url="http://sampan/v1",
        api_key="k",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)),
    )
    with pytest.raises(raised) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert (caught.value.code, caught.value.param, error.message in str(caught.value)) == (code, error.param, True)


def chunk(delta: object = None, reason: str | None = None, index: int = 0, **more: object) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": reason}
    return sse.frame(json.dumps({"object": "chat.completion.chunk", "choices": [choice], **more}).encode())


DONE = b"data: [DONE]\n\n"
ROLE = {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("delta", "content"),
    [
        (ROLE, False),
        ({"role": "assistant", "content": None, "tool_calls": []}, False),
        ({}, False),
        (None, False),
        ({"content": "x"}, True),
        ({"content": " "}, True),
        ({"reasoning_content": "hm"}, True),
        ({"reasoning": "hm"}, True),
        ({"refusal": "no"}, True),
        ({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}, True),
        ({"function_call": {"name": "f"}}, True),
    ],
)
def test_what_is_content(delta: object, content: bool) -> None:
    assert ChatWatch().feed(chunk(delta)).content is content


def test_a_stream_to_its_end() -> None:
    follower = ChatWatch()
    assert not follower.feed(sse.comment("waiting") + chunk(ROLE)).ended
    assert not follower.finished
    seen = follower.feed(chunk({"content": "a"}) + chunk({"content": "b"}))
    assert (seen.content, seen.ended, seen.usage, seen.data) == (True, False, Usage(0, 2), None)
    assert not follower.feed(chunk({}, "stop")).ended
    assert follower.finished
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    seen = follower.feed(sse.frame(json.dumps({"choices": [], "usage": usage}).encode()) + DONE)
    assert (seen.content, seen.ended, seen.usage) == (False, True, Usage(9, 4))


def test_a_stream_without_done_ends_when_every_choice_has() -> None:
    call = parse({"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 2})
    follower = watch(call)
    follower.feed(chunk({"content": "a"}, "stop", 1))
    assert not follower.finished
    follower.feed(chunk({"content": "b"}) + chunk({}, "length", 0))
    assert follower.finished
    assert follower.feed(b"").usage == Usage(0, 2)


def test_usage_in_every_chunk_and_choices_that_are_null() -> None:
    follower = ChatWatch()
    for tokens in (1, 2):
        usage = {"prompt_tokens": 7, "completion_tokens": tokens}
        assert follower.feed(chunk({"content": "x"}, usage=usage)).usage == Usage(7, tokens)
    assert follower.feed(b'data: {"choices":null,"usage":null}\n\n').usage == Usage(7, 2)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"{", Fault.MALFORMED),
        (b"[]", Fault.MALFORMED),
        (b'"[DONE]"', Fault.MALFORMED),
        (b'{"choices":[{"delta":' + b"[" * 5000, Fault.MALFORMED),
        (b"[DONE]", Fault.EMPTY),
        (b'{"error":{"code":"rate_limit_exceeded","type":"requests"}}', Fault.RATE_LIMITED),
        (b'{"error":{"code":"insufficient_quota","type":"insufficient_quota"}}', Fault.BILLING),
        (b'{"error":{"type":"server_error","code":null,"message":"m"}}', Fault.SERVER_ERROR),
        (b'{"error":{"code":"model_not_found"}}', Fault.MODEL_MISSING),
        (b'{"error":{"type":"overloaded_error"}}', Fault.OVERLOADED),
        (b'{"error":{"message":"m","type":"BadRequestError","param":null,"code":400}}', Fault.SERVER_ERROR),
        (b'{"error":{"message":"m","type":"unavailable_error","code":503}}', Fault.OVERLOADED),
        (b'{"object":"error","message":"m","type":"NotFoundError","code":404}', Fault.MODEL_MISSING),
        (b'{"error":"out of memory"}', Fault.SERVER_ERROR),
        (b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"abort"}]}', Fault.CUT),
    ],
)
def test_a_frame_that_is_a_fault(data: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        ChatWatch().feed(sse.frame(data))
    assert raised.value.fault is fault


def test_an_error_after_content_is_a_fault_too() -> None:
    follower = ChatWatch()
    follower.feed(chunk({"content": "a"}))
    with pytest.raises(TargetFault):
        follower.feed(CODEC.error_frame(Unavailable("spent"), "req_1"))


def completion(message: object, reason: str | None = "stop", **more: object) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": reason}], **more}).encode()


def test_the_usage_of_a_completion() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 9, "prompt_tokens_details": None}
    assert check(completion({"content": "x"}, usage=usage)) == Usage(4, 9)
    assert check(completion({"content": None, "tool_calls": [{}]}, None)) == Usage()
    assert check(completion({"content": ""}, "length", usage=None)) == Usage()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b" ", Fault.EMPTY),
        (b"<html>", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (b'{"type":"message","content":[]}', Fault.MALFORMED),
        (b'{"choices":[]}', Fault.EMPTY),
        (b'{"choices":[{"delta":{}}]}', Fault.MALFORMED),
        (completion({"content": ""}, None), Fault.EMPTY),
        (completion({"content": "half of"}, "abort"), Fault.CUT),
        (b'{"error":{"code":"invalid_api_key"}}', Fault.UNAUTHORIZED),
        (b'{"object":"error","code":429}', Fault.RATE_LIMITED),
    ],
)
def test_a_200_that_is_none(answer: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        check(answer)
    assert raised.value.fault is fault


def test_an_error_frame_raises_in_the_sdk() -> None:
    frames = chunk({"content": "a"}) + CODEC.error_frame(Unavailable("every target is spent"), "req_1")
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=frames)
    transport = httpx2.MockTransport(lambda _: answer)
    client = openai.OpenAI(base_url="http://sampan/v1", api_key="k", http_client=httpx2.Client(transport=transport))
    stream = client.chat.completions.create(model="m", messages=[], stream=True)
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(openai.APIError, match="every target is spent"):
        next(stream)


@pytest.mark.parametrize(
    ("answer", "message", "code"),
    [
        (b'{"type":"error","error":{"type":"invalid_request_error","message":"prefill"}}', "prefill", None),
        (b'{"type":"error","error":{"type":"request_too_large","message":"big"}}', "big", "request_too_large"),
        (b'{"error":"words"}', "words", None),
        (b"<html>", "the upstream rejected the request", None),
        (b'{"error":{"message":5}}', "the upstream rejected the request", None),
    ],
)
def test_a_refusal_of_messages_in_this_wire_s_words(answer: bytes, message: str, code: str | None) -> None:
    assert json.loads(openai_errors.from_messages(answer)) == {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    }
