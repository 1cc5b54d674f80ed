"""The ground behind things: calm, low in colour and few in shapes, so that what stands before it stands out."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

# Plain grounds. The first is for most pictures, the second for things that are nearly white themselves.
TINTS: tuple[tuple[int, int, int], ...] = ((250, 250, 247), (188, 169, 144), (250, 248, 243), (248, 250, 252))
LIGHT_THINGS = 1

Painter = Callable[[float, float, random.Random], str]


def draw(name: str, width: int, height: int, seed: int) -> str:
    """The SVG of a named backdrop at a size in pixels; the seed moves its hills and stars."""
    body = PAINTERS[name](width, height, random.Random(seed))
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{body}</svg>'


def _sky(w: float, h: float, *stops: str) -> str:
    marks = "".join(f'<stop offset="{n / (len(stops) - 1):.3f}" stop-color="{stop}"/>' for n, stop in enumerate(stops))
    gradient = f'<defs><linearGradient id="s" x2="0" y2="1">{marks}</linearGradient></defs>'
    return f'{gradient}<rect width="{w}" height="{h}" fill="url(#s)"/>'


def _hill(w: float, h: float, level: float, rise: float, colour: str, chance: random.Random, waves: float = 1.3) -> str:
    """Ground from a wavy line at `level` (share of the height) down to the lower edge."""
    shift = chance.uniform(0, 6.28)
    points = [
        f"{w * n / 24:.1f} {h * (level - rise * math.sin(shift + waves * math.pi * n / 12)):.1f}" for n in range(25)
    ]
    return f'<path d="M0 {h} L{" L".join(points)} L{w} {h}Z" fill="{colour}"/>'


def _ridge(w: float, h: float, level: float, rise: float, colour: str, chance: random.Random, peaks: int) -> str:
    points = [f"0 {h * level:.1f}"]
    for n in range(peaks):
        x = w * (n + chance.uniform(0.3, 0.7)) / peaks
        points += [
            f"{x:.1f} {h * (level - rise * chance.uniform(0.55, 1)):.1f}",
            f"{w * (n + 1) / peaks:.1f} {h * (level - rise * chance.uniform(0, 0.25)):.1f}",
        ]
    return f'<path d="M0 {h} L{" L".join(points)} L{w} {h}Z" fill="{colour}"/>'


def _dots(
    w: float, h: float, count: int, colour: str, chance: random.Random, reach: float = 1.0, size: float = 1.0
) -> str:
    unit = math.sqrt(w * h) / 1000 * size
    return "".join(
        f'<circle cx="{chance.uniform(0, w):.1f}" cy="{chance.uniform(0, h * reach):.1f}" '
        f'r="{unit * chance.uniform(0.8, 2.2):.2f}" '
        f'fill="{colour}" opacity="{chance.uniform(0.45, 0.95):.2f}"/>'
        for _ in range(count)
    )


def _band(w: float, h: float, level: float, colour: str) -> str:
    return f'<rect y="{h * level:.1f}" width="{w}" height="{h * (1 - level) + 1:.1f}" fill="{colour}"/>'


def _grass(w: float, h: float, c: random.Random) -> str:
    return (
        _sky(w, h, "#dcecf5", "#eef5f2")
        + _hill(w, h, 0.6, 0.03, "#d3e3c4", c)
        + _hill(w, h, 0.7, 0.02, "#c3d9b0", c, 0.9)
    )


def _sea(w: float, h: float, c: random.Random) -> str:
    waves = "".join(
        _hill(w, h, 0.58 + 0.12 * n, 0.006, tone, c, 5 + n) for n, tone in enumerate(("#bcd7e6", "#a9cade", "#97bdd5"))
    )
    return _sky(w, h, "#e4eff6", "#f4f6f2") + waves


def _beach(w: float, h: float, c: random.Random) -> str:
    return _sky(w, h, "#dfeef7", "#f2f6f4") + _band(w, h, 0.5, "#b9d8e6") + _hill(w, h, 0.66, 0.015, "#efe2c6", c, 1.1)


def _underwater(w: float, h: float, c: random.Random) -> str:
    return _sky(w, h, "#cfe6ef", "#a5cbdc", "#86b3ca") + _hill(w, h, 0.9, 0.02, "#d9d2b8", c)


def _snow(w: float, h: float, c: random.Random) -> str:
    return (
        _sky(w, h, "#b9cbdc", "#d3dfe9")
        + _ridge(w, h, 0.62, 0.16, "#c6d4e1", c, 4)
        + _hill(w, h, 0.68, 0.02, "#e6edf4", c)
    )


def _snowfall(w: float, h: float, c: random.Random) -> str:
    return (
        _sky(w, h, "#a9bccf", "#c4d2df")
        + _hill(w, h, 0.76, 0.02, "#dfe8f0", c)
        + _dots(w, h, 90, "#ffffff", c, 1.0, 1.7)
    )


def _rain(w: float, h: float, c: random.Random) -> str:
    unit = math.sqrt(w * h) / 1000
    drops = "".join(
        f'<path d="M{c.uniform(0, w):.1f} {c.uniform(0, h):.1f}l{-5 * unit:.1f} {24 * unit:.1f}" '
        f'stroke="#a9bccb" stroke-width="{1.6 * unit:.2f}" stroke-linecap="round"/>'
        for _ in range(110)
    )
    return _sky(w, h, "#bac8d3", "#d5dee5") + drops + _band(w, h, 0.86, "#b3c1cc")


def _fog(w: float, h: float, c: random.Random) -> str:
    return _sky(w, h, "#dfe3e6", "#eceeef") + "".join(
        _hill(w, h, 0.5 + 0.13 * n, 0.03, t, c) for n, t in enumerate(("#d8dde0", "#d0d6da", "#c8cfd4"))
    )


def _city(w: float, h: float, c: random.Random) -> str:
    body = _sky(w, h, "#dde7ee", "#eff1f0")
    for level, tone in ((0.62, "#cfd8e0"), (0.7, "#c0ccd6")):
        x = 0.0
        while x < w:
            width = c.uniform(0.06, 0.12) * w
            top = h * (level - c.uniform(0.06, 0.32))
            body += f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{h}" fill="{tone}"/>'
            x += width * c.uniform(1.0, 1.25)
    return body + _band(w, h, 0.8, "#d9dbdc")


def _road(w: float, h: float, c: random.Random) -> str:
    dash = "".join(
        f'<rect x="{w * (0.04 + 0.2 * n):.1f}" y="{h * 0.835:.1f}" width="{w * 0.1:.1f}" '
        f'height="{h * 0.012:.1f}" fill="#e9e6da"/>'
        for n in range(5)
    )
    return (
        _sky(w, h, "#dcebf4", "#eff4f2") + _hill(w, h, 0.64, 0.02, "#cfdfc0", c) + _band(w, h, 0.72, "#b7babd") + dash
    )


def _forest(w: float, h: float, c: random.Random) -> str:
    body = _sky(w, h, "#e0ece4", "#eef3ea")
    for level, tone, count in ((0.7, "#cbdccb", 9), (0.78, "#b8cfb8", 7)):
        for n in range(count):
            x, top, half = w * (n + c.uniform(0.2, 0.8)) / count, h * (level - c.uniform(0.3, 0.5)), w * 0.6 / count
            body += f'<path d="M{x:.1f} {top:.1f}L{x + half:.1f} {h * level:.1f}H{x - half:.1f}Z" fill="{tone}"/>'
        body += _band(w, h, level - 0.01, tone)
    return body + _hill(w, h, 0.82, 0.015, "#c4d6b4", c)


def _desert(w: float, h: float, c: random.Random) -> str:
    return (
        _sky(w, h, "#e6eef2", "#f6eddc")
        + _hill(w, h, 0.6, 0.05, "#ecdcba", c)
        + _hill(w, h, 0.74, 0.04, "#e3cfa6", c, 0.8)
    )


def _mountains(w: float, h: float, c: random.Random) -> str:
    return (
        _sky(w, h, "#dde9f1", "#f1f4f2")
        + _ridge(w, h, 0.62, 0.36, "#c5d0da", c, 4)
        + _ridge(w, h, 0.7, 0.24, "#b3c2cd", c, 5)
        + _hill(w, h, 0.76, 0.02, "#cbd9c3", c)
    )


def _night(w: float, h: float, c: random.Random) -> str:
    return (
        _sky(w, h, "#1d2740", "#2c3a58")
        + _dots(w, h, 46, "#8fa0c4", c, 0.65, 0.7)
        + _hill(w, h, 0.86, 0.02, "#222d45", c)
    )


def _stars(w: float, h: float, c: random.Random) -> str:
    return _sky(w, h, "#131b36", "#232f55", "#34406a") + _dots(w, h, 150, "#c8d2ee", c, 1.0, 0.75)


def _space(w: float, h: float, c: random.Random) -> str:
    return _sky(w, h, "#10142a", "#1b2140") + _dots(w, h, 120, "#b4bedd", c, 1.0, 0.7)


def _sunset(w: float, h: float, c: random.Random) -> str:
    sun = f'<circle cx="{w * c.uniform(0.3, 0.7):.1f}" cy="{h * 0.6:.1f}" r="{min(w, h) * 0.09:.1f}" fill="#fbe3c0"/>'
    return (
        _sky(w, h, "#c9b8cf", "#f0c9b4", "#f7dcb8")
        + sun
        + _hill(w, h, 0.68, 0.02, "#b79c9c", c)
        + _hill(w, h, 0.8, 0.02, "#a38b90", c)
    )


def _sunrise(w: float, h: float, c: random.Random) -> str:
    sun = f'<circle cx="{w * c.uniform(0.3, 0.7):.1f}" cy="{h * 0.62:.1f}" r="{min(w, h) * 0.1:.1f}" fill="#fff0c8"/>'
    return (
        _sky(w, h, "#cfdfee", "#f3e2d4", "#f9e6bf")
        + sun
        + _hill(w, h, 0.68, 0.02, "#cdd3b9", c)
        + _hill(w, h, 0.8, 0.02, "#bcc8a8", c)
    )


def _day(w: float, h: float, c: random.Random) -> str:
    clouds = ""
    for _ in range(3):
        x, y, r = c.uniform(0.08, 0.92) * w, c.uniform(0.08, 0.9) * h, min(w, h) * c.uniform(0.025, 0.045)
        clouds += "".join(
            f'<ellipse cx="{x + dx * r:.1f}" cy="{y + dy * r:.1f}" '
            f'rx="{k * r:.1f}" ry="{0.7 * k * r:.1f}" fill="#ecf4fa"/>'
            for dx, dy, k in ((0, 0, 1.6), (1.6, 0.25, 1.2), (-1.6, 0.3, 1.1))
        )
    return _sky(w, h, "#bfdcf0", "#e3f0f8") + clouds


def _room(w: float, h: float, c: random.Random) -> str:
    skirt = f'<rect y="{h * 0.715:.1f}" width="{w}" height="{h * 0.02:.1f}" fill="#f7f3ec"/>'
    return _sky(w, h, "#ece5da", "#efe9df") + _band(w, h, 0.73, "#d8c5ac") + skirt


def _stage(w: float, h: float, c: random.Random) -> str:
    folds = "".join(
        f'<rect x="{x * w:.1f}" width="{w * 0.055:.1f}" height="{h * 0.84:.1f}" fill="{tone}"/>'
        for x, tone in ((0, "#a86f6c"), (0.055, "#9b6461"), (0.89, "#9b6461"), (0.945, "#a86f6c"))
    )
    return _sky(w, h, "#e6dcd6", "#f3ece6") + folds + _band(w, h, 0.82, "#c9b199")


def _autumn(w: float, h: float, c: random.Random) -> str:
    return (
        _sky(w, h, "#e9eaf0", "#f7efe2")
        + _hill(w, h, 0.58, 0.05, "#ead2b0", c)
        + _hill(w, h, 0.68, 0.03, "#e0be98", c, 0.9)
    )


PAINTERS: Mapping[str, Painter] = MappingProxyType(
    {
        "grass": _grass,
        "sea": _sea,
        "beach": _beach,
        "underwater": _underwater,
        "snow": _snow,
        "snowfall": _snowfall,
        "rain": _rain,
        "fog": _fog,
        "city": _city,
        "road": _road,
        "forest": _forest,
        "desert": _desert,
        "mountains": _mountains,
        "night": _night,
        "stars": _stars,
        "space": _space,
        "sunset": _sunset,
        "sunrise": _sunrise,
        "sky": _day,
        "room": _room,
        "stage": _stage,
        "autumn": _autumn,
    }
)
DARK = frozenset({"night", "stars", "space"})
