"""Messages bodies as conversations, and answers as Messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Usage
from sampan.dialects import sse
from sampan.dialects.anthropic import MessageWatch, check
from sampan.dialects.thinking import ThinkingSigner, sign, sign_whole
from sampan.dialects.translation.claude_answers_chat import Form, MessagesToChat
from sampan.engines.conversation import (
    Begun,
    Call,
    CallBegun,
    CallDelta,
    CallEnded,
    Choice,
    Done,
    Outcome,
    Paper,
    Piece,
    Sight,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Thought,
    Turn,
    Words,
)
from sampan.engines.wire_answer import Frames, message
from sampan.engines.wire_conversation import parse, parse_count
from sampan.errors import InvalidRequest

DATA = base64.b64encode(b"data").decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}
LOOK = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {"q": 1}}
HI = [{"role": "user", "content": "Hi"}]


def body(messages: Any = None, **more: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 10, "messages": messages or HI, **more}).encode()


def refused(data: bytes) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        parse(data)
    assert caught.value.param
    return caught.value.param, caught.value.message


def test_all_that_may_be_asked_for() -> None:
    asked = parse(
        body(
            system="Be brief.",
            stream=True,
            stop_sequences=["END"],
            temperature=0.3,
            top_p=0.9,
            top_k=7,
            metadata={"user_id": "ann"},
            thinking={"type": "enabled", "budget_tokens": 5, "display": "omitted"},
            tools=[{**LOOK, "strict": True, "cache_control": {"type": "ephemeral"}, "input_examples": [{"q": 1}]}],
            tool_choice={"type": "tool", "name": "look", "disable_parallel_tool_use": True},
            cache_control={"type": "ephemeral"},
            service_tier="auto",
            sampan={"annotate": True, "seed": 5},
            something_new=1,
        ),
        "127.0.0.1:9",
    )
    assert asked.turns == (Turn("system", (Words("Be brief."),)), Turn("user", (Words("Hi"),)))
    assert (asked.model, asked.max_tokens, asked.stream, asked.stops, asked.owner) == ("m", 10, True, ("END",), "ann")
    assert (asked.style.temperature, asked.style.top_p, asked.style.top_k, asked.style.seed) == (0.3, 0.9, 7, 5)
    assert asked.thinking == Thinking(True, 5, False)
    assert asked.choice == Choice(True, "look", False)
    assert [(tool.name, tool.strict) for tool in asked.tools] == [("look", True)]
    assert asked.tools[0].description == 'Looks.\nExamples of its input:\n{"q":1}'
    assert asked.grounding
    assert asked.annotate


def test_who_asks_for_little_gets_the_usual() -> None:
    asked = parse(body(), "127.0.0.1:9")
    assert (asked.owner, asked.stream, asked.tools, asked.choice) == ("127.0.0.1:9", False, (), Choice())
    assert (asked.thinking, asked.format, asked.grounding) == (Thinking(), None, False)
    assert parse_count(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}').max_tokens is None
    assert parse(body(tools=[LOOK], tool_choice={"type": "none"})).tools == ()
    assert parse(body(thinking={"type": "adaptive"})).thinking == Thinking(True)


def test_blocks_become_parts() -> None:
    content = [
        IMAGE,
        {"type": "text", "text": "What?"},
        {**PDF, "title": "Bill", "context": "May"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inner"}, IMAGE]}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "found"}]},
        {"type": "text", "text": " \n"},
    ]
    parts = parse(body([{"role": "user", "content": content}])).turns[0].parts
    where = "messages.0.content"
    assert parts == (
        Sight(b"data", f"{where}.0"),
        Words("What?"),
        Words('<document title="Bill">\n<context>May</context>\n'),
        Paper(b"data", f"{where}.2"),
        Words("\n</document>\n"),
        Words("<document>\n"),
        Words("plain"),
        Words("\n</document>\n"),
        Words("<document>\n"),
        Words("inner"),
        Sight(b"data", f"{where}.4.source.content.1"),
        Words("\n</document>\n"),
        Words('<search_result source="s" title="t">\nfound\n</search_result>\n'),
    )


def test_tools_thoughts_and_turns_of_one_role() -> None:
    turns = [
        {"role": "system", "content": "First."},
        {"role": "user", "content": "Weather?"},
        {"role": "user", "content": "Here?"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]},
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}, USE]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [IMAGE]}],
        },
        {"role": "system", "content": [{"type": "text", "text": "Last."}]},
        {"role": "user", "content": "So?"},
    ]
    assert parse(body(turns, system=[{"type": "text", "text": "Zeroth."}])).turns == (
        Turn("system", (Words("Zeroth."), Words("First."))),
        Turn("user", (Words("Weather?"), Words("Here?"))),
        Turn("assistant", (Thought("Hm."), Call("look", '{"q":1}'))),
        Turn("user", (Outcome((Words("The tool failed:\n"), Sight(b"data", "messages.5.content.0.content.0"))),)),
        Turn("system", (Words("Last."),)),
        Turn("user", (Words("So?"),)),
    )


def test_a_schema_is_asked_for_in_either_way() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    for where, more in (("output_config.format", {"output_config": {"format": wanted}}), ("output_format", {})):
        asked = parse(body(**(more or {"output_format": wanted})))
        assert asked.format is not None
        assert (asked.format.schema, asked.format.where) == ({"type": "object"}, f"{where}.schema")


SCHEMA = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
FORCED = {"tools": [LOOK], "tool_choice": {"type": "any"}}
BEGUN = [*HI, {"role": "assistant", "content": "I"}]


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (body(max_tokens=-1), "max_tokens"),
        (body(model=""), "model"),
        (body([{"role": "user", "content": ""}]), "messages.0.content"),
        (body([{"role": "user", "content": []}]), "messages.0.content"),
        (body([{"role": "assistant", "content": " "}]), "messages.0"),
        (body([{"role": "system", "content": "x"}]), "messages"),
        (body([{"role": "user", "content": [{"type": "video"}]}]), "messages.0.content.0.type"),
        (body([*HI, {"role": "assistant", "content": "x "}]), "messages.1"),
        (body([*HI, {"role": "assistant", "content": [IMAGE]}]), "messages.1.content.0"),
        (body([{"role": "user", "content": [USE]}]), "messages.0.content.0"),
        (body([*HI, {"role": "assistant", "content": [USE]}]), "messages.1"),
        (body([*HI, {"role": "assistant", "content": [USE]}, *HI]), "messages.2"),
        (
            body([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t9"}]}]),
            "messages.0.content.0.tool_use_id",
        ),
        (
            body([{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]),
            "messages.0.content.0.source.type",
        ),
        (
            body([{"role": "user", "content": [{**IMAGE, "source": {**IMAGE["source"], "media_type": "image/bmp"}}]}]),
            "messages.0.content.0.source.media_type",
        ),
        (
            body([{"role": "user", "content": [{**IMAGE, "source": {**IMAGE["source"], "data": "§"}}]}]),
            "messages.0.content.0.source.data",
        ),
        (
            body([{"role": "user", "content": [{**PDF, "citations": {"enabled": True}}]}]),
            "messages.0.content.0.citations",
        ),
        (body(stop_sequences=[" "]), "stop_sequences.0"),
        (body(stop_sequences=["a"] * 65), "stop_sequences"),
        (body(temperature=3), "temperature"),
        (body(thinking={"type": "enabled", "budget_tokens": 10}), "thinking.budget_tokens"),
        (body(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools.0"),
        (body(tools=[{**LOOK, "name": "a b"}]), "tools.0.name"),
        (body(tools=[LOOK, LOOK]), "tools.1.name"),
        (body(tools=[{"name": "look"}]), "tools.0.input_schema"),
        (body(tools=[{**LOOK, "input_schema": "no"}]), "tools.0.input_schema"),
        (body(tool_choice={"type": "any"}), "tool_choice"),
        (body(tools=[LOOK], tool_choice={"type": "tool", "name": "no"}), "tool_choice.name"),
        (body(BEGUN, **FORCED), "tool_choice"),
        (body(BEGUN, output_config=SCHEMA), "messages.1"),
        (body(output_config=SCHEMA, **FORCED), "output_config.format"),
        (body(output_config={"format": {"type": "text"}}), "output_config.format"),
        (body(mcp_servers=[{}]), "mcp_servers"),
        (body(container="c"), "container"),
        (body(sampan={"groundng": True}), "sampan"),
    ],
)
def test_what_cannot_be_done_is_named(data: bytes, param: str) -> None:
    named, words = refused(data)
    assert named == param
    assert words.startswith(param)


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", body([{"role": "user", "content": "half \ud800"}])])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(data)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists))
def test_any_json_is_parsed_or_refused(value: Any) -> None:
    for messages in ([{"role": "user", "content": value}], value):
        with pytest.raises(InvalidRequest):
            parse(body([*HI, {"role": "assistant", "content": [value]}, {"role": "tool"}], tools=messages))
        try:
            parse(body(messages or HI))
        except InvalidRequest as error:
            assert error.message


# Answers.

ANSWER: list[Piece] = [
    Begun(12),
    ThinkingDelta("Hm"),
    ThinkingDelta("."),
    TextDelta("I "),
    TextDelta("look."),
    CallBegun("toolu_1", "look"),
    CallDelta('{"q":'),
    CallDelta("1}"),
    CallEnded(),
    CallBegun("toolu_2", "look"),
    CallDelta("{}"),
    CallEnded(),
    Done("tool_use", Usage(12, 9), None, 3, {"grounding": []}),
]
CONTENT = [
    {"type": "thinking", "thinking": "Hm.", "signature": ""},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"q": 1}},
    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
]
USAGE = {
    "input_tokens": 12,
    "output_tokens": 9,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens_details": {"thinking_tokens": 3},
}


def test_a_whole_answer() -> None:
    said = json.loads(message(ANSWER, "m", "msg_1"))
    assert said == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": CONTENT,
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": USAGE,
        "sampan": {"grounding": []},
    }
    plain = json.loads(message([Begun(1), Done("end_turn", Usage(1, 0))], "m", "msg_1"))
    assert plain["content"] == []
    assert "sampan" not in plain


@pytest.mark.parametrize("size", [1, 2, 13])
def test_a_stream(size: int) -> None:
    frames = Frames("m", "msg_1")
    assert not frames.begun
    out = b"".join(frames.write(ANSWER[at : at + size]) for at in range(0, len(ANSWER), size))
    assert frames.begun
    events = [json.loads(data) for data in sse.payloads(out)]
    assert events[0]["message"]["usage"]["input_tokens"] == 12
    starts = [(event["index"], event["content_block"]["type"]) for event in events if "content_block" in event]
    assert starts == [(0, "thinking"), (1, "text"), (2, "tool_use"), (3, "tool_use")]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[-2]["usage"] == USAGE
    assert events[-2]["sampan"] == {"grounding": []}
    joined = "".join(
        event["delta"].get("partial_json", "") for event in events if event.get("index") == 2 and "delta" in event
    )
    assert joined == '{"q":1}'


def test_the_gateway_can_watch_sign_and_translate_what_we_say() -> None:
    frames, whole = Frames("m", "msg_1").write(ANSWER), message(ANSWER, "m", "msg_1")
    watch = MessageWatch()
    assert watch.feed(frames).usage == check(whole) == Usage(12, 9)
    assert watch.finished
    signed = ThinkingSigner(b"key", "tenant", "m").feed(frames)
    signature = sign(b"key", "tenant", "m", "Hm.")
    assert signed.count(signature.encode()) == sign_whole(whole, b"key", "tenant", "m").count(signature.encode()) == 1
    chat = MessagesToChat(Form("m", 1))
    said = chat.feed(frames).data
    assert said is not None
    assert said.count(b'"name":"look"') == 2
    assert chat.finished


def test_thoughts_that_are_kept_back_leave_an_empty_block() -> None:
    pieces: list[Piece] = [Begun(1), ThinkingDelta(""), TextDelta("a"), Done("end_turn", Usage(1, 1))]
    assert json.loads(message(pieces, "m", "i"))["content"][0] == {"type": "thinking", "thinking": "", "signature": ""}
    out = Frames("m", "i").write(pieces)
    assert out.count(b"content_block_start\n") == 2
    assert b"thinking_delta" not in out
