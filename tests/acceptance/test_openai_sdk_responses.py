"""Every way that the official `openai` client has to ask for a Response, and all that it asks of stored ones."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import openai
import pydantic
import pytest
from cells import PICTURE, PICTURE64
from gateway import Gateway
from openai.types.responses import Response
from sdk_clouds import Bill, Fails, Play, Stage, Text, Thought, ToolCall, model
from test_openai_sdk import CHATS, PARAMETERS, PDF, SUM, UPSTREAMS, Sum

WEATHER: dict[str, Any] = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
TIME: dict[str, Any] = WEATHER | {"name": "time", "description": "The time in a city."}
PLAYS: Mapping[str, Play] = {
    "text": Play(Text("I am a fake, 我是假的.")),
    "calls": Play(
        Thought("Two calls."),
        Text("I will look."),
        ToolCall("weather", {"city": "Oslo"}, "toolu_a"),
        ToolCall("time", {"city": "Bergen ☂"}, "call_b-2"),
    ),
    "cut": Play(Text("It was a dark and"), stop="max_tokens"),
    "refused": Play(Text("I would rather not."), stop="refusal"),
    "uncached": Play(Text("Hi."), bill=Bill(7, 2, 0)),
}
REASONS = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}


@dataclass(frozen=True)
class Told:
    """What the SDK made of a response, without what differs by chance."""

    output: list[tuple[Any, ...]]
    status: tuple[str | None, str | None]
    usage: tuple[int, int, int, int]
    model: str


def _item(item: Any) -> tuple[Any, ...]:
    if item.type == "reasoning":
        return "reasoning", [part.text for part in item.summary]
    if item.type == "message":
        assert item.role == "assistant" and item.id.startswith("msg_")
        return "message", [part.text for part in item.content]
    assert item.type == "function_call" and item.id.startswith("fc_")
    return "function_call", item.call_id, item.name, json.loads(item.arguments)


def told(response: Any) -> Told:
    usage, reason = response.usage, response.incomplete_details
    assert response.object == "response" and response.id.startswith("resp_") and response.error is None
    numbers = usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.input_tokens_details.cached_tokens
    status = response.status, reason.reason if reason else None
    return Told([_item(item) for item in response.output], status, numbers, response.model)


def expected(play: Play, name: str) -> Told:
    output: list[tuple[Any, ...]] = []
    for piece in play.pieces:
        if isinstance(piece, ToolCall):
            output.append(("function_call", piece.id, piece.name, dict(piece.input)))
        else:
            output.append(("reasoning" if isinstance(piece, Thought) else "message", [piece.text]))
    read, written, cached = play.bill.fresh + play.bill.cached, play.bill.output, play.bill.cached
    reason = REASONS.get(play.stop)
    return Told(
        output, ("incomplete" if reason else "completed", reason), (read, written, read + written, cached), name
    )


# The ways to ask.


def _ended(events: list[Any]) -> Any:
    """The response in the last event, and that those before it were in their order and say the same."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    final = events[-1].response
    assert events[-1].type == f"response.{final.status}"
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.item.to_dict() for event in done] == [item.to_dict() for item in final.output]
    assert [event.output_index for event in done] == list(range(len(final.output)))
    for kind, whole in (("output_text", "text"), ("function_call_arguments", "arguments")):
        deltas = "".join(event.delta for event in events if event.type == f"response.{kind}.delta")
        ends = "".join(getattr(event, whole) for event in events if event.type == f"response.{kind}.done")
        assert deltas == ends
    assert events[0].response.id == final.id
    return final


def sync_create(sdk: openai.OpenAI, ask: dict[str, Any]) -> Any:
    return sdk.responses.create(**ask)


def sync_raw(sdk: openai.OpenAI, ask: dict[str, Any]) -> Any:
    return sdk.responses.with_raw_response.create(**ask).parse()


def sync_streaming_response(sdk: openai.OpenAI, ask: dict[str, Any]) -> Any:
    with sdk.responses.with_streaming_response.create(**ask) as response:
        return response.parse()


def sync_parse(sdk: openai.OpenAI, ask: dict[str, Any]) -> Any:
    return sdk.responses.parse(**ask)


def sync_events(sdk: openai.OpenAI, ask: dict[str, Any]) -> Any:
    with sdk.responses.create(**ask, stream=True) as events:
        return _ended(list(events))


def sync_stream(sdk: openai.OpenAI, ask: dict[str, Any]) -> Any:
    last: Any = None
    with sdk.responses.stream(**ask) as stream:
        for last in stream:
            assert last.type
        # The helper's own final response is for answers that were completed.
        return stream.get_final_response() if last.type == "response.completed" else last.response


async def async_create(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Any:
    return await sdk.responses.create(**ask)


async def async_raw(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Any:
    return (await sdk.responses.with_raw_response.create(**ask)).parse()


async def async_parse(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Any:
    return await sdk.responses.parse(**ask)


async def async_events(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Any:
    async with await sdk.responses.create(**ask, stream=True) as events:
        return _ended([event async for event in events])


async def async_stream(sdk: openai.AsyncOpenAI, ask: dict[str, Any]) -> Any:
    last: Any = None
    async with sdk.responses.stream(**ask) as stream:
        async for last in stream:
            assert last.type
        return await stream.get_final_response() if last.type == "response.completed" else last.response


SYNC = (sync_create, sync_raw, sync_streaming_response, sync_parse, sync_events, sync_stream)
ASYNC = (async_create, async_raw, async_parse, async_events, async_stream)


@pytest.fixture(scope="module")
def sdk(quay: Gateway) -> openai.OpenAI:
    return quay.openai()


@pytest.fixture
async def async_sdk(quay: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with quay.async_openai() as client:
        yield client


def gpt(target: str, script: str) -> str:
    return model(target, script, "gpt")


def _asks(stage: Stage, target: str) -> dict[str, tuple[dict[str, Any], Told]]:
    asks = {}
    for title, play in PLAYS.items():
        name = gpt(target, stage.new(play))
        ask = {"model": name, "input": "Who are you?", "tools": [WEATHER, TIME], "store": False}
        asks[title] = ask, expected(play, name)
    return asks


@pytest.mark.parametrize("target", UPSTREAMS)
@pytest.mark.parametrize("way", SYNC, ids=lambda way: way.__name__)
def test_every_way_gives_what_was_said(sdk: openai.OpenAI, stage: Stage, target: str, way: Callable[..., Any]) -> None:
    asks = _asks(stage, target)
    answers = {title: way(sdk, ask) for title, (ask, _) in asks.items()}
    assert {title: told(answer) for title, answer in answers.items()} == {
        title: want for title, (_, want) in asks.items()
    }
    assert answers["text"].output_text == "I am a fake, 我是假的."


@pytest.mark.parametrize("target", UPSTREAMS)
@pytest.mark.parametrize("way", ASYNC, ids=lambda way: way.__name__)
async def test_every_asynchronous_way_gives_what_was_said(
    async_sdk: openai.AsyncOpenAI, stage: Stage, target: str, way: Callable[..., Awaitable[Any]]
) -> None:
    asks = _asks(stage, target)
    answers = {title: await way(async_sdk, ask) for title, (ask, _) in asks.items()}
    assert {title: told(answer) for title, answer in answers.items()} == {
        title: want for title, (_, want) in asks.items()
    }


# Helpers, and what is asked.


@pytest.mark.parametrize("target", UPSTREAMS)
async def test_structured_output_is_parsed(
    sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, stage: Stage, target: str
) -> None:
    script = stage.new(Play(Text(SUM.model_dump_json())))
    ask: dict[str, Any] = {"model": gpt(target, script), "input": "2 + 2?", "text_format": Sum}
    assert sdk.responses.parse(**ask).output_parsed == SUM
    assert (await async_sdk.responses.parse(**ask)).output_parsed == SUM
    with sdk.responses.stream(**ask) as stream:
        ends = [event for event in stream if event.type == "response.output_text.done"]
        assert stream.get_final_response().output_parsed == SUM
    assert [event.parsed for event in ends] == [SUM]
    asked = stage.heard(script)[-1].json
    if target in CHATS:
        schema = asked["response_format"]["json_schema"]["schema"]
    else:
        schema = asked["output_config"]["format"]["schema"]
    assert schema["required"] == ["steps", "answer"]


class GetWeather(pydantic.BaseModel):
    city: str


@pytest.mark.parametrize("target", UPSTREAMS)
async def test_a_tool_s_result_goes_back(
    sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, stage: Stage, target: str
) -> None:
    """Once with the items sent back by the caller, reasoning and all, and once with only the results."""
    heard = []
    script = stage.new()
    for stored in (False, True):
        stage.plays(script, PLAYS["calls"], Play(Text("Rain in both.")))
        ask: dict[str, Any] = {"model": gpt(target, script), "tools": [WEATHER, TIME], "store": stored}
        first = sdk.responses.create(
            **ask, input="Is it raining?", instructions="Be brief.", include=["reasoning.encrypted_content"]
        )
        calls = [item for item in first.output if item.type == "function_call"]
        results: list[Any] = [
            {"type": "function_call_output", "call_id": call.call_id, "output": f"rain for {call.call_id}"}
            for call in calls
        ]
        ask |= {"parallel_tool_calls": False, "tool_choice": {"type": "function", "name": "time"}}
        if stored:
            ask |= {"previous_response_id": first.id, "instructions": "Be brief."}
        else:
            question = {"role": "user", "content": "Is it raining?"}
            results = [{"role": "developer", "content": "Be brief."}, question, *first.output, *results]
        second = await async_sdk.responses.create(**ask, input=results)
        assert second.output_text == "Rain in both."
        heard.append(stage.heard(script)[-1].json)
    assert heard[0] == heard[1], "the chain does not say what the caller would have said"
    texts = json.dumps(heard[0], ensure_ascii=False)
    assert [texts.count(name) for name in ("rain for toolu_a", "rain for call_b-2", "I will look.")] == [1, 1, 1]
    if target in CHATS:
        assert [each["role"] for each in heard[0]["messages"]] == ["system", "user", "assistant", "tool", "tool"]
        assert heard[0]["parallel_tool_calls"] is False
    else:
        assert heard[0]["system"] == "Be brief."
        said, answered = heard[0]["messages"][1:]
        assert [block["type"] for block in said["content"]][-3:] == ["text", "tool_use", "tool_use"]
        assert said["content"][0]["type"] == "thinking" and said["content"][0]["thinking"] == "Two calls."
        assert [block["tool_use_id"] for block in answered["content"]] == ["toolu_a", "call_b-2"]
        assert heard[0]["tool_choice"]["name"] == "time" and heard[0]["tool_choice"]["disable_parallel_tool_use"]


@pytest.mark.parametrize("target", UPSTREAMS)
def test_pictures_and_documents_arrive(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    script = stage.new(Play(Text("I see.")))
    link = stage.shows(f"{script}.png", PICTURE, "image/png")
    kept = sdk.files.create(file=("kept.png", PICTURE, "image/png"), purpose="vision")
    pdf = base64.b64encode(PDF).decode()
    content: list[Any] = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE64}", "detail": "high"},
        {"type": "input_image", "image_url": link, "detail": "auto"},
        {"type": "input_image", "file_id": kept.id, "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{pdf}"},
    ]
    raw = sdk.responses.with_raw_response.create(
        model=gpt(target, script), input=[{"role": "user", "content": content}]
    )
    assert raw.parse().output_text == "I see."
    heard = stage.heard(script)[-1].json["messages"][0]["content"]
    pictures = [_pixels(part) for part in heard if part["type"] in ("image", "image_url")]
    fetched = target in ("near", "chat")  # clouds fetch by themselves
    assert pictures[:3] == [PICTURE, PICTURE if fetched else link.encode(), PICTURE]
    assert (f"{script}.png" in stage.fetched) is fetched
    if target in CHATS:
        assert len(pictures) == 4, "the page of the PDF is a picture there"
        assert pictures[3].startswith(b"\x89PNG") or pictures[3].startswith(b"\xff\xd8")
    else:
        (document,) = [part for part in heard if part["type"] == "document"]
        assert base64.b64decode(document["source"]["data"]) == PDF
    receipt = raw.headers["x-sampan-receipt"]
    assert all(f"messages.0.content.{index}" in receipt for index in (1, 2, 3, 4)), receipt


def _pixels(part: dict[str, Any]) -> bytes:
    """The picture of a part in either wire, or its link."""
    if part["type"] == "image":
        source = part["source"]
        return base64.b64decode(source["data"]) if source["type"] == "base64" else str(source["url"]).encode()
    url = str(part["image_url"]["url"])
    return base64.b64decode(url.partition(",")[2]) if url.startswith("data:") else url.encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("background", True),
        ("conversation", "conv_1"),
        ("top_logprobs", 2),
        ("include", ["web_search_call.action.sources"]),
        ("tools", [{"type": "web_search"}]),
        ("future_of_2028", 1),
    ],
)
def test_what_no_upstream_can_do_is_refused_by_name(sdk: openai.OpenAI, stage: Stage, field: str, value: Any) -> None:
    script = stage.new(PLAYS["text"])
    for target, stream in (("cloud", False), ("chat", True)):
        with pytest.raises(openai.BadRequestError) as failure:
            sdk.responses.create(model=gpt(target, script), input="Hi", stream=stream, extra_body={field: value})
        assert re.fullmatch(rf"{field}(\.0(\.\w+)?)?", failure.value.param or ""), failure.value.param
        assert failure.value.type == "invalid_request_error" and failure.value.request_id
    assert stage.heard(script) == []


def test_the_reader_answers_a_response(quay: Gateway, sdk: openai.OpenAI) -> None:
    quay.wait_ready(100)
    page = "INVOICE\nInvoice No: A-2217\nDate: 2026-03-14\nTotal: 1,234.50 USD\n" + "Terms apply. " * 40
    first = sdk.responses.create(
        model="gpt-reader", input=[{"role": "user", "content": page}, {"role": "user", "content": "What is the total?"}]
    )
    assert "1,234.50" in first.output_text
    with sdk.responses.stream(
        model="gpt-reader", input="What is the invoice number?", previous_response_id=first.id
    ) as stream:
        assert "A-2217" in stream.get_final_response().output_text


# Stored responses.


async def test_a_response_is_kept_read_and_forgotten(
    sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, stage: Stage
) -> None:
    script = stage.new(PLAYS["calls"])
    ask: dict[str, Any] = {"model": gpt("cloud", script), "tools": [WEATHER, TIME], "metadata": {"a": "b"}}
    with sdk.responses.stream(**ask, input="Streamed?") as stream:
        streamed = stream.get_final_response()
    whole = sdk.responses.create(**ask, input=[{"role": "user", "content": [{"type": "input_text", "text": "Whole?"}]}])
    for made, question in ((streamed, "Streamed?"), (whole, "Whole?")):
        found = sdk.responses.retrieve(made.id)
        assert isinstance(found, Response) and found.to_dict() == _plain(made)
        assert (await async_sdk.responses.retrieve(made.id)).metadata == {"a": "b"}
        listed = sdk.responses.input_items.list(made.id)
        item: Any
        (item,) = list(listed)
        assert item.type == "message" and item.role == "user" and item.id
        assert item.content[0].text == question
        page = await async_sdk.responses.input_items.list(made.id, order="asc", limit=1)
        assert [each.id async for each in page] == [item.id]
        sdk.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError) as failure:
            await async_sdk.responses.retrieve(made.id)
        assert made.id in failure.value.message and failure.value.request_id


def _plain(response: Any) -> dict[str, Any]:
    """Without what the SDK's parser added to it."""
    said: dict[str, Any] = json.loads(response.to_json())
    for item in said["output"]:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or ():
            part.pop("parsed", None)
    return said


def test_many_input_items_come_in_pages(sdk: openai.OpenAI, stage: Stage) -> None:
    turns: list[Any] = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(7)]
    made = sdk.responses.create(model=gpt("cloud", stage.new(PLAYS["text"])), input=turns)
    order: Any
    for order, step in (("asc", 1), ("desc", -1)):
        items: list[Any] = list(sdk.responses.input_items.list(made.id, limit=2, order=order))
        texts = [item.content[0].text for item in items]
        assert texts == [f"turn {n}" for n in range(7)][::step]


def test_a_chain_is_what_was_said_before(sdk: openai.OpenAI, stage: Stage) -> None:
    script = stage.new(Play(Text("One.")), Play(Text("Two.")), Play(Text("Three.")))
    name = gpt("near", script)
    first = sdk.responses.create(model=name, input="1?")
    with sdk.responses.stream(model=name, input="2?", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    assert second.previous_response_id == first.id
    sdk.responses.create(model=name, input="3?", previous_response_id=second.id, instructions="New rules.")
    asked = stage.heard(script)[-1].json
    said = [
        turn["content"] if isinstance(turn["content"], str) else turn["content"][0]["text"]
        for turn in asked["messages"]
    ]
    assert said == ["1?", "One.", "2?", "Two.", "3?"] and asked["system"] == "New rules."
    sdk.responses.delete(first.id)
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as failure:
        sdk.responses.create(model=name, input="4?", previous_response_id=second.id)
    assert failure.value.param == "previous_response_id"


def test_what_is_not_to_be_stored_is_not(sdk: openai.OpenAI, stage: Stage) -> None:
    made = sdk.responses.create(model=gpt("chat", stage.new(PLAYS["text"])), input="Hi", store=False)
    assert made.to_dict()["store"] is False
    for ask in (
        lambda: sdk.responses.retrieve(made.id),
        lambda: sdk.responses.delete(made.id),
        lambda: sdk.responses.cancel(made.id),
        lambda: sdk.responses.input_items.list(made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()


async def test_nothing_runs_in_the_background(sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, stage: Stage) -> None:
    made = sdk.responses.create(model=gpt("openai", stage.new(PLAYS["text"])), input="Hi")
    with pytest.raises(openai.BadRequestError, match="background"):
        sdk.responses.cancel(made.id)
    with pytest.raises(openai.BadRequestError, match="background"):
        await async_sdk.responses.cancel(made.id)
    with pytest.raises(openai.BadRequestError) as failure:
        sdk.responses.retrieve(made.id, stream=True)
    assert failure.value.param == "stream"


@pytest.mark.parametrize("target", UPSTREAMS)
def test_a_stream_that_breaks_raises(sdk: openai.OpenAI, stage: Stage, target: str) -> None:
    long = Play(Text(" ".join(["word" * 100_000] * 5)))  # no reader takes it and the error at once
    script = stage.new(Fails(529, "overloaded_error", play=long, after=6))
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="broke off"):
        for event in sdk.responses.create(model=gpt(target, script), input="Hi", stream=True):
            seen.append(event)
    assert "response.output_text.delta" in [event.type for event in seen]
    assert "response.completed" not in [event.type for event in seen]
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(seen[0].response.id)
