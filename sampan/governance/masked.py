"""A cloud behind a mask: identifiers are taken out of what it is asked, and put back into what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from sampan.core import Call, Continuing, Event, Outcome, Upstream
from sampan.errors import Rejected
from sampan.governance.redaction import Mask, Redaction
from sampan.governance.restoration import mender

IN_THREAD = 32 * 1024  # bytes of a body that would hold up the loop


class Cloud(Upstream, Protocol):
    """What can be masked: an upstream that can also be asked without waiting, and closed."""

    @property
    def models(self) -> tuple[str, ...]: ...

    def ask(self, call: Call, model: str | None, done: Callable[[Outcome], None]) -> Callable[[], None] | None: ...

    async def aclose(self) -> None: ...


class Masked:
    """Stands before one cloud, in the dialect of whoever calls. A call that is not to be masked passes untouched.

    `seen` says of a call whether its pictures were looked at and may leave; by default none were.
    """

    def __init__(self, cloud: Cloud, redaction: Redaction, seen: Callable[[Call], bool] = lambda call: False) -> None:
        self._cloud = cloud
        self._redaction = redaction
        self._seen = seen

    @property
    def name(self) -> str:
        return self._cloud.name

    @property
    def continues(self) -> Continuing:
        return self._cloud.continues

    @property
    def models(self) -> tuple[str, ...]:
        return self._cloud.models

    async def fetch(self, call: Call, model: str | None) -> Event:
        if not call.masked:
            return await self._cloud.fetch(call, model)
        masked, mask = await self._mask(call)
        try:
            event = await self._cloud.fetch(masked, model)
        except Rejected as rejected:
            raise _restored(rejected, mask) from None
        return msgspec.structs.replace(event, data=mask.restore_body(event.data)) if mask else event

    def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        return self._attempt(call, model) if call.masked else self._cloud.attempt(call, model)

    def ask(self, call: Call, model: str | None, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        """As the cloud's own; a call that is to be masked takes the other way."""
        return None if call.masked else self._cloud.ask(call, model, done)

    async def _mask(self, call: Call) -> tuple[Call, Mask]:
        """A long one in a thread: nobody else is to wait for it."""
        seen = self._seen(call)
        if len(call.body) < IN_THREAD:
            return self._redaction.mask(call, seen=seen)
        return await asyncio.to_thread(self._redaction.mask, call, seen=seen)

    async def _attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        if not call.stream:
            yield await self.fetch(call, model)
            return
        masked, mask = await self._mask(call)
        mends = mender(call.dialect, mask) if mask else None
        try:
            async with aclosing(self._cloud.attempt(masked, model)) as events:
                async for event in events:
                    if mends is not None and event.data:
                        data, said = mends.feed(event.data)
                        event = Event(data, event.content and said, event.usage, event.headers)
                    yield event
        except Rejected as rejected:
            raise _restored(rejected, mask) from None

    async def probe(self) -> None:
        await self._cloud.probe()

    async def aclose(self) -> None:
        await self._cloud.aclose()


def _restored(rejected: Rejected, mask: Mask) -> Rejected:
    """A refusal that may name what was sent."""
    return Rejected(rejected.status, mask.restore_body(rejected.body), rejected.headers)
