"""A real browser before a real gateway: signed in, in either language and either colour scheme, and watched.

Whatever a page asks for elsewhere, whatever it prints as an error, and every refusal of its content security policy is
collected; a test that uses `Visit` fails where there was one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import KEY, Gateway
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
LANGUAGES = ("zh", "en")
SCHEMES = ("light", "dark")
DESK = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
PATIENCE = 30_000.0  # milliseconds; only a test that fails waits this long
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def open_browser(playwright: Playwright) -> Browser:
    expect.set_options(timeout=PATIENCE)
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])


class Visit:
    """One person's look at one gateway."""

    def __init__(self, gateway: Gateway, page: Page, language: str) -> None:
        self.gateway = gateway
        self.page = page
        self.language = language
        self.troubles: list[str] = []
        self.allowed: list[str] = []
        """Regular expressions of console errors that a test provokes: the browser prints every status over 399."""
        page.on("console", self._printed)
        page.on("pageerror", lambda error: self.troubles.append(f"uncaught: {error}"))
        page.on("request", self._asked)

    def _printed(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.gateway.url, "data:", "blob:")):
            self.troubles.append(f"asked elsewhere: {request.url}")

    def sign_in(self, key: str = KEY) -> None:
        """By the form, as people do."""
        # Who is not signed in is asked who they are: the one refusal that every visit begins with.
        self.allowed.append(r"401 .*/auth/me")
        self.page.goto(self.gateway.url)
        self.page.get_by_label("密钥" if self.language == "zh" else "Key", exact=True).fill(key)
        self.page.get_by_role("button", name="登录" if self.language == "zh" else "Sign in", exact=True).click()
        expect(self.page.locator("#main")).to_be_visible()
        expect(self.page).to_have_url(re.compile(r"#/[a-z]"))  # the first page, or the one that was asked for

    def go(self, path: str) -> None:
        """To one page of the console, such as `/ask`."""
        self.page.goto(f"{self.gateway.url}/#{path}")

    def say(self, chinese: str, english: str) -> str:
        """The text in the language of this visit."""
        return chinese if self.language == "zh" else english

    def button(self, chinese: str, english: str) -> Locator:
        return self.page.get_by_role("button", name=self.say(chinese, english), exact=True)

    def check_access(self) -> None:
        """axe finds nothing: WCAG 2.2 AA, and its best practices."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "tags => axe.run(document, {runOnly: tags}).then(r => r.violations.map(v => "
            "`${v.id}: ${v.help}: ${v.nodes.map(n => n.target.join(' ') + ' ' + n.html.slice(0, 150)).join(' | ')}`))",
            RULES,
        )
        assert not found, "\n".join(found)

    def settled(self) -> None:
        """Raises AssertionError with what went wrong meanwhile, and forgets it."""
        left = [each for each in self.troubles if not any(re.search(rule, each) for rule in self.allowed)]
        self.troubles.clear()
        assert not left, "\n".join(left)


@contextmanager
def visiting(
    browser: Browser, gateway: Gateway, language: str = "zh", scheme: str = "light", *, phone: bool = False
) -> Iterator[Visit]:
    """A visit that ends in a check that nothing went wrong unseen."""
    context = browser.new_context(
        locale="zh-CN" if language == "zh" else "en-GB",
        timezone_id="Asia/Shanghai",
        color_scheme="dark" if scheme == "dark" else "light",
        viewport=PHONE if phone else DESK,  # type: ignore[arg-type]
        has_touch=phone,
        is_mobile=phone,
        reduced_motion="reduce",
        accept_downloads=True,
    )
    context.set_default_timeout(PATIENCE)
    try:
        visit = Visit(gateway, context.new_page(), language)
        yield visit
        visit.settled()
    finally:
        context.close()
