"""Pictures as they leave: upright, without what they say of the place and the hour, and never larger than they may be.

Nothing is decoded to find out whether anything must change: the segments of JPEG, PNG and WebP are read by hand, here.
What was taken along beside the pixels (EXIF with its GPS, XMP, IPTC, comments) is cut out of the container, so that the
pixels stay the same bytes; a colour profile stays. Only a picture that its EXIF turns, or whose format the target does
not take, is decoded and encoded again, by `redraw`, in a process of its own.

Formats: ITU T.81 and JEITA CP-3451 (JPEG, EXIF), https://www.w3.org/TR/png-3/, GIF89a,
https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from sampan.dialects import pictures

MOST_PIXELS = 50_000_000
_OPENERS = {
    "image/jpeg": JpegImageFile,
    "image/png": PngImageFile,
    "image/gif": GifImageFile,
    "image/webp": WebPImageFile,
}
FORMATS = frozenset(_OPENERS)
PATCH = 28  # side of what a vision model counts as one token, in pixels

# What says how the pixels look, beside the critical chunks (those with a capital first letter). All else is told.
_PNG_LOOKS = frozenset(
    {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD", b"hIST", b"pHYs"}
    | {b"sPLT", b"acTL", b"fcTL", b"fdAT"}
)
_WEBP_LOOKS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"ANIM", b"ANMF"})
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # but not a stuffed byte, a restart or a filler
_ORIENTATION = 0x0112


class Unusable(Exception):
    """Why a picture or a PDF cannot be used, in words for the caller; whoever knows the block's path names it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a picture's container says: size in pixels as stored, and whether there is anything to do.

    `turn` is the EXIF orientation (1: upright); `told` that it carries more than pixels and colours.
    """

    media_type: str
    width: int
    height: int
    turn: int = 1
    told: bool = False

    @property
    def patches(self) -> int:
        """Squares of 28 pixels, the common estimate of what a picture costs in tokens."""
        return patches(self.width, self.height)


def patches(width: int, height: int) -> int:
    return -(-width // PATCH) * -(-height // PATCH)


def look(data: bytes, most_pixels: int = MOST_PIXELS) -> Sight:
    """What a JPEG, PNG, GIF or WebP is, without decoding it. Raises `Unusable`, also for one of too many pixels."""
    kind = pictures.media_type(data)
    if kind not in _LOOKS:
        raise Unusable("it is no JPEG, PNG, GIF or WebP")
    try:
        sight = _LOOKS[kind](data)
    except (IndexError, struct.error):
        raise Unusable("it is broken") from None
    if sight.width < 1 or sight.height < 1:
        raise Unusable("it is broken")
    if sight.width * sight.height > most_pixels:
        raise Unusable(f"it has {sight.width}×{sight.height} pixels; the limit is {most_pixels / 1e6:g} megapixels")
    return sight


def strip(data: bytes) -> bytes:
    """The same picture without metadata, pixels and colour profile byte for byte; the same object if there is none.

    Not for one that its EXIF turns: it would lie on its side. Raises `Unusable` for a broken one.
    """
    kind = pictures.media_type(data)
    try:
        if kind == "image/jpeg":
            return _joined(data, (span for span in _jpeg(data) if not _jpeg_tells(data, span)))
        if kind == "image/png":
            return _joined(data, (span for span in _png(data) if not _png_tells(span)))
        if kind == "image/webp":
            return _webp_without(data)
    except (IndexError, struct.error):
        raise Unusable("it is broken") from None
    return data


def redraw(data: bytes, formats: frozenset[str], most_pixels: int = MOST_PIXELS) -> tuple[bytes, str, int, int]:
    """A picture decoded, turned upright and encoded anew: (bytes, media type, width, height). The first frame only.

    JPEG stays JPEG (quality 95), anything else becomes PNG; where `formats` lacks the one, it is the other, on white.
    Raises `Unusable`.
    """
    kind = look(data, most_pixels).media_type
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=(_OPENERS[kind].format or "",))
            if image.width * image.height > most_pixels:
                raise Unusable("it has more pixels than it says")
            profile = image.info.get("icc_profile")
            upright = ImageOps.exif_transpose(image)
            if (kind == "image/jpeg" and kind in formats) or "image/png" not in formats:
                return _as_jpeg(upright, profile)
            return _as_png(upright, profile)
    except (OSError, ValueError, SyntaxError, MemoryError, LookupError, TypeError, struct.error, zlib.error):
        raise Unusable("it cannot be decoded") from None


def _as_jpeg(image: Image.Image, profile: bytes | None) -> tuple[bytes, str, int, int]:
    if image.mode not in ("L", "RGB", "CMYK"):
        deep = image.convert("RGBA")
        white = Image.new("RGBA", deep.size, "white")
        white.alpha_composite(deep)
        image = white.convert("RGB")
    out = io.BytesIO()
    clean = Image.frombytes(image.mode, image.size, image.tobytes())  # an encoder would save what `info` still holds
    clean.save(out, "JPEG", quality=95, subsampling=0, icc_profile=profile)
    return out.getvalue(), "image/jpeg", *clean.size


def _as_png(image: Image.Image, profile: bytes | None) -> tuple[bytes, str, int, int]:
    plain = "transparency" not in image.info and image.mode in ("1", "L", "LA", "RGB", "RGBA", "I;16")
    image = image if plain else image.convert("RGBA")
    out = io.BytesIO()
    clean = Image.frombytes(image.mode, image.size, image.tobytes())
    clean.save(out, "PNG", icc_profile=profile, compress_level=4)
    return out.getvalue(), "image/png", *clean.size


# Containers.


@dataclass(frozen=True, slots=True)
class _Span:
    """One segment or chunk, from `start` to `end`; `name` is a JPEG marker's byte or a chunk's four letters."""

    name: bytes
    start: int
    end: int
    body: int


def _joined(data: bytes, spans: Iterator[_Span]) -> bytes:
    kept = b"".join([data[span.start : span.end] for span in spans])
    return data if len(kept) == len(data) else kept


def _jpeg(data: bytes) -> Iterator[_Span]:
    """Markers up to the picture data; the rest of the file is one span named SOS."""
    yield _Span(b"\xd8", 0, 2, 2)
    at = 2
    while True:
        start = at
        if data[at] != 0xFF:
            raise IndexError
        while data[at] == 0xFF:  # a marker may be filled up with any number of these
            at += 1
        marker = data[at]
        at += 1
        if marker == 0xDA:
            yield _Span(b"\xda", start, _jpeg_end(data, at), at)
            return
        if marker == 0xD9:
            raise IndexError
        end = at if marker in _JPEG_ALONE else at + struct.unpack_from(">H", data, at)[0]
        if end > len(data):
            raise IndexError
        yield _Span(bytes((marker,)), start, end, at + 2)
        at = end


def _jpeg_end(data: bytes, at: int) -> int:
    """Behind the end marker: telephones hide a second picture, and whole films, there."""
    while found := _JPEG_MARKER.search(data, at):
        if data[found.end() - 1] == 0xD9:
            return found.end()
        at = found.end() + struct.unpack_from(">H", data, found.end())[0]  # the header of one more scan
    return len(data)  # cut short; decoders show what there is


def _jpeg_tells(data: bytes, span: _Span) -> bool:
    """Every application segment but those that say how to see the pixels: JFIF, a colour profile, Adobe's transform."""
    marker = span.name[0]
    if marker == 0xFE:
        return True
    if not 0xE0 <= marker <= 0xEF:
        return False
    keep = {0xE0: b"JFIF\x00", 0xE2: b"ICC_PROFILE\x00", 0xEE: b"Adobe"}.get(marker)
    return keep is None or not data.startswith(keep, span.body)


def _look_jpeg(data: bytes) -> Sight:
    width = height = 0
    turn, told = 1, False
    for span in _jpeg(data):
        if span.name[0] in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, span.body + 1)
        elif _jpeg_tells(data, span):
            told = True
            if span.name == b"\xe1" and data.startswith(b"Exif\x00\x00", span.body):
                turn = _turn(data[span.body + 6 : span.end])
        elif span.name == b"\xda" and span.end < len(data):
            told = True
    return Sight("image/jpeg", width, height, turn, told)


def _png(data: bytes) -> Iterator[_Span]:
    """The signature, then chunks, up to IEND."""
    yield _Span(b"", 0, 8, 8)
    at = 8
    while True:
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            raise IndexError
        yield _Span(name, at, end, at + 8)
        if name == b"IEND":
            return
        at = end


def _png_tells(span: _Span) -> bool:
    return span.name[:1].islower() and span.name not in _PNG_LOOKS


def _look_png(data: bytes) -> Sight:
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR":
        raise IndexError
    turn, told, end = 1, False, 0
    for span in _png(data):
        end = span.end
        told = told or _png_tells(span)
        if span.name == b"eXIf":
            turn = _turn(data[span.body : span.end - 4])
    return Sight("image/png", width, height, turn, told or end < len(data))


def _look_gif(data: bytes) -> Sight:
    width, height = struct.unpack_from("<HH", data, 6)
    return Sight("image/gif", width, height)


def _webp(data: bytes) -> Iterator[_Span]:
    """The chunks behind the RIFF header, each padded to an even length."""
    whole = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    at = 12
    while at + 8 <= whole:
        name, size = struct.unpack_from("<4sI", data, at)
        end = at + 8 + size + (size & 1)
        if end > len(data) + 1:  # writers forget the last padding
            raise IndexError
        yield _Span(name, at, min(end, len(data)), at + 8)
        at = end


def _look_webp(data: bytes) -> Sight:
    width = height = 0
    turn, told, end = 1, False, 12
    for span in _webp(data):
        end = span.end
        if span.name == b"VP8X":
            raw = data[span.body + 4 : span.body + 10]
            width, height = (1 + int.from_bytes(raw[at : at + 3], "little") for at in (0, 3))
        elif span.name == b"VP8 " and not width:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, span.body + 6))
        elif span.name == b"VP8L" and not width:
            bits = struct.unpack_from("<I", data, span.body + 1)[0]
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif span.name not in _WEBP_LOOKS:
            told = True
            if span.name == b"EXIF":
                turn = _turn(data[span.body : span.end].removeprefix(b"Exif\x00\x00"))
    return Sight("image/webp", width, height, turn, told or end < len(data))


def _webp_without(data: bytes) -> bytes:
    parts: list[bytes] = []
    for span in _webp(data):
        if span.name not in _WEBP_LOOKS:
            continue
        chunk = data[span.start : span.end]
        if span.name == b"VP8X":
            chunk = chunk[:8] + bytes((chunk[8] & ~0x0C,)) + chunk[9:]  # the flags that promise EXIF and XMP
        parts.append(chunk)
    body = b"".join(parts)
    kept = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    return data if kept == data else kept


def _turn(exif: bytes) -> int:
    """The orientation in the first directory of a TIFF header; 1 where there is none or it makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for index in range(min(count, 512)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * index)
            if tag == _ORIENTATION and kind == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


_LOOKS = {"image/jpeg": _look_jpeg, "image/png": _look_png, "image/gif": _look_gif, "image/webp": _look_webp}
