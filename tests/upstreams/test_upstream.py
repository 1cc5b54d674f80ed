"""One attempt at a real server on loopback: what it sends, and the events or the fault that come of it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest
from servers import Again, Close, Read, Reset, Send, Stage, Stall, Step, answer, chunked, playing

from sampan.config import CLIENT_HEADERS
from sampan.core import Call, Dialect, Event, Fault, Operation, Usage
from sampan.dialects.translation.manners import Terms, manners
from sampan.errors import Rejected, TargetFault
from sampan.upstreams.head import HeadBlock
from sampan.upstreams.origin import Clocks, Origin
from sampan.upstreams.pool import Pool
from sampan.upstreams.upstream import SHORT_ANSWER, TOKENS_PER_SECOND, Habits, HttpUpstream, credentials

TERMS = Terms(wall=lambda: 1_700_000_000.0)
CLOCKS = Clocks(2.0, 5.0, 5.0, 10.0)
BODY = b'{"model":"claude-x","unknown":[1, 2],"messages":[]}'
JSON = ("content-type: application/json",)
SSE = ("Content-Type: Text/Event-Stream; charset=utf-8",)
MESSAGE = b'{"type":"message","content":[],"usage":{"input_tokens":3,"output_tokens":2}}'

START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":9}}}\n\n'
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"x"}}\n\n'
END = b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":4}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'


def talk(*, stream: bool = False, answer_tokens: int = 0) -> Call:
    return Call(
        dialect=Dialect.ANTHROPIC,
        operation=Operation.TEXT,
        model="claude-x",
        path="/v1/messages?beta=true",
        body=BODY,
        content_type="application/json",
        stream=stream,
        headers={"anthropic-version": "2023-06-01", "anthropic-beta": "a,b"},
        answer_tokens=answer_tokens,
    )


def draw(*, stream: bool = False, pictures: int = 1) -> Call:
    body = b'{"prompt":"x","model":"m"}'
    path = "/v1/images/generations"
    return Call(
        Dialect.OPENAI_IMAGES, Operation.GENERATE, "m", path, body, "application/json", stream, pictures=pictures
    )


@asynccontextmanager
async def upstream(
    *script: Step, dialect: Dialect = Dialect.ANTHROPIC, clocks: Clocks = CLOCKS, probe: str = "/v1/models"
) -> AsyncIterator[tuple[HttpUpstream, Stage]]:
    async with playing(script) as stage:
        pool = Pool(Origin.parse(stage.url), headers=credentials(dialect, "sk-ours"))
        made = HttpUpstream("u", pool, manners(dialect, TERMS), Habits(clocks, probe, 5.0))
        try:
            yield made, stage
        finally:
            await made.aclose()


async def collect(made: HttpUpstream, call: Call, model: str | None = None) -> list[Event]:
    async with aclosing(made.attempt(call, model)) as events:
        return [event async for event in events]


async def fault_of(call: Call, *script: Step, clocks: Clocks = CLOCKS) -> Fault:
    async with upstream(Read(), *script, dialect=call.dialect, clocks=clocks) as (made, _):
        with pytest.raises(TargetFault) as raised:
            await collect(made, call)
        return raised.value.fault


async def test_a_whole_answer_is_one_event_and_its_rate_headers() -> None:
    rates = ("anthropic-ratelimit-requests-remaining: 7", "X-RateLimit-Limit: 9", "set-cookie: theirs")
    async with upstream(Read(), Send(answer(MESSAGE, headers=(*JSON, *rates)))) as (made, stage):
        [event] = await collect(made, talk())
    assert event == Event(
        MESSAGE,
        content=True,
        usage=Usage(3, 2),
        headers=(("anthropic-ratelimit-requests-remaining", "7"), ("x-ratelimit-limit", "9")),
    )
    head, _, body = stage.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /v1/messages?beta=true http/1.1"
    assert body == BODY
    for line in (
        "anthropic-version: 2023-06-01",
        "anthropic-beta: a,b",
        "x-api-key: sk-ours",
        "accept: application/json",
    ):
        assert lines.count(line) == 1


async def test_only_the_model_is_replaced() -> None:
    async with upstream(Read(), Send(answer(MESSAGE, headers=JSON)), Again()) as (made, stage):
        await collect(made, talk(), "claude-x")
        await collect(made, talk(), "qwen")
    bodies = [request.partition(b"\r\n\r\n")[2] for request in stage.requests]
    assert bodies == [BODY, b'{"model":"qwen","unknown":[1, 2],"messages":[]}']
    assert stage.connections == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [START, PING, DELTA, DELTA, END, STOP],
        [START + PING + DELTA, DELTA + END + STOP],
        [START + PING, (DELTA + DELTA + END + STOP).replace(b"\n", b"\r\n")],
        [bytes([each]) for each in START + PING + DELTA + DELTA + END + STOP],
    ],
)
async def test_a_stream_comes_in_whole_frames_and_ends_with_its_usage(pieces: Sequence[bytes]) -> None:
    script = (Read(), Send(chunked(*pieces, headers=SSE)), Again())
    async with upstream(*script) as (made, stage):
        for _ in range(2):
            events = await collect(made, talk(stream=True))
            assert b"".join(event.data for event in events) == START + PING + DELTA + DELTA + END + STOP
            assert all(event.data.endswith(b"\n\n") for event in events)
            assert [event.usage for event in events if event.usage] == [Usage(9, 4)]
            assert events[-1].usage
            assert [event.content for event in events].index(True) <= 2
    assert stage.connections == 1  # the end was read, so that the connection could be kept
    assert b"accept: text/event-stream" in stage.requests[0].lower()


async def test_a_picture_stream_may_end_with_fewer_pictures_than_asked() -> None:
    done = b'data: {"type":"image_generation.completed","b64_json":"AAAA"}\n\n'
    async with upstream(Read(), Send(chunked(done, headers=SSE)), dialect=Dialect.OPENAI_IMAGES) as (made, _):
        events = await collect(made, draw(stream=True, pictures=2))
    assert b"".join(event.data for event in events) == done
    assert events[-1].usage == Usage(0, 0, 1)


async def test_a_picture() -> None:
    body = json.dumps({"data": [{"b64_json": base64.b64encode(b"x" * 60).decode()}]}).encode()
    async with upstream(Read(), Send(answer(body, headers=JSON)), dialect=Dialect.OPENAI_IMAGES) as (made, stage):
        [event] = await collect(made, draw())
    assert event.usage == Usage(0, 0, 1)
    assert b"authorization: bearer sk-ours" in stage.requests[0].lower()


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ([Send(answer(b"", headers=JSON))], Fault.EMPTY),
        ([Send(answer(b"{}", headers=JSON))], Fault.MALFORMED),
        ([Send(answer(b"<html>", headers=("content-type: text/html",)))], Fault.MALFORMED),
        ([Send(chunked(START, STOP, headers=SSE))], Fault.MALFORMED),
        ([Send(answer(MESSAGE, headers=JSON)[:-10]), Close()], Fault.CUT),
        ([Send(b"HTTP/1.1 200 O"), Close()], Fault.CUT),
        ([Reset()], Fault.CUT),
        ([Send(b"nonsense\r\n\r\n")], Fault.MALFORMED),
        ([Send(answer(b"", status="204 No Content"))], Fault.EMPTY),
        ([Send(answer(b"x", status="500 Oops"))], Fault.SERVER_ERROR),
        ([Send(answer(b"x" * (1 << 20) + b"x", status="500 Oops"))], Fault.MALFORMED),
    ],
)
async def test_a_whole_answer_that_is_none(script: list[Step], fault: Fault) -> None:
    assert await fault_of(talk(), *script) is fault


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ([Send(chunked(headers=SSE))], Fault.EMPTY),
        ([Send(chunked(b"event: mess", headers=SSE))], Fault.CUT),
        ([Send(chunked(START, PING, headers=SSE))], Fault.CUT),
        ([Send(chunked(START, DELTA, END, headers=SSE))], Fault.CUT),
        ([Send(chunked(START, DELTA, END, STOP[:-1], headers=SSE))], Fault.CUT),
        ([Send(chunked(START, DELTA, headers=SSE, end=False)), Close()], Fault.CUT),
        ([Send(chunked(ERROR, headers=SSE))], Fault.OVERLOADED),
        ([Send(chunked(START, DELTA, ERROR, headers=SSE))], Fault.OVERLOADED),
        ([Send(chunked(DELTA, headers=SSE))], Fault.MALFORMED),
        ([Send(chunked(b"data: {\n\n", headers=SSE))], Fault.MALFORMED),
        ([Send(answer(MESSAGE, headers=JSON))], Fault.MALFORMED),
        ([Send(answer(b"", headers=JSON))], Fault.EMPTY),
        ([Send(answer(ERROR.partition(b"data: ")[2], headers=JSON))], Fault.OVERLOADED),
    ],
)
async def test_a_stream_that_is_none(script: list[Step], fault: Fault) -> None:
    assert await fault_of(talk(stream=True), *script) is fault


async def test_the_first_event_clock_runs_until_content_and_the_idle_clock_after_it() -> None:
    quick = Clocks(2.0, 0.05, 5.0, 10.0)
    opened = chunked(START, PING, headers=SSE, end=False)
    assert await fault_of(talk(stream=True), Send(opened), Stall(), clocks=quick) is Fault.FIRST_BYTE_TIMEOUT
    quick = Clocks(2.0, 5.0, 0.05, 10.0)
    begun = chunked(START, DELTA, headers=SSE, end=False)
    assert await fault_of(talk(stream=True), Send(begun), Stall(), clocks=quick) is Fault.IDLE_TIMEOUT


async def test_a_long_whole_answer_is_given_its_time() -> None:
    async with upstream(Read()) as (made, _):
        assert made._clocks_of(talk(answer_tokens=SHORT_ANSWER)) is CLOCKS
        assert made._clocks_of(talk(stream=True, answer_tokens=50_000)) is CLOCKS
        assert made._clocks_of(talk(answer_tokens=10**400)).first_event < 1e6  # no float is as large
        longer = made._clocks_of(talk(answer_tokens=SHORT_ANSWER + 500))
        assert longer == Clocks(2.0, 5.0 + 500 / TOKENS_PER_SECOND, 5.0, 10.0)


async def test_a_rejection_keeps_its_bytes() -> None:
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: no"}}'
    async with upstream(Read(), Send(answer(body, status="400 Bad Request", headers=JSON))) as (made, _):
        with pytest.raises(Rejected) as raised:
            await collect(made, talk())
    assert (raised.value.status, raised.value.body) == (400, body)
    assert raised.value.headers == {"content-type": "application/json"}


async def test_a_caller_who_leaves_closes_the_connection() -> None:
    begun = chunked(START, DELTA, headers=SSE, end=False)
    async with upstream(Read(), Send(begun), Stall()) as (made, stage):
        events = made.attempt(talk(stream=True), None)
        await anext(events)
        await events.aclose()
        await asyncio.wait_for(stage.left.wait(), 10)


async def test_an_engine_that_is_not_awake_is_not_asked() -> None:
    async def asleep() -> None:
        raise TargetFault(Fault.FIRST_BYTE_TIMEOUT, "still warming up")

    async with playing([Read()]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        spoken = manners(Dialect.ANTHROPIC, TERMS)
        made = HttpUpstream("u", pool, spoken, Habits(CLOCKS, "off", 5.0), awake=asleep)
        with pytest.raises(TargetFault, match="still warming up"):
            await collect(made, talk())
        await made.probe()
        await made.aclose()
    assert stage.connections == 0


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "404 Not Found", "429 Too Many Requests"])
async def test_a_probe_asks_only_whether_somebody_is_there(status: str) -> None:
    async with upstream(Read(), Send(answer(b"?", status=status)), Again()) as (made, stage):
        await made.probe()
    assert stage.requests[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert made.models == ()


async def test_a_probe_sees_a_sick_server() -> None:
    async with upstream(Read(), Send(answer(b"?", status="503 Sick", headers=("retry-after: 3",)))) as (made, _):
        with pytest.raises(TargetFault) as raised:
            await made.probe()
    assert raised.value.fault is Fault.SERVER_ERROR


async def test_a_probe_learns_the_models_and_keeps_them() -> None:
    listing = b'{"data":[{"id":"a","type":"model"},{"id":"b"}],"has_more":false}'
    script = (Read(), Send(answer(listing)), Read(), Send(answer(b"[]")))
    async with upstream(*script) as (made, _):
        await made.probe()
        await made.probe()
        assert made.models == ("a", "b")


async def test_a_probe_may_only_connect() -> None:
    async with upstream(Stall(), probe="tcp") as (made, stage):
        await made.probe()
        await asyncio.wait_for(stage.left.wait(), 10)
    assert stage.requests == []


def test_a_configuration_refuses_the_headers_that_the_client_would() -> None:
    for name in CLIENT_HEADERS:
        with pytest.raises(ValueError, match="the client's own"):
            HeadBlock(Origin.parse("http://a"), {name: "x"})
    HeadBlock(Origin.parse("http://a"), {"x-team": "a"})


def test_a_key_travels_in_its_dialect_s_header() -> None:
    assert credentials(Dialect.ANTHROPIC, "k") == {"x-api-key": "k"}
    assert credentials(Dialect.OPENAI_IMAGES, "k") == {"authorization": "Bearer k"}
    assert credentials(Dialect.ANTHROPIC, "") == {}
