from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseErrorEvent, ResponseItem
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import TypeAdapter

from sampan.core import Call, Dialect, Incoming, Operation
from sampan.dialects import Limits, sse
from sampan.dialects.openai_responses import (
    OpenAIResponses,
    Page,
    check_retrieval,
    deleted,
    glance,
    input_items,
    listing,
    page,
    refuse_cancel,
    unfolded,
)
from sampan.errors import InternalError, InvalidRequest, NotFound, Unauthenticated, Unavailable

LIMITS = Limits(image=1000, default_model="claude-default", default_image_model="gpt-image-1")
CODEC = OpenAIResponses()
ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)
SMALL = "data:image/png;base64," + "A" * 100
LARGE = "data:image/png;base64," + "A" * 2000


def parse(body: Any, query: str = "") -> Call:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CODEC.parse(Incoming("POST", "/v1/responses", query, {"content-type": "application/json"}, raw), LIMITS)


def refused(body: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    return caught.value.param


def saying(*parts: Any) -> dict[str, Any]:
    return {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "see"}, *parts]}]}


def test_a_call() -> None:
    body = {"model": "m", "input": "hi", "stream": True, "max_output_tokens": 9, "unknown": {"a": 1}}
    call = parse(body, "x=1")
    assert (call.dialect, call.operation, call.model) == (Dialect.OPENAI_RESPONSES, Operation.TEXT, "m")
    assert (call.stream, call.answer_tokens, call.path) == (True, 9, "/v1/responses?x=1")
    assert json.loads(call.body) == body
    assert (parse({"model": "m", "input": "hi"}).stream, parse({"model": "m", "input": "hi"}).answer_tokens) == (
        False,
        0,
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": SMALL},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_data": "JVBERi0="},
    ],
)
def test_a_picture_or_a_document_makes_it_vision(part: dict[str, str]) -> None:
    assert parse(saying(part)).operation is Operation.VISION
    output = {"type": "function_call_output", "call_id": "c", "output": [part]}
    assert parse({"model": "m", "input": [output]}).operation is Operation.VISION
    assert parse(saying()).operation is Operation.TEXT


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        ({"input": "hi"}, "model"),
        ({"model": "", "input": "hi"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": 3}, "input"),
        ({"model": "m", "input": ["hi"]}, "input.0"),
        ({"model": "m", "input": "hi", "max_output_tokens": 0}, "max_output_tokens"),
        (saying({"type": "input_image", "image_url": {"url": SMALL}}), "input.0.content.1.image_url"),
        (saying({"type": "input_image", "image_url": LARGE}), "input.0.content.1.image_url"),
    ],
)
def test_a_bad_field_is_named(body: Any, param: str | None) -> None:
    assert refused(body) == param


def test_a_continued_response_needs_no_input_of_its_own() -> None:
    assert parse({"model": "m", "previous_response_id": "resp_1"}).operation is Operation.TEXT


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequest("input: no", param="input"), 400, None),
        (Unauthenticated("who?"), 401, "invalid_api_key"),
        (Unavailable("all are busy"), 503, "overloaded"),
        (NotFound("model: no route", param="model"), 404, "model_not_found"),
        (NotFound("Response with id 'resp_1' not found."), 404, None),
        (InternalError("ours"), 500, None),
    ],
)
def test_errors_are_those_of_the_wire(error: Any, status: int, code: str | None) -> None:
    assert CODEC.status(error) == status
    body = json.loads(CODEC.error(error, "req_1"))["error"]
    assert (body["message"], body["param"], body["code"]) == (error.message, error.param, code)
    [data] = sse.payloads(CODEC.error_frame(error, "req_1"))
    event = json.loads(data)
    ResponseErrorEvent.model_validate({name: event[name] for name in event if name != "error"}, strict=True)
    assert event["error"] == body and event["message"] == error.message


def test_an_error_reaches_the_sdk_as_its_own_class() -> None:
    body = CODEC.error(NotFound("Response with id 'resp_1' not found."), "req_1")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(404, content=body))
    http = httpx2.Client(transport=transport)
    client = OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)
    with pytest.raises(openai.NotFoundError, match="resp_1"):
        client.responses.retrieve("resp_1")


def test_the_sdk_turns_the_pages_of_input_items() -> None:
    names = [f"msg_{number}" for number in range(5)]

    def answer(request: httpx2.Request) -> httpx2.Response:
        wanted = page(request.url.query.decode())
        start = names.index(wanted.after) + 1 if wanted.after else 0
        found = names[start : start + wanted.limit]
        items = [(name, b'{"type":"message","id":"%b","role":"user","content":[]}' % name.encode()) for name in found]
        return httpx2.Response(200, content=listing(items, start + wanted.limit < len(names)))

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)
    assert [item.id for item in client.responses.input_items.list("resp_1", limit=2, order="asc")] == names


def test_what_keeping_needs_of_a_request() -> None:
    seen = glance(b'{"model":"m","input":[{"id":"msg_1"},{"type":"item_reference","id":"fc_2"},{"role":"user"}]}')
    assert (seen.kept, seen.references, seen.previous_response_id) == (True, ("msg_1", "fc_2"), None)
    assert not glance(b'{"model":"m","input":"hi","store":false}').kept
    assert glance(b'{"model":"m","input":"hi","store":null,"previous_response_id":"resp_1"}').kept


def test_input_items_are_full_items_with_ids() -> None:
    given = [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "input_image", "image_url": SMALL}]},
        {"role": "assistant", "content": "yes"},
        {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "2"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "item_reference", "id": "msg_9"},
    ]
    stored = {"msg_9": b'{"type":"message","id":"msg_9","role":"user","content":[{"type":"input_text","text":"9"}]}'}
    made = input_items(json.dumps({"model": "m", "input": given}).encode(), "resp_ab", stored)
    items = [json.loads(item) for item in made]
    for item in items:
        ITEM.validate_python(item)
    assert [item["id"] for item in items] == [
        "msg_abi0000",
        "msg_abi0001",
        "msg_abi0002",
        "fc_abi0003",
        "fco_abi0004",
        "rs_1",
        "msg_9",
    ]
    assert items[0]["content"] == [{"type": "input_text", "text": "hi"}]
    assert items[1]["content"][0]["detail"] == "auto"
    assert items[2]["content"] == [{"type": "output_text", "text": "yes", "annotations": []}]
    [alone] = input_items(b'{"model":"m","input":"hi"}', "resp_ab")
    assert json.loads(alone)["content"] == [{"type": "input_text", "text": "hi"}]
    assert input_items(b'{"model":"m"}', "resp_ab") == ()
    with pytest.raises(InvalidRequest):
        input_items(b'{"input": 3}', "resp_ab")
    with pytest.raises(InvalidRequest) as caught:
        input_items(json.dumps({"model": "m", "input": given}).encode(), "resp_ab")
    assert caught.value.param == "input.6.id"


def test_a_call_unfolded_needs_no_memory() -> None:
    earlier = (b'{"type":"message","role":"user","content":[{"type":"input_image","file_id":"f"}]}',)
    call = parse({"model": "m", "input": "hi", "previous_response_id": "resp_1", "top_p": 0.5})
    whole = unfolded(call, earlier, {})
    assert whole.operation is Operation.VISION
    assert json.loads(whole.body) == {
        "model": "m",
        "input": [json.loads(earlier[0]), {"type": "message", "role": "user", "content": "hi"}],
        "top_p": 0.5,
    }
    pointing = parse({"model": "m", "input": [{"id": "msg_1"}, {"role": "user", "content": "hi"}]})
    stored = {"msg_1": b'{"type":"message","role":"user","content":"one"}'}
    assert json.loads(unfolded(pointing, (), stored).body)["input"][0]["content"] == "one"
    with pytest.raises(InvalidRequest, match=r"input\.0\.id"):
        unfolded(pointing, (), {})
    assert unfolded(parse({"model": "m", "input": "hi"}), (), {}).body == b'{"model": "m", "input": "hi"}'
    alone = parse({"model": "m", "previous_response_id": "resp_1"})
    assert json.loads(unfolded(alone, earlier, {}).body)["input"] == [json.loads(earlier[0])]


def test_pages() -> None:
    assert page("") == Page(None, 20, True)
    assert page("after=msg_1&limit=100&order=asc&include=x") == Page("msg_1", 100, False)
    for query, param in (("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order")):
        with pytest.raises(InvalidRequest) as caught:
            page(query)
        assert caught.value.param == param


def test_what_is_said_of_stored_responses() -> None:
    item = b'{"type":"message","id":"msg_1","role":"user","content":[{"type":"input_text","text":"hi"}]}'
    found = ResponseItemList.model_validate_json(listing([("msg_1", item), ("msg_2", item)], True), strict=True)
    assert (found.first_id, found.last_id, found.has_more, len(found.data)) == ("msg_1", "msg_2", True, 2)
    assert ResponseItemList.model_validate_json(listing([], False), strict=True).data == []
    assert json.loads(deleted("resp_1")) == {"id": "resp_1", "object": "response", "deleted": True}
    assert "background" in refuse_cancel().message
    check_retrieval("include=x&stream=false")
    with pytest.raises(InvalidRequest) as caught:
        check_retrieval("stream=true")
    assert caught.value.param == "stream"
