"""The shapes of calls that a user makes, each through the official SDK, with what came back as plain facts."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from cells import PICTURE, PICTURE64
from gateway import Gateway

IMAGE_BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE64}}
PROMPT = "a red boat on a lake"


@dataclass(frozen=True)
class Told:
    """An answer: its text (or "picture"), its headers, and how long it took in seconds."""

    content: str
    headers: Mapping[str, str]
    seconds: float

    @property
    def id(self) -> str:
        return self.headers["request-id"]

    @property
    def upstream(self) -> str:
        return self.headers["x-sampan-upstream"]

    @property
    def tier(self) -> str:
        return self.headers["x-sampan-tier"]

    @property
    def attempts(self) -> str:
        return self.headers["x-sampan-attempts"]


@dataclass(frozen=True)
class Clients:
    """Both SDKs, asynchronous."""

    talk: anthropic.AsyncAnthropic
    draw: openai.AsyncOpenAI


@asynccontextmanager
async def clients(gateway: Gateway) -> AsyncIterator[Clients]:
    async with gateway.async_anthropic() as talk, gateway.async_openai() as draw:
        yield Clients(talk, draw)


def messages(sees: bool) -> list[dict[str, Any]]:
    text = {"type": "text", "text": "What is this?"}
    return [{"role": "user", "content": [IMAGE_BLOCK, text] if sees else "Who are you?"}]


async def _talk(sdk: Clients, model: str, sees: bool) -> tuple[str, Mapping[str, str]]:
    raw = await sdk.talk.messages.with_raw_response.create(model=model, max_tokens=100, messages=messages(sees))
    message = await raw.parse()
    assert message.usage.output_tokens > 0
    return message.content[0].text, raw.headers


async def _talk_stream(sdk: Clients, model: str, sees: bool) -> tuple[str, Mapping[str, str]]:
    async with sdk.talk.messages.stream(model=model, max_tokens=100, messages=messages(sees)) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
        assert message.stop_reason is not None
        return text, stream.response.headers


async def _draw(sdk: Clients, model: str, edit: bool) -> tuple[str, Mapping[str, str]]:
    images = sdk.draw.images.with_raw_response
    if edit:
        raw = await images.edit(model=model, prompt=PROMPT, image=("boat.png", PICTURE, "image/png"))
    else:
        raw = await images.generate(model=model, prompt=PROMPT)
    data = raw.parse().data
    assert data is not None and len(data) == 1
    return _picture(data[0].b64_json), raw.headers


async def _draw_stream(sdk: Clients, model: str, edit: bool) -> tuple[str, Mapping[str, str]]:
    if edit:
        image = ("boat.png", PICTURE, "image/png")
        stream = await sdk.draw.images.edit(model=model, prompt=PROMPT, image=image, stream=True)
    else:
        stream = await sdk.draw.images.generate(model=model, prompt=PROMPT, stream=True)
    async with stream:
        events = [event async for event in stream]
    assert events, "a picture stream without an event"
    assert events[-1].type == ("image_edit.completed" if edit else "image_generation.completed")
    return _picture(events[-1].b64_json), stream.response.headers


def _picture(b64: str | None) -> str:
    assert b64 and base64.b64decode(b64, validate=True).startswith(b"\x89PNG")
    return "picture"


Shape = Callable[[Clients, str], Awaitable[tuple[str, Mapping[str, str]]]]

SHAPES: dict[str, Shape] = {
    "text": lambda sdk, model: _talk(sdk, model, False),
    "text_stream": lambda sdk, model: _talk_stream(sdk, model, False),
    "vision": lambda sdk, model: _talk(sdk, model, True),
    "vision_stream": lambda sdk, model: _talk_stream(sdk, model, True),
    "generate": lambda sdk, model: _draw(sdk, model, False),
    "generate_stream": lambda sdk, model: _draw_stream(sdk, model, False),
    "edit": lambda sdk, model: _draw(sdk, model, True),
    "edit_stream": lambda sdk, model: _draw_stream(sdk, model, True),
}


def draws(shape: str) -> bool:
    return shape.startswith(("generate", "edit"))


def operation(shape: str) -> str:
    return shape.removesuffix("_stream")


async def ask(sdk: Clients, shape: str, model: str) -> Told:
    """One call in this shape; raises what the SDK raises."""
    began = time.monotonic()
    content, headers = await SHAPES[shape](sdk, model)
    return Told(content, headers, time.monotonic() - began)
