"""The door behind real sockets: what callers send is what comes in, and what they read is what was said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path

import pytest
from fake_upstreams import Gate
from house import KEY, LIMIT, NOW, House, Reply, ask, opened, read_reply, request

from sampan.core import Answer, Incoming
from sampan.dialects import Codec
from sampan.errors import InvalidRequest, RequestTooLarge


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def port(house: House) -> AsyncIterator[int]:
    async with opened(house) as port:
        yield port


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("chunks", [False, True])
async def test_a_call_is_handed_on_as_it_came(house: House, port: int, chunks: bool) -> None:
    headers = {"anthropic-beta": "a\r\nanthropic-beta: b,c", "x-odd": "\xe9", "X-Case": " kept "}
    body = b"one two"
    if chunks:
        headers["transfer-encoding"] = "chunked"
        body = chunked(b"one ", b"two")
    reply = await ask(port, "POST", "/v1/messages/count_tokens?beta=true", headers, body)
    (came,) = house.came
    assert (came.method, came.path, came.query) == ("POST", "/v1/messages/count_tokens", "beta=true")
    assert came.body == b"one two"
    assert came.headers["anthropic-beta"] == "a, b,c"
    assert (came.headers["x-odd"], came.headers["x-case"]) == ("\xe9", "kept")
    assert (reply.status, reply.body) == (200, b"{}")
    assert {*reply.headers} == {"content-type", "request-id", "content-length", "date"}


async def test_a_stream_goes_out_piece_by_piece(tmp_path: Path) -> None:
    gate = Gate()

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"a"
        await gate.passed()
        yield b"b"

    async def run(incoming: Incoming, codec: Codec) -> Answer:
        return Answer(200, (("content-type", "text/event-stream"),), body())

    async with opened(House(tmp_path, run)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/v1/messages", body=b"{}"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert b"content-length" not in head
        assert await reader.readexactly(6) == b"1\r\na\r\n"  # before the second is made
        gate.open()
        assert await reader.readexactly(11) == b"1\r\nb\r\n0\r\n\r\n"
        writer.close()


async def test_a_stream_for_http_1_0_ends_with_its_connection(tmp_path: Path) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"a"
        yield b"b"

    async def run(incoming: Incoming, codec: Codec) -> Answer:
        return Answer(200, (), body())

    async with opened(House(tmp_path, run)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/v1/messages", body=b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, said = (await reader.read()).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert said == b"ab"
        writer.close()


async def test_a_stream_without_a_piece_is_an_answer_too(tmp_path: Path) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        return
        yield b""

    async def run(incoming: Incoming, codec: Codec) -> Answer:
        return Answer(200, (), body())

    async with opened(House(tmp_path, run)) as port:
        reply = await ask(port, "POST", "/v1/messages", body=b"{}")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize(
    "body",
    [bytes(LIMIT + 1), bytes(4_000_000), chunked(bytes(LIMIT), b"x"), chunked(*[bytes(100_000)] * 40)],
    ids=["one too many", "far too many", "one too many in chunks", "far too many in chunks"],
)
async def test_a_body_over_the_limit_is_turned_away_and_read_out(house: House, port: int, body: bytes) -> None:
    coding = {"transfer-encoding": "chunked"} if body.endswith(b"0\r\n\r\n") else {}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("POST", "/v1/messages", coding, body))
    reply = await read_reply(reader)
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    error = json.loads(reply.body)["error"]
    assert error["type"] == "request_too_large"
    assert "the limit of 1,000 bytes" in error["message"]
    assert [type(error) for error in house.refused] == [RequestTooLarge]
    assert house.came[0].body == b""
    await writer.drain()  # nobody reset the connection under the rest of the body
    assert await reader.read() == b""
    writer.close()


async def test_a_body_of_just_the_limit_is_read(house: House, port: int) -> None:
    reply = await ask(port, "POST", "/v1/messages", body=bytes(LIMIT))
    assert (reply.status, len(house.came[0].body)) == (200, LIMIT)


async def test_a_stranger_s_large_body_is_not_waited_for(tmp_path: Path) -> None:
    house = House(tmp_path, limit=10_000_000)
    async with opened(house) as port:
        for headers in ({"content-length": "9000000"}, {"transfer-encoding": "chunked"}):
            reply = await ask(port, "POST", "/v1/messages", {"x-api-key": "bad", **headers})
            assert (reply.status, reply.headers["connection"]) == (401, "close")
        asked = {"content-length": "9000000", "expect": "100-continue"}
        reply = await ask(port, "POST", "/v1/messages", {"x-api-key": "bad", **asked})
        assert reply.status == 401
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/v1/messages", asked))
        assert await reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(bytes(9_000_000))
        assert (await read_reply(reader)).status == 200
        writer.write(request("POST", "/v1/messages", body=b"{}"))  # and the connection is good for another
        assert (await read_reply(reader)).status == 200
        writer.close()
    assert [len(came.body) for came in house.came] == [0, 0, 0, 9_000_000, 2]


@pytest.mark.parametrize("begun", [b"", b"{"])
async def test_a_body_that_does_not_come_is_waited_for_only_so_long(tmp_path: Path, begun: bytes) -> None:
    house = House(tmp_path, seconds=0.02)
    async with opened(house) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/v1/messages", {"content-length": "100"}) + begun)
        reply = await read_reply(reader)
        assert reply.status == 400
        assert b"did not arrive within 0.02 seconds" in reply.body
        writer.close()
    assert [type(error) for error in house.refused] == [InvalidRequest]


async def test_a_head_that_does_not_come_is_waited_for_only_so_long(tmp_path: Path) -> None:
    async with opened(House(tmp_path, seconds=0.02)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n")
        reply = await read_reply(reader)
        assert (reply.status, reply.headers["connection"]) == (408, "close")
        writer.close()


@pytest.mark.parametrize("begun", [b"", b"{"])
async def test_a_caller_who_leaves_before_its_body_is_here_asked_nothing(house: House, port: int, begun: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("POST", "/v1/messages", {"content-length": "100"}) + begun)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await ask(port, "GET", "/health")).status == 200
    assert house.came == []


@pytest.mark.parametrize("query", ["a=\xff", "a=\x80b"])
async def test_a_query_that_could_break_a_line_is_refused(house: House, port: int, query: str) -> None:
    reply = await ask(port, "POST", f"/v1/messages?{query}", body=b"{}")
    assert reply.status == 400
    assert [came.body for came in house.came] in ([], [b"{}"])  # by the parser, or by the door
    assert house.refused or b"no HTTP request" in reply.body


class Slow:
    """Answers in three steps, each behind a gate, and notes how it ended."""

    def __init__(self) -> None:
        self.gates = [Gate(), Gate(), Gate()]
        self.ended = ""
        self.over = asyncio.Event()

    async def run(self, incoming: Incoming, codec: Codec) -> Answer:
        try:
            await self.gates[0].passed()
        except asyncio.CancelledError:
            self._end("cancelled before its answer")
            raise
        return Answer(200, (), self.body())

    async def body(self) -> AsyncGenerator[bytes, None]:
        try:
            await self.gates[1].passed()
            yield b"one"
            await self.gates[2].passed()
            yield b"two"
            self._end("whole")
        except BaseException as error:
            self._end(type(error).__name__)
            raise

    def _end(self, how: str) -> None:
        self.ended = how
        self.over.set()


@pytest.mark.parametrize(
    ("count", "ended"), [(0, "cancelled before its answer"), (1, "CancelledError"), (2, "CancelledError")]
)
async def test_a_caller_who_leaves_ends_all_that_was_done_for_it(tmp_path: Path, count: int, ended: str) -> None:
    slow = Slow()
    for gate in slow.gates[:count]:
        gate.open()
    async with opened(House(tmp_path, slow.run)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/v1/messages", body=b"{}"))
        await slow.gates[count].reached()
        writer.close()
        await asyncio.wait_for(slow.over.wait(), 10)
    assert slow.ended == ended


async def test_a_caller_who_stays_gets_the_whole_answer(tmp_path: Path) -> None:
    slow = Slow()
    async with opened(House(tmp_path, slow.run)) as port:
        asking = asyncio.create_task(ask(port, "POST", "/v1/messages", body=b"{}"))
        for gate in slow.gates:
            await gate.reached()
            gate.open()
        assert (await asking).body == b"onetwo"
    assert slow.ended == "whole"


async def test_a_stop_breaks_off_what_is_open(tmp_path: Path) -> None:
    slow = Slow()
    house = House(tmp_path, slow.run)
    async with opened(house) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/v1/messages", body=b"{}"))
        await slow.gates[0].reached()
        house.door.interrupt()
        await asyncio.wait_for(slow.over.wait(), 10)
        assert await reader.read() == b""  # cut: what has no answer must not look like one
        writer.close()
    assert slow.ended == "cancelled before its answer"


# Pages.


async def get(port: int, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Reply:
    return await ask(port, method, target, headers)


async def test_pages_that_need_no_key(house: House, port: int) -> None:
    assert json.loads((await get(port, "http://x/health")).body) == {"status": "ok", "version": "9.9"}
    ready = await get(port, "/ready")
    assert (ready.status, json.loads(ready.body)) == (200, {"ready": True, "engines": {}})
    house.ready = False
    assert (await get(port, "/ready")).status == 503
    metrics = await get(port, "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert metrics.body == b"sampan_calls_total 1.0\n"


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nothing"])
async def test_every_page_has_a_request_id(port: int, path: str) -> None:
    first, second = await get(port, path), await get(port, path)
    assert first.headers["request-id"] == first.headers["x-request-id"]
    assert first.headers["request-id"] != second.headers["request-id"]


async def test_models_in_either_dialect(port: int) -> None:
    ours = json.loads((await get(port, "/v1/models?limit=1", headers={"x-api-key": KEY})).body)
    assert (ours["first_id"], ours["has_more"]) == ("claude-x", True)
    theirs = json.loads((await get(port, "/v1/models", headers={"authorization": f"Bearer {KEY}"})).body)
    assert [each["id"] for each in theirs["data"]] == ["claude-x", "m/y"]
    for target, name in (("claude-x", "claude-x"), ("m/y", "m/y"), ("m%2Fy", "m/y"), ("a%20b", "a b")):
        one = await get(port, f"/v1/models/{target}", headers={"x-api-key": KEY})
        assert json.loads(one.body)["id"] == name
    for path in ("/v1/models", "/v1/models/claude-x"):
        assert (await get(port, path)).status == 401
    assert (await get(port, "/v1/models/other", headers={"x-api-key": KEY})).status == 404


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
    port: int, path: str, headers: dict[str, str], anthropic: bool
) -> None:
    reply = await get(port, path, headers=headers)
    said = json.loads(reply.body)
    assert ("type" in said) is anthropic
    if anthropic:
        assert said["request_id"] == reply.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/messages", "POST"),
        ("DELETE", "/v1/images/edits", "POST"),
        ("GET", "/v1/images/variations", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/health", "GET, HEAD"),
        ("POST", "/artifacts/x", "GET, HEAD"),
    ],
)
async def test_a_method_that_is_not_allowed(port: int, method: str, path: str, allowed: str) -> None:
    reply = await get(port, path, method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == allowed
    assert allowed in reply.body.decode()


async def test_a_page_takes_no_large_body(port: int) -> None:
    reply = await ask(port, "POST", "/nothing", body=bytes(200_000))
    assert (reply.status, reply.headers["connection"]) == (413, "close")


async def test_a_page_s_bug_is_a_500_that_tells_nothing(port: int) -> None:
    reply = await get(port, "/v1/models/broken", headers={"x-api-key": KEY})
    assert reply.status == 500
    assert b"secret" not in reply.body


async def test_head_says_what_get_would_without_a_body(port: int) -> None:
    for path, headers in (("/health", {}), ("/v1/models", {"x-api-key": KEY}), ("/nothing", {}), ("/v1/messages", {})):
        got = await get(port, path, headers=headers)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("HEAD", path, headers) + request("GET", "/health", {"connection": "close"}))
        head = await read_reply(reader, "HEAD")
        assert head.status == got.status
        same = ("content-type", "content-length")
        assert [head.headers.get(name) for name in same] == [got.headers.get(name) for name in same]
        assert json.loads((await read_reply(reader)).body)["status"] == "ok"  # no byte of a body between the two
        assert await reader.read() == b""
        writer.close()


async def test_an_artifact_by_its_link(house: House, port: int) -> None:
    data = b"\x89PNG" + bytes(100_000)
    artifact = await house.objects.put(data, "image/png", "key_1", {})
    link = house.objects.sign(artifact.sha256, "image/png", int(NOW) + 60)
    for method in ("GET", "HEAD"):
        reply = await get(port, link, method=method)
        assert reply.status == 200
        assert reply.headers["content-type"] == "image/png"
        assert reply.headers["content-length"] == str(len(data))
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "private, max-age=60, immutable"
        assert reply.body == (data if method == "GET" else b"")
    path, _, query = link.partition("?")
    assert (await get(port, path)).status == 403
    assert (await get(port, f"{path}?{query.replace('e=', 'e=0')}")).status == 403
    assert (await get(port, f"/artifacts/other?{query}")).status == 404
