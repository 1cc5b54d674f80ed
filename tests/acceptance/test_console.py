"""The console's frame: who comes in, what they see, in which language and colours, and what their browser is sent."""

from __future__ import annotations

import gzip

import pytest
from browsing import LANGUAGES, SCHEMES, visiting
from gateway import KEY, Gateway
from playwright.sync_api import Browser, expect

FIRST_LOAD = 250 * 1024  # bytes over the wire: the page, its scripts and styles, up to the first page that is shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_signs_in_by_a_key_and_out_again(browser: Browser, console: Gateway, language: str, scheme: str) -> None:
    with visiting(browser, console, language, scheme) as visit:
        page = visit.page
        page.goto(console.url)
        visit.allowed.append("401")
        expect(page.get_by_role("heading", name=visit.say("登录 Sampan", "Sign in to Sampan"))).to_be_visible()
        assert page.locator("html").get_attribute("data-scheme") == scheme
        visit.check_access()
        page.get_by_label(visit.say("密钥", "Key"), exact=True).fill("sk-sampan-wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        visit.check_access()
        visit.sign_in()
        visit.check_access()
        page.reload()
        expect(page.locator("nav").first).to_be_visible()
        visit.button("退出登录", "Sign out").click()
        expect(page.get_by_role("heading", name=visit.say("登录 Sampan", "Sign in to Sampan"))).to_be_visible()


def test_the_first_load_is_light_and_its_policy_strict(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console) as visit:
        visit.sign_in()
        expect(visit.page.get_by_role("main")).to_be_visible()
        asked = visit.page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    # Browsers take brotli over https only: this is what a house without it sends.
    paths = {"/", *(each.removeprefix(console.url) for each in asked if "/console/" in each)}
    packed = {"accept": "text/html", "accept-encoding": "gzip"}
    sizes = {path: len(console.http("GET", path, key=None, headers=packed).body) for path in paths}
    assert len(sizes) >= 4 and sum(sizes.values()) < FIRST_LOAD, sizes
    page = console.http("GET", "/", key=None, headers={"accept": "text/html"})
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "__NONCE__" not in page.body.decode()
    other = console.http("GET", "/", key=None, headers={"accept": "text/html"})
    assert other.headers["content-security-policy"] != policy, "a nonce is good for one page"
    assert console.http("GET", "/", key=None).json["name"] == "Sampan", "programs are told what this is"


def test_files_are_compressed_once_and_kept_for_good(console: Gateway) -> None:
    page = console.http("GET", "/", key=None, headers={"accept": "text/html"}).body.decode()
    script = page.partition('src="')[2].partition('"')[0]
    plain = console.http("GET", script, key=None)
    packed = console.http("GET", script, key=None, headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert "immutable" in plain.headers["cache-control"]
    assert console.http("GET", "/console/../app.py", key=None).status == 404


def test_language_colours_and_zone_are_kept(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console) as visit:
        visit.sign_in(KEY)
        page = visit.page
        page.get_by_role("button", name="Switch to English").click()
        expect(page.get_by_role("link", name="Ask", exact=True)).to_be_visible()
        page.get_by_role("button", name="Appearance and time zone").click()
        page.get_by_text("Dark", exact=True).click()
        page.reload()
        expect(page.get_by_role("link", name="Ask", exact=True)).to_be_visible()
        assert page.locator("html").get_attribute("data-scheme") == "dark"


def test_on_a_phone_the_menu_opens_from_the_side(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, phone=True) as visit:
        visit.sign_in()
        page = visit.page
        page.get_by_role("button", name="菜单").tap()
        page.get_by_role("link", name="审计").last.tap()
        expect(page).to_have_title("审计 · Sampan")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"
