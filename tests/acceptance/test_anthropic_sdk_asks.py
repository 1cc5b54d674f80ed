"""What each kind of upstream is asked when the `anthropic` client uses all of the wire: tools, systems, thinking.

The tests look at the request that arrived. A server that speaks Messages is to get it as it was sent; one that speaks
chat is to get the same meaning in its own words.
"""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from cells import PICTURE64
from sdk_asks import CHATS, TOOLS, WEATHER, asking, assistant, text, user
from sdk_clouds import SEAL, Fails, Play, Stage, Text, Thought, ToolCall, model

MESSAGES, ALL = ("cloud", "near"), ("cloud", "near", "chat", "openai")
OK = Play(Text("Yes."))
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE64}}
DATA_URL = f"data:image/png;base64,{PICTURE64}"
OSLO, NINE = ToolCall("weather", {"city": "Oslo"}, "toolu_a"), ToolCall("time", {"city": "Oslo"}, "call-B_2")


def heard(sdk: anthropic.Anthropic, stage: Stage, target: str, *turns: Any, **facts: Any) -> dict[str, Any]:
    """The request that arrives for this one, which is answered."""
    name = stage.new(OK)
    sdk.messages.create(**asking(target, name, *turns, **facts))
    (request,) = stage.heard(name)
    return dict(request.json)


# Tools.

CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "auto": ({"type": "auto"}, {"tool_choice": "auto"}),
    "any": ({"type": "any"}, {"tool_choice": "required"}),
    "none": ({"type": "none"}, {"tool_choice": "none"}),
    "tool": ({"type": "tool", "name": "time"}, {"tool_choice": {"type": "function", "function": {"name": "time"}}}),
    "one at a time": (
        {"type": "any", "disable_parallel_tool_use": True},
        {"tool_choice": "required", "parallel_tool_calls": False},
    ),
}


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("choice", CHOICES)
def test_tools_and_choices_arrive(sdk: anthropic.Anthropic, stage: Stage, target: str, choice: str) -> None:
    given, chat = CHOICES[choice]
    asked = heard(sdk, stage, target, tools=TOOLS, tool_choice=given)
    if target in MESSAGES:
        assert asked["tools"] == TOOLS and asked["tool_choice"] == given
        return
    assert asked.items() >= chat.items() and ("parallel_tool_calls" in asked) == (choice == "one at a time")
    functions = [tool["function"] for tool in asked["tools"]]
    assert {tool["type"] for tool in asked["tools"]} == {"function"}
    assert [each["name"] for each in functions] == ["weather", "time"]
    assert functions[0]["parameters"] == WEATHER["input_schema"] and functions[0]["description"]


RESULTS = user(
    {"type": "tool_result", "tool_use_id": "toolu_a", "content": [text("Rain:"), PICTURE]},
    {"type": "tool_result", "tool_use_id": "call-B_2", "content": "no clock", "is_error": True},
    text("So?"),
)


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_tool_is_used_there_and_back(sdk: anthropic.Anthropic, stage: Stage, target: str, streams: bool) -> None:
    """Two calls at once; what came back goes in again as the SDK has it, with the results behind it."""
    name = stage.new(Play(Text("Let me look."), OSLO, NINE), Play(Text("It rains.")))
    question = {"role": "user", "content": "Weather and time in Oslo?"}
    ask = asking(target, name, question, tools=TOOLS)
    if streams:
        with sdk.messages.stream(**ask) as stream:
            first: Any = stream.get_final_message()
    else:
        first = sdk.messages.create(**ask)
    assert first.stop_reason == "tool_use"
    assert [(each.id, each.name, each.input) for each in first.content[1:]] == [
        ("toolu_a", "weather", {"city": "Oslo"}),
        ("call-B_2", "time", {"city": "Oslo"}),
    ]
    turns: Any = [question, {"role": "assistant", "content": first.content}, RESULTS]
    raw = sdk.messages.with_raw_response.create(**asking(target, name, *turns, tools=TOOLS))
    assert raw.parse().content[0].to_dict() == {"type": "text", "text": "It rains."}
    assert raw.headers["x-sampan-receipt"].startswith("messages.2.content.0.content.1=")
    asked = stage.heard(name)[1].json["messages"]
    if target in MESSAGES:
        assert asked[2] == RESULTS
        assert [block["type"] for block in asked[1]["content"]] == ["text", "tool_use", "tool_use"]
        return
    assert [turn["role"] for turn in asked] == ["user", "assistant", "tool", "tool", "user"]
    calls = [(call["id"], json.loads(call["function"]["arguments"])) for call in asked[1]["tool_calls"]]
    assert calls == [("toolu_a", {"city": "Oslo"}), ("call-B_2", {"city": "Oslo"})]
    assert asked[2]["tool_call_id"] == "toolu_a" and "Rain:" in asked[2]["content"]
    assert asked[3]["tool_call_id"] == "call-B_2" and asked[3]["content"] == "The tool failed:\n\nno clock"
    parts = asked[4]["content"]
    assert [part["image_url"]["url"] for part in parts if part["type"] == "image_url"] == [DATA_URL]
    assert "toolu_a" in parts[0]["text"] and parts[-1] == text("So?")


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_the_tool_runner_runs_tools_until_there_is_an_answer(
    sdk: anthropic.Anthropic, stage: Stage, target: str, streams: bool
) -> None:
    asked: list[str] = []

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"{city}: rain"

    name = stage.new(Play(OSLO, ToolCall("weather", {"city": "Bergen"}, "toolu_b")), Play(Text("Rain in both.")))
    facts = asking(target, name) | {"tools": [weather]}
    if streams:
        for step in sdk.beta.messages.tool_runner(**facts, stream=True):
            final: Any = step.get_final_message()
    else:
        final = sdk.beta.messages.tool_runner(**facts).until_done()
    assert sorted(asked) == ["Bergen", "Oslo"] and final.content[0].text == "Rain in both."
    first, second = (each.json for each in stage.heard(name))
    assert "Oslo: rain" in json.dumps(second) and "Bergen: rain" in json.dumps(second)
    if target == "cloud":  # the SDK lets it hold the conversation, and sends only what is new
        assert first["thread"] == {"type": "create"} and len(second["messages"]) == 1
        assert second["thread"] == {"type": "continue", "previous_message_id": "msg_of_the_cloud"}
    else:  # who holds none is given all of it
        assert "thread" not in first | second and "Who are you?" in json.dumps(second)


LOST = Fails(404, "not_found_error", "no such thread", details={"error_code": "thread_not_found"})


def test_a_held_conversation_is_sent_whole_when_its_holder_is_away(sdk: anthropic.Anthropic, stage: Stage) -> None:
    """The cloud holds it; one's own server stands in and is given all; the cloud is back and knows nothing of that."""
    away = Fails(529, "overloaded_error")
    name = stage.new(Play(Text("Aye.")), away, away, Play(Text("From home.")), Play(Text("Back.")))
    thread = sdk.beta.messages.thread(
        model=model("over", name), max_tokens=100, unsupported_request_behavior="continue_unthreaded"
    )
    answers: list[Any] = [thread.send(user(text(words))).content[0] for words in ("First?", "Second?", "Third?")]
    assert [answer.text for answer in answers] == ["Aye.", "From home.", "Back."]
    heard = stage.heard(name)
    assert [each.upstream for each in heard] == ["claude", "claude", "claude", "vllm", "claude"]
    assert heard[1].json["thread"]["type"] == "continue" and len(heard[1].json["messages"]) == 1
    for each, words in ((heard[3], ("First?", "Aye.", "Second?")), (heard[4], ("First?", "From home.", "Third?"))):
        assert "thread" not in each.json and all(said in each.body.decode() for said in words)


def test_a_lost_conversation_is_begun_anew(sdk: anthropic.Anthropic, stage: Stage) -> None:
    name = stage.new(Play(Text("Aye.")), LOST, Play(Text("Aye again.")))
    thread = sdk.beta.messages.thread(model=model("cloud", name), max_tokens=100)
    answers: list[Any] = [thread.send(user(text(words))).content[0] for words in ("First?", "Second?")]
    assert answers[1].text == "Aye again."
    again = stage.heard(name)[2].json
    assert again["thread"] == {"type": "create"} and [turn["role"] for turn in again["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


@pytest.mark.parametrize("target", ["near", "chat", "openai"])
def test_nobody_answers_half_a_conversation(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    name = stage.new(OK)
    thread: Any = {"type": "continue", "previous_message_id": "msg_of_the_cloud"}
    with pytest.raises(anthropic.BadRequestError, match="thread: ") as failure:
        sdk.beta.messages.create(**asking(target, name), thread=thread)
    assert failure.value.error_code == "thread_unsupported_request" and not stage.heard(name)


@pytest.mark.parametrize("target", CHATS)
@pytest.mark.parametrize(
    ("turns", "path"),
    [
        pytest.param(
            [user(text("?")), assistant({"type": "tool_use", "id": "a", "name": "t", "input": {}})],
            "messages.1",
            id="no result",
        ),
        pytest.param(
            [user({"type": "tool_result", "tool_use_id": "a"})], "messages.0.content.0.tool_use_id", id="no call"
        ),
        pytest.param(
            [user(text("?"), {"type": "container_upload", "file_id": "x"})], "messages.0.content.1", id="upload"
        ),
    ],
)
def test_what_chat_cannot_be_told_is_refused_by_its_path(
    sdk: anthropic.Anthropic, stage: Stage, target: str, turns: list[Any], path: str
) -> None:
    name = stage.new(OK)
    with pytest.raises(anthropic.BadRequestError) as failure:
        sdk.messages.create(**asking(target, name, *turns, tools=TOOLS))
    assert failure.value.type == "invalid_request_error" and not stage.heard(name)
    assert str(failure.value.api_message).startswith(path), failure.value.api_message


@pytest.mark.parametrize("target", CHATS)
def test_servers_tools_are_refused_where_nobody_has_them(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.1: this upstream has no web_search"):
        sdk.messages.create(**asking(target, stage.new(OK), tools=[WEATHER, search]))
    assert heard(sdk, stage, "cloud", tools=[WEATHER, search])["tools"] == [WEATHER, search]


# Systems, prefills, limits.


@pytest.mark.parametrize("target", ALL)
def test_systems_arrive_however_they_are_said(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    blocks: Any = [text("Be brief."), text("Be kind.") | {"cache_control": {"type": "ephemeral"}}]
    late: Any = [
        user(text("Hello.")),
        assistant(text("Hi.")),
        {"role": "system", "content": "Speak French."},
        user(text("Who?")),
    ]
    said = heard(sdk, stage, target, system="Be brief.")
    listed = heard(sdk, stage, target, system=blocks)
    role = heard(sdk, stage, target, *late)
    if target in MESSAGES:
        assert (said["system"], listed["system"], role["messages"]) == ("Be brief.", blocks, late)
        return
    assert said["messages"][0] == {"role": "system", "content": "Be brief."}
    assert listed["messages"][0] == {"role": "system", "content": "Be brief.\n\nBe kind."}
    assert [turn["role"] for turn in role["messages"]] == ["user", "assistant", "system", "user"]
    assert role["messages"][2]["content"] == "Speak French."


def test_a_prefill_is_gone_on_with(sdk: anthropic.Anthropic, stage: Stage) -> None:
    turns: list[Any] = [user(text("Greek for sun?")), {"role": "assistant", "content": "It is ("}]
    for target in MESSAGES:
        assert heard(sdk, stage, target, *turns)["messages"] == turns
    asked = heard(sdk, stage, "chat", *turns)
    assert asked["messages"][-1] == {"role": "assistant", "content": "It is ("}
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1: this model cannot go on"):
        sdk.messages.create(**asking("openai", stage.new(OK), *turns))


@pytest.mark.parametrize("target", ALL)
def test_limits_and_sampling_arrive(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    more = {"temperature": 0.5, "top_p": 0.9}  # which the SDK's arguments do not have any more; the wire has
    asked = heard(sdk, stage, target, stop_sequences=["END", "Ω"], metadata={"user_id": "u-7"}, extra_body=more)
    assert asked.items() >= more.items()
    if target in MESSAGES:
        assert (asked["max_tokens"], asked["stop_sequences"]) == (100, ["END", "Ω"])
        assert asked["metadata"] == {"user_id": "u-7"}
    else:
        assert asked["max_tokens" if target == "chat" else "max_completion_tokens"] == 100
        assert (asked["stop"], asked["user"]) == (["END", "Ω"], "u-7")


@pytest.mark.parametrize("target", ALL)
def test_members_beyond_the_wire_arrive(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    asked = heard(sdk, stage, target, extra_body={"seed": 7, "x_future": {"deep": [1, None]}})
    assert (asked["seed"], asked["x_future"]) == (7, {"deep": [1, None]})


@pytest.mark.parametrize("target", ALL)
def test_thinking_is_asked_for(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    on: Any = {"type": "enabled", "budget_tokens": 20_000}
    asked = heard(sdk, stage, target, max_tokens=30_000, thinking=on)
    light = heard(sdk, stage, target, thinking={"type": "adaptive"}, output_config={"effort": "low"})
    off = heard(sdk, stage, target, thinking={"type": "disabled"})
    if target in MESSAGES:
        assert (asked["thinking"], light["output_config"]) == (on, {"effort": "low"})
        assert off["thinking"] == {"type": "disabled"}
        return
    assert (asked["reasoning_effort"], light["reasoning_effort"]) == ("high", "low")
    if target == "chat":
        assert asked["chat_template_kwargs"] == {"enable_thinking": True}
        assert off["chat_template_kwargs"] == {"enable_thinking": False}
    else:
        assert off["reasoning_effort"] == "none" and "chat_template_kwargs" not in off


# Thinking across the border.


def _thinking(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        block
        for turn in turns
        if isinstance(turn["content"], list)
        for block in turn["content"]
        if "thinking" in block["type"]
    ]


def _thought(sdk: anthropic.Anthropic, ask: dict[str, Any], streams: bool) -> Any:
    if not streams:
        return sdk.messages.create(**ask)
    with sdk.messages.stream(**ask) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("there", ["cloud", "near", "chat"])
@pytest.mark.parametrize("here", ["cloud", "near", "chat"])
def test_thinking_goes_to_nobody_but_its_maker(
    sdk: anthropic.Anthropic, stage: Stage, here: str, there: str, streams: bool
) -> None:
    """A thought of `here` comes back to the same model, and goes into a call to `there`, a model of another name."""
    name, other = stage.new(Play(Thought("Hm, hm."), Text("An answer."))), stage.new(OK)
    first = _thought(sdk, asking(here, name, user(text("Why?"))), streams)
    assert [block.type for block in first.content] == ["thinking", "text"] and first.content[0].thinking == "Hm, hm."
    signature = first.content[0].signature
    assert signature == SEAL if here == "cloud" else signature.startswith("sampan1.")
    turns: Any = [user(text("Why?")), {"role": "assistant", "content": first.content}, user(text("And?"))]
    sdk.messages.create(**asking(here, name, *turns))
    sdk.messages.create(**asking(there, other, *turns))
    back, away = stage.heard(name)[1].json["messages"], stage.heard(other)[0].json["messages"]
    kept = [{"type": "thinking", "thinking": "Hm, hm.", "signature": signature}]
    assert _thinking(back) == ([] if here == "chat" else kept), "the same model is to have its thought again"
    assert _thinking(away) == (kept if here == there == "cloud" else []), "a cloud knows its own signatures only"
    assert [turn["role"] for turn in away] == [turn["role"] for turn in back] == ["user", "assistant", "user"]
    assert "An answer." in json.dumps(away) and "An answer." in json.dumps(back)
    assert ("Hm, hm." in json.dumps(away)) == (here == there == "cloud")


def test_an_altered_thought_is_nobodys(sdk: anthropic.Anthropic, stage: Stage) -> None:
    name = stage.new(Play(Thought("Hm."), Text("Yes.")))
    first: Any = sdk.messages.create(**asking("near", name))
    block = first.content[0].to_dict()
    for changed in (block | {"thinking": "Ha."}, block | {"signature": block["signature"][:-2] + "xx"}, block):
        sdk.messages.create(**asking("near", name, user(text("?")), assistant(changed, text("Yes.")), user(text("!"))))
    counts = [len(_thinking(each.json["messages"])) for each in stage.heard(name)[1:]]
    assert counts == [0, 0, 1]


def test_a_conversation_crosses_the_border_and_comes_back(sdk: anthropic.Anthropic, stage: Stage) -> None:
    """The cloud, one's own while it is away, the cloud again: each sees words and calls, and its own thoughts."""
    name = stage.new(
        Play(Thought("Cloudy."), OSLO),  # the cloud
        Fails(529, "overloaded_error"),  # the cloud is away,
        Play(Thought("Local."), Text("It rains."), NINE),  # one's own stands in
        Play(Text("At nine.")),  # the cloud is back
    )
    on: Any = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000, "tools": TOOLS}
    turns: Any = [user(text("Weather?"))]
    upstreams = []
    for result in ("rain", "nine", ""):
        raw = sdk.messages.with_raw_response.create(**asking("over", name, *turns, **on))
        message: Any = raw.parse()
        upstreams.append(raw.headers["x-sampan-attempts"])
        turns.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
        if result:
            turns.append(user({"type": "tool_result", "tool_use_id": message.content[-1].id, "content": result}))
    assert upstreams == ["claude=ok", "claude=overloaded,vllm=ok", "claude=ok"]
    first, second, local, third = stage.heard(name)
    assert [each.upstream for each in (first, second, local, third)] == ["claude", "claude", "vllm", "claude"]
    assert [block["thinking"] for block in _thinking(second.json["messages"])] == ["Cloudy."]
    assert "Cloudy." not in local.body.decode() and [turn["role"] for turn in local.json["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]
    sent = third.json
    assert [block["thinking"] for block in _thinking(sent["messages"])] == ["Cloudy."], "what one's own thought, leaked"
    kinds = [[block["type"] for block in turn["content"]] for turn in sent["messages"]]
    assert kinds == [["text"], ["thinking", "tool_use"], ["tool_result"], ["text", "tool_use"], ["tool_result"]]
    assert sent["thinking"] == {"type": "disabled"}, "a call without its thought is refused where thinking is on"
    assert stage.heard(name)[1].json["thinking"] == on["thinking"]
    ids = [block["tool_use_id"] for turn in sent["messages"] for block in turn["content"] if "tool_use_id" in block]
    assert ids == ["toolu_a", "call-B_2"]
    assert message.content[0].text == "At nine." and model("over", name) == message.model
