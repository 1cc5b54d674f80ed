"""What is to be drawn and where it goes: sizes, holes, windows, and what was drawn put in its place. No model in here.

A **scene** is one call's picture before it is drawn. The model draws at multiples of `GRID` pixels and up to a certain
area; the scene says which part of that is the picture (`content`), which part of the finished picture it fills
(`window`), and, where only a **hole** in a given picture may change, what lies around it (`base`). Outside the hole
the finished picture is the given one, pixel for pixel; inside it fades in from the hole's edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sampan.engines.contract import Margins
from sampan.errors import InvalidRequest

GRID = 16  # pixels: the VAE takes 8 to a side for one latent, the transformer 2 latents for one token
SIDE_LEAST, SIDE_MOST = 64, 3840
AREA_MOST = 3840 * 2160
RATIO_MOST = 3
_DRAWN_MOST = 2048 * 2048  # pixels that the model draws at once; beyond that, a picture is drawn smaller and scaled up
_NATIVE = 1328 * 1328  # pixels up to which Qwen-Image was trained
_CONTEXT = 128  # pixels around a hole that the model sees, at least
_FEATHER = 12  # pixels over which what was drawn fades in

Mask: TypeAlias = NDArray[np.bool_]
Pixels: TypeAlias = NDArray[np.uint8]
Size: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, width, height."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """`operation` is generate, image_to_image, edit, redraw, outpaint or vary. `drawn` and `content` are the model's
    pixels, `size` and `window` the finished picture's. `start` is what the model sees first, at the size `drawn`,
    `open` where it may change that (None: everywhere), both None where it begins with noise alone."""

    operation: str
    size: Size
    drawn: Size
    content: Box
    window: Box
    references: tuple[Image.Image, ...] = ()
    start: Image.Image | None = None
    open: Mask | None = None
    base: Pixels | None = None
    hole: Mask | None = None

    @property
    def tokens(self) -> int:
        """The area that is drawn, in the transformer's tokens."""
        return self.drawn[0] * self.drawn[1] // GRID**2


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture, and whether what lies outside the hole is the given one; None where there was no hole."""

    image: Image.Image
    kept: bool | None = None


def parse_size(size: str) -> Size | None:
    """(width, height), None for `auto`. Raises `InvalidRequest`."""
    if size == "auto":
        return None
    width, height = (int(side) for side in size.split("x"))
    if min(width, height) < SIDE_LEAST or max(width, height) > SIDE_MOST or width * height > AREA_MOST:
        raise InvalidRequest(
            f"each side must be from {SIDE_LEAST} to {SIDE_MOST} pixels, and together at most 3840x2160", param="size"
        )
    if max(width, height) > RATIO_MOST * min(width, height):
        raise InvalidRequest(f"must not be longer than {RATIO_MOST}:1", param="size")
    return width, height


def blank(size: Size) -> Scene:
    """A picture from nothing."""
    drawn, content = _canvas(size, _DRAWN_MOST)
    left, top = (drawn[0] - content[0]) // 2, (drawn[1] - content[1]) // 2
    return Scene("generate", size, drawn, (left, top, *content), (0, 0, *size))


def whole(operation: str, images: Sequence[Image.Image], size: Size | None) -> Scene:
    """All of a given picture may change. `size` None keeps its shape, at a size that the model draws well."""
    first = images[0]
    size = size or _native(first.size)
    drawn, content = _canvas(size, _DRAWN_MOST)
    start = _padded(np.asarray(_flat(_covered(first, size).resize(content, Image.Resampling.LANCZOS))), drawn)
    return Scene(
        operation,
        size,
        drawn,
        (0, 0, *content),
        (0, 0, *size),
        references=tuple(_flat(image) for image in images),
        start=Image.fromarray(start),
    )


def redraw(images: Sequence[Image.Image], hole: Mask, size: Size | None) -> Scene:
    """A hole in the first picture is drawn anew. Another `size` scales and crops the picture and the hole first."""
    first = images[0]
    if size is not None and size != first.size:
        first = _covered(first, size)
        hole = np.asarray(_covered(Image.fromarray(hole.astype(np.uint8) * 255), size, Image.Resampling.BOX)) > 0
    return _hollow("redraw", np.asarray(first), hole, tuple(_flat(image) for image in images))


def outpaint(images: Sequence[Image.Image], margins: Margins) -> Scene:
    """The first picture on a larger canvas, the margins drawn. Raises `InvalidRequest` for a canvas too large."""
    first = images[0]
    if not any((margins.left, margins.top, margins.right, margins.bottom)):
        raise InvalidRequest("at least one of left, top, right and bottom must be more than 0", param="sampan.canvas")
    width = margins.left + first.width + margins.right
    height = margins.top + first.height + margins.bottom
    if width > SIDE_MOST or height > SIDE_MOST or width * height > AREA_MOST:
        raise InvalidRequest(
            f"the picture would be {width}x{height}; at most {SIDE_MOST} a side and 3840x2160 together",
            param="sampan.canvas",
        )
    pad = ((margins.top, margins.bottom), (margins.left, margins.right), (0, 0))
    hole = np.ones((height, width), dtype=np.bool_)
    hole[margins.top : margins.top + first.height, margins.left : margins.left + first.width] = False
    return _hollow("outpaint", np.pad(np.asarray(first), pad, mode="edge"), hole, (_flat(first), *images[1:]))


def _hollow(operation: str, base: Pixels, hole: Mask, references: tuple[Image.Image, ...]) -> Scene:
    height, width = hole.shape
    window = _window(hole) if width * height > _NATIVE else (0, 0, width, height)
    x, y, w, h = window
    drawn, content = _canvas((w, h), _NATIVE)
    seen = Image.fromarray(base[y : y + h, x : x + w])
    open_ = Image.fromarray(hole[y : y + h, x : x + w].astype(np.uint8) * 255)
    if content != (w, h):
        seen = seen.resize(content, Image.Resampling.LANCZOS)
        open_ = open_.resize(content, Image.Resampling.BOX)
    return Scene(
        operation,
        (width, height),
        drawn,
        (0, 0, *content),
        window,
        references=references,
        start=Image.fromarray(_padded(np.asarray(_flat(seen)), drawn)),
        open=_padded(np.asarray(open_), drawn) > 0,
        base=base,
        hole=hole,
    )


def _window(hole: Mask) -> Box:
    """What is shown of a large picture: the hole and half as much around it."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    wide, high = max(_CONTEXT, (right - left) // 2), max(_CONTEXT, (bottom - top) // 2)
    left, top = max(0, left - wide), max(0, top - high)
    return left, top, min(hole.shape[1], right + wide) - left, min(hole.shape[0], bottom + high) - top


def _canvas(size: Size, most: int) -> tuple[Size, Size]:
    """What the model draws for a picture of `size`, and how much of that is the picture."""
    scale = min(1.0, math.sqrt(most / (size[0] * size[1])))
    width, height = (max(1, round(side * scale)) for side in size)
    return (-(-width // GRID) * GRID, -(-height // GRID) * GRID), (width, height)


def _native(size: Size) -> Size:
    width, height = size
    if max(width, height) > RATIO_MOST * min(width, height) or min(width, height) < GRID:
        raise InvalidRequest(
            f"a picture of {width}x{height} is not edited: at least {GRID} pixels a side, and no longer than 3:1",
            param="image",
        )
    scale = min(1.0, math.sqrt(_NATIVE / (width * height)))
    return round(width * scale), round(height * scale)


def _covered(image: Image.Image, size: Size, how: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    """The picture scaled to cover `size`, and what hangs over cut off on both sides alike."""
    if image.size == size:
        return image
    scale = max(size[0] / image.width, size[1] / image.height)
    width, height = size[0] / scale, size[1] / scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return image.resize(size, how, box=(left, top, left + width, top + height))


def _padded(values: Pixels, size: Size) -> Pixels:
    """Grown to the right and down by its own edge."""
    right, down = size[0] - values.shape[1], size[1] - values.shape[0]
    return np.pad(values, [(0, down), (0, right)] + [(0, 0)] * (values.ndim - 2), mode="edge")


def _flat(image: Image.Image) -> Image.Image:
    """Without alpha, on white: what a model can look at."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGB", image.size, (255, 255, 255))
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def hole_of(mask: Image.Image, size: Size) -> Mask:
    """Where a mask's alpha is 0. Raises `InvalidRequest` for another size, no alpha at all, or nothing that is open."""
    if mask.size != size:
        raise InvalidRequest(
            f"is {mask.width}x{mask.height}, the picture {size[0]}x{size[1]}: they must be alike", param="mask"
        )
    if mask.mode != "RGBA":
        raise InvalidRequest("needs an alpha channel: where it is 0, the picture is drawn anew", param="mask")
    hole: Mask = np.asarray(mask.getchannel("A")) == 0
    if not hole.any():
        raise InvalidRequest("nothing in it is transparent, so there is nothing to draw", param="mask")
    return hole


def hole_at(region: Box, size: Size) -> Mask:
    """A rectangle of a picture. Raises `InvalidRequest` for one that is not within it."""
    x, y, width, height = region
    if width < 1 or height < 1 or x + width > size[0] or y + height > size[1]:
        raise InvalidRequest(
            f"[x, y, width, height] must lie within the picture, which is {size[0]}x{size[1]}", param="sampan.region"
        )
    hole = np.zeros((size[1], size[0]), dtype=np.bool_)
    hole[y : y + height, x : x + width] = True
    return hole


def finish(scene: Scene, drawn: Image.Image) -> Finished:
    """What the model drew, as the picture that was asked for. Whether the rest was kept is looked at, not assumed."""
    left, top, width, height = scene.content
    patch = drawn.convert("RGB").crop((left, top, left + width, top + height))
    x, y, w, h = scene.window
    if patch.size != (w, h):
        patch = patch.resize((w, h), Image.Resampling.LANCZOS)
    if scene.base is None or scene.hole is None:
        return Finished(patch)
    inside = np.s_[y : y + h, x : x + w]
    result = scene.base.copy()
    result[inside] = _blended(scene.base[inside], np.asarray(patch), scene.hole[inside], _weights(scene.hole)[inside])
    return Finished(Image.fromarray(result), kept_outside(scene, result))


def kept_outside(scene: Scene, result: Pixels) -> bool:
    """Whether every pixel outside the hole is the given one."""
    assert scene.base is not None and scene.hole is not None
    if result.shape != scene.base.shape:
        return False
    return bool(np.array_equal(result[~scene.hole], scene.base[~scene.hole]))


def _blended(base: Pixels, patch: Pixels, hole: Mask, weights: NDArray[np.float32]) -> Pixels:
    if base.shape[2] == 4:
        patch = np.dstack([patch, np.full(patch.shape[:2], 255, np.uint8)])
    share = weights[..., None]
    mixed = np.clip(base * (1 - share) + patch * share + 0.5, 0, 255).astype(np.uint8)
    result: Pixels = np.where(hole[..., None], mixed, base)
    return result


def _weights(hole: Mask) -> NDArray[np.float32]:
    """How much of what was drawn shows: 0 outside the hole, from its edge inwards up to 1. In a thin hole it rises
    faster, so that its middle is all new; the picture's own border is no edge."""
    import cv2

    if hole.all():
        return np.ones(hole.shape, np.float32)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    reach = max(1.0, min(_FEATHER, float(depth.max()) / 2))
    weights: NDArray[np.float32] = np.minimum(depth / reach, 1).astype(np.float32)
    return weights
