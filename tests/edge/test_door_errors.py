"""Errors as the official SDKs read them, from the door behind real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import anthropic
import openai
import pytest
from house import KEY, House, opened

from sampan.core import Answer, Incoming
from sampan.dialects import Codec
from sampan.dialects.anthropic import Anthropic
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

    async with opened(House(tmp_path, run)) as port:
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
    async with opened(House(tmp_path)) as port:
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

    async with opened(House(tmp_path, run)) as port:
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
