"""Which way up a page lies and how it leans: from the boxes of its lines.

A page is never warped to be read. Each line is cropped from the picture as it is, and only its box is carried into
flat coordinates by one projective map, found from two vanishing points: the one that the lines of text run to and the
one that upright strokes and rules run to.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sampan.engines.reader.ocr import Quads
from sampan.engines.reader.page import Matrix
from sampan.engines.reader.picture import Pixels

DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
STEEPEST = 0.5


def sides(quads: Quads) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths along and across the reading direction of quads that are ordered by `ordered`."""
    along = np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1) + np.linalg.norm(quads[:, 2] - quads[:, 3], axis=1)
    across = np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1) + np.linalg.norm(quads[:, 2] - quads[:, 1], axis=1)
    return along.astype(np.float64) / 2, across.astype(np.float64) / 2


def ordered(quads: Quads, turn: int) -> Quads:
    """Corners of each quad from the reader's top left, clockwise, if text runs in `DIRECTIONS[turn]`."""
    result = np.empty_like(quads)
    way = np.array(DIRECTIONS[turn])
    for index, quad in enumerate(quads):
        middle = quad.mean(axis=0)
        angles = np.arctan2(quad[:, 1] - middle[1], quad[:, 0] - middle[0])
        ring = quad[np.argsort(angles)]
        edges = np.roll(ring, -1, axis=0) - ring
        lengths = np.linalg.norm(edges, axis=1) + 1e-6
        start = int(np.argmax((edges @ way) / lengths))
        result[index] = np.roll(ring, -start, axis=0)
    return result


def lies_sideways(quads: Quads) -> bool:
    """Whether most of the ink stands in tall boxes, as on a page turned by a quarter."""
    upright = ordered(quads, 0)
    along, across = sides(upright)
    wide = float((along - across)[along > across * 1.5].sum())
    tall = float((across - along)[across > along * 1.5].sum())
    return tall > wide


def crop(picture: Pixels, quad: NDArray[np.float32]) -> Pixels:
    """The line inside an ordered quad, made level."""
    along, across = sides(quad[None])
    width, height = max(round(float(along[0])), 2), max(round(float(across[0])), 2)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(np.ascontiguousarray(quad, dtype=np.float32), target)
    level = cv2.warpPerspective(
        picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(level, dtype=np.uint8)


def flattening(quads: Quads, picture: Pixels, turn: int) -> Matrix:
    """The map from the picture's pixels to flat ones: lines run along x, columns along y, about the same scale."""
    height, width = picture.shape[:2]
    turned = _turning(width, height, turn)
    if len(quads) < 3:
        return turned
    flat = carry(quads.reshape(-1, 2), turned).reshape(-1, 4, 2).astype(np.float32)
    lines = _text_lines(flat)
    if len(lines) < 3:
        return turned
    size = (width, height) if turn % 2 == 0 else (height, width)
    across = _upright_lines(picture, turned, size)
    return _straightening(lines, across, size) @ turned


def carry(points: NDArray[np.floating], matrix: Matrix) -> NDArray[np.float64]:
    """Points (n, 2) through a projective map."""
    whole = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(whole[:, :2] / whole[:, 2:3])


def _turning(width: int, height: int, turn: int) -> Matrix:
    if turn == 1:
        return np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width], [0.0, 0.0, 1.0]])
    if turn == 2:
        return np.array([[-1.0, 0.0, width], [0.0, -1.0, height], [0.0, 0.0, 1.0]])
    if turn == 3:
        return np.array([[0.0, -1.0, height], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return np.eye(3)


def _text_lines(quads: Quads) -> NDArray[np.float64]:
    """Middle lines of the long boxes as segments (n, 4), with those that lean unlike the rest left out."""
    along, across = sides(quads)
    long = quads[(along > across * 3.5) & (along > 40)]
    if len(long) == 0:
        return np.zeros((0, 4))
    left, right = (long[:, 0] + long[:, 3]) / 2, (long[:, 1] + long[:, 2]) / 2
    segments = np.column_stack([left, right]).astype(np.float64)
    angles = _angles(segments)
    weights = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    middle = _weighted_median(angles, weights)
    return np.asarray(segments[np.abs(angles - middle) < 0.14])


def _upright_lines(picture: Pixels, turned: Matrix, size: tuple[int, int]) -> NDArray[np.float64]:
    """Long near-upright edges (rules, borders, the paper's edge) as segments in turned pixels."""
    ratio = min(1.0, 900 / max(picture.shape[:2]))
    grey = cv2.cvtColor(cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    edges = cv2.Canny(cv2.GaussianBlur(grey, (3, 3), 0), 40, 120)
    shortest = int(0.14 * ratio * min(size))
    found = cv2.HoughLinesP(edges, 1, np.pi / 360, 60, minLineLength=max(shortest, 40), maxLineGap=6)
    if found is None:
        return np.zeros((0, 4))
    segments = carry(found.reshape(-1, 2).astype(np.float64) / ratio, turned).reshape(-1, 4)
    lean = np.abs(segments[:, 2] - segments[:, 0]) / (np.abs(segments[:, 3] - segments[:, 1]) + 1e-6)
    return np.asarray(segments[lean < 0.4])


def _angles(segments: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.arctan2(segments[:, 3] - segments[:, 1], segments[:, 2] - segments[:, 0]))


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _straightening(lines: NDArray[np.float64], upright: NDArray[np.float64], size: tuple[int, int]) -> Matrix:
    """Sends both vanishing points to infinity and their directions to the axes, about the picture's middle."""
    half = np.array([size[0], size[1]]) / 2
    scale = float(max(half))
    centred = np.array([[1 / scale, 0, -half[0] / scale], [0, 1 / scale, -half[1] / scale], [0, 0, 1.0]])
    level = _vanishing(lines, centred, 0)
    plumb = _vanishing(upright, centred, 1) if len(upright) >= 3 else None
    if plumb is None:
        plumb = np.array([-level[1], level[0], 0.0])
    horizon = np.cross(level, plumb)
    if abs(horizon[2]) < 1e-6:
        return np.eye(3)
    horizon = horizon / horizon[2]
    if np.hypot(horizon[0], horizon[1]) > STEEPEST:
        level = np.array([level[0], level[1], 0.0])
        plumb = np.array([-level[1], level[0], 0.0])
        horizon = np.array([0.0, 0.0, 1.0])
    project = np.array([[1.0, 0, 0], [0, 1.0, 0], horizon])
    along, down = (project @ level)[:2], (project @ plumb)[:2]
    along, down = along / np.linalg.norm(along), down / np.linalg.norm(down)
    along, down = along * np.sign(along[0] or 1), down * np.sign(down[1] or 1)
    if abs(along[0] * down[1] - along[1] * down[0]) < 0.5:
        return np.eye(3)
    affine = np.eye(3)
    affine[:2, :2] = np.linalg.inv(np.column_stack([along, down]))
    return np.asarray(np.linalg.inv(centred) @ affine @ project @ centred)


def _vanishing(segments: NDArray[np.float64], centred: Matrix, axis: int) -> NDArray[np.float64]:
    """The point that segments run to: their common direction, or a finite point where that fits clearly better."""
    ends = carry(segments.reshape(-1, 2), centred).reshape(-1, 4)
    delta = ends[:, 2:] - ends[:, :2]
    lengths = np.hypot(delta[:, 0], delta[:, 1]) + 1e-9
    slope = delta[:, 1 - axis] / np.where(np.abs(delta[:, axis]) < 1e-9, 1e-9, delta[:, axis])
    keep = np.abs(slope - _weighted_median(slope, lengths)) < 0.2
    ends, slope, lengths = ends[keep], slope[keep], lengths[keep]
    middle = (ends[:, :2] + ends[:, 2:]) / 2
    median = _weighted_median(slope, lengths)
    # The slope of a pencil of lines changes linearly across them, to first order: slope = base + growth·(place at 0).
    place = middle[:, 1 - axis] - slope * middle[:, axis]
    spread = float(place.max() - place.min())
    growth, base = 0.0, median
    if len(slope) >= 5 and spread > 0.35:
        growth, base = _robust_fit(place, slope, lengths)
    if abs(growth) < 0.012:
        growth, base = 0.0, median
    # Lines across = c + (base + growth·c)·t meet where t = -1/growth, across = -base/growth.
    point = np.array([1.0, base, 0.0]) if growth == 0.0 else np.array([-1 / growth, -base / growth, 1.0])
    point = point if axis == 0 else point[[1, 0, 2]]
    return np.asarray(point / np.linalg.norm(point))


def _robust_fit(
    place: NDArray[np.float64], slope: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    weight = weights.copy()
    growth, base = 0.0, 0.0
    for _ in range(6):
        design = np.column_stack([place, np.ones_like(place)]) * weight[:, None]
        solved = np.linalg.lstsq(design, slope * weight, rcond=None)[0]
        growth, base = float(solved[0]), float(solved[1])
        off = np.abs(slope - growth * place - base)
        limit = max(float(np.median(off)) * 2.5, 0.004)
        weight = weights / (1 + (off / limit) ** 2)
    return growth, base
