"""Seals the chain at intervals, and drops whole days once they are over, sealed, delivered and not held."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from sampan.config import AuditSettings
from sampan.errors import ConfigError
from sampan.storage.chain import AuditKey, Seal
from sampan.storage.evidence import DAY, DROP_AT_ONCE, Evidence

SWEEP_EVERY = 3600.0
PAUSE = 0.05
"""Seconds between two transactions that drop: the writer of records gets in between."""

log = logging.getLogger("sampan.governance")


class Custodian:
    """Works for one node. `head` is that of `Records`; `delivered` is how far all sinks are, None where there are none.

    The head is what the writer itself has written, not what lies in the database by now: whoever changes the table of
    a running gateway gets no seal for it.
    """

    def __init__(
        self,
        evidence: Evidence,
        key: AuditKey,
        head: Callable[[], tuple[int, str] | None],
        settings: Callable[[], AuditSettings],
        *,
        delivered: Callable[[], int | None] = lambda: None,
        wall: Callable[[], float] = time.time,
        pause: float = PAUSE,
    ) -> None:
        self._evidence = evidence
        self._key = key
        self._head = head
        self._settings = settings
        self._delivered = delivered
        self._wall = wall
        self._pause = pause
        self._stopping = threading.Event()

    async def run(self) -> None:
        """Until it is cancelled. A database that is away is a line in the log, and tried again."""
        loop = asyncio.get_running_loop()
        swept = -SWEEP_EVERY
        try:
            while True:
                await asyncio.to_thread(self.seal)
                if loop.time() - swept >= SWEEP_EVERY:
                    await asyncio.to_thread(self.sweep)
                    swept = loop.time()
                await asyncio.sleep(self._settings().seal_every)
        finally:
            self._stopping.set()

    def seal(self) -> Seal | None:
        """Seals what is new. Blocks; to be called once more at a clean stop, when the records are closed."""
        try:
            return self._evidence.seal(self._key, self._head())
        except ConfigError as error:
            log.error("the audit could not be sealed: %s", error)
            return None

    def sweep(self) -> int:
        """Drops the days that are over, and returns how many records those were. Blocks."""
        days = self._settings().days
        if not days:
            return 0
        # Today is day 0, and not over; with one day, yesterday stays whole.
        cutoff = (self._wall() // DAY - days) * DAY
        total = 0
        try:
            for span in self._evidence.days_over(cutoff):
                delivered = self._delivered()
                if delivered is not None and delivered < span.last:
                    log.warning("records of %s are not dropped: a sink has not had them all", span.day)
                    break
                while not self._stopping.is_set():
                    dropped = self._evidence.drop(self._key, span)
                    total += dropped
                    if dropped < DROP_AT_ONCE:
                        log.info("the records %d to %d of %s were dropped", span.first, span.last, span.day)
                        break
                    self._stopping.wait(self._pause)
        except ConfigError as error:
            log.error("records that are over could not be dropped: %s", error)
        return total
