"""One request from end to end, with scripted upstreams and clocks that stand still."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import pytest
from fake_upstreams import HEL, LO, PING, START, STOP, STREAM, WHOLE, Clock, Gate, Scripted, Step, fault, target

from sampan.core import (
    Actor,
    Answer,
    Call,
    Dialect,
    Event,
    Fault,
    Incoming,
    Location,
    Operation,
    Record,
    Target,
    Tier,
    Usage,
)
from sampan.dialects import Codec, Limits
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_images import OpenAIImages
from sampan.errors import InvalidRequest, Rejected, Unauthenticated
from sampan.memory import Memory
from sampan.pipeline import Pipeline
from sampan.routing.attempts import Guard
from sampan.routing.breaker import Breaker, State
from sampan.routing.bulkhead import Bulkhead
from sampan.routing.catalog import Catalog, Route
from sampan.routing.router import Router
from sampan.story import Parts

LIMITS = Limits(1000, "claude-default", "image-default")
ACTOR = Actor("key_1", "ann", "member")
NO_WAIT = 60.0
SOON = 0.005
REQUEST = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


class Forgetful(Memory):
    """Nothing is stored: `tests/acceptance` and `tests/storage` look at the real one."""

    def __init__(self) -> None: ...


class House:
    """A pipeline over scripted upstreams for every model, and all that it tells the outside."""

    def __init__(self, *upstreams: Scripted, keepalive: float = NO_WAIT, **parts: Any) -> None:
        self.clock = Clock()
        self.records: list[Record] = []
        self.upstreams = upstreams
        self.opened = 0
        self.kept: list[tuple[str, bytes]] = []
        self.room: Gate | None = None
        self.guards = {
            each.name: Guard(
                each,
                {operation: Breaker(failures=1, delay=30.0, successes=1, clock=self.clock) for operation in Operation},
                Bulkhead(1),
            )
            for each in upstreams
        }
        self.catalog = Catalog([Route("*", tuple(Operation), tuple(map(self._target, upstreams)))])
        self.pipeline = Pipeline(
            Parts(
                catalog=self.catalog,
                router=Router(self.guards, 4),
                limits=LIMITS,
                authenticate=lambda incoming: self._authenticate(incoming.credential),
                actor_of=self._authenticate,
                memory=Forgetful(),
                has_room=lambda: self.room is None,
                room=self._wait_for_room,
                keep_record=self.records.append,
                keep_pictures=self._keep,
                opened=self._open,
                request_id=lambda: f"req_{self.opened}",
                wall=lambda: 1_700_000_000.0,
                clock=self.clock,
                keepalive=keepalive,
                **parts,
            )
        )

    def _target(self, upstream: Scripted) -> Target:
        """Those whose name begins so stand at home."""
        found = target(upstream.name)
        return replace(found, location=Location.LOCAL, tier=Tier.LOCAL) if upstream.name.startswith("own") else found

    def _authenticate(self, credential: str) -> Actor:
        if credential != "good":
            raise Unauthenticated("no such key")
        return ACTOR

    async def _wait_for_room(self) -> None:
        assert self.room is not None
        await self.room.passed()

    def _open(self) -> None:
        self.opened += 1

    async def _keep(self, call: Call, actor: Actor, of: Target, body: bytes) -> bytes:
        self.kept.append((f"{actor.name} {of.upstream}", body))
        return b"linked"

    async def ask(self, *, stream: bool = True, key: str = "good", body: bytes | None = None) -> Answer:
        body = json.dumps({**REQUEST, "stream": stream}).encode() if body is None else body
        return await self.run("/v1/messages", body, Anthropic(), key)

    async def run(self, path: str, body: bytes, codec: Codec, key: str = "good") -> Answer:
        return await self.send(body, {"x-api-key": key, "content-type": "application/json"}, path, codec)

    async def send(
        self, body: bytes, headers: dict[str, str], path: str = "/v1/messages", codec: Codec | None = None
    ) -> Answer:
        return await self.pipeline.run(Incoming("POST", path, "", headers, body), codec or Anthropic())

    @property
    def record(self) -> Record:
        """The one record there is; everything that was taken is given back by then."""
        assert len(self.records) == 1
        assert self.opened == 1
        assert [guard.bulkhead.taken for guard in self.guards.values()] == [0] * len(self.guards)
        return self.records[0]


def body_of(answer: Answer) -> AsyncGenerator[bytes, None]:
    assert not isinstance(answer.body, bytes)
    return answer.body


async def read(answer: Answer) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    async with aclosing(answer.body) as body:
        return b"".join([data async for data in body])


async def test_a_stream_is_handed_on_whole_and_recorded() -> None:
    house = House(Scripted("a", STREAM))
    answer = await house.ask()
    assert answer.status == 200
    headers = dict(answer.headers)
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-sampan-upstream"] == "a"
    assert headers["x-sampan-tier"] == "cloud"
    assert headers["x-sampan-attempts"] == "a=ok"
    assert headers["x-ratelimit-limit"] == "7"
    whole = b"".join(event.data for event in STREAM)
    assert await read(answer) == whole
    record = house.record
    assert headers["request-id"] == record.id
    assert (record.outcome, record.status, record.error) == ("ok", 200, "")
    assert (record.key_id, record.key_name, record.model, record.stream) == ("key_1", "ann", "claude-x", True)
    assert (record.input_tokens, record.output_tokens, record.bytes_out) == (12, 3, len(whole))
    assert (record.upstream, record.tier, record.attempts) == ("a", "cloud", "a=ok")
    assert record.started == 1_700_000_000.0


async def test_a_whole_answer_is_one_event() -> None:
    house = House(Scripted("a", [WHOLE]))
    answer = await house.ask(stream=False)
    assert (answer.status, answer.body) == (200, WHOLE.data)
    headers = dict(answer.headers)
    assert headers["content-type"] == "application/json"
    assert headers["x-ratelimit-limit"] == "7"
    assert house.record.outcome == "ok"
    assert house.record.bytes_out == len(WHOLE.data)


async def test_pictures_are_kept_before_the_answer_goes_out() -> None:
    made = Event(b"pictures", content=True, usage=Usage(1, 2, images=1))
    house = House(Scripted("a", [made]))
    answer = await house.run("/v1/images/generations", b'{"prompt":"a cat"}', OpenAIImages())
    assert answer.body == b"linked"
    assert house.kept == [("ann a", b"pictures")]
    assert (house.record.model, house.record.operation, house.record.images) == ("image-default", "generate", 1)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_fault_before_content_reaches_nobody(stream: bool) -> None:
    good = STREAM if stream else [WHOLE]
    house = House(Scripted("a", [START, PING, fault(Fault.CUT)]), Scripted("b", good))
    answer = await house.ask(stream=stream)
    assert await read(answer) == b"".join(event.data for event in good)
    assert dict(answer.headers)["x-sampan-attempts"] == "a=cut,b=ok"
    assert dict(answer.headers)["x-sampan-upstream"] == "b"
    assert (house.record.outcome, house.record.attempts, house.record.upstream) == ("ok", "a=cut,b=ok", "b")


async def test_after_content_a_fault_is_an_error_frame_and_never_a_clean_end() -> None:
    house = House(Scripted("a", [START, HEL, fault(Fault.IDLE_TIMEOUT)]), Scripted("b", STREAM))
    data = await read(await house.ask())
    opening = START.data + HEL.data
    assert data.startswith(opening)
    assert b"message_stop" not in data
    name, _, said = data[len(opening) :].partition(b"\n")
    assert name == b"event: error"
    error = json.loads(said.removeprefix(b"data: "))
    assert error["error"]["type"] == "api_error"
    assert "idle_timeout" in error["error"]["message"]
    record = house.record
    assert error["request_id"] == record.id
    assert (record.outcome, record.status, record.attempts) == ("interrupted", 200, "a=idle_timeout")
    assert record.bytes_out == len(data)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_rejection_is_returned_byte_for_byte(stream: bool) -> None:
    no = Rejected(400, b'{"type":"error"}\n', {"content-type": "application/json", "retry-after": "3"})
    house = House(Scripted("a", [no]), Scripted("b", STREAM))
    answer = await house.ask(stream=stream)
    assert (answer.status, answer.body) == (400, b'{"type":"error"}\n')
    headers = dict(answer.headers)
    assert headers["content-type"] == "application/json"
    assert headers["retry-after"] == "3"
    assert headers["x-should-retry"] == "false"
    assert headers["x-sampan-upstream"] == "a"
    assert (house.record.outcome, house.record.status, house.record.attempts) == ("rejected", 400, "a=ok")


async def test_a_spent_plan_says_so_and_tells_sdks_not_to_ask_again() -> None:
    house = House(Scripted("a", [fault(Fault.RATE_LIMITED, 3.2)]), Scripted("b", [fault(Fault.REFUSED)]))
    answer = await house.ask()
    assert answer.status == 529
    headers = dict(answer.headers)
    assert headers["retry-after"] == "4"
    assert headers["x-should-retry"] == "false"
    assert headers["x-sampan-attempts"] == "a=rate_limited,b=refused"
    assert "x-sampan-upstream" not in headers
    assert json.loads(await read(answer))["error"]["type"] == "overloaded_error"
    assert (house.record.outcome, house.record.status, house.record.error) == ("failed", 529, "overloaded_error")


async def test_a_full_house_may_be_asked_again() -> None:
    gate = Gate()
    house = House(Scripted("a", [HEL, gate, STOP]))
    first = await house.ask()
    answer = await house.ask()
    assert "x-should-retry" not in dict(answer.headers)
    assert dict(answer.headers)["retry-after"] in ("1", "2")
    gate.open()
    await read(first)
    assert [record.outcome for record in house.records] == ["failed", "ok"]


async def test_a_refused_caller_leaves_a_record_too() -> None:
    house = House(Scripted("a", STREAM))
    answer = await house.ask(key="bad")
    assert answer.status == 401
    assert (house.record.outcome, house.record.status, house.record.key_id) == ("refused", 401, "")
    assert house.record.error == "authentication_error"


async def test_a_bad_request_names_its_field_and_leaves_a_record() -> None:
    house = House(Scripted("a", STREAM))
    answer = await house.ask(body=b'{"model":"m","messages":[]}')
    assert answer.status == 400
    assert b"max_tokens" in await read(answer)
    assert (house.record.outcome, house.record.key_name, house.record.model) == ("refused", "ann", "")


async def test_a_request_turned_away_at_the_door_leaves_a_record() -> None:
    house = House(Scripted("a", STREAM))
    incoming = Incoming("POST", "/v1/messages", "", {}, b"")
    answer = house.pipeline.refuse(incoming, Anthropic(), InvalidRequest("too slow"))
    assert answer.status == 400
    assert house.record.outcome == "refused"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bug_in_an_upstream_is_a_500_that_tells_nothing(stream: bool) -> None:
    house = House(Scripted("a", [KeyError("secret detail")]), Scripted("b", STREAM))
    answer = await house.ask(stream=stream)
    assert answer.status == 500
    body = await read(answer)
    assert b"secret" not in body and b"KeyError" not in body
    assert json.loads(body)["error"]["type"] == "api_error"
    assert (house.record.outcome, house.record.status) == ("failed", 500)


async def test_a_bug_after_content_ends_in_an_error_frame() -> None:
    house = House(Scripted("a", [HEL, KeyError("secret detail")]))
    data = await read(await house.ask())
    assert b"event: error" in data and b"secret" not in data
    assert house.record.outcome == "interrupted"


async def test_the_record_is_there_before_the_last_bytes_are() -> None:
    house = House(Scripted("a", STREAM))
    async with aclosing(body_of(await house.ask())) as body:
        async for data in body:
            assert len(house.records) == (1 if b"message_stop" in data else 0)
    house = House(Scripted("a", [HEL, fault(Fault.CUT)]))
    async with aclosing(body_of(await house.ask())) as body:
        async for data in body:
            assert len(house.records) == (1 if b"event: error" in data else 0)


# A caller who leaves.


def steps(*, opened: int) -> tuple[list[Gate], list[Step]]:
    """A stream with a gate before each event, the first `opened` of them open."""
    gates = [Gate(opened=number < opened) for number in range(len(STREAM))]
    return gates, [step for pair in zip(gates, STREAM, strict=True) for step in pair]


@pytest.mark.parametrize("closed", range(len(STREAM)))
@pytest.mark.parametrize("keepalive", [NO_WAIT, SOON])
async def test_leaving_while_anything_is_waited_for_leaves_one_record_and_nothing_open(
    closed: int, keepalive: float
) -> None:
    gates, script = steps(opened=closed)
    upstream = Scripted("a", [fault(Fault.CUT)], script, STREAM)
    house = House(upstream, keepalive=keepalive)
    await read(await house.ask())
    assert house.records.pop().outcome == "failed"
    house.opened = 0
    house.clock.now += 30  # the call that leaves is the one trial of a half-open breaker

    async def caller() -> None:
        await read(await house.ask())

    task = asyncio.create_task(caller())
    await gates[closed].reached()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert upstream.ends[-1] == "closed"
    record = house.record
    assert (record.outcome, record.status) == ("left", 499)
    breaker = house.guards["a"].breakers[Operation.TEXT]
    assert breaker.state is State.HALF_OPEN
    await read(await house.ask())
    assert breaker.state.value == "closed"


@pytest.mark.parametrize("taken", range(3))
async def test_leaving_between_two_pieces_closes_the_upstream_too(taken: int) -> None:
    upstream = Scripted("a", STREAM)
    house = House(upstream)
    body = body_of(await house.ask())
    for _ in range(taken + 1):
        await anext(body)
    await body.aclose()
    assert upstream.ends == ["closed"]
    assert house.record.outcome == ("ok" if taken == 2 else "left")  # the third piece is the last


async def test_leaving_a_whole_answer_while_it_is_made() -> None:
    gate = Gate()
    upstream = Scripted("a", [gate, WHOLE])
    house = House(upstream)
    task = asyncio.create_task(house.ask(stream=False))
    await gate.reached()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert upstream.ends == ["closed"]
    assert house.record.outcome == "left"


async def test_leaving_before_there_is_room_was_no_call() -> None:
    house = House(Scripted("a", STREAM))
    house.room = Gate()
    task = asyncio.create_task(house.ask())
    await house.room.reached()
    task.cancel()
    await asyncio.wait([task])
    assert (house.records, house.opened) == ([], 0)


async def test_a_call_that_cannot_be_recorded_waits_until_it_can() -> None:
    house = House(Scripted("a", STREAM))
    house.room = Gate()
    task = asyncio.create_task(house.ask())
    await house.room.reached()
    assert house.opened == 0
    house.room.open()
    await read(await task)
    assert house.record.outcome == "ok"


# An upstream that takes its time.


async def late(*upstreams: Scripted, gate: Gate) -> tuple[House, list[bytes]]:
    """The pieces of a stream whose head went out before anybody had answered; the gate opens after two comments."""
    house = House(*upstreams, keepalive=SOON)
    answer = await house.ask()
    assert answer.status == 200
    assert "x-sampan-upstream" not in dict(answer.headers)
    pieces = []
    async with aclosing(body_of(answer)) as body:
        async for data in body:
            pieces.append(data)
            if len(pieces) == 2:
                assert pieces == [b": waiting\n\n"] * 2
                gate.open()
    return house, [piece for piece in pieces if piece != b": waiting\n\n"]


async def test_comments_keep_a_slow_stream_alive_and_the_truth_follows_in_one() -> None:
    gate = Gate()
    house, pieces = await late(Scripted("a", [fault(Fault.DNS)]), Scripted("b", [gate, *STREAM]), gate=gate)
    truth, _, answer = b"".join(pieces).partition(b"\n\n")
    assert truth == (b": request-id: req_1; x-sampan-upstream: b; x-sampan-tier: cloud; x-sampan-attempts: a=dns,b=ok")
    assert answer == b"".join(event.data for event in STREAM)
    assert (house.record.outcome, house.record.attempts) == ("ok", "a=dns,b=ok")


async def test_a_late_spent_plan_is_an_error_frame() -> None:
    gate = Gate()
    house, pieces = await late(Scripted("a", [gate, fault(Fault.REFUSED)]), gate=gate)
    [frame] = pieces
    assert frame.startswith(b"event: error\n") and b"overloaded_error" in frame
    record = house.record
    assert (record.outcome, record.status, record.attempts) == ("failed", 200, "a=refused")
    assert record.bytes_out == len(frame)


async def test_a_late_rejection_is_an_error_frame_on_one_line() -> None:
    gate = Gate()
    no = Rejected(400, b'{"type": "error",\r\n "error": {"type": "invalid_request_error"}}', {})
    house, pieces = await late(Scripted("a", [gate, no]), gate=gate)
    [frame] = pieces
    name, said, *rest = frame.split(b"\n")
    assert name == b"event: error"
    assert json.loads(said.removeprefix(b"data: "))["error"]["type"] == "invalid_request_error"
    assert rest == [b"", b""]
    assert (house.record.outcome, house.record.status) == ("rejected", 200)


async def test_a_late_bug_is_an_error_frame_that_tells_nothing() -> None:
    gate = Gate()
    house, pieces = await late(Scripted("a", [gate, KeyError("secret")]), gate=gate)
    [frame] = pieces
    assert frame.startswith(b"event: error\n") and b"secret" not in frame
    assert house.record.outcome == "failed"


@pytest.mark.parametrize("opened", [False, True])
async def test_leaving_during_the_comments_closes_the_upstream(opened: bool) -> None:
    gate = Gate()
    upstream = Scripted("a", [gate, *STREAM])
    house = House(upstream, keepalive=SOON)
    body = body_of(await house.ask())
    assert await anext(body) == b": waiting\n\n"
    if opened:
        gate.open()
        while b"x-sampan-upstream" not in await anext(body):
            pass
    await body.aclose()
    assert upstream.ends == ["closed"]
    assert house.record.outcome == "left"


async def test_times_are_told_in_milliseconds() -> None:
    gate = Gate()
    house = House(Scripted("a", [HEL, gate, LO, STOP]))
    body = body_of(await house.ask())
    await anext(body)
    house.clock.now += 2.0
    gate.open()
    assert b"".join([data async for data in body]) == LO.data + STOP.data
    assert house.record.total_ms == 2000.0
    assert house.record.dialect == Dialect.ANTHROPIC
