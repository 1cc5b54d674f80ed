"""Clocks that know when this process itself stood still.

A machine that was suspended, a virtual one that was copied, a process that was stopped, a core with too much to do:
when it goes on, all clocks ring at once, before the loop has looked at what arrived meanwhile. Every open call would be
called a timeout, and every breaker would open, over servers that answered in time. So a clock that rings late by more
than `LATE` rings once more `GRACE` later, and by then what did arrive has been read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

LATE = 0.1  # seconds: a loop that is merely busy is late by some milliseconds
GRACE = 0.25  # seconds to read what arrived meanwhile


def grace(now: float, due: float) -> float:
    """Seconds to wait once more at `now` for what was due at `due`; 0 where the clock rang on time."""
    return GRACE if now - due > LATE else 0.0


@asynccontextmanager
async def until(by: float) -> AsyncGenerator[None, None]:
    """`asyncio.timeout_at`, but with the grace. Raises `TimeoutError`."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    async with asyncio.timeout_at(None) as clock:

        def ring(due: float) -> None:
            nonlocal timer
            now = loop.time()
            more = grace(now, due)
            if more:
                timer = loop.call_at(now + more, ring, now + more)
            else:
                clock.reschedule(now)

        timer = loop.call_at(by, ring, by)
        try:
            yield
        finally:
            timer.cancel()
