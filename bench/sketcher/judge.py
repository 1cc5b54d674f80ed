"""Says what is wrong with a picture for a prompt's expectations: counts, colours, positions, relations, sizes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.sketcher.sight import Mask, Sight, look

LEAST_MASS = 0.0025  # of the canvas: an asked colour with less than this is not there
HALF_SHARE = 0.72  # of an object's pixels that must lie in the half where it was asked to be
APART = 0.06  # of the canvas between centroids that "left of" and "above" need
OUTWARD = 0.44  # farthest a corner object's centroid may be from its two edges
BIGGER = 1.25  # least ratio of longer sides: areas would depend on how slender a thing is
BOTH_SIDES = 0.2  # least share of an outer pair's pixels on each side of what stands between

SETS = (Path(__file__).with_name("prompts.json"), Path(__file__).with_name("prompts2.json"))


@dataclass(frozen=True, slots=True)
class Expectation:
    """One prompt; `colours` maps a colour to its number of objects (None: some), `checks` name colours and places."""

    language: str
    category: str
    prompt: str
    colours: dict[str, int | None]
    total: int | None
    checks: tuple[tuple[str, ...], ...]


def expectations(number: int = 1) -> tuple[Expectation, ...]:
    """All prompts of a set (1 or 2), in the order of its file."""
    items = json.loads(SETS[number - 1].read_text("utf-8"))
    return tuple(
        Expectation(i["language"], i["category"], i["prompt"], i["colours"], i["total"], tuple(map(tuple, i["checks"])))
        for i in items
    )


@dataclass(frozen=True, slots=True)
class Mass:
    """The pixels of one colour's objects, and those of every other object."""

    mask: Mask
    rest: Mask

    @property
    def centre(self) -> tuple[float, float]:
        """The centroid."""
        return _centre(self.mask)

    def share(self, side: str) -> float:
        """How much of it lies in a half of the canvas."""
        height, width = self.mask.shape
        halves = {
            "left": self.mask[:, : width // 2],
            "right": self.mask[:, width // 2 :],
            "top": self.mask[: height // 2],
            "bottom": self.mask[height // 2 :],
        }
        return float(halves[side].sum()) / max(1, int(self.mask.sum()))


def _centre(mask: Mask) -> tuple[float, float]:
    ys, xs = np.nonzero(mask)
    if not xs.size:
        return 0.5, 0.5
    return float(xs.mean() / mask.shape[1]), float(ys.mean() / mask.shape[0])


def _reach(mask: Mask) -> int:
    """The longer side of the largest connected piece, in pixels."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest = max(stats[1:], key=lambda row: int(row[cv2.CC_STAT_AREA]), default=None)
    return 0 if largest is None else max(int(largest[cv2.CC_STAT_WIDTH]), int(largest[cv2.CC_STAT_HEIGHT]))


def _spans(outer: Mask, inner: Mask) -> bool:
    column = int(_centre(inner)[0] * outer.shape[1])
    whole = max(1, int(outer.sum()))
    return min(int(outer[:, :column].sum()), int(outer[:, column:].sum())) / whole >= BOTH_SIDES


def _in_corner(mass: Mass, corner: str) -> bool:
    vertical, horizontal = corner.split("-")
    x, y = mass.centre
    from_side = x if horizontal == "left" else 1 - x
    from_end = y if vertical == "top" else 1 - y
    deep = mass.share(horizontal) >= HALF_SHARE and mass.share(vertical) >= HALF_SHARE
    return deep and from_side <= OUTWARD and from_end <= OUTWARD


_PLACES: dict[str, Callable[[Mass], bool]] = {
    "left": lambda mass: mass.share("left") >= HALF_SHARE,
    "right": lambda mass: mass.share("right") >= HALF_SHARE,
    "top": lambda mass: mass.share("top") >= HALF_SHARE,
    "bottom": lambda mass: mass.share("bottom") >= HALF_SHARE,
    "middle_x": lambda mass: abs(mass.centre[0] - 0.5) < 0.14,
    "middle": lambda mass: abs(mass.centre[0] - 0.5) < 0.13 and abs(mass.centre[1] - 0.5) < 0.17,
    "left_most": lambda mass: mass.centre[0] < _centre(mass.rest)[0] - APART,
    "top_most": lambda mass: mass.centre[1] < _centre(mass.rest)[1] - APART,
    "spans": lambda mass: bool(mass.rest.any()) and _spans(mass.mask, mass.rest),
}
_RELATIONS: dict[str, Callable[[Mass, Mass], bool]] = {
    "left_of": lambda one, other: one.centre[0] < other.centre[0] - APART,
    "above": lambda one, other: one.centre[1] < other.centre[1] - APART,
    "bigger": lambda one, other: _reach(one.mask) >= BIGGER * _reach(other.mask),
    "between": lambda one, other: _spans(other.mask, one.mask),
}
CHECKS = (*_PLACES, *_RELATIONS, "at")


def judge(png: bytes, wanted: Expectation) -> list[str]:
    """What is wrong with the picture, in words; nothing when it is right."""
    asked = tuple(wanted.colours)
    sight = look(png, asked)
    faults = _count(sight, wanted)
    masses: dict[str, Mass] = {}
    for colour in asked:
        mask = sight.of(colour, asked)
        if mask.mean() < LEAST_MASS:
            faults.append(f"no {colour} object")
            continue
        rest = np.zeros_like(mask)
        for blob in sight.blobs:
            rest |= blob.mask & ~mask
        masses[colour] = Mass(mask, rest)
    for check in wanted.checks:
        names = [name for name in check[1:] if name in wanted.colours]
        if all(name in masses for name in names) and not _holds(check, masses):
            centres = ", ".join("{} at {:.2f},{:.2f}".format(name, *masses[name].centre) for name in names)
            faults.append(f"not {' '.join(check)} ({centres})")
    return faults


def _holds(check: tuple[str, ...], masses: dict[str, Mass]) -> bool:
    kind, first, *more = check
    if kind in _PLACES:
        return _PLACES[kind](masses[first])
    if kind == "at":
        return _in_corner(masses[first], more[0])
    return _RELATIONS[kind](masses[first], masses[more[0]])


def _count(sight: Sight, wanted: Expectation) -> list[str]:
    faults = []
    asked = tuple(wanted.colours)
    if wanted.total is not None and len(sight.blobs) != wanted.total:
        faults.append(f"{len(sight.blobs)} objects, not {wanted.total}")
    for colour, count in wanted.colours.items():
        found = sum(blob.owner(asked) == colour for blob in sight.blobs)
        if count is not None and found != count:
            faults.append(f"{found} {colour} objects, not {count}")
    return faults
