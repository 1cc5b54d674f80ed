"""The itinerary of one request: read this file first.

    record opened → key looked up → body parsed → policy and residency → plan → quota reserved → targets asked
    → pictures kept → answer out → quota settled, record closed

Everything is a stream of events; a non-streaming answer is one event. The record is written before the last bytes of
an answer are handed out, so that an ended answer always has one.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, Protocol

import msgspec

from sampan.core import (
    Actor,
    Answer,
    Call,
    Dialect,
    Event,
    Incoming,
    Outcome,
    Permission,
    Target,
)
from sampan.dialects import Codec, sse
from sampan.errors import CallError, Forbidden, InternalError, Interrupted, Rejected, Unavailable
from sampan.memory import streamed
from sampan.replay import Asked
from sampan.story import JSON, Parts, Story, fit

log = logging.getLogger("sampan.pipeline")

COMPLETED = b".completed"  # in the frames of a picture that is done
KEEPING = (Dialect.OPENAI_IMAGES, Dialect.OPENAI_RESPONSES)
STOPPING = "the gateway is stopping; ask again in a moment"
REJECTED = "the upstream rejected the request"
_CALL = Permission.CALL
_set = msgspec.structs.force_setattr
ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
STREAM = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
)


class Line(Protocol):
    """Where the answer to one call goes, as the edge has it."""

    left: Any
    """Called when the caller leaves before the answer is out."""

    def reply(self, answer: Answer) -> None:
        """Sends an answer whose body is whole."""
        ...

    def resume(self, rest: Coroutine[Any, Any, Answer]) -> None:
        """Waits for the answer in a task, and sends it."""
        ...


class Pipeline:
    """Answers calls. It knows values only: the edge owns the socket on one side, upstreams on the other."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = False
        self.errands: set[_Express] = set()

    def adopt(self, parts: Parts) -> None:
        """Calls that come from now on go by these."""
        self._parts = parts

    def stop(self) -> None:
        """From now on a cancelled call is one that we broke off, not one whose caller left."""
        self._stopping = True
        for express in list(self.errands):
            express.break_off()

    def start(self, incoming: Incoming, codec: Codec, line: Line) -> Coroutine[Any, Any, Answer] | None:
        """Answers a call on the `line` as far as that goes without waiting, without a task; returns what is left.

        A small call to a healthy target that speaks its dialect goes all the way: from the read that brought it to the
        write to the upstream, and back, in plain callbacks (`_Express`). Whatever is not plain sailing is left to the
        ordinary way, `rest`, with what was learned until then.
        """
        parts = self._parts
        if not parts.has_room():
            return self.run(incoming, codec)
        parts.opened()
        story = Story(incoming, codec, parts)
        try:
            call, actor = self._understand(story, None)
            if call.stream or call.dialect in KEEPING or call.masked or story.unseen is not None:
                return self.rest(story, call, actor)
            if parts.replays is not None and self._asked(story, call, actor) is not None:
                return self.rest(story, call, actor)
            if parts.ledger is not None and parts.ledger.waits:
                return self.rest(story, call, actor)
            express = _Express(self, story, call, actor, line)
            if not express.begin():
                return self.rest(story, call, actor)
        except CallError as error:
            return _at_hand(self._error(story, codec, error))
        except Exception:
            return _at_hand(self.mistaken(story))
        return None

    def _understand(self, story: Story, owner: str | None) -> tuple[Call, Actor]:
        """Who asks what: all that is decided before a target is. Raises `CallError`.

        Both ways of a call begin with it.
        """
        parts, incoming = story.parts, story.incoming
        actor = parts.authenticate(incoming) if owner is None else parts.actor_of(owner)
        story.actor = actor
        if _CALL not in actor.permissions:
            raise Forbidden(f"role {actor.role!r} may not make calls; ask with a key of another role")
        call = story.codec.parse(incoming, parts.limits)
        _set(call, "tenant", actor.key_id)  # nobody else has seen it yet
        if story.span is not None:
            _set(call, "trace", story.span.traceparent)
        story.call = call
        if parts.judge is not None:
            ruling = parts.judge.judge(call, actor, incoming)
            if ruling is not None:
                story.rules(ruling)
        return call, actor

    async def _recall(self, story: Story, call: Call, actor: Actor) -> Call:
        """A Responses call with what was said before it, which is judged like the rest."""
        parts = story.parts
        story.call = recalled = await parts.memory.recall(call, actor)
        if parts.judge is not None and recalled.body is not call.body:
            story.rules(parts.judge.judge(recalled, actor, story.incoming))
        return recalled

    async def _clear(self, story: Story, call: Call, actor: Actor) -> tuple[Target, ...]:
        """The targets that may be asked, after all that may take waiting for: pictures looked at, quota reserved."""
        parts = story.parts
        if story.unseen is not None and parts.judge is not None:
            story.rules(await parts.judge.inspect(call, actor, story.unseen))
        plan = fit(parts.catalog.plan(call), call)
        if story.lease is None and parts.ledger is not None:
            ledger = parts.ledger
            story.lease = await ledger.take(call, actor, plan) if ledger.waits else ledger.reserve(call, actor, plan)
        return plan

    async def run(self, incoming: Incoming, codec: Codec, owner: str | None = None) -> Answer:
        """Never raises for a call that goes wrong: every error is an answer in the caller's dialect.

        `owner` is the id of the key that a call without a credential is made for: one of a batch.
        """
        parts = self._parts
        if not parts.has_room():
            await parts.room()
        parts.opened()
        story = Story(incoming, codec, parts)
        try:
            call, actor = self._understand(story, owner)
        except CallError as error:
            return self._error(story, codec, error)
        except Exception:
            return self.mistaken(story)
        return await self.rest(story, call, actor)

    async def rest(self, story: Story, call: Call, actor: Actor, begun: Exception | None = None) -> Answer:
        """The ordinary way of a call that is understood; `begun` is what came of asking its first target already."""
        codec = story.codec
        try:
            if call.dialect is Dialect.OPENAI_RESPONSES:
                call = await self._recall(story, call, actor)
            plan = await self._clear(story, call, actor)
            if call.stream:
                return await self._stream(story, codec, self._events(story, call, actor, plan))
            event = await self._event(story, call, actor, plan, begun)
            return await self._whole(story, call, actor, event)
        except Rejected as rejected:
            story.says(rejected.body)
            story.close("rejected", rejected.status, error=REJECTED)
            headers = (*rejected.headers.items(), ("x-should-retry", "false"), *story.headers())
            return Answer(rejected.status, headers, rejected.body)
        except CallError as error:
            return self._error(story, codec, error)
        except BaseException as error:
            if isinstance(error, Exception):
                return self.mistaken(story)
            if self._broken_off(error):
                return self.stopped(story)
            story.close("left", 499)
            raise

    def _events(self, story: Story, call: Call, actor: Actor, plan: tuple[Target, ...]) -> AsyncGenerator[Event, None]:
        """The answer of the targets, or one that was kept."""
        parts = story.parts
        asked = self._asked(story, call, actor)
        if parts.replays is None or asked is None:
            return parts.router.run(call, plan, story.trail)
        return parts.replays.run(asked, call, plan, story, lambda: parts.router.run(call, plan, story.trail))

    async def _event(
        self, story: Story, call: Call, actor: Actor, plan: tuple[Target, ...], begun: Exception | None
    ) -> Event:
        """The same for an answer that does not stream; `begun` as in `rest`."""
        parts = story.parts
        asked = self._asked(story, call, actor)
        if parts.replays is None or asked is None:
            return await parts.router.fetch(call, plan, story.trail, begun)
        return await parts.replays.fetch(
            asked, call, plan, story, lambda: parts.router.fetch(call, plan, story.trail, begun)
        )

    def _asked(self, story: Story, call: Call, actor: Actor) -> Asked | None:
        if story.asked is None and story.parts.replays is not None:
            wanted = story.incoming.headers.get("cache-control", "")
            story.asked = story.parts.replays.asked(call, actor, wanted)
        return story.asked

    def stopped(self, story: Story) -> Answer:
        """The answer to a call that we break off."""
        return self._error(story, story.codec, Unavailable(STOPPING, should_retry=True))

    def mistaken(self, story: Story) -> Answer:
        """The answer to a call that failed by the exception being handled, a mistake of ours."""
        return self._error(story, story.codec, self._mistake(story))

    def _broken_off(self, error: BaseException) -> bool:
        """Whether it was us who cancelled the call, at the end of a stop; takes the cancellation back if so."""
        task = asyncio.current_task()
        if not (self._stopping and isinstance(error, asyncio.CancelledError)) or task is None:
            return False
        task.uncancel()
        return True

    def _parting(self, story: Story, codec: Codec, error: BaseException) -> bytes:
        """The last frame of a stream that we broke off; nothing where its caller left. The record is closed."""
        if self._broken_off(error):
            stopping = Interrupted(STOPPING)
            return story.last("interrupted", stopping.kind, codec.error_frame(stopping, story.id))
        story.close("interrupted" if self._stopping else "left", 499)
        return b""

    def refuse(self, incoming: Incoming, codec: Codec, error: CallError) -> Answer:
        """The answer to a request that was turned away before its body was read; it leaves a record too."""
        self._parts.opened()
        return self._error(Story(incoming, codec, self._parts), codec, error)

    def _mistake(self, story: Story) -> InternalError:
        """Logs the exception being handled, and returns all that a caller may know of it."""
        log.exception("call %s failed by a mistake of ours", story.id)
        return InternalError("an internal error; the log has it under this request id")

    def _error(self, story: Story, codec: Codec, error: CallError) -> Answer:
        """An error as a whole answer, with an honest word about asking again."""
        story.rule = error.rule or story.rule
        body = codec.error(error, story.id)
        status = codec.status(error)
        story.says(body)
        outcome = "failed" if isinstance(error, Unavailable | Interrupted | InternalError) else "refused"
        story.close(outcome, status, error=error.kind)
        headers = [JSON, *story.headers()]
        if error.retry_after is not None:
            headers.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
        if not error.should_retry:
            headers.append(("x-should-retry", "false"))
        return Answer(status, tuple(headers), body)

    async def _whole(self, story: Story, call: Call, actor: Actor, event: Event) -> Answer:
        """An answer that does not stream: one event."""
        target = story.trail.target
        body = event.data
        if call.dialect is Dialect.OPENAI_RESPONSES:
            await self._parts.memory.keep(story.incoming.body, call, actor, body)
        if target is not None and event.usage is not None and event.usage.images:
            body = await self._parts.keep_pictures(call, actor, target, body)
        return story.whole(event, body)

    async def _keep_streamed(self, story: Story, event: Event) -> None:
        """What must be kept before the caller can ask for it: a finished picture, a whole response."""
        call, actor, target = story.call, story.actor, story.trail.target
        if call is None or actor is None or target is None:
            return
        if call.dialect is Dialect.OPENAI_IMAGES and COMPLETED in event.data:
            await self._parts.keep_pictures(call, actor, target, event.data)
        elif call.dialect is Dialect.OPENAI_RESPONSES and event.usage is not None:
            await self._parts.memory.keep(story.incoming.body, call, actor, streamed(event.data))

    async def _stream(self, story: Story, codec: Codec, events: AsyncGenerator[Event, None]) -> Answer:
        """Waits for the first content, so that any fault before it is invisible; not longer than the keepalive."""
        first = asyncio.ensure_future(anext(events))
        try:
            await asyncio.wait((first,), timeout=self._parts.keepalive)
            if not first.done():
                return Answer(200, (*STREAM, *story.headers()), self._late(story, codec, first, events))
            event = first.result()
        except BaseException:
            await _give_up(first, events)
            raise
        return Answer(200, (*STREAM, *event.headers, *story.headers()), self._flow(story, codec, event, events))

    async def _late(
        self, story: Story, codec: Codec, first: asyncio.Future[Event], events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[bytes, None]:
        """A stream whose head went out before anybody had answered: comments until then, and the truth in one."""
        try:
            while not first.done():
                yield sse.comment("waiting")
                await asyncio.wait((first,), timeout=self._parts.keepalive)
            event = first.result()
        except Rejected as rejected:
            yield story.last("rejected", REJECTED, sse.frame(rejected.body.translate(ONE_LINE), "error"))
            return
        except CallError as error:
            yield story.last("failed", error.kind, codec.error_frame(error, story.id))
            return
        except Exception:
            yield story.last("failed", InternalError.kind, codec.error_frame(self._mistake(story), story.id))
            return
        except BaseException as error:
            await _give_up(first, events)
            if frame := self._parting(story, codec, error):
                yield frame
                return
            raise
        truth = sse.comment("; ".join(f"{name}: {value}" for name, value in story.headers()))
        # No step of its own: a caller who left at it would leave `events` open.
        event = msgspec.structs.replace(event, data=truth + event.data)
        async with aclosing(self._flow(story, codec, event, events)) as flow:
            async for data in flow:
                yield data

    async def _flow(
        self, story: Story, codec: Codec, event: Event, events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[bytes, None]:
        """The answer's frames from the first content on. Never a clean end for an answer that broke."""
        story.answering(event.headers)
        keeps = codec.dialect in KEEPING
        try:
            async with aclosing(events):
                while True:
                    story.says(event.data)
                    if keeps:
                        await self._keep_streamed(story, event)
                    if event.usage is not None:
                        story.close("ok", 200, usage=event.usage)
                    if event.data:
                        yield event.data
                    event = await anext(events)
        except StopAsyncIteration:
            return
        except Interrupted as error:
            yield story.last("interrupted", error.kind, codec.error_frame(error, story.id))
        except Exception:
            yield story.last("interrupted", InternalError.kind, codec.error_frame(self._mistake(story), story.id))
        except BaseException as error:
            if frame := self._parting(story, codec, error):
                yield frame
                return
            raise


class _Express:
    """A call that takes no waiting but for its upstream: what `rest` does, in callbacks. It knows no faults.

    Whatever goes wrong is given to `rest` in a task of its own.
    """

    __slots__ = ("_actor", "_call", "_errand", "_line", "_pipeline", "_plan", "_story")

    def __init__(self, pipeline: Pipeline, story: Story, call: Call, actor: Actor, line: Line) -> None:
        self._pipeline = pipeline
        self._story = story
        self._call = call
        self._actor = actor
        self._line = line

    def begin(self) -> bool:
        """Whether the call is under way. Raises `CallError`."""
        parts = self._story.parts
        story, call = self._story, self._call
        plan = parts.catalog.plan(call)
        self._plan = plan = fit(plan, call) if call.confined else plan
        if parts.ledger is not None:
            story.lease = parts.ledger.reserve(call, self._actor, plan)
        errand = parts.router.begin(call, plan, self._arrived)
        if errand is None:
            return False
        self._errand = errand
        self._line.left = self._leave
        self._pipeline.errands.add(self)
        return True

    def _arrived(self, outcome: Outcome) -> None:
        pipeline, story, line = self._pipeline, self._story, self._line
        pipeline.errands.discard(self)
        del self._errand
        line.left = None
        if isinstance(outcome, Event):
            try:
                story.parts.router.answered(self._call, self._plan[0], story.trail)
                answer = story.whole(outcome, outcome.data)
            except Exception:
                answer = pipeline.mistaken(story)
            line.reply(answer)
        else:
            line.resume(pipeline.rest(story, self._call, self._actor, outcome))

    def _leave(self) -> None:
        """The caller went away."""
        self._pipeline.errands.discard(self)
        self._errand.leave()
        self._story.close("left", 499)

    def break_off(self) -> None:
        """The gateway stops, and has waited long enough."""
        self._line.left = None
        self._pipeline.errands.discard(self)
        self._errand.leave()
        self._line.reply(self._pipeline.stopped(self._story))


async def _at_hand(answer: Answer) -> Answer:
    """Not sent at once: a thousand refused requests in one read would be a thousand calls deep."""
    return answer


async def _give_up(first: asyncio.Future[Event], events: AsyncGenerator[Event, None]) -> None:
    """Closes an answer nobody waits for, upstream call included."""
    if not first.done():
        first.cancel()
        await asyncio.wait((first,))
    elif not first.cancelled():
        first.exception()  # looked at, so that nobody warns of it
    await events.aclose()
