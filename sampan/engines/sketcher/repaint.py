"""Pixels where a picture has none: holes filled from around them, and canvases continued past their edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Mask = NDArray[np.bool_]


def fill(image: Image.Image, hole: Mask) -> Image.Image:
    """The picture with a hole filled smoothly from its rim, by averaging down a pyramid and back up (push-pull)."""
    values = np.asarray(image.convert("RGB"), dtype=np.float32)
    known = (~hole).astype(np.float32)[..., None]
    filled = _pull(values * known, known)
    out = np.where(hole[..., None], filled, values)
    result = Image.fromarray(np.clip(out + 0.5, 0, 255).astype(np.uint8), "RGB")
    if image.mode == "RGBA":
        result = result.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        rim = int(np.median(alpha[~hole])) if (~hole).any() else 0
        result.putalpha(Image.fromarray(np.where(hole, np.uint8(rim), alpha).astype(np.uint8), "L"))
    return result


def _pull(weighted: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours times weight in, colours everywhere out."""
    height, width = weight.shape[:2]
    plain = (weighted / np.maximum(weight, 1e-4)).astype(np.float32)
    if min(height, width) <= 2 or float(weight.min()) > 0.999:
        if float(weight.max()) > 0:
            mean = weighted.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-4)
            return np.where(weight > 1e-3, plain, mean).astype(np.float32)
        return plain
    even = (height + height % 2, width + width % 2)
    pads = ((0, even[0] - height), (0, even[1] - width), (0, 0))
    colours, weights = np.pad(weighted, pads, mode="edge"), np.pad(weight, pads, mode="edge")
    half = [part.reshape(even[0] // 2, 2, even[1] // 2, 2, -1).sum(axis=(1, 3)) for part in (colours, weights)]
    scale = np.maximum(half[1], 1.0)
    coarse = _pull((half[0] / scale).astype(np.float32), np.minimum(half[1] / scale, 1.0).astype(np.float32))
    up = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    soft = (up + np.roll(up, 1, 0) + np.roll(up, -1, 0) + np.roll(up, 1, 1) + np.roll(up, -1, 1)) / 5
    share = np.minimum(weight, 1.0)
    return (plain * share + soft * (1.0 - share)).astype(np.float32)


def extend(image: Image.Image, width: int, height: int, x: int, y: int) -> Image.Image:
    """The picture at (x, y) of a larger canvas. Its edge is continued outward and softened the further it goes."""
    values = np.asarray(image)
    pads = ((y, height - y - image.height), (x, width - x - image.width), (0, 0))
    wide = Image.fromarray(np.pad(values, pads, mode="edge"), image.mode)
    soft = wide.filter(ImageFilter.GaussianBlur(min(width, height) / 90))
    soft.paste(image, (x, y))
    return soft


def frame_in(hole: Mask) -> tuple[int, int, int, int]:
    """The largest box about the hole's middle, of the proportions of its outline, that lies inside it: x, y,
    width, height."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    points = np.argwhere(hole)
    middle_y, middle_x = points.mean(axis=0)
    for percent in range(100, 25, -5):
        w, h = (right - left) * percent / 100, (bottom - top) * percent / 100
        x = min(max(middle_x - w / 2, left), right - w)
        y = min(max(middle_y - h / 2, top), bottom - h)
        if hole[int(y) : int(y + h), int(x) : int(x + w)].mean() > 0.97:
            return int(x), int(y), max(1, int(w)), max(1, int(h))
    return left, top, right - left, bottom - top
