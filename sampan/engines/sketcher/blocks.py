"""Things that belong together, laid out in a measure of their own: a count of one thing, a cat on a table, a ring.

One unit is the width of a usual thing. A block is scaled into its place in the picture later, as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sampan.engines.sketcher.request import Thing

GAP = 0.2
# How deep a thing sinks into what it stands on, as a share of that one's height: a seat, a deck, a back.
_SEATS = {
    "chair": 0.48,
    "seat": 0.4,
    "couch-and-lamp": 0.5,
    "bed": 0.4,
    "sailboat": 0.3,
    "canoe": 0.4,
    "speedboat": 0.3,
    "horse": 0.4,
    "elephant": 0.12,
    "own-table": 0.03,
    "own-box": 0.1,
    "own-rug": 0.32,
    "mountain": 0.1,
    "deciduous-tree": 0.25,
    "evergreen-tree": 0.12,
    "own-plate": 0.5,
    "bowl-with-spoon": 0.4,
    "own-bridge": 0.28,
    "bicycle": 0.45,
    "motorcycle": 0.4,
    "desert-island": 0.55,
    "skateboard": 0.3,
    "sled": 0.4,
    "toilet": 0.4,
    "bathtub": 0.3,
    "hut": 0.06,
}
# No deeper than this, or too little of the lower one would be seen.
_SEAT_MOST = 0.32


@dataclass(frozen=True, slots=True)
class Spot:
    """One drawing's box in a block. `thing` is its index, `turn` which one of its count it is."""

    thing: int
    turn: int
    x: float
    y: float
    w: float
    h: float
    z: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """Spots within 0, 0, w, h."""

    spots: tuple[Spot, ...]
    w: float
    h: float

    @property
    def longest(self) -> float:
        """The longest side of its largest spot."""
        return max(max(spot.w, spot.h) for spot in self.spots)

    def at(self, x: float, y: float, scale: float = 1.0, raised: int = 0) -> list[Spot]:
        return [
            Spot(s.thing, s.turn, x + s.x * scale, y + s.y * scale, s.w * scale, s.h * scale, s.z + raised)
            for s in self.spots
        ]


@dataclass(frozen=True, slots=True)
class Sized:
    """A thing with what its drawing says of it: width over height and bulk from 1 to 5; `even` where sizes were asked
    for, which then hold for the longest side whatever the bulk."""

    thing: Thing
    aspect: float
    bulk: int
    even: bool = False

    def extent(self, bulky: float = 1.0) -> tuple[float, float]:
        """Width and height in units: the same area for every drawing, more for what is big in the world."""
        if self.even:
            side = self.thing.size * 1.1
            return min(side, side * self.aspect), min(side, side / self.aspect)
        root = min(1.5, max(0.6, math.sqrt(self.aspect)))
        size = self.thing.size * (1.0 + 0.09 * (self.bulk - 3) * bulky)
        return size * root, size * root / self.aspect


def around(spots: Sequence[Spot]) -> Block:
    """The block that just holds some spots."""
    left, top = min(s.x for s in spots), min(s.y for s in spots)
    right, bottom = max(s.x + s.w for s in spots), max(s.y + s.h for s in spots)
    return Block(tuple(replace(s, x=s.x - left, y=s.y - top) for s in spots), right - left, bottom - top)


def several(index: int, sized: Sized, count: int, aspect: float, first: int = 0) -> Block:
    """`count` of one thing in a grid whose outline comes closest to `aspect` (width over height), or as it was
    asked."""
    w, h = sized.extent()
    gap = GAP * max(w, h)
    arranged = sized.thing.arranged
    if arranged == "ring" and count > 2:
        return ring([around([Spot(index, first + n, 0, 0, w, h)]) for n in range(count)], None)
    if arranged in ("row", "column"):
        columns = count if arranged == "row" else 1
    else:
        columns = max(range(1, count + 1), key=lambda n: _fill(n, count, w + gap, h + gap, aspect))
    rows = math.ceil(count / columns)
    spots: list[Spot] = []
    for row in range(rows):
        inside = min(columns, count - row * columns)
        start = (columns - inside) * (w + gap) / 2
        spots += [
            Spot(index, first + row * columns + n, start + n * (w + gap), row * (h + gap), w, h) for n in range(inside)
        ]
    return around(spots)


def _fill(columns: int, count: int, w: float, h: float, aspect: float) -> float:
    """How large things get in a frame of `aspect`, less a little for a ragged last row."""
    rows = math.ceil(count / columns)
    ragged = 0.06 if count % columns else 0.0
    return min(aspect / (columns * w), 1.0 / (rows * h)) * (1.0 - ragged)


def flow(blocks: Sequence[Block], aspect: float) -> Block:
    """Blocks in rows, in their order, each row standing on one line."""
    best: tuple[float, Block] | None = None
    for rows in range(1, len(blocks) + 1):
        per = math.ceil(len(blocks) / rows)
        lines = [blocks[start : start + per] for start in range(0, len(blocks), per)]
        block = _lines(lines)
        fill = min(aspect / block.w, 1.0 / block.h)
        if best is None or fill > best[0] * 1.02:
            best = (fill, block)
    assert best is not None
    return best[1]


def _lines(lines: Sequence[Sequence[Block]]) -> Block:
    gap = GAP * 1.25
    widths = [sum(block.w for block in line) + gap * (len(line) - 1) for line in lines]
    whole = max(widths)
    spots: list[Spot] = []
    y = 0.0
    for line, width in zip(lines, widths, strict=True):
        height = max(block.h for block in line)
        x = (whole - width) / 2
        for block in line:
            spots += block.at(x, y + height - block.h)
            x += block.w + gap
        y += height + gap
    return around(spots)


def ring(blocks: Sequence[Block], centre: Block | None) -> Block:
    """Blocks on a circle, about another where there is one, none touching."""
    count = len(blocks)
    reach = max(math.hypot(block.w, block.h) for block in blocks) * 1.12
    radius = reach / 2 / math.sin(math.pi / count) if count > 1 else reach
    if centre is not None:
        radius = max(radius, math.hypot(centre.w, centre.h) / 2 + reach / 2)
    spots: list[Spot] = []
    for turn, block in enumerate(blocks):
        angle = 2 * math.pi * turn / count - math.pi / 2
        spots += block.at(radius * math.cos(angle) - block.w / 2, radius * math.sin(angle) - block.h / 2)
    if centre is not None:
        spots += centre.at(-centre.w / 2, -centre.h / 2)
    return around(spots)


def on(subject: Block, base: Block, art: str, exact: bool = False) -> Block:
    """The subject stands on the base, touching it; `exact` where its size was asked for and may reach beyond."""
    most = 4.0 if exact else 1.25 if len(subject.spots) == 1 else 1.05
    share = min(1.0, most * base.w / subject.w)
    sink = min(_SEAT_MOST, _SEATS.get(art, 0.04)) * base.h
    w, h = subject.w * share, subject.h * share
    seated = subject.at((base.w - w) / 2, sink - h, share, raised=1)
    return around([*base.at(0, 0), *seated])


def front(subject: Block, base: Block, lean: float) -> Block:
    """The subject stands before the base and hides a part of its foot; `lean` from -1 to 1 moves it sideways."""
    share = min(1.0, 0.62 * base.h / subject.h, 0.75 * base.w / subject.w)
    w, h = subject.w * share, subject.h * share
    x = (base.w - w) / 2 + lean * 0.22 * base.w
    return around([*base.at(0, 0), *subject.at(x, base.h * 1.1 - h, share, raised=2)])


def inside(subject: Block, base: Block) -> Block:
    """The subject is drawn over the middle of the base."""
    share = min(0.52 * base.w / subject.w, 0.52 * base.h / subject.h)
    w, h = subject.w * share, subject.h * share
    return around([*base.at(0, 0), *subject.at((base.w - w) / 2, (base.h - h) / 2, share, raised=2)])


def amid(subject: Block, halves: tuple[Block, Block]) -> Block:
    """The subject between the two halves of a count."""
    return _lines([[halves[0], subject, halves[1]]])


Laid = Callable[[float], Block]
