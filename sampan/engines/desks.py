"""The desks of the shell: each takes the calls of one dialect, has an engine do them, and hands the answer out.

An answer that streams begins with HTTP 200 only when its first piece is there, or after `_BEAT` seconds without one;
until then a mistake still gets its own status. From then on something goes out at least every `_BEAT` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from sampan.core import Usage
from sampan.dialects import Codec, sse
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_images import OpenAIImages
from sampan.engines import wire_pictures, wire_talk
from sampan.engines.contract import Drawn, Painter, Progress, Stopped, Talker
from sampan.engines.exchange import CallerLeft, Exchange
from sampan.engines.wire_pictures import Asked, Made
from sampan.engines.wire_talk import Begun, Cutter, Done, Question, Said
from sampan.engines.workers import Workers
from sampan.errors import CallError, InternalError

T = TypeVar("T")
Handler: TypeAlias = Callable[[Exchange, bytes], Awaitable[None]]
_Painted: TypeAlias = tuple[int, int] | Made | Progress  # what was read, a picture or a preview, how far it has come

_BEAT = 5.0  # seconds
_LARGE = 128 * 1024  # bytes from which on parsing is no work for the event loop

log = logging.getLogger("sampan.engine")


class Desk(Protocol):
    """The calls of one dialect: what it can be asked for by POST, and how it says that something is wrong."""

    @property
    def codec(self) -> Codec: ...

    @property
    def handlers(self) -> Mapping[str, Handler]: ...


class TalkDesk:
    """Anthropic Messages in front of a talker."""

    codec = Anthropic()

    def __init__(self, engine: Talker, workers: Workers) -> None:
        self._engine = engine
        self._workers = workers
        self.handlers: Mapping[str, Handler] = {
            "/v1/messages": self._messages,
            "/v1/messages/count_tokens": self._count,
        }

    async def _messages(self, exchange: Exchange, body: bytes) -> None:
        question = await parsed(wire_talk.parse, body)
        message_id = f"msg_{secrets.token_hex(12)}"
        async with aclosing(self._workers.run(partial(_say, self._engine, question))) as said:
            if question.stream:
                frames = _TalkFrames(said, question.model, message_id)
                await send_stream(exchange, frames.run(), frames.beat, self.codec)
                return
            pieces = [piece async for piece in said]
        await exchange.answer(200, wire_talk.message(pieces, question.model, message_id))

    async def _count(self, exchange: Exchange, body: bytes) -> None:
        question = await parsed(wire_talk.parse_count, body)
        async with aclosing(self._workers.run(partial(_count, self._engine, question))) as counts:
            async for count in counts:
                await exchange.answer(200, b'{"input_tokens":%d}' % count)


class PictureDesk:
    """OpenAI Images in front of a painter."""

    codec = OpenAIImages()

    def __init__(self, engine: Painter, workers: Workers) -> None:
        self._engine = engine
        self._honours: Collection[str] = getattr(engine, "honours", ())  # of our extensions to the dialect
        self._workers = workers
        self.handlers: Mapping[str, Handler] = {
            "/v1/images/generations": self._generations,
            "/v1/images/edits": self._edits,
            "/v1/images/variations": self._variations,
        }

    async def _generations(self, exchange: Exchange, body: bytes) -> None:
        await self._make(exchange, await parsed(wire_pictures.parse_generation, body))

    async def _edits(self, exchange: Exchange, body: bytes) -> None:
        parse = partial(wire_pictures.parse_edit, content_type=exchange.header("content-type"))
        await self._make(exchange, await parsed(parse, body))

    async def _variations(self, exchange: Exchange, body: bytes) -> None:
        parse = partial(wire_pictures.parse_variation, content_type=exchange.header("content-type"))
        await self._make(exchange, await parsed(parse, body))

    async def _make(self, exchange: Exchange, asked: Asked) -> None:
        wire_pictures.refuse(asked.order.manner, self._honours)
        created = int(time.time())
        async with aclosing(self._workers.run(partial(_paint, self._engine, asked))) as made:
            if asked.stream:
                await send_stream(exchange, _picture_frames(made, asked.event, created), comment, self.codec)
                return
            pieces = [piece async for piece in made]
        pictures = [piece for piece in pieces if isinstance(piece, Made)]
        read = next((piece for piece in pieces if isinstance(piece, tuple)), (0, 0))
        body = await asyncio.to_thread(wire_pictures.answer, pictures, read, created)
        await exchange.answer(200, body)


# In a worker's thread.


def _say(engine: Talker, question: Question, stopped: Stopped) -> Iterator[Said]:
    """An answer from `Begun` to `Done`. The input is counted after the first piece: only then has it been read."""
    cutter = Cutter(question.max_tokens or 0, question.stop_sequences)
    if question.max_tokens == 0:
        read = engine.count(question.question, question.sources)
        yield Begun(read)
        yield Done("max_tokens", None, Usage(read, 0))
        return
    usage: Usage | None = None
    read = 0
    begun = False
    with closing(engine.answer(question.question, question.sources, stopped)) as answer:
        while cutter.reason is None:
            try:
                piece = next(answer)
            except StopIteration as end:
                usage = end.value
                piece = ""
            if not begun:
                begun = True
                read = engine.count(question.question, question.sources)
                yield Begun(read)
            text = cutter.feed(piece) if usage is None else cutter.finish()
            if text:
                yield text
            if usage is not None:
                break
    if usage is None or cutter.reason is not None:
        usage = Usage(read, cutter.units)
    yield Done(cutter.reason or "end_turn", cutter.stop_sequence, usage)


def _count(engine: Talker, question: Question, stopped: Stopped) -> Iterator[int]:
    yield engine.count(question.question, question.sources)


def _paint(engine: Painter, asked: Asked, stopped: Stopped) -> Iterator[_Painted]:
    """What was read, then each picture, encoded here because base64 of megabytes is no work for the event loop."""
    yield wire_pictures.input_tokens(asked)
    pictures: Iterator[Drawn]
    if asked.varies:
        pictures = engine.vary(asked.order, asked.images[0], stopped)
    elif asked.images:
        pictures = engine.edit(asked.order, asked.images, asked.mask, stopped)
    else:
        pictures = engine.generate(asked.order, stopped)
    for drawn in pictures:
        if not isinstance(drawn, Progress):
            yield wire_pictures.pack(drawn, asked.quality)
        elif asked.stream:
            yield drawn


# On the event loop.


async def parsed(parse: Callable[[bytes], T], body: bytes) -> T:
    """A body as `parse` makes it; a large one is parsed in a thread."""
    return parse(body) if len(body) < _LARGE else await asyncio.to_thread(parse, body)


class _TalkFrames:
    """An answer as SSE frames. Before `message_start` only comments may keep the line alive, after it pings do."""

    def __init__(self, said: AsyncGenerator[Said, None], model: str, message_id: str) -> None:
        self._said = said
        self._model = model
        self._id = message_id
        self._begun = False

    def beat(self) -> bytes:
        return wire_talk.PING if self._begun else comment()

    async def run(self) -> AsyncGenerator[bytes, None]:
        async for piece in self._said:
            match piece:
                case Begun():
                    self._begun = True
                    yield wire_talk.begin(piece, self._model, self._id)
                case Done():
                    yield wire_talk.end(piece)
                case str():
                    yield wire_talk.delta(piece)


def comment() -> bytes:
    """What keeps a line alive that has nothing to say yet."""
    return sse.comment("working")


async def _picture_frames(
    made: AsyncGenerator[_Painted, None], event: str, created: int
) -> AsyncGenerator[bytes, None]:
    read = (0, 0)
    output = 0
    async for piece in made:
        if isinstance(piece, tuple):
            read = piece
            continue
        if isinstance(piece, Progress):
            yield sse.comment(f"step {piece.step} of {piece.steps}")
            continue
        if piece.preview is not None:
            yield await asyncio.to_thread(wire_pictures.partial, piece, event, created)
            continue
        output += piece.tokens
        usage = wire_pictures.usage(read, output)
        yield await asyncio.to_thread(wire_pictures.completed, piece, event, usage, created)
    yield wire_pictures.DONE


async def send_stream(
    exchange: Exchange, frames: AsyncGenerator[bytes, None], beat: Callable[[], bytes], codec: Codec
) -> None:
    """Sends frames as they come. What goes wrong after the 200 becomes an error event, without a clean end."""
    async with aclosing(_paced(frames)) as paced:
        try:
            async for frame in paced:
                if not exchange.started:
                    await exchange.start_stream()
                await exchange.frame(beat() if frame is None else frame)
        except (CallerLeft, asyncio.CancelledError):
            raise
        except Exception as error:
            if not exchange.started:
                raise
            await exchange.frame(codec.error_frame(told(error), exchange.request_id))
    await exchange.end_stream()


async def _paced(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes | None, None]:
    """The frames, and None whenever none came for `_BEAT` seconds."""
    pending = asyncio.ensure_future(_next(frames))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=_BEAT)
            if not done:
                yield None
                continue
            frame = pending.result()
            if frame is None:
                return
            yield frame
            pending = asyncio.ensure_future(_next(frames))
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        await frames.aclose()


async def _next(frames: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(frames, None)


async def attended(exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
    """Does `work` while its caller is there; cancels it and raises `CallerLeft` when it is not."""
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(exchange.left())
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerLeft
        task.result()
    finally:
        task.cancel()
        left.cancel()
        await asyncio.gather(task, left, return_exceptions=True)


# What went wrong, as the wire says it.


def told(error: Exception) -> CallError:
    """The error that a caller is told: ours with its field named, anything else without details, and logged."""
    if not isinstance(error, CallError):
        log.error("an engine's call failed\n%s", trace(error))
        return InternalError("something went wrong inside this engine; its log says where")
    if error.param and not error.message.startswith(error.param):
        return type(error)(f"{error.param}: {error.message}", param=error.param, retry_after=error.retry_after)
    return error


def trace(error: BaseException) -> str:
    """Where an error came from, without its message: that may hold what a caller sent."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        lines += traceback.format_tb(seen.__traceback__)
        lines.append(f"{type(seen).__module__}.{type(seen).__qualname__}\n")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "".join(lines).rstrip()
