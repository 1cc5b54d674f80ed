"""Pictures and PDFs for tests, made on the spot."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Sequence

from PIL import Image, PngImagePlugin

SECRET = b"GPS 39.9042 N 116.4074 E"


def half(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right: one sees which way up it is."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return image.convert(mode)


def exif(turn: int = 1) -> bytes:
    told = Image.Exif()
    told[0x0112] = turn
    told[0x010E] = SECRET.decode()
    gps = told.get_ifd(0x8825)
    gps[1], gps[2] = "N", (39.0, 54.0, 15.0)
    return told.tobytes()


def encoded(image: Image.Image, kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)  # type: ignore[arg-type]
    return out.getvalue()


def noted(turn: int = 1) -> dict[str, bytes]:
    """The same picture as JPEG, PNG and WebP, each with a place, a comment and an orientation in it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET.decode())
    image = half()
    return {
        "image/jpeg": encoded(image, "JPEG", exif=exif(turn), comment=SECRET, quality=95, xmp=b"<x>" + SECRET),
        "image/png": encoded(image, "PNG", exif=exif(turn), pnginfo=text),
        "image/webp": encoded(image, "WEBP", exif=exif(turn), lossless=True, xmp=b"<x>" + SECRET),
    }


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few bytes that promises billions of pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pdf(*pages: str, extra: bytes = b"", box: tuple[int, int] = (300, 200), encrypt: bytes = b"") -> bytes:
    """A PDF with one page for each text; `extra` is drawn on all of them. `encrypt` holds a security dictionary."""
    objects: list[bytes] = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    kids: list[int] = []
    for text in pages:
        content = extra + b" BT /F1 12 Tf 20 150 Td (" + text.encode("latin-1") + b") Tj ET"
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
        objects.append(page % (*box, len(objects)))
        kids.append(len(objects))
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), listed)
    return _file(objects, encrypt)


def _file(objects: Sequence[bytes], encrypt: bytes) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    security = b"/Encrypt %s/ID[<00><00>]" % encrypt if encrypt else b""
    out += b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, security, start)
    return bytes(out)


def locked() -> bytes:
    """A PDF under a password (ISO 32000-1, 7.6.3, revision 2): what it is must not matter, nobody has it."""
    owner = hashlib.md5(b"owner").digest() * 2
    return pdf("secret", encrypt=b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (owner.hex().encode(), b"11" * 32))


def scan(pages: int = 1, size: tuple[int, int] = (850, 1100)) -> bytes:
    """A PDF of pictures, as a scanner makes it."""
    images = [Image.effect_noise(size, 40).convert("RGB") for _ in range(pages)]
    return encoded(images[0], "PDF", save_all=True, append_images=images[1:])
