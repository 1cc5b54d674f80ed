"""An upstream in one of the dialects: one attempt at a call, from bytes out to events in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from sampan.core import (
    RECEIPT,
    Call,
    Continuing,
    Dialect,
    Event,
    Fault,
    Location,
    Operation,
    Outcome,
    Preparer,
)
from sampan.dialects import Watch, fields, handover
from sampan.dialects.sse import FrameBuffer
from sampan.dialects.translation.manners import Manner, is_count
from sampan.dialects.translation.terms import ANSWER_TOKENS
from sampan.errors import Rejected, SampanError, TargetFault
from sampan.upstreams.faults import classify
from sampan.upstreams.origin import Clocks
from sampan.upstreams.pool import Pool
from sampan.upstreams.response import Response
from sampan.upstreams.told import Told

ANSWER_LIMIT = 256 * 1024 * 1024  # ten 4K pictures in base64; a longer answer is no answer
REFUSAL_LIMIT = 1024 * 1024
LISTING_LIMIT = 4 * 1024 * 1024

# How fast a model is expected to write. A caller who does not stream gets nothing before the whole answer is there,
# so that answers longer than SHORT_ANSWER tokens are given their time on top of the first-event clock.
TOKENS_PER_SECOND = 50.0
SHORT_ANSWER = 1024
LONGEST_ANSWER = 10_000_000  # JSON has integers that no clock can hold
LIMITLESS = frozenset({Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES})

PACE_SECONDS = 5.0
ESTIMATED = (("x-sampan-count", "estimated"),)
RATE_HEADERS = ("anthropic-ratelimit-", "x-ratelimit-")
Headers = tuple[tuple[str, str], ...]


def credentials(dialect: Dialect, api_key: str) -> dict[str, str]:
    """The headers that a key travels in, by dialect."""
    if not api_key:
        return {}
    return {"x-api-key": api_key} if dialect is Dialect.ANTHROPIC else {"authorization": f"Bearer {api_key}"}


class Uncleared(Exception):
    """A call stood before the socket to a cloud although it may not leave the house, or not with its identifiers.

    No error of the tree: whoever planned the call should have seen to it, so that this is a mistake of ours and is
    logged as one. The caller is answered 500, and nothing was sent.
    """


@dataclass(frozen=True, slots=True)
class Habits:
    """How an upstream is dealt with. `probe_path` may also be `tcp` or `off`; `probe_timeout` is in seconds.

    Where nobody says that it is `LOCAL` it is taken for a cloud, which gets no call that may not leave the house.
    """

    clocks: Clocks
    probe_path: str
    probe_timeout: float
    continues: Continuing = Continuing.NO
    location: Location = Location.CLOUD


class HttpUpstream:
    """Speaks `dialect` to whatever its pool connects to, in the `manners` that it has for callers' dialects.

    `awake` is awaited before each attempt: an engine that is still warming up is waited for, within its clocks.
    `preparer` makes what a Messages request holds fit for this upstream; `bring` puts what a chat request links to into
    it, so that a server of one's own need not fetch it for a call that may not leave the house.
    """

    def __init__(
        self,
        name: str,
        pool: Pool,
        manners: Mapping[Dialect, Manner],
        habits: Habits,
        *,
        preparer: Preparer | None = None,
        awake: Callable[[], Awaitable[None]] | None = None,
        bring: Callable[[Call], Awaitable[Call]] | None = None,
    ) -> None:
        self.name = name
        self.continues = habits.continues
        self._is_cloud = habits.location is not Location.LOCAL
        self._manners = manners
        self._pool = pool
        self._clocks = habits.clocks
        self._preparer = preparer
        self._awake = awake
        self._bring = bring
        self._probe_path = habits.probe_path
        self._probe_clocks = Clocks(*[habits.probe_timeout] * 4)
        self.models: tuple[str, ...] = ()

    def _clear(self, call: Call) -> None:
        """The last look before anything leaves, whatever was planned: names looked up and links fetched included."""
        if self._is_cloud and (call.confined or call.masked):
            why = f"may not leave the house ({call.confined})" if call.confined else "still has its identifiers"
            raise Uncleared(f"{self.name} is a cloud, and the call {why}: nothing was sent")

    async def fetch(self, call: Call, model: str | None) -> Event:
        self._clear(call)
        manner = self._manners[call.dialect]
        if manner.count is not None and is_count(call):
            body, usage = manner.count(call.body)
            return Event(body, content=True, usage=usage, headers=ESTIMATED)
        if self._links(call, manner) and self._bring is not None:
            call = await self._bring(call)
        messages, said = await self._messages(call, model, manner)
        response = await self._request(call, messages, model, "application/json")
        try:
            return self._conclude(call, messages, response, await response.read(_limit(response)), said)
        finally:
            response.close()

    def ask(self, call: Call, model: str | None, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        """`fetch` for who does not await: sends the call at once and calls `done`, with None where all is yet to do.

        Returns how to give it up, or None where nothing was sent, for what takes more than handing on and looking at.
        """
        self._clear(call)
        manner = self._manners[call.dialect]
        if not manner.straight or self._awake is not None or call.partial or self._links(call, manner):
            return None
        messages = b"" if manner.messages is None else call.body
        if messages and self._preparer is not None and self._preparer.is_needed(messages, plain=call.plain):
            return None
        response = self._pool.ask(
            manner.path(call),
            headers=self._headers(call, "application/json"),
            body=manner.body(call, messages, model),
            clocks=self._clocks_of(call),
            told=partial(self._told, call, messages, done),
        )
        return None if response is None else response.close

    def _links(self, call: Call, manner: Manner) -> bool:
        """Whether a call may hold links that its server would follow although the call may not leave the house."""
        return bool(call.confined) and manner.messages is None and call.operation is Operation.VISION

    def _told(self, call: Call, messages: bytes, done: Callable[[Outcome], None], response: Told) -> None:
        """Something of the answer is here, or its end."""
        outcome: Outcome = None
        try:
            if response.stale:
                self._pool.distrust()
            elif response.headed:
                body = response.gather(_limit(response))
                if body is None:
                    response.expect_more()
                    return
                outcome = self._conclude(call, messages, response, body, ())
            elif response.fault is not None:
                outcome = response.fault
        except Exception as error:
            outcome = error
        response.close()
        done(outcome)

    def _conclude(self, call: Call, messages: bytes, response: Response, body: bytes, said: Headers) -> Event:
        """The event of a whole answer. Raises for any that is not of the kind that was asked for."""
        if response.status != 200:
            raise self._refusal(call, response, body)
        body, usage = self._manners[call.dialect].whole(call, messages, body)
        return Event(body, True, usage, _kept(response) + said)

    async def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        if not call.stream:
            yield await self.fetch(call, model)
            return
        self._clear(call)
        manner = self._manners[call.dialect]
        if self._links(call, manner) and self._bring is not None:
            call = await self._bring(call)
        messages, said = await self._messages(call, model, manner)
        watch = manner.watch(call, messages)
        async with await self._request(call, messages, model, "text/event-stream") as response:
            kept = await self._accept(call, messages, response)
            async with aclosing(self._relay(response, watch, kept + said)) as events:
                async for event in events:
                    yield event

    async def _messages(self, call: Call, model: str | None, manner: Manner) -> tuple[bytes, Headers]:
        """The call as a Messages request that this upstream can consume, and the receipt; nothing for other talk."""
        if manner.messages is None:
            return b"", ()
        messages = manner.messages(call)
        if call.partial:
            messages = handover.continued(messages, call.partial, asked=self.continues is Continuing.ASK)
        preparer = self._preparer
        if preparer is None or not preparer.is_needed(messages):
            return messages, ()
        prepared = await preparer.prepare(call, messages, model or call.model)
        return prepared.body, ((RECEIPT, prepared.receipt),) if prepared.receipt else ()

    async def _request(self, call: Call, messages: bytes, model: str | None, accept: str) -> Response:
        if self._awake is not None:
            await self._awake()
        manner = self._manners[call.dialect]
        body = manner.body(call, messages, model)
        clocks = self._clocks_of(call)
        headers = self._headers(call, accept)
        return await self._pool.request("POST", manner.path(call), headers=headers, body=body, clocks=clocks)

    async def _accept(self, call: Call, messages: bytes, response: Response) -> Headers:
        """The headers worth handing on, of an answer that streams. Raises for any other."""
        if response.status != 200:
            raise self._refusal(call, response, await response.read(REFUSAL_LIMIT))
        if not _streams(response):
            raise await self._wrong_kind(call, messages, response)
        return _kept(response)

    def _refusal(self, call: Call, response: Response, body: bytes) -> SampanError:
        """What to raise for an answer that is not 200."""
        error = classify(response.status, response.headers, body)
        refusal = self._manners[call.dialect].refusal
        if refusal is not None and isinstance(error, Rejected):
            return Rejected(error.status, refusal(error.body), {"content-type": "application/json"})
        return error

    def _clocks_of(self, call: Call) -> Clocks:
        tokens = call.answer_tokens or (ANSWER_TOKENS if call.dialect in LIMITLESS else 0)
        extra = (min(tokens, LONGEST_ANSWER) - SHORT_ANSWER) / TOKENS_PER_SECOND
        if call.stream or extra <= 0:
            return self._clocks
        return replace(self._clocks, first_event=self._clocks.first_event + extra)

    async def _wrong_kind(self, call: Call, messages: bytes, response: Response) -> TargetFault:
        """A body where a stream was asked for; an error in it says more than its type."""
        try:
            self._manners[call.dialect].whole(call, messages, await response.read(REFUSAL_LIMIT))
        except TargetFault as fault:
            return fault
        return TargetFault(Fault.MALFORMED, "no stream where one was asked for")

    async def _relay(self, response: Response, watch: Watch, headers: Headers) -> AsyncGenerator[Event, None]:
        """Whole frames as they come, each watched. Ends only where the dialect's terminal event was seen."""
        buffer = FrameBuffer()
        waiting = True
        seen_any = False
        pace = _Pace(self._clocks.rate)
        while chunk := await response.more():
            pace.add(len(chunk))
            frames = buffer.feed(chunk)
            del chunk  # while a slow caller takes the frames: it may be large, and there may be many such callers
            if not frames:
                continue
            seen_any = True
            seen = watch.feed(frames)
            if waiting and (seen.content or seen.ended):
                waiting = False
                response.first_event_seen()
            data = frames if seen.data is None else seen.data
            yield Event(data, seen.content, seen.usage if seen.ended else None, headers)
            headers = ()
            if seen.ended:
                await response.drain()
                return
        if not watch.finished:
            if not seen_any and not buffer.pending:
                raise TargetFault(Fault.EMPTY, "a stream without an event")
            raise TargetFault(Fault.CUT, "the stream ended without its terminal event")
        last = watch.feed(b"")  # an end without a word, for servers that say none
        yield Event(last.data or b"", last.content, last.usage)

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

    def _headers(self, call: Call, accept: str) -> list[tuple[str, str]]:
        """A trace goes on at home; clouds are not told of it."""
        headers = [("content-type", call.content_type), ("accept", accept), *call.headers.items()]
        if call.trace and not self._is_cloud:
            headers.append(("traceparent", call.trace))
        return headers


def _streams(response: Response) -> bool:
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")


def _limit(response: Response) -> int:
    """Bytes of the body to a call that does not stream, by its head. Raises `TargetFault` for a stream."""
    if response.status != 200:
        return REFUSAL_LIMIT
    if _streams(response):
        raise TargetFault(Fault.MALFORMED, "a stream where none was asked for")
    return ANSWER_LIMIT


def _kept(response: Response) -> Headers:
    """The headers worth handing on."""
    return tuple([header for header in response.headers.items() if header[0].startswith(RATE_HEADERS)])


class _Pace:
    """Sees a stream that drips: alive by every clock, and useless. `rate` is in bytes a second; 0 lets any pass."""

    __slots__ = ("_bytes", "_rate", "_since")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._bytes = 0
        self._since = 0.0

    def add(self, size: int) -> None:
        """Raises `TargetFault` where less than `rate` came, on average, over `PACE_SECONDS`."""
        if not self._rate:
            return
        now = asyncio.get_running_loop().time()
        if not self._since:
            self._since = now
        self._bytes += size
        passed = now - self._since
        if passed >= PACE_SECONDS:
            if self._bytes < self._rate * passed:
                raise TargetFault(Fault.IDLE_TIMEOUT, f"less than {self._rate:g} bytes a second")
            self._bytes, self._since = 0, now


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
