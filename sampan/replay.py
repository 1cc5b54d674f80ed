"""Answers once given, given again: which call may have which, and one asking for identical calls at once.

An answer is kept where its route says so, under who may see it (the department, or the key that belongs to none, or
everybody where the route shares), and the canonical question. It is given again only while nobody better than the one
who gave it could be asked, and as long as the same release would answer: what the reader said in an outage does not
outlive it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from sampan.core import RECEIPT, Actor, Call, Dialect, Event, Operation, Target
from sampan.dialects import canonical
from sampan.routing.router import Trail
from sampan.storage.cache import EVENT, Cache, Kept

HIT, SHARED, MISS = "hit", "shared", "miss"
# A stored response has an id and a past of its own; given twice it would be one response with two owners.
NOT_KEPT = frozenset({Dialect.OPENAI_RESPONSES})
LASTING = frozenset({RECEIPT, "x-sampan-count"})  # headers that are true of the answer whenever it is given


class Terms(msgspec.Struct, frozen=True):
    """How a route keeps answers: for `seconds`, for everybody where it is `shared`."""

    seconds: float
    shared: bool


class Asked(msgspec.Struct, frozen=True):
    """One call to a route that keeps answers. `fresh`: the caller wants a new answer, kept in place of the old."""

    key: bytes
    terms: Terms
    fresh: bool


class Account(Protocol):
    """Where it is noted who answered and how; the story of the call."""

    trail: Trail
    cache: str


class Replays:
    """`terms` says how the route of a model keeps answers, `release` which release of an upstream would answer (None
    while that is changing), and `usable` whether a target could be asked now."""

    def __init__(
        self,
        cache: Cache,
        terms: Callable[[str, Operation], Terms | None],
        release: Callable[[str], str | None],
        usable: Callable[[Target, Operation], bool],
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._terms = terms
        self._release = release
        self._usable = usable
        self._clock = clock

    def asked(self, call: Call, actor: Actor, wanted: str = "") -> Asked | None:
        """None where nothing is kept of this call. `wanted` is its `cache-control` header: `no-store`, `no-cache`."""
        terms = self._terms(call.model, call.operation)
        if terms is None or call.dialect in NOT_KEPT or "no-store" in wanted:
            return None
        # A link between what is masked and what it stands for must not leave the call it was made for.
        tenant = "" if terms.shared else f"department:{actor.department}" if actor.department else f"key:{actor.key_id}"
        key = canonical.digest(call, tenant, "masked" if call.masked else "")
        return None if key is None else Asked(key, terms, "no-cache" in wanted)

    async def fetch(
        self,
        asked: Asked,
        call: Call,
        plan: tuple[Target, ...],
        account: Account,
        ask: Callable[[], Awaitable[Event]],
    ) -> Event:
        """The answer to a call that does not stream: a kept one, that of an identical call, or a new one."""
        kept, leads = await self._wait(asked, call, plan, account)
        if kept is not None:
            return kept.events[0]
        done = False
        try:
            event = await ask()
            done = self._keep(asked, account.trail, [event])
            return event
        finally:
            if leads:
                self._cache.land(asked.key, done)

    async def run(
        self,
        asked: Asked,
        call: Call,
        plan: tuple[Target, ...],
        account: Account,
        ask: Callable[[], AsyncGenerator[Event, None]],
    ) -> AsyncGenerator[Event, None]:
        """The same as a stream, in the pieces that it came in."""
        kept, leads = await self._wait(asked, call, plan, account)
        if kept is not None:
            for event in kept.events:
                yield event
            return
        events: list[Event] = []
        size = 0
        done = False
        try:
            async with aclosing(ask()) as answer:
                async for event in answer:
                    size += EVENT + len(event.data)
                    if self._cache.fits(size):
                        events.append(event)
                    if event.usage is not None and self._cache.fits(size):
                        done = self._keep(asked, account.trail, events)
                    yield event
        finally:
            if leads:
                self._cache.land(asked.key, done)

    async def _wait(
        self, asked: Asked, call: Call, plan: tuple[Target, ...], account: Account
    ) -> tuple[Kept | None, bool]:
        """What is kept, and else whether this call is the one that others wait for."""
        account.cache = MISS
        if asked.fresh:
            return None, False
        waited = False
        while True:
            kept = self._find(asked, call, plan)
            if kept is not None:
                account.trail.target = kept.target
                account.cache = SHARED if waited else HIT
                return kept, False
            flight = self._cache.flight(asked.key)
            if flight is None:
                self._cache.take_off(asked.key)
                return None, True
            # One that cannot be kept is not waited for twice: the others would ask one after the other.
            if not await asyncio.shield(flight):
                return None, False
            waited = True

    def _find(self, asked: Asked, call: Call, plan: tuple[Target, ...]) -> Kept | None:
        kept = self._cache.find(asked.key)
        if kept is None or kept.target not in plan:
            return None
        if kept.release != self._release(kept.target.upstream):
            self._cache.drop(asked.key)
            return None
        better = plan[: plan.index(kept.target)]
        return None if any(self._usable(target, call.operation) for target in better) else kept

    def _keep(self, asked: Asked, trail: Trail, events: list[Event]) -> bool:
        """Keeps an answer that one target gave from its beginning to its end."""
        target = trail.target
        release = None if target is None else self._release(target.upstream)
        if target is None or release is None or trail.seams or events[-1].usage is None:
            return False
        kept = tuple(
            msgspec.structs.replace(event, headers=tuple(pair for pair in event.headers if pair[0] in LASTING))
            for event in events
        )
        return self._cache.keep(asked.key, Kept(kept, target, release, self._clock() + asked.terms.seconds))
