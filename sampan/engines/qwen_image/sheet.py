"""One picture in the making, and the steps that bring it on. Tensors live here.

A **sheet** begins as noise, alone or over a given picture, and loses a little of it with each step until none is left.
Sheets are independent of one another: each knows its own levels, so that any that are alike in size can go through the
transformer together, whichever steps they are at. What is computed is what diffusers 0.42 computes in its QwenImage
pipelines (a test compares them); it is taken apart here so that calls can join, leave and be looked at at every step.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from sampan.engines.qwen_image.loading import Model, Parts
from sampan.engines.qwen_image.recipe import Recipe, sigmas
from sampan.engines.qwen_image.scene import GRID, Scene
from sampan.errors import InternalError, InvalidRequest

_READ = 1024  # tokens of a prompt that the models take in; the pipelines would drop the rest without a word
_KEPT = 16  # prompts whose reading is kept: the empty one is needed again and again
_GLANCE = 384 * 384  # pixels at which the text encoder sees a picture (as Qwen-Image-Edit-2509 was trained)
_STUDY = 1024 * 1024  # pixels at which the transformer does
_TILED = 2048 * 2048  # pixels from which on the VAE works in tiles

Event: TypeAlias = "Step | Glimpse | Done | Failed | Gone"


@dataclass(frozen=True, slots=True)
class Task:
    """A picture that is wanted. `deliver` is called in the drawing thread; once `left` says so, nobody waits any more.

    `shared` is what the pictures of one call have in common, found by the first of them: the drawing thread's alone.
    """

    prompt: str
    scene: Scene
    recipe: Recipe
    seed: int
    partials: int
    deliver: Callable[[Event], None]
    left: Callable[[], bool]
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Which model draws it."""
        return "edit" if self.scene.references else "draw"

    @property
    def tokens(self) -> int:
        """About how much goes through the transformer at each step."""
        return self.scene.tokens + len(self.scene.references) * _STUDY // GRID**2


@dataclass(frozen=True, slots=True)
class Step:
    """So many steps are done."""

    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What the picture will be like, from the latents as they are."""

    image: Image.Image
    index: int


@dataclass(frozen=True, slots=True)
class Done:
    """The picture as the model drew it."""

    image: Image.Image


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be none."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Gone:
    """Nobody waited any more."""


class Sheet:
    """A task at work. `step` counts from the first that is done, which with a `strength` is not the first level."""

    def __init__(self, task: Task, model: Model, number: int) -> None:
        self.task = task
        self.model = model
        self.number = number
        self.turn = 0  # when it last had one
        self.levels = sigmas(task.recipe, task.scene.tokens, model.scheduler)
        self.first = _begin(task)
        self.step = self.first
        self.shapes: list[tuple[int, int, int]] = []
        self.latents: Any = None
        self.noise: Any = None
        self.source: Any = None  # the given picture's latents, where only a hole may change
        self.open: Any = None
        self.references: Any = None
        self.prompt: Any = None
        self.negative: Any = None
        self.guess: Any = None  # what the picture would be if no noise were left

    @property
    def steps(self) -> int:
        return self.task.recipe.steps

    @property
    def finished(self) -> bool:
        return self.step >= self.steps

    @property
    def guided(self) -> bool:
        """Whether the next step follows the guidance."""
        return self.task.recipe.guides(self.step)

    @property
    def kind(self) -> tuple[object, ...]:
        """Sheets of one kind can go through the transformer together."""
        alone = self.number if self.task.recipe.cache else None
        return id(self.model.transformer), tuple(self.shapes), self.task.recipe.loras, alone

    @property
    def glimpse(self) -> int | None:
        """The number of the preview that is due after the step just done, None where there is none."""
        count, done, all_ = self.task.partials, self.step - self.first, self.steps - self.first
        for index in range(count):
            if done == round((index + 1) * all_ / (count + 1)) and 0 < done < all_:
                return index
        return None


def _begin(task: Task) -> int:
    """The step that a picture begins at: later, the less of a given one may change."""
    scene, recipe = task.scene, task.recipe
    if scene.start is None:
        return 0
    usual = {"image_to_image": 0.6, "vary": 0.75}.get(scene.operation, 1.0)
    strength = recipe.strength if recipe.strength is not None else usual
    return min(recipe.steps - 1, int(max(recipe.steps - recipe.steps * strength, 0)))


class Brush:
    """Does the tensor work for sheets. For the drawing thread alone."""

    def __init__(self, parts: Parts, most_pixels: int) -> None:
        self._parts = parts
        self._vae = parts.vae
        self._most_pixels = most_pixels
        self._readings: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._worn: dict[int, tuple[tuple[str, float], ...]] = {}
        self._caching: dict[int, float] = {}  # transformers with the cache on, and its threshold
        self.careful = False  # after memory ran out: the VAE works in tiles whatever the size
        self._factor = 2 ** len(parts.vae.temperal_downsample)
        self._processor = parts.models["draw"].pipe.image_processor

    # -- before the first step

    def prepare(self, sheet: Sheet) -> None:
        """Reads the prompt and lays the first latents. Raises `InvalidRequest` for a prompt that is too long."""
        task, model, pipe = sheet.task, sheet.model, sheet.model.pipe
        scene = task.scene
        sheet.prompt = self._read(model, task, "prompt")
        if task.recipe.guidance > 1:
            sheet.negative = self._read(model, task, "negative_prompt")
        from diffusers.utils.torch_utils import randn_tensor
        from torch import Generator

        width, height = (side // self._factor for side in scene.drawn)
        channels = model.transformer.config.in_channels // 4
        dtype, device = sheet.prompt.dtype, self._parts.device
        chance = Generator("cpu").manual_seed(task.seed)  # on the CPU, so that every device draws the same
        noise = randn_tensor((1, 1, channels, height, width), generator=chance, device=device, dtype=dtype)
        sheet.noise = pipe._pack_latents(noise, 1, channels, height, width)
        sheet.latents = sheet.noise
        sheet.shapes = [(1, height // 2, width // 2)]
        if scene.start is not None and (sheet.first > 0 or scene.open is not None):
            sheet.source = self._laid(task, "start", pipe, scene.start, dtype, scene.drawn)
            level = sheet.levels[sheet.first]
            sheet.latents = level * sheet.noise + (1 - level) * sheet.source
        if scene.open is not None:
            sheet.open = self._mask(scene.open, channels, dtype)
        if task.model == "edit":
            self._study(sheet, dtype)

    def _study(self, sheet: Sheet, dtype: Any) -> None:
        """Lays the given pictures beside the latents: the transformer looks at them at every step."""
        import torch

        laid = []
        for number, image in enumerate(sheet.task.scene.references):
            size = fitted(image.size, min(_STUDY, self._most_pixels or _STUDY))
            laid.append(self._laid(sheet.task, f"reference {number}", sheet.model.pipe, image, dtype, size))
            sheet.shapes.append((1, size[1] // self._factor // 2, size[0] // self._factor // 2))
        sheet.references = torch.cat(laid, dim=1)

    def _read(self, model: Model, task: Task, field: str) -> Any:
        """What the prompt means to the transformer: [1, tokens, features]. With pictures, what they mean together."""
        images = task.scene.references
        prompt = task.prompt or " " if field == "prompt" else task.recipe.negative_prompt
        found = task.shared.get(field, self._readings.get((model.name, prompt)) if not images else None)
        if found is not None:
            return found
        _measure(model.pipe, prompt, field)
        self._parts.residence.want(model.pipe.text_encoder)
        given: dict[str, Any] = {}
        if images:
            area = _GLANCE if model.checkpoint.many else _STUDY
            area = min(area, self._most_pixels or area)
            seen = [image.resize(fitted(image.size, area), Image.Resampling.LANCZOS) for image in images]
            given["image"] = seen if model.checkpoint.many else seen[0]
        embeds = model.pipe.encode_prompt(prompt=prompt, device=self._parts.device, max_sequence_length=_READ, **given)
        task.shared[field] = found = embeds[0].to(self._parts.dtype)
        if not images:
            self._readings[model.name, prompt] = found
            if len(self._readings) > _KEPT:
                self._readings.popitem(last=False)
        return found

    def _laid(self, task: Task, what: str, pipe: Any, image: Image.Image, dtype: Any, size: tuple[int, int]) -> Any:
        """A given picture as packed latents, [1, tokens, channels]."""
        if what not in task.shared:
            latents = self._encode(image, dtype, size)
            _, channels, _, height, width = latents.shape
            task.shared[what] = pipe._pack_latents(latents, 1, channels, height, width)
        return task.shared[what]

    def _encode(self, image: Image.Image, dtype: Any, size: tuple[int, int]) -> Any:
        """A picture as latents, [1, channels, 1, height, width], the likeliest ones."""
        import torch

        width, height = size
        pixels = self._processor.preprocess(image, height, width).unsqueeze(2)
        self._parts.residence.want(self._vae)
        self._tile(width * height)
        latents = self._vae.encode(pixels.to(self._parts.device, dtype)).latent_dist.mode()
        mean, std = (
            torch.tensor(self._vae.config[name]).view(1, -1, 1, 1, 1).to(latents.device, latents.dtype)
            for name in ("latents_mean", "latents_std")
        )
        return (latents - mean) / std

    def _mask(self, open_: Any, channels: int, dtype: Any) -> Any:
        """Where latents may change: wherever one pixel of theirs may."""
        import torch

        height, width = (side // self._factor for side in open_.shape)
        touched = open_.reshape(height, self._factor, width, self._factor).any(axis=(1, 3))
        mask = torch.from_numpy(touched.astype(np.float32)).expand(1, channels, height, width)
        return self._parts.models["draw"].pipe._pack_latents(
            mask.contiguous().to(self._parts.device, dtype), 1, channels, height, width
        )

    # -- a step

    def advance(self, sheets: Sequence[Sheet]) -> None:
        """One step of sheets of one kind. Nothing of them changes before all of it is computed."""
        model = sheets[0].model
        self._parts.residence.want(model.transformer)
        self._wear(model, sheets[0].task.recipe.loras)
        predicted = self._predict(model, sheets, "prompt")
        guided = [place for place, sheet in enumerate(sheets) if sheet.guided]
        if guided:
            against = self._predict(model, [sheets[place] for place in guided], "negative")
            for row, place in enumerate(guided):
                scale = sheets[place].task.recipe.guidance
                predicted[place] = _guided(predicted[place], against[row], scale)
        for sheet, one in zip(sheets, predicted, strict=True):
            _apply(sheet, one.unsqueeze(0))

    def _predict(self, model: Model, sheets: Sequence[Sheet], which: str) -> Any:
        import torch

        embeds, mask = _stacked([getattr(sheet, which) for sheet in sheets])
        latents = torch.cat([sheet.latents for sheet in sheets])
        seen = latents
        if sheets[0].references is not None:
            seen = torch.cat([latents, torch.cat([sheet.references for sheet in sheets])], dim=1)
        times = torch.tensor([sheet.levels[sheet.step] * 1000 for sheet in sheets], device=latents.device)
        with self._noted(model, sheets, which):
            out = model.transformer(
                hidden_states=seen,
                timestep=times.to(latents.dtype) / 1000,
                guidance=None,
                encoder_hidden_states_mask=mask,
                encoder_hidden_states=embeds,
                img_shapes=[sheets[0].shapes] * len(sheets),
                attention_kwargs={},
                return_dict=False,
            )[0]
        return out[:, : latents.size(1)]

    def _noted(self, model: Model, sheets: Sequence[Sheet], which: str) -> AbstractContextManager[None]:
        """Under which name the first-block cache keeps what it saw; a sheet without it leaves nothing behind."""
        if not hasattr(model.transformer, "cache_context"):
            return nullcontext()
        context: AbstractContextManager[None] = model.transformer.cache_context(f"{sheets[0].number} {which}")
        return context

    def cache(self, sheets: Sequence[Sheet]) -> None:
        """Has the first-block cache on while a sheet at work wants it, and off otherwise."""
        wanted = {id(sheet.model.transformer): sheet.task.recipe.cache for sheet in sheets if sheet.task.recipe.cache}
        for model in self._parts.models.values():
            key, transformer = id(model.transformer), model.transformer
            threshold = wanted.get(key, 0.0)
            if self._caching.get(key, 0.0) == threshold:
                continue
            if self._caching.pop(key, 0.0):
                transformer.disable_cache()
            if threshold:
                from diffusers import FirstBlockCacheConfig

                transformer.enable_cache(FirstBlockCacheConfig(threshold=threshold))
                self._caching[key] = threshold

    def forget(self, sheet: Sheet) -> None:
        """Drops what the cache knows of the steps so far, so that no other picture is drawn from it."""
        if id(sheet.model.transformer) in self._caching:
            sheet.model.transformer._reset_stateful_cache()

    def _wear(self, model: Model, loras: tuple[tuple[str, float], ...]) -> None:
        key = id(model.transformer)
        loras = tuple((name, weight) for name, weight in loras if name in model.loras)
        if self._worn.get(key, ()) == loras:
            return
        if loras:
            model.transformer.enable_lora()
            model.transformer.set_adapters([name for name, _ in loras], [weight for _, weight in loras])
        else:
            model.transformer.disable_lora()
        self._worn[key] = loras

    # -- after it

    def develop(self, sheet: Sheet, latents: Any) -> Image.Image:
        """Latents as a picture, at the size that is drawn. Raises `InternalError` for numbers that overflowed."""
        import torch

        if not torch.isfinite(latents).all():
            raise InternalError("the picture's numbers overflowed; another seed may help, or a finer quantization")
        width, height = sheet.task.scene.drawn
        unpacked = sheet.model.pipe._unpack_latents(latents, height, width, self._factor).to(self._vae.dtype)
        mean, std = (
            torch.tensor(self._vae.config[name]).view(1, -1, 1, 1, 1).to(unpacked.device, unpacked.dtype)
            for name in ("latents_mean", "latents_std")
        )
        self._parts.residence.want(self._vae)
        self._tile(width * height)
        pixels = self._vae.decode(unpacked / (1.0 / std) + mean, return_dict=False)[0][:, :, 0]
        image: Image.Image = self._processor.postprocess(pixels, output_type="pil")[0]
        return image

    def _tile(self, pixels: int) -> None:
        if pixels > _TILED or self.careful:
            self._vae.enable_tiling()
        else:
            self._vae.disable_tiling()

    def tidy(self) -> None:
        """Gives memory back that PyTorch keeps for later, and the prompts that were read."""
        import torch

        self._readings.clear()
        if self._parts.accelerated:
            torch.cuda.empty_cache()


def fitted(size: tuple[int, int], area: int) -> tuple[int, int]:
    """The size of this shape that covers `area` pixels, in multiples of 32, as Qwen-Image-Edit was trained."""
    ratio = size[0] / size[1]
    width = math.sqrt(area * ratio)
    return max(32, round(width / 32) * 32), max(32, round(width / ratio / 32) * 32)


def _measure(pipe: Any, prompt: str, field: str) -> None:
    text = pipe.prompt_template_encode.format(prompt)
    tokens = len(pipe.tokenizer(text).input_ids) - pipe.prompt_template_encode_start_idx
    if tokens > _READ:
        raise InvalidRequest(f"comes to {tokens} tokens; this model reads at most {_READ}", param=field)


def _stacked(embeds: Sequence[Any]) -> tuple[Any, Any]:
    """Readings of different length, padded to the longest, and which tokens are real (None: all of them)."""
    import torch

    if len(embeds) == 1:
        return embeds[0], None
    lengths = [one.shape[1] for one in embeds]
    if len(set(lengths)) == 1:
        return torch.cat(list(embeds)), None
    most = max(lengths)
    padded = [torch.nn.functional.pad(one, (0, 0, 0, most - one.shape[1])) for one in embeds]
    real = torch.arange(most)[None] < torch.tensor(lengths)[:, None]
    return torch.cat(padded), real.to(torch.long).to(embeds[0].device)


def _guided(with_prompt: Any, without: Any, scale: float) -> Any:
    """Classifier-free guidance, brought back to the length of the prediction that has the prompt (Qwen-Image's way)."""
    mixed = without + scale * (with_prompt - without)
    return mixed * (with_prompt.norm(dim=-1, keepdim=True) / mixed.norm(dim=-1, keepdim=True))


def _apply(sheet: Sheet, predicted: Any) -> None:
    """One Euler step of the flow; where only a hole may change, the rest is put back at the next level of noise."""
    level, after = sheet.levels[sheet.step], sheet.levels[sheet.step + 1]
    dtype = predicted.dtype
    before, flow = sheet.latents.float(), predicted.float()
    latents = (before + (after - level) * flow).to(dtype)
    guess = (before - level * flow).to(dtype)
    if sheet.open is not None:
        kept = after * sheet.noise + (1 - after) * sheet.source
        latents = (1 - sheet.open) * kept + sheet.open * latents
        guess = (1 - sheet.open) * sheet.source + sheet.open * guess
    sheet.latents, sheet.guess = latents, guess
    sheet.step += 1
