"""Real pictures and PDFs through the reader: boxes, turned pages, limits, several callers at once."""

from __future__ import annotations

import io
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageDraw, ImageFont

from sampan.engines.reader import Reader, Source
from sampan.errors import InvalidRequest

SIZE = (900, 640)
PLACES = {
    "Invoice No: BW-2024-118": (60, 60),
    "Date: 12 March 2024": (540, 60),
    "Customer: Harlow Foods": (60, 130),
    "Phone: 555-0142": (540, 130),
    "Total: 1,242.00": (60, 420),
}


def draw(angle: int = 0) -> Image.Image:
    page = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(30)
    for text, place in PLACES.items():
        pen.text(place, text, font=font, fill="black")
    return page.rotate(angle, expand=True, fillcolor="white") if angle else page


def png(page: Image.Image, kind: str = "PNG") -> bytes:
    sink = io.BytesIO()
    page.save(sink, kind)
    return sink.getvalue()


def text_pdf(pages: list[str]) -> bytes:
    """A PDF with a text layer, one line a page, written by hand."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        body = f"BT /F1 18 Tf 72 700 Td ({text}) Tj ET".encode()
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            + f"/Contents {5 + 2 * number} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(body), body))
    out, starts = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        starts.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        len(out),
    )


@pytest.fixture(scope="module")
def reader() -> Reader:
    made = Reader(max_pages=2)
    made.warm_up()
    return made


def ask(reader: Reader, question: str, *sources: Source) -> str:
    return "".join(reader.answer(question, list(sources)))


def box_of(answer: str) -> tuple[int, ...]:
    found = re.search(r"\[(\d+), (\d+), (\d+), (\d+)\]", answer)
    assert found is not None, answer
    return tuple(int(number) for number in found.groups())


@pytest.mark.parametrize("angle", [0, 90, 180, 3])
def test_a_page_is_read_whichever_way_it_lies_and_the_box_is_in_its_own_pixels(reader: Reader, angle: int) -> None:
    page = draw(angle)
    answer = ask(reader, "What is the invoice number?", Source("image", png(page), "m"))
    assert answer.startswith("BW-2024-118")
    left, top, right, bottom = box_of(answer)
    ink = page.crop((left, top, right, bottom)).convert("L").point(lambda grey: 255 * (grey < 128)).getbbox()
    assert ink is not None
    x, y = {0: (60, 60), 90: (60, 900 - 60), 180: (900 - 60, 640 - 60), 3: (60, 60)}[angle]
    assert left - 60 <= x <= right + 60 and top - 60 <= y <= bottom + 60
    assert (right - left) * (bottom - top) < 0.2 * page.width * page.height


def test_two_columns_of_keys_are_told_apart(reader: Reader) -> None:
    answer = ask(reader, "What are the date, the customer and the phone?", Source("image", png(draw()), "m"))
    assert [value for value in ("12 March 2024", "Harlow Foods", "555-0142") if value not in answer] == []


def test_the_answer_names_the_picture_where_there_are_several(reader: Reader) -> None:
    blank = Source("image", png(Image.new("RGB", (300, 200), "white")), "a")
    answer = ask(reader, "What is the total?", blank, Source("image", png(draw()), "b"))
    assert answer.startswith("1,242.00") and "file 2" in answer


def test_a_picture_without_text_is_refused_politely(reader: Reader) -> None:
    answer = ask(reader, "What is the total?", Source("image", png(Image.new("RGB", (300, 200), "white")), "m"))
    assert "No text was recognised" in answer


def test_exif_orientation_is_followed(reader: Reader) -> None:
    sink = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(90).save(sink, "JPEG", exif=exif, quality=95)
    answer = ask(reader, "What is the invoice number?", Source("image", sink.getvalue(), "m"))
    assert answer.startswith("BW-2024-118")
    assert box_of(answer)[0] < 120


def bomb() -> bytes:
    """A PNG whose header claims 10,000 × 10,000 pixels and whose body is a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image", bomb()),
        ("image", b"no picture at all"),
        ("image", png(draw())[:2000]),
        ("pdf", b"%PDF-1.4 broken"),
        ("audio", b"RIFF"),
    ],
)
def test_what_cannot_be_decoded_is_refused_naming_its_block(reader: Reader, kind: str, data: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(reader, "total?", Source(kind, data, "messages.0.content.1"))
    assert caught.value.param == "messages.0.content.1"
    assert "messages.0.content.1" in caught.value.message


def test_a_pdf_with_text_is_answered_from_it_with_its_page_in_points(reader: Reader) -> None:
    data = text_pdf(["Policy number: AB-77", "Renewal date: 2025-03-01"])
    answer = ask(reader, "What is the renewal date?", Source("pdf", data, "m"))
    assert answer.startswith("2025-03-01") and "page 2" in answer
    left, top, _, bottom = box_of(answer)
    assert abs(left - 72) < 4 and top < 792 - 700 < bottom + 4


def test_a_scanned_pdf_is_recognised_and_further_pages_are_owned_up_to(reader: Reader) -> None:
    sink = io.BytesIO()
    draw().save(sink, "PDF", resolution=100, save_all=True, append_images=[draw(), draw()])
    answer = ask(reader, "What is the total?", Source("pdf", sink.getvalue(), "m"))
    assert answer.startswith("1,242.00")
    assert "first 2 of 3 pages" in answer


def test_two_callers_at_once_get_their_own_answers(reader: Reader) -> None:
    first, second = png(draw()), text_pdf(["Policy number: AB-77"])
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(ask, reader, "What is the total?", Source("image", first, "a"))
        other = pool.submit(ask, reader, "What is the policy number?", Source("pdf", second, "b"))
    assert one.result().startswith("1,242.00")
    assert other.result().startswith("AB-77")


def test_a_page_is_read_once(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("image", png(draw()), "m")
    ask(reader, "What is the total?", source)
    monkeypatch.setattr("sampan.engines.reader.reader.decode", lambda *_: pytest.fail("decoded again"))
    assert ask(reader, "What is the date?", source).startswith("12 March 2024")
