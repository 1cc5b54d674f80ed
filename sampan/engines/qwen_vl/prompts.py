"""From text and pictures to what the model reads: token ids, and pictures cut into patches.

A picture is scaled so that its sides are multiples of `unit` (a patch times the patches that the eye merges, 28 or 32
pixels) and its area lies within the model's bounds. Each unit is one token. The rule is Qwen's own `smart_resize`
(transformers, models/qwen2_vl/image_processing_qwen2_vl.py), made to hold for pictures that it refuses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.engines.qwen_vl.job import Prompt
from sampan.errors import InvalidRequest

PAD = "<|image_pad|>"
_SLIMMEST = 200  # longest side by shortest: the eye was never shown slimmer pictures, and Qwen's rule refuses them


@dataclass(frozen=True, slots=True)
class Patches:
    """How pictures are cut: from preprocessor_config.json. `fewest` and `most` bound the area, in pixels."""

    patch: int = 14
    merge: int = 2
    frames: int = 2
    fewest: int = 56 * 56
    most: int = 28 * 28 * 1280
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    scale: float = 1 / 255
    resample: int = 3  # PIL's bicubic

    @property
    def unit(self) -> int:
        """Pixels along the side of the square that becomes one token."""
        return self.patch * self.merge

    @property
    def eye(self) -> Mapping[str, Any]:
        """What `Runner` does with the bytes."""
        return {"mean": self.mean, "std": self.std, "scale": self.scale, "frames": self.frames}

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size, (width, height) in pixels, that a picture is looked at in."""
        width, height = max(width, math.ceil(height / _SLIMMEST)), max(height, math.ceil(width / _SLIMMEST))
        unit = self.unit
        wide, high = round(width / unit) * unit, round(height / unit) * unit
        if wide * high > self.most:
            shrink = math.sqrt(width * height / self.most)
            wide = max(unit, math.floor(width / shrink / unit) * unit)
            high = max(unit, math.floor(height / shrink / unit) * unit)
            # A slim picture, one side held at a unit, may still be too large.
            wide, high = min(wide, self._longest(high)), min(high, self._longest(wide))
        elif wide * high < self.fewest:
            grow = math.sqrt(self.fewest / (width * height))
            wide, high = math.ceil(width * grow / unit) * unit, math.ceil(height * grow / unit) * unit
        return wide, high

    def _longest(self, other: int) -> int:
        return max(self.unit, self.most // other // self.unit * self.unit)

    def cut(self, picture: Any) -> tuple[Any, Any]:
        """A PIL picture as patches, uint8 [patches, 3 * patch * patch], and its grid [3]: 1, rows and columns.

        The order is the one that the eye merges by: block of `merge` by `merge`, then patch, colour, row and column.
        """
        import numpy as np
        import torch

        picture = picture.convert("RGB")
        size = self.size(*picture.size)
        if size != picture.size:
            picture = picture.resize(size, self.resample)
        rows, columns, merge, patch = size[1] // self.patch, size[0] // self.patch, self.merge, self.patch
        pixels = torch.from_numpy(np.array(picture, dtype=np.uint8))
        cut = pixels.view(rows // merge, merge, patch, columns // merge, merge, patch, 3)
        patches = cut.permute(0, 3, 1, 4, 6, 2, 5).reshape(rows * columns, 3 * patch * patch)
        return patches, torch.tensor([1, rows, columns])

    def tokens(self, width: int, height: int) -> int:
        """Tokens that a picture of this size costs."""
        wide, high = self.size(width, height)
        return (wide // self.unit) * (high // self.unit)


class Reader:
    """Reads conversations. `tokenizer` is a `tokenizers.Tokenizer`; used by any number of threads."""

    def __init__(self, tokenizer: Any, patches: Patches, context: int) -> None:
        self._tokenizer = tokenizer
        self._patches = patches
        self._context = context
        self._pad = tokenizer.token_to_id(PAD)

    def read(self, text: str, pictures: Sequence[Any]) -> Prompt:
        """`Model.read`. The length is checked before a picture is touched: that is where the work is."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if ids.count(self._pad) != len(pictures):
            raise InvalidRequest(
                f"the conversation has {len(pictures)} pictures and {ids.count(self._pad)} places for them; "
                f"{PAD} must not be written in a text"
            )
        if not ids:
            raise InvalidRequest("the conversation is empty")
        costs = [self._patches.tokens(*picture.size) for picture in pictures]
        total = len(ids) + sum(costs) - len(costs)
        if total >= self._context:
            of_pictures = f", {sum(costs)} of them of {len(costs)} pictures" if costs else ""
            raise InvalidRequest(
                f"the prompt is too long: {total} tokens{of_pictures}; "
                f"this model has room for {self._context} tokens, prompt and answer together"
            )
        if not pictures:
            return Prompt(ids)
        return self._with_pictures(ids, costs, pictures)

    def _with_pictures(self, ids: Sequence[int], costs: Sequence[int], pictures: Sequence[Any]) -> Prompt:
        import torch

        left = iter(costs)
        tokens = [each for token in ids for each in ([token] * next(left) if token == self._pad else [token])]
        cut = [self._patches.cut(picture) for picture in pictures]
        return Prompt(tokens, torch.cat([patches for patches, _ in cut]), torch.stack([grid for _, grid in cut]))

    def write(self, tokens: Sequence[int]) -> str:
        """`Model.write`."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text


def read_patches(processor: Any, max_pixels: int) -> Patches:
    """What the library made of preprocessor_config.json, with our own bound on the area (0: the model's)."""
    size = processor.size
    fewest, most = int(size["shortest_edge"]), int(size["longest_edge"])
    if max_pixels:
        most = min(most, max(max_pixels, (processor.patch_size * processor.merge_size) ** 2))
    return Patches(
        patch=processor.patch_size,
        merge=processor.merge_size,
        frames=processor.temporal_patch_size,
        fewest=min(fewest, most),
        most=most,
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
        scale=float(processor.rescale_factor),
        resample=int(processor.resample),
    )
