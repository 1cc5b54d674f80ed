"""Paints a drawing in another colour and keeps its shading. Pixels in, pixels out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sampan.engines.sketcher.lexicon import PAINTS

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_COVER = 0.8
_BINS = 24


def paint(pixels: Pixels, colour: str, band: tuple[float, float] | None = None) -> Pixels:
    """RGBA pixels repainted: hues are taken in the order of their mass until four fifths of the ink are covered,
    so that a
    red apple painted green keeps a brown stem, but a cat painted blue is blue all over. Small dark and white parts
    (eyes,
    wheels, teeth) stay. With a `band` of hues, in degrees from and to, these alone are painted.
    Brightness about the painted parts' median becomes shade and light of the new colour."""
    rgb = pixels[..., :3].astype(np.float32) / 255.0
    ink = pixels[..., 3] > 8
    if not ink.any():
        return pixels
    target = np.array(PAINTS[colour], dtype=np.float32) / 255.0
    bright = (rgb @ _WEIGHTS).astype(np.float32)
    weight = _share_to_paint(rgb, bright, ink) if band is None else _share_of_band(rgb, ink, band)
    chosen = ink & (weight > 0.5)
    middle = float(np.median(bright[chosen])) if chosen.any() else float(np.median(bright[ink]))
    shaded = _shade(bright, middle, target)
    mixed = rgb + (shaded - rgb) * weight[..., None]
    out = pixels.copy()
    out[..., :3] = np.clip(mixed * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return out


def _shade(bright: Floats, middle: float, target: Floats) -> Floats:
    """The target colour, darker where the drawing was darker than its median and lighter where it was lighter."""
    middle = min(0.92, max(0.08, middle))
    dark = np.clip((middle - bright) / middle, 0.0, 1.0)[..., None]
    light = np.clip((bright - middle) / (1.0 - middle), 0.0, 1.0)[..., None]
    level = float(target @ _WEIGHTS)
    depth = 0.22 if level > 0.9 else 0.5  # white stays white in its shades, or it would read as grey
    # pale paints have little colour to lose to their lights
    lift = 0.12 + 0.26 * float(target.max() - target.min())
    shaded = target * (1.0 - depth * dark)
    result: Floats = (shaded + (1.0 - shaded) * lift * light).astype(np.float32)
    return result


def _share_of_band(rgb: Floats, ink: NDArray[np.bool_], band: tuple[float, float]) -> Floats:
    """How much of each pixel is painted where only a band of hues is; all but the darkest, for a whole circle."""
    high, low = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = high - low
    if band[1] - band[0] >= 360.0:
        return np.where(ink, np.clip((high - 0.2) / 0.12, 0.0, 1.0), 0.0).astype(np.float32)
    hue = _hue(rgb, high, chroma) * 360.0
    inside = (hue >= band[0]) & (hue <= band[1]) if band[0] <= band[1] else (hue >= band[0]) | (hue <= band[1])
    vivid = np.clip((chroma - 0.08) / 0.1, 0.0, 1.0)
    return np.where(ink & inside, vivid, 0.0).astype(np.float32)


def _share_to_paint(rgb: Floats, bright: Floats, ink: NDArray[np.bool_]) -> Floats:
    """How much of each pixel is painted, from 0 to 1."""
    high, low = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = high - low
    vivid = np.clip((chroma - 0.06) / 0.08, 0.0, 1.0)
    grey = ink & (vivid < 0.5)
    total = float(ink.sum())
    share: Floats = np.zeros_like(bright)
    if grey.sum() > 0.55 * total:
        # mostly grey, black or white: a wolf, a spider, a sheep; all of it is painted but its few vivid or
        # opposite parts
        return np.where(ink, np.float32(1.0), np.float32(0.0))
    hue = _hue(rgb, high, chroma)
    bins = (hue * _BINS).astype(np.int32) % _BINS
    counts = np.bincount(bins[ink & (vivid >= 0.5)], minlength=_BINS).astype(np.float64)
    need = _COVER * counts.sum()
    chosen = np.zeros(_BINS, dtype=bool)
    smooth = counts + 0.5 * (np.roll(counts, 1) + np.roll(counts, -1))
    while counts[chosen].sum() < need:
        best = int(np.argmax(np.where(chosen, -1.0, smooth)))
        chosen[[best, (best + 1) % _BINS, best - 1]] = True
    share = np.where(ink, vivid * chosen[bins], 0.0).astype(np.float32)
    kept_grey = float(grey.sum()) / total
    if kept_grey > 0.25:
        # a good part is grey: light greys take the colour too, dark ones (tyres, outlines) stay
        share = np.where(grey & (bright > 0.35), np.float32(1.0), share)
    return share


def _hue(rgb: Floats, high: Floats, chroma: Floats) -> Floats:
    """Hue of each pixel from 0 to 1, as in HSV."""
    safe = np.where(chroma > 1e-4, chroma, 1.0)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(
        high == red,
        (green - blue) / safe,
        np.where(high == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    result: Floats = ((hue / 6.0) % 1.0).astype(np.float32)
    return result
