"""PDFs as sheets: text layers, scans, locked and broken ones, and no page left out in silence."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sampan.media import pages
from sampan.media.pages import sheets
from sampan.media.pictures import Unusable
from tests.media.files import locked, pdf, scan

LINE = b" 20 20 200 100 re f "
LETTER = "Total due: 1,234.56 EUR"


def test_a_page_with_a_text_layer_is_text_and_picture() -> None:
    first, second = sheets(pdf(LETTER, "The second page says more"), 20, 1568, draw=True)
    assert (first.text, second.text) == (LETTER, "The second page says more")
    assert first.plain and first.media_type == "image/png"
    assert (first.width, first.height) == (1568, 1046) == Image.open(io.BytesIO(first.picture)).size


def test_a_page_with_a_drawing_is_more_than_its_text() -> None:
    [sheet] = sheets(pdf(LETTER, extra=LINE), 20, 800, draw=True)
    assert sheet.text == LETTER and not sheet.plain and sheet.media_type == "image/jpeg"
    assert max(sheet.width, sheet.height) == 800


def test_a_hidden_layer_is_not_all_there_is() -> None:
    [sheet] = sheets(pdf(LETTER, extra=b" 3 Tr "), 20, 800, draw=False)
    assert sheet.text == LETTER and not sheet.plain


def test_a_scan_is_a_picture() -> None:
    found = sheets(scan(3), 3, 1568, draw=True)
    assert [(page.text, page.plain, page.media_type, page.height) for page in found] == [
        ("", False, "image/jpeg", 1568)
    ] * 3
    assert found[0].picture != found[1].picture


def test_nothing_is_drawn_where_nobody_looks() -> None:
    [sheet] = sheets(pdf(LETTER), 20, 1568, draw=False)
    assert sheet.plain and sheet.picture == b""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (locked(), "protected by a password"),
        (b"%PDF-1.7 nothing", "broken"),
        (pdf(), "broken"),
        (pdf(*["x"] * 21), "has 21 pages and at most 20"),
        (pdf(LETTER, box=(100_000, 10)), "page 1 is broken"),
    ],
)
def test_what_cannot_be_shown_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        sheets(data, 20, 1568, draw=True)


def test_a_page_with_a_note_on_it_is_more_than_its_text() -> None:
    note = b"/Annots[<</Type/Annot/Subtype/Text/Rect[10 10 30 30]/Contents(No!)>>]/Resources"
    [sheet] = sheets(pdf(LETTER).replace(b"/Resources", note), 20, 100, draw=False)
    assert sheet.text == LETTER and not sheet.plain


def test_so_much_text_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "TEXT_LIMIT", 2 * len(LETTER))
    assert len(sheets(pdf(LETTER, LETTER), 20, 100, draw=False)) == 2
    for longer in ([LETTER] * 3, [LETTER * 3]):
        with pytest.raises(Unusable, match="characters of text"):
            sheets(pdf(*longer), 20, 100, draw=False)


@given(st.data())
def test_no_broken_pdf_breaks_us(data: st.DataObject) -> None:
    raw = bytearray(pdf(LETTER, "two", extra=LINE))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = sheets(bytes(raw), 20, 64, draw=True)
    except Unusable:
        return
    assert all(max(sheet.width, sheet.height) <= 64 and sheet.picture for sheet in found)
