"""PDFs as ordered sheets, each a picture with its text layer. Runs in a worker: PDFium reads what strangers sent.

A page that has a text layer is given as both: the text is exact where a picture is not, and the picture shows what the
layer does not hold, or hides (figures, stamps, signatures, text in white). A page without pictures and lines of its own
may be given as text alone to a target that cannot see.
"""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from sampan.media.pictures import Unusable

# The library is not typed: its entry points are taken as they are.
_open: Any = pdfium.PdfDocument
_raw: Any = pdfium_c

POINTS_LIMIT = 14_400  # the longest side that the format allows, in points (ISO 32000-1, annex C)
TEXT_LIMIT = 1_000_000  # characters of all text layers together
JPEG_QUALITY = 90
ENOUGH_TEXT = 12  # fewer characters are a stamp or a page number on a scan, not its text


class Sheet(msgspec.Struct, frozen=True):
    """One page. `plain` says that there is nothing on it but its text; `picture` is empty where none was asked for."""

    text: str
    plain: bool
    picture: bytes
    media_type: str
    width: int
    height: int


def sheets(data: bytes, most: int, side: int, *, draw: bool) -> list[Sheet]:
    """Every page in order, its long side `side` pixels at most and drawn only where `draw` says so.

    Raises `Unusable` for a PDF that is locked or broken, or has more than `most` pages: none is left out in silence.
    """
    try:
        document = _open(data)
    except pdfium.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise Unusable("it is protected by a password" if locked else "it is broken") from None
    try:
        count = len(document)
        if count < 1:
            raise Unusable("it has no pages")
        if count > most:
            raise Unusable(f"it has {count} pages and at most {most} can be shown; send it in parts")
        found: list[Sheet] = []
        letters = 0
        for index in range(count):
            try:
                found.append(_sheet(document[index], side, draw=draw))
            except (pdfium.PdfiumError, ValueError, MemoryError):
                raise Unusable(f"its page {index + 1} is broken") from None
            letters += len(found[-1].text)
            if letters > TEXT_LIMIT:
                raise Unusable(f"it has more than {TEXT_LIMIT:,} characters of text; send it in parts")
        return found
    finally:
        document.close()


def _sheet(page: Any, side: int, *, draw: bool) -> Sheet:
    width, height = page.get_size()
    if not (0 < width <= POINTS_LIMIT and 0 < height <= POINTS_LIMIT):
        raise ValueError
    text = _text(page)
    if len("".join(text.split())) < ENOUGH_TEXT:
        text = ""
    plain = bool(text) and _only_text(page)
    if not draw:
        return Sheet(text, plain, b"", "", 0, 0)
    image = page.render(scale=side / max(width, height), draw_annots=True, may_draw_forms=True).to_pil()
    image = image.convert("RGB")
    image.thumbnail((side, side))  # PDFium rounds up
    encoded, media_type = _encode(image, flat=plain)
    return Sheet(text, plain, encoded, media_type, image.width, image.height)


def _text(page: Any) -> str:
    layer = page.get_textpage()
    try:
        count = layer.count_chars()
        if count < 1:
            return ""
        if count > TEXT_LIMIT:
            raise Unusable(f"it has more than {TEXT_LIMIT:,} characters of text; send it in parts")
        text: str = layer.get_text_range()
    finally:
        layer.close()
    lines = text.replace("\x00", "").replace("\ufffe", "").replace("\r\n", "\n").replace("\r", "\n")
    return lines.strip()


def _only_text(page: Any) -> bool:
    """Nothing drawn, pasted or annotated: then a text layer says all there is."""
    if _raw.FPDFPage_GetAnnotCount(page) > 0:
        return False
    return all(
        _raw.FPDFPageObj_GetType(_raw.FPDFPage_GetObject(page, index)) == _raw.FPDF_PAGEOBJ_TEXT
        for index in range(_raw.FPDFPage_CountObjects(page))
    ) and not _hidden(page)


def _hidden(page: Any) -> bool:
    """Whether some text is there but not drawn (mode 3), as over a scan: then what is seen is not what is said."""
    mode_invisible = _raw.FPDF_TEXTRENDERMODE_INVISIBLE
    return any(
        _raw.FPDFTextObj_GetTextRenderMode(_raw.FPDFPage_GetObject(page, index)) == mode_invisible
        for index in range(_raw.FPDFPage_CountObjects(page))
    )


def _encode(image: Image.Image, *, flat: bool) -> tuple[bytes, str]:
    """PNG for letters, JPEG for photographs: each is the smaller one for its kind, and crisp."""
    out = io.BytesIO()
    if flat:
        image.convert("L" if _grey(image) else "RGB").save(out, "PNG", compress_level=6)
        return out.getvalue(), "image/png"
    image.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue(), "image/jpeg"


def _grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()
