"""A model that says what it is told to, over a real tokenizer: `job.Model` without a tensor but those of pictures.

It says what stands in the prompt behind the last `say:`, up to the end of that turn; `endless` goes on until nobody
waits any more, `fail` fails. Served by the shell as `fake_model:Scripted`.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from sampan.engines import tiny
from sampan.engines.options import Options
from sampan.engines.qwen_vl import QwenVL
from sampan.engines.qwen_vl.checkpoint import Checkpoint
from sampan.engines.qwen_vl.job import Deliver, Ended, Job, Prompt, Reason, Sampling
from sampan.engines.qwen_vl.template import Template
from sampan.engines.qwen_vl.words import Words
from sampan.engines.tiny import tokens
from sampan.errors import InternalError

CONTEXT = 2_000
PATCH = 14
TEMPLATES = Path(tiny.__file__).parent / "templates"
Say = Callable[[str], None]


@cache
def vocabulary(specials: tuple[str, ...] = tokens.QWEN3) -> tokens.Vocabulary:
    return tokens.train(specials)


@cache
def words(specials: tuple[str, ...] = tokens.QWEN3) -> Words:
    return Words(vocabulary(specials).trained)


@cache
def template(name: str = "qwen3-vl", *, thinking: bool = False) -> Template:
    source = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    own = words(tokens.QWEN2_5 if name == "qwen2-vl" else tokens.QWEN3)
    return Template(("{%- set thinking = true -%}\n" if thinking else "") + source, own.guard)


class _Ticket:
    def __init__(self) -> None:
        self.left = threading.Event()

    def cancel(self) -> None:
        self.left.set()


class FakeModel:
    """`script` makes the text of an answer from that of its prompt. `jobs` are all that were submitted."""

    def __init__(self, own: Words | None = None, script: Callable[[str], str] | None = None) -> None:
        self.words = own or words()
        self._script = script or said_in
        self.jobs: list[Job] = []
        self.tickets: list[_Ticket] = []
        self.warm = False
        self._threads: list[threading.Thread] = []
        self._endless = itertools.count()

    context = CONTEXT
    defaults = Sampling(0.5, 0.9, 20)

    @property
    def ends(self) -> frozenset[int]:
        return frozenset(number for mark in ("<|im_end|>", "<|endoftext|>") if (number := self.words.id(mark)))

    @property
    def cold(self) -> Sequence[str]:
        return [] if self.warm else ["everything"]

    @property
    def stats(self) -> FakeModel:
        return self

    @property
    def working(self) -> int:
        return sum(thread.is_alive() for thread in self._threads)

    waiting = 0

    def warm_up(self, say: Say = lambda stage: None) -> None:
        say("warming up the fake")
        self.warm = True

    def read(self, text: str, pictures: Sequence[Any]) -> Prompt:
        """A token for every 28 x 28 pixels of a picture, rounded up."""
        pad = self.words.id("<|image_pad|>")
        ids = self.words.encode(text)
        if not pictures:
            return Prompt(ids)
        grids = [[1, 2 * -(-picture.height // 28), 2 * -(-picture.width // 28)] for picture in pictures]
        sizes = iter([grid[1] * grid[2] // 4 for grid in grids])
        full = [each for token in ids for each in ([token] * next(sizes) if token == pad else [token])]
        return Prompt(full, torch.zeros(sum(grid[1] * grid[2] for grid in grids), 1), torch.tensor(grids))

    def write(self, tokens: Sequence[int]) -> str:
        return b"".join(self.words.spelling(token) for token in tokens).decode(errors="replace")

    def submit(self, job: Job, deliver: Deliver) -> _Ticket:
        ticket = _Ticket()
        self.jobs.append(job)
        self.tickets.append(ticket)
        thread = threading.Thread(target=self._run, args=(job, deliver, ticket), daemon=True)
        self._threads.append(thread)
        thread.start()
        return ticket

    def _run(self, job: Job, deliver: Deliver, ticket: _Ticket) -> None:
        try:
            deliver(self._say(job, deliver, ticket))
        except Exception as error:  # as the real one: whatever happens, the end is said
            deliver(Ended(Reason.FAILED, InternalError(f"{type(error).__name__} in the fake")))

    def _say(self, job: Job, deliver: Deliver, ticket: _Ticket) -> Ended:
        text = self._script(self.words.tokenizer.decode(list(job.prompt.tokens), skip_special_tokens=False))
        if text == "fail":
            return Ended(Reason.FAILED, InternalError("the fake failed"))
        if text == "endless":
            deliver(self.words.encode("again")[0])
            number = next(self._endless)
            ticket.left.wait()
            print(f"fake: caller {number} of the endless has left", file=sys.stderr, flush=True)
            return Ended(Reason.CANCELLED)
        for made, token in enumerate(self._tokens(text, job)):
            if ticket.left.is_set():
                return Ended(Reason.CANCELLED)
            if made == job.max_tokens:
                return Ended(Reason.LENGTH)
            deliver(token)
        return Ended(Reason.STOP)

    def _tokens(self, text: str, job: Job) -> Any:
        """What was to be said, as far as the guide lets it; after that whatever the guide asks for."""
        wanted = iter(self.words.encode(text))
        if job.guide is None:
            yield from wanted
            return
        token = next(wanted, None)
        while True:
            mask = job.guide.mask()
            if not mask.any() or (token is None and any(mask[end] for end in self.ends)):
                return
            if token is None or not mask[token]:
                token = int(mask.nonzero()[0])
                if token in self.ends:
                    return
            job.guide.accept(token)
            yield token
            token = next(wanted, None)


def said_in(prompt: str) -> str:
    """What the prompt asks the fake to say."""
    return prompt.rpartition("say:")[2].partition("<|im_end|>")[0].strip()


class Scripted(QwenVL):
    """The engine around the fake."""

    def __init__(self, *, threads: int, thinking: bool = False) -> None:
        def opened(options: Options, say: Say) -> tuple[FakeModel, Checkpoint]:
            return FakeModel(), Checkpoint(words(), template(thinking=thinking), PATCH, absolute=True)

        super().__init__(Options(threads), opened)


class Thinker(Scripted):
    """The one that thinks."""

    def __init__(self, *, threads: int) -> None:
        super().__init__(threads=threads, thinking=True)
