"""The door, called as a server would: every message of an exchange is the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asgi import GONE, KEY, LIMIT, NOW, Caller, House
from fake_upstreams import Gate

from sampan.core import Answer, Incoming
from sampan.dialects import Codec
from sampan.errors import InvalidRequest, RequestTooLarge


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.database.close()


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_call_is_handed_on_as_it_came(house: House) -> None:
    caller = await Caller(
        path="/v1/messages/count_tokens",
        query=b"beta=true",
        headers=[("x-api-key", KEY), ("anthropic-beta", "a"), ("anthropic-beta", "b,c"), ("x-odd", "\xe9")],
        messages=[piece(b"one ", more=True), piece(b"", more=True), piece(b"two")],
    ).call(house)
    headers = {"x-api-key": KEY, "anthropic-beta": "a, b,c", "x-odd": "\xe9"}
    assert house.came == [Incoming("POST", "/v1/messages/count_tokens", "beta=true", headers, b"one two")]
    assert (caller.status, caller.body) == (200, b"{}")
    assert caller.headers == {"content-type": "application/json", "request-id": "req_1", "content-length": "2"}


async def test_a_stream_goes_out_piece_by_piece(tmp_path: Path) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"a"
        yield b"b"

    async def run(incoming: Incoming, codec: Codec) -> Answer:
        return Answer(200, (("content-type", "text/event-stream"),), body())

    caller = await Caller().call(House(tmp_path, run))
    assert caller.body == b"ab"
    assert [message["body"] for message in caller.sent[1:]] == [b"a", b"b", b""]
    assert "content-length" not in caller.headers


async def test_a_stream_without_a_piece_is_an_answer_too(tmp_path: Path) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        return
        yield b""

    async def run(incoming: Incoming, codec: Codec) -> Answer:
        return Answer(200, (), body())

    caller = await Caller().call(House(tmp_path, run))
    assert (caller.status, caller.body) == (200, b"")


@pytest.mark.parametrize(
    ("headers", "messages"),
    [
        ({"content-length": str(LIMIT + 1)}, [piece(bytes(10), more=True), GONE]),
        ({}, [piece(bytes(LIMIT + 1))]),
        ({}, [piece(bytes(LIMIT), more=True), piece(b"x")]),
        ({"content-length": "5"}, [piece(bytes(LIMIT), more=True), piece(b"x", more=True), piece(bytes(LIMIT)), GONE]),
    ],
)
async def test_a_body_over_the_limit_is_turned_away_and_read_out(
    house: House, headers: Mapping[str, str], messages: list[dict[str, Any]]
) -> None:
    caller = Caller(headers=headers, messages=messages)
    caller.leave()
    await caller.call(house)
    assert caller.status == 413
    assert caller.headers["connection"] == "close"
    assert int(caller.headers["content-length"]) == len(caller.body)
    assert json.loads(caller.body)["error"]["type"] == "request_too_large"
    assert [type(error) for error in house.refused] == [RequestTooLarge]
    assert house.came[0].body == b""


async def test_a_body_of_just_the_limit_is_read(house: House) -> None:
    caller = await Caller(
        headers={"content-length": str(LIMIT)}, messages=[piece(bytes(LIMIT - 1), more=True), piece(b"x")]
    ).call(house)
    assert (caller.status, len(house.came[0].body)) == (200, LIMIT)


@pytest.mark.parametrize("messages", [[], [piece(b"{", more=True)]])
async def test_a_body_that_does_not_come_is_waited_for_only_so_long(
    tmp_path: Path, messages: list[dict[str, Any]]
) -> None:
    house = House(tmp_path, seconds=0.02)
    caller = Caller(messages=messages)
    task = asyncio.create_task(caller.call(house))
    await asyncio.wait_for(caller.answered.wait(), 10)
    caller.leave()
    await task
    assert caller.status == 400
    assert b"did not arrive within 0.02 seconds" in caller.body
    assert [type(error) for error in house.refused] == [InvalidRequest]


@pytest.mark.parametrize("messages", [[GONE], [piece(b"{", more=True), GONE]])
async def test_a_caller_who_leaves_before_its_body_is_here_asked_nothing(
    house: House, messages: list[dict[str, Any]]
) -> None:
    caller = await Caller(messages=messages).call(house)
    assert (caller.sent, house.came) == ([], [])


@pytest.mark.parametrize("query", [b"a=\xff", b"a= b", b"a=\r\nx: y", b"\x00"])
async def test_a_query_that_could_break_a_line_is_refused(house: House, query: bytes) -> None:
    caller = await Caller(query=query).call(house)
    assert caller.status == 400
    assert b"percent-encoded" in caller.body


class Slow:
    """Answers in three steps, each behind a gate, and notes how it ended."""

    def __init__(self) -> None:
        self.gates = [Gate(), Gate(), Gate()]
        self.ended = ""

    async def run(self, incoming: Incoming, codec: Codec) -> Answer:
        try:
            await self.gates[0].passed()
        except asyncio.CancelledError:
            self.ended = "cancelled before its answer"
            raise
        return Answer(200, (), self.body())

    async def body(self) -> AsyncGenerator[bytes, None]:
        try:
            await self.gates[1].passed()
            yield b"one"
            await self.gates[2].passed()
            yield b"two"
            self.ended = "whole"
        except BaseException as error:
            self.ended = type(error).__name__
            raise


@pytest.mark.parametrize(
    ("opened", "ended"), [(0, "cancelled before its answer"), (1, "CancelledError"), (2, "CancelledError")]
)
async def test_a_caller_who_leaves_ends_all_that_was_done_for_it(tmp_path: Path, opened: int, ended: str) -> None:
    slow = Slow()
    for gate in slow.gates[:opened]:
        gate.open()
    caller = Caller()
    task = asyncio.create_task(caller.call(House(tmp_path, slow.run)))
    await slow.gates[opened].reached()
    caller.leave()
    await asyncio.wait_for(task, 10)  # the server sees a call that returns, no cancellation
    assert slow.ended == ended
    assert len(caller.sent) == (2 if opened == 2 else 0)


async def test_a_caller_who_stays_gets_the_whole_answer(tmp_path: Path) -> None:
    slow = Slow()
    caller = Caller()
    task = asyncio.create_task(caller.call(House(tmp_path, slow.run)))
    for gate in slow.gates:
        await gate.reached()
        gate.open()
    await task
    assert (caller.body, slow.ended) == (b"onetwo", "whole")
    assert asyncio.all_tasks() == {asyncio.current_task()}  # nobody watches any more


async def test_a_cancellation_from_outside_stays_one(tmp_path: Path) -> None:
    slow = Slow()
    task = asyncio.create_task(Caller().call(House(tmp_path, slow.run)))
    await slow.gates[0].reached()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert slow.ended == "cancelled before its answer"


# Pages.


async def get(
    house: House, path: str, *, method: str = "GET", query: bytes = b"", headers: Mapping[str, str] | None = None
) -> Caller:
    return await Caller(method, path, query=query, headers=headers or {}).call(house)


async def test_pages_that_need_no_key(house: House) -> None:
    assert json.loads((await get(house, "/")).body)["name"] == "Sampan"
    assert json.loads((await get(house, "/health")).body) == {"status": "ok", "version": "9.9"}
    ready = await get(house, "/ready")
    assert (ready.status, json.loads(ready.body)) == (200, {"ready": True, "engines": {}})
    house.ready = False
    assert (await get(house, "/ready")).status == 503
    metrics = await get(house, "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert metrics.body == b"sampan_calls_total 1.0\n"


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nothing"])
async def test_every_page_has_a_request_id(house: House, path: str) -> None:
    first, second = await get(house, path), await get(house, path)
    assert first.headers["request-id"] == first.headers["x-request-id"]
    assert first.headers["request-id"] != second.headers["request-id"]


async def test_models_in_either_dialect(house: House) -> None:
    ours = json.loads((await get(house, "/v1/models", headers={"x-api-key": KEY}, query=b"limit=1")).body)
    assert (ours["first_id"], ours["has_more"]) == ("claude-x", True)
    theirs = json.loads((await get(house, "/v1/models", headers={"authorization": f"Bearer {KEY}"})).body)
    assert [each["id"] for each in theirs["data"]] == ["claude-x", "m/y"]
    for name in ("claude-x", "m/y", "a%20b"):  # the path is decoded once, by the server
        one = await get(house, f"/v1/models/{name}", headers={"x-api-key": KEY})
        assert json.loads(one.body)["id"] == name
    for path in ("/v1/models", "/v1/models/claude-x"):
        assert (await get(house, path)).status == 401
    assert (await get(house, "/v1/models/other", headers={"x-api-key": KEY})).status == 404


@pytest.mark.parametrize(
    ("path", "headers", "anthropic"),
    [
        ("/nothing", {}, False),
        ("/nothing", {"anthropic-version": "2023-06-01"}, True),
        ("/v1/messages", {}, True),
        ("/v1/images/edits", {}, False),
    ],
)
async def test_errors_speak_the_caller_s_dialect(
    house: House, path: str, headers: dict[str, str], anthropic: bool
) -> None:
    caller = await get(house, path, headers=headers)
    said = json.loads(caller.body)
    assert ("type" in said) is anthropic
    if anthropic:
        assert said["request_id"] == caller.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/messages", "POST"),
        ("DELETE", "/v1/images/edits", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/health", "GET, HEAD"),
        ("POST", "/artifacts/x", "GET, HEAD"),
    ],
)
async def test_a_method_that_is_not_allowed(house: House, method: str, path: str, allowed: str) -> None:
    caller = await get(house, path, method=method)
    assert caller.status == 405
    assert caller.headers["allow"] == allowed
    assert allowed in caller.body.decode()


async def test_a_page_s_bug_is_a_500_that_tells_nothing(house: House) -> None:
    caller = await get(house, "/v1/models/broken", headers={"x-api-key": KEY})
    assert caller.status == 500
    assert b"secret" not in caller.body


async def test_head_says_what_get_would_without_a_body(house: House) -> None:
    for path, headers in (("/health", {}), ("/v1/models", {"x-api-key": KEY}), ("/nothing", {}), ("/v1/messages", {})):
        got = await get(house, path, headers=headers)
        head = await get(house, path, headers=headers, method="HEAD")
        assert head.body == b""
        assert head.status == got.status
        same = ("content-type", "content-length")
        assert [head.headers.get(name) for name in same] == [got.headers.get(name) for name in same]


async def test_an_artifact_by_its_link(house: House) -> None:
    data = b"\x89PNG" + bytes(100_000)
    artifact = await house.objects.put(data, "image/png", "key_1", {})
    path, _, query = house.objects.sign(artifact.sha256, "image/png", int(NOW) + 60).partition("?")
    for method in ("GET", "HEAD"):
        caller = await get(house, path, method=method, query=query.encode())
        assert caller.status == 200
        assert caller.headers["content-type"] == "image/png"
        assert caller.headers["content-length"] == str(len(data))
        assert caller.headers["x-content-type-options"] == "nosniff"
        assert caller.headers["cache-control"] == "private, max-age=60, immutable"
        assert caller.body == (data if method == "GET" else b"")
    assert (await get(house, path)).status == 403
    assert (await get(house, path, query=query.encode().replace(b"e=", b"e=0"))).status == 403
    assert (await get(house, "/artifacts/other", query=query.encode())).status == 404


async def test_a_web_socket_is_closed(house: House) -> None:
    caller = Caller()
    caller.scope["type"] = "websocket"
    await caller.call(house)
    assert caller.sent == [{"type": "websocket.close", "code": 1000}]
