"""A picture becomes a page: found, turned upright, recognised, flattened, its lines put apart where they must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from sampan.engines.reader import geometry
from sampan.engines.reader.ocr import Ocr, Quads, Reading, mostly_cjk
from sampan.engines.reader.page import Box, Line, Matrix, Page, is_cjk
from sampan.engines.reader.picture import Pixels
from sampan.engines.reader.rules import ruled_cells

WORKING_SIDE = 2_600
SMALL_SIDE = 700
TRIAL_LINES = 3
SURE = 0.90
LEAST_SCORE = 0.40


class Stopped(Exception):
    """The caller left while a page was being read; never seen outside the engine."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one pass over a picture found: ordered quads with their readings, and the turn that they are read in."""

    quads: Quads
    readings: tuple[Reading, ...]
    turn: int

    @property
    def score(self) -> float:
        letters = sum(len(reading.text) for reading in self.readings)
        return sum(reading.score * len(reading.text) for reading in self.readings) / letters if letters else 0.0

    @property
    def worth(self) -> float:
        """Characters, each worth more the surer it is: what two looks at one picture are compared by."""
        return sum(len(reading.text) * max(reading.score - 0.5, 0.0) for reading in self.readings)


def see(picture: Pixels, ocr: Ocr, stopped: Callable[[], bool]) -> Page:
    """Reads a picture (RGB). Raises `Stopped` as soon as `stopped()` says so, checked between lines."""
    working, ratio = _working(picture)
    look = _look(working, ocr, stopped)
    if look.score < 0.86:
        better = _look(_enhanced(working), ocr, stopped)
        look = better if better.worth > look.worth * 1.05 else look
    flat = geometry.flattening(look.quads, working, look.turn)
    lines = _lines(look, flat)
    size = _extent(flat, working, lines)
    shift = np.array([[1.0, 0, -size.left], [0, 1.0, -size.top], [0, 0, 1.0]])
    flat = shift @ flat
    lines = _lines(look, flat)
    width, height = size.width, size.height
    back = np.diag([1 / ratio, 1 / ratio, 1.0]) @ np.linalg.inv(flat)
    cells = ruled_cells(_warped(working, flat, width, height), width) if lines else ()
    return Page(tuple(lines), width, height, back, cells)


def _working(picture: Pixels) -> tuple[Pixels, float]:
    """The picture at a size that costs neither memory nor small letters."""
    longest = max(picture.shape[:2])
    if longest > WORKING_SIDE:
        ratio = WORKING_SIDE / longest
        method = cv2.INTER_AREA
    elif longest < SMALL_SIDE:
        ratio = min(2.0, 2 * SMALL_SIDE / longest)
        method = cv2.INTER_CUBIC
    else:
        return picture, 1.0
    return np.asarray(cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=method), dtype=np.uint8), ratio


def _look(picture: Pixels, ocr: Ocr, stopped: Callable[[], bool]) -> _Look:
    _check(stopped)
    found = ocr.detect(picture)
    if len(found) == 0:
        return _Look(found, (), 0)
    turn, known = _turn(picture, found, ocr, stopped)
    quads = geometry.ordered(found, turn)
    script = "".join(reading.text for reading in known.values())
    readings: list[Reading] = []
    for index, quad in enumerate(quads):
        _check(stopped)
        # A page of narrow letters cannot be read squeezed: two such lines are enough to stop trying.
        squeeze = sum(reading.reread for reading in (*known.values(), *readings)) < 2 and mostly_cjk(script)
        readings.append(known[index] if index in known else _read(picture, quad, ocr, squeeze=squeeze))
    return _Look(quads, tuple(readings), turn)


def _turn(picture: Pixels, found: Quads, ocr: Ocr, stopped: Callable[[], bool]) -> tuple[int, dict[int, Reading]]:
    """Which way the text runs: a few lines are read as they seem to lie, then the other ways if that went badly."""
    first, others = (0, (2,)) if not geometry.lies_sideways(found) else (1, (3,))
    best, scores = first, 0.0
    kept: dict[int, Reading] = {}
    for turn in (first, *others, *(t for t in (1, 3) if first == 0)):
        quads = geometry.ordered(found, turn)
        along, across = geometry.sides(quads)
        fit = np.where(along > across * 2, np.minimum(along, across * 14), 0)
        chosen = [int(i) for i in np.argsort(-fit)[:TRIAL_LINES] if fit[i] > 0]
        trial: dict[int, Reading] = {}
        for index in chosen:
            _check(stopped)
            # The first line tells the script: narrow letters cannot be read squeezed, and trying costs another reading.
            squeeze = bool(trial) and mostly_cjk("".join(reading.text for reading in trial.values()))
            trial[index] = ocr.recognise(geometry.crop(picture, quads[index]), squeeze=squeeze)
        weight = sum(len(r.text) for r in trial.values())
        score = sum(r.score * len(r.text) for r in trial.values()) / weight if weight else 0.0
        if score > scores:
            best, scores, kept = turn, score, trial
        if score >= SURE:
            break
    return best, kept


def _read(picture: Pixels, quad: NDArray[np.float32], ocr: Ocr, *, squeeze: bool) -> Reading:
    """One box: as a line, or, where it is tall, as characters written one below another, whichever reads better."""
    piece = geometry.crop(picture, quad)
    height, width = piece.shape[:2]
    if height < width * 1.5:
        return ocr.recognise(piece, squeeze=squeeze)
    stacked = ocr.recognise(_unstacked(piece))
    if stacked.score > 0.85 and len(stacked.text) >= 2:
        return stacked
    turned = ocr.recognise(np.asarray(np.rot90(piece), dtype=np.uint8))
    return stacked if stacked.score >= turned.score else turned


def _unstacked(piece: Pixels) -> Pixels:
    """Characters that stand one below another, laid side by side, so that they read as a line."""
    grey = cv2.cvtColor(piece, cv2.COLOR_RGB2GRAY)
    paper = float(np.median(grey))
    ink = (np.abs(grey.astype(np.float32) - paper) > 50).any(axis=1)
    width = piece.shape[1]
    count = max(1, round(piece.shape[0] / (width * 1.05)))
    runs = _runs(ink, max(2, int(width * 0.12)))
    if not 0.5 * count <= len(runs) <= 1.8 * count:
        edges = np.linspace(0, piece.shape[0], count + 1).astype(int)
        runs = [(int(a), int(b)) for a, b in pairwise(edges)]
    tiles = []
    side = max([width, *(b - a for a, b in runs)])
    for top, bottom in runs:
        tile = np.full((side, width, 3), paper, np.uint8)
        start = (side - (bottom - top)) // 2
        tile[start : start + bottom - top] = piece[top:bottom]
        tiles.append(tile)
    return np.concatenate(tiles, axis=1)


def _runs(ink: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for place in np.flatnonzero(ink):
        if runs and place - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], int(place) + 1)
        else:
            runs.append((int(place), int(place) + 1))
    return runs or [(0, len(ink))]


def _enhanced(picture: Pixels) -> Pixels:
    """Shadows divided out, noise smoothed, contrast stretched."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    ratio = min(1.0, 500 / max(grey.shape))
    small = cv2.resize(grey, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    ground = cv2.medianBlur(cv2.dilate(small, np.ones((5, 5), np.uint8)), 31)
    ground = cv2.resize(ground, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    even = cv2.divide(grey, np.maximum(ground, 1), scale=235)
    smooth = cv2.bilateralFilter(even, 5, 40, 3)
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def _check(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise Stopped


def _lines(look: _Look, flat: Matrix) -> list[Line]:
    lines: list[Line] = []
    if not look.readings:
        return lines
    corners = geometry.carry(look.quads.reshape(-1, 2), flat).reshape(-1, 4, 2)
    for corner, reading in zip(corners, look.readings, strict=True):
        text = reading.text.strip()
        if not text or reading.score < LEAST_SCORE:
            continue
        lead = len(reading.text) - len(reading.text.lstrip())
        shares = reading.centres[lead : lead + len(text)]
        left, right = (corner[0, 0] + corner[3, 0]) / 2, (corner[1, 0] + corner[2, 0]) / 2
        top, bottom = (corner[0, 1] + corner[1, 1]) / 2, (corner[2, 1] + corner[3, 1]) / 2
        if bottom - top > 1.5 * (right - left):
            shares = tuple(0.5 for _ in text)
        box = Box(float(left), float(top), float(max(right, left + 1)), float(max(bottom, top + 1)))
        line = Line(text, box, reading.score, tuple(box.left + share * box.width for share in shares))
        lines.extend(apart(line))
    return lines


def apart(line: Line) -> list[Line]:
    """Splits a line at gaps too wide for a space, so that each part can be a cell or a pair of its own.

    Characters spread out one by one, as in a key written "姓　　名", stay together.
    """
    if len(line.text) < 3 or len(line.centres) != len(line.text):
        return [line]
    inked = [index for index, char in enumerate(line.text) if not char.isspace()]
    pairs = list(pairwise(inked))
    if not pairs:
        return [line]
    expected = [(_share(line.text[a]) + _share(line.text[b])) / 2 for a, b in pairs]
    actual = [line.centres[b] - line.centres[a] for a, b in pairs]
    em = float(np.median([real / want for real, want in zip(actual, expected, strict=True)]))
    em = max(em, line.box.height * 0.35)
    cuts = [b for (a, b), real, want in zip(pairs, actual, expected, strict=True) if real - want * em > 1.6 * em]
    if not cuts:
        return [line]
    parts = [line.part(start, end) for start, end in zip([0, *cuts], [*cuts, len(line.text)], strict=True)]
    parts = [part for part in parts if part.text]
    if sum(len(part.text) == 1 for part in parts) * 2 > len(parts):
        return [line]
    return parts


def _share(char: str) -> float:
    return 1.0 if is_cjk(char) else 0.55


def _extent(flat: Matrix, picture: Pixels, lines: list[Line]) -> Box:
    """The flat page: what the picture's own frame becomes, cut to where there is text, with some margin."""
    height, width = picture.shape[:2]
    corners = np.array([[0.0, 0], [width, 0], [width, height], [0, height]])
    frame = geometry.carry(corners, flat)
    low, high = frame.min(axis=0), frame.max(axis=0)
    if not lines:
        return Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    margin = 0.06 * max(width, height)
    left, top = min(line.box.left for line in lines), min(line.box.top for line in lines)
    right, bottom = max(line.box.right for line in lines), max(line.box.bottom for line in lines)
    return Box(
        max(float(low[0]), left - margin),
        max(float(low[1]), top - margin),
        min(float(high[0]), right + margin),
        min(float(high[1]), bottom + margin),
    )


def _warped(picture: Pixels, flat: Matrix, width: float, height: float) -> NDArray[np.uint8]:
    """The flat page in grey, for looking at its ruled lines only."""
    ratio = min(1.0, 1_500 / max(width, height))
    matrix = np.diag([ratio, ratio, 1.0]) @ flat
    size = (max(int(width * ratio), 8), max(int(height * ratio), 8))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.warpPerspective(
            grey, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255
        ),
        dtype=np.uint8,
    )
