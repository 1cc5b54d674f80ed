"""Bytes to pixels: decoded upright, on white, within limits."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sampan.errors import InvalidRequest

Pixels = NDArray[np.uint8]

MOST_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "MPO")


def decode(data: bytes, where: str) -> Pixels:
    """Decodes a picture to RGB, shape (height, width, 3), turned as its EXIF says, transparent parts white.

    Raises `InvalidRequest` naming `where` for what is no picture, a broken one, or one of more than 50 megapixels
    (told from the header, before anything is decoded).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > MOST_PIXELS:
                raise InvalidRequest(
                    f"{where}: the picture has {image.width}×{image.height} pixels; send at most 50 megapixels",
                    param=where,
                )
            if min(image.size) < 4:
                raise InvalidRequest(
                    f"{where}: the picture has {image.width}×{image.height} pixels; that is too small to read",
                    param=where,
                )
            upright = ImageOps.exif_transpose(image)
            return _on_white(upright)
    except (
        OSError,
        ValueError,
        SyntaxError,
        MemoryError,
        Image.DecompressionBombError,
        IndexError,
        KeyError,
        TypeError,
        EOFError,
    ) as error:
        raise InvalidRequest(
            f"{where}: the picture cannot be decoded ({type(error).__name__}); send PNG, JPEG, WebP or GIF", param=where
        ) from error


def _on_white(image: Image.Image) -> Pixels:
    if image.mode in ("I;16", "I", "F"):
        deep = np.asarray(image, dtype=np.float32)
        top = max(float(deep.max()), 1.0)
        image = Image.fromarray((deep / top * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        white.alpha_composite(rgba)
        image = white
    return np.ascontiguousarray(np.asarray(image.convert("RGB"), dtype=np.uint8))
