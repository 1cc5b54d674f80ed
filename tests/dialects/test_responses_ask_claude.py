from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sampan.dialects.translation.responses_ask_claude import SEAL, request, sealed
from sampan.dialects.translation.terms import ANSWER_TOKENS, JSON_ONLY
from sampan.errors import InvalidRequest

PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n" + bytes(60)).decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}}
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "2"}
USE = {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "2"}


def ask(given: Any = "hi", *, earlier: tuple[Any, ...] = (), referenced: Any = None, **more: Any) -> dict[str, Any]:
    """The Messages request, held against the SDK's own types."""
    body = json.dumps({"model": "m", "input": given, **more}).encode()
    stored = tuple(json.dumps(item).encode() for item in earlier)
    known = {name: json.dumps(item).encode() for name, item in (referenced or {}).items()}
    said: dict[str, Any] = json.loads(request(body, None, stored, known))
    walk(PARAMS.validate_python({name: value for name, value in said.items() if name != "stream"}))
    return said


def walk(value: Any) -> None:
    """Looks at everything: pydantic checks what the SDK calls an `Iterable` only when somebody goes through it."""
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, str) or not hasattr(value, "__iter__"):
        return
    for each in value:
        walk(each)


def turns(given: Any, **more: Any) -> list[tuple[str, list[Any]]]:
    return [(turn["role"], turn["content"]) for turn in ask(given, **more)["messages"]]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def refused(given: Any = "hi", **more: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        ask(given, **more)
    assert caught.value.param and caught.value.message.startswith(caught.value.param)
    return caught.value.param


def test_the_smallest_request() -> None:
    assert ask() == {
        "model": "m",
        "max_tokens": ANSWER_TOKENS,
        "messages": [{"role": "user", "content": [text("hi")]}],
    }
    assert json.loads(request(b'{"model":"m","input":"hi"}', "other"))["model"] == "other"


def test_every_scalar_finds_its_place() -> None:
    said = ask(
        instructions="Be brief.",
        max_output_tokens=9,
        temperature=1.6,
        top_p=0.5,
        stream=True,
        safety_identifier="u1",
        user="u2",
        metadata={"a": "b"},
        store=False,
        truncation="auto",
        service_tier="auto",
        prompt_cache_key="k",
        stream_options={"include_obfuscation": False},
        include=["reasoning.encrypted_content"],
        background=False,
        top_logprobs=0,
    )
    assert (said["max_tokens"], said["temperature"], said["top_p"]) == (9, 1.0, 0.5)
    assert (said["system"], said["stream"], said["metadata"]) == ("Be brief.", True, {"user_id": "u1"})
    assert set(said) == {"model", "max_tokens", "messages", "system", "temperature", "top_p", "stream", "metadata"}


def test_messages_easy_and_full_become_turns() -> None:
    given = [
        {"role": "developer", "content": "Speak Chinese."},
        {"role": "user", "content": "one"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "two"}]},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "three", "annotations": []},
                {"type": "refusal", "refusal": "four"},
                {"type": "output_text", "text": " ", "annotations": []},
            ],
        },
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "user", "content": "five"},
    ]
    said = ask(given, instructions="First.")
    assert said["system"] == "First.\n\nSpeak Chinese.\n\nBe kind."
    assert [(turn["role"], turn["content"]) for turn in said["messages"]] == [
        ("user", [text("one"), text("two")]),
        ("assistant", [text("three"), text("four")]),
        ("user", [text("five")]),
    ]


def test_pictures_by_data_address_and_file() -> None:
    parts = [
        {"type": "input_image", "image_url": f"data:image/jpeg;base64,{PNG}", "detail": "low"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "input_image", "file_id": "file_1"},
    ]
    [(_, blocks)] = turns([{"role": "user", "content": parts[:2]}])
    assert blocks == [IMAGE, {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}]
    [(_, [block])] = json_turns([{"role": "user", "content": parts[2:]}])
    assert block == {"type": "image", "source": {"type": "file", "file_id": "file_1"}}


def json_turns(given: Any) -> list[tuple[str, list[Any]]]:
    """Without the SDK's types: those of files are in its beta."""
    said = json.loads(request(json.dumps({"model": "m", "input": given}).encode(), None))
    return [(turn["role"], turn["content"]) for turn in said["messages"]]


def test_documents_by_data_address_and_file() -> None:
    plain = base64.b64encode("数据,1".encode()).decode()
    parts = [
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        {"type": "input_file", "file_data": PDF},
        {"type": "input_file", "filename": "a.csv", "file_data": f"data:text/csv;base64,{plain}"},
        {"type": "input_file", "filename": "a.TXT", "file_data": plain},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
    ]
    [(_, blocks)] = turns([{"role": "user", "content": parts}])
    pdf = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    words = {"type": "text", "media_type": "text/plain", "data": "数据,1"}
    assert [block["source"] for block in blocks] == [
        pdf,
        pdf,
        words,
        words,
        {"type": "url", "url": "https://example.org/a.pdf"},
    ]
    assert [block.get("title") for block in blocks] == ["a.pdf", None, "a.csv", "a.TXT", None]
    [(_, [block])] = json_turns([{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}])
    assert block["source"] == {"type": "file", "file_id": "file_1"}


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_image"}, "image_url"),
        ({"type": "input_image", "image_url": "ftp://a"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/png,abc"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,####"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,"}, "image_url"),
        ({"type": "input_image", "image_url": f"data:image/png;base64,{PDF}"}, "image_url"),
        ({"type": "input_image", "image_url": {"url": "x"}}, "image_url"),
        ({"type": "input_file"}, "file_data"),
        ({"type": "input_file", "file_data": PNG}, "file_data"),
        ({"type": "input_file", "file_url": "file:///etc/passwd"}, "file_url"),
        ({"type": "input_file", "filename": "a.txt", "file_data": base64.b64encode(b"\xff\xfe").decode()}, "file_data"),
        ({"type": "input_audio", "input_audio": {}}, "type"),
        ({"type": "input_text"}, "text"),
        ({"type": "refusal"}, "refusal"),
    ],
)
def test_a_part_that_cannot_be_said_is_named(part: dict[str, Any], param: str) -> None:
    given = [{"role": "user", "content": [{"type": "input_text", "text": "see"}, part]}]
    assert refused(given) == f"input.0.content.1.{param}"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "tool", "content": "x"}, "role"),
        ({"role": "user"}, "content"),
        ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "type"),
        ({"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}}, "type"),
        ({"type": "item_reference", "id": "msg_9"}, "id"),
        ({"id": "msg_9"}, "id"),
        ({**CALL, "call_id": ""}, "call_id"),
        ({**CALL, "name": None}, "name"),
        ({**CALL, "arguments": "[1]"}, "arguments"),
        ({**CALL, "arguments": '{"a": '}, "arguments"),
        (OUTPUT, "call_id"),
        ({**OUTPUT, "output": None}, "output"),
        ({"role": "assistant", "content": [{"type": "input_image", "file_id": "f"}]}, "content.0"),
        ({"role": "system", "content": [{"type": "input_image", "file_id": "f"}]}, "content.0"),
    ],
)
def test_an_item_that_cannot_be_said_is_named(item: dict[str, Any], param: str) -> None:
    assert refused([{"role": "user", "content": "x"}, item]) == f"input.1.{param}"


def test_a_call_without_an_output_and_two_of_one_name() -> None:
    assert refused([CALL]) == "input.0"
    assert refused([CALL, CALL]) == "input.1.call_id"
    assert refused("hi", earlier=(CALL,)) == "previous_response_id"


@pytest.mark.parametrize("given", ["", "  \n", [], None, [{"role": "user", "content": ""}]])
def test_an_input_without_a_word_is_refused(given: Any) -> None:
    assert refused(given) == "input"


def test_calls_and_outputs_are_paired_wherever_they_stand() -> None:
    said = {"role": "user", "content": "wait"}
    other_call, other_output = {**CALL, "call_id": "c2"}, {**OUTPUT, "call_id": "c2", "output": ""}
    use2, result2 = {**USE, "id": "c2"}, {"type": "tool_result", "tool_use_id": "c2"}
    assert turns([CALL, OUTPUT]) == [("assistant", [USE]), ("user", [RESULT])]
    assert turns([CALL, said, OUTPUT]) == [("assistant", [USE]), ("user", [RESULT, text("wait")])]
    assert turns([CALL, other_call, OUTPUT, {"role": "assistant", "content": "so"}, other_output]) == [
        ("assistant", [USE, use2]),
        ("user", [RESULT, result2]),
        ("assistant", [text("so")]),
    ]
    again = [("assistant", [USE]), ("user", [RESULT])]
    assert turns([CALL, OUTPUT, CALL, OUTPUT]) == again * 2  # servers that count calls from 0 in each answer


def test_an_output_may_hold_parts() -> None:
    parts = [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": f"data:;base64,{PNG}"}]
    [_, (_, [result])] = turns([CALL, {**OUTPUT, "output": parts}])
    assert result["content"] == [text("see"), IMAGE]


def test_ids_with_foreign_letters_still_match() -> None:
    given = [{**CALL, "call_id": "functions.add:0"}, {**OUTPUT, "call_id": "functions.add:0"}]
    (_, [use]), (_, [result]) = turns(given)
    assert use["id"] == result["tool_use_id"] == "functions_add_0"


def test_reasoning_of_ours_comes_back_and_others_is_left_out() -> None:
    ours = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed("因为", "sig")}
    redacted = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": sealed("", "", "data")}
    foreign = [
        {"type": "reasoning", "id": "rs_3", "summary": [{"type": "summary_text", "text": "x"}]},
        {"type": "reasoning", "id": "rs_4", "summary": [], "encrypted_content": "gAAAAABo"},
        {"type": "reasoning", "id": "rs_5", "summary": [], "encrypted_content": SEAL + "%%"},
        {"type": "reasoning", "id": "rs_6", "summary": [], "encrypted_content": SEAL + "bm9wZQ=="},
    ]
    said = {"role": "user", "content": "and?"}
    answer = {"role": "assistant", "content": "so"}
    assert turns([said, ours, redacted, *foreign, answer, said])[1] == (
        "assistant",
        [
            {"type": "thinking", "thinking": "因为", "signature": "sig"},
            {"type": "redacted_thinking", "data": "data"},
            text("so"),
        ],
    )
    assert turns([said, ours, said]) == [("user", [text("and?")]), ("user", [text("and?")])]


def test_earlier_items_stand_in_front_and_references_are_followed() -> None:
    earlier = (
        {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": "one"}]},
        {"type": "message", "id": "msg_2", "role": "assistant", "content": [{"type": "output_text", "text": "two"}]},
        CALL,
    )
    given = [OUTPUT, {"type": "item_reference", "id": "msg_7"}, {"id": "msg_7"}]
    stored = {"msg_7": {"type": "message", "role": "user", "content": "seven"}}
    assert turns(given, earlier=earlier, referenced=stored, previous_response_id="resp_1") == [
        ("user", [text("one")]),
        ("assistant", [text("two"), USE]),
        ("user", [RESULT, text("seven"), text("seven")]),
    ]


def test_tools() -> None:
    said = ask(tools=[{**TOOL, "description": "adds", "strict": True}, {"type": "function", "name": "stop"}])
    assert said["tools"] == [
        {"name": "add", "description": "adds", "input_schema": TOOL["parameters"], "strict": True},
        {"name": "stop", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in said
    assert ask(tools=[{**TOOL, "parameters": {"properties": {}}}])["tools"][0]["input_schema"]["type"] == "object"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "name": "add"}, {"type": "tool", "name": "add"}),
    ],
)
def test_tool_choice(choice: Any, expected: dict[str, Any]) -> None:
    assert ask(tools=[TOOL], tool_choice=choice)["tool_choice"] == expected
    alone = ask(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)["tool_choice"]
    more = {} if choice == "none" else {"disable_parallel_tool_use": True}
    assert alone == {**expected, **more}


def test_allowed_tools_are_the_only_ones_sent() -> None:
    tools = [TOOL, {"type": "function", "name": "stop"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "stop"}]}
    said = ask(tools=tools, tool_choice=choice, parallel_tool_calls=True)
    assert ([tool["name"] for tool in said["tools"]], said["tool_choice"]) == (["stop"], {"type": "any"})
    assert ask(tools=tools, tool_choice={**choice, "mode": "auto"})["tool_choice"] == {"type": "auto"}
    assert ask(parallel_tool_calls=False).get("tool_choice") is None
    assert "tools" not in ask(tool_choice="auto")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools.1"),
        ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, "tools.0"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools.0"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools.0"),
        ({"tools": [{"type": "image_generation"}]}, "tools.0"),
        ({"tools": [{"type": "computer_use_preview"}]}, "tools.0"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools.0"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        ({"tools": [TOOL, TOOL]}, "tools.1.name"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools.0.defer_loading"),
        ({"tools": [{**TOOL, "async": True}]}, "tools.0.async"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice.tools"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}},
            "tool_choice.tools.0",
        ),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"moderation": {"model": "x"}}, "moderation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}, "include.1"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"stop": ["x"]}, "stop"),
        ({"truncation": "some"}, "truncation"),
    ],
)
def test_what_messages_has_no_word_for_is_named(more: dict[str, Any], param: str) -> None:
    assert refused(**more) == param


def test_formats_of_an_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}, "additionalProperties": False}
    wanted = {"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}, "verbosity": "low"}
    assert ask(text=wanted)["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert ask(text={"format": {"type": "json_object"}}, instructions="A.")["system"] == f"A.\n\n{JSON_ONLY}"
    assert "output_config" not in ask(text={"format": {"type": "text"}})


def test_reasoning() -> None:
    assert ask(reasoning={"effort": "minimal"})["output_config"] == {"effort": "low"}
    said = ask(reasoning={"effort": "high", "summary": "auto"})
    assert (said["output_config"], said["thinking"]) == (
        {"effort": "high"},
        {"type": "adaptive", "display": "summarized"},
    )
    said = ask(reasoning={"effort": "none"})
    assert said["thinking"] == {"type": "disabled"} and "output_config" not in said
    assert set(ask(reasoning={"effort": None})) == {"model", "max_tokens", "messages"}


def test_a_body_that_is_no_request_is_refused() -> None:
    for body in (b"", b"[]", b"{}", b'{"model": "m", "input": 3}', b'{"model": "m", "input": "\xff"}', b"[" * 9999):
        with pytest.raises(InvalidRequest):
            request(body, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["type", "role", "content", "id", "call_id", "name", "arguments", "output", "text", "image_url", "file_data"]
)
words = st.sampled_from(
    ["message", "user", "assistant", "function_call", "function_call_output", "input_text", "input_image", "{}", "x"]
)
items = st.dictionaries(names, words | json_values | st.lists(st.dictionaries(names, words, max_size=4), max_size=2))


@given(st.lists(items, max_size=4), st.dictionaries(st.sampled_from(["tools", "text", "reasoning", "x"]), json_values))
def test_any_input_is_a_request_or_a_mistake_that_is_named(given_items: Any, more: Any) -> None:
    try:
        ask(given_items, **more)
    except InvalidRequest as error:
        assert error.message
