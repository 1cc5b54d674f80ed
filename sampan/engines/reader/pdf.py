"""PDF pages: their own text with its boxes where they have it, else a picture to be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from sampan.engines.reader.page import Box, Line, Page, is_cjk
from sampan.engines.reader.picture import Pixels
from sampan.engines.reader.rules import ruled_cells
from sampan.errors import InvalidRequest

# The library is not typed: its two entry points are taken as they are.
open_document: Any = pdfium.PdfDocument
get_unicode: Any = vars(pdfium_c)["FPDFText_GetUnicode"]

RENDER_SIDE = 1_754
ENOUGH_TEXT = 12


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page of a PDF: read already (`page`), or a picture with `scale` pixels to a point."""

    page: Page | None
    picture: Pixels | None
    scale: float
    number: int


class Pdf:
    """An open PDF. PDFium is not thread-safe, so every use of it holds the one lock that the reader passes in."""

    def __init__(self, data: bytes, where: str, lock: threading.Lock) -> None:
        self._lock = lock
        self._where = where
        with lock:
            try:
                self._document: Any = open_document(data)
                self.count = len(self._document)
            except pdfium.PdfiumError as error:
                locked = "password" in str(error).lower()
                reason = "it is protected by a password" if locked else "it is broken"
                raise InvalidRequest(f"{where}: the PDF cannot be opened ({reason})", param=where) from error

    def close(self) -> None:
        with self._lock:
            self._document.close()

    def sheets(self, most: int) -> Iterator[Sheet]:
        """The first `most` pages, one by one."""
        for index in range(min(self.count, most)):
            with self._lock:
                try:
                    sheet = self._sheet(index)
                except pdfium.PdfiumError as error:
                    raise InvalidRequest(
                        f"{self._where}: page {index + 1} of the PDF cannot be read", param=self._where
                    ) from error
            yield sheet

    def _sheet(self, index: int) -> Sheet:
        page = self._document[index]
        width, height = page.get_size()
        scale = min(RENDER_SIDE / max(width, height, 1.0), 4.0)
        lines = _lines(page, height)
        bitmap = page.render(scale=scale, draw_annots=True, may_draw_forms=True)
        pixels = np.ascontiguousarray(bitmap.to_numpy()[:, :, :3][:, :, ::-1])
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        if sum(len(line.text) for line in lines) < ENOUGH_TEXT:
            page.close()
            return Sheet(None, pixels, scale, index + 1)
        grey = np.asarray(pixels.mean(axis=2), dtype=np.uint8)
        cells = ruled_cells(grey, width)
        page.close()
        return Sheet(Page(tuple(lines), width, height, np.eye(3), cells, index + 1), None, scale, index + 1)


def _lines(page: Any, height: float) -> list[Line]:
    """Runs of characters on one baseline without a wide gap; PDF counts y from the bottom, a page here from the top."""
    text = page.get_textpage()
    lines: list[Line] = []
    run: list[tuple[str, Box]] = []
    count = text.count_chars()
    for index in range(count):
        char = chr(get_unicode(text.raw, index))
        if char in "\r\n\x00\ufffe" or char == "\u0002":
            _close(run, lines)
            continue
        if char.isspace():
            if run and not run[-1][0].isspace():
                run.append((" ", run[-1][1]))
            continue
        left, bottom, right, top = text.get_charbox(index, loose=True)
        box = Box(left, height - top, right, height - bottom)
        solid = next((b for c, b in reversed(run) if not c.isspace()), None)
        if solid is not None and _apart(solid, box):
            _close(run, lines)
        run.append((char, box))
    _close(run, lines)
    text.close()
    return lines


def _apart(last: Box, box: Box) -> bool:
    size = max(min(last.height, box.height), 1.0)
    level = last.overlap_down(box) > 0.4 * size
    gap = box.left - last.right
    return not level or gap > 1.1 * size or gap < -2 * size


def _close(run: list[tuple[str, Box]], lines: list[Line]) -> None:
    while run and run[-1][0].isspace():
        run.pop()
    if run:
        text = ""
        centres: list[float] = []
        for at, (char, box) in enumerate(run):
            if char.isspace() and (is_cjk(run[at - 1][0]) or is_cjk(run[at + 1][0])):
                gap = run[at + 1][1].left - run[at - 1][1].right
                if gap < 0.4 * box.height:
                    continue
            text += char
            centres.append(box.centre)
        boxes = [box for _, box in run]
        whole = Box(
            min(b.left for b in boxes),
            min(b.top for b in boxes),
            max(b.right for b in boxes),
            max(b.bottom for b in boxes),
        )
        lines.append(Line(text, whole, 1.0, tuple(centres)))
    run.clear()
