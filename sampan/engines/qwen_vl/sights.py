"""Opens the pictures and PDFs of a conversation, within limits, as upright RGB pictures."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator
from typing import Any

import pypdfium2 as pdfium
from PIL import Image, ImageOps, UnidentifiedImageError

from sampan.engines.conversation import Paper, Sight
from sampan.errors import InvalidRequest

SIDE = 8_000  # pixels, Anthropic's own limit
PIXELS = 64_000_000
PICTURES = 100  # of one conversation, the pages of its PDFs among them
_PAGE = 1_754  # pixels along the longer side of a page: A4 at 150 dpi, enough for small print
_POINTS = 72 / 150

# The library is not typed: its entry point is taken as it is.
_open_document: Any = pdfium.PdfDocument


class Opener:
    """Opens for one engine. PDFium is not thread-safe, so one PDF is drawn at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def picture(self, sight: Sight) -> Image.Image:
        """A picture as it is to be looked at: turned as its EXIF says, on white where it lets light through.

        Of one that moves, the first frame. Raises `InvalidRequest`.
        """
        where = sight.where
        try:
            with Image.open(io.BytesIO(sight.data)) as opened:
                _check(opened.width, opened.height, where)
                return _flat(ImageOps.exif_transpose(opened))
        except InvalidRequest:
            raise
        except Image.DecompressionBombError:
            raise _refusal(where, f"the picture has more than {PIXELS:,} pixels") from None
        except UnidentifiedImageError:
            raise _refusal(where, "this is no picture that can be opened") from None
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError, ArithmeticError, LookupError, TypeError):
            # Pillow's decoders raise all of these for files that are cut off or wrong inside.
            raise _refusal(where, "the picture is damaged") from None

    def pages(self, paper: Paper, most: int) -> Iterator[Image.Image]:
        """The pages of a PDF as pictures. Raises `InvalidRequest`, also for more than `most` pages."""
        with self._lock:
            document = self._document(paper)
        try:
            count = len(document)
            if count > most:
                raise _refusal(paper.where, f"the PDF has {count} pages; {most} pictures and pages fit in")
            for index in range(count):
                with self._lock:
                    page = _drawn(document, index, paper.where)
                yield page
        finally:
            with self._lock:
                document.close()

    def _document(self, paper: Paper) -> Any:
        try:
            return _open_document(paper.data)
        except pdfium.PdfiumError as error:
            locked = "password" in str(error).lower()
            reason = "it is protected by a password" if locked else "it is broken"
            raise _refusal(paper.where, f"the PDF cannot be opened ({reason})") from None


def _refusal(where: str, words: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {words}", param=where)


def _check(width: int, height: int, where: str) -> None:
    if max(width, height) > SIDE:
        raise _refusal(where, f"the picture is {width}x{height} pixels; no side may have more than {SIDE}")
    if width * height > PIXELS:
        raise _refusal(where, f"the picture has {width * height:,} pixels; the limit is {PIXELS:,}")


def _flat(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    ground = Image.new("RGB", clear.size, "white")
    ground.paste(clear, mask=clear.getchannel("A"))
    return ground


def _drawn(document: Any, index: int, where: str) -> Image.Image:
    try:
        page = document[index]
        width, height = page.get_size()
        scale = min(1 / _POINTS, _PAGE / max(width, height, 1.0))
        if not math.isfinite(scale) or min(width, height) * scale < 1:
            raise _refusal(where, f"page {index + 1} of the PDF has no size")
        bitmap = page.render(scale=scale, draw_annots=True, may_draw_forms=True)
        drawn: Image.Image = bitmap.to_pil().convert("RGB")
        page.close()
    except pdfium.PdfiumError:
        raise _refusal(where, f"page {index + 1} of the PDF cannot be drawn") from None
    return drawn
