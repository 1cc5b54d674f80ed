"""PDFs for the exam: one written by hand with a text layer, one that only holds pictures."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

from bench.reader.canvas import Document


def text_pdf(pages: Sequence[Sequence[str]], facts: dict[str, str]) -> Document:
    """A4 pages of Helvetica lines (the first of all as a title), ISO 32000-1 syntax with one content stream a page."""
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for number, lines in enumerate(pages):
        stream = b"BT /F1 12 Tf 60 780 Td 22 TL\n"
        for index, line in enumerate(lines):
            words = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("latin-1")
            size = 20 if number == index == 0 else 12
            stream += b"/F1 %d Tf (%s) Tj T*\n" % (size, words)
        stream += b"ET"
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    strings = tuple(line for lines in pages for line in lines if line)
    return Document((), strings, facts, _assembled(objects))


def _assembled(objects: Sequence[bytes]) -> bytes:
    body, offsets = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + table + trailer


def picture_pdf(document: Document) -> Document:
    """The same document as a scan: its page pictures at 150 dpi in a PDF without text."""
    sink = BytesIO()
    first, *rest = document.pages
    first.save(sink, "PDF", resolution=150.0, save_all=True, append_images=rest)
    return replace(document, pdf=sink.getvalue())
