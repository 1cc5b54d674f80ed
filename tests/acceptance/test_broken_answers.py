"""What cannot be hidden: answers that break after they began, refusals that are the caller's own, callers who leave."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from behaviours import REJECTION, answer_text
from callers import messages
from cells import PICTURE, Cell
from clouds import Cloud
from gateway import Gateway, eventually, until

PROMPTLY = 2.0  # seconds in which a caller's leaving must have reached the upstream

# How the answer breaks after its first content, and the fault that the record must name.
BREAKS = {"cut": "cut", "end": "cut", "error": "overloaded", "stall": "idle_timeout", "garbage": "malformed"}


def _cell(cloud: Cloud, name: str, behaviour: str) -> Cell:
    cell = cloud.cell(name)
    cell.behaviour = behaviour
    for event in (cell.asked, cell.gate, cell.gone):
        event.clear()
    return cell


def _local_posts(cloud: Cloud) -> tuple[int, int]:
    return cloud.cell("house-local-talk").posts, cloud.cell("house-local-draw").posts


@pytest.mark.parametrize("sees", [False, True], ids=["text", "vision"])
@pytest.mark.parametrize(("how", "fault"), BREAKS.items())
def test_a_broken_message_ends_in_an_error(house: Gateway, cloud: Cloud, how: str, fault: str, sees: bool) -> None:
    name = f"after-{how}-talk"
    cell = _cell(cloud, name, f"after_{how}")
    before = _local_posts(cloud)
    seen = ""
    sdk = house.anthropic()
    with (
        pytest.raises(anthropic.APIError) as failure,
        sdk.messages.stream(model=f"{name}-model", max_tokens=10, messages=messages(sees)) as stream,
    ):
        headers = stream.response.headers
        for piece in stream.text_stream:
            seen += piece
            cell.gate.set()
    assert seen == answer_text(name), "what came before the break was not handed on"
    assert fault in str(failure.value) and name in str(failure.value)
    assert headers["x-sampan-upstream"] == name
    _was_interrupted(house, headers["request-id"], f"{name}={fault}", name)
    assert _local_posts(cloud) == before, "an answer that had begun was asked for again elsewhere"


@pytest.mark.parametrize("edit", [False, True], ids=["generate", "edit"])
@pytest.mark.parametrize(("how", "fault"), BREAKS.items())
def test_a_broken_picture_ends_in_an_error(house: Gateway, cloud: Cloud, how: str, fault: str, edit: bool) -> None:
    name = f"after-{how}-draw"
    cell = _cell(cloud, name, f"after_{how}")
    before = _local_posts(cloud)
    images = house.openai().images
    facts: dict[str, Any] = {"model": f"{name}-model", "prompt": "a boat", "stream": True}
    stream = images.edit(image=("a.png", PICTURE, "image/png"), **facts) if edit else images.generate(**facts)
    seen = []
    with pytest.raises(openai.APIError):
        for event in stream:
            seen.append(event.type)
            cell.gate.set()
    assert seen == ["image_edit.partial_image" if edit else "image_generation.partial_image"]
    _was_interrupted(house, stream.response.headers["request-id"], f"{name}={fault}", name)
    assert _local_posts(cloud) == before


def _was_interrupted(house: Gateway, call: str, attempts: str, upstream: str) -> None:
    record = house.record(call)
    facts = (record["outcome"], record["attempts"], record["upstream"], record["tier"])
    assert facts == ("interrupted", attempts, upstream, "cloud")
    assert record["bytes_out"] > 0 and record["first_event_ms"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("end", ["talk", "draw"])
def test_the_clouds_400_comes_back_as_it_is(house: Gateway, cloud: Cloud, end: str, stream: bool) -> None:
    cell = _cell(cloud, f"rejecting-{end}", "rejects")
    posts, before = cell.posts, _local_posts(cloud)
    body: dict[str, Any] = {"model": f"rejecting-{end}-model", "stream": stream}
    body |= {"max_tokens": 9, "messages": messages(False)} if end == "talk" else {"prompt": "a boat"}
    path = "/v1/messages" if end == "talk" else "/v1/images/generations"
    for _ in range(4):
        reply = house.http("POST", path, body)
        assert (reply.status, reply.body) == (400, REJECTION)
        assert reply.headers["x-sampan-attempts"] == f"rejecting-{end}=ok"
        assert reply.headers["x-should-retry"] == "false"
    assert cell.posts == posts + 4, "a rejection opened the breaker, or was asked twice"
    assert _local_posts(cloud) == before, "a rejected request was tried elsewhere"
    record = house.record(reply.headers["request-id"])
    assert (record["outcome"], record["status"], record["bytes_out"]) == ("rejected", 400, len(REJECTION))


@pytest.mark.parametrize("behaviour", ["rejects", "rejects_size"])
def test_the_sdk_raises_the_clouds_refusal_and_asks_once(house: Gateway, cloud: Cloud, behaviour: str) -> None:
    cell = _cell(cloud, "oversized-talk", behaviour)
    posts, before = cell.posts, _local_posts(cloud)
    sdk = house.anthropic(max_retries=2)
    with pytest.raises(anthropic.APIStatusError) as failure:
        sdk.messages.create(model="oversized-talk-model", max_tokens=9, messages=messages(False))
    assert failure.value.status_code == (400 if behaviour == "rejects" else 413)
    assert failure.value.response.headers["request-id"].startswith("req_")
    assert cell.posts == posts + 1
    assert _local_posts(cloud) == before


@pytest.mark.parametrize("end", ["talk", "draw"])
def test_a_spent_plan_says_so_and_is_not_retried_by_the_sdk(house: Gateway, cloud: Cloud, end: str) -> None:
    """The route has one target only: the answer is an error in the dialect, once, with an honest word on retrying."""
    cell = _cell(cloud, f"alone-{end}", "429")
    posts = cell.posts
    failure: pytest.ExceptionInfo[Any]
    if end == "talk":
        with pytest.raises(anthropic.APIStatusError) as failure:
            sdk = house.anthropic(max_retries=2)
            sdk.messages.create(model="alone-talk-model", max_tokens=9, messages=messages(False))
        assert failure.value.status_code == 529
        assert failure.value.body["error"]["type"] == "overloaded_error"
    else:
        with pytest.raises(openai.APIStatusError) as failure:
            house.openai(max_retries=2).images.generate(model="alone-draw-model", prompt="a boat")
        assert failure.value.status_code == 503
    assert cell.posts == posts + 1, "the SDK asked again although our chain is spent"
    headers = failure.value.response.headers
    assert headers["x-sampan-attempts"] == f"alone-{end}=rate_limited"
    assert headers["x-should-retry"] == "false" and headers["retry-after"] == "7"
    assert "x-sampan-upstream" not in headers, "nobody answered"
    assert house.record(headers["request-id"])["outcome"] == "failed"


def _call(end: str, name: str, stream: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"model": f"{name}-{end}-model", "stream": stream}
    if end == "talk":
        return "/v1/messages", body | {"max_tokens": 9, "messages": messages(False)}
    return "/v1/images/generations", body | {"prompt": "a boat"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("end", ["talk", "draw"])
def test_leaving_before_the_answer_closes_the_upstream(house: Gateway, cloud: Cloud, end: str, stream: bool) -> None:
    cell = _cell(cloud, f"gated-{end}", "gated")
    before = _local_posts(cloud)
    path, body = _call(end, "gated", stream)
    with house.connect(path, body):
        assert cell.asked.wait(10), "the cloud was not asked"
    assert cell.gone.wait(PROMPTLY), "the upstream's connection was left open"
    assert _local_posts(cloud) == before, "a call that nobody waits for was asked elsewhere"
    record = eventually(lambda: _last_left(house, body["model"], stream), what="a record of the caller who left")
    assert (record["status"], record["upstream"]) == (499, "")
    cell.gate.set()
    reply = house.http("POST", path, body)
    assert reply.headers["x-sampan-attempts"] == f"gated-{end}=ok", "leaving counted against the cloud"


@pytest.mark.parametrize("end", ["talk", "draw"])
def test_leaving_amid_a_stream_closes_the_upstream(house: Gateway, cloud: Cloud, end: str) -> None:
    cell = _cell(cloud, f"middle-{end}", "gated_middle")
    before = _local_posts(cloud)
    path, body = _call(end, "middle", True)
    with house.connect(path, body) as sock:
        head = until(sock, b"content_block_delta" if end == "talk" else b"partial_image")
    assert cell.gone.wait(PROMPTLY), "the upstream's connection was left open"
    call = head.partition(b"request-id: ")[2].partition(b"\r\n")[0].decode()
    record = house.record(call)
    facts = (record["outcome"], record["upstream"], record["attempts"])
    assert facts == ("left", f"middle-{end}", f"middle-{end}=ok")
    assert record["bytes_out"] > 0
    assert _local_posts(cloud) == before


def test_leaving_through_the_sdk_closes_the_upstream(house: Gateway, cloud: Cloud) -> None:
    cell = _cell(cloud, "middle-talk", "gated_middle")
    with house.anthropic().messages.create(
        model="middle-talk-model", max_tokens=9, messages=messages(False), stream=True
    ) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    assert cell.gone.wait(PROMPTLY), "the upstream's connection was left open"


def _last_left(house: Gateway, model: str, stream: bool) -> dict[str, Any] | None:
    found = [each for each in house.latest() if (each["model"], each["stream"]) == (model, stream)]
    return next((each for each in found if each["outcome"] == "left"), None)


def test_frames_come_whole_and_in_order(house: Gateway, cloud: Cloud) -> None:
    """A stream that ends well has every frame in order, whatever the pieces it came in."""
    _cell(cloud, "good-talk", "healthy")
    body = {"model": "good-talk-model", "max_tokens": 9, "messages": messages(False), "stream": True}
    reply = house.http("POST", "/v1/messages", body)
    frames = [frame for frame in reply.body.decode().split("\n\n") if frame]
    kinds = [frame.partition("\n")[0].removeprefix("event: ") for frame in frames]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    for frame, kind in zip(frames, kinds, strict=True):
        assert json.loads(frame.partition("\ndata: ")[2])["type"] == kind
