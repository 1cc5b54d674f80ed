"""The overview before a real gateway: what happens to targets, calls and engines is seen without asking again."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import LANGUAGES, SCHEMES, Visit, visiting
from clouds import Cloud
from gateway import Gateway, eventually
from playwright.sync_api import Browser, Locator, expect
from scenes_overview import PATH, ask, scenes, turn

WARM = 240_000.0  # milliseconds: an engine loads its libraries anew


@pytest.fixture(autouse=True)
def healthy(cloud: Cloud, console: Gateway) -> Iterator[None]:
    """The cloud is well, and nothing is isolated, before and after each test."""
    cell = cloud.cell("console-talk")
    cell.behaviour = "healthy"
    yield
    cell.behaviour = "healthy"
    for upstream in ("claude", "reader"):
        for operation in ("text", "vision"):
            console.http("POST", f"/admin/v1/targets/{upstream}/{operation}", {"state": "auto"})
    eventually(lambda: _recovered(console), what="the breaker of claude closes")


def _who(console: Gateway) -> str:
    """Who answers a call by now."""
    body = {"model": "claude-x", "max_tokens": 8, "messages": [{"role": "user", "content": "well?"}]}
    return console.http("POST", "/v1/messages", body).headers.get("x-sampan-upstream", "")


def _recovered(console: Gateway) -> bool:
    return _who(console) == "claude"


def card(visit: Visit, upstream: str) -> Locator:
    return visit.page.get_by_role("article", name=upstream, exact=True).first


def state(visit: Visit, upstream: str, chinese: str, english: str) -> Locator:
    return card(visit, upstream).get_by_text(re.compile(visit.say(chinese, english) + "$")).first


def open_page(visit: Visit) -> None:
    visit.sign_in()
    visit.go("/overview")
    expect(visit.page.get_by_role("heading", name=visit.say("总览", "Overview"), exact=True)).to_be_visible()
    expect(visit.page.get_by_text(visit.say("实时", "Live"), exact=True)).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_outage_is_watched_as_it_comes_and_goes(
    browser: Browser, console: Gateway, cloud: Cloud, language: str
) -> None:
    with visiting(browser, console, language) as visit:
        ask(visit, 1)
        open_page(visit)
        page = visit.page
        expect(state(visit, "claude", "正常", "Closed")).to_be_visible()
        expect(card(visit, "claude").get_by_text(visit.say("现在由它应答", "Answers now"))).to_be_visible()
        cloud.cell("console-talk").behaviour = "500"
        client = console.anthropic()
        for _ in range(6):
            said = client.messages.create(
                model="claude-x", max_tokens=16, messages=[{"role": "user", "content": "still there?"}]
            )
            assert said.content
        expect(state(visit, "claude", "已熔断", "Open")).to_be_visible()
        line = page.get_by_role("list", name=visit.say("故障与接续", "Faults and handovers"))
        fault = visit.say("claude：服务器错误，改由 reader 回答", "claude: server error; reader answered instead")
        expect(line.get_by_text(fault).first).to_be_visible()
        legend = page.get_by_text(re.compile(visit.say("降级", "Degraded") + r" [1-9][\d.]*%"))
        expect(legend).to_be_visible()
        cloud.cell("console-talk").behaviour = "healthy"
        eventually(lambda: _recovered(console), what="a trial that goes well")
        expect(state(visit, "claude", "正常", "Closed")).to_be_visible()
        healed = visit.say("claude 的文字：试探中 → 正常", "claude for text: Half-open → Closed")
        expect(line.get_by_text(healed).first).to_be_visible()
        page.get_by_label(visit.say("类别", "Kind")).select_option("fault")
        expect(line.get_by_text(healed)).to_have_count(0)
        expect(line.get_by_text(fault).first).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_target_is_isolated_by_hand_and_let_go(browser: Browser, console: Gateway, language: str) -> None:
    with visiting(browser, console, language) as visit:
        open_page(visit)
        page = visit.page
        isolate = card(visit, "claude").get_by_role("button", name=visit.say("隔离 claude", "Isolate claude"))
        isolate.click()
        dialog = page.get_by_role("dialog", name=visit.say("把 claude 隔离开？", "Isolate claude?"))
        expect(dialog).to_be_visible()
        visit.check_access()
        dialog.get_by_role("button", name=visit.say("取消", "Cancel")).click()
        expect(state(visit, "claude", "正常", "Closed")).to_be_visible()
        isolate.click()
        page.get_by_role("dialog").get_by_role("button", name=visit.say("隔离", "Isolate"), exact=True).click()
        expect(state(visit, "claude", "已隔离", "Isolated")).to_be_visible()
        assert _who(console) == "reader"
        by = page.get_by_text(re.compile(visit.say("已隔离（操作人：", r"Isolated \(by "))).first
        expect(by).to_be_visible()
        card(visit, "claude").get_by_role("button", name=visit.say("解除隔离", "Release")).click()
        page.get_by_role("dialog").get_by_role("button", name=visit.say("解除隔离", "Release"), exact=True).click()
        expect(state(visit, "claude", "正常", "Closed")).to_be_visible()


def test_an_engine_that_is_killed_is_seen_to_fall_and_to_come_back(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "en") as visit:
        open_page(visit)
        engine = visit.page.locator("[data-engine=sketcher]")
        expect(engine.get_by_text("Warm", exact=True)).to_be_visible()
        os.kill(_engine(console, "sketcher"), signal.SIGKILL)
        expect(visit.page.get_by_text("Engine sketcher: Crashed, restarting").first).to_be_visible()
        expect(visit.page.get_by_text("Engine sketcher is not warm")).to_be_visible()
        expect(engine.get_by_text("Warm", exact=True)).to_be_visible(timeout=WARM)
        expect(engine.get_by_text("Restarts").locator("xpath=following-sibling::dd")).not_to_have_text("0")
        expect(visit.page.get_by_text("Engine sketcher is not warm")).to_have_count(0)


def _engine(console: Gateway, kind: str) -> int:
    """The process id of an engine."""
    for child in console.children:
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if b"sampan.engines.server" in words and kind.encode() in words:
            return child
    raise AssertionError(f"no process of {kind}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lost_stream_is_said_and_found_again_and_can_be_paused(
    browser: Browser, console: Gateway, language: str
) -> None:
    with visiting(browser, console, language) as visit:
        open_page(visit)
        page = visit.page
        visit.allowed.append(r"ERR_INTERNET_DISCONNECTED|ERR_NETWORK")
        page.context.set_offline(True)
        expect(page.get_by_text(visit.say("连接已断开，正在重连", "Connection lost, reconnecting"))).to_be_visible()
        expect(page.get_by_text(re.compile(visit.say("可能已经变化", "may have changed")))).to_be_visible()
        visit.check_access()
        page.context.set_offline(False)
        expect(page.get_by_text(visit.say("实时", "Live"), exact=True)).to_be_visible()
        visit.button("暂停", "Pause").click()
        expect(page.get_by_text(visit.say("已暂停", "Paused"), exact=True)).to_be_visible()
        visit.button("继续", "Resume").click()
        expect(page.get_by_text(visit.say("实时", "Live"), exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_of_it_is_accessible(
    browser: Browser, console: Gateway, cloud: Cloud, language: str, scheme: str
) -> None:
    with visiting(browser, console, language, scheme) as visit:
        visit.sign_in()
        for _ in scenes(visit, cloud if scheme == "dark" else None):
            visit.check_access()
        visit.page.get_by_text(visit.say("以表格显示", "Show as a table")).click()
        expect(visit.page.get_by_role("table")).to_be_visible()
        visit.check_access()


def test_it_is_gone_through_by_keyboard(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "en") as visit:
        turn(visit, "claude", "isolated")
        turn(visit, "claude", "auto")
        open_page(visit)
        page = visit.page
        strip = page.get_by_role("group", name=re.compile("^Timeline: "))
        strip.focus()
        page.keyboard.press("End")
        told = page.locator("[aria-live=polite].told")
        expect(told).to_contain_text("claude for vision: Isolated → Closed (by ")
        page.keyboard.press("ArrowLeft")
        expect(told).to_contain_text("claude for text: Isolated → Closed (by ")
        page.get_by_role("radio", name="24 h").check(force=True)
        expect(page.get_by_role("group", name=re.compile("^Timeline: .* within 24 h"))).to_be_visible()


def test_it_fits_a_phone(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "zh", phone=True) as visit:
        ask(visit, 1)
        open_page(visit)
        expect(card(visit, "claude")).to_be_visible()
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"
        assert visit.page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
        visit.check_access()


def test_it_is_nobodys_who_may_not_operate(browser: Browser, console: Gateway) -> None:
    made = console.http("POST", "/admin/v1/keys", {"name": "overview-member", "role": "member"})
    assert made.status in (200, 201), made.body
    secret = made.json["key"]
    assert console.http("GET", PATH, key=secret).status == 403
    assert console.http("GET", f"{PATH}/events", key=secret).status == 403
    with visiting(browser, console, "en") as visit:
        visit.sign_in(secret)
        expect(visit.page.get_by_role("link", name="Overview")).to_have_count(0)
