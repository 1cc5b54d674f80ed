from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter

from sampan.dialects.translation.chat_server import ANY, SERVERS, ChatServer
from sampan.dialects.translation.claude_asks_chat import request
from sampan.errors import InvalidRequest

WIRE: TypeAdapter[Any] = TypeAdapter(completion_create_params.CompletionCreateParams)
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
LINKED = {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
TOOL = {"name": "weather", "description": "Looks up.", "input_schema": {"type": "object", "properties": {"city": {}}}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "青岛", "n": [1.50, None]}}
CLOCK = {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def result(content: Any = "42", id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def ask(*turns: Any, server: ChatServer = ANY, model: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"model": "claude-x", "max_tokens": 64, "messages": list(turns) or [user("hi")], **more}
    made: dict[str, Any] = json.loads(request(json.dumps(body, ensure_ascii=False).encode(), model, server))
    return made


def messages(*turns: Any, **more: Any) -> Any:
    return ask(*turns, **more)["messages"]


def test_the_least_call() -> None:
    assert ask() == {"model": "claude-x", "messages": [user("hi")], "max_tokens": 64}
    assert ask(model="qwen")["model"] == "qwen"


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("Be kind.", "Be kind."),
        ([text("Be"), {**text("kind."), "cache_control": {"type": "ephemeral"}}], "Be\n\nkind."),
    ],
)
def test_system_comes_first(system: Any, said: str) -> None:
    assert messages(user("hi"), system=system) == [{"role": "system", "content": said}, user("hi")]


def test_system_turns() -> None:
    turns = [{"role": "system", "content": "B"}, user("hi"), {"role": "system", "content": [text("C")]}, user("and?")]
    first = {"role": "system", "content": "A\n\nB"}
    assert messages(*turns, system="A") == [first, user("hi"), {"role": "system", "content": "C"}, user("and?")]
    told = user("hi\n\n<system>\nC\n</system>\n\nand?")
    assert messages(*turns, system="A", server=ChatServer(late_system="user")) == [first, told]
    inside = user(text("hi"), {"type": "mid_conv_system", "content": "C"}, text("and?"))
    assert messages(inside) == [user("hi"), {"role": "system", "content": "C"}, user("and?")]
    assert messages(user("hi"), {"role": "system", "content": "C"})[-1] == {"role": "system", "content": "C"}
    assert messages(user("hi"), system="") == [user("hi")]


def test_turns_of_one_role_are_one_message() -> None:
    turns = [user("a"), user(text("b"), text("c")), assistant("d"), assistant(text("e"), text("f")), user("g")]
    assert messages(*turns) == [user("a\n\nb\n\nc"), assistant("d\n\nef"), user("g")]


def test_pictures() -> None:
    assert messages(user(text("see"), PICTURE, LINKED, text("?"))) == [
        user(text("see"), SHOWN, {"type": "image_url", "image_url": {"url": "https://a/b.png"}}, text("?"))
    ]
    detailed = messages(user(PICTURE), server=ChatServer(detail="high"))
    assert detailed[0]["content"][0]["image_url"]["detail"] == "high"


def test_documents_and_search_results_are_told_as_text() -> None:
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
    described = {**plain, "title": 'a "title"', "context": "from the archive", "citations": {"enabled": False}}
    mixed = {"type": "document", "source": {"type": "content", "content": [text("page"), PICTURE]}}
    simple = {"type": "document", "source": {"type": "content", "content": "words"}}
    found = {"type": "search_result", "source": "https://a", "title": "t", "content": [text("x"), text("y")]}
    assert messages(user(plain)) == messages(user(simple)) == [user("<document>\nwords\n</document>")]
    assert messages(user(described)) == [
        user('<document title="a \\"title\\"">\n<context>from the archive</context>\nwords\n</document>')
    ]
    assert messages(user(mixed)) == [user(text("<document>"), text("page"), SHOWN, text("</document>"))]
    assert messages(user(found)) == [user('<search_result source="https://a" title="t">\nx\ny\n</search_result>')]


def test_tools_and_their_results() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    turns = [
        user("weather?"),
        assistant(thinking, {"type": "redacted_thinking", "data": "x"}, text("Let me see."), USE, CLOCK),
        user(text("Here."), result([text("rain"), PICTURE]), result("broken", "toolu_2", is_error=True)),
    ]
    asked, called, rain, broken, shown = messages(*turns)
    assert asked == user("weather?")
    assert (called["role"], called["content"]) == ("assistant", "Let me see.")
    assert [each["id"] for each in called["tool_calls"]] == ["toolu_1", "toolu_2"]
    assert called["tool_calls"][0]["function"]["name"] == "weather"
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == USE["input"]
    assert (rain["role"], rain["tool_call_id"]) == ("tool", "toolu_1")
    assert rain["content"] == "rain\n\n(1 picture of this result: see the next user message)"
    assert broken == {"role": "tool", "tool_call_id": "toolu_2", "content": "The tool failed:\n\nbroken"}
    assert shown == user(text("The result of the tool call toolu_1 (weather):"), SHOWN, text("Here."))


@pytest.mark.parametrize(("content", "told"), [("", ""), (None, ""), ([], ""), ([text("a"), text("b")], "a\n\nb")])
def test_what_a_tool_may_answer(content: Any, told: str) -> None:
    made = messages(user("?"), assistant(USE), user(result(content)))
    assert made[1]["content"] is None
    assert made[2] == {"role": "tool", "tool_call_id": "toolu_1", "content": told}


def test_a_turn_of_thinking_alone_leaves_no_message() -> None:
    thought = assistant({"type": "thinking", "thinking": "hm", "signature": "s"})
    assert messages(user("a"), thought, user("b")) == [user("a"), user("b")]


def test_prefill() -> None:
    turns = [user("hi"), assistant("{")]
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    assert ask(*turns).items() >= {"messages": turns, **flags}.items()
    assert not ask(*turns, server=SERVERS["ollama"]).keys() & flags.keys()
    with pytest.raises(InvalidRequest) as raised:
        ask(*turns, server=SERVERS["openai"])
    assert raised.value.param == "messages.1"


def test_tools() -> None:
    full = {
        **TOOL,
        "type": "custom",
        "strict": True,
        "cache_control": {"type": "ephemeral"},
        "allowed_callers": ["direct"],
        "input_examples": [{"city": "Qingdao"}],
    }
    function = {"name": "weather", "description": "Looks up.", "parameters": TOOL["input_schema"]}
    assert ask(tools=[TOOL])["tools"] == [{"type": "function", "function": function}]
    told = 'Looks up.\n\nExamples of its input:\n{"city": "Qingdao"}'
    assert ask(tools=[full])["tools"][0]["function"] == {**function, "description": told, "strict": True}
    bare = {"name": "f", "input_schema": {"type": "object"}}
    assert ask(tools=[bare])["tools"][0]["function"] == {"name": "f", "parameters": {"type": "object"}}
    assert "tools" not in ask(tools=[])


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "weather"},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
        ({"type": "auto", "disable_parallel_tool_use": False}, {"tool_choice": "auto"}),
    ],
)
def test_tool_choice(choice: Any, said: dict[str, Any]) -> None:
    made = ask(tools=[TOOL], tool_choice=choice, server=SERVERS["vllm"])
    assert {name: made[name] for name in ("tool_choice", "parallel_tool_calls") if name in made} == said


def test_a_server_that_names_no_tool_is_given_that_tool_alone() -> None:
    other = {**TOOL, "name": "other"}
    made = ask(tools=[other, TOOL], tool_choice={"type": "tool", "name": TOOL["name"]})
    assert made["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in made["tools"]] == [TOOL["name"]]


def test_sampling_and_limits() -> None:
    given = {"temperature": 0, "top_p": 0.5, "top_k": 20, "stop_sequences": ["END"], "metadata": {"user_id": "u"}}
    said = {"temperature": 0, "top_p": 0.5, "top_k": 20, "stop": ["END"], "user": "u"}
    assert ask(**given).items() >= said.items()
    assert ask(server=SERVERS["openai"])["max_completion_tokens"] == 64
    assert ask(stop_sequences=[], metadata={}).keys() == {"model", "messages", "max_tokens"}
    streamed = ask(stream=True)
    assert (streamed["stream"], streamed["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in ask(stream=True, server=ChatServer(stream_usage=False))
    early = ask(stream=True, server=SERVERS["vllm"])["stream_options"]
    assert early == {"include_usage": True, "continuous_usage_stats": True}
    assert "stream" not in ask(stream=False)


def test_members_that_this_wire_does_not_know_are_handed_on() -> None:
    assert ask(seed=7, min_p=0.1).items() >= {"seed": 7, "min_p": 0.1}.items()
    left = {"service_tier": "auto", "cache_control": {}, "context_management": {"edits": []}, "inference_geo": "global"}
    assert ask(**left, container=None, mcp_servers=[]).keys() == {"model", "messages", "max_tokens"}


@pytest.mark.parametrize(
    ("given", "server", "said"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "any", ("low", True)),
        ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, "any", ("medium", True)),
        ({"thinking": {"type": "enabled", "budget_tokens": 30000}}, "openai", ("high", None)),
        ({"thinking": {"type": "adaptive"}}, "any", (None, True)),
        ({"thinking": {"type": "disabled"}}, "any", (None, False)),
        ({"thinking": {"type": "disabled"}}, "ollama", ("none", None)),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "lmstudio", (None, None)),
        ({"output_config": {"effort": "low"}}, "any", ("low", None)),
        ({"output_config": {"effort": "max"}}, "any", ("high", None)),
        ({"output_config": {"effort": "max"}}, "openai", ("xhigh", None)),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "high"}},
            "any",
            ("high", True),
        ),
        ({}, "any", (None, None)),
    ],
)
def test_thinking(given: Any, server: str, said: tuple[str | None, bool | None]) -> None:
    made = ask(server=SERVERS[server], **given)
    assert (made.get("reasoning_effort"), made.get("chat_template_kwargs", {}).get("enable_thinking")) == said


def test_a_server_that_is_not_asked_to_think() -> None:
    made = ask(server=ChatServer(reasoning="none"), thinking={"type": "adaptive"}, output_config={"effort": "low"})
    assert made.keys() == {"model", "messages", "max_tokens"}
    template = ask(server=ChatServer(reasoning="template"), output_config={"effort": "low"})
    assert "reasoning_effort" not in template


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_structured_output(field: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    wanted: dict[str, Any] = {"type": "json_schema", "schema": schema}
    made = ask(**{field: {"format": wanted} if field == "output_config" else wanted})
    assert made["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


KEPT_PICTURE = {"type": "image", "source": {"type": "file", "file_id": "f"}}
CITED = {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}
SEARCHED = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": [user(PDF)]}, "messages.0.content.0"),
    ({"messages": [user({**PDF, "source": {"type": "url", "url": "https://a/b.pdf"}})]}, "messages.0.content.0"),
    ({"messages": [user({**PDF, "source": {"type": "file", "file_id": "f"}})]}, "messages.0.content.0"),
    (
        {"messages": [user(text("a"), KEPT_PICTURE)]},
        "messages.0.content.1.source",
    ),
    ({"messages": [user("?"), assistant(USE), user(result([text("a"), PDF]))]}, "messages.2.content.0.content.1"),
    (
        {"messages": [user(CITED)]},
        "messages.0.content.0.citations",
    ),
    ({"messages": [user({"type": "container_upload", "file_id": "f"})]}, "messages.0.content.0.type"),
    (
        {"messages": [user("?"), assistant(SEARCHED)]},
        "messages.1.content.0.type",
    ),
    ({"messages": [user({"type": "a_block_of_next_year"})]}, "messages.0.content.0.type"),
    ({"messages": [user({"type": "text"})]}, "messages.0.content.0.text"),
    ({"messages": [user(USE)]}, "messages.0.content.0"),
    ({"messages": [user("?"), assistant(PICTURE)]}, "messages.1.content.0"),
    ({"messages": [user("?"), assistant(result())]}, "messages.1.content.0"),
    ({"messages": [user(result())]}, "messages.0.content.0.tool_use_id"),
    ({"messages": [user("?"), assistant(USE), user(result(), result())]}, "messages.2.content.1.tool_use_id"),
    ({"messages": [user("?"), assistant(USE, CLOCK), user(result())]}, "messages.1"),
    ({"messages": [user("?"), assistant(USE), user("and?")]}, "messages.1"),
    ({"messages": [user("?"), assistant(USE)]}, "messages.1"),
    ({"messages": [user("?"), assistant(USE), {"role": "system", "content": "S"}]}, "messages.1"),
    ({"messages": [{"role": "system", "content": [PICTURE]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "system", "content": "alone"}]}, "messages"),
    ({"messages": [assistant("")]}, "messages"),
    ({"messages": [user("?"), assistant({**USE, "input": "{}"})]}, "messages.1.content.0.input"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0"),
    ({"tools": [TOOL, {"type": "bash_20250124", "name": "bash"}]}, "tools.1"),
    ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
    ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
    ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools.0.allowed_callers"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "clock"}}, "tool_choice.name"),
    ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format"),
    ({"container": "c"}, "container"),
    ({"mcp_servers": [{"url": "https://a"}]}, "mcp_servers"),
    ({"inference_geo": "us"}, "inference_geo"),
    ({"n": 2}, "n"),
    ({"temperature": "hot"}, "temperature"),
]


@pytest.mark.parametrize(("given", "param"), REFUSED, ids=lambda each: each if isinstance(each, str) else "")
def test_what_no_chat_server_can_do_is_refused_by_its_path(given: dict[str, Any], param: str) -> None:
    turns = given.get("messages", [user("hi")])
    with pytest.raises(InvalidRequest) as raised:
        ask(*turns, **{name: value for name, value in given.items() if name != "messages"})
    assert (raised.value.param or "").startswith(param)
    assert param in raised.value.message


def test_bounds_of_one_server() -> None:
    bounded: list[dict[str, Any]] = [{"stop_sequences": list("abcde")}, {"top_k": 5}]
    for asked in bounded:
        ask(**asked)
        with pytest.raises(InvalidRequest) as raised:
            ask(server=SERVERS["openai"], **asked)
        assert [raised.value.param] == list(asked)
    ask(user(LINKED), server=SERVERS["vllm"])
    with pytest.raises(InvalidRequest) as raised:
        ask(user(LINKED), server=SERVERS["ollama"])
    assert raised.value.param == "messages.0.content.0.source"


def test_no_json_is_a_callers_mistake() -> None:
    for body in (b"", b"[]", b"{", b'{"model":"m","max_tokens":1,"messages":[{"role":"tool","content":""}]}'):
        with pytest.raises(InvalidRequest):
            request(body, None)


def test_bytes_that_are_no_utf8_are_a_callers_mistake() -> None:
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [user("?"), assistant({**USE, "input": {"a": "X"}}), user(result())],
    }
    with pytest.raises(InvalidRequest, match=r"messages\.1\.content\.0\.input"):
        request(json.dumps(body).encode().replace(b"X", b"\xff"), None)


# Properties.

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SEEN = st.builds(text, WORDS) | st.just(PICTURE)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    turns, number = [], 0
    for _ in range(draw(st.integers(1, 4))):
        turns.append(user(*draw(st.lists(SEEN, min_size=1, max_size=3))))
        said: list[Any] = [text(words) for words in draw(st.lists(WORDS, max_size=2))]
        results: list[Any] = []
        for _ in range(draw(st.integers(0, 2))):
            id = f"toolu_{number}"
            number += 1
            said.append({"type": "tool_use", "id": id, "name": "weather", "input": draw(st.dictionaries(WORDS, WORDS))})
            results.append(result(draw(st.lists(SEEN, max_size=2)), id))
        if said:
            turns.append(assistant(*said))
        if results:
            turns.append(user(*draw(st.permutations(results))))
    return turns


@settings(max_examples=80, deadline=None)
@given(conversations(), st.sampled_from(["any", "ollama", "lmstudio"]))
def test_every_conversation_keeps_the_rules_of_the_chat_wire(turns: list[Any], server: str) -> None:
    """OpenAI's own types read it; answers stand behind their calls; every word and picture is there, once."""
    made = ask(*turns, server=SERVERS[server], tools=[TOOL])
    WIRE.validate_python(made)
    waiting: list[str] = []
    for before, message in zip([{"role": "system"}, *made["messages"]], made["messages"], strict=False):
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting
        assert before["role"] != message["role"]
        waiting = [each["id"] for each in message.get("tool_calls") or ()]
    assert not waiting
    whole = json.dumps(made["messages"])
    assert whole.count("data:image/png;base64,") == json.dumps(turns).count('"image/png"')
    for turn in turns:
        for block in turn["content"]:
            if block["type"] == "text":
                assert json.dumps(block["text"])[1:-1] in whole
