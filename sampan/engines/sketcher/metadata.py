"""Pictures as bytes: opened with care, written in the asked format, the scene inside.

The scene travels as JSON, deflated and in base64: in a PNG as an iTXt chunk, in JPEG and WebP as the EXIF tag 0x010E
(ImageDescription), which both keep and viewers ignore.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from sampan.engines.upright import UNREADABLE, upright
from sampan.errors import InvalidRequest

PIXELS_MOST = 50_000_000
_KEY = "sampan-scene"
_SCENE_MOST = 1_000_000
_TAG = int(ExifTags.Base.ImageDescription)
_PREFIX = "sampan-scene:"


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture that came in: its pixels (RGB, or RGBA where it has alpha) and the untrusted JSON found inside, if
    any."""

    image: Image.Image
    scene: Any


def open_picture(data: bytes, param: str) -> Opened:
    """Decodes a PNG, JPEG or WebP. Raises InvalidRequest naming `param` for anything broken, foreign or over 50 MP."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
            if image.width * image.height > PIXELS_MOST:
                raise InvalidRequest(f"{param}: pictures of more than 50 megapixels are not read.", param=param)
            scene = _scene(image)
            image.load()
            return Opened(upright(image), scene)
    except UNREADABLE as broken:
        raise InvalidRequest(f"{param}: this is not a readable PNG, JPEG or WebP picture.", param=param) from broken


def _scene(image: Image.Image) -> Any:
    text = image.info.get(_KEY) if image.format == "PNG" else image.getexif().get(_TAG)
    if not isinstance(text, str) or not text.startswith(_PREFIX):
        return None
    try:
        packed = base64.b64decode(text[len(_PREFIX) :].strip("\x00 "), validate=True)
        plain = zlib.decompressobj().decompress(packed, _SCENE_MOST)
        return json.loads(plain)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return None


def write_picture(image: Image.Image, scene: Any, form: str, compression: int | None) -> bytes:
    """The bytes of a picture. `compression` from 0 to 100 is the quality of JPEG and WebP (OpenAI's word for it); a PNG
    is always exact. `scene` is None or JSON values."""
    out = io.BytesIO()
    text = (
        ""
        if scene is None
        else _PREFIX
        + base64.b64encode(
            zlib.compress(json.dumps(scene, ensure_ascii=False, separators=(",", ":")).encode(), 9)
        ).decode()
    )
    if form == "png":
        info = PngImagePlugin.PngInfo()
        if text:
            info.add_itxt(_KEY, text)
        image.save(out, "PNG", pnginfo=info, compress_level=4)
        return out.getvalue()
    exif = Image.Exif()
    if text:
        exif[_TAG] = text
    quality = 90 if compression is None else compression
    if form == "jpeg":
        image.convert("RGB").save(out, "JPEG", quality=max(1, quality), subsampling=0, exif=exif.tobytes())
    else:
        image.save(out, "WEBP", quality=quality, method=2, exif=exif.tobytes())
    return out.getvalue()
