"""Pictures and PDFs opened within limits."""

from __future__ import annotations

import io
import zlib

import pytest
from PIL import Image

from sampan.engines.conversation import Paper, Sight
from sampan.engines.qwen_vl.sights import Opener
from sampan.errors import InvalidRequest

WHERE = "messages.0.content.1"


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def pdf(pages: int = 2) -> bytes:
    sheets = [Image.new("RGB", (850, 1100), (250, 80 * number, 0)) for number in range(pages)]
    return encoded(sheets[0], "PDF", save_all=True, append_images=sheets[1:], resolution=100)


def opened(data: bytes) -> Image.Image:
    return Opener().picture(Sight(data, WHERE))


def refused(data: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        opened(data)
    assert caught.value.param == WHERE
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_pictures_are_rgb(kind: str) -> None:
    picture = opened(encoded(Image.new("RGB", (30, 20), "red"), kind))
    assert (picture.mode, picture.size) == ("RGB", (30, 20))


def test_a_turned_picture_is_upright_and_what_is_clear_is_white() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert opened(encoded(Image.new("RGB", (30, 20)), "JPEG", exif=exif)).size == (20, 30)
    assert opened(encoded(Image.new("RGBA", (2, 2), (9, 9, 9, 0)))).getpixel((0, 0)) == (255, 255, 255)


def test_what_is_no_picture_or_too_large_is_refused() -> None:
    whole = encoded(Image.effect_noise((64, 64), 50))
    assert "no picture" in refused(b"not a picture")
    assert "damaged" in refused(whole[: len(whole) // 2])
    head = b"\x89PNG\r\n\x1a\n"
    size = b"IHDR" + (9000).to_bytes(4, "big") + (10).to_bytes(4, "big") + b"\x08\x02\0\0\0"
    chunk = (13).to_bytes(4, "big") + size + zlib.crc32(size).to_bytes(4, "big")
    data = b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")
    assert "9000x10 pixels" in refused(head + chunk + data)


def test_pages_of_a_pdf_are_pictures_at_150_dpi() -> None:
    pages = list(Opener().pages(Paper(pdf(3), WHERE), 3))
    assert [(page.width // 5, page.height // 5) for page in pages] == [(1275 // 5, 1650 // 5)] * 3
    assert [round(page.getpixel((5, 5))[1] / 80) for page in pages] == [0, 1, 2]  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "most", "words"),
    [(pdf(3), 2, "has 3 pages; 2 pictures"), (b"%PDF-1.4 no", 9, "it is broken"), (b"", 9, "it is broken")],
)
def test_a_pdf_that_cannot_be_read_says_why(data: bytes, most: int, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        list(Opener().pages(Paper(data, WHERE), most))
    assert caught.value.param == WHERE
