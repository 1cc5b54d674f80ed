from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionToolUnionParam
from pydantic import BaseModel

from sampan.core import Fault, Usage
from sampan.dialects import Seen, sse
from sampan.dialects.openai_chat import ChatWatch, check
from sampan.dialects.translation import chat_answers_claude
from sampan.dialects.translation.chat_asks_claude import request
from sampan.dialects.translation.claude_answers_chat import REASONS, REFUSAL, Form, MessagesToChat, form_of, whole
from sampan.errors import InvalidRequest, TargetFault

CREATED = 1_700_000_000
FORM = Form("gpt-x", CREATED)
COUNTED = Form("gpt-x", CREATED, usage=True)
OLD = Form("gpt-x", CREATED, functions=True)
USAGE = {
    "input_tokens": 5,
    "output_tokens": 7,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 3,
    "output_tokens_details": {"thinking_tokens": 4},
}
CHAT_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
Block = dict[str, Any]
Event = dict[str, Any]


def said(text: str) -> Block:
    return {"type": "text", "text": text}


def used(call_id: str = "toolu_1", name: str = "f", **arguments: object) -> Block:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def thought(text: str) -> Block:
    return {"type": "thinking", "thinking": text, "signature": "sig"}


def message(*blocks: Block, reason: str | None = "end_turn", **more: object) -> bytes:
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": blocks}
    return json.dumps({**body, "stop_reason": reason, "stop_sequence": None, "usage": USAGE, **more}).encode()


def pieces(text: str, size: int = 2) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def block_events(index: int, block: Block) -> list[Event]:
    empty = {
        "text": {"type": "text", "text": ""},
        "thinking": {"type": "thinking", "thinking": "", "signature": ""},
        "tool_use": {**block, "input": {}},
    }.get(block["type"], block)
    deltas: list[Event] = []
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    elif block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] == "tool_use":
        written = json.dumps(block["input"]) if block["input"] else ""
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(written, 3)]]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def events(*blocks: Block, reason: str = "end_turn", details: object = None) -> list[Event]:
    """The stream that Messages makes of an answer."""
    start = json.loads(message(reason=None, usage={**USAGE, "output_tokens": 1}))
    start["content"] = []
    delta = {"stop_reason": reason, "stop_sequence": None, "stop_details": details}
    return [
        {"type": "message_start", "message": start},
        {"type": "ping"},
        *(event for index, block in enumerate(blocks) for event in block_events(index, block)),
        {"type": "message_delta", "delta": delta, "usage": USAGE},
        {"type": "message_stop"},
    ]


def frames(stream: Sequence[Event]) -> list[bytes]:
    return [sse.frame(json.dumps(event).encode(), event["type"]) for event in stream]


def feed(stream: Sequence[Event], form: Form = FORM) -> tuple[list[Seen], MessagesToChat]:
    follower = MessagesToChat(form)
    return [follower.feed(frame) for frame in frames(stream)], follower


def spoken(stream: Sequence[Event], form: Form = FORM) -> bytes:
    seen, follower = feed(stream, form)
    assert follower.finished
    return b"".join(each.data or b"" for each in seen)


def chunks(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(each) for each in sse.payloads(data) if each.strip() != b"[DONE]"]


def accumulated(data: bytes) -> ChatCompletion:
    state = ChatCompletionStreamState()
    for chunk in chunks(data):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    return state.current_completion_snapshot


def client(serve: Callable[[httpx2.Request], httpx2.Response]) -> openai.OpenAI:
    http = httpx2.Client(transport=httpx2.MockTransport(serve))
    return openai.OpenAI(base_url="http://sampan/v1", api_key="k", max_retries=0, http_client=http)


def gateway(*blocks: Block, reason: str = "end_turn") -> Callable[[httpx2.Request], httpx2.Response]:
    """A Messages upstream behind both translations."""

    def serve(asking: httpx2.Request) -> httpx2.Response:
        assert json.loads(request(asking.content, "claude-x"))["model"] == "claude-x"
        form = form_of(asking.content, "gpt-x", CREATED)
        if not json.loads(asking.content).get("stream"):
            return httpx2.Response(200, content=whole(message(*blocks, reason=reason), form)[0])
        data = spoken(events(*blocks, reason=reason), form)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    return serve


HELLO: Any = [{"role": "user", "content": "hello"}]
TOOLS: list[ChatCompletionToolUnionParam] = [
    {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object", "properties": {}}}}
]


def test_a_whole_answer() -> None:
    body, usage = whole(message(thought("hm"), said("Hel"), said("lo"), used(a=1), reason="tool_use"), FORM)
    assert json.loads(body) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "gpt-x",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": CHAT_USAGE,
    }
    assert usage == check(body) == Usage(10, 7)
    ChatCompletion.model_validate_json(body)


@pytest.mark.parametrize(("stop_reason", "reason"), [*REASONS.items(), ("a_reason_of_next_year", "stop")])
def test_reasons(stop_reason: str, reason: str) -> None:
    body, _ = whole(message(said("x"), reason=stop_reason), FORM)
    assert json.loads(body)["choices"][0]["finish_reason"] == reason
    assert accumulated(spoken(events(said("x"), reason=stop_reason))).choices[0].finish_reason == reason


@pytest.mark.parametrize(
    ("details", "words"),
    [(None, REFUSAL), ({"type": "refusal", "category": "bio", "explanation": "Not that."}, "Not that.")],
)
def test_a_refusal(details: object, words: str) -> None:
    body, _ = whole(message(reason="refusal", stop_details=details), FORM)
    assert json.loads(body)["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": words}
    streamed = accumulated(spoken(events(reason="refusal", details=details))).choices[0]
    assert (streamed.message.content, streamed.message.refusal) == (None, words)
    assert streamed.finish_reason == "content_filter"


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [said("")],
        [said("Hello")],
        [thought("hm")],
        [used()],
        [thought("hm"), said("a"), used("t1", x=[1]), said("b"), used("t2", "g")],
        [{"type": "redacted_thinking", "data": "x"}, said("a")],
        [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}, said("a")],
        [{"type": "a_block_of_next_year", "text": "hidden"}, said("a")],
    ],
    ids=lambda blocks: "-".join(block["type"] for block in blocks) or "nothing",
)
def test_a_stream_adds_up_to_the_whole_answer(blocks: list[Block]) -> None:
    one = ChatCompletion.model_validate_json(whole(message(*blocks), COUNTED)[0])
    two = accumulated(spoken(events(*blocks), COUNTED))

    def shape(completion: ChatCompletion) -> dict[str, Any]:
        data = completion.model_dump(exclude_none=True, exclude={"object"})
        for call in data["choices"][0]["message"].get("tool_calls", ()):
            for name in ("index", "parsed_arguments"):
                call.pop(name, None)
                call["function"].pop(name, None)
        return data

    assert shape(one) == shape(two)


def test_a_stream_frame_by_frame() -> None:
    seen, follower = feed(events(thought("h"), said("a"), used(), reason="tool_use"), COUNTED)
    flags = [(bool(chunks(each.data or b"")), each.content, each.ended) for each in seen]
    assert flags == [
        (True, False, False),  # message_start: the role
        (False, False, False),  # ping: a comment
        (False, False, False),  # a thinking block begins
        (True, True, False),
        (False, False, False),  # its signature
        (False, False, False),
        (False, False, False),
        (True, True, False),  # text
        (False, False, False),
        (True, True, False),  # the name of a call
        (False, False, False),  # the empty first piece of its input
        (True, False, False),  # no input came: an empty object
        (False, False, False),  # message_delta
        (True, False, True),
    ]
    assert seen[1].data == b": ping\n\n"
    last = seen[-1].data or b""
    assert last.endswith(b"data: [DONE]\n\n")
    assert chunks(last)[-1] == {**chunks(last)[0], "choices": [], "usage": CHAT_USAGE}
    assert (seen[0].usage, seen[-1].usage) == (Usage(10, 1), Usage(10, 7))
    assert follower.finished


def test_our_own_watch_follows_what_we_say() -> None:
    follower = ChatWatch()
    seen = follower.feed(spoken(events(said("hello")), COUNTED))
    assert (seen.content, seen.ended, seen.usage) == (True, True, Usage(10, 7))


def test_input_that_comes_whole_with_its_block() -> None:
    stream = events(used("t", "f"))
    start = next(event for event in stream if event["type"] == "content_block_start")
    start["content_block"]["input"] = {"a": "é"}
    calls = accumulated(spoken(stream)).choices[0].message.tool_calls
    assert calls is not None
    assert json.loads(calls[0].function.arguments) == {"a": "é"}  # type: ignore[union-attr]


def test_functions_from_before_there_were_tools() -> None:
    body, _ = whole(message(used(a=1), reason="tool_use"), OLD)
    choice = json.loads(body)["choices"][0]
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert (choice["finish_reason"], choice["message"]["function_call"]) == ("function_call", function)
    streamed = accumulated(spoken(events(used(a=1), reason="tool_use"), OLD)).choices[0]
    assert streamed.finish_reason == "function_call"
    assert streamed.message.function_call is not None
    assert streamed.message.function_call.model_dump() == function
    for answer in (lambda: whole(message(used(), used("t2")), OLD), lambda: feed(events(used(), used("t2")), OLD)):
        with pytest.raises(TargetFault):
            answer()


def test_how_a_request_wants_its_answer() -> None:
    def of(**more: object) -> Form:
        return form_of(json.dumps({"messages": HELLO, **more}).encode(), "gpt-x", CREATED)

    assert of() == of(stream_options=None, functions=[]) == of(stream_options={"include_usage": False}) == FORM
    assert of(stream_options={"include_usage": True}) == COUNTED
    assert of(functions=[{"name": "f"}]) == OLD
    assert of(functions=[{"name": "f"}], tools=TOOLS) == FORM
    with pytest.raises(InvalidRequest) as raised:
        of(stream_options={"include_usage": 1})
    assert raised.value.param == "stream_options.include_usage"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.EMPTY),
        (b"<html>", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (b'{"choices":[]}', Fault.MALFORMED),
        (message(reason=None), Fault.MALFORMED),
        (message({"text": "x"}), Fault.MALFORMED),
        (message({"type": "text", "text": 5}), Fault.MALFORMED),
        (b'{"type":"message","stop_reason":"x","content":[{"type":"tool_use","input":"\xff"}]}', Fault.MALFORMED),
        (b'{"type":"error","error":{"type":"overloaded_error"}}', Fault.OVERLOADED),
    ],
)
def test_a_200_that_is_no_message(body: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        whole(body, FORM)
    assert raised.value.fault is fault


def without(kind: str) -> list[Event]:
    return [event for event in events(said("a"), used(x=1)) if event["type"] != kind]


def with_event(at: int, event: Event) -> list[Event]:
    stream = events(said("a"), used(x=1))
    return [*stream[:at], event, *stream[at:]]


TEXT_DELTA = {"type": "text_delta", "text": "x"}
JSON_DELTA = {"type": "input_json_delta", "partial_json": "{}"}


@pytest.mark.parametrize(
    ("stream", "what"),
    [
        (without("message_start"), "before message_start"),
        (without("content_block_start"), "not open"),
        (without("content_block_stop"), "inside another"),
        (without("message_delta"), "before its end"),
        (with_event(1, events()[0]), "a second message_start"),
        (with_event(0, {"type": "message_start"}), "without a message"),
        (with_event(3, {"type": "content_block_delta", "index": 1, "delta": TEXT_DELTA}), "not open"),
        (with_event(2, {"type": "content_block_delta", "index": 0, "delta": TEXT_DELTA}), "not open"),
        (with_event(3, {"type": "content_block_delta", "index": 0, "delta": JSON_DELTA}), "another kind"),
        (with_event(3, {"type": "content_block_delta", "index": 0}), "not open"),
        (with_event(3, {"type": "content_block_stop", "index": 7}), "not open"),
        (with_event(3, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}), "inside a block"),
        (with_event(3, {"type": "message_stop"}), "before its end"),
        (with_event(5, {"type": "content_block_start", "index": 0, "content_block": said("")}), "twice"),
        (with_event(5, {"type": "content_block_start", "index": 1}), "inside another"),
        ([*events()[:-1], {"type": "content_block_start", "index": 0, "content_block": said("")}], "after the last"),
        ([*events(), {"type": "content_block_stop", "index": 0}], "after message_stop"),
        ([*events(), {"type": "message_stop"}], "after message_stop"),
    ],
)
def test_a_wrong_order_is_a_fault(stream: list[Event], what: str) -> None:
    with pytest.raises(TargetFault, match=what) as raised:
        feed(stream)
    assert raised.value.fault is Fault.MALFORMED


@pytest.mark.parametrize("at", [0, 2, 4])
def test_an_error_event_is_its_own_fault_wherever_it_stands(at: int) -> None:
    with pytest.raises(TargetFault) as raised:
        feed(with_event(at, {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}))
    assert raised.value.fault is Fault.RATE_LIMITED


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"x":1}', b'{"type":"content_block_delta","delta":' + b"[" * 5000])
def test_a_frame_that_is_no_event(data: bytes) -> None:
    with pytest.raises(TargetFault) as raised:
        MessagesToChat(FORM).feed(sse.frame(data))
    assert raised.value.fault is Fault.MALFORMED


def test_events_that_nobody_knows_yet_pass() -> None:
    assert spoken(with_event(4, {"type": "an_event_of_next_year"})) == spoken(events(said("a"), used(x=1)))


def test_the_sdk_creates() -> None:
    completion = client(gateway(thought("hm"), said("hello"))).chat.completions.create(model="gpt-x", messages=HELLO)
    answer = completion.choices[0].message
    assert (answer.content, answer.model_extra) == ("hello", {"reasoning_content": "hm"})
    assert completion.usage is not None
    assert completion.usage.model_dump(exclude_none=True) == CHAT_USAGE


def test_the_sdk_streams() -> None:
    stream = client(gateway(said("hello"))).chat.completions.create(
        model="gpt-x", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    got = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in got if chunk.choices) == "hello"
    assert got[-1].usage is not None
    assert {chunk.id for chunk in got} == {"chatcmpl-1"}


async def test_the_async_sdk_creates_and_streams() -> None:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(gateway(said("hello"))))
    async with openai.AsyncOpenAI(base_url="http://sampan/v1", api_key="k", http_client=http) as asker:
        completion = await asker.chat.completions.create(model="gpt-x", messages=HELLO)
        assert completion.choices[0].message.content == "hello"
        stream = await asker.chat.completions.create(model="gpt-x", messages=HELLO, stream=True)
        got = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(got) == "hello"
        async with asker.chat.completions.stream(model="gpt-x", messages=HELLO) as events_of_it:
            assert (await events_of_it.get_final_completion()).choices[0].message.content == "hello"


def test_the_sdk_s_helper_streams_tools() -> None:
    blocks = [said("let me see"), used("t1", "f", city="Paris"), used("t2", "f")]
    with client(gateway(*blocks, reason="tool_use")).chat.completions.stream(
        model="gpt-x", messages=HELLO, tools=TOOLS
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion().choices[0]
    assert kinds.count("tool_calls.function.arguments.done") == 2
    assert final.finish_reason == "tool_calls"
    assert [(call.id, call.function.parsed_arguments) for call in final.message.tool_calls or ()] == [
        ("t1", {"city": "Paris"}),
        ("t2", {}),
    ]


class Bill(BaseModel):
    number: str
    total: float


@pytest.mark.parametrize("streamed", [False, True])
def test_the_sdk_parses_structured_output(streamed: bool) -> None:
    asker = client(gateway(said('{"number": "42", '), said('"total": 9.5}'))).chat.completions
    if streamed:
        with asker.stream(model="gpt-x", messages=HELLO, response_format=Bill) as stream:
            parsed = stream.get_final_completion().choices[0].message.parsed
    else:
        parsed = asker.parse(model="gpt-x", messages=HELLO, response_format=Bill).choices[0].message.parsed
    assert parsed == Bill(number="42", total=9.5)


def test_what_the_sdk_makes_of_a_refusal_and_of_a_cut() -> None:
    with pytest.raises(openai.ContentFilterFinishReasonError):
        client(gateway(reason="refusal")).chat.completions.parse(model="m", messages=HELLO, response_format=Bill)
    with pytest.raises(openai.LengthFinishReasonError):
        client(gateway(said("{"), reason="max_tokens")).chat.completions.parse(
            model="m", messages=HELLO, response_format=Bill
        )


def test_a_conversation_comes_back_as_it_was_said() -> None:
    """What chat was told is what Messages said, once the caller sends it back: ids, arguments and text survive."""
    blocks = [said("look"), used("toolu_9", "f", city="Paris", n=1.5), used("toolu_10", "g")]
    told = client(gateway(*blocks, reason="tool_use")).chat.completions.create(model="m", messages=HELLO)
    back = told.choices[0].message.model_dump()
    results = [{"role": "tool", "tool_call_id": each, "content": "42"} for each in ("toolu_9", "toolu_10")]
    sent = json.loads(request(json.dumps({"model": "m", "messages": [*HELLO, back, *results]}).encode(), None))
    assert sent["messages"][1]["content"] == blocks


ARGUMENTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=4) | st.none(), max_size=3)
BLOCKS = st.lists(
    st.text(max_size=6).map(said)
    | st.text(max_size=6).map(thought)
    | st.tuples(st.uuids().map(str), ARGUMENTS).map(
        lambda each: {"type": "tool_use", "id": each[0], "name": "f", "input": each[1]}
    ),
    max_size=5,
)


@given(BLOCKS, st.integers(1, 9))
def test_what_messages_says_is_what_the_sdk_accumulates(blocks: list[Block], together: int) -> None:
    follower = MessagesToChat(FORM)
    parts = frames(events(*blocks))
    fed = [follower.feed(b"".join(parts[at : at + together])) for at in range(0, len(parts), together)]
    answer = accumulated(b"".join(each.data or b"" for each in fed)).choices[0].message
    assert (answer.content or "") == "".join(block.get("text", "") for block in blocks)
    assert (answer.model_extra or {}).get("reasoning_content", "") == "".join(
        block.get("thinking", "") for block in blocks
    )
    calls = answer.model_dump(exclude_none=True).get("tool_calls", [])
    assert [(call["id"], json.loads(call["function"]["arguments"])) for call in calls] == [
        (block["id"], block["input"]) for block in blocks if block["type"] == "tool_use"
    ]


def plain(blocks: Sequence[Block]) -> tuple[str, str, list[tuple[str, Any]]]:
    """What an answer says, without where its blocks begin and end: chat knows one text and one line of thought."""
    made = [(block["id"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    text, thinking = ("".join(block.get(name, "") for block in blocks) for name in ("text", "thinking"))
    return text, thinking, made


WORDS = st.text("abc 你\n", max_size=6).map(lambda text: f"<{text}>")
SPOKEN = st.lists(
    WORDS.map(said)
    | WORDS.map(thought)
    | st.tuples(st.uuids().map(str), ARGUMENTS).map(
        lambda each: {"type": "tool_use", "id": each[0], "name": "f", "input": each[1]}
    ),
    min_size=1,
    max_size=5,
)


@given(SPOKEN)
def test_an_answer_survives_both_translations(blocks: list[Block]) -> None:
    back, usage = chat_answers_claude.whole(whole(message(*blocks), FORM)[0], "claude-x")
    assert plain(json.loads(back)["content"]) == plain(blocks)
    assert usage == Usage(10, 7)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["drop", "twice", "swap", "cut"]), st.integers(0, 40)), min_size=1, max_size=3
)


def changed(stream: list[Event], changes: list[tuple[str, int]]) -> list[Event]:
    stream = list(stream)
    for kind, where in changes:
        at = where % len(stream) if stream else 0
        if kind == "drop":
            stream = stream[:at] + stream[at + 1 :]
        elif kind == "twice":
            stream = stream[: at + 1] + stream[at:]
        elif kind == "swap":
            stream = stream[:at] + stream[at + 1 : at + 2] + stream[at : at + 1] + stream[at + 2 :]
        else:
            stream = stream[:at]
    return stream


@given(BLOCKS, CHANGES)
def test_a_broken_stream_is_a_fault_or_says_what_was_sent(blocks: list[Block], changes: list[tuple[str, int]]) -> None:
    stream = changed(events(*blocks), changes)
    try:
        seen, follower = feed(stream)
    except TargetFault:
        return
    data = b"".join(each.data or b"" for each in seen)
    assert follower.finished is data.endswith(b"data: [DONE]\n\n") is any(each.ended for each in seen)
    if not data:
        return
    deltas = [event["delta"] for event in stream if event["type"] == "content_block_delta"]
    heard = [choice["delta"] for chunk in chunks(data) for choice in chunk["choices"]]
    assert "".join(each.get("content") or "" for each in heard) == "".join(each.get("text", "") for each in deltas)
    written = "".join(call["function"]["arguments"] for each in heard for call in each.get("tool_calls", ())).replace(
        "{}", ""
    )
    assert written == "".join(each.get("partial_json", "") for each in deltas).replace("{}", "")
