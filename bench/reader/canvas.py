"""A page that remembers every string drawn on it, so that an exam can prove its expected answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

Face = Literal[
    "sans", "sans-bold", "serif", "serif-bold", "mono", "trad", "trad-bold", "trad-serif", "latin", "latin-bold"
]
Color = tuple[int, int, int]

INK: Color = (24, 24, 28)
WHITE: Color = (255, 255, 255)

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "~/.fonts", "~/.local/share/fonts")

# Index inside Noto's collections: 0 JP, 1 KR, 2 SC, 3 TC; 7 is the monospaced SC face of the sans collection.
_FACES: dict[str, tuple[tuple[str, int], ...]] = {
    "sans": (("NotoSansCJK-Regular.ttc", 2),),
    "sans-bold": (("NotoSansCJK-Bold.ttc", 2),),
    "serif": (("NotoSerifCJK-Regular.ttc", 2),),
    "serif-bold": (("NotoSerifCJK-Bold.ttc", 2),),
    "mono": (("NotoSansCJK-Regular.ttc", 7),),
    "trad": (("NotoSansCJK-Regular.ttc", 3),),
    "trad-bold": (("NotoSansCJK-Bold.ttc", 3),),
    "trad-serif": (("NotoSerifCJK-Regular.ttc", 3),),
    "latin": (("LiberationSerif-Regular.ttf", 0), ("DejaVuSerif.ttf", 0), ("NotoSerifCJK-Regular.ttc", 2)),
    "latin-bold": (("LiberationSerif-Bold.ttf", 0), ("DejaVuSerif-Bold.ttf", 0), ("NotoSerifCJK-Bold.ttc", 2)),
}

_CLOSING = set("\u3001\u3002\u300b\u300d\u300f\u201d\uff0c\uff1b\uff1a\uff1f\uff01\uff09,.;:!?)]%")
_TOKEN = re.compile(r"[A-Za-z0-9$€£#@&'’\"“(\[./\\_:,;\-+%)\]]+ ?|.", re.DOTALL)

_HAN = r"\u3001-\u301f\u3400-\u9fff\uff01-\uff5e"
_TO_WIDE = 0xFEE0  # from ASCII to the full-width form of the same character
_NEAR_HAN = re.compile(rf"(?<=[{_HAN}])[,:;?()]|[,:;?()](?=[{_HAN}])")

AnyFont = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font_file(name: str) -> Path | None:
    """The installed font file called `name`, or None."""
    for folder in _FOLDERS:
        for found in Path(folder).expanduser().rglob(name):
            return found
    return None


def fonts_are_installed() -> bool:
    """Whether real CJK type can be drawn; without it pages still come out, but with empty boxes for glyphs."""
    return all(font_file(name) for name in ("NotoSansCJK-Regular.ttc", "NotoSerifCJK-Regular.ttc"))


@cache
def font(face: str, size: int) -> AnyFont:
    """The first installed font of a face at `size` pixels, else Pillow's own (enough to lay out, not to be read)."""
    for name, index in _FACES[face]:
        path = font_file(name)
        if path is not None:
            return ImageFont.truetype(str(path), size, index=index)
    return ImageFont.load_default(size)


@dataclass(slots=True)
class Page:
    """A picture being drawn, and the strings on it (each paragraph whole, however it was broken into lines)."""

    width: int
    height: int
    paper: Color = WHITE
    strings: list[str] = field(default_factory=list)
    image: Image.Image = field(init=False)
    pen: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (self.width, self.height), self.paper)
        self.pen = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, words: str, size: int = 24, face: Face = "sans", fill: Color = INK, anchor: str = "la"
    ) -> float:
        """Draws one line and returns the x where it ends (for left-anchored text)."""
        words = widened(words, face)
        self.strings.append(words)
        self.pen.text((x, y), words, font=font(face, size), fill=fill, anchor=anchor)
        return x + measure(words, face, size)

    def paragraph(
        self, x: float, y: float, words: str, width: float, size: int = 24, face: Face = "sans", leading: float = 1.6
    ) -> float:
        """Draws text broken to `width` pixels and returns the y below it."""
        words = widened(words, face)
        self.strings.append(words)
        for line in broken(words, width, face, size):
            self.pen.text((x, y), line, font=font(face, size), fill=INK, anchor="la")
            y += size * leading
        return y

    def rule(self, x0: float, y0: float, x1: float, y1: float, width: int = 2, fill: Color = INK) -> None:
        """A straight line."""
        self.pen.line((x0, y0, x1, y1), fill=fill, width=width)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Color | None = None, outline: Color | None = INK
    ) -> None:
        """A rectangle."""
        self.pen.rectangle((x0, y0, x1, y1), fill=fill, outline=outline, width=2)

    def dashes(self, x0: float, x1: float, y: float, fill: Color = INK) -> None:
        """A dashed horizontal line, as on till rolls."""
        for x in range(int(x0), int(x1), 14):
            self.pen.line((x, y, min(x + 8, x1), y), fill=fill, width=2)

    def stamp(self, x: float, y: float, radius: float, words: str, face: Face = "serif-bold") -> None:
        """A round red seal with a star and words under it; its words are not part of what is asked."""
        red = (206, 44, 44)
        self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=red, width=4)
        self.pen.text((x, y - radius * 0.15), "★", font=font("sans", int(radius * 0.6)), fill=red, anchor="mm")
        self.pen.text((x, y + radius * 0.5), words, font=font(face, int(radius * 0.26)), fill=red, anchor="mm")


@dataclass(frozen=True, slots=True)
class Ruling:
    """How a table looks: type, colours, which lines are drawn."""

    size: int = 22
    face: Face = "sans"
    head_face: Face = "sans-bold"
    line: Color | None = INK
    head_fill: Color | None = None
    only_rows: bool = False
    align: str = ""  # one letter a column: l, c, r; missing ones are centred


def widened(words: str, face: str) -> str:
    """Punctuation beside Chinese characters at full width, as typesetters and forms have it."""
    if face in ("mono", "latin", "latin-bold"):
        return words
    return _NEAR_HAN.sub(lambda found: chr(ord(found.group()) + _TO_WIDE), words)


def measure(words: str, face: str, size: int) -> float:
    """Width of a line in pixels."""
    return float(font(face, size).getlength(words))


def broken(words: str, width: float, face: str, size: int) -> list[str]:
    """Breaks text into lines: between Chinese characters, between Latin words, never before closing punctuation."""
    lines, line = [], ""
    for token in _TOKEN.findall(words):
        if token == "\n":
            lines.append(line)
            line = ""
        elif line and measure(line + token.rstrip(), face, size) > width and token[0] not in _CLOSING:
            lines.append(line)
            line = token
        else:
            line += token
    return [*lines, line]


def table(
    page: Page, x: float, y: float, widths: Sequence[float], rows: Sequence[Sequence[str]], tall: float, look: Ruling
) -> float:
    """Draws a table whose first row is its head; returns the y below it."""
    right = x + sum(widths)
    if look.head_fill is not None:
        page.pen.rectangle((x, y, right, y + tall), fill=look.head_fill)
    for number, row in enumerate(rows):
        top, left = y + number * tall, x
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            align = look.align[column] if column < len(look.align) else "c"
            anchor, at = {"l": ("lm", left + 10), "c": ("mm", left + width / 2), "r": ("rm", left + width - 10)}[align]
            if cell:
                page.text(
                    at, top + tall / 2, cell, look.size, look.head_face if number == 0 else look.face, anchor=anchor
                )
            left += width
    bottom = y + tall * len(rows)
    if look.line is not None:
        for number in range(len(rows) + 1):
            page.rule(x, y + number * tall, right, y + number * tall, fill=look.line)
        if not look.only_rows:
            for count in range(len(widths) + 1):
                at = x + sum(widths[:count])
                page.rule(at, y, at, bottom, fill=look.line)
    return bottom


@dataclass(frozen=True, slots=True)
class Document:
    """A drawn document: its pages as pictures, everything written on it, and its facts by name."""

    pages: tuple[Image.Image, ...]
    strings: tuple[str, ...]
    facts: dict[str, str]
    pdf: bytes | None = None


def finished(page: Page, facts: dict[str, str]) -> Document:
    """The document of one page."""
    return Document((page.image,), tuple(page.strings), facts)
