from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from sampan.core import Fault, Usage
from sampan.dialects import sse
from sampan.dialects.openai_responses import OpenAIResponses
from sampan.dialects.translation import responses_ask_claude, terms
from sampan.dialects.translation.claude_answers_responses import MessagesToResponses, envelope, whole
from sampan.errors import Interrupted, InvalidRequest, TargetFault

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
NOW = 1_700_000_000.0
TOOLS = [{"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}, "strict": True}]
ASKED = {"model": "m", "input": "hi", "tools": TOOLS, "metadata": {"a": "b"}, "temperature": 0.5}
TEXT = {"type": "text", "text": "Hello 你好"}
THINKING = {"type": "thinking", "thinking": "Let me see. And so.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "cmVk"}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": [2, None, "三"]}}
USED = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 5},
}


def told(**more: Any) -> dict[str, Any]:
    return envelope(json.dumps({**ASKED, **more}).encode(), "resp_00ff", NOW + 0.5, "m")


def message(*blocks: Any, reason: str | None = "end_turn", **more: Any) -> bytes:
    said = {"id": "msg_u", "type": "message", "role": "assistant", "model": "x", "content": blocks, "usage": USED}
    return json.dumps({**said, "stop_reason": reason, **more}).encode()


def frame(kind: str, **fields: Any) -> bytes:
    return sse.frame(json.dumps({"type": kind, **fields}).encode(), kind)


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def deltas(block: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"], size))
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"], size))
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "tool_use":
        yield {"type": "input_json_delta", "partial_json": ""}
        arguments = json.dumps(block["input"])
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces(arguments, size))


EMPTY = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}


def stream(*blocks: Any, reason: str | None = "end_turn", size: int = 3, details: Any = None) -> list[bytes]:
    """A Messages stream of these blocks, frame by frame."""
    frames = [frame("message_start", message={"id": "msg_u", "type": "message", "usage": {**USED, "output_tokens": 1}})]
    frames.append(frame("ping"))
    for index, block in enumerate(blocks):
        frames.append(
            frame("content_block_start", index=index, content_block={**block, **EMPTY.get(block["type"], {})})
        )
        frames += [frame("content_block_delta", index=index, delta=delta) for delta in deltas(block, size)]
        frames.append(frame("content_block_stop", index=index))
    delta = {"stop_reason": reason, "stop_sequence": None, "stop_details": details}
    frames.append(frame("message_delta", delta=delta, usage=USED))
    return [*frames, frame("message_stop")]


def translated(frames: list[bytes], **more: Any) -> bytes:
    watch = MessagesToResponses(told(**more), lambda: NOW + 9)
    out = b"".join(watch.feed(each).data or b"" for each in frames)
    assert watch.finished
    return out


def events(frames: bytes) -> list[dict[str, Any]]:
    return [json.loads(data) for data in sse.payloads(frames)]


def answering(body: bytes, kind: str, status: int = 200) -> httpx2.MockTransport:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": kind}, content=body)

    return httpx2.MockTransport(answer)


def client(body: bytes, kind: str = "text/event-stream", status: int = 200) -> OpenAI:
    http = httpx2.Client(transport=answering(body, kind, status))
    return OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)


def async_client(body: bytes, kind: str = "text/event-stream") -> AsyncOpenAI:
    http = httpx2.AsyncClient(transport=answering(body, kind))
    return AsyncOpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)


def test_a_whole_answer_is_a_response_to_the_letter() -> None:
    body, usage = whole(message(THINKING, TEXT, TOOL, reason="tool_use"), told(), lambda: NOW + 2)
    response = Response.model_validate_json(body, strict=True)
    assert usage == Usage(17, 7)
    assert (response.id, response.created_at, response.completed_at) == ("resp_00ff", NOW, NOW + 2)
    assert (response.status, response.output_text, response.temperature) == ("completed", TEXT["text"], 0.5)
    assert (response.metadata, response.tool_choice, response.parallel_tool_calls) == ({"a": "b"}, "auto", True)
    reasoning, said, call = response.output
    assert reasoning.type == "reasoning" and reasoning.summary[0].text == THINKING["thinking"]
    assert said.type == "message" and said.status == "completed"
    assert call.type == "function_call" and call.call_id == "toolu_1"
    assert json.loads(call.arguments) == TOOL["input"]
    assert [item.id[:3] for item in (reasoning, said, call) if item.id] == ["rs_", "msg", "fc_"]
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.total_tokens) == (17, 24)
    assert response.usage.input_tokens_details.cached_tokens == 4
    assert response.usage.input_tokens_details.cache_write_tokens == 3
    assert response.usage.output_tokens_details.reasoning_tokens == 5


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("max_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("refusal", "content_filter"),
    ],
)
def test_an_answer_that_was_cut_says_why_and_where(reason: str, why: str) -> None:
    response = Response.model_validate_json(whole(message(THINKING, TEXT, reason=reason), told())[0], strict=True)
    assert response.status == "incomplete" and response.completed_at is None
    assert response.incomplete_details is not None and response.incomplete_details.reason == why
    assert response.output[1].type == "message" and response.output[1].status == "incomplete"


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence", "tool_use"])
def test_an_answer_that_ended_is_completed(reason: str) -> None:
    assert json.loads(whole(message(TEXT, reason=reason), told())[0])["status"] == "completed"


def test_the_explanation_of_a_refusal_is_a_refusal() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "I cannot."}
    body = message(TEXT, reason="refusal", stop_details=details)
    response = Response.model_validate_json(whole(body, told())[0], strict=True)
    assert response.output[0].type == "message"
    assert [part.type for part in response.output[0].content] == ["output_text", "refusal"]
    said = events(translated(stream(TEXT, reason="refusal", details=details)))
    assert [each["refusal"] for each in said if each["type"] == "response.refusal.done"] == ["I cannot."]
    alone = json.loads(whole(message(reason="refusal", stop_details=details), told())[0])
    assert alone["output"][0]["content"] == [{"type": "refusal", "refusal": "I cannot."}]


def test_what_the_gateway_does_not_do_is_told_as_it_is() -> None:
    said = told(
        truncation="auto", service_tier="flex", text={"format": None}, tools=None, tool_choice=None, store=False
    )
    assert (said["truncation"], said["service_tier"], said["store"]) == ("disabled", "default", False)
    assert (said["text"], said["tools"], said["tool_choice"]) == ({"format": {"type": "text"}}, [], "auto")
    assert said["max_output_tokens"] == terms.ANSWER_TOKENS


def test_an_envelope_of_nonsense_names_the_field() -> None:
    with pytest.raises(InvalidRequest) as caught:
        envelope(b'{"metadata": {"a": 1}}', "resp_1", NOW, "m")
    assert caught.value.param == "metadata"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b" ", Fault.EMPTY),
        (b"<html>", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (b'{"type":"message"}', Fault.MALFORMED),
        (message(TEXT, reason=None), Fault.MALFORMED),
        (message(TEXT, reason="pause_turn"), Fault.MALFORMED),
        (message({"type": "server_tool_use", "id": "a", "name": "web_search"}), Fault.MALFORMED),
        (message({"type": "tool_use", "id": "", "name": "x", "input": {}}), Fault.MALFORMED),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', Fault.OVERLOADED),
        (b'{"type":"error","error":{"type":"new_error","message":"x"}}', Fault.SERVER_ERROR),
    ],
)
def test_what_is_no_message_is_a_fault(body: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as caught:
        whole(body, told())
    assert caught.value.fault is fault


def test_a_tool_that_says_it_all_at_its_start_or_nothing_at_all() -> None:
    started = {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}}
    begin, end = stream()[:1], stream(reason="tool_use")[-2:]
    silent = [frame("content_block_start", index=0, content_block=started), frame("content_block_stop", index=0)]
    for block, arguments in ((started, {"a": 1}), ({**started, "input": {}}, {}), ({**started, "input": None}, {})):
        silent[0] = frame("content_block_start", index=0, content_block=block)
        last = events(translated([*begin, *silent, *end]))[-1]["response"]
        assert json.loads(last["output"][0]["arguments"]) == arguments


def test_neighbouring_texts_are_parts_of_one_message_and_others_are_not() -> None:
    body, _ = whole(message(TEXT, TEXT, TOOL, TEXT), told())
    kinds = [(item["type"], len(item.get("content", ()))) for item in json.loads(body)["output"]]
    assert kinds == [("message", 2), ("function_call", 0), ("message", 1)]


def test_thinking_without_words_or_signature_is_an_item_without_them() -> None:
    body, _ = whole(message({"type": "thinking", "thinking": ""}, REDACTED, TEXT), told())
    empty, redacted, _ = json.loads(body)["output"]
    assert (empty["summary"], empty["encrypted_content"]) == ([], None)
    assert redacted["summary"] == [] and redacted["encrypted_content"].startswith(responses_ask_claude.SEAL)


def test_a_stream_through_the_sdk() -> None:
    out = translated(stream(THINKING, TEXT, TOOL, reason="tool_use"))
    with client(out).responses.create(model="m", input="hi", stream=True) as raw:
        kinds = [event.type for event in raw]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-1] == "response.completed"
    with client(out).responses.stream(model="m", input="hi", tools=TOOLS) as helped:  # type: ignore[arg-type]
        text = "".join(event.delta for event in helped if event.type == "response.output_text.delta")
        final = helped.get_final_response()
    assert text == final.output_text == TEXT["text"]
    assert final.output[2].type == "function_call" and final.output[2].parsed_arguments == TOOL["input"]


async def test_the_async_sdk_reads_the_same() -> None:
    out = translated(stream(TEXT, TOOL, reason="tool_use"))
    async with async_client(out).responses.stream(model="m", input="hi") as helped:
        snapshots = [event.snapshot async for event in helped if event.type == "response.output_text.delta"]
        final = await helped.get_final_response()
    assert snapshots[-1] == final.output_text == TEXT["text"]
    body, _ = whole(message(TEXT), told())
    made = await async_client(body, "application/json").responses.create(model="m", input="hi")
    assert made.output_text == TEXT["text"]


class Sum(BaseModel):
    total: int


def test_structured_answers_are_parsed_by_the_sdk() -> None:
    block = {"type": "text", "text": '{"total": 3}'}
    body, _ = whole(message(block), told())
    parsed = client(body, "application/json").responses.parse(model="m", input="hi", text_format=Sum)
    assert parsed.output_parsed == Sum(total=3)
    with client(translated(stream(block))).responses.stream(model="m", input="hi", text_format=Sum) as helped:
        assert helped.get_final_response().output_parsed == Sum(total=3)


def test_an_incomplete_stream_is_told_to_the_sdk_as_incomplete() -> None:
    out = translated(stream(TEXT, TOOL, reason="max_tokens"))
    with client(out).responses.create(model="m", input="hi", stream=True) as raw:
        last = list(raw)[-1]
    assert last.type == "response.incomplete"
    assert last.response.output[1].type == "function_call" and last.response.output[1].status == "incomplete"
    assert last.response.output_text == TEXT["text"]


def test_an_error_in_the_stream_makes_the_sdk_raise() -> None:
    watch = MessagesToResponses(told())
    out = b"".join(watch.feed(each).data or b"" for each in stream(TEXT)[:5])
    out += OpenAIResponses().error_frame(Interrupted("the answer broke"), "req_1")
    with (
        pytest.raises(openai.APIError, match="the answer broke"),
        client(out).responses.create(model="m", input="hi", stream=True) as raw,
    ):
        list(raw)
    assert events(out)[-1]["sequence_number"] > events(out)[-2]["sequence_number"]


def test_a_stream_that_broke_can_be_ended_as_failed() -> None:
    watch = MessagesToResponses(told())
    assert watch.fail(Fault.CUT, "x") == b""
    out = b"".join(watch.feed(each).data or b"" for each in stream(TEXT)[:5])
    out += watch.fail(Fault.RATE_LIMITED, "slow down")
    with client(out).responses.create(model="m", input="hi", stream=True) as raw:
        last = list(raw)[-1]
    assert last.type == "response.failed" and last.response.error is not None
    assert (last.response.error.code, last.response.error.message) == ("rate_limit_exceeded", "slow down")
    assert watch.fail(Fault.CUT, "again") == b""


def test_what_a_piece_of_a_stream_held() -> None:
    watch = MessagesToResponses(told())
    frames = stream(TEXT, size=100)
    seen = [watch.feed(each) for each in frames]
    assert [each.content for each in seen] == [False, False, False, True, False, False, False]
    assert [each.ended for each in seen] == [False] * 6 + [True]
    assert (seen[0].usage, seen[-1].usage) == (Usage(17, 1), Usage(17, 7))
    assert seen[1].data == sse.comment("ping")
    assert watch.feed(b"").usage == Usage(17, 7)
    assert json.loads(watch.response or b"")["status"] == "completed"


def test_a_start_without_a_block_or_with_another_event_first_is_a_fault() -> None:
    start = stream()[0]
    for wrong in (start + frame("content_block_start", index=0), frame("news"), start + start):
        with pytest.raises(TargetFault) as caught:
            MessagesToResponses(told()).feed(wrong)
        assert caught.value.fault is Fault.MALFORMED


def test_citations_and_a_missing_usage_change_nothing() -> None:
    plain = stream(TEXT)
    cited = frame("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"type": "x"}})
    assert translated([*plain[:4], cited, *plain[4:]]) == translated(plain)
    silent = [
        frame("message_start"),
        *plain[1:-2],
        frame("message_delta", delta={"stop_reason": "end_turn"}),
        plain[-1],
    ]
    assert events(translated(silent))[-1]["response"]["usage"]["total_tokens"] == 0


def test_an_unknown_event_is_ignored_and_an_error_is_not() -> None:
    frames = stream(TEXT)
    assert events(translated([*frames[:1], frame("news", a=1), *frames[1:]])) == events(translated(frames))
    watch = MessagesToResponses(told())
    watch.feed(frames[0])
    with pytest.raises(TargetFault) as caught:
        watch.feed(frame("error", error={"type": "rate_limit_error", "message": "x"}))
    assert caught.value.fault is Fault.RATE_LIMITED


def test_a_mismatched_delta_or_index_is_a_fault() -> None:
    start, _, begin, *_ = stream(TEXT)
    for wrong in (
        frame("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "x"}),
        frame("content_block_delta", index=1, delta={"type": "text_delta", "text": "x"}),
        frame("content_block_delta", index=0),
        frame("content_block_stop", index=3),
        frame("message_delta", delta={"stop_reason": "end_turn"}),
        frame("content_block_start", index=1, content_block=TEXT),
        b"data: [DONE]\n\n",
    ):
        watch = MessagesToResponses(told())
        watch.feed(start + begin)
        with pytest.raises(TargetFault) as caught:
            watch.feed(wrong)
        assert caught.value.fault is Fault.MALFORMED


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
objects = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-9, 9) | texts | st.lists(texts, max_size=2))
blocks = st.lists(
    st.one_of(
        texts.map(lambda text: {"type": "text", "text": text}),
        st.tuples(texts, texts).map(lambda two: {"type": "thinking", "thinking": two[0], "signature": two[1]}),
        texts.map(lambda data: {"type": "redacted_thinking", "data": data}),
        objects.map(lambda given: {"type": "tool_use", "name": "add", "input": given}),
    ),
    max_size=5,
).map(
    lambda made: [{**each, "id": f"toolu_{n}"} if each["type"] == "tool_use" else each for n, each in enumerate(made)]
)
reasons = st.sampled_from(["end_turn", "tool_use", "stop_sequence", "max_tokens", "refusal"])


@settings(max_examples=30, deadline=None)
@given(blocks, reasons, st.integers(1, 9))
def test_a_stream_says_what_the_whole_answer_says(made: list[Any], reason: str, size: int) -> None:
    out = translated(stream(*made, reason=reason, size=size))
    said = events(out)
    for number, event in enumerate(said):
        assert event["sequence_number"] == number
        EVENT.validate_json(json.dumps(event), strict=True)
    streamed = said[-1]["response"]
    done = [each["item"] for each in said if each["type"] == "response.output_item.done"]
    assert streamed["output"] == done
    body, usage = whole(message(*made, reason=reason), told(), lambda: NOW + 9)
    at_once = json.loads(body)
    for response in (streamed, at_once):
        for item in response["output"]:
            if item["type"] == "function_call":
                item["arguments"] = json.loads(item["arguments"])  # its spaces are the upstream's
    assert streamed == at_once and usage == Usage(17, 7)
    with client(out).responses.stream(model="m", input="hi") as helped:
        if reason in ("max_tokens", "refusal"):
            assert [event.type for event in helped][-1] == "response.incomplete"
        else:
            assert helped.get_final_response().output_text == "".join(b["text"] for b in made if b["type"] == "text")


@settings(max_examples=30, deadline=None)
@given(blocks, st.integers(1, 9), st.data())
def test_a_damaged_stream_is_a_fault_or_still_in_order(made: list[Any], size: int, data: st.DataObject) -> None:
    frames = stream(*made, size=size)
    at = data.draw(st.integers(0, len(frames) - 1))
    to = data.draw(st.integers(0, len(frames) - 1))
    damage = data.draw(st.sampled_from(["drop", "double", "swap", "garbage", "error"]))
    if damage == "drop":
        del frames[at]
    elif damage == "double":
        frames.insert(at, frames[at])
    elif damage == "swap":
        frames[at], frames[to] = frames[to], frames[at]
    elif damage == "garbage":
        frames.insert(at, b"data: " + data.draw(st.binary(max_size=9)).replace(b"\n", b"") + b"\n\n")
    else:
        frames.insert(at, frame("error", error={"type": "overloaded_error"}))
    watch = MessagesToResponses(told())
    out = b""
    try:
        for each in frames:
            out += watch.feed(each).data or b""
    except TargetFault as fault:
        assert fault.fault in (Fault.MALFORMED, Fault.OVERLOADED)
    said = events(out)
    for number, event in enumerate(said):
        assert event["sequence_number"] == number
        EVENT.validate_json(json.dumps(event), strict=True)
    if watch.finished:
        with client(out).responses.stream(model="m", input="hi") as helped:
            assert helped.get_final_response().id == "resp_00ff"
    with client(out).responses.create(model="m", input="hi", stream=True) as raw:
        assert len(list(raw)) == len(said)


@settings(max_examples=30, deadline=None)
@given(blocks)
def test_an_answer_that_comes_back_as_input_is_the_answer_that_was(made: list[Any]) -> None:
    body, _ = whole(message(*made, reason="tool_use"), told())
    output = json.loads(body)["output"]
    outputs = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "done"}
        for item in output
        if item["type"] == "function_call"
    ]
    asked = {"model": "m", "input": [{"role": "user", "content": "hi"}, *output, *outputs]}
    turns = json.loads(responses_ask_claude.request(json.dumps(asked).encode(), None))["messages"]
    spoken = [block for turn in turns if turn["role"] == "assistant" for block in turn["content"]]
    expected = [each for each in made if each["type"] != "text" or each["text"].strip()]
    if all("thinking" in each["type"] for each in expected):
        expected = []  # an answer without a word has nothing to go on from
    assert spoken == expected
