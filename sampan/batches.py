"""The background runner of message batches: what was accepted is run by the very pipeline that answers calls.

It holds nothing that matters. Which requests are pending stands in the ledger (`storage.batches`); which of them are
being run, and which wait for a busy target, is in memory, so that a restart runs them once more. A request's result is
committed before it counts. Batches take turns: a small one never waits for the end of a large one.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from sampan.errors import CallError, ConfigError, InternalError
from sampan.storage.batches import Batch, Batches, Outcome

log = logging.getLogger("sampan.batches")

Run = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Answers one Messages call: the owner's key id, the headers that came with the batch, the body → status and body.

Raises `CallError` where the call is refused before it runs, as when the owner's key is no longer valid.
"""

TICK = 5.0
"""Seconds after which the runner looks for itself: at batches that expire, and after a database that failed."""

ARCHIVE_EVERY = 3600.0

AHEAD = 8
"""Requests of a batch that are read at a time."""

BUSY = frozenset({429, 529})
RETRY_AFTER = (10.0, 60.0, 300.0, 1800.0)
"""Seconds before a request that met only busy targets is run again: 36 minutes of an outage cost a batch nothing."""

KINDS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's error types, for an answer that does not name one itself."""


class _Kind(msgspec.Struct):
    type: str


class _Fault(msgspec.Struct):
    type: str
    message: str


class _Error(msgspec.Struct):
    error: _Fault
    type: str = ""
    request_id: str | None = None


_kind = msgspec.json.Decoder(_Kind)
_error = msgspec.json.Decoder(_Error)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LINE = bytes.maketrans(b"\r\n", b"  ")  # outside of strings these are blanks, and inside them they cannot stand


def verdict(status: int, body: bytes) -> tuple[Outcome, bytes]:
    """What an answer means for a batch: the outcome, and the wire's `result` object on one line."""
    try:
        body.decode()
        if status == 200 and _kind.decode(body).type == "message":
            return Outcome.SUCCEEDED, b'{"type":"succeeded","message":' + body.translate(_LINE) + b"}"
        found = _error.decode(body) if status != 200 else None
    except _UNREADABLE:
        found = None
    if found is None:
        default = "api_error" if status >= 500 or status == 200 else "invalid_request_error"
        said = "an answer that is no Message" if status == 200 else f"the call was answered with status {status}"
        found = _Error(_Fault(KINDS.get(status, default), said))
    error = {"type": "error", "error": found.error, "request_id": found.request_id}
    return Outcome.ERRORED, msgspec.json.encode({"type": "errored", "error": error})


class BatchRunner:
    """Runs what is pending, at most `concurrency` requests at a time.

    `clock` gives Unix seconds; `sleep` is only for a database that cannot be written. One process at a time may run a
    ledger's batches.
    """

    def __init__(
        self,
        ledger: Batches,
        run: Run,
        clock: Callable[[], float],
        concurrency: int = 4,
        *,
        tick: float = TICK,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._clock = clock
        self._concurrency = concurrency
        self._tick = tick
        self._sleep = sleep
        self._woken = asyncio.Event()
        self._running: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._live: dict[int, Batch] = {}  # those that may run, by their sequence
        self._reached: dict[int, int] = {}  # by batch: the position of the last request that was begun
        self._ready: dict[int, deque[tuple[int, bytes]]] = {}  # by batch: requests that were read ahead
        self._last = 0  # the batch whose turn was last
        self._later: list[tuple[float, int, int]] = []
        self._tries: dict[tuple[int, int], int] = {}
        self._archived = self._looked = float("-inf")
        self._news = True
        self._stopping = False

    def wake(self) -> None:
        """Something has changed: a batch is there, or was canceled. From the event loop's thread only."""
        self._news = True
        self._woken.set()

    async def run_forever(self) -> None:
        """Runs batches until it is cancelled; what is being run then is broken off and stays pending."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self._round()
                except ConfigError as error:
                    self._news = True
                    log.error("batches wait: %s", error)
                await self._rest()
        finally:
            await self._break_off()

    async def _rest(self) -> None:
        seconds = self._tick
        if self._later and len(self._running) < self._concurrency:
            seconds = min(seconds, max(0.0, self._later[0][0] - self._clock()))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            self._news = True

    async def _break_off(self) -> None:
        self._stopping = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _round(self) -> None:
        """Begins as many requests as may run, and looks at the batches themselves where there may be news of them."""
        now = self._clock()
        if self._news or now - self._looked >= self._tick:
            self._news, self._looked = False, now
            await self._look(now)
        while len(self._running) < self._concurrency:
            found = await self._due(now) or await self._turn()
            if found is None:
                return
            self._begin(*found)

    async def _look(self, now: float) -> None:
        """Ends what was canceled or has expired; the rest is live."""
        if now - self._archived >= ARCHIVE_EVERY:
            self._archived = now
            await asyncio.to_thread(self._ledger.archive)
        live: dict[int, Batch] = {}
        for batch in await asyncio.to_thread(self._ledger.open):
            if batch.cancel_initiated is None and now < batch.expires:
                live[batch.sequence] = batch
                continue
            outcome = Outcome.EXPIRED if batch.cancel_initiated is None else Outcome.CANCELED
            running = {position for sequence, position in self._running if sequence == batch.sequence}
            await asyncio.to_thread(self._ledger.close_pending, batch, outcome, running)
        self._live = live
        self._ready = {sequence: ready for sequence, ready in self._ready.items() if sequence in live}
        self._reached = {sequence: position for sequence, position in self._reached.items() if sequence in live}
        self._tries = {place: tries for place, tries in self._tries.items() if place[0] in live}

    async def _due(self, now: float) -> tuple[Batch, int, bytes] | None:
        """A request that met busy targets, and has waited long enough."""
        while self._later and self._later[0][0] <= now:
            _, sequence, position = entry = self._later[0]
            batch, found = self._live.get(sequence), list[tuple[int, bytes]]()
            if batch is not None:
                found = await asyncio.to_thread(self._ledger.pending, batch, position - 1, 1)
            self._later.remove(entry)  # only now: a database that fails must not lose it; and others may have come
            heapq.heapify(self._later)
            if batch is not None and found and found[0][0] == position:
                return batch, *found[0]
        return None

    async def _turn(self) -> tuple[Batch, int, bytes] | None:
        """The next request of the next batch."""
        for sequence in sorted(self._live, key=lambda each: (each <= self._last, each)):
            batch, reached = self._live[sequence], self._reached.get(sequence, -1)
            if reached >= batch.total:
                continue
            ready = self._ready.get(sequence)
            if not ready:
                ready = deque(await asyncio.to_thread(self._ledger.pending, batch, reached, AHEAD))
                self._ready[sequence] = ready
            if not ready:
                self._reached[sequence] = batch.total  # nothing becomes pending again: it need not be asked for
                continue
            position, params = ready.popleft()
            self._reached[sequence], self._last = position, sequence
            return batch, position, params
        return None

    def _begin(self, batch: Batch, position: int, params: bytes) -> None:
        place = batch.sequence, position
        task = asyncio.create_task(self._answer(batch, position, params))
        self._running[place] = task

        def ended(task: asyncio.Task[None]) -> None:
            del self._running[place]
            if not task.cancelled() and task.exception() is not None:
                log.error("a result of batch %s was not kept by a mistake of ours", batch.id, exc_info=task.exception())
                heapq.heappush(self._later, (self._clock() + RETRY_AFTER[-1], *place))
            self._woken.set()

        task.add_done_callback(ended)

    async def _answer(self, batch: Batch, position: int, params: bytes) -> None:
        place = batch.sequence, position
        status, body = await self._ask(batch, params)
        if status in BUSY:
            tries = self._tries.get(place, 0)
            if self._stopping or tries < len(RETRY_AFTER):
                self._tries[place] = tries + 1
                heapq.heappush(self._later, (self._clock() + RETRY_AFTER[min(tries, len(RETRY_AFTER) - 1)], *place))
                return
        self._tries.pop(place, None)
        keeping = asyncio.ensure_future(self._keep(batch, position, *verdict(status, body)))
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.wait((keeping,), timeout=self._tick)  # an answer that is here is not thrown away
            keeping.cancel()
            raise

    async def _ask(self, batch: Batch, params: bytes) -> tuple[int, bytes]:
        try:
            return await self._run(batch.owner_key_id, batch.headers, params)
        except CallError as error:
            refusal = error
        except Exception:
            log.exception("a request of batch %s failed by a mistake of ours", batch.id)
            refusal = InternalError("an internal error; the log has it under the batch's id")
        said = {"type": "error", "error": {"type": refusal.kind, "message": refusal.message}}
        return refusal.status, msgspec.json.encode(said)

    async def _keep(self, batch: Batch, position: int, outcome: Outcome, result: bytes) -> None:
        """Commits a result, however long the database takes: to run the request again would cost more."""
        failing = False
        while True:
            try:
                await asyncio.to_thread(self._ledger.settle, batch, position, outcome, result)
                return
            except ConfigError as error:
                if not failing:
                    log.error("a result of batch %s waits: %s", batch.id, error)
                failing = True
            await self._sleep(self._tick)
