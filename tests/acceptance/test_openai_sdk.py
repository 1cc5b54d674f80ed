"""Every way that the official `openai` client has to ask for a chat completion, against each kind of upstream.

What the upstream says is written once (`sdk_clouds.Play`); what the SDK makes of our answer has to be that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import openai
import pydantic
import pytest
from cells import PICTURE, PICTURE64
from gateway import Gateway
from sdk_clouds import FINISH, Bill, Fails, Play, Says, Stage, Text, Thought, ToolCall, model, words

UPSTREAMS = {"cloud": "claude", "near": "near", "chat": "vllm", "openai": "openai"}
CHATS, CLAUDES = ("chat", "openai"), ("cloud", "near")
USER: list[Any] = [{"role": "user", "content": "Who are you?"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": PARAMETERS, "strict": True},
}
TIME: Any = {"type": "function", "function": {"name": "time", "parameters": PARAMETERS, "strict": True}}
OSLO, BERGEN = ToolCall("weather", {"city": "Oslo"}, "toolu_a"), ToolCall("time", {"city": "Bergen ☂"}, "call_b-2")
PLAYS: Mapping[str, Play] = {
    "text": Play(Text("I am a fake, 我是假的 — and proud of it.")),
    "thought": Play(Thought("Hm. A question."), Text("An answer.")),
    "call": Play(OSLO),
    "calls": Play(Thought("Two calls."), Text("I will look."), OSLO, BERGEN),
    "cut": Play(Text("It was a dark and"), stop="max_tokens"),
    "stopped": Play(Text("One, two, "), stop="stop_sequence", sequence="three"),
    "uncached": Play(Text("Hi."), bill=Bill(7, 2, 0)),
}


@dataclass(frozen=True)
class Told:
    """What the SDK made of an answer, without what differs by chance."""

    content: str | None
    reasoning: str | None
    calls: list[tuple[str, str, Any]]
    finish: str
    usage: tuple[int, int, int, int]
    model: str


def told(completion: Any) -> Told:
    (choice,) = completion.choices
    message, usage = choice.message, completion.usage
    assert completion.object == "chat.completion" and message.role == "assistant" and completion.created > 0
    assert completion.id.startswith("chatcmpl-") and message.refusal is None
    return Told(
        message.content or None,  # a chat server's own first chunk says "", and the helper keeps it
        getattr(message, "reasoning_content", None),
        [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()],
        choice.finish_reason,
        (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0,
        ),
        completion.model,
    )


def expected(play: Play, name: str) -> Told:
    def joined(kind: type[Text] | type[Thought]) -> str | None:
        return "".join(piece.text for piece in play.pieces if isinstance(piece, kind)) or None

    read, written, cached = play.bill.fresh + play.bill.cached, play.bill.output, play.bill.cached
    calls = [(piece.id, piece.name, dict(piece.input)) for piece in play.pieces if isinstance(piece, ToolCall)]
    usage = (read, written, read + written, cached)
    return Told(joined(Text), joined(Thought), calls, FINISH[play.stop], usage, name)


# The ways to ask. Each gives the completion, and the headers that came with it where this way shows them.

Answer = tuple[Any, Mapping[str, str]]
NOTHING: Mapping[str, str] = {}
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


def _gathered(chunks: list[Any]) -> Any:
    """What somebody makes of raw chunks who does not use the helper."""
    message: dict[str, Any] = {"role": None, "content": None, "tool_calls": []}
    finish = None
    *talk, last = chunks
    assert last.choices == [] and last.usage is not None, "no usage at the end"
    for chunk in talk:
        (choice,) = chunk.choices
        assert finish is None, "something after the end"
        delta = choice.delta.to_dict()
        finish = choice.finish_reason
        message["role"] = message["role"] or delta.get("role")
        for name in ("content", "reasoning_content"):
            if delta.get(name):
                message[name] = (message.get(name) or "") + delta[name]
        for call in delta.get("tool_calls") or ():
            if call["index"] == len(message["tool_calls"]):
                message["tool_calls"].append(call)
            else:
                known = message["tool_calls"][call["index"]]["function"]
                known["arguments"] += call["function"]["arguments"]
    heads = {(chunk.id, chunk.model, chunk.object) for chunk in chunks}
    assert len(heads) == 1 and last.object == "chat.completion.chunk"
    whole = last.to_dict() | {"object": "chat.completion", "usage": last.usage.to_dict()}
    whole["choices"] = [{"index": 0, "finish_reason": finish, "message": message}]
    return openai.types.chat.ChatCompletion.model_validate(whole)


def sync_create(sdk: openai.OpenAI, ask: dict[str, Any]) -> Answer:
    return sdk.chat.completions.create(**ask), NOTHING


def sync_raw(sdk: openai.OpenAI, ask: dict[str, Any]) -> Answer:
    raw = sdk.chat.completions.with_raw_response.create(**ask)
    return raw.parse(), raw.headers


def sync_streaming_response(sdk: openai.OpenAI, ask: dict[str, Any]) -> Answer:
    with sdk.chat.completions.with_streaming_response.create(**ask) as response:
        return response.parse(), response.headers


def sync_parse(sdk: openai.OpenAI, ask: dict[str, Any]) -> Answer:
    raw = sdk.chat.completions.with_raw_response.parse(**ask)
    return raw.parse(), raw.headers


def sync_chunks(sdk: openai.OpenAI, ask: dict[str, Any]) -> Answer:
    with sdk.chat.completions.create(**ask, **USAGE, stream=True) as chunks:
        return _gathered(list(chunks)), chunks.response.headers


def sync_raw_chunks(sdk: openai.OpenAI, ask: dict[str, Any]) -> Answer:
    raw = sdk.chat.completions.with_raw_response.create(**ask, **USAGE, stream=True)
    return _gathered(list(raw.parse())), raw.headers


def sync_stream(sdk: openai.OpenAI, ask: dict[str, Any]) -> Answer:
    with sdk.chat.completions.stream(**ask, **USAGE) as stream:
        return stream.get_final_completion(), NOTHING


async def async_create(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Answer:
    return await sdk.chat.completions.create(**ask), NOTHING


async def async_raw(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Answer:
    raw = await sdk.chat.completions.with_raw_response.create(**ask)
    return raw.parse(), raw.headers


async def async_streaming_response(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Answer:
    async with sdk.chat.completions.with_streaming_response.create(**ask) as response:
        return await response.parse(), response.headers


async def async_parse(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Answer:
    return await sdk.chat.completions.parse(**ask), NOTHING


async def async_chunks(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Answer:
    async with await sdk.chat.completions.create(**ask, **USAGE, stream=True) as chunks:
        return _gathered([chunk async for chunk in chunks]), chunks.response.headers


async def async_stream(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Answer:
    async with sdk.chat.completions.stream(**ask, **USAGE) as stream:
        return await stream.get_final_completion(), NOTHING


SYNC: tuple[Callable[[openai.OpenAI, dict[str, Any]], Answer], ...] = (
    sync_create,
    sync_raw,
    sync_streaming_response,
    sync_parse,
    sync_chunks,
    sync_raw_chunks,
    sync_stream,
)
ASYNC: tuple[Callable[[openai.AsyncOpenAI, dict[str, Any]], Awaitable[Answer]], ...] = (
    async_create,
    async_raw,
    async_streaming_response,
    async_parse,
    async_chunks,
    async_stream,
)
HELPERS = ("_parse", "_stream")  # they raise where an answer was cut: see below


@pytest.fixture(scope="module")
def sdk(quay: Gateway) -> openai.OpenAI:
    return quay.openai()


@pytest.fixture
async def async_sdk(quay: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with quay.async_openai() as client:
        yield client


def gpt(target: str, script: str) -> str:
    return model(target, script, "gpt")


def _asks(stage: Stage, target: str, way: str) -> dict[str, tuple[dict[str, Any], Told]]:
    """For each play the call to make, and what has to come of it."""
    asks = {}
    for title, play in PLAYS.items():
        name = gpt(target, stage.new(play))
        ask: dict[str, Any] = {"model": name, "messages": USER, "tools": [WEATHER, TIME]}
        if title == "stopped":
            ask["stop"] = ["three"]
        if title == "cut" and way.endswith(HELPERS):
            continue
        asks[title] = ask, expected(play, name)
    return asks


@pytest.mark.parametrize("target", UPSTREAMS)
@pytest.mark.parametrize("way", SYNC, ids=lambda way: way.__name__)
def test_every_way_gives_what_was_said(
    sdk: openai.OpenAI, stage: Stage, target: str, way: Callable[..., Answer]
) -> None:
    asks = _asks(stage, target, way.__name__)
    answers = {title: way(sdk, ask) for title, (ask, _) in asks.items()}
    assert {title: told(answer) for title, (answer, _) in answers.items()} == {
        title: want for title, (_, want) in asks.items()
    }
    for _, headers in answers.values():
        assert headers is NOTHING or headers["x-sampan-upstream"] == UPSTREAMS[target]


@pytest.mark.parametrize("target", UPSTREAMS)
@pytest.mark.parametrize("way", ASYNC, ids=lambda way: way.__name__)
async def test_every_asynchronous_way_gives_what_was_said(
    async_sdk: openai.AsyncOpenAI, stage: Stage, target: str, way: Callable[..., Awaitable[Answer]]
) -> None:
    asks = _asks(stage, target, way.__name__)
    answers = {title: await way(async_sdk, ask) for title, (ask, _) in asks.items()}
    assert {title: told(answer) for title, (answer, _) in answers.items()} == {
        title: want for title, (_, want) in asks.items()
    }
    for _, headers in answers.values():
        assert headers is NOTHING or headers["x-sampan-upstream"] == UPSTREAMS[target]


def test_usage_comes_only_where_it_is_asked_for(sdk: openai.OpenAI, stage: Stage) -> None:
    for target in UPSTREAMS:
        name = gpt(target, stage.new(PLAYS["text"]))
        chunks = list(sdk.chat.completions.create(model=name, messages=USER, stream=True))
        assert all(chunk.usage is None and chunk.choices for chunk in chunks), target
        assert chunks[-1].choices[0].finish_reason == "stop"


# Helpers.


@pytest.mark.parametrize("target", UPSTREAMS)
def test_the_stream_helper_tells_events(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    name = gpt(target, stage.new(PLAYS["calls"]))
    with sdk.chat.completions.stream(model=name, messages=USER, tools=[WEATHER, TIME]) as stream:
        events = [event for event in stream if event.type != "chunk"]
    kinds = [event.type for event in events]
    assert kinds.count("content.done") == 1 and kinds.count("tool_calls.function.arguments.done") == 2
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert deltas == ([""] if target in CHATS else []) + words("I will look.")
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [(event.name, event.index, event.parsed_arguments) for event in done] == [
        ("weather", 0, {"city": "Oslo"}),
        ("time", 1, {"city": "Bergen ☂"}),
    ]
    pieces = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    assert json.loads("".join(event.arguments_delta for event in pieces if event.index == 1)) == {"city": "Bergen ☂"}
    assert len([event for event in pieces if event.index == 1]) > 1, "the arguments came in one piece"


class Step(pydantic.BaseModel):
    explanation: str
    output: int


class Sum(pydantic.BaseModel):
    steps: list[Step]
    answer: int


SUM = Sum(steps=[Step(explanation="两加二", output=4)], answer=4)


def _schema_heard(stage: Stage, target: str, script: str) -> Any:
    asked = stage.heard(script)[-1].json
    if target in CHATS:
        assert asked["response_format"]["json_schema"]["strict"] is True
        return asked["response_format"]["json_schema"]["schema"]
    assert asked["output_config"]["format"]["type"] == "json_schema"
    return asked["output_config"]["format"]["schema"]


@pytest.mark.parametrize("target", UPSTREAMS)
async def test_structured_output_is_parsed(
    sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, stage: Stage, target: str
) -> None:
    script = stage.new(Play(Text(SUM.model_dump_json())))
    ask: dict[str, Any] = {"model": gpt(target, script), "messages": USER, "response_format": Sum}
    for parsed in (sdk.chat.completions.parse(**ask), await async_sdk.chat.completions.parse(**ask)):
        assert parsed.choices[0].message.parsed == SUM
    schema = _schema_heard(stage, target, script)
    assert schema["properties"]["answer"] == {"title": "Answer", "type": "integer"}
    with sdk.chat.completions.stream(**ask) as stream:
        done = [event for event in stream if event.type == "content.done"]
    assert [event.parsed for event in done] == [SUM]
    async with async_sdk.chat.completions.stream(**ask) as async_stream:
        assert (await async_stream.get_final_completion()).choices[0].message.parsed == SUM


class GetWeather(pydantic.BaseModel):
    """The weather of a city."""

    city: str


@pytest.mark.parametrize("target", UPSTREAMS)
def test_tools_are_parsed(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    script = stage.new(Play(ToolCall("GetWeather", {"city": "Oslo"}, "toolu_p")))
    parsed = sdk.chat.completions.parse(
        model=gpt(target, script), messages=USER, tools=[openai.pydantic_function_tool(GetWeather)]
    )
    (call,) = parsed.choices[0].message.tool_calls or ()
    assert call.function.parsed_arguments == GetWeather(city="Oslo")
    tool = stage.heard(script)[-1].json["tools"][0]
    described = tool["function"] if target in CHATS else tool
    assert described["strict"] is True and described["description"] == "The weather of a city."


@pytest.mark.parametrize("target", UPSTREAMS)
def test_the_helpers_say_that_an_answer_was_cut_or_withheld(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    for stop, raised in (
        ("max_tokens", openai.LengthFinishReasonError),
        ("refusal", openai.ContentFilterFinishReasonError),
    ):
        name = gpt(target, stage.new(Play(Text('{"steps": '), stop=stop)))
        with pytest.raises(raised):
            sdk.chat.completions.parse(model=name, messages=USER, response_format=Sum)
        with (
            pytest.raises(raised),
            sdk.chat.completions.stream(model=name, messages=USER, response_format=Sum) as stream,
        ):
            stream.until_done()


@pytest.mark.parametrize("target", CLAUDES)
def test_a_refusal_is_told(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    name = gpt(target, stage.new(Play(Text("I would rather not."), stop="refusal")))
    whole = sdk.chat.completions.create(model=name, messages=USER)
    with sdk.chat.completions.stream(model=name, messages=USER) as stream:
        events = list(stream)
        streamed = stream.current_completion_snapshot
    for completion in (whole, streamed):
        assert completion.choices[0].finish_reason == "content_filter"
        assert completion.choices[0].message.refusal == "The model declined to answer this request."
    assert "refusal.done" in [event.type for event in events]


# What is asked.


@pytest.mark.parametrize("target", UPSTREAMS)
async def test_a_tool_s_result_goes_back(async_sdk: openai.AsyncOpenAI, stage: Stage, target: str) -> None:
    """The whole round: two calls at once, their results, and the answer."""
    script = stage.new(PLAYS["calls"], Play(Text("Rain in both.")))
    history: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it raining?"}]
    ask: dict[str, Any] = {"model": gpt(target, script), "tools": [WEATHER, TIME], "tool_choice": "required"}
    first = await async_sdk.chat.completions.create(**ask, messages=history, parallel_tool_calls=True)
    history.append(first.choices[0].message)
    for call in first.choices[0].message.tool_calls or ():
        history.append({"role": "tool", "tool_call_id": call.id, "content": f"rain for {call.id}"})
    ask["tool_choice"] = {"type": "function", "function": {"name": "time"}}
    second = await async_sdk.chat.completions.create(**ask, messages=history, parallel_tool_calls=False)
    assert second.choices[0].message.content == "Rain in both."
    heard = [each.json for each in stage.heard(script)]
    if target in CHATS:
        assert [each["role"] for each in heard[1]["messages"]] == ["system", "user", "assistant", "tool", "tool"]
        assert heard[1]["parallel_tool_calls"] is False
        return
    assert heard[0]["system"] == "Be brief." and heard[0]["tool_choice"] == {"type": "any"}
    assert heard[1]["tool_choice"] == {"type": "tool", "name": "time", "disable_parallel_tool_use": True}
    assert [tool.get("strict") for tool in heard[0]["tools"]] == [True, True]
    said, results = heard[1]["messages"][1:]
    assert [block["type"] for block in said["content"]] == ["text", "tool_use", "tool_use"]
    assert [(block["id"], block["input"]) for block in said["content"][1:]] == [
        ("toolu_a", {"city": "Oslo"}),
        ("call_b-2", {"city": "Bergen ☂"}),
    ]
    assert [block["tool_use_id"] for block in results["content"]] == ["toolu_a", "call_b-2"]
    assert "rain for toolu_a" in json.dumps(results["content"][0]["content"])


PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\ntrailer<</Root 1 0 R>>"
)


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


@pytest.mark.parametrize("target", UPSTREAMS)
def test_pictures_and_documents_arrive(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    script = stage.new(Play(Text("I see.")))
    link = stage.shows(f"{script}.png", PICTURE, "image/png")
    inline = f"data:image/png;base64,{PICTURE64}"
    pdf = base64.b64encode(PDF).decode()
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}}
    content: list[Any] = [{"type": "text", "text": "What is it?"}, _image(inline), _image(link), file]
    raw = sdk.chat.completions.with_raw_response.create(
        model=gpt(target, script), messages=[{"role": "user", "content": content}]
    )
    assert raw.parse().choices[0].message.content == "I see."
    (turn,) = stage.heard(script)[-1].json["messages"]
    if target in CHATS:
        assert turn["content"] == content, "a chat server is to get what was sent"
        return
    kinds = [(block["type"], block.get("source", {}).get("type")) for block in turn["content"]]
    fetched = target == "near"  # a cloud fetches by itself
    assert kinds == [
        ("text", None),
        ("image", "base64"),
        ("image", "base64" if fetched else "url"),
        ("document", "base64"),
    ]
    assert (f"{script}.png" in stage.fetched) is fetched
    if fetched:
        assert base64.b64decode(turn["content"][2]["source"]["data"]) == PICTURE
    else:
        assert turn["content"][2]["source"]["url"] == link
    assert base64.b64decode(turn["content"][3]["source"]["data"]) == PDF
    assert turn["content"][3]["title"] == "a.pdf"
    receipt = raw.headers["x-sampan-receipt"]
    assert all(f"messages.0.content.{index}" in receipt for index in (1, 2, 3)), receipt


@pytest.mark.parametrize("target", CHATS)
def test_a_chat_server_is_asked_for_what_it_alone_can(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    """Several choices and log probabilities, whole and streamed: as the server said them."""
    entry = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}
    head = {"id": "chatcmpl-2", "created": 1, "model": "m"}
    choices = [
        {
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": f"Hi {index}", "refusal": None},
            "logprobs": {"content": [entry], "refusal": None},
        }
        for index in range(3)
    ]
    body = json.dumps(head | {"object": "chat.completion", "choices": choices}).encode()
    frames = [
        {"index": index, "delta": {"content": f"Hi {index}"}, "finish_reason": end, "logprobs": {"content": [entry]}}
        for end in (None, "stop")
        for index in range(3)
    ]
    chunks = [json.dumps(head | {"object": "chat.completion.chunk", "choices": [each]}) for each in frames]
    script = stage.new(Says(body, [f"data: {chunk}\n\n".encode() for chunk in [*chunks, "[DONE]"]]))
    ask: dict[str, Any] = {"model": gpt(target, script), "messages": USER, "n": 3, "logprobs": True, "top_logprobs": 0}
    whole = sdk.chat.completions.create(**ask)
    assert [choice.message.content for choice in whole.choices] == ["Hi 0", "Hi 1", "Hi 2"]
    assert all(choice.logprobs and choice.logprobs.content[0].logprob == -0.25 for choice in whole.choices)
    with sdk.chat.completions.stream(**ask) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert [choice.message.content for choice in final.choices] == ["Hi 0Hi 0", "Hi 1Hi 1", "Hi 2Hi 2"]
    assert [event.type for event in events].count("logprobs.content.delta") == 6
    assert {heard.json["n"] for heard in stage.heard(script)} == {3}


@pytest.mark.parametrize("target", CLAUDES)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"1": 2}),
        ("modalities", ["audio"]),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("future_of_2028", 1),
    ],
)
def test_what_a_messages_server_cannot_do_is_refused_by_name(
    sdk: openai.OpenAI, stage: Stage, target: str, field: str, value: Any
) -> None:
    script = stage.new(PLAYS["text"])
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as failure:
            sdk.chat.completions.create(
                model=gpt(target, script), messages=USER, stream=stream, extra_body={field: value}
            )
        assert (failure.value.param, failure.value.type) == (field, "invalid_request_error")
        assert failure.value.request_id and field in failure.value.message
    assert stage.heard(script) == [], "it was asked all the same"


@pytest.mark.parametrize("target", CLAUDES)
def test_every_knob_is_turned_the_same_way(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    script = stage.new(PLAYS["text"])
    sdk.chat.completions.create(
        model=gpt(target, script),
        messages=[{"role": "developer", "content": "Be brief."}, *USER],
        max_completion_tokens=77,
        temperature=1.5,
        top_p=0.5,
        stop="END",
        response_format={"type": "json_object"},
        reasoning_effort="minimal",
        safety_identifier="user-1",
        seed=4,
        n=1,
        store=False,
        metadata={"a": "b"},
    )
    asked = stage.heard(script)[-1].json
    assert asked.pop("system").startswith("Be brief.\n\nAnswer with one JSON object")
    assert asked.pop("messages")[0]["role"] == "user"
    assert asked == {
        "model": gpt(target, script),
        "max_tokens": 77,
        "temperature": 1,
        "top_p": 0.5,
        "stop_sequences": ["END"],
        "output_config": {"effort": "low"},
        "metadata": {"user_id": "user-1"},
    }


def test_the_reader_answers_a_chat(quay: Gateway, sdk: openai.OpenAI) -> None:
    """Our own engine behind the wire: pasted text, whole and streamed."""
    quay.wait_ready(100)
    page = "INVOICE\nInvoice No: A-2217\nDate: 2026-03-14\nTotal: 1,234.50 USD\n" + "Terms apply. " * 40
    turns: list[Any] = [{"role": "user", "content": [{"type": "text", "text": page}, {"type": "text", "text": ASKED}]}]
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-reader", messages=turns)
    assert "1,234.50" in (raw.parse().choices[0].message.content or "")
    assert raw.headers["x-sampan-tier"] == "degraded"
    with sdk.chat.completions.stream(model="gpt-reader", messages=turns, **USAGE) as stream:
        final = stream.get_final_completion()
    assert "1,234.50" in (final.choices[0].message.content or "") and final.usage and final.usage.completion_tokens > 3


ASKED = "What is the total?"


# Streams that break.


@pytest.mark.parametrize("target", UPSTREAMS)
def test_a_stream_that_breaks_raises(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    long = Play(Text(" ".join(["word" * 100_000] * 5)))  # no reader takes it and the error at once
    script = stage.new(Fails(529, "overloaded_error", play=long, after=6))
    seen = ""
    with pytest.raises(openai.APIError, match="broke off") as failure:
        for chunk in sdk.chat.completions.create(model=gpt(target, script), messages=USER, stream=True):
            seen += chunk.choices[0].delta.content or ""
    assert seen.startswith("word") and failure.value.type == "server_error"
