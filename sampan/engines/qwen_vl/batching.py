"""Many answers at once, a token of each in turn: our continuous batching.

A **row** is a job that has a slot. In every turn of the model's thread one piece of the prompts that are still being
read goes through the model, and then one token of every row that writes: a long prompt does not hold up the others. A
row that ends leaves at once, and the next job takes its slot; owners take turns at that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from sampan.engines.qwen_vl import waiting
from sampan.engines.qwen_vl.cache import SlotCache
from sampan.engines.qwen_vl.forward import Piece, Seen, Step, Tokens, is_lost, is_shortage
from sampan.engines.qwen_vl.job import Deliver, Ended, Job, Prompt, Reason
from sampan.engines.qwen_vl.sampling import Chooser, choose
from sampan.errors import CallError, InternalError, InvalidRequest, Unavailable

_PIECE = 0.25  # seconds that a piece of a prompt may take: so long do others wait for their next token, or to leave
_LEAST = 32  # tokens of a piece, however slow the machine is

log = logging.getLogger("sampan.engine")


class Passes(Protocol):
    """What `Runner` does."""

    cache: SlotCache

    def lay(self, prompt: Prompt) -> Tokens: ...
    def see(self, pixels: Sequence[Any], grids: Sequence[Any]) -> list[Seen]: ...
    def prefill(self, pieces: Sequence[Piece]) -> Any: ...
    def decode(self, steps: Sequence[Step]) -> Any: ...
    def relieve(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`batch` rows at once, `context` tokens each, `chunk` tokens of prompts in a turn at most, `waiting` in the queue.

    `ends` are the tokens that end a turn, `vocabulary` those that are text at all, `repetition` as for `Chooser`.
    """

    batch: int
    context: int
    ends: frozenset[int]
    vocabulary: int
    chunk: int = 512
    waiting: int = 256
    repetition: float = 1.0


@dataclass(eq=False, slots=True)
class _Row:
    """A job on its way. `length` counts the tokens in its slot, `seen` its pictures so far, in their order."""

    job: Job
    deliver: Deliver
    chooser: Chooser
    arrived: float
    cancelled: bool = False
    slot: int = -1
    length: int = 0
    made: int = 0
    last: int = 0
    tokens: Tokens | None = None
    spans: Sequence[tuple[int, int]] = ()  # patches of each picture
    seen: list[Seen] = field(default_factory=list)
    joined: Seen | None = None

    @property
    def writes(self) -> bool:
        """Whether its prompt has been read."""
        return self.made > 0

    @property
    def unseen(self) -> bool:
        return len(self.seen) < len(self.spans)


@dataclass(frozen=True, slots=True)
class Stats:
    """Rows and jobs now, tokens and jobs since the start, tokens a second over the last turns, bytes of the cache."""

    working: int
    waiting: int
    tokens: int
    ended: int
    rate: float
    cache: int


class _Ticket:
    def __init__(self, scheduler: Scheduler, row: _Row) -> None:
        self._scheduler, self._row = scheduler, row

    def cancel(self) -> None:
        self._scheduler.cancel(self._row)


class Scheduler:
    """Takes jobs from any thread; `start` gives them a thread of their own, or a test calls `turn`."""

    def __init__(
        self,
        runner: Passes,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`lost` is called when the device is of no more use: nothing helps but another process."""
        self._runner = runner
        self._limits = limits
        self._clock = clock
        self._lost = lost
        self._changed = threading.Condition()
        self._queue: waiting.Queue[_Row] = waiting.Queue()
        self._left: list[_Row] = []  # that were cancelled while they waited, and are yet to be told
        self._rows: list[_Row] = []  # by slot
        self._calls: deque[Callable[[], None]] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._tokens = 0
        self._ended = 0
        self._seconds = 0.0  # that a job takes, lately
        self._chunk = limits.chunk
        self._rate = 0.0

    # From any thread.

    def submit(self, job: Job, deliver: Deliver) -> _Ticket:
        """Queues a job. Raises `Unavailable` when too many wait, or when this is closed, and `InvalidRequest` for a
        prompt that leaves no room for an answer."""
        if len(job.prompt.tokens) >= self._limits.context:
            raise InvalidRequest(f"the prompt is too long: this model has room for {self._limits.context} tokens")
        chooser = Chooser(job.sampling, job.guide, repetition=self._limits.repetition, prompt=job.prompt.tokens)
        row = _Row(job, deliver, chooser, self._clock())
        with self._changed:
            if self._closed:
                raise Unavailable("this engine is stopping; ask another", retry_after=2)
            if len(self._queue) >= self._limits.waiting:
                raise Unavailable(
                    f"{len(self._queue)} answers wait for this engine already; try again in a moment",
                    retry_after=self._patience(),
                )
            self._queue.put(job.owner, row)
            self._changed.notify()
        return _Ticket(self, row)

    def cancel(self, row: _Row) -> None:
        """The job ends as `CANCELLED` before its next token; one that waits gives its place back at once."""
        with self._changed:
            row.cancelled = True
            if self._queue.remove(row.job.owner, row):
                self._left.append(row)
            self._changed.notify()

    def call(self, work: Callable[[], None]) -> None:
        """Runs something between two turns, and waits for it. Raises what it raises."""
        done: Future[None] = Future()

        def run() -> None:
            try:
                work()
                done.set_result(None)
            except Exception as error:  # the one who waits raises it
                done.set_exception(error)

        with self._changed:
            self._calls.append(run)
            self._changed.notify()
        done.result()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends every job as `FAILED` and the thread after its present turn."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        else:
            self._stop()

    @property
    def stats(self) -> Stats:
        with self._changed:
            return Stats(
                len(self._rows),
                len(self._queue),
                self._tokens,
                self._ended,
                self._rate,
                self._runner.cache.bytes,
            )

    # In the model's thread.

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._closed or self._calls or self._rows or self._queue or self._left):
                    self._changed.wait()
                if self._closed:
                    break
            try:
                self.turn()
            except Exception as error:
                self._start_over(error)
        self._stop()

    def _stop(self) -> None:
        with self._changed:
            waiting = [*self._left, *self._queue.clear()]
        self._abandon(Unavailable("this engine is stopping; ask another", retry_after=2), waiting)

    def _start_over(self, error: Exception) -> None:
        """After a mistake of ours between the passes: what the rows hold is not to be trusted, so they end."""
        log.error("a turn failed: %s", type(error).__name__, exc_info=error)
        self._abandon(InternalError("the engine made a mistake over this request"))

    def _abandon(self, error: CallError, waiting: Sequence[_Row] = ()) -> None:
        rows, self._rows = self._rows, []
        for row in [*rows, *waiting]:
            cancelled = Ended(Reason.CANCELLED) if row.cancelled else None
            self._say(row, cancelled or Ended(Reason.FAILED, error))

    def turn(self) -> None:
        """One piece of the prompts, then one token of every row."""
        import torch

        begun, before = self._clock(), self._tokens
        with torch.inference_mode():
            while self._calls:
                self._calls.popleft()()
            self._drop()
            self._admit()
            reading = [row for row in self._rows if not row.writes]
            if reading:
                self._read(reading)
            self._drop()
            self._write()
        spent = self._clock() - begun
        if spent > 0:
            self._rate += 0.1 * ((self._tokens - before) / spent - self._rate)

    def _drop(self) -> None:
        with self._changed:
            left, self._left = self._left, []
        for row in left:
            self._say(row, Ended(Reason.CANCELLED))
        for row in [row for row in self._rows if row.cancelled]:
            self._end(row, Reason.CANCELLED)

    def _admit(self) -> None:
        while len(self._rows) < self._limits.batch:
            with self._changed:
                if not self._queue:
                    return
                row = self._queue.take()
            row.slot = len(self._rows)
            self._rows.append(row)
            self._attempt([row], partial(self._lay, row))

    def _lay(self, row: _Row) -> None:
        """Makes a row ready. Its slot gets room for all that it may come to: nothing fails for that later."""
        prompt = row.job.prompt
        if row.job.max_tokens < 1:
            self._end(row, Reason.LENGTH)
            return
        needed = min(len(prompt.tokens) + row.job.max_tokens, self._limits.context)
        self._runner.cache.reserve(len(self._rows), needed)
        row.tokens = self._runner.lay(prompt)
        if prompt.grids is not None:
            ends = prompt.grids.prod(-1).cumsum(0).tolist()
            row.spans = list(zip([0, *ends[:-1]], ends, strict=True))

    def _attempt(self, rows: Sequence[_Row], work: Callable[[], None]) -> bool:
        """Runs a pass. Whatever goes wrong ends the rows that were in it, or one of them, and nothing else."""
        try:
            work()
        except Exception as error:
            self._fault(rows, error)
            return False
        return True

    def _fault(self, rows: Sequence[_Row], error: Exception) -> None:
        present = [row for row in rows if row in self._rows]
        if not present:
            return
        if is_shortage(error):
            # The youngest gives way: the others, which have waited longest, get the memory that it leaves.
            self._runner.relieve()
            youngest = max(present, key=lambda row: row.arrived)
            log.warning("out of memory with %d rows: the youngest is given up", len(self._rows))
            said: CallError = Unavailable(
                "this engine ran out of memory; try again in a moment, or ask for less at once", retry_after=5
            )
            self._end(youngest, Reason.FAILED, said)
            return
        log.error("a pass through the model failed: %s", type(error).__name__, exc_info=error)
        for row in present:
            self._end(row, Reason.FAILED, InternalError("the model failed on this request"))
        if is_lost(error):
            log.error("the accelerator is lost; this engine ends, to be started anew")
            self._lost()

    # Reading prompts.

    def _read(self, reading: Sequence[_Row]) -> None:
        """Pictures first, for as many rows as go together, then pieces. The row that came first leads."""
        reading = sorted(reading, key=lambda row: row.arrived)
        if reading[0].unseen:
            self._look(reading)
            return
        pieces: list[tuple[_Row, int]] = []
        longest = 0
        for row in reading:
            assert row.tokens is not None
            count = min(len(row.tokens.ids) - row.length, self._chunk)
            if row.unseen or (len(pieces) + 1) * max(longest, count) > self._chunk:
                break
            longest = max(longest, count)
            pieces.append((row, count))
        rows = [row for row, _ in pieces]
        begun = self._clock()
        if self._attempt(rows, lambda: self._prefill(pieces)) and (spent := self._clock() - begun) > 0:
            fitting = int(longest * len(pieces) / spent * _PIECE)
            self._chunk = min(self._limits.chunk, max(_LEAST, fitting))

    def _look(self, reading: Sequence[_Row]) -> None:
        """Shows the eye the pictures that come next, until they are as much work as a piece (a token is 4 patches)."""
        shown: list[tuple[_Row, int, int]] = []
        patches = 0
        for row in reading:
            for begin, end in row.spans[len(row.seen) :]:
                if shown and patches + end - begin > 4 * self._chunk:
                    break
                shown.append((row, begin, end))
                patches += end - begin
        rows = list({id(row): row for row, _, _ in shown}.values())

        def look() -> None:
            grids = [row.job.prompt.grids[row.spans.index((begin, end))] for row, begin, end in shown]
            seen = self._runner.see([row.job.prompt.pixels[begin:end] for row, begin, end in shown], grids)
            for (row, _, _), each in zip(shown, seen, strict=True):
                row.seen.append(each)

        self._attempt(rows, look)

    def _prefill(self, pieces: Sequence[tuple[_Row, int]]) -> None:
        logits = self._runner.prefill([_piece(row, count) for row, count in pieces])
        done: list[int] = []
        for number, (row, count) in enumerate(pieces):
            assert row.tokens is not None
            row.length += count
            if row.length == len(row.tokens.ids):
                row.seen, row.spans, row.joined = [], (), None
                done.append(number)
        if done:
            self._choose([pieces[number][0] for number in done], _picked(logits, done))

    # Writing answers.

    def _write(self) -> None:
        """A step that runs out of memory is taken again without its youngest row."""
        while writing := [row for row in self._rows if row.writes]:
            passed: list[Any] = []
            steps = [Step(row.last, row.length, _shift(row)) for row in self._rows]
            if self._attempt(writing, lambda: passed.append(self._runner.decode(steps))):  # noqa: B023
                for row in writing:
                    row.length += 1
                self._choose(writing, _picked(passed[0], [row.slot for row in writing]))
                return

    def _choose(self, rows: Sequence[_Row], logits: Any) -> None:
        """Takes the next token of each row. A guide that fails ends its own row only."""
        logits[:, self._limits.vocabulary :] = float("-inf")
        asked = [(row, number, self._mask(row)) for number, row in enumerate(rows)]
        while asked := [each for each in asked if each[0] in self._rows]:
            tokens: list[int] = []
            if self._attempt([row for row, _, _ in asked], lambda: tokens.extend(_chosen(asked, logits))):  # noqa: B023
                for (row, _, _), token in zip(asked, tokens, strict=True):
                    self._take(row, token)
                return

    def _mask(self, row: _Row) -> Any:
        """What a row's guide allows. One that allows nothing has seen the whole answer: the row ends."""
        guide = row.chooser.guide
        if guide is None or row.cancelled:
            return None
        try:
            mask = guide.mask()
            if bool(mask[: self._limits.vocabulary].any()):
                return mask
            self._end(row, Reason.STOP)
        except Exception as error:
            self._fault([row], error)
        return None

    def _take(self, row: _Row, token: int) -> None:
        if row.cancelled:
            self._end(row, Reason.CANCELLED)
            return
        row.made += 1
        self._tokens += 1
        if token in self._limits.ends:
            self._end(row, Reason.STOP)
            return
        row.last = token
        row.chooser.note(token)
        guide = row.chooser.guide
        if guide is not None and not self._attempt([row], lambda: guide.accept(token)):
            return
        self._say(row, token)
        if row.made >= row.job.max_tokens or row.length + 1 >= self._limits.context:
            self._end(row, Reason.LENGTH)

    def _end(self, row: _Row, reason: Reason, error: CallError | None = None) -> None:
        """Says how a row ended and gives its slot back: the last one moves there."""
        last = self._rows[-1]
        if last is not row:
            self._runner.cache.move(last.slot, row.slot, last.length)
            last.slot = row.slot
            self._rows[row.slot] = last
        self._rows.pop()
        self._ended += 1
        self._seconds += 0.1 * (self._clock() - row.arrived - self._seconds)
        self._say(row, Ended(reason, error))

    def _say(self, row: _Row, what: int | Ended) -> None:
        try:
            row.deliver(what)
        except Exception as error:  # nobody to tell: the one who would be told is broken
            log.error("an answer could not be delivered: %s", type(error).__name__)
            row.cancelled = True

    def _patience(self) -> float:
        """Seconds after which there may be room: what a job takes lately, in turns of a batch."""
        return min(60.0, max(1.0, self._seconds * len(self._queue) / self._limits.batch / 2))


def _shift(row: _Row) -> int:
    return row.tokens.shift if row.tokens is not None else 0


def _piece(row: _Row, count: int) -> Piece:
    """The next `count` tokens of a row's prompt with what the eye made of the pictures among them."""
    assert row.tokens is not None
    start, end = row.length, row.length + count
    if row.seen and row.joined is None:
        row.joined = _join(row.seen)
    seen = None
    if row.joined is not None:
        before = int(row.tokens.pads[:start].sum())
        among = int(row.tokens.pads[start:end].sum())
        if among:
            part = slice(before, before + among)
            seen = Seen(row.joined.embeds[part], [layer[part] for layer in row.joined.deep])
    return Piece(row.slot, start, end, row.tokens, seen)


def _chosen(asked: Sequence[tuple[_Row, int, Any]], logits: Any) -> list[int]:
    logits = _picked(logits, [number for _, number, _ in asked])
    return choose(logits, [row.chooser for row, _, _ in asked], [mask for _, _, mask in asked])


def _picked(logits: Any, rows: Sequence[int]) -> Any:
    """Some rows, without a copy where they are all."""
    return logits if list(rows) == list(range(logits.shape[0])) else logits[list(rows)]


def _join(seen: Sequence[Seen]) -> Seen:
    import torch

    deep = [torch.cat([each.deep[layer] for each in seen]) for layer in range(len(seen[0].deep))]
    return Seen(torch.cat([each.embeds for each in seen]), deep)
