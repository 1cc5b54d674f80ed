"""Pictures as bytes: opened with care, written in the asked format, and in them how they were made.

The provenance is JSON in ASCII: in a PNG the iTXt chunk `sampan-provenance`, in JPEG and WebP the EXIF tag 0x010E
(ImageDescription) after `sampan-provenance:`. It never holds the prompt.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from sampan.engines.qwen_image.scene import Finished, Scene, kept_outside
from sampan.engines.upright import UNREADABLE, upright
from sampan.errors import InternalError, InvalidRequest

PIXELS_MOST = 50_000_000
KEY = "sampan-provenance"
_TAG = int(ExifTags.Base.ImageDescription)


@dataclass(frozen=True, slots=True)
class Made:
    """A finished picture as the shell wants it."""

    data: bytes
    revised_prompt: str
    seed: int
    width: int
    height: int
    format: str
    background: str
    quality: str
    provenance: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How a picture is written. `compression` 0 to 100 is the quality of JPEG and WebP; a WebP of 100 is exact."""

    format: str
    compression: int | None = None

    @property
    def exact(self) -> bool:
        """Whether it keeps every pixel."""
        return self.format == "png" or (self.format == "webp" and self.compression == 100)


def open_picture(data: bytes, param: str) -> Image.Image:
    """Decodes a PNG, JPEG or WebP, upright, to RGB, or RGBA where it has alpha.

    Raises `InvalidRequest` naming `param` for anything broken, foreign or of more than 50 megapixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
            if image.width * image.height > PIXELS_MOST:
                raise InvalidRequest("pictures of more than 50 megapixels are not read", param=param)
            image.load()
            return upright(image)
    except UNREADABLE as broken:
        raise InvalidRequest("is no readable PNG, JPEG or WebP", param=param) from broken


def write(image: Image.Image, form: Form, provenance: Mapping[str, Any] | None) -> bytes:
    """The file of a picture."""
    out = io.BytesIO()
    text = json.dumps(provenance, separators=(",", ":")) if provenance else ""
    if form.format == "png":
        info = PngImagePlugin.PngInfo()
        if text:
            info.add_itxt(KEY, text)
        image.save(out, "PNG", pnginfo=info, compress_level=4)
        return out.getvalue()
    exif = Image.Exif()
    if text:
        exif[_TAG] = f"{KEY}:{text}"
    quality = 90 if form.compression is None else form.compression
    if form.format == "jpeg":
        image.convert("RGB").save(out, "JPEG", quality=max(1, quality), subsampling=0, exif=exif.tobytes())
    else:
        image.save(out, "WEBP", quality=quality, lossless=form.exact, exact=form.exact, method=2, exif=exif.tobytes())
    return out.getvalue()


def read_provenance(data: bytes) -> Any:
    """The provenance in a picture that `write` made, None where there is none."""
    with Image.open(io.BytesIO(data)) as image:
        text = image.info.get(KEY) if image.format == "PNG" else image.getexif().get(_TAG)
    if not isinstance(text, str):
        return None
    return json.loads(text.removeprefix(f"{KEY}:"))


def write_proven(
    scene: Scene, finished: Finished, form: Form, provenance: Mapping[str, Any]
) -> tuple[bytes, Mapping[str, Any]]:
    """The file, and its provenance. Where there was a hole this says what lies outside it, and that is true: a file
    of an exact format is opened again and compared. Raises `InternalError` if it should ever differ.

    `outside_mask` is `equal`, or `equal before jpeg` (or webp) where the format itself changes pixels; `pixels` says
    how many lie outside.
    """
    if finished.kept is None or scene.hole is None:
        return write(finished.image, form, provenance), provenance
    outside = "equal" if form.exact else f"equal before {form.format}"
    told = {**provenance, "outside_mask": outside, "pixels": int((~scene.hole).sum())}
    data = write(finished.image, form, told)
    kept = finished.kept
    if kept and form.exact:
        with Image.open(io.BytesIO(data)) as again:
            kept = kept_outside(scene, np.asarray(again.convert(finished.image.mode)))
    if not kept:
        raise InternalError("the picture outside the mask would not be the one that was sent; it is not handed out")
    return data, told
