"""Every way that the official `anthropic` client has to ask for a Message, against each kind of upstream.

What the upstream says is written once (`sdk_clouds.Play`); what the SDK makes of our answer has to be that.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import pydantic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from behaviours import frame
from gateway import Gateway, eventually
from sdk_asks import CHATS, TOOLS, UPSTREAMS, asking
from sdk_clouds import COUNTED, LISTED, Bill, Piece, Play, Says, Stage, Text, Thought, ToolCall, model

TARGETS = ("cloud", "near", "chat", "openai")
OSLO, BERGEN = ToolCall("weather", {"city": "Oslo"}, "toolu_a"), ToolCall("time", {"city": "Bergen ☂"}, "call_b-2")
PLAYS: Mapping[str, Play] = {
    "text": Play(Text("I am a fake, 我是假的 — and proud of it.")),
    "thought": Play(Thought("Hm. A question."), Text("An answer.")),
    "call": Play(OSLO),
    "calls": Play(Thought("Two calls."), Text("I will look."), OSLO, BERGEN),
    "no arguments": Play(ToolCall("time", {}, "toolu_none")),
    "cut": Play(Text("It was a dark and"), stop="max_tokens"),
    "stopped": Play(Text("One, two, "), stop="stop_sequence", sequence="three"),
    "refused": Play(Text("I would rather not."), stop="refusal"),
    "uncached": Play(Text("Hi."), bill=Bill(7, 2, 0)),
}


@dataclass(frozen=True)
class Told:
    """What the SDK made of an answer, without what differs by upstream or by chance."""

    blocks: list[dict[str, Any]]
    stop: tuple[str | None, str | None]
    usage: tuple[int, int | None, int]
    model: str


def told(message: Any) -> Told:
    blocks = [block.to_dict() for block in message.content]
    for block in blocks:
        block.pop("signature", None)
        block.pop("parsed_output", None)
    usage = message.usage
    assert message.id.startswith("msg_") and (message.type, message.role) == ("message", "assistant")
    return Told(
        blocks,
        (message.stop_reason, message.stop_sequence),
        (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens),
        message.model,
    )


def block(piece: Piece) -> dict[str, Any]:
    if isinstance(piece, Text):
        return {"type": "text", "text": piece.text}
    if isinstance(piece, Thought):
        return {"type": "thinking", "thinking": piece.text}
    return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": dict(piece.input)}


def expected(play: Play, name: str) -> Told:
    bill = play.bill
    return Told(
        [block(piece) for piece in play.pieces],
        (play.stop, play.sequence),
        (bill.fresh, bill.cached, bill.output),
        name,
    )


# The ways to ask. Each gives the message, and the headers that came with it where this way shows them.

Answer = tuple[Any, Mapping[str, str]]
NOTHING: Mapping[str, str] = {}


def _gathered(events: list[Any]) -> Any:
    """What somebody makes of raw events who does not use the helper: only indices, deltas and totals count."""
    message = events[0].message.to_dict()
    parts: dict[int, str] = {}
    assert events[-1].type == "message_stop"
    for event in events[1:]:
        if event.type == "content_block_start":
            assert event.index == len(message["content"])
            message["content"].append(event.content_block.to_dict())
        elif event.type == "content_block_delta":
            delta, here = event.delta, message["content"][event.index]
            if delta.type == "input_json_delta":
                parts[event.index] = parts.get(event.index, "") + delta.partial_json
            else:
                name = delta.type.removesuffix("_delta")
                here[name] = here.get(name, "") + getattr(delta, name)
        elif event.type == "message_delta":
            message |= event.delta.to_dict()
            message["usage"] |= {key: each for key, each in event.usage.to_dict().items() if each is not None}
    for index, text in parts.items():
        message["content"][index]["input"] = json.loads(text or "{}")
    return Message.model_validate(message)


def sync_create(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    return sdk.messages.create(**ask), NOTHING


def sync_raw(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    raw = sdk.messages.with_raw_response.create(**ask)
    Message.model_validate_json(raw.read(), strict=True)
    return raw.parse(), raw.headers


def sync_streaming_response(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    with sdk.messages.with_streaming_response.create(**ask) as response:
        return response.parse(), response.headers


def sync_events(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    with sdk.messages.create(**ask, stream=True) as events:
        return _gathered(list(events)), events.response.headers


def sync_raw_events(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    raw = sdk.messages.with_raw_response.create(**ask, stream=True)
    return _gathered(list(raw.parse())), raw.headers


def sync_stream(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    with sdk.messages.stream(**ask) as stream:
        return stream.get_final_message(), stream.response.headers


def sync_beta(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    raw = sdk.beta.messages.with_raw_response.create(**ask, betas=["next-2027-01-01"])
    return raw.parse(), raw.headers


def sync_beta_stream(sdk: anthropic.Anthropic, ask: dict[str, Any]) -> Answer:
    with sdk.beta.messages.stream(**ask, betas=["next-2027-01-01"]) as stream:
        return stream.get_final_message(), stream.response.headers


async def async_create(sdk: anthropic.AsyncAnthropic, ask: dict[str, Any]) -> Answer:
    return await sdk.messages.create(**ask), NOTHING


async def async_raw(sdk: anthropic.AsyncAnthropic, ask: dict[str, Any]) -> Answer:
    raw = await sdk.messages.with_raw_response.create(**ask)
    return await raw.parse(), raw.headers


async def async_streaming_response(sdk: anthropic.AsyncAnthropic, ask: dict[str, Any]) -> Answer:
    async with sdk.messages.with_streaming_response.create(**ask) as response:
        return await response.parse(), response.headers


async def async_events(sdk: anthropic.AsyncAnthropic, ask: dict[str, Any]) -> Answer:
    async with await sdk.messages.create(**ask, stream=True) as events:
        return _gathered([event async for event in events]), events.response.headers


async def async_stream(sdk: anthropic.AsyncAnthropic, ask: dict[str, Any]) -> Answer:
    async with sdk.messages.stream(**ask) as stream:
        return await stream.get_final_message(), stream.response.headers


async def async_beta(sdk: anthropic.AsyncAnthropic, ask: dict[str, Any]) -> Answer:
    return await sdk.beta.messages.create(**ask, betas=["next-2027-01-01"]), NOTHING


async def async_beta_stream(sdk: anthropic.AsyncAnthropic, ask: dict[str, Any]) -> Answer:
    async with sdk.beta.messages.stream(**ask, betas=["next-2027-01-01"]) as stream:
        return await stream.get_final_message(), stream.response.headers


SYNC: tuple[Callable[[anthropic.Anthropic, dict[str, Any]], Answer], ...] = (
    sync_create,
    sync_raw,
    sync_streaming_response,
    sync_events,
    sync_raw_events,
    sync_stream,
    sync_beta,
    sync_beta_stream,
)
ASYNC: tuple[Callable[[anthropic.AsyncAnthropic, dict[str, Any]], Awaitable[Answer]], ...] = (
    async_create,
    async_raw,
    async_streaming_response,
    async_events,
    async_stream,
    async_beta,
    async_beta_stream,
)


def _asks(stage: Stage, target: str) -> dict[str, tuple[dict[str, Any], Told]]:
    """For each play the call to make, and what has to come of it."""
    asks = {}
    for title, play in PLAYS.items():
        name = stage.new(play)
        asks[title] = asking(target, name, tools=TOOLS, stop_sequences=["three"]), expected(play, model(target, name))
    return asks


def _upstream(headers: Mapping[str, str]) -> str | None:
    return headers.get("x-sampan-upstream") if headers is not NOTHING else None


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("way", SYNC, ids=lambda way: way.__name__)
def test_every_way_gives_what_was_said(
    sdk: anthropic.Anthropic, stage: Stage, target: str, way: Callable[..., Answer]
) -> None:
    asks = _asks(stage, target)
    answers = {title: way(sdk, ask) for title, (ask, _) in asks.items()}
    assert {title: told(message) for title, (message, _) in answers.items()} == {
        title: want for title, (_, want) in asks.items()
    }
    assert {_upstream(headers) for _, headers in answers.values()} <= {UPSTREAMS[target], None}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("way", ASYNC, ids=lambda way: way.__name__)
async def test_every_asynchronous_way_gives_what_was_said(
    async_sdk: anthropic.AsyncAnthropic, stage: Stage, target: str, way: Callable[..., Awaitable[Answer]]
) -> None:
    asks = _asks(stage, target)
    answers = {title: await way(async_sdk, ask) for title, (ask, _) in asks.items()}
    assert {title: told(message) for title, (message, _) in answers.items()} == {
        title: want for title, (_, want) in asks.items()
    }
    assert {_upstream(headers) for _, headers in answers.values()} <= {UPSTREAMS[target], None}


# What the helpers make of a stream on its way.


@pytest.mark.parametrize("target", TARGETS)
def test_the_stream_helper_tells_each_step(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    """Texts, thoughts and a tool's input grow word by word, one block after the other, and the snapshot with them."""
    play = PLAYS["calls"]
    seen: list[str] = []
    with sdk.messages.stream(**asking(target, stage.new(play), tools=TOOLS)) as stream:
        for event in stream:
            seen.append(event.type)
            snapshot = stream.current_message_snapshot
            if event.type == "text":
                assert event.snapshot == snapshot.content[1].text and event.text
            elif event.type == "input_json":
                assert event.snapshot == snapshot.content[-1].input
            elif event.type == "content_block_stop":
                assert event.content_block.to_dict() | {"signature": ""} == block(play.pieces[event.index]) | {
                    "signature": ""
                }
                assert len(snapshot.content) == event.index + 1, "a block begins before the one before it has ended"
        final = stream.get_final_message()
    assert told(final).blocks == [block(piece) for piece in play.pieces]
    assert (
        seen.count("text") == 3 and seen.count("thinking") == 2 and seen.count("signature") == (target != "openai")
    ), "what OpenAI thinks, nobody signs"
    assert seen[0] == "message_start" and seen[-2:] == ["message_delta", "message_stop"]
    assert seen.count("content_block_start") == seen.count("content_block_stop") == 4


@pytest.mark.parametrize("target", TARGETS)
async def test_text_streams_word_by_word(
    async_sdk: anthropic.AsyncAnthropic, sdk: anthropic.Anthropic, stage: Stage, target: str
) -> None:
    ask = asking(target, stage.new(PLAYS["text"]))
    whole = "I am a fake, 我是假的 — and proud of it."
    async with async_sdk.messages.stream(**ask) as stream:
        pieces = [piece async for piece in stream.text_stream]
        assert await stream.get_final_text() == "".join(pieces) == whole
    with sdk.messages.stream(**ask) as events:
        assert list(events.text_stream) == pieces and len(pieces) == len(whole.split(" "))
        assert events.get_final_text() == whole
        assert events.request_id and events.request_id.startswith("req_")


@pytest.mark.parametrize("target", TARGETS)
def test_every_event_is_of_the_wires_own_types(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    """The SDK does not validate what it reads: here each event is held to its type, and to its place."""
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RawMessageStreamEvent)
    for title, play in PLAYS.items():
        raw = sdk.messages.with_raw_response.create(
            **asking(target, stage.new(play), tools=TOOLS, stop_sequences=["three"]), stream=True
        )
        kinds = []
        for each in filter(None, raw.http_response.read().decode().split("\n\n")):
            first, second = each.split("\n")
            data = json.loads(second.removeprefix("data: "))
            assert first == f"event: {data['type']}", title
            if data["type"] != "ping":
                adapter.validate_python(data)
                kinds.append(data["type"])
        assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], title


@pytest.mark.parametrize("target", TARGETS)
def test_usage_is_there_from_the_beginning(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    """Claude Code stops at a usage of zero. Who counts only at the end is estimated until then, and believed then."""
    ask = asking(target, stage.new(Play(Text("Hello."), bill=Bill(2000, 3, 500))))
    with sdk.messages.stream(**ask) as stream:
        events = list(stream)
        final = stream.get_final_message()
    started = events[0].message.usage
    assert started.output_tokens == 1
    if target == "openai":
        assert 0 < started.input_tokens < 200, "OpenAI counts at the end"
    else:  # vLLM tells what was cached at the end only
        cached = 0 if target == "chat" else 500
        assert (started.input_tokens, started.cache_read_input_tokens) == (2500 - cached, cached)
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens, final.usage.output_tokens) == (2000, 500, 3)


def test_the_record_says_what_the_caller_was_told(quay: Gateway, sdk: anthropic.Anthropic, stage: Stage) -> None:
    for target in TARGETS:
        with sdk.messages.stream(**asking(target, stage.new(PLAYS["text"]))) as stream:
            stream.until_done()
            call = stream.request_id
        assert call is not None
        record = quay.record(call)
        assert (record["upstream"], record["outcome"]) == (UPSTREAMS[target], "ok")
        assert (record["input_tokens"], record["output_tokens"]) == (35, 15)
        assert record["tier"] == ("local" if target in ("near", "chat") else "cloud")


@pytest.mark.parametrize("target", ["cloud", "near"])
@pytest.mark.parametrize("stop", ["pause_turn", "model_context_window_exceeded", "of_next_year"])
def test_blocks_and_ends_of_messages_stay_as_they_are(
    sdk: anthropic.Anthropic, stage: Stage, target: str, stop: str
) -> None:
    """What no chat server can say, a server that speaks Messages can: blocks in any order, other reasons to stop."""
    play = Play(Text("One."), OSLO, Text("Two."), Thought("Hm."), BERGEN, Text("Three."), stop=stop)
    name = stage.new(play)
    want = expected(play, model(target, name))
    assert told(sdk.messages.create(**asking(target, name))) == want
    with sdk.messages.stream(**asking(target, name)) as stream:
        assert told(stream.get_final_message()) == want


@pytest.mark.parametrize("target", CHATS)
def test_a_refusal_in_its_own_member_is_a_refusal(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    """OpenAI's way: `refusal` beside the content, and `stop` as the reason."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    whole = {
        "object": "chat.completion",
        "choices": [choice | {"message": {"role": "assistant", "refusal": "No way."}}],
    }
    chunks = [choice | {"delta": {"refusal": word}, "finish_reason": None} for word in ("No ", "way.")]
    frames = [frame(None, {"object": "chat.completion.chunk", "choices": [each]}) for each in chunks]
    frames += [
        frame(None, {"object": "chat.completion.chunk", "choices": [choice | {"delta": {}}]}),
        b"data: [DONE]\n\n",
    ]
    ask = asking(target, stage.new(Says(json.dumps(whole).encode(), frames)))
    with sdk.messages.stream(**ask) as stream:
        messages = [sdk.messages.create(**ask), stream.get_final_message()]
    for message in messages:
        assert [block.to_dict()["text"] for block in message.content] == [
            "No way."
        ] and message.stop_reason == "refusal"
        assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0, "who counts nothing is estimated"


# Structured answers.


class Weather(pydantic.BaseModel):
    city: str
    degrees: float


OSLO_NOW = Play(Text('{"city": "Oslo", "degrees": -3.5}'))


def _schema_heard(stage: Stage, name: str, target: str) -> dict[str, Any]:
    asked = stage.heard(name)[-1].json
    if target in CHATS:
        assert asked["response_format"]["type"] == "json_schema" and "output_config" not in asked
        return dict(asked["response_format"]["json_schema"]["schema"])
    assert asked["output_config"]["format"]["type"] == "json_schema"
    return dict(asked["output_config"]["format"]["schema"])


@pytest.mark.parametrize("target", TARGETS)
async def test_answers_are_parsed(
    sdk: anthropic.Anthropic, async_sdk: anthropic.AsyncAnthropic, stage: Stage, target: str
) -> None:
    name = stage.new(OSLO_NOW)
    ask: dict[str, Any] = asking(target, name) | {"output_format": Weather}
    beta: Any = ask | {"betas": ["next-2027-01-01"]}
    oslo = Weather(city="Oslo", degrees=-3.5)
    assert sdk.messages.parse(**ask).parsed_output == oslo
    assert sdk.beta.messages.parse(**beta).parsed_output == oslo
    assert (await async_sdk.messages.parse(**ask)).parsed_output == oslo
    assert (await async_sdk.beta.messages.parse(**beta)).parsed_output == oslo
    with sdk.messages.stream(**ask) as stream:
        assert stream.get_final_message().parsed_output == oslo
    async with async_sdk.beta.messages.stream(**beta) as events:
        assert (await events.get_final_message()).parsed_output == oslo
    assert len(stage.heard(name)) == 6
    schema = _schema_heard(stage, name, target)
    assert schema["required"] == ["city", "degrees"] and schema["properties"]["degrees"]["type"] == "number"


# Counting, and the models.


@pytest.mark.parametrize("target", TARGETS)
async def test_tokens_are_counted(
    sdk: anthropic.Anthropic, async_sdk: anthropic.AsyncAnthropic, stage: Stage, target: str
) -> None:
    name = stage.new(PLAYS["text"])
    ask: Any = {"model": model(target, name), "messages": [{"role": "user", "content": "word " * 400}]}
    more: Any = ask | {"tools": TOOLS, "system": "Be brief."}
    counts = [
        sdk.messages.count_tokens(**ask).input_tokens,
        (await async_sdk.messages.count_tokens(**ask)).input_tokens,
        sdk.beta.messages.count_tokens(**ask, betas=["token-counting-2024-11-01"]).input_tokens,
        sdk.messages.count_tokens(**more).input_tokens,
    ]
    if target in CHATS:  # which have no way to count
        assert counts[0] == counts[1] == counts[2] < counts[3] and 400 < counts[0] < 700
        assert not stage.heard(name)
    else:
        assert counts == [COUNTED] * 4
        assert [heard.path for heard in stage.heard(name)] == ["/v1/messages/count_tokens"] * 4
        assert "token-counting-2024-11-01" in stage.heard(name)[2].headers["anthropic-beta"]
        assert stage.heard(name)[3].json["system"] == "Be brief."


async def test_models_are_listed_in_pages(sdk: anthropic.Anthropic, async_sdk: anthropic.AsyncAnthropic) -> None:
    def listed() -> list[str]:
        return [each.id for each in sdk.models.list(limit=1000)]

    wanted = {"claude-reader", *itertools.chain.from_iterable(LISTED.values())}
    eventually(lambda: wanted <= set(listed()), what="what the probes saw")
    every = listed()
    assert len(set(every)) == len(every) > 20
    assert [each.id async for each in async_sdk.models.list(limit=3)] == every
    page = sdk.models.list(limit=4)
    assert [each.id for each in page.data] == every[:4] and page.has_next_page()
    second = page.get_next_page()
    assert [each.id for each in second.data] == every[4:8]
    back = sdk.models.list(limit=3, before_id=every[8])
    assert [each.id for each in back.data] == every[5:8]
    assert [each.id for each in sdk.beta.models.list(limit=1000)] == every
    raw = sdk.models.with_raw_response.list(limit=2)
    assert raw.parse().first_id == every[0] and raw.headers["request-id"].startswith("req_")


async def test_one_model_is_told(sdk: anthropic.Anthropic, async_sdk: anthropic.AsyncAnthropic) -> None:
    known = sdk.models.retrieve("claude-reader")
    assert known.id == "claude-reader" and known.type == "model" and known.created_at.year == 1970
    assert (await async_sdk.models.retrieve("claude-cloud-anything")).id == "claude-cloud-anything"
    assert sdk.beta.models.retrieve("claude-reader").display_name == "claude-reader"
    type(known).model_validate_json(sdk.models.with_raw_response.retrieve("claude-reader").read())
    with pytest.raises(anthropic.NotFoundError) as failure:
        sdk.models.retrieve("nobody")
    assert failure.value.type == "not_found_error" and failure.value.request_id


# The same dialect on both sides.


def test_beta_headers_and_query_reach_the_cloud(sdk: anthropic.Anthropic, stage: Stage) -> None:
    name = stage.new(PLAYS["text"])
    betas: Any = {"betas": ["one-2027-01-01", "two-2027-02-02"], "extra_query": {"beta": "true"}}
    sdk.beta.messages.create(**asking("cloud", name), **betas)
    heard = stage.heard(name)[0]
    assert heard.path == "/v1/messages?beta=true"
    assert heard.headers["anthropic-version"] == sdk.default_headers["anthropic-version"]
    assert heard.headers["anthropic-beta"] == "one-2027-01-01,two-2027-02-02"
    assert heard.headers["x-api-key"] == "sk-of-the-cloud"


def test_limits_of_the_cloud_are_told(sdk: anthropic.Anthropic, stage: Stage) -> None:
    raw = sdk.messages.with_raw_response.create(**asking("cloud", stage.new(PLAYS["text"])))
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "41"
    assert raw.headers["anthropic-ratelimit-requests-reset"] == "2026-11-22T08:00:00Z"
    assert raw.headers["request-id"] != "req_of_the_fake_server", "our own id finds the record"
    with sdk.messages.stream(**asking("cloud", stage.new(PLAYS["text"]))) as stream:
        assert stream.response.headers["anthropic-ratelimit-requests-limit"] == "50"
