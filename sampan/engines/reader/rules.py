"""Ruled lines: the boxes that a form or a table draws around its text."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sampan.engines.reader.page import Box

Grey = NDArray[np.uint8]

MOST_CELLS = 600


def ruled_cells(page: Grey, width: float = 0.0) -> tuple[Box, ...]:
    """Boxes closed by ruled lines on an upright grey page; `width` is the flat page's own, to scale them to."""
    scale = (width or page.shape[1]) / page.shape[1]
    ink: Grey = np.asarray(
        cv2.adaptiveThreshold(255 - page, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 25, -8), np.uint8
    )
    level = _strokes(ink, max(24, page.shape[1] // 22), 1)
    plumb = _strokes(ink, 1, max(16, page.shape[0] // 70))
    if not level.any() or not plumb.any():
        return ()
    walls = cv2.dilate(cv2.bitwise_or(level, plumb), np.ones((3, 3), np.uint8))
    walls = cv2.copyMakeBorder(walls, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    count, _, stats, _ = cv2.connectedComponentsWithStats(255 - walls, connectivity=4)
    if count > MOST_CELLS:
        return ()
    area = page.shape[0] * page.shape[1]
    boxes = []
    for left, top, wide, high, filled in stats[1:count].tolist():
        if left <= 1 or top <= 1 or left + wide >= page.shape[1] or top + high >= page.shape[0]:
            continue
        if wide < 12 or high < 10 or filled < 0.75 * wide * high or wide * high > 0.8 * area:
            continue
        boxes.append(Box((left - 2) * scale, (top - 2) * scale, (left + wide) * scale, (top + high) * scale))
    return tuple(boxes)


def _strokes(ink: Grey, wide: int, high: int) -> Grey:
    """What is left of the ink when only straight strokes of that length stay, healed across small breaks."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (wide, high))
    kept = cv2.morphologyEx(ink, cv2.MORPH_OPEN, kernel)
    heal = cv2.getStructuringElement(cv2.MORPH_RECT, (max(1, wide // 2), max(1, high // 2)))
    return np.asarray(cv2.morphologyEx(kept, cv2.MORPH_CLOSE, heal), dtype=np.uint8)
