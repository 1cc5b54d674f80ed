"""The drawing thread: which pictures are at work, whose step is next, and what happens when memory runs out.

Calls take turns: of each, one picture is begun before the second of any other. Pictures at work take turns at every
step, so that four steps need not wait for somebody's fifty; those of one kind take theirs together. How many are at
work is bounded by their number (`batch`) and by their tokens, for a device that is full gains nothing from more.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from sampan.engines.qwen_image.loading import Parts
from sampan.engines.qwen_image.sheet import Brush, Done, Event, Failed, Glimpse, Gone, Sheet, Step, Task
from sampan.errors import Unavailable

WAITING = 64  # calls that may wait
_TOKENS = 8192  # of pictures at work at once: two of 1024x1024

log = logging.getLogger("sampan.engine")


def _give_up(error: BaseException) -> None:
    """Ends the process: a device that failed answers nobody any more, and whoever supervises us starts us anew."""
    log.error("the accelerator failed (%s); this engine ends, to be started anew", type(error).__name__)
    logging.shutdown()
    os._exit(1)


class Studio:
    """Draws tasks in a thread of its own. `submit` may be called from any thread."""

    def __init__(
        self,
        parts: Parts,
        brush: Brush,
        batch: int,
        *,
        waiting: int = WAITING,
        give_up: Callable[[BaseException], None] = _give_up,
    ) -> None:
        self._parts = parts
        self._brush = brush
        self._batch = batch
        self._limit = waiting
        self._give_up = give_up
        self._changed = threading.Condition()
        self._calls: deque[deque[Task]] = deque()
        self._active: list[Sheet] = []
        self._numbers = 0
        self._turns = 0
        self.steps = 0  # passes that were made, for whoever counts
        threading.Thread(target=self._run, name="drawing", daemon=True).start()

    def submit(self, tasks: Sequence[Task]) -> None:
        """Queues the pictures of one call. Raises `Unavailable` when too many calls wait."""
        with self._changed:
            if len(self._calls) >= self._limit:
                raise Unavailable("too many pictures are waiting here; try again in a moment", retry_after=5)
            self._calls.append(deque(tasks))
            self._changed.notify()

    def _run(self) -> None:
        import torch

        with torch.no_grad():
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._calls or self._active)
                try:
                    self._round()
                except Exception as error:  # whatever it was, the callers are told and the next ones are served
                    log.error("the drawing thread failed (%s)", type(error).__name__, exc_info=error)
                    for sheet in list(self._active):
                        self._fail(sheet, error)

    def _round(self) -> None:
        """Lets go who left, begins what there is room for, and does one step."""
        self._dismiss()
        if not self._active:
            self._brush.careful = False
        while (task := self._next()) is not None:
            self._begin(task)
        self._brush.cache(self._active)
        if not self._active:
            return
        self._active.sort(key=lambda sheet: sheet.turn)
        together = self._together(self._active)
        self._turns += 1
        for sheet in together:
            sheet.turn = self._turns
        self._try(self._step, together)
        for sheet in together:
            if sheet in self._active:
                self._report(sheet)

    def _dismiss(self) -> None:
        for sheet in [sheet for sheet in self._active if sheet.task.left()]:
            self._end(sheet, Gone())
        with self._changed:
            for call in self._calls:
                for task in [task for task in call if task.left()]:
                    call.remove(task)
                    task.deliver(Gone())
            self._calls = deque(call for call in self._calls if call)

    def _next(self) -> Task | None:
        """The next task that there is room for; its call goes to the end of the line."""
        with self._changed:
            if not self._calls or not self._has_room(self._calls[0][0]):
                return None
            call = self._calls.popleft()
            task = call.popleft()
            if call:
                self._calls.append(call)
            return task

    def _has_room(self, task: Task) -> bool:
        if not self._active:
            return True
        if self._brush.careful or self._parts.residence.moves or len(self._active) >= self._batch:
            return False
        return task.tokens + sum(sheet.task.tokens for sheet in self._active) <= _TOKENS

    def _begin(self, task: Task) -> None:
        self._numbers += 1
        sheet = Sheet(task, self._parts.models[task.model], self._numbers)
        sheet.turn = self._turns
        self._active.append(sheet)
        self._try(lambda sheets: self._brush.prepare(sheets[0]), [sheet])

    def _together(self, sheets: Sequence[Sheet]) -> list[Sheet]:
        """Whose turn it is, and who can take theirs along."""
        if self._brush.careful:
            return [sheets[0]]
        return [sheet for sheet in sheets if sheet.kind == sheets[0].kind]

    def _step(self, sheets: Sequence[Sheet]) -> None:
        self.steps += 1
        self._brush.advance(sheets)
        for sheet in sheets:
            if not sheet.task.recipe.cache:
                self._brush.forget(sheet)

    def _report(self, sheet: Sheet) -> None:
        """Tells how far a sheet has come, shows it where that is due, and hands it out when it is done."""
        sheet.task.deliver(Step(sheet.step - sheet.first, sheet.steps - sheet.first))
        if sheet.glimpse is not None:
            self._try(self._show, [sheet])
        if sheet.finished and sheet in self._active:
            self._try(self._hand_out, [sheet])

    def _show(self, sheets: Sequence[Sheet]) -> None:
        for sheet in sheets:
            assert sheet.glimpse is not None
            sheet.task.deliver(Glimpse(self._brush.develop(sheet, sheet.guess), sheet.glimpse))

    def _hand_out(self, sheets: Sequence[Sheet]) -> None:
        for sheet in sheets:
            self._end(sheet, Done(self._brush.develop(sheet, sheet.latents)))

    def _end(self, sheet: Sheet, event: Event) -> None:
        self._active.remove(sheet)
        self._brush.forget(sheet)
        sheet.task.deliver(event)

    def _try(self, work: Callable[[Sequence[Sheet]], None], sheets: Sequence[Sheet]) -> None:
        """Does work for sheets. Out of memory: once more, one at a time and in tiles; what fails then, fails alone."""
        if self._done(work, sheets):
            return
        log.warning("the accelerator's memory ran out; trying again with less at once")
        self._brush.careful = True
        self._brush.tidy()
        for sheet in sheets:
            if not self._done(work, [sheet]):
                self._fail(sheet, _full())
                self._brush.tidy()

    def _done(self, work: Callable[[Sequence[Sheet]], None], sheets: Sequence[Sheet]) -> bool:
        """False where there was not memory enough. Any other mistake is the callers' answer."""
        import torch

        try:
            work(sheets)
        except torch.OutOfMemoryError:
            return False
        except torch.AcceleratorError as error:
            self._give_up(error)
            self._fail_all(sheets, error)
        except Exception as error:  # this thread has nobody to raise it to
            self._fail_all(sheets, error)
        return True

    def _fail_all(self, sheets: Sequence[Sheet], error: Exception) -> None:
        for sheet in sheets:
            self._fail(sheet, error)

    def _fail(self, sheet: Sheet, error: Exception) -> None:
        if sheet in self._active:
            self._end(sheet, Failed(error))


def _full() -> Unavailable:
    return Unavailable(
        "this picture needs more of the accelerator's memory than is free; ask for a smaller size, or again later",
        retry_after=10,
    )
