"""Styles as filters over a finished picture. Each takes and gives RGB and knows nothing of what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

Filter = Callable[[Image.Image, int], Image.Image]


def apply(image: Image.Image, style: str, seed: int) -> Image.Image:
    """The picture in a style of `STYLES`; an alpha channel is carried over unchanged."""
    if image.mode == "RGBA":
        styled = STYLES[style](image.convert("RGB"), seed).convert("RGBA")
        styled.putalpha(image.getchannel("A"))
        return styled
    return STYLES[style](image, seed)


def _unit(image: Image.Image) -> float:
    """A thousandth of the picture's side, in pixels: strokes keep their share at every size."""
    return float(min(image.size)) / 1000


def _grain(image: Image.Image, seed: int, strength: float, cell: float) -> Image.Image:
    """Grey paper grain about 128, of blots `cell` thousandths wide."""
    small = (
        max(2, round(image.width / max(1.0, cell * _unit(image)))),
        max(2, round(image.height / max(1.0, cell * _unit(image)))),
    )
    noise = np.random.default_rng(seed).normal(128, strength, (small[1], small[0])).clip(0, 255).astype(np.uint8)
    return Image.fromarray(noise, "L").resize(image.size, Image.Resampling.BICUBIC)


def _on_paper(image: Image.Image, seed: int, strength: float, cell: float) -> Image.Image:
    grain = _grain(image, seed, strength, cell)
    return ImageChops.overlay(image, Image.merge("RGB", (grain, grain, grain)))


def _edges(image: Image.Image, radius: float) -> Image.Image:
    """Dark lines on white where brightness or colour changes."""
    grey = image.convert("L").filter(ImageFilter.GaussianBlur(radius))
    wide = image.convert("L").filter(ImageFilter.GaussianBlur(radius * 1.8))
    return ImageOps.invert(ImageChops.difference(grey, wide).point(lambda v: min(255, v * 9)))


def _stepped(image: Image.Image, levels: int) -> Image.Image:
    """Each channel in a few even steps, black and white kept."""
    return image.point([round(round(v / 255 * (levels - 1)) * 255 / (levels - 1)) for v in range(256)] * 3)


def _darken(image: Image.Image, lines: Image.Image) -> Image.Image:
    return ImageChops.multiply(image, Image.merge("RGB", (lines, lines, lines)))


def _curve(
    image: Image.Image, dark: tuple[int, int, int], light: tuple[int, int, int], mid: tuple[int, int, int] | None = None
) -> Image.Image:
    return ImageOps.colorize(ImageOps.autocontrast(image.convert("L"), cutoff=0.5), dark, light, mid)


def ink(image: Image.Image, seed: int) -> Image.Image:
    unit = _unit(image)
    pale = ImageEnhance.Color(image).enhance(0.28).filter(ImageFilter.GaussianBlur(2.2 * unit))
    grey = _curve(pale, (28, 30, 34), (246, 241, 230))
    mixed = _darken(Image.blend(grey, pale, 0.3), _edges(image, 1.4 * unit))
    return _on_paper(mixed, seed, 9, 6)


def papercut(image: Image.Image, seed: int) -> Image.Image:
    unit = _unit(image)
    flat = ImageEnhance.Color(Image.blend(_stepped(image, 4), image, 0.35)).enhance(1.25)
    shadow = ImageChops.offset(_edges(image, 1.6 * unit), round(3 * unit), round(4 * unit)).filter(
        ImageFilter.GaussianBlur(1.2 * unit)
    )
    return _on_paper(_darken(flat, shadow.point(lambda v: 140 + v * 115 // 255)), seed, 6, 3)


def sketch(image: Image.Image, seed: int) -> Image.Image:
    unit = _unit(image)
    grey = image.convert("L")
    soft = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(7 * unit))
    base = np.asarray(grey, dtype=np.float32)
    dodge = np.clip(base * 255.0 / (256.0 - np.asarray(soft, dtype=np.float32)), 0, 255)
    tone = np.clip(dodge * 0.6 + base * 0.4 + 4, 0, 255)
    hatch = np.asarray(_grain(image, seed, 13, 1.2), dtype=np.float32) - 128
    tone = np.clip(tone + hatch * (1.0 - tone / 290.0), 0, 255).astype(np.uint8)
    return ImageOps.colorize(Image.fromarray(tone, "L"), (46, 46, 50), (252, 250, 245))


def line(image: Image.Image, seed: int) -> Image.Image:
    lines = _edges(image, 1.3 * _unit(image)).point(lambda v: 0 if v < 150 else min(255, (v - 150) * 3))
    return Image.merge("RGB", (lines, lines, lines))


def pixel(image: Image.Image, seed: int) -> Image.Image:
    small = (max(8, round(image.width / (11 * _unit(image)))), max(8, round(image.height / (11 * _unit(image)))))
    reduced = ImageEnhance.Color(image.resize(small, Image.Resampling.BOX)).enhance(1.15)
    coarse = reduced.quantize(28, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return coarse.resize(image.size, Image.Resampling.NEAREST)


def cyberpunk(image: Image.Image, seed: int) -> Image.Image:
    unit = _unit(image)
    values: NDArray[np.float32] = np.asarray(ImageEnhance.Color(image).enhance(1.7), dtype=np.float32) / np.float32(255)
    level = values.mean(axis=-1, keepdims=True)
    chroma = values.max(axis=-1, keepdims=True) - values.min(axis=-1, keepdims=True)
    night = np.array([0.07, 0.04, 0.17], dtype=np.float32)
    strength = np.clip(chroma * 1.5 + (1 - level) * 0.35, 0, 1)
    dark = Image.fromarray(np.clip((night + (values - night) * strength) * 255, 0, 255).astype(np.uint8), "RGB")
    lines = ImageOps.colorize(ImageOps.invert(_edges(image, 1.5 * unit)), (0, 0, 0), (60, 235, 255), (190, 30, 200))
    glow = ImageChops.screen(lines, lines.filter(ImageFilter.GaussianBlur(6 * unit)))
    return ImageChops.screen(dark, glow)


def watercolor(image: Image.Image, seed: int) -> Image.Image:
    unit = _unit(image)
    wash = ImageEnhance.Color(image.filter(ImageFilter.GaussianBlur(3.2 * unit))).enhance(1.1)
    wash = ImageChops.screen(Image.blend(wash, image, 0.35), Image.new("RGB", image.size, (34, 34, 34)))
    rims = _edges(image, 2.4 * unit).point(lambda v: 150 + v * 105 // 255)
    return _on_paper(_on_paper(_darken(wash, rims), seed, 26, 26), seed + 1, 9, 3)


def oil(image: Image.Image, seed: int) -> Image.Image:
    unit = _unit(image)
    small = image.resize(
        (max(8, round(image.width / (3 * unit))), max(8, round(image.height / (3 * unit)))), Image.Resampling.BOX
    )
    dabs = _on_paper(small, seed, 20, 7).filter(ImageFilter.ModeFilter(5)).resize(image.size, Image.Resampling.BICUBIC)
    relief = dabs.convert("L").filter(ImageFilter.EMBOSS)
    rich = ImageEnhance.Color(Image.blend(dabs, image, 0.25)).enhance(1.2)
    return ImageChops.overlay(rich, Image.merge("RGB", (relief, relief, relief)))


def retro(image: Image.Image, seed: int) -> Image.Image:
    toned = ImageOps.colorize(image.convert("L"), (58, 38, 24), (250, 236, 206), (168, 128, 88))
    return _on_paper(Image.blend(toned, ImageEnhance.Color(image).enhance(0.7), 0.3), seed, 10, 2)


def comic(image: Image.Image, seed: int) -> Image.Image:
    bold = ImageEnhance.Color(_stepped(image, 6)).enhance(1.35)
    lines = _edges(image, 1.7 * _unit(image)).point(lambda v: 0 if v < 120 else min(255, (v - 120) * 4))
    return _darken(bold, lines)


def mono(image: Image.Image, seed: int) -> Image.Image:
    return ImageOps.autocontrast(image.convert("L"), cutoff=0.2).convert("RGB")


def blueprint(image: Image.Image, seed: int) -> Image.Image:
    lines = ImageOps.invert(_edges(image, 1.4 * _unit(image)))
    return ImageOps.colorize(lines, (24, 62, 120), (236, 244, 255))


def unchanged(image: Image.Image, seed: int) -> Image.Image:
    return image


STYLES: Mapping[str, Filter] = MappingProxyType(
    {
        "ink": ink,
        "papercut": papercut,
        "sketch": sketch,
        "line": line,
        "pixel": pixel,
        "cyberpunk": cyberpunk,
        "watercolor": watercolor,
        "oil": oil,
        "retro": retro,
        "comic": comic,
        "mono": mono,
        "blueprint": blueprint,
        "sticker": unchanged,
        "flat": unchanged,
    }
)
