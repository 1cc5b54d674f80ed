"""The half of the engine that knows tensors: everything in this folder behind `job.Model`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sampan.config import ModelSettings
from sampan.engines.options import Options
from sampan.engines.qwen_vl.batching import Limits, Scheduler, Stats
from sampan.engines.qwen_vl.cache import SlotCache
from sampan.engines.qwen_vl.forward import Runner
from sampan.engines.qwen_vl.job import Deliver, Ended, Job, Prompt, Sampling, Ticket
from sampan.engines.qwen_vl.loading import Loaded, Say, load
from sampan.engines.qwen_vl.prompts import PAD, Reader
from sampan.errors import ConfigError

# Tokens of prompts in a turn. An accelerator is not filled by fewer; a CPU is kept from its writing rows by more.
_CHUNK = {"cpu": 512, "cuda": 2048}
_PICTURES = "pictures"


class QwenModel:
    """A loaded model that takes jobs. `open_model` makes one."""

    def __init__(self, loaded: Loaded, settings: ModelSettings, *, lost: Callable[[], None] | None = None) -> None:
        """`lost` is called when the device is of no more use; as usual, it ends the process."""
        self._loaded = loaded
        self._context = loaded.context
        self._reader = Reader(loaded.tokenizer.backend_tokenizer, loaded.patches, loaded.context)
        accelerated = loaded.model.device.type == "cuda"
        # A CPU takes any number of rows as it comes: two are run while warming up, one and the most.
        batches = _batches(settings.batch) if accelerated else sorted({1, settings.batch})
        self._accelerated = accelerated
        self._runner = Runner(
            loaded.model,
            SlotCache(settings.batch, loaded.context, fixed=accelerated),
            eye=loaded.patches.eye,
            text=loaded.text,
            batches=batches if accelerated else (),
            graphs=settings.compile and len(set(getattr(loaded.model, "hf_device_map", {}).values())) < 2,
        )
        limits = Limits(
            settings.batch,
            loaded.context,
            loaded.ends,
            loaded.vocabulary,
            _CHUNK["cuda" if accelerated else "cpu"],
            repetition=float(loaded.defaults.get("repetition_penalty") or 1.0),
        )
        self._scheduler = Scheduler(self._runner, limits, lost=lost or _leave)
        self._scheduler.start()
        self._batches = batches
        self._cold = [_PICTURES, *(_at_once(count) for count in batches)]

    @property
    def context(self) -> int:
        """`Model.context`."""
        return self._context

    @property
    def tokenizer(self) -> Any:
        """The library's tokenizer, whose chat template and vocabulary others need."""
        return self._loaded.tokenizer

    @property
    def vocabulary(self) -> int:
        """Tokens that can come: as long is a guide's mask."""
        return self._loaded.vocabulary

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a turn. They are not delivered; a guide must allow one where its answer may end."""
        return self._loaded.ends

    @property
    def defaults(self) -> Sampling:
        """What the checkpoint's authors advise."""
        advised = self._loaded.defaults
        if advised.get("do_sample") is False:
            return Sampling(temperature=0.0)
        return Sampling(
            float(advised.get("temperature", 1.0)), float(advised.get("top_p", 1.0)), int(advised.get("top_k", 0))
        )

    @property
    def stats(self) -> Stats:
        """How busy it is."""
        return self._scheduler.stats

    @property
    def cold(self) -> Sequence[str]:
        """What `warm_up` has not run yet."""
        return tuple(self._cold)

    def read(self, text: str, pictures: Sequence[Any]) -> Prompt:
        """`Model.read`."""
        return self._reader.read(text, pictures)

    def write(self, tokens: Sequence[int]) -> str:
        """`Model.write`."""
        return self._reader.write(tokens)

    def submit(self, job: Job, deliver: Deliver) -> Ticket:
        """`Model.submit`."""
        return self._scheduler.submit(job, deliver)

    def warm_up(self, say: Say = lambda stage: None) -> None:
        """Runs what callers will run, in every shape: the first call is to be as fast as the tenth.

        Raises `ConfigError` where even that fails.
        """
        say("warming up, pictures")
        side = 448 if self._accelerated else 112
        sight = self.read(f"<|vision_start|>{PAD}<|vision_end|>Hello", [_picture(side)])
        self._together([sight] * (self._batches[-1] if self._accelerated else 1))
        self._cold.remove(_PICTURES)
        for count in self._batches:
            say(f"warming up, {_at_once(count)}")
            self._together([self.read("Hello", [])] * count)
            for rows, reach in self._runner.shapes:
                if rows == count:
                    self._scheduler.call(partial(self._runner.rehearse, rows, reach))
            self._cold.remove(_at_once(count))

    def _together(self, prompts: Sequence[Prompt]) -> None:
        """Runs jobs at once and waits for them."""
        ended: list[Ended] = []
        all_ended = threading.Semaphore(0)

        def deliver(what: int | Ended) -> None:
            if isinstance(what, Ended):
                ended.append(what)
                all_ended.release()

        for prompt in prompts:
            self.submit(Job(prompt, Sampling(temperature=0.0), max_tokens=4), deliver)
        for _ in prompts:
            all_ended.acquire()
        failed = next((each.error for each in ended if each.error is not None), None)
        if failed is not None:
            raise ConfigError(f"the model was loaded and cannot answer: {failed.message}")

    def close(self) -> None:
        """Ends every job and the model's thread."""
        self._scheduler.close()


def open_model(options: Options, say: Say = lambda stage: None) -> QwenModel:
    """Loads `options.settings.model`. Raises `ConfigError`; `say` is told how far it has come."""
    return QwenModel(load(options, say), options.settings)


def _batches(most: int) -> Sequence[int]:
    """Numbers of rows to be ready for: powers of two up to eight, then every eight, and the most there can be."""
    return [*(each for each in (1, 2, 4) if each < most), *range(8, most, 8), most]


def _at_once(count: int) -> str:
    return f"{count} at once" if count > 1 else "one at a time"


def _picture(side: int) -> Any:
    from PIL import Image

    return Image.new("RGB", (side, side), (120, 160, 200))


def _leave() -> None:
    """The process ends, with no regard for what else it does: its supervisor starts another."""
    os._exit(1)
