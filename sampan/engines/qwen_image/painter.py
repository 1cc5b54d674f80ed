"""The engine: a call becomes a scene and tasks for the studio, and what comes back becomes finished pictures."""

from __future__ import annotations

import itertools
import logging
import queue
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from sampan.engines.contract import Drawn, Manner, Order, Preview, Progress, Stopped
from sampan.engines.options import Options
from sampan.engines.qwen_image import pictures, scene
from sampan.engines.qwen_image.loading import EDIT, Parts, check, load
from sampan.engines.qwen_image.pictures import Form, Made
from sampan.engines.qwen_image.recipe import LIGHTNING, PRESETS, Recipe, settle
from sampan.engines.qwen_image.scene import Scene
from sampan.engines.qwen_image.sheet import Brush, Done, Event, Failed, Glimpse, Gone, Step, Task
from sampan.engines.qwen_image.studio import Studio
from sampan.errors import CallError, ConfigError, InvalidRequest

_SEEDS = 2**32
_PICTURES_MOST = 4  # that one edit looks at: each is as much work at every step as the picture itself
_WARM_STEPS = 2

log = logging.getLogger("sampan.engine")


class QwenImage:
    """Qwen-Image and Qwen-Image-Edit through diffusers. Calls may come from any number of threads."""

    honours = frozenset({"sampan.region", "sampan.canvas", "lora"})

    def __init__(self, options: Options, *, load: Callable[[Options], Parts] = load) -> None:
        """Raises `ConfigError` for settings that cannot be; the checkpoints are looked at by `warm_up`."""
        self._options = options
        self._open = load
        self._settings = options.settings
        check(options.settings)
        self._sizes = _warm_sizes(options)
        self._parts: Parts | None = None
        self._studio: Studio | None = None
        self._cold: tuple[str, ...] = ("weights",)
        self._stage = ""

    @property
    def stage(self) -> str:
        """How far the loading and the warm-up have come."""
        return self._stage

    @property
    def cold(self) -> tuple[str, ...]:
        """What is still to be drawn for the first time: sizes and presets."""
        return self._cold

    @property
    def places(self) -> int:
        """How many calls may wait in here: they share the drawing thread, and those that are alike its steps."""
        return max(16, 4 * self._settings.batch)

    def warm_up(self) -> None:
        """Loads the checkpoints, then draws two steps of each configured size with each preset, so that the kernels
        for it are there. Slow. Raises `ConfigError` in words."""
        parts = self._load()
        sizes = self._sizes or [_small(parts)]
        drawings = {f"{size} {preset}": (size, preset) for size in sizes for preset in PRESETS}
        edits = {f"{sizes[0]} edit": (sizes[0], "balanced")} if "edit" in parts.models else {}
        self._cold = (*drawings, *edits)
        for name, (size, preset) in (drawings | edits).items():
            self._stage = f"warming up: {name}"
            order = Order("a small red boat", size=size, seed=1, manner=Manner(preset=preset))
            for _ in self._try_out(order, edits=name in edits):
                pass
            self._cold = tuple(cold for cold in self._cold if cold != name)
        self._stage = ""

    def _try_out(self, order: Order, *, edits: bool) -> Iterator[Drawn]:
        """Two steps of a picture, or of a change to a grey one."""
        size = scene.parse_size(order.size)
        assert size is not None
        made = scene.whole("edit", [Image.new("RGB", size, (128, 128, 128))], size) if edits else scene.blank(size)
        recipe = replace(self.settled(order, "edit" if edits else "draw"), steps=_WARM_STEPS)
        return self._draw(order, made, recipe, lambda: False)

    def _load(self) -> Parts:
        self._stage = "loading weights"
        parts = self._parts = self._open(self._options)
        if LIGHTNING not in self._files("draw"):
            log.warning("there is no LoRA named lightning: the preset fast draws with the plain model, in few steps")
        self._studio = Studio(parts, Brush(parts, self._settings.max_pixels), self._settings.batch)
        return parts

    @property
    def studio(self) -> Studio:
        """The drawing thread. There once the weights are."""
        assert self._studio is not None, "warm_up comes first"
        return self._studio

    @property
    def parts(self) -> Parts:
        """What was loaded. There once the weights are."""
        assert self._parts is not None, "warm_up comes first"
        return self._parts

    def generate(self, order: Order, stopped: Stopped) -> Iterator[Drawn]:
        """Pictures from a prompt. Raises `InvalidRequest` naming the field."""
        _check(order)
        if order.manner.region or order.manner.canvas:
            raise InvalidRequest("there is no picture yet to redraw or to continue", param="sampan")
        if order.manner.strength is not None:
            raise InvalidRequest("is for given pictures", param="strength")
        size = scene.parse_size(order.size) or (1024, 1024)
        yield from self._draw(order, scene.blank(size), self.settled(order, "draw"), stopped)

    def edit(self, order: Order, images: Sequence[bytes], mask: bytes | None, stopped: Stopped) -> Iterator[Drawn]:
        """Given pictures, changed: by instruction, in a hole, or continued."""
        _check(order)
        follows = "edit" in self.parts.models
        most = self._most()
        if len(images) > most:
            told = f"at most {most} pictures are looked at" if follows else "this model changes one picture at a time"
            raise InvalidRequest(told, param="image")
        opened = [pictures.open_picture(data, "image") for data in images]
        made = self._scene(order, opened, mask)
        recipe = self.settled(order, "edit" if follows else "draw")
        yield from self._draw(order, made if follows else replace(made, references=()), recipe, stopped)

    def vary(self, order: Order, image: bytes, stopped: Stopped) -> Iterator[Drawn]:
        """Other pictures of what the given one shows."""
        _check(order)
        opened = [pictures.open_picture(image, "image")]
        made = replace(scene.whole("vary", opened, scene.parse_size(order.size)), references=())
        recipe = replace(self.settled(order, "draw"), guidance=1.0)  # there is no prompt to follow
        yield from self._draw(order, made, recipe, stopped)

    def _most(self) -> int:
        model = self.parts.models.get("edit")
        return _PICTURES_MOST if model is not None and model.checkpoint.many else 1

    def _scene(self, order: Order, opened: Sequence[Image.Image], mask: bytes | None) -> Scene:
        manner, size = order.manner, scene.parse_size(order.size)
        named = [
            name for name, given in (("mask", mask), ("region", manner.region), ("canvas", manner.canvas)) if given
        ]
        if len(named) > 1:
            raise InvalidRequest(f"{' and '.join(named)} exclude one another", param=f"sampan.{named[-1]}")
        if mask is not None:
            return scene.redraw(opened, scene.hole_of(pictures.open_picture(mask, "mask"), opened[0].size), size)
        if manner.region is not None:
            return scene.redraw(opened, scene.hole_at(manner.region, opened[0].size), size)
        if manner.canvas is not None:
            if size is not None:
                raise InvalidRequest("follows from the picture and its margins: leave it out", param="size")
            return scene.outpaint(opened, manner.canvas)
        return scene.whole("edit" if "edit" in self.parts.models else "image_to_image", opened, size)

    def settled(self, order: Order, model: str = "draw") -> Recipe:
        """How an order will be drawn. Raises `InvalidRequest`."""
        recipe = settle(order.manner, self._settings.preset, self._files(model))
        plain = self._settings.compile or self._settings.runtime != "torch"
        return replace(recipe, cache=0.0) if plain else recipe  # the cache would break up what was compiled

    def _files(self, model: str) -> Mapping[str, str]:
        """The LoRA files that a model has, by the names it has them under."""
        files = self._settings.loras
        names = self.parts.models[model].loras
        return {name: files.get(f"{EDIT}{name}" if model == "edit" else name, files.get(name, "")) for name in names}

    def _draw(self, order: Order, made: Scene, recipe: Recipe, stopped: Stopped) -> Iterator[Drawn]:
        """Has `order.n` pictures drawn and yields them in the order of their seeds."""
        first = secrets.randbelow(_SEEDS) if order.seed is None else order.seed
        left = threading.Event()
        events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()
        shared: dict[str, Any] = {}
        tasks = [
            Task(
                prompt=order.prompt,
                scene=made,
                recipe=recipe,
                seed=first + number,
                partials=order.manner.partials,
                deliver=lambda event, number=number: events.put((number, event)),  # type: ignore[misc]
                left=lambda: left.is_set() or stopped(),
                shared=shared,
            )
            for number in range(order.n)
        ]
        self.studio.submit(tasks)
        try:
            yield from self._collect(order, tasks, events)
        finally:
            left.set()

    def _collect(
        self, order: Order, tasks: Sequence[Task], events: queue.SimpleQueue[tuple[int, Event]]
    ) -> Iterator[Drawn]:
        steps = [Step(0, 0)] * len(tasks)
        ready: dict[int, Made] = {}
        due = itertools.count()
        wanted = next(due)
        while wanted < len(tasks):
            number, event = events.get()
            match event:
                case Gone():
                    return
                case Failed(error=error):
                    raise _once(error)
                case Step():
                    steps[number] = event
                    yield Progress(sum(step.step for step in steps), event.steps * len(tasks))
                case Glimpse():
                    yield Preview(self._preview(order, tasks[number], event.image), event.index)
                case Done():
                    ready[number] = self._made(order, tasks[number], event.image)
                    while wanted in ready:
                        yield ready.pop(wanted)
                        wanted = next(due)

    def _preview(self, order: Order, task: Task, drawn: Image.Image) -> Made:
        image = scene.finish(task.scene, drawn).image
        data = pictures.write(image, Form(order.output_format, order.output_compression), None)
        return _made(order, task, image, data, None)

    def _made(self, order: Order, task: Task, drawn: Image.Image) -> Made:
        finished = scene.finish(task.scene, drawn)
        form = Form(order.output_format, order.output_compression)
        data, told = pictures.write_proven(task.scene, finished, form, self._provenance(task))
        return _made(order, task, finished.image, data, told)

    def _provenance(self, task: Task) -> dict[str, Any]:
        """How a picture was made, but for its prompt."""
        checkpoint, recipe = self.parts.models[task.model].checkpoint, task.recipe
        told: dict[str, Any] = {
            "engine": "qwen_image",
            "model": checkpoint.name,
            "operation": task.scene.operation,
            "seed": task.seed,
            "preset": recipe.preset,
            "steps": recipe.steps,
            "guidance": recipe.guidance,
            "loras": dict(recipe.loras),
        }
        if checkpoint.revision:
            told["revision"] = checkpoint.revision
        if recipe.strength is not None:
            told["strength"] = recipe.strength
        if self._settings.quantization != "none":
            told["quantization"] = self._settings.quantization
        return told


def _once(error: Exception) -> Exception:
    """An error for one caller alone: several may be told of the same one, and raising it writes into it."""
    if isinstance(error, CallError):
        return type(error)(error.message, param=error.param, retry_after=error.retry_after)
    raised = RuntimeError("drawing failed")
    raised.__cause__ = error
    return raised


def _made(order: Order, task: Task, image: Image.Image, data: bytes, told: Mapping[str, Any] | None) -> Made:
    clear = image.mode == "RGBA" and order.output_format != "jpeg"
    return Made(
        data,
        order.prompt,
        task.seed,
        *image.size,
        order.output_format,
        "transparent" if clear else "opaque",
        task.recipe.quality,
        told,
    )


def _check(order: Order) -> None:
    if order.background == "transparent":
        raise InvalidRequest("this model draws opaque pictures only; leave it out", param="background")


def _small(parts: Parts) -> str:
    """What is drawn to warm up where no size is configured; on a CPU the least there is."""
    return "1024x1024" if parts.accelerated else "64x64"


def _warm_sizes(options: Options) -> list[str]:
    for size in options.settings.sizes:
        if not re.fullmatch(r"[1-9]\d{1,4}x[1-9]\d{1,4}", size):
            raise ConfigError(f"sizes: {size!r} is no WIDTHxHEIGHT")
        try:
            scene.parse_size(size)
        except InvalidRequest as error:
            raise ConfigError(f"sizes: {size}: {error}") from None
    return list(options.settings.sizes)
