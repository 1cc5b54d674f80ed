"""Calls as users make them, through the official SDKs, and what the SDK made of each answer."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anthropic
import openai

from sampan.core import Dialect, Operation
from sampan.drill.scenes import Shape
from sampan.drill.script import LEFT, PICTURE, PICTURE64, SAID, VECTOR

PATIENCE = 90.0
"""Seconds that a caller waits for one answer: no kept promise takes so long, and a hung gateway must end somewhere."""
TOKENS = 64
QUESTION = "Count from one to eight, in words."
SEEN = "What is written in this picture?"
DRAWING, EDITING = "a red boat on a lake", "add a red cat on the right"
SIZE = "256x256"
HEADERS = ("request-id", "x-request-id", "x-sampan-upstream", "x-sampan-tier", "x-sampan-attempts", "x-should-retry")
PNG = ("picture.png", PICTURE, "image/png")


class Ending(StrEnum):
    """How an answer ended for the SDK.

    WHOLE with its dialect's last event; ERROR with an API error, as a status or in the stream; HALF cleanly but without
    its last event; BROKEN by a closed connection or by bytes that the SDK cannot read; HUNG not at all.
    """

    WHOLE = "whole"
    ERROR = "error"
    HALF = "half"
    BROKEN = "broken"
    HUNG = "hung"


class Source(StrEnum):
    """Who gave the content, by the content itself."""

    CLOUD = "cloud"
    OTHER = "other"
    BOTH = "both"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Seen:
    """One call as its caller saw it. Times are in seconds from the call; `first` is 0 where no content came, `at` is
    the call's own beginning on the monotonic clock.

    `touched` is how many calls the stand-in counted for it, over all of the scene's clouds.
    """

    ending: Ending
    text: str = ""
    source: Source = Source.NOBODY
    first: float = 0.0
    seconds: float = 0.0
    status: int = 0
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    touched: int = 0
    at: float = 0.0

    @property
    def id(self) -> str:
        return self.headers.get("request-id", "") or self.headers.get("x-request-id", "")


@dataclass(slots=True)
class _Ear:
    """What has arrived of one answer so far; `heard` is called at its first content."""

    heard: Callable[[], None]
    began: float = field(default_factory=time.monotonic)
    first: float = 0.0
    pieces: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    finished: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def hear(self, text: str) -> None:
        if text:
            self._mark()
            self.pieces.append(text)

    def look(self, b64: str | None) -> None:
        if b64:
            self._mark()
            self.pictures.append(b64)

    def _mark(self) -> None:
        if not self.first:
            self.first = time.monotonic()
            self.heard()

    def seen(self, ending: Ending, status: int = 0, error: str = "") -> Seen:
        text = "".join(self.pieces)
        return Seen(
            ending,
            text,
            _source(text, self.pictures),
            self.first - self.began if self.first else 0.0,
            time.monotonic() - self.began,
            status,
            error[:300],
            {name: self.headers[name] for name in HEADERS if name in self.headers},
            at=self.began,
        )


def _source(text: str, pictures: list[str]) -> Source:
    if pictures:
        ours = {picture == PICTURE64 for picture in pictures}
        return Source.BOTH if len(ours) > 1 else Source.CLOUD if True in ours else Source.OTHER
    if not text:
        return Source.NOBODY
    if not text.startswith(SAID):
        return Source.OTHER
    after = text.removeprefix(SAID).strip().rstrip(".").strip()
    return Source.CLOUD if not after or after == LEFT.strip() else Source.BOTH


@dataclass(frozen=True, slots=True)
class Callers:
    """Both SDKs, their own retries off: they would hide what the gateway does."""

    talk: anthropic.AsyncAnthropic
    open: openai.AsyncOpenAI

    async def ask(self, shape: Shape, model: str, heard: Callable[[], None] = lambda: None) -> Seen:
        """One call; never raises for what the gateway does. `heard` is called when the first content is there."""
        ear = _Ear(heard)
        try:
            await VOICES[shape.dialect](self, shape, model, ear)
        except (anthropic.APIStatusError, openai.APIStatusError) as error:
            ear.headers = ear.headers or error.response.headers
            return ear.seen(Ending.ERROR, error.status_code, str(error))
        except (anthropic.APITimeoutError, openai.APITimeoutError) as error:
            return ear.seen(Ending.HUNG, error=str(error))
        except (anthropic.APIConnectionError, openai.APIConnectionError) as error:
            return ear.seen(Ending.BROKEN, error=repr(error.__cause__ or error))
        except (anthropic.APIError, openai.APIError) as error:
            is_event = error.body is not None or bool(error.message)
            return ear.seen(Ending.ERROR if is_event else Ending.BROKEN, 200, str(error))
        except TimeoutError as error:
            return ear.seen(Ending.HUNG, error=repr(error))
        except Exception as error:  # whatever the SDK makes of bytes that are no answer: it has no one class for it
            return ear.seen(Ending.HUNG if "Timeout" in type(error).__name__ else Ending.BROKEN, error=repr(error))
        return ear.seen(Ending.WHOLE if ear.finished else Ending.HALF, 200)


@asynccontextmanager
async def callers(url: str, key: str, *, ours: bool, patience: float = PATIENCE) -> AsyncIterator[Callers]:
    """SDK clients for a gateway; `ours` is on loopback, where no proxy of the environment may come in between.

    `patience` is how many seconds they wait for an answer, and for each piece of a stream.
    """
    settings: dict[str, Any] = {"api_key": key or "none", "max_retries": 0, "timeout": patience}
    talk_url = url.rstrip("/").removesuffix("/v1")
    talk = anthropic.DefaultAsyncHttpxClient(trust_env=not ours, timeout=patience)
    chat = openai.DefaultAsyncHttpxClient(trust_env=not ours, timeout=patience)
    async with (
        anthropic.AsyncAnthropic(base_url=talk_url, http_client=talk, **settings) as first,
        openai.AsyncOpenAI(base_url=f"{talk_url}/v1", http_client=chat, **settings) as second,
    ):
        yield Callers(first, second)


async def _claude(sdk: Callers, shape: Shape, model: str, ear: _Ear) -> None:
    content: Any = QUESTION
    if shape.operation is Operation.VISION:
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE64}
        content = [{"type": "image", "source": source}, {"type": "text", "text": SEEN}]
    asked: Any = [{"role": "user", "content": content}]
    create = sdk.talk.messages.with_raw_response.create
    if not shape.stream:
        raw = await create(model=model, max_tokens=TOKENS, messages=asked)
        ear.headers = raw.headers
        message: Any = await _parsed(raw)
        ear.hear("".join(block.text for block in message.content if block.type == "text"))
        ear.finished = message.stop_reason is not None
        return
    streamed = await create(model=model, max_tokens=TOKENS, messages=asked, stream=True)
    ear.headers = streamed.headers
    stopped = False
    async with await _parsed(streamed) as stream:
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                ear.hear(event.delta.text)
            elif event.type == "message_delta":
                stopped = event.delta.stop_reason is not None
            elif event.type == "message_stop":
                ear.finished = stopped


async def _chat(sdk: Callers, shape: Shape, model: str, ear: _Ear) -> None:
    content: Any = QUESTION
    if shape.operation is Operation.VISION:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE64}"}}
        content = [picture, {"type": "text", "text": SEEN}]
    asked: Any = [{"role": "user", "content": content}]
    create = sdk.open.chat.completions.with_raw_response.create
    if not shape.stream:
        raw = await create(model=model, max_tokens=TOKENS, messages=asked)
        ear.headers = raw.headers
        choice = (await _parsed(raw)).choices[0]
        ear.hear(choice.message.content or "")
        ear.finished = choice.finish_reason is not None
        return
    streamed = await create(model=model, max_tokens=TOKENS, messages=asked, stream=True)
    ear.headers = streamed.headers
    async with await _parsed(streamed) as stream:
        async for chunk in stream:
            for choice in chunk.choices:
                ear.hear(choice.delta.content or "")
                ear.finished = ear.finished or choice.finish_reason is not None


async def _images(sdk: Callers, shape: Shape, model: str, ear: _Ear) -> None:
    images: Any = sdk.open.images.with_raw_response
    more: dict[str, Any] = {"model": model, "size": SIZE} | ({"stream": True} if shape.stream else {})
    if shape.operation is Operation.EDIT:
        raw = await images.edit(prompt=EDITING, image=PNG, **more)
    else:
        raw = await images.generate(prompt=DRAWING, **more)
    ear.headers = raw.headers
    if not shape.stream:
        for each in (await _parsed(raw)).data or ():
            ear.look(each.b64_json)
            ear.finished = base64.b64decode(each.b64_json or "").startswith(b"\x89PNG")
        return
    async with await _parsed(raw) as stream:
        async for event in stream:
            if event.type.endswith("partial_image"):
                ear.look(event.b64_json)
            elif event.type.endswith(".completed"):
                ear.look(event.b64_json)
                ear.finished = True


async def _embed(sdk: Callers, shape: Shape, model: str, ear: _Ear) -> None:
    raw = await sdk.open.embeddings.with_raw_response.create(model=model, input=QUESTION, encoding_format="float")
    ear.headers = raw.headers
    vector = (await _parsed(raw)).data[0].embedding
    ear.hear(SAID + LEFT if vector == VECTOR else json.dumps(vector[:4]))
    ear.finished = bool(vector)


async def _parsed(raw: Any) -> Any:
    """The SDKs disagree on whether parsing must be awaited."""
    parsed = raw.parse()
    return await parsed if isinstance(parsed, Awaitable) else parsed


Voice = Callable[[Callers, Shape, str, _Ear], Awaitable[None]]
VOICES: Mapping[Dialect, Voice] = {
    Dialect.ANTHROPIC: _claude,
    Dialect.OPENAI_CHAT: _chat,
    Dialect.OPENAI_IMAGES: _images,
    Dialect.OPENAI_EMBEDDINGS: _embed,
}
