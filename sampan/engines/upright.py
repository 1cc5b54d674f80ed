"""Pictures that callers sent, as our painters look at them."""

from __future__ import annotations

import struct
import zlib

from PIL import Image, ImageOps

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    MemoryError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are broken, or made to break it."""


def upright(image: Image.Image) -> Image.Image:
    """A loaded picture, turned as its EXIF says; RGBA where anything in it is transparent, else RGB."""
    turned = ImageOps.exif_transpose(image)
    alpha = "A" in turned.getbands() or "transparency" in turned.info
    return turned.convert("RGBA" if alpha else "RGB")
