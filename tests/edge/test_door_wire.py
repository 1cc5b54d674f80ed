"""The door behind the real server, over real sockets, and its errors as the official SDKs read them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import uvicorn
from asgi import KEY, House
from test_door import Slow

from sampan.core import Answer, Incoming
from sampan.dialects import Codec
from sampan.dialects.anthropic import Anthropic
from sampan.edge.wire import Wire
from sampan.errors import (
    CallError,
    Forbidden,
    InternalError,
    InvalidRequest,
    NotFound,
    RequestTooLarge,
    Unauthenticated,
    Unavailable,
)

Run = Callable[[Incoming, Codec], Awaitable[Answer]]
PROTOCOL: Any = Wire


@pytest.fixture(autouse=True, params=["httptools", Wire], ids=["messages", "exchange"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds over plain ASGI messages and over the short way that `app` uses."""
    monkeypatch.setattr(sys.modules[__name__], "PROTOCOL", request.param)


@asynccontextmanager
async def serving(
    folder: Path, run: Run | None = None, *, seconds: float = 10.0, limit: int = 1000
) -> AsyncIterator[int]:
    """The port of a door behind uvicorn, as `app` runs it."""
    house = House(folder, run, seconds=seconds, limit=limit)
    config = uvicorn.Config(
        house.door, port=0, http=PROTOCOL, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    server = uvicorn.Server(config)
    listening = asyncio.Event()
    startup = server.startup

    async def start(sockets: object = None) -> None:
        await startup()
        listening.set()

    server.startup = start  # type: ignore[method-assign]
    task = asyncio.create_task(server._serve())
    try:
        await asyncio.wait_for(listening.wait(), 10)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task
        house.database.close()


async def exchange(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends all of `sent`, then reads until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    head, _, body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


def post(size: int, *headers: str) -> bytes:
    head = ["POST /v1/messages HTTP/1.1", "host: x", f"x-api-key: {KEY}", f"content-length: {size}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


async def test_a_caller_who_sends_far_too_much_still_reads_why(tmp_path: Path) -> None:
    async with serving(tmp_path) as port:
        status, headers, body = await exchange(port, post(4_000_000) + bytes(4_000_000))
        assert (status, headers["connection"]) == (413, "close")
        assert "the limit of 1,000 bytes" in json.loads(body)["error"]["message"]
        chunk = b"%x\r\n%s\r\n" % (100_000, bytes(100_000))
        head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: good\r\ntransfer-encoding: chunked\r\n\r\n"
        status, _, body = await exchange(port, head + chunk * 40 + b"0\r\n\r\n")
        assert status == 413
        assert json.loads(body)["error"]["type"] == "request_too_large"


@pytest.mark.parametrize("begun", [b"", b"{"])
async def test_a_caller_who_sends_no_body_is_not_waited_for_for_ever(tmp_path: Path, begun: bytes) -> None:
    async with serving(tmp_path, seconds=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(100) + begun)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 400 ")
        writer.close()


@pytest.mark.parametrize("opened", [0, 1, 2])
async def test_a_caller_who_closes_the_socket_ends_the_call(tmp_path: Path, opened: int) -> None:
    slow = Slow()
    ended = asyncio.Event()
    for gate in slow.gates[:opened]:
        gate.open()

    async def run(incoming: Incoming, codec: Codec) -> Answer:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _: ended.set())
        return await slow.run(incoming, codec)

    async with serving(tmp_path, run) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(2) + b"{}")
        await slow.gates[opened].reached()
        writer.close()
        await asyncio.wait_for(ended.wait(), 10)
    assert slow.ended in ("cancelled before its answer", "CancelledError")


async def test_a_connection_is_kept_for_the_next_call_and_head_has_no_body(tmp_path: Path) -> None:
    async with serving(tmp_path) as port:
        head = b"HEAD /health HTTP/1.1\r\nhost: x\r\n\r\n"
        last = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for sent in (post(2) + b"{}", head, last):
            writer.write(sent)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert answer.startswith(b"HTTP/1.1 200 ")
            if sent.startswith(b"POST"):
                assert await reader.readexactly(2) == b"{}"
        assert json.loads(await reader.read())["status"] == "ok"
        writer.close()


CASES: list[tuple[CallError, type[Exception], type[Exception]]] = [
    (InvalidRequest("m", param="messages"), anthropic.BadRequestError, openai.BadRequestError),
    (Unauthenticated("m"), anthropic.AuthenticationError, openai.AuthenticationError),
    (Forbidden("m"), anthropic.PermissionDeniedError, openai.PermissionDeniedError),
    (NotFound("m"), anthropic.NotFoundError, openai.NotFoundError),
    (RequestTooLarge("m"), anthropic.RequestTooLargeError, openai.APIStatusError),
    (InternalError("m"), anthropic.InternalServerError, openai.InternalServerError),
    (Unavailable("m"), anthropic.OverloadedError, openai.InternalServerError),
]


@pytest.mark.parametrize(("error", "ours", "theirs"), CASES, ids=[type(case[0]).__name__ for case in CASES])
async def test_the_official_sdks_read_our_errors(
    tmp_path: Path, error: CallError, ours: type[Exception], theirs: type[Exception]
) -> None:
    asked = 0

    async def run(incoming: Incoming, codec: Codec) -> Answer:
        nonlocal asked
        asked += 1
        headers = (("content-type", "application/json"), ("request-id", "req_7"), ("x-request-id", "req_7"))
        return Answer(codec.status(error), (*headers, ("x-should-retry", "false")), codec.error(error, "req_7"))

    async with serving(tmp_path, run) as port:
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=f"http://127.0.0.1:{port}") as client:
            with pytest.raises(ours) as raised:
                await client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
            assert isinstance(raised.value, anthropic.APIStatusError)
            assert raised.value.request_id == "req_7"
            assert raised.value.body == json.loads(Anthropic().error(error, "req_7"))
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1") as client2:
            with pytest.raises(theirs) as raised2:
                await client2.images.generate(prompt="x")
            assert isinstance(raised2.value, openai.APIStatusError)
            assert raised2.value.request_id == "req_7"
            assert raised2.value.param == error.param
    assert asked == 2  # `x-should-retry: false` is obeyed


async def test_the_sdks_list_models_over_pages(tmp_path: Path) -> None:
    async with serving(tmp_path) as port:
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=f"http://127.0.0.1:{port}") as client:
            assert [model.id async for model in client.models.list(limit=1)] == ["claude-x", "m/y"]
            assert (await client.models.retrieve("claude-x")).display_name == "claude-x"
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1") as client2:
            assert [model.id async for model in client2.models.list()] == ["claude-x", "m/y"]


async def test_the_sdks_raise_an_error_that_comes_inside_a_stream(tmp_path: Path) -> None:
    async def run(incoming: Incoming, codec: Codec) -> Answer:
        async def body() -> AsyncGenerator[bytes, None]:
            yield b": waiting\n\n"
            yield codec.error_frame(Unavailable("nobody could answer"), "req_7")

        return Answer(200, (("content-type", "text/event-stream"),), body())

    async with serving(tmp_path, run) as port:
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=f"http://127.0.0.1:{port}") as client:
            with pytest.raises(anthropic.APIStatusError, match="nobody could answer"):
                async for _ in await client.messages.create(
                    model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}], stream=True
                ):
                    pytest.fail("there was no event")
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1") as client2:
            with pytest.raises(openai.APIError, match="nobody could answer"):
                async for _ in await client2.images.generate(prompt="x", stream=True):
                    pytest.fail("there was no event")
