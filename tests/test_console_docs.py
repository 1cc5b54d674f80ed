"""docs/console.md shows every page, in both languages and both colour schemes; what it shows is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "console.md").read_text(encoding="utf-8")
PICTURES = DOCS / "img" / "console"
PAGES = ("sign-in", "ask", "draw", "overview", "models", "drill", "govern", "usage", "audit")
SHOWN = re.findall(r"\]\(img/console/([\w-]+)\.webp\)", TEXT)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_is_shown(page: str, language: str, scheme: str) -> None:
    assert [name for name in SHOWN if name.startswith(page) and name.endswith(f"-{language}-{scheme}")]


def test_what_is_shown_is_there_and_nothing_else() -> None:
    assert {path.stem for path in PICTURES.iterdir()} == set(SHOWN)
    for path in PICTURES.iterdir():
        with Image.open(path) as picture:
            assert picture.format == "WEBP" and min(picture.size) >= 390 and path.stat().st_size < 250_000, path
