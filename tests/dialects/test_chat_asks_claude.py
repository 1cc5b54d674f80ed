from __future__ import annotations

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import MessageParam
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sampan.core import Incoming
from sampan.dialects import Limits
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.translation import claude_asks_chat
from sampan.dialects.translation.chat_asks_claude import REFUSED, _Request, request
from sampan.dialects.translation.terms import ANSWER_TOKENS, JSON_ONLY
from sampan.errors import InvalidRequest

MESSAGE = TypeAdapter(MessageParam)
LIMITS = Limits(image=10**6, default_model="c", default_image_model="i")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100)).decode()
PDF = base64.b64encode(b"%PDF-1.4\n" + bytes(50)).decode()
HELLO = {"role": "user", "content": "hello"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "f", "description": "does", "parameters": SCHEMA}}


def ask(*messages: object, **more: object) -> dict[str, Any]:
    """What a chat request becomes, once Messages' own parser and the SDK's types have taken it."""
    raw = json.dumps({"model": "gpt-x", "messages": list(messages), **more}).encode()
    sent = request(raw, "claude-x")
    Anthropic().parse(Incoming("POST", "/v1/messages", "", {"content-type": "application/json"}, sent), LIMITS)
    said: dict[str, Any] = json.loads(sent)
    for message in said["messages"]:
        MESSAGE.validate_python(message)
    return said


def turns(*messages: object, **more: object) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = ask(*messages, **more)["messages"]
    return said


def refused(*messages: object, **more: object) -> str | None:
    with pytest.raises(InvalidRequest) as raised:
        ask(*messages, **more)
    assert raised.value.param is None or raised.value.param in raised.value.message
    return raised.value.param


def text(what: str) -> dict[str, Any]:
    return {"type": "text", "text": what}


def calls(*ids: str, content: object = None) -> dict[str, Any]:
    made = [{"id": each, "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}} for each in ids]
    return {"role": "assistant", "content": content, "tool_calls": made}


def result(call_id: str, content: object = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_the_least() -> None:
    assert ask(HELLO) == {
        "model": "claude-x",
        "max_tokens": ANSWER_TOKENS,
        "messages": [{"role": "user", "content": [text("hello")]}],
    }
    kept = json.loads(request(json.dumps({"model": "gpt-x", "messages": [HELLO]}).encode(), None))
    assert kept["model"] == "gpt-x"


def test_settings() -> None:
    said = ask(
        HELLO,
        stream=True,
        max_tokens=5,
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop="END",
        user="u",
        reasoning_effort="minimal",
    )
    del said["messages"]
    assert said == {
        "model": "claude-x",
        "max_tokens": 7,
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "output_config": {"effort": "low"},
    }


@pytest.mark.parametrize(("given_one", "sent"), [(0, 0), (1, 1), (1.2, 1), (2, 1)])
def test_temperature_is_capped(given_one: float, sent: float) -> None:
    assert ask(HELLO, temperature=given_one)["temperature"] == sent


def test_effort_none_is_no_thinking() -> None:
    said = ask(HELLO, reasoning_effort="none", safety_identifier="s", user="u", stop=["a", "b"], max_tokens=3)
    assert (said["thinking"], said["metadata"]) == ({"type": "disabled"}, {"user_id": "s"})
    assert (said["stop_sequences"], said["max_tokens"], "output_config" in said) == (["a", "b"], 3, False)


def test_what_may_be_left_out_is() -> None:
    hints: dict[str, Any] = {
        "seed": 1,
        "frequency_penalty": 0.5,
        "presence_penalty": -1,
        "verbosity": "low",
        "metadata": {"a": "b"},
        "store": True,
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "stream_options": {"include_usage": True},
        "min_p": 0.1,
        "n": 1,
        "logprobs": False,
        "top_logprobs": 0,
        "logit_bias": {},
        "modalities": ["text"],
        "audio": None,
        "tools": None,
        "stop": None,
        "temperature": None,
        "response_format": {"type": "text"},
    }
    assert ask(HELLO, **hints) == ask(HELLO)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 5),
        ("logit_bias", {"50256": -100}),
        ("prediction", {"type": "content", "content": "x"}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("web_search_options", {}),
        ("moderation", {"policy": {}}),
        ("guided_json", {}),
        ("temperature", 2.1),
        ("temperature", "hot"),
        ("top_p", 2),
        ("max_tokens", 0),
        ("stop", "\n"),
        ("reasoning_effort", "extreme"),
    ],
)
def test_what_cannot_be_said_is_refused(name: str, value: object) -> None:
    assert refused(HELLO, **{name: value}) == name


def test_formats() -> None:
    schema = {"name": "n", "strict": True, "schema": SCHEMA, "description": "an answer"}
    said = ask(HELLO, response_format={"type": "json_schema", "json_schema": schema}, reasoning_effort="xhigh")
    assert said["output_config"] == {
        "format": {"type": "json_schema", "schema": {"description": "an answer", **SCHEMA}},
        "effort": "xhigh",
    }
    system = {"role": "system", "content": "be brief"}
    assert ask(system, HELLO, response_format={"type": "json_object"})["system"] == f"be brief\n\n{JSON_ONLY}"
    assert refused(HELLO, response_format={"type": "json_schema"}) == "response_format.json_schema"
    bare = {"type": "json_schema", "json_schema": {"name": "n"}}
    assert refused(HELLO, response_format=bare) == "response_format.json_schema.schema"
    assert refused(HELLO, response_format={"type": "grammar"}) == "response_format.type"


def test_system_and_developer_wherever_they_stand() -> None:
    said = ask(
        {"role": "system", "content": "one"},
        HELLO,
        {"role": "developer", "content": [text("two"), text(" "), text("three")]},
        {"role": "user", "content": "again"},
    )
    assert said["system"] == "one\n\ntwo\n\nthree"
    assert said["messages"] == [{"role": "user", "content": [text("hello"), text("again")]}]


def test_pictures_and_files() -> None:
    parts = [
        text("see"),
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{PNG}", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
        {"type": "image_url", "image_url": f"data:application/pdf;base64,{PDF}"},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": PDF}},
        {"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}", "filename": "a.png"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,5L2g5aW9", "filename": "a.txt"}},
    ]
    pdf = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    png = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    assert turns({"role": "user", "content": parts})[0]["content"] == [
        text("see"),
        png,
        {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
        {"type": "document", "source": pdf},
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {"type": "document", "source": pdf},
        png,
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "你好"}, "title": "a.txt"},
    ]
    raw = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f-1"}}]}]}
    )
    sent = json.loads(request(raw.encode(), None))
    assert sent["messages"][0]["content"] == [{"type": "document", "source": {"type": "file", "file_id": "f-1"}}]


PART = "messages.0.content.0"


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url"}, f"{PART}.image_url"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, f"{PART}.image_url.url"),
        ({"type": "image_url", "image_url": {"url": PNG}}, f"{PART}.image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,%89PNG"}}, f"{PART}.image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUFB"}}, f"{PART}.image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}}, f"{PART}.image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,é"}}, f"{PART}.image_url.url"),
        ({"type": "file"}, f"{PART}.file"),
        ({"type": "file", "file": {"filename": "a"}}, f"{PART}.file"),
        ({"type": "file", "file": {"file_data": "QUFB"}}, f"{PART}.file.file_data"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,//8="}}, f"{PART}.file.file_data"),
        ({"type": "input_audio", "input_audio": {}}, f"{PART}.type"),
        ({"type": "refusal", "refusal": "x"}, f"{PART}.type"),
        ({"type": "text"}, f"{PART}.text"),
    ],
)
def test_a_part_s_mistakes_are_named(part: object, param: str) -> None:
    assert refused({"role": "user", "content": [part]}) == param


def test_calls_and_their_results() -> None:
    said = turns(
        HELLO,
        calls("call_1", "functions.f:0", content="thinking aloud"),
        {
            **result("functions.f:0", [text("7"), {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]),
            "name": "f",
        },
        {**result("call_1", ""), "name": "g"},
        {"role": "user", "content": "and?"},
    )
    use = {"type": "tool_use", "name": "f", "input": {"a": 1}}
    picture = {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}
    assert said[1:] == [
        {
            "role": "assistant",
            "content": [text("thinking aloud"), {**use, "id": "call_1"}, {**use, "id": "functions_f_0"}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "functions_f_0", "content": [text("7"), picture]},
                {"type": "tool_result", "tool_use_id": "call_1"},
                text("and?"),
            ],
        },
    ]


def test_servers_that_count_their_calls_from_0_each_turn() -> None:
    said = turns(HELLO, calls("f:0"), result("f:0", "a"), calls("f:0"), result("f:0", "b"), calls("f_0"), result("f_0"))
    ids = [block["id"] for turn in said for block in turn["content"] if block["type"] == "tool_use"]
    answered = [block["tool_use_id"] for turn in said for block in turn["content"] if block["type"] == "tool_result"]
    assert ids == answered == ["f_0", "f_0_2", "f_0_3"]


def test_arguments_go_on_as_they_were_written() -> None:
    call = calls("c")
    call["tool_calls"][0]["function"]["arguments"] = '{"n": 12345678901234567890123, "x": 1.10}'
    raw = request(json.dumps({"model": "m", "messages": [HELLO, call, result("c")]}).encode(), None)
    assert b'"input":{"n": 12345678901234567890123, "x": 1.10}' in raw
    call["tool_calls"][0]["function"]["arguments"] = ""
    assert turns(HELLO, call, result("c"))[1]["content"][0]["input"] == {}


def test_functions_from_before_there_were_tools() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    answered = {"role": "function", "name": "f", "content": "42"}
    said = ask(HELLO, called, answered, functions=[TOOL["function"]], function_call={"name": "f"})
    assert said["messages"][1]["content"] == [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]
    assert said["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "call_1", "content": "42"}]
    assert said["tools"] == [{"name": "f", "description": "does", "input_schema": SCHEMA}]
    assert said["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([{"role": "system", "content": "x"}], "messages"),
        ([{"role": "user", "content": ""}], "messages.0.content"),
        ([{"role": "user", "content": None}], "messages.0.content"),
        ([{"role": "user", "content": [text(" \n")]}], "messages.0.content"),
        ([HELLO, result("x")], "messages.1.tool_call_id"),
        ([HELLO, calls("a"), result("b")], "messages.2.tool_call_id"),
        ([HELLO, calls("a"), result("a"), result("a")], "messages.3.tool_call_id"),
        ([HELLO, {"role": "tool", "content": "x"}], "messages.1.tool_call_id"),
        ([HELLO, {"role": "function", "name": "f", "content": "x"}], "messages.1.name"),
        ([HELLO, {"role": "function", "content": "x"}], "messages.1.name"),
        ([HELLO, calls("a", "b"), result("a"), HELLO], "messages.1.tool_calls"),
        ([HELLO, calls("a"), {"role": "assistant", "content": "x"}], "messages.1.tool_calls"),
        ([HELLO, calls("a")], "messages.1.tool_calls"),
        ([HELLO, calls("a", "a")], "messages.1.tool_calls.1.id"),
        ([HELLO, calls("")], "messages.1.tool_calls.0.id"),
        (
            [HELLO, {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f"}}]}],
            "messages.1.tool_calls.0",
        ),
        (
            [HELLO, {"role": "assistant", "function_call": {"name": "f", "arguments": "[]"}}],
            "messages.1.function_call.arguments",
        ),
        ([HELLO, {"role": "assistant", "content": "x", "audio": {"id": "a"}}], "messages.1.audio"),
        ([{"role": "system", "content": [{"type": "image_url"}]}, HELLO], "messages.0.content.0.type"),
        ([{**HELLO, "name": "ann"}, {**HELLO, "name": "bob"}], "messages.1.name"),
        ([HELLO, {"role": "robot", "content": "x"}], "messages.1.role"),
    ],
)
def test_messages_that_cannot_stand_where_they_do(messages: list[object], param: str) -> None:
    if messages:
        assert refused(*messages) == param
    else:
        with pytest.raises(InvalidRequest):
            request(b'{"model":"m","messages":[]}', None)


def test_turns_of_one_role_are_one_and_silence_is_none() -> None:
    assert turns(
        {**HELLO, "name": "ann"},
        {"role": "assistant", "content": "a", "refusal": "no", "reasoning_content": "unsigned"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "never"}], "name": "bot"},
        {"role": "user", "content": "b", "name": "ann"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "c"},
    ) == [
        {"role": "user", "content": [text("hello")]},
        {"role": "assistant", "content": [text("a"), text("no"), text("never")]},
        {"role": "user", "content": [text("b"), text("c")]},
    ]


def test_an_answer_that_was_begun() -> None:
    assert turns(HELLO, {"role": "assistant", "content": "It is \n"})[-1] == {
        "role": "assistant",
        "content": [text("It is")],
    }


OTHER = {"type": "function", "function": {"name": "g", "strict": True, "parameters": {"properties": {}}}}


@pytest.mark.parametrize(
    ("more", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": {"type": "function", "function": {"name": "g"}}}, {"type": "tool", "name": "g"}),
    ],
)
def test_choices_of_tools(more: dict[str, Any], choice: object) -> None:
    said = ask(HELLO, tools=[TOOL, OTHER], **more)
    assert said.get("tool_choice") == choice
    assert said["tools"] == [
        {"name": "f", "description": "does", "input_schema": SCHEMA},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}, "strict": True},
    ]


@pytest.mark.parametrize(("mode", "kind"), [("auto", "auto"), ("required", "any")])
def test_allowed_tools(mode: str, kind: str) -> None:
    allowed = {"mode": mode, "tools": [{"type": "function", "function": {"name": "g"}}]}
    said = ask(HELLO, tools=[TOOL, OTHER], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert ([tool["name"] for tool in said["tools"]], said["tool_choice"]) == (["g"], {"type": kind})


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL, TOOL]}, "tools.1.function.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools.0.function.name"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "z"}}},
            "tool_choice.function.name",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice"),
        ({"functions": [TOOL["function"]], "function_call": {"name": "z"}}, "function_call.name"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            "tool_choice.allowed_tools.tools",
        ),
    ],
)
def test_a_tool_s_mistakes_are_named(more: dict[str, Any], param: str) -> None:
    assert refused(HELLO, **more) == param


def test_tools_that_nothing_is_said_of() -> None:
    assert ask(HELLO, tools=[], tool_choice="auto", parallel_tool_calls=False) == ask(HELLO)


def test_a_chat_survives_both_translations() -> None:
    """chat → Messages → chat says the same; a schema's name and a stream's usage would be new."""
    chat = {
        "model": "gpt-x",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [text("see"), {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]},
            calls("c1", "c2", content="let me"),
            result("c1"),
            result("c2", "43"),
            {"role": "user", "content": "and?"},
        ],
        "max_tokens": 9,
        "temperature": 0.5,
        "stop": ["X"],
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning_effort": "high",
    }
    back = json.loads(claude_asks_chat.request(request(json.dumps(chat).encode(), None), None))
    for message in (*chat["messages"], *back["messages"]):  # type: ignore[misc]
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert back == chat


def test_the_docs_name_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "translation-chat.md").read_text(encoding="utf-8")
    fields = set(_Request.__struct_fields__) - {"messages"}
    assert {name for name in fields if f"`{name}`" not in page and f"`{name}:" not in page} == {"stream_options"}
    assert set(REFUSED) < fields
    assert f"{ANSWER_TOKENS} where neither" in page


ROLES = st.sampled_from(["user", "assistant", "system", "developer"])
CONTENT = st.text(max_size=5) | st.lists(st.text(max_size=3).map(text), max_size=3) | st.none()
PLAIN = st.builds(lambda role, content: {"role": role, "content": content}, ROLES, CONTENT)
IDS = st.sampled_from(["a", "a.", "b"])
TURN = PLAIN | IDS.map(result) | st.lists(IDS, min_size=1, max_size=2).map(lambda ids: calls(*ids))


@given(st.lists(TURN, max_size=8))
def test_whatever_order_a_chat_has_messages_can_read_it_or_the_message_is_named(chat: list[dict[str, Any]]) -> None:
    raw = json.dumps({"model": "m", "messages": chat}).encode()
    try:
        said = json.loads(request(raw, None))
    except InvalidRequest as error:
        assert error.param is not None
        assert error.param.startswith("messages")
        return
    roles = [turn["role"] for turn in said["messages"]]
    assert all(one != two for one, two in pairwise(roles))
    waiting: set[str] = set()
    seen: set[str] = set()
    for turn in said["messages"]:
        assert turn["content"]
        for block in turn["content"]:
            if block["type"] == "tool_result":
                waiting.remove(block["tool_use_id"])
            elif block["type"] == "tool_use":
                assert block["id"] not in seen
                waiting.add(block["id"])
                seen.add(block["id"])
            else:
                assert block["text"].strip()
        assert turn["role"] == "assistant" or not waiting
    assert not waiting
    words = "".join(block.get("text", "") for turn in said["messages"] for block in turn["content"])
    for message in chat:
        parts = message["content"] if isinstance(message["content"], list) else [text(message["content"] or "")]
        for part in parts:
            if message["role"] in ("user", "assistant"):
                assert part["text"].strip() in words
            elif message["role"] in ("system", "developer") and part["text"].strip():
                assert part["text"] in said["system"]
