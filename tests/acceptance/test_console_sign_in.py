"""Signing in with an account of the house, and what a role is shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import LANGUAGES, visiting
from clouds import Cloud
from fake_oidc import CLIENT, SECRET, FakeProvider
from gateway import QUICK, TALK, Gateway, route, upstream
from playwright.sync_api import Browser, expect

ISSUER = """
[[identity.issuers]]
issuer = "{url}"
audience = "sampan"
role = "groups"
roles = {{ staff = "member", audit = "auditor" }}
name = "preferred_username"
[identity.console]
issuer = "{url}"
client_id = "{client}"
client_secret = "{secret}"
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider().running() as running:
        yield running


@pytest.fixture(scope="module")
def hospital(provider: FakeProvider, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = QUICK + ISSUER.format(url=provider.url, client=CLIENT, secret=SECRET)
    config += upstream("claude", cloud.url("console-sign-in"), "anthropic", more='probe = "off"')
    with Gateway(tmp_path_factory.mktemp("hospital"), config + route("claude-*", TALK, "claude")) as gateway:
        yield gateway


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_account_of_the_house_opens_the_console(
    browser: Browser, hospital: Gateway, provider: FakeProvider, language: str
) -> None:
    provider.person = {"sub": "u-17", "preferred_username": "li.wei", "groups": ["staff"]}
    with visiting(browser, hospital, language) as visit:
        visit.allowed += ["401", f"asked elsewhere: {provider.url}"]
        page = visit.page
        page.goto(hospital.url)
        page.get_by_role("link", name=visit.say("用单位账号登录", "Sign in with your organisation")).click()
        expect(page.get_by_text("li.wei")).to_be_visible()
        names = page.get_by_role("navigation").first.get_by_role("link").all_inner_texts()
        assert names == visit.say("问答 绘图", "Ask Draw").split()
        visit.go("/audit")
        expect(page.get_by_text(visit.say("您没有“审计”页面的权限", "You may not open “Audit”"))).to_be_visible()
        visit.check_access()


def test_each_role_has_the_pages_that_it_may_use(browser: Browser, hospital: Gateway, provider: FakeProvider) -> None:
    provider.person = {"sub": "u-18", "preferred_username": "zhao.min", "groups": ["audit"]}
    with visiting(browser, hospital) as visit:
        visit.allowed += ["401", f"asked elsewhere: {provider.url}"]
        visit.page.goto(hospital.url)
        visit.page.get_by_role("link", name="用单位账号登录").click()
        expect(visit.page.get_by_text("zhao.min")).to_be_visible()
        names = visit.page.get_by_role("navigation").first.get_by_role("link").all_inner_texts()
        assert names == ["用量", "审计"]


def test_a_session_that_ends_asks_for_the_way_in_again(browser: Browser, hospital: Gateway) -> None:
    with visiting(browser, hospital) as visit:
        visit.sign_in()
        visit.page.context.clear_cookies()
        visit.allowed.append("401 .*/admin/v1/usage")
        visit.go("/usage")
        expect(visit.page.get_by_role("heading", name="登录 Sampan")).to_be_visible()
