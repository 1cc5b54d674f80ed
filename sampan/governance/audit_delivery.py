"""Delivers every record to other houses' systems, in order and at least once; what is away is waited for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from sampan.config import SinkSettings
from sampan.errors import ConfigError
from sampan.governance.audit_sinks import Connect, Post, Syslog, Webhook
from sampan.storage.chain import Entry
from sampan.storage.evidence import Evidence

POLL = 1.0
"""Seconds between two looks for new records."""

BACKOFF = (1.0, 60.0)
log = logging.getLogger("sampan.governance")


class Sink(Protocol):
    """Where records go. All but `aclose` raise `OSError` where they cannot be delivered."""

    acknowledges: bool
    """Whether `send` returns only when the other side has taken them."""

    async def send(self, entries: Sequence[Entry]) -> None: ...

    async def check(self) -> None:
        """Whether what was sent last may be thought to have arrived."""
        ...

    async def aclose(self) -> None: ...


def make_sink(
    settings: SinkSettings, post: Post, connect: Connect, wall: Callable[[], float] = time.time
) -> Syslog | Webhook:
    """What delivers to the sink that was configured."""
    if settings.url.startswith("syslog+"):
        return Syslog(settings.url, settings.ca, connect)
    return Webhook(settings.url, settings.secret, post, wall)


class Delivery:
    """Delivers the records of one node to one sink. `told` hears how many wait, and whether the sink is away.

    A sink that does not acknowledge is believed to have a batch only when the next one went the same way, or its
    connection stood a while; until then the batch would be sent again.
    """

    def __init__(
        self,
        evidence: Evidence,
        name: str,
        sink: Sink,
        head: Callable[[], tuple[int, str] | None],
        *,
        batch: int = 100,
        told: Callable[[str, int, bool], None] = lambda name, waiting, away: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._evidence = evidence
        self._name = name
        self._sink = sink
        self._head = head
        self._batch = batch
        self._told = told
        self._pause = pause
        self._failures = 0
        self._sent = 0
        self.delivered = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                try:
                    self._sent = self.delivered = await asyncio.to_thread(self._evidence.delivered, self._name)
                    await self._flow()
                except (OSError, ConfigError, EOFError) as error:
                    await self._failed(error)
        finally:
            await self._sink.aclose()

    async def _flow(self) -> None:
        while True:
            page = await asyncio.to_thread(self._page) if self._waiting() else ()
            before = self._sent
            if page:
                await self._sink.send(page)
                self._sent = page[-1].number
                await self._confirm(self._sent if self._sink.acknowledges else before)
                if self._failures:
                    log.info("records are delivered to %s again", self._name)
                    self._failures = 0
            self._told(self._name, self._waiting(), False)
            if len(page) < self._batch:
                await self._pause(POLL)
                await self._sink.check()
                await self._confirm(self._sent)

    async def _confirm(self, number: int) -> None:
        if number > self.delivered:
            await asyncio.to_thread(self._evidence.deliver, self._name, number)
            self.delivered = number

    def _waiting(self) -> int:
        head = self._head()
        return 0 if head is None else max(0, head[0] - self._sent)

    def _page(self) -> Sequence[Entry]:
        return self._evidence.page(self._evidence.node, self._sent, self._batch)

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("records cannot be delivered to %s and wait: %s", self._name, error or type(error).__name__)
        self._sent = self.delivered
        self._told(self._name, self._waiting(), True)
        with suppress(OSError):
            await self._sink.aclose()
        await self._pause(min(BACKOFF[0] * 2 ** min(self._failures - 1, 10), BACKOFF[1]))
