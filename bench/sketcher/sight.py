"""Finds objects in a picture without knowing what it should show: background, blobs, colours by name.

Lengths and areas are shares of the canvas; x grows to the right and y downwards, both from 0 to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

LOOKED_AT = 512  # pixels of the longer side that is judged
STANDS_OUT = 11.0  # distance from the background in Lab (CIE76) that makes a pixel part of an object
SHADOW_DEPTH = 20.0  # of L: what a soft shadow takes away at most
SHADOW_TINT = 6.0
SMOOTH = 3.0
SMOOTH_SHARE = 0.88  # of the border's pixels: what a smooth background must come that near to
LEAST_AREA = 0.0008  # of the canvas: smaller blobs are dust
LEAST_PART = 0.02  # of the largest blob: smaller blobs are ornaments
SPECK = 0.10  # of a neighbour's area: a blob this small and this near is a part of it
NEAR = 0.012
OWN_SHARE = 0.38  # of a blob's coloured pixels: what makes it "a red one"
MIXED_SHARE = 0.22  # two asked colours with this much each: two objects that touch

# Hue ranges in degrees with least saturation, least and most value. They overlap on purpose: the edge between red and
# orange is nobody's mistake. A pale red counts as pink, a dark orange as brown.
_HUES: dict[str, tuple[tuple[float, float, float, float, float], ...]] = {
    "red": ((343, 360, 0.38, 0.22, 1.0), (0, 17, 0.45, 0.22, 1.0)),
    "orange": ((14, 44, 0.45, 0.50, 1.0),),
    "yellow": ((37, 69, 0.35, 0.42, 1.0),),
    "green": ((66, 175, 0.20, 0.12, 1.0),),
    "blue": ((178, 258, 0.22, 0.15, 1.0),),
    "purple": ((250, 318, 0.18, 0.15, 1.0),),
    "pink": ((300, 352, 0.13, 0.55, 1.0), (352, 360, 0.13, 0.60, 1.0), (0, 14, 0.13, 0.75, 1.0)),
    "brown": ((5, 46, 0.22, 0.10, 0.76),),
}
_NEUTRALS = ("black", "gray", "white")
COLOURS = (*_HUES, *_NEUTRALS)


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """One object as far as pixels tell: where it is, how big, and how much of it has each colour."""

    mask: Mask
    area: float
    box: tuple[float, float, float, float]
    shares: dict[str, float]

    def owner(self, asked: Sequence[str]) -> str | None:
        """The asked colour that it mostly has."""
        best = max(asked, key=lambda colour: self.shares[colour], default=None)
        return best if best is not None and self.shares[best] >= OWN_SHARE else None

    def mixes(self, asked: Sequence[str]) -> bool:
        """Whether two asked colours have a good part of it each."""
        return sum(self.shares[colour] >= MIXED_SHARE for colour in asked) > 1


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What was seen: the blobs, the whole foreground, and the pixels of every colour."""

    blobs: tuple[Blob, ...]
    foreground: Mask
    colours: dict[str, Mask]

    def of(self, colour: str, asked: Sequence[str]) -> Mask:
        """The pixels of the objects that have a colour; only their coloured part where two objects touch."""
        found = np.zeros_like(self.foreground)
        for blob in self.blobs:
            if blob.mixes(asked):
                found |= blob.mask & self.colours[colour]
            elif blob.owner(asked) == colour:
                found |= blob.mask
        return found


def look(png: bytes, asked: Sequence[str]) -> Sight:
    """Sees a picture; `asked` are the colours that keep small neighbours apart."""
    lab, hsv = _channels(png)
    foreground = _foreground(lab)
    colours = {name: mask & foreground for name, mask in _colour_masks(hsv).items()}
    blobs = [_blob(mask, colours, hsv) for mask in _components(foreground)]
    joined = _joined(blobs, colours, hsv, asked)
    largest = max((blob.area for blob in joined), default=0.0)
    kept = tuple(blob for blob in joined if blob.area >= max(LEAST_AREA, LEAST_PART * largest))
    return Sight(kept, foreground, colours)


def _channels(png: bytes) -> tuple[Floats, Floats]:
    image = Image.open(BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    white.alpha_composite(image)
    scale = LOOKED_AT / max(white.size)
    size = (max(1, round(white.width * scale)), max(1, round(white.height * scale)))
    rgb = np.asarray(white.convert("RGB").resize(size, Image.Resampling.BOX), np.float32) / 255
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)), np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))


def _foreground(lab: Floats) -> Mask:
    """Pixels unlike the background, soft shadows left out: a little darker than it and no other colour."""
    away = lab - _background(lab)
    tinted = np.linalg.norm(away[..., 1:], axis=2)
    shadow = (away[..., 0] < 0) & (away[..., 0] > -SHADOW_DEPTH) & (tinted < SHADOW_TINT)
    unlike = (np.linalg.norm(away, axis=2) > STANDS_OUT) & ~shadow
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return np.asarray(cv2.morphologyEx(unlike.astype(np.uint8), cv2.MORPH_OPEN, kernel)) > 0


def _background(lab: Floats) -> Floats:
    """The background in Lab, told by the borders: one smooth surface, else a colour for every row (sky and ground)."""
    height, width = lab.shape[:2]
    band = max(2, width // 64)
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(xs), xs, ys, xs * ys, xs**2, ys**2], -1).astype(np.float32)
    rim = np.zeros((height, width), bool)
    rim[:band], rim[-band:], rim[:, :band], rim[:, -band:] = True, True, True, True
    basis, values = terms[rim], lab[rim]
    trusted = np.linalg.norm(values - np.median(values, 0), axis=1) < 60
    for _ in range(6):
        weights, *_ = np.linalg.lstsq(basis[trusted], values[trusted], rcond=None)
        misfit = np.linalg.norm(basis @ weights - values, axis=1)
        trusted = misfit < max(4.0, 2.5 * float(np.median(misfit)))
    if float((misfit < SMOOTH).mean()) >= SMOOTH_SHARE:
        surface: Floats = terms @ weights
        return surface
    return _rows(np.median(lab[:, :band], 1), np.median(lab[:, -band:], 1), width)


def _rows(left: Floats, right: Floats, width: int) -> Floats:
    """A background by rows: where both edges agree theirs, elsewhere that of the nearest row where they do."""
    agreed = np.flatnonzero(np.linalg.norm(left - right, axis=1) < STANDS_OUT)
    if not agreed.size:
        agreed = np.arange(len(left))
    nearest = agreed[np.abs(np.arange(len(left))[:, None] - agreed[None, :]).argmin(1)]
    colour = (left[nearest] + right[nearest]) / 2
    return np.repeat(colour[:, None], width, axis=1)


def _colour_masks(hsv: Floats) -> dict[str, Mask]:
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    masks: dict[str, Mask] = {}
    for name, ranges in _HUES.items():
        found = np.zeros(hue.shape, bool)
        for low, high, colourful, dark, bright in ranges:
            found |= (hue >= low) & (hue <= high) & (saturation >= colourful) & (value >= dark) & (value <= bright)
        masks[name] = found
    masks["black"] = (value < 0.36) & (saturation * value < 0.2)
    masks["gray"] = (saturation < 0.2) & (value >= 0.25) & (value < 0.85)
    masks["white"] = (saturation < 0.14) & (value > 0.84)
    return masks


def _components(foreground: Mask) -> list[Mask]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = cv2.morphologyEx(foreground.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    least = LEAST_AREA * foreground.size / 4
    return [(labels == index) & foreground for index in range(1, count) if stats[index, cv2.CC_STAT_AREA] >= least]


def _blob(mask: Mask, colours: dict[str, Mask], hsv: Floats) -> Blob:
    height, width = mask.shape
    ys, xs = np.nonzero(mask)
    box = (float(xs.min() / width), float(ys.min() / height), float(xs.max() / width), float(ys.max() / height))
    pixels = int(mask.sum())
    chromatic = int((mask & (hsv[..., 1] > 0.13) & (hsv[..., 2] > 0.12)).sum())
    shares = {name: float((mask & colours[name]).sum()) / pixels for name in _NEUTRALS}
    for name in _HUES:
        shares[name] = float((mask & colours[name]).sum()) / chromatic if chromatic > 0.2 * pixels else 0.0
    return Blob(mask, pixels / mask.size, box, shares)


def _gap(one: Blob, other: Blob) -> float:
    across = max(one.box[0] - other.box[2], other.box[0] - one.box[2], 0.0)
    down = max(one.box[1] - other.box[3], other.box[1] - one.box[3], 0.0)
    return float(np.hypot(across, down))


def _joined(blobs: list[Blob], colours: dict[str, Mask], hsv: Floats, asked: Sequence[str]) -> list[Blob]:
    """Gives specks back to the big neighbour they belong to, unless they have another asked colour of their own."""
    done: list[Blob] = []
    for speck in sorted(blobs, key=lambda blob: -blob.area):
        homes = [blob for blob in done if speck.area < SPECK * blob.area and _gap(speck, blob) < NEAR]
        home = min(homes, key=lambda blob: _gap(speck, blob), default=None)
        own = speck.owner(asked)
        if home is None or (own is not None and own != home.owner(asked)):
            done.append(speck)
        else:
            done[done.index(home)] = _blob(home.mask | speck.mask, colours, hsv)
    return done
