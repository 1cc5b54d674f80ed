"""What happens to a page before a reader sees it: turned, skewed, or photographed on a desk."""

from io import BytesIO
from random import Random
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Damage = Literal["clean", "turned90", "turned180", "turned270", "skewed", "photographed"]

Pixels = npt.NDArray[np.uint8]


def damaged(image: Image.Image, damage: str, seed: int) -> bytes:
    """The page as PNG or, when photographed, JPEG bytes; the same seed gives the same picture."""
    rng = Random(f"{damage}-{seed}")
    if damage.startswith("turned"):
        turn = {"90": Image.Transpose.ROTATE_90, "180": Image.Transpose.ROTATE_180, "270": Image.Transpose.ROTATE_270}
        return _png(image.transpose(turn[damage.removeprefix("turned")]))
    if damage == "skewed":
        angle = rng.choice((-1, 1)) * rng.uniform(1.5, 4.0)
        return _png(image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=(250, 250, 250)))
    if damage == "photographed":
        return _photograph(image, rng)
    if damage == "clean":
        return _png(image)
    raise ValueError(f"unknown damage {damage!r}")


def _png(image: Image.Image) -> bytes:
    sink = BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def _photograph(image: Image.Image, rng: Random) -> bytes:
    width, height = image.size
    margin_x, margin_y = int(width * 0.10), int(height * 0.10)
    outer = (width + 2 * margin_x, height + 2 * margin_y)
    desk = _desk(outer, rng)
    paper: Pixels = np.asarray(image)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    reach = 0.035 * min(width, height)
    shifts = [[rng.uniform(-reach, reach) for _ in range(2)] for _ in range(4)]
    target = corners + np.array([margin_x, margin_y], np.float32) + np.array(shifts, np.float32)
    warp = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    laid = cv2.warpPerspective(paper, warp, outer, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((height, width), 255, np.uint8), warp, outer)
    shadow = cv2.GaussianBlur(mask, (0, 0), 12).astype(np.float32)[:, :, None] / 255
    alpha = mask.astype(np.float32)[:, :, None] / 255
    scene = desk * (1 - 0.45 * shadow) * (1 - alpha) + laid.astype(np.float32) * alpha
    scene *= _light(outer, rng)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(3, 7), scene.shape)
    scene = np.clip(scene + noise, 0, 255).astype(np.uint8)
    picture = Image.fromarray(scene).filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 1.0)))
    sink = BytesIO()
    picture.save(sink, "JPEG", quality=rng.randint(62, 80))
    return sink.getvalue()


def _desk(size: tuple[int, int], rng: Random) -> npt.NDArray[np.float32]:
    """A wooden or grey table top with a grain along x."""
    width, height = size
    tone = np.array(rng.choice([(142, 104, 70), (96, 78, 62), (118, 122, 128), (176, 150, 118)]), np.float32)
    grain = np.random.default_rng(rng.randrange(2**32)).normal(0, 14, (height // 3 + 1, width // 90 + 2))
    lines = cv2.resize(grain.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    wood: npt.NDArray[np.float32] = np.clip(tone + lines[:, :, None], 0, 255).astype(np.float32)
    return wood


def _light(size: tuple[int, int], rng: Random) -> npt.NDArray[np.float32]:
    """A lamp's falloff across the page with one soft shadow edge, warm or cool."""
    width, height = size
    angle = rng.uniform(0, 2 * np.pi)
    xs, ys = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    along = xs * np.cos(angle) + ys * np.sin(angle)
    ramp = 0.86 + 0.14 * along
    edge = 1 - 0.22 / (1 + np.exp(-(along - rng.uniform(0.1, 0.6)) * 9))
    tint = np.array(rng.choice([(1.0, 0.97, 0.90), (0.96, 0.98, 1.0), (1.0, 1.0, 0.97)]), np.float32)
    light: npt.NDArray[np.float32] = ((ramp * edge)[:, :, None] * tint).astype(np.float32)
    return light
