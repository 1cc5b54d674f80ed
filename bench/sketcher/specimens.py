"""Right and wrong pictures for an expectation, drawn with shaded ellipses: they examine the judge itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from bench.sketcher.judge import Expectation

RGB = tuple[int, int, int]

PAINTS: dict[str, RGB] = {
    "red": (214, 40, 40), "orange": (245, 130, 20), "yellow": (250, 205, 40), "green": (70, 160, 70),
    "blue": (50, 110, 220), "purple": (140, 70, 180), "pink": (245, 150, 185), "brown": (130, 85, 50),
    "black": (45, 45, 50),
}  # fmt: skip
PLAIN: RGB = (120, 150, 165)  # objects without an asked colour: a dull slate that is nobody's class by far

# Two colours each: from the top, from the bottom; "ground" changes from one to the other at a horizon.
PAPERS: dict[str, tuple[RGB, RGB]] = {
    "plain": ((255, 252, 246), (255, 252, 246)),
    "soft": ((196, 224, 250), (250, 246, 232)),
    "ground": ((205, 228, 248), (225, 215, 190)),
}

Box = tuple[float, float, float, float]

_REGIONS: tuple[Box, ...] = (
    (0.04, 0.2, 0.42, 0.8), (0.58, 0.2, 0.96, 0.8), (0.2, 0.04, 0.8, 0.42), (0.2, 0.58, 0.8, 0.96),
    (0.02, 0.02, 0.36, 0.36), (0.64, 0.02, 0.98, 0.36), (0.02, 0.64, 0.36, 0.98), (0.64, 0.64, 0.98, 0.98),
    (0.36, 0.36, 0.64, 0.64), (0.03, 0.35, 0.31, 0.65), (0.69, 0.35, 0.97, 0.65), (0.36, 0.03, 0.64, 0.31),
    (0.36, 0.69, 0.64, 0.97), (0.06, 0.06, 0.94, 0.94),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thing:
    """An ellipse to draw: its colour name (None: plain), centre and radius in shares of the canvas."""

    colour: str | None
    x: float
    y: float
    radius: float


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


_TRUE: dict[str, Callable[[tuple[float, float], tuple[float, float]], bool]] = {
    "left": lambda a, _: a[0] < 0.35,
    "right": lambda a, _: a[0] > 0.65,
    "top": lambda a, _: a[1] < 0.35,
    "bottom": lambda a, _: a[1] > 0.65,
    "middle_x": lambda a, _: abs(a[0] - 0.5) < 0.05,
    "middle": lambda a, _: abs(a[0] - 0.5) < 0.05 and abs(a[1] - 0.5) < 0.05,
    "left_most": lambda a, _: a[0] < 0.35,
    "top_most": lambda a, _: a[1] < 0.35,
    "left_of": lambda a, b: a[0] < b[0] - 0.2,
    "above": lambda a, b: a[1] < b[1] - 0.2,
    "bigger": lambda a, b: True,
    "between": lambda a, b: abs(a[0] - 0.5) < 0.05,
    "spans": lambda a, _: True,
}
_CORNERS: dict[str, Callable[[float], bool]] = {
    "top": lambda y: y < 0.25,
    "bottom": lambda y: y > 0.75,
    "left": lambda x: x < 0.25,
    "right": lambda x: x > 0.75,
}


def _fits(check: tuple[str, ...], at: dict[str, tuple[float, float]]) -> bool:
    kind, first, *more = check
    if kind == "at":
        end, side = more[0].split("-")
        return _CORNERS[end](at[first][1]) and _CORNERS[side](at[first][0])
    return _TRUE[kind](at[first], at[more[0]] if more else at[first])


def _straddled(wanted: Expectation) -> set[str]:
    """Colours whose two objects stand on both sides of something."""
    return {check[2] for check in wanted.checks if check[0] == "between"} | {
        c[1] for c in wanted.checks if c[0] == "spans"
    }


def arranged(wanted: Expectation, rng: Random) -> list[Thing]:
    """Things laid out as the prompt asks; tries random regions until the checks hold."""
    outer = _straddled(wanted)
    names = [name for name in wanted.colours if name not in outer]
    for _ in range(20_000):
        homes = {name: rng.choice(_REGIONS) for name in names}
        pairs = [(a, b) for a in names for b in names if a < b]
        if not all(_apart(homes[a], homes[b]) for a, b in pairs):
            continue
        at = {name: _middle(box) for name, box in homes.items()} | dict.fromkeys(outer, (0.5, 0.5))
        if outer and not all(0.3 < at[name][0] < 0.7 and homes[name][2] - homes[name][0] < 0.3 for name in names):
            continue
        if all(_fits(check, at) for check in wanted.checks):
            return _filled(wanted, homes, outer)
    raise ValueError(f"no layout for {wanted.prompt!r}")


def _filled(wanted: Expectation, homes: dict[str, Box], outer: set[str]) -> list[Thing]:
    big = {check[1] for check in wanted.checks if check[0] == "bigger"}
    small = {check[2] for check in wanted.checks if check[0] == "bigger"}
    things = []
    for name, box in homes.items():
        scale = 1.0 if name in big else (0.4 if name in small else 0.8)
        things += _grid(name, wanted.colours[name] or 1, box, scale)
    for name in outer:
        level = homes[next(iter(homes))] if homes else (0.36, 0.36, 0.64, 0.64)
        things += [Thing(name, x, _middle(level)[1], 0.11) for x in (0.16, 0.84)]
    if not wanted.colours:
        return _grid(None, wanted.total or 1, (0.06, 0.06, 0.94, 0.94), 0.8)
    if any(check[0] == "spans" for check in wanted.checks):
        things.append(Thing(None, 0.5, 0.5, 0.1))
    if any(check[0] == "left_most" for check in wanted.checks):
        things.append(Thing(None, 0.75, 0.5, 0.1))
    if any(check[0] == "top_most" for check in wanted.checks):
        things.append(Thing(None, 0.5, 0.75, 0.1))
    return things


def _grid(name: str | None, count: int, box: Box, scale: float) -> list[Thing]:
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    wide, tall = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    radius = min(0.42 * min(wide, tall) * scale, 0.2)
    spots = [(box[0] + wide * (i % columns + 0.5), box[1] + tall * (i // columns + 0.5)) for i in range(count)]
    return [Thing(name, x, y, radius) for x, y in spots]


def spoiled(wanted: Expectation, things: list[Thing]) -> list[Thing]:
    """The same things made wrong: one too few, a colour changed, or mirrored when places were asked."""
    if wanted.category in ("count", "combo"):
        return [*things[1:]] if len(things) > 1 else [*things, replace(things[0], x=0.9, y=0.9, radius=0.05)]
    if wanted.category == "colour":
        other = {"red": "green", "green": "purple", "blue": "orange", "yellow": "blue", "purple": "yellow"}
        return [replace(thing, colour=other.get(thing.colour or "", "green")) for thing in things]
    if wanted.category == "size":
        return [replace(thing, radius=0.08) for thing in things]
    kinds = {check[0] for check in wanted.checks}
    if kinds & {"between", "spans"}:
        return [
            replace(thing, x=0.25 + thing.x * 0.1, y=(index + 0.5) / len(things))
            if thing.radius != 0.11
            else replace(thing, x=0.7 + 0.1 * index, radius=0.04)
            for index, thing in enumerate(things)
        ]
    if kinds == {"middle"}:
        return [replace(thing, x=0.15) for thing in things]
    return [replace(thing, x=1 - thing.x, y=1 - thing.y) for thing in things]


def _ground(size: int, paper: str) -> Image.Image:
    top, bottom = PAPERS[paper]
    ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None] * np.ones((1, size, 1), np.float32)
    if paper == "ground":
        ramp = (ramp > 0.62).astype(np.float32)
    tint = np.array(top, np.float32) * (1 - ramp) + np.array(bottom, np.float32) * ramp
    return Image.fromarray(tint.astype(np.uint8))


def _shade(image: Image.Image, thing: Thing) -> None:
    size, wide = image.width, thing.radius * image.width
    x, y = thing.x * size, thing.y * size + wide * 0.95
    veil = Image.new("L", image.size, 0)
    ImageDraw.Draw(veil).ellipse((x - wide * 0.8, y - wide * 0.12, x + wide * 0.8, y + wide * 0.12), fill=40)
    image.paste((60, 60, 80), mask=veil)


def painted(things: list[Thing], rng: Random, size: int = 512, paper: str = "plain") -> bytes:
    """Draws the things as PNG, shaded, with dark eyes, a pale glint and a soft shadow, on one of `PAPERS`."""
    image = _ground(size, paper)
    for thing in things:
        _shade(image, thing)
    pen = ImageDraw.Draw(image)
    for thing in things:
        paint = PAINTS[thing.colour] if thing.colour else PLAIN
        x, y, wide = thing.x * size, thing.y * size, thing.radius * size
        tall = wide * rng.uniform(0.75, 1.0)
        for step in range(12):
            shade = 0.72 + 0.03 * step
            tint = tuple(min(255, int(channel * shade)) for channel in paint)
            inset = 1 - step / 14
            pen.ellipse((x - wide * inset, y - tall * inset, x + wide * inset, y + tall * inset), fill=tint)
        for eye in (-0.3, 0.3):
            pen.ellipse(
                (x + wide * eye - wide * 0.08, y - tall * 0.25, x + wide * eye + wide * 0.08, y), fill=(30, 25, 25)
            )
        pen.ellipse((x - wide * 0.15, y + tall * 0.2, x + wide * 0.15, y + tall * 0.35), fill=(250, 245, 245))
    sink = BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()
