from __future__ import annotations

import base64
import json
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Call, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, form, sse
from sampan.dialects.anthropic import ERROR_FAULTS, Anthropic, MessageWatch, check, check_count
from sampan.errors import InvalidRequest, TargetFault

LIMITS = Limits(image=1000, default_model="claude-default", default_image_model="image-default")
CODEC = Anthropic()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PICTURE = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
LARGE = {"type": "base64", "media_type": "image/png", "data": "A" * 1400}  # 1,050 bytes


def incoming(body: object, *, path: str = "/v1/messages", query: str = "", **headers: str) -> Incoming:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming("POST", path, query, {"content-type": "application/json", **named}, raw)


def request(*blocks: object, **more: object) -> dict[str, Any]:
    return {"model": "claude-x", "max_tokens": 64, "messages": [{"role": "user", "content": list(blocks)}], **more}


def parse(body: object, **more: str) -> Call:
    return CODEC.parse(incoming(body, **more), LIMITS)


# Every kind of block on the wire (WIRE §2), and whether it is something to look at.
BLOCKS: list[tuple[dict[str, Any], bool]] = [
    ({"type": "text", "text": "hi", "citations": None, "cache_control": {"type": "ephemeral", "ttl": "1h"}}, False),
    ({"type": "image", "source": PICTURE}, True),
    ({"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}, True),
    ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, True),
    ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}, True),
    ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "t"}, True),
    ({"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}, "citations": {"enabled": True}}, True),
    ({"type": "document", "source": {"type": "content", "content": "words"}}, True),
    ({"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": PICTURE}]}}, True),
    ({"type": "search_result", "source": "https://a", "title": "t", "content": [{"type": "text", "text": "x"}]}, False),
    ({"type": "thinking", "thinking": "hm", "signature": "s"}, False),
    ({"type": "redacted_thinking", "data": "x"}, False),
    ({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1]}}, False),
    ({"type": "tool_result", "tool_use_id": "toolu_1", "content": "42", "is_error": False}, False),
    ({"type": "tool_result", "tool_use_id": "toolu_1"}, False),
    ({"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "42"}]}, False),
    ({"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "image", "source": PICTURE}]}, True),
    ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "f"}]}, False),
    ({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}, False),
    (
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]},
        False,
    ),
    ({"type": "web_fetch_tool_result", "tool_use_id": "s", "content": {"type": "web_fetch_result", "url": "u"}}, False),
    ({"type": "code_execution_tool_result", "tool_use_id": "s", "content": {"type": "x", "stdout": ""}}, False),
    ({"type": "container_upload", "file_id": "file_1"}, False),
    ({"type": "mid_conv_system", "content": "now in French"}, False),
    ({"type": "a_block_of_next_year", "anything": {"goes": [None]}}, False),
]


@pytest.mark.parametrize(("block", "seen"), BLOCKS, ids=lambda each: each["type"] if isinstance(each, dict) else "")
def test_every_block_of_the_wire_is_accepted_and_the_body_untouched(block: dict[str, Any], seen: bool) -> None:
    asked = incoming(request(block))
    call = CODEC.parse(asked, LIMITS)
    assert call.operation is (Operation.VISION if seen else Operation.TEXT)
    assert call.body is asked.body


def test_what_a_call_is_made_of() -> None:
    body = request({"type": "text", "text": "hi"}, stream=True, fallbacks=["x"], thinking={"type": "adaptive"})
    call = parse(
        body,
        query="beta=true",
        anthropic_version="2023-06-01",
        anthropic_beta="a,b",
        authorization="Bearer s",
        x_api_key="s",
    )
    assert call.model == "claude-x"
    assert call.path == "/v1/messages?beta=true"
    assert call.stream and call.answer_tokens == 64
    assert call.headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b"}  # and no key


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_roles(role: str) -> None:
    assert parse({**request(), "messages": [{"role": role, "content": "hi"}]}).operation is Operation.TEXT


def test_a_count_needs_no_max_tokens_and_never_streams() -> None:
    body = request("x")
    body["messages"][0]["content"] = "hi"
    del body["max_tokens"]
    call = parse({**body, "stream": True}, path="/v1/messages/count_tokens")
    assert (call.stream, call.answer_tokens, call.path) == (False, 0, "/v1/messages/count_tokens")


def test_a_cache_can_be_warmed() -> None:
    assert parse(request({"type": "text", "text": "x"}, max_tokens=0)).answer_tokens == 0


def image_at(*path: str | int) -> dict[str, Any]:
    """A request with a picture over the limit at a place."""
    block: dict[str, Any] = {"type": "image", "source": LARGE}
    if path[0] == "tool_result":
        block = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": ""}, block]}
    elif path[0] == "document":
        block = {"type": "document", "source": {"type": "content", "content": [block]}}
    return request({"type": "text", "text": "a"}, block)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[" * 100_000, None),
        (b'{"x":' + b"[" * 100_000, None),
        (b'{"model":"\xff"}', None),
        (b"[]", None),
        ({}, "model"),
        ({"model": "m", "max_tokens": 1}, "messages"),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        ({"model": "m", "max_tokens": 1, "messages": []}, "messages"),
        ({**request({"type": "text"}), "model": ""}, "model"),
        ({**request({"type": "text"}), "max_tokens": -1}, "max_tokens"),
        ({**request({"type": "text"}), "max_tokens": "5"}, "max_tokens"),
        ({**request({"type": "text"}), "max_tokens": True}, "max_tokens"),
        ({**request({"type": "text"}), "stream": "yes"}, "stream"),
        ({**request(), "messages": [{"role": "tool", "content": ""}]}, "messages.0.role"),
        ({**request(), "messages": [{"role": "user", "content": "x"}, {"role": "user"}]}, "messages.1.content"),
        ({**request(), "messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        (request({"type": "text"}, {"text": "no type"}), "messages.0.content.1.type"),
        (request({"type": "tool_result", "content": [{"no": "type"}]}), "messages.0.content.0.content.0.type"),
        (request({"type": "tool_result", "content": 5}), "messages.0.content.0.content"),
        (image_at("top"), "messages.0.content.1.source"),
        (image_at("tool_result"), "messages.0.content.1.content.1.source"),
        (image_at("document"), "messages.0.content.1.source.content.0.source"),
    ],
)
def test_a_mistake_is_named_to_the_field(body: object, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(body)
    assert raised.value.param == param
    if param:
        assert raised.value.message.startswith(param)


def test_a_picture_just_within_the_limit_passes() -> None:
    within = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(bytes(999)).decode()}
    assert parse(request({"type": "image", "source": within})).operation is Operation.VISION


def test_blocks_deeper_than_the_wire_has_them_cost_no_further_pass() -> None:
    block: dict[str, Any] = {"type": "image", "source": LARGE}
    for _ in range(100):
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    assert parse(request(block)).operation is Operation.TEXT


# Forms.

TYPE = "multipart/form-data; boundary=frontier"


def form_call(*parts: form.Part, path: str = "/v1/messages", content_type: str = TYPE) -> Call:
    body = form.build(TYPE, parts)
    return CODEC.parse(Incoming("POST", path, "", {"content-type": content_type}, body), LIMITS)


def upload(data: bytes, name: str = "image") -> form.Part:
    return form.Part(
        name, "a.png", ((b"Content-Disposition", f'form-data; name="{name}"; filename="a"'.encode()),), data
    )


def test_a_form_becomes_the_call_that_it_means() -> None:
    call = form_call(form.value("prompt", " 这是什么? ".encode()), upload(PNG), form.value("stream", b"true"))
    body = json.loads(call.body)
    assert body == {
        "model": "claude-default",
        "max_tokens": 1024,
        "stream": True,
        "messages": [
            {"role": "user", "content": [{"type": "image", "source": PICTURE}, {"type": "text", "text": "这是什么?"}]}
        ],
    }
    assert (call.operation, call.stream, call.content_type) == (Operation.VISION, True, "application/json")
    assert call.headers == {"anthropic-version": "2023-06-01"}


def test_a_form_s_other_fields_and_a_pdf() -> None:
    call = form_call(
        form.value("model", b"m"),
        form.value("max_tokens", b"7"),
        form.value("system", b"be brief"),
        upload(b"%PDF-1.7", "document"),
        content_type=TYPE.replace("multipart", "Multipart"),
    )
    body = json.loads(call.body)
    assert (body["model"], body["max_tokens"], body["system"]) == ("m", 7, "be brief")
    assert body["messages"][0]["content"][0]["type"] == "document"


def test_a_form_can_be_counted() -> None:
    call = form_call(form.value("prompt", b"hi"), path="/v1/messages/count_tokens")
    assert set(json.loads(call.body)) == {"model", "messages"}


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([form.value("prompt", b" ")], "prompt"),
        ([upload(b"")], "prompt"),
        ([form.value("prompt", b"x"), form.value("temperature", b"1")], "temperature"),
        ([form.value("prompt", b"x"), form.value("max_tokens", b"many")], "max_tokens"),
        ([form.value("prompt", b"x"), form.value("stream", b"maybe")], "stream"),
        ([form.value("prompt", b"\xff")], "prompt"),
        ([upload(b"<svg/>")], "image"),
        ([upload(PNG + bytes(1000))], "image"),
    ],
)
def test_a_form_s_mistakes_are_named(parts: list[form.Part], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        form_call(*parts)
    assert raised.value.param == param


# What upstreams answer.


def test_the_usage_of_a_whole_answer() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": None, "output_tokens": 3}
    assert check(json.dumps({"type": "message", "content": [{}], "usage": usage}).encode()) == Usage(15, 3)
    assert check(b'{"type":"message","content":[]}') == Usage()
    assert check_count(b'{"input_tokens":7}') == Usage(7)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"type":"message","content":[]}', b"<html>"])
def test_a_count_is_a_count(body: bytes) -> None:
    with pytest.raises(TargetFault):
        check_count(body)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.EMPTY),
        (b" \r\n", Fault.EMPTY),
        (b"null", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (b'{"input_tokens":7}', Fault.MALFORMED),
        (b"{", Fault.MALFORMED),
        (b"[" * 100_000, Fault.MALFORMED),
        (b"<html>ok</html>", Fault.MALFORMED),
        (b'{"type":"message"}', Fault.MALFORMED),
        (b'{"type":"message","content":"x"}', Fault.MALFORMED),
        (b'{"type":"completion","content":[]}', Fault.MALFORMED),
        (b'{"object":"chat.completion","choices":[]}', Fault.MALFORMED),
        (b'\xff{"type":"message","content":[]}', Fault.MALFORMED),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', Fault.OVERLOADED),
        (b'{"type":"error","error":{"type":"billing_error","message":null}}', Fault.BILLING),
        (b'{"type":"error","error":{"type":"who_knows"}}', Fault.SERVER_ERROR),
    ],
)
def test_a_200_that_is_none(body: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        check(body)
    assert raised.value.fault is fault


def event(kind: str, **more: object) -> bytes:
    return sse.frame(json.dumps({"type": kind, **more}).encode(), kind)


START = event("message_start", message={"usage": {"input_tokens": 9, "output_tokens": 1}})
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4})
STOP = event("message_stop")
PING = event("ping")


@given(st.lists(st.sampled_from([BLOCK, DELTA, PING, event("an_event_of_next_year", x=[1])])), st.data())
def test_a_good_stream_is_followed_however_it_is_cut_into_pieces(middle: list[bytes], data: st.DataObject) -> None:
    frames = [START, *middle, END, STOP]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(frames)))))
    watch = MessageWatch()
    for start, end in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        piece = frames[start:end]
        seen = watch.feed(b"".join(piece))
        assert seen.content is (DELTA in piece)
        assert seen.ended is watch.finished is (end == len(frames))
    assert seen.usage == Usage(9, 4)


@pytest.mark.parametrize("name", ["message", "usage", "error", "delta", "index"])
@pytest.mark.parametrize("value", ["text", 7, [1], {"type": "api_error", "usage": {"output_tokens": "x"}}, None])
def test_events_of_next_year_may_use_our_names_otherwise(name: str, value: object) -> None:
    watch = MessageWatch()
    watch.feed(START)
    seen = watch.feed(event("notice", **{name: value}))
    assert (seen.content, seen.ended, seen.data) == (False, False, None)
    assert watch.feed(END + STOP).usage == Usage(9, 4)


BROKEN = [
    (event("error", error={"type": kind, "message": "m"}), fault) for kind, fault in sorted(ERROR_FAULTS.items())
] + [
    (event("error"), Fault.SERVER_ERROR),
    (event("error", error={"type": "new_error", "message": None}), Fault.SERVER_ERROR),
    (sse.frame(b"{"), Fault.MALFORMED),
    (sse.frame(b"[DONE]"), Fault.MALFORMED),
    (sse.frame(b"[" * 100_000), Fault.MALFORMED),
    (sse.frame(b'{"no":"type"}'), Fault.MALFORMED),
    (sse.frame(b"\xff"), Fault.MALFORMED),
]


@pytest.mark.parametrize(("bad", "fault"), BROKEN)
@pytest.mark.parametrize("before", [b"", START, START + DELTA])
def test_a_broken_stream_is_a_fault_wherever_it_breaks(before: bytes, bad: bytes, fault: Fault) -> None:
    watch = MessageWatch()
    watch.feed(before)
    with pytest.raises(TargetFault) as raised:
        watch.feed(bad)
    assert raised.value.fault is fault
    assert not watch.finished


@pytest.mark.parametrize("first", [DELTA, STOP, END, event("message_start"), event("x")])
def test_a_stream_begins_with_message_start(first: bytes) -> None:
    watch = MessageWatch()
    watch.feed(PING + sse.comment("hello"))
    with pytest.raises(TargetFault) as raised:
        watch.feed(first)
    assert raised.value.fault is Fault.MALFORMED


def test_an_error_reads_as_the_sdk_s_own() -> None:
    error = InvalidRequest("model: no", param="model")
    body = json.loads(CODEC.error(error, "req_1"))
    shape = anthropic.types.ErrorResponse.model_validate(body)
    assert shape.error.type == "invalid_request_error"
    assert shape.error.message == "model: no"
    assert body["request_id"] == "req_1"
    assert CODEC.status(error) == 400
    assert CODEC.error_frame(error, "req_1") == b"event: error\ndata: " + CODEC.error(error, "req_1") + b"\n\n"
