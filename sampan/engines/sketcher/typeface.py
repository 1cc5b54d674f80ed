"""Sets quoted text in type: Noto Sans SC Bold, cut down to what GB2312, Big5's first level and Latin need."""

from __future__ import annotations

import io
import math
import re

from PIL import Image, ImageDraw, ImageFont

from sampan.engines.sketcher.vocabulary import unpack

_EM = 100
_LEADING = 1.22


class Typeface:
    """Measures and draws text. Fonts are opened per call, for FreeType's faces may not be shared by threads."""

    def __init__(self) -> None:
        self._data = unpack("type.ttf.xz")

    def font(self, size: float) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(io.BytesIO(self._data), max(4, round(size)))

    def aspect(self, text: str) -> float:
        """Width over height of a text when set in its lines."""
        w, h = self._extent(lines(text), self.font(_EM))
        return w / h

    def draw(self, text: str, width: int, height: int, colour: tuple[int, int, int]) -> Image.Image:
        """An RGBA picture of the text, as large as fits."""
        image = Image.new("RGBA", (width, height), (*colour, 0))
        set_in = lines(text)
        w, h = self._extent(set_in, self.font(_EM))
        size = _EM * min(width / w, height / h) * 0.98
        font = self.font(size)
        pen = ImageDraw.Draw(image)
        top = (height - size * _LEADING * len(set_in)) / 2
        for number, line in enumerate(set_in):
            box = font.getbbox(line)
            x = (width - (box[2] - box[0])) / 2 - box[0]
            pen.text(
                (x, top + number * size * _LEADING + size * _LEADING / 2), line, (*colour, 255), font=font, anchor="lm"
            )
        return image

    def _extent(self, set_in: list[str], font: ImageFont.FreeTypeFont) -> tuple[float, float]:
        width = max(font.getbbox(line)[2] - font.getbbox(line)[0] for line in set_in)
        return max(width, _EM * 0.3), _EM * _LEADING * len(set_in)


def lines(text: str) -> list[str]:
    """A text in lines of like length: at most about ten Chinese characters or twenty Latin ones each."""
    given = [" ".join(line.split()) for line in text.splitlines() if line.strip()] or [" "]
    found: list[str] = []
    for line in given:
        length = sum(2 if ord(c) > 0x2E80 else 1 for c in line)
        count = 1 if length <= 22 else math.ceil(math.sqrt(length / 9))
        found += _broken(line, math.ceil(length / count)) if count > 1 else [line]
    return found


def _broken(line: str, most: int) -> list[str]:
    found, now, width = [], "", 0
    for piece in re.findall(r"[\u2e80-\uffff]|[^\s\u2e80-\uffff]+\s*|\s+", line):
        length = sum(2 if ord(c) > 0x2E80 else 1 for c in piece.rstrip())
        if now and width + length > most + 1:
            found.append(now.strip())
            now, width = "", 0
        now += piece
        width += sum(2 if ord(c) > 0x2E80 else 1 for c in piece)
    return [*found, now.strip()] if now.strip() else found
