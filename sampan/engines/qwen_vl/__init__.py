"""Qwen-VL: sees, reads and talks.

The folder has two halves, and `job` is what they say to each other. One knows tensors: `model` and what it imports. The
other knows words: `hearing` and what it imports. `QwenVL` is both of them as the shell takes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TypeAlias

from sampan.engines.conversation import Conversation, Turn, Words
from sampan.engines.options import Options
from sampan.engines.qwen_vl.checkpoint import Brain, Checkpoint, read_checkpoint
from sampan.engines.qwen_vl.guiding import Guiding
from sampan.engines.qwen_vl.hearing import Ear, Hearing
from sampan.engines.qwen_vl.loading import Say
from sampan.engines.qwen_vl.sights import Opener
from sampan.errors import Unavailable

Open: TypeAlias = Callable[[Options, Say], tuple[Brain, Checkpoint]]

_FIRST_CALL = "the first call"


class QwenVL:
    """A converser (`contract.Converser`) that is empty until it is warmed up: `stage` says how far that has come."""

    def __init__(self, options: Options, opened: Open | None = None) -> None:
        self._options = options
        self._open = opened or open_both
        self._brain: Brain | None = None
        self._ear: Ear | None = None
        self._called = False
        self._stage = ""

    @property
    def stage(self) -> str:
        """What it does now, until it is warm."""
        return self._stage

    @property
    def cold(self) -> Sequence[str]:
        """What has not run yet."""
        first = [] if self._called else [_FIRST_CALL]
        return ["weights", *first] if self._brain is None else [*self._brain.cold, *first]

    @property
    def working(self) -> int:
        """Answers that are being written."""
        return self._brain.stats.working if self._brain is not None else 0

    @property
    def waiting(self) -> int:
        """Answers that wait for one of those to end."""
        return self._brain.stats.waiting if self._brain is not None else 0

    def warm_up(self) -> None:
        """Loads the model and runs it in every form that it was configured for, then one call as a caller's.

        Raises `ConfigError` for a checkpoint that cannot be loaded.
        """
        self._say("loading")
        self._brain, checkpoint = self._open(self._options, self._say)
        self._brain.warm_up(self._say)
        self._say("warming up, the first call")
        guiding = Guiding(checkpoint.words, sorted(self._brain.ends))
        self._ear = Ear(self._brain, checkpoint, guiding, Opener())
        hello = Conversation("", [Turn("user", [Words("Hello")])], max_tokens=4)
        asyncio.run(_said(self.hear(hello)))
        self._called = True
        self._say("")

    def hear(self, conversation: Conversation) -> Hearing:
        """`Converser.hear`."""
        if self._ear is None:
            raise Unavailable("this engine is still loading; try again in a moment", retry_after=2)
        return self._ear.hear(conversation)

    def _say(self, stage: str) -> None:
        self._stage = stage


def open_both(options: Options, say: Say) -> tuple[Brain, Checkpoint]:
    """Loads the checkpoint `options.settings.model`. Raises `ConfigError`."""
    from sampan.engines.qwen_vl.model import open_model

    model = open_model(options, say)
    return model, read_checkpoint(Path(options.settings.model), model.tokenizer)


async def _said(hearing: Hearing) -> None:
    async with aclosing(hearing.answer()) as answer:
        async for _ in answer:
            pass
