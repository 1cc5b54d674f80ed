"""An upstream in one of the dialects: one attempt at a call, from bytes out to events in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import msgspec

from sampan.core import Call, Dialect, Event, Fault, Usage
from sampan.dialects import Watch, anthropic, fields, openai_images
from sampan.dialects.sse import FrameBuffer
from sampan.errors import TargetFault
from sampan.upstreams.faults import classify
from sampan.upstreams.origin import Clocks
from sampan.upstreams.pool import Pool
from sampan.upstreams.response import Response

ANSWER_LIMIT = 256 * 1024 * 1024  # ten 4K pictures in base64; a longer answer is no answer
REFUSAL_LIMIT = 1024 * 1024
LISTING_LIMIT = 4 * 1024 * 1024

# How fast a model is expected to write. A caller who does not stream gets nothing before the whole answer is there,
# so that answers longer than SHORT_ANSWER tokens are given their time on top of the first-event clock.
TOKENS_PER_SECOND = 50.0
SHORT_ANSWER = 1024

RATE_HEADERS = ("anthropic-ratelimit-", "x-ratelimit-")


@dataclass(frozen=True, slots=True)
class Manner:
    """How one dialect is spoken to a server."""

    body: Callable[[Call, str | None], bytes]
    check: Callable[[Call, bytes], Usage]
    watch: Callable[[Call], Watch]


def _talk_body(call: Call, model: str | None) -> bytes:
    return call.body if model in (None, call.model) else fields.with_members(call.body, {"model": model})


def _talk_check(call: Call, body: bytes) -> Usage:
    return anthropic.check_count(body) if "/count_tokens" in call.path else anthropic.check(body)


MANNERS = {
    Dialect.ANTHROPIC: Manner(_talk_body, _talk_check, lambda call: anthropic.MessageWatch()),
    Dialect.OPENAI_IMAGES: Manner(
        openai_images.body_for,
        lambda call, body: openai_images.check(body),
        lambda call: openai_images.PictureWatch(call.pictures),
    ),
}


def credentials(dialect: Dialect, api_key: str) -> dict[str, str]:
    """The headers that a key travels in, by dialect."""
    if not api_key:
        return {}
    return {"x-api-key": api_key} if dialect is Dialect.ANTHROPIC else {"authorization": f"Bearer {api_key}"}


class HttpUpstream:
    """Speaks `dialect` to whatever its pool connects to.

    `awake` is awaited before each attempt: an engine that is still warming up is waited for, within its clocks.
    `probe_path` may also be `tcp` (connect only) or `off`.
    """

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        pool: Pool,
        *,
        clocks: Clocks,
        probe_path: str,
        probe_timeout: float,
        awake: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self._dialect = dialect
        self._manner = MANNERS[dialect]
        self._pool = pool
        self._clocks = clocks
        self._awake = awake
        self._probe_path = probe_path
        self._probe_clocks = Clocks(probe_timeout, probe_timeout, probe_timeout, probe_timeout)
        self.models: tuple[str, ...] = ()

    async def fetch(self, call: Call, model: str | None) -> Event:
        response = await self._request(call, model, "application/json")
        try:
            kept = await self._accept(call, response)
            body = await response.read(ANSWER_LIMIT)
            return Event(body, content=True, usage=self._manner.check(call, body), headers=kept)
        finally:
            response.close()

    async def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        if not call.stream:
            yield await self.fetch(call, model)
            return
        async with await self._request(call, model, "text/event-stream") as response:
            kept = await self._accept(call, response)
            async with aclosing(self._relay(response, self._manner.watch(call), kept)) as events:
                async for event in events:
                    yield event

    async def _request(self, call: Call, model: str | None, accept: str) -> Response:
        if self._awake is not None:
            await self._awake()
        headers = [("content-type", call.content_type), ("accept", accept), *call.headers.items()]
        body = self._manner.body(call, model)
        return await self._pool.request("POST", call.path, headers=headers, body=body, clocks=self._clocks_of(call))

    async def _accept(self, call: Call, response: Response) -> tuple[tuple[str, str], ...]:
        """The headers worth handing on, of an answer of the kind that was asked for. Raises for any other."""
        if response.status != 200:
            raise classify(response.status, response.headers, await response.read(REFUSAL_LIMIT))
        headers = response.headers
        streams = headers.get("content-type", "").lower().startswith("text/event-stream")
        if streams != call.stream:
            raise await self._wrong_kind(call, response, streams)
        return tuple([(name, value) for name, value in headers.items() if name.startswith(RATE_HEADERS)])

    def _clocks_of(self, call: Call) -> Clocks:
        extra = (call.answer_tokens - SHORT_ANSWER) / TOKENS_PER_SECOND
        if call.stream or extra <= 0:
            return self._clocks
        return replace(self._clocks, first_event=self._clocks.first_event + extra)

    async def _wrong_kind(self, call: Call, response: Response, streams: bool) -> TargetFault:
        """A stream where a body was asked for, or the other way round; an error in it says more than its type."""
        if streams:
            return TargetFault(Fault.MALFORMED, "a stream where none was asked for")
        try:
            self._manner.check(call, await response.read(REFUSAL_LIMIT))
        except TargetFault as fault:
            return fault
        return TargetFault(Fault.MALFORMED, "no stream where one was asked for")

    async def _relay(
        self, response: Response, watch: Watch, headers: tuple[tuple[str, str], ...]
    ) -> AsyncGenerator[Event, None]:
        """Whole frames as they come, each watched. Ends only where the dialect's terminal event was seen."""
        buffer = FrameBuffer()
        waiting = True
        seen_any = False
        while chunk := await response.more():
            frames = buffer.feed(chunk)
            if not frames:
                continue
            seen_any = True
            seen = watch.feed(frames)
            if waiting and (seen.content or seen.ended):
                waiting = False
                response.first_event_seen()
            yield Event(frames, seen.content, seen.usage if seen.ended else None, headers)
            headers = ()
            if seen.ended:
                await response.drain()
                return
        if not watch.finished:
            if not seen_any and not buffer.pending:
                raise TargetFault(Fault.EMPTY, "a stream without an event")
            raise TargetFault(Fault.CUT, "the stream ended without its terminal event")
        yield Event(b"", usage=watch.feed(b"").usage)

    async def probe(self) -> None:
        if self._probe_path == "off":
            return
        if self._probe_path == "tcp":
            await self._pool.connect(self._probe_clocks)
            return
        response = await self._pool.request("GET", self._probe_path, clocks=self._probe_clocks)
        async with response:
            body = await response.read(LISTING_LIMIT)
            if response.status >= 500:
                raise classify(response.status, response.headers, body)
            if response.status == 200:
                self.models = _listed(body) or self.models

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Listed(msgspec.Struct):
    id: str


class _Listing(msgspec.Struct):
    data: list[_Listed]


def _listed(body: bytes) -> tuple[str, ...]:
    """The model names of a listing in either dialect; nothing for a server that lists none."""
    try:
        return tuple(each.id for each in msgspec.json.decode(body, type=_Listing).data[:1000])
    except fields.UNREADABLE:
        return ()
