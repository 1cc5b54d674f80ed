"""Takes the pictures of docs/console.md: every scene of every page, in both languages and both colour schemes.

    .venv/bin/python scripts/console_screenshots.py            # all of them, ten minutes
    .venv/bin/python scripts/console_screenshots.py ask audit  # the scenes of some pages

A scene is what a generator `scenes(visit)` in tests/acceptance/scenes_<page>.py brings the browser to. The gateway is a
real one with the real CPU engines; the cloud before them is the tests' fake.
"""

from __future__ import annotations

import importlib
import io
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
INTO = ROOT / "docs" / "img" / "console"
QUALITY = 82
WITH_CLOUD = ("overview",)
"""Pages whose scenes make the cloud sick."""

sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "acceptance")]


def pages() -> list[str]:
    """The pages that have scenes, in the order of the menu."""
    found = {path.stem.removeprefix("scenes_") for path in (ROOT / "tests" / "acceptance").glob("scenes_*.py")}
    menu = ["sign_in", "ask", "draw", "overview", "models", "drill", "govern", "usage", "audit"]
    return [page for page in menu if page in found] + sorted(found - set(menu))


def take(visit: Any, path: Path) -> None:
    """One picture of what is to be seen now, once nothing moves and axe has found nothing wrong with it."""
    visit.check_access()
    visit.page.evaluate("document.fonts.ready")
    shot = Image.open(io.BytesIO(visit.page.screenshot(animations="disabled")))
    path.parent.mkdir(parents=True, exist_ok=True)
    shot.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
    print(path.relative_to(ROOT), flush=True)


def main(wanted: list[str]) -> int:
    """Status 1 for a page that has no scenes."""
    if strange := set(wanted) - set(pages()):
        print(f"no scenes of {', '.join(sorted(strange))}; there are {', '.join(pages())}", file=sys.stderr)
        return 1
    browsing, clouds, gateway, house_console = map(
        importlib.import_module, ("browsing", "clouds", "gateway", "house_console")
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        clouds.Cloud() as cloud,
        gateway.Gateway(
            Path(folder), house_console.console_config(cloud), server=house_console.CONSOLE_SERVER
        ) as house,
        sync_playwright() as playwright,
    ):
        house.wait_ready(300.0)
        browser = browsing.open_browser(playwright)
        for page in wanted or pages():
            scenes = importlib.import_module(f"scenes_{page}").scenes
            for language, scheme in itertools.product(browsing.LANGUAGES, browsing.SCHEMES):
                with browsing.visiting(browser, house, language, scheme) as visit:
                    if page != "sign_in":
                        visit.sign_in()
                    for name in scenes(visit, cloud) if page in WITH_CLOUD else scenes(visit):
                        take(visit, INTO / f"{name}-{language}-{scheme}.webp")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
