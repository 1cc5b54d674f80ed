"""What goes wrong, as the official `anthropic` client sees it, and what is handed on to the byte.

Whatever is wrong has its own class there, names the field, carries our request id (which finds the record), and says
whether asking again makes sense: our own chain is spent when we say no.
"""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from behaviours import frame
from gateway import KEY, Gateway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sdk_asks import ASK, CHATS, UPSTREAMS, asking, text, user
from sdk_clouds import Fails, Play, Says, Stage, Text, model

ALL = ("cloud", "near", "chat", "openai")
OK = Play(Text("All is well."))
BUSY = Fails(529, "overloaded_error", "Overloaded")


@pytest.fixture(scope="module")
def eager(sdk: anthropic.Anthropic) -> anthropic.Anthropic:
    """It asks again where it may, as applications do."""
    return sdk.with_options(max_retries=2)


def refused(call: Any, kind: type[anthropic.APIStatusError]) -> Any:
    """The error that the SDK raises, of exactly this class and with what every error of ours has."""
    with pytest.raises(kind) as failure:
        call()
    error = failure.value
    assert type(error) is kind and str(error.request_id).startswith("req_")
    assert error.body["type"] == "error" and error.body["error"]["message"]  # type: ignore[index]
    return error


# The caller's own mistakes.


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    ("facts", "path"),
    [
        ({"messages": []}, "messages"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": [{"role": "user", "content": [text("a"), {"text": "b"}]}]}, "messages.0.content.1.type"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages.0.role"),
        ({"messages": [user({"type": "image"})]}, "messages.0.content.0.source"),
    ],
    ids=["no messages", "max_tokens", "no type", "role", "no source"],
)
def test_a_mistake_is_named_by_its_path(
    quay: Gateway, eager: anthropic.Anthropic, stage: Stage, target: str, facts: dict[str, Any], path: str
) -> None:
    name = stage.new(OK)
    error = refused(lambda: eager.messages.create(**(asking(target, name) | facts)), anthropic.BadRequestError)
    assert error.type == "invalid_request_error" and str(error.api_message).startswith(f"{path}:"), error.api_message
    assert error.response.headers["x-should-retry"] == "false" and not stage.heard(name)
    assert quay.record(error.request_id)["outcome"] == "refused"


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [400, 413])
def test_what_the_upstream_finds_wrong_is_told_in_its_words(
    quay: Gateway, eager: anthropic.Anthropic, stage: Stage, target: str, streams: bool, status: int
) -> None:
    said = Fails(status, "invalid_request_error", "messages: the roof is on fire")
    name = stage.new(said)
    kind = anthropic.BadRequestError if status == 400 else anthropic.ContentTooLargeError
    error = refused(lambda: eager.messages.create(**asking(target, name), stream=streams), kind)
    assert (error.type, error.api_message) == ("invalid_request_error", "messages: the roof is on fire")
    assert len(stage.heard(name)) == 1 and error.response.headers["x-sampan-upstream"] == UPSTREAMS[target]
    record = quay.record(error.request_id)
    assert (record["outcome"], record["status"]) == ("rejected", status)


def test_strangers_are_turned_away(quay: Gateway, eager: anthropic.Anthropic, stage: Stage) -> None:
    stranger = eager.with_options(api_key="sk-sampan-nobody")
    calls: list[Any] = [
        lambda: stranger.messages.create(**asking("cloud", stage.new(OK))),
        lambda: stranger.messages.count_tokens(model="claude-cloud-x", messages=ASK["messages"]),
        stranger.models.list,
        stranger.beta.files.list,
        stranger.messages.batches.list,
    ]
    for call in calls:
        assert refused(call, anthropic.AuthenticationError).type == "authentication_error"
    bearer = anthropic.Anthropic(auth_token=KEY, base_url=quay.url, max_retries=0)
    with bearer:
        assert bearer.messages.create(**asking("cloud", stage.new(OK))).content[0].to_dict()["text"] == "All is well."


def test_an_unknown_model_is_not_found(quay: Gateway, eager: anthropic.Anthropic) -> None:
    error = refused(lambda: eager.messages.create(**ASK, model="nobody"), anthropic.NotFoundError)
    assert error.type == "not_found_error" and "nobody" in error.api_message
    assert quay.record(error.request_id)["status"] == 404


def test_too_much_is_too_large(sdk: anthropic.Anthropic, stage: Stage) -> None:
    name = stage.new(OK)
    large: Any = asking("cloud", name, text("x" * 4_000_001))
    error = refused(lambda: sdk.messages.create(**large), anthropic.ContentTooLargeError)
    assert error.type == "request_too_large" and "4,000,000" in error.api_message and not stage.heard(name)


# Upstreams that fail.

SICK: dict[str, tuple[Fails, str]] = {
    "rate limit": (Fails(429, "rate_limit_error", headers={"retry-after": "7"}), "rate_limited"),
    "overload": (BUSY, "overloaded"),
    "mistake": (Fails(500), "server_error"),
    "gateway": (Fails(503), "server_error"),
    "wrong key": (Fails(401, "authentication_error"), "unauthorized"),
    "unpaid": (Fails(400, "invalid_request_error", "Your credit balance is too low to go on."), "billing"),
    "model gone": (Fails(404, "not_found_error"), "model_missing"),
    "forbidden": (Fails(403, "forbidden", "Request not allowed"), "region_blocked"),
}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("sickness", SICK)
def test_another_answers_for_one_that_fails(
    sdk: anthropic.Anthropic, stage: Stage, sickness: str, streams: bool
) -> None:
    fails, fault = SICK[sickness]
    ask = asking("over", stage.new(fails, OK))
    if streams:
        with sdk.messages.stream(**ask) as stream:
            message: Any = stream.get_final_message()
            headers = stream.response.headers
    else:
        raw = sdk.messages.with_raw_response.create(**ask)
        message, headers = raw.parse(), raw.headers
    assert message.content[0].text == "All is well."
    assert headers["x-sampan-attempts"] == f"claude={fault},vllm=ok" and headers["x-sampan-tier"] == "local"


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("sickness", SICK)
def test_nobody_left_is_an_honest_overload(
    quay: Gateway, eager: anthropic.Anthropic, stage: Stage, target: str, sickness: str
) -> None:
    fails, fault = SICK[sickness]
    name = stage.new(fails)
    error = refused(lambda: eager.messages.create(**asking(target, name)), anthropic.OverloadedError)
    assert error.type == "overloaded_error" and f"{UPSTREAMS[target]}={fault}" in error.api_message
    assert error.response.headers["x-should-retry"] == "false" and len(stage.heard(name)) == 1
    assert error.response.headers.get("retry-after") == ("7" if sickness == "rate limit" else None)
    assert quay.record(error.request_id)["outcome"] == "failed"


@pytest.mark.parametrize("target", ALL)
def test_a_stream_that_fails_before_it_says_anything_is_no_stream(
    sdk: anthropic.Anthropic, stage: Stage, target: str
) -> None:
    name = stage.new(Fails(529, "overloaded_error", "Overloaded", play=OK, after=1))
    error = refused(lambda: sdk.messages.create(**asking(target, name), stream=True), anthropic.OverloadedError)
    assert "x-sampan-attempts" in error.response.headers


@pytest.mark.parametrize("target", ALL)
def test_a_stream_that_breaks_raises_and_never_ends_well(
    quay: Gateway, sdk: anthropic.Anthropic, stage: Stage, target: str
) -> None:
    name = stage.new(Fails(500, "api_error", "Oh no", play=OK, after=5, waits=True))
    with pytest.raises(anthropic.APIStatusError) as failure, sdk.messages.stream(**asking(target, name)) as stream:
        said = next(stream.text_stream)
        stage.let(name)
        said += "".join(stream.text_stream)
    assert said and "All is well.".startswith(said)
    body: Any = failure.value.body
    assert body["error"]["type"] == "api_error" and "broke off" in body["error"]["message"]
    assert body["request_id"] == failure.value.request_id
    assert quay.record(body["request_id"])["outcome"] == "interrupted"


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"choices": []}', b'{"type": "message"}'])
def test_an_answer_that_is_none_is_a_fault(sdk: anthropic.Anthropic, stage: Stage, target: str, body: bytes) -> None:
    name = stage.new(Says(body))
    error = refused(lambda: sdk.messages.create(**asking(target, name)), anthropic.OverloadedError)
    assert "=empty" in error.api_message or "=malformed" in error.api_message


@pytest.mark.parametrize("target", CHATS)
def test_a_call_that_is_no_json_is_never_made(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    """A tool is never called with a guess."""
    call = {"id": "a", "type": "function", "function": {"name": "t", "arguments": '{"city": "Os'}}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [call]}}
    name = stage.new(Says(json.dumps({"object": "chat.completion", "choices": [choice]}).encode()))
    error = refused(lambda: sdk.messages.create(**asking(target, name)), anthropic.OverloadedError)
    assert "=malformed" in error.api_message


# The same dialect on both sides: to the byte.

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\\"), max_size=12).map(lambda name: f"x_{name}")
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSONS = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EXTRA = st.dictionaries(NAMES, JSONS, max_size=4)
SPACING = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(extra=EXTRA, inner=EXTRA, spacing=SPACING, ascii_only=st.booleans())
def test_what_we_do_not_know_arrives_to_the_byte(
    quay: Gateway, stage: Stage, extra: dict[str, Any], inner: dict[str, Any], spacing: Any, ascii_only: bool
) -> None:
    """Members of next year in the body, a turn, a block and a block of next year, however they are written."""
    stage.plays("to-the-byte", OK)
    content = [text("hi") | inner, {"type": "future_block", **inner}]
    body = {**extra, "model": model("cloud", "to-the-byte"), "max_tokens": 9}
    body["messages"] = [{"role": "user", "content": content, **inner}]
    try:
        data = json.dumps(body, separators=spacing, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # half a character cannot be written in UTF-8
        data = json.dumps(body, separators=spacing).encode()
    reply = quay.http("POST", "/v1/messages", data, {"content-type": "application/json"})
    assert reply.status == 200, reply.body
    assert stage.heard("to-the-byte")[0].body == data


FUTURE: list[bytes] = [
    frame(
        "message_start",
        {"type": "message_start", "message": {"id": "m", "type": "message", "usage": {"input_tokens": 4}, "x": 1}},
    ),
    b": a comment of the cloud\n\n",
    frame("ping", {"type": "ping", "x_load": 0.5}),
    frame("notice", {"type": "notice", "message": "maintenance at noon", "usage": "none", "error": None}),
    b'event: content_block_start\r\ndata: {"type": "content_block_start",  "index": 0,'
    b'"content_block":{"type":"hologram"}}\r\n\r\n',
    frame(
        "content_block_delta",
        {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta", "voxels": [1]}},
    ),
    frame("heartbeat", {"type": "heartbeat", "error": {"rate": 0.0}}),
    frame("content_block_stop", {"type": "content_block_stop", "index": 0}),
    frame(
        "message_delta",
        {"type": "message_delta", "delta": {"stop_reason": "bored"}, "usage": {"output_tokens": 2, "x": []}},
    ),
    frame("message_stop", {"type": "message_stop", "x_bill": {"cents": 1}}),
]


@pytest.mark.parametrize("target", ["cloud", "near"])
def test_events_of_next_year_pass_through(quay: Gateway, sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    raw = sdk.messages.with_raw_response.create(**asking(target, stage.new(Says(frames=FUTURE))), stream=True)
    assert raw.http_response.read() == b"".join(FUTURE).replace(b"\r\n", b"\n"), "only ends of lines become alike"
    record = quay.record(raw.headers["request-id"])
    assert (record["outcome"], record["input_tokens"], record["output_tokens"]) == ("ok", 4, 2)


@pytest.mark.parametrize("target", ["cloud", "near"])
def test_an_answer_of_next_year_passes_through(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    body = b'{ "type":"message","x":[1.50, null], "usage":{"input_tokens":1 ,"output_tokens":2,"x":{}},'
    body += b'"content":[{"type":"hologram","voxels":1e400}], "error": null, "stop_reason":"bored"}\n'
    raw = sdk.messages.with_raw_response.create(**asking(target, stage.new(Says(body))))
    assert raw.http_response.content == body
