"""Drills in a real browser: begun, watched to the end, read, and stopped in the middle, on the console's gateway."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from browsing import LANGUAGES, SCHEMES, visiting
from clouds import Cloud
from gateway import QUICK, TALK, Gateway, eventually, is_alive, route, upstream
from playwright.sync_api import Browser, expect

LONG = 240_000.0  # milliseconds: a drill starts a gateway of its own, with its engines


def family(ancestor: int) -> list[int]:
    """All that came of a process, and still runs."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [ancestor]
    for parent in found:
        found += [child for child, its in pairs if its == parent]
    return found[1:]


@pytest.fixture(scope="module")
def pier(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway without engines, whose drill begins at once: a cloud, and a server of the house behind it."""
    config = QUICK + upstream("claude", cloud.url("pier-cloud"), "anthropic", more='probe = "off"')
    config += upstream("reader", cloud.url("pier-home"), "anthropic", location="local", more='probe = "off"')
    with Gateway(tmp_path_factory.mktemp("pier"), config + route("claude-*", TALK, "claude", "reader")) as gateway:
        yield gateway


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_drill_is_run_watched_and_read(browser: Browser, request: pytest.FixtureRequest, language: str) -> None:
    """In Chinese with the real engines, in English without."""
    console: Gateway = request.getfixturevalue("console" if language == "zh" else "pier")
    with visiting(browser, console, language) as visit:
        visit.sign_in()
        visit.go("/drill")
        page = visit.page
        expect(page.get_by_text(visit.say("不会接触真正的云端", "The real clouds are not asked"))).to_be_visible()
        page.get_by_role("radio", name=visit.say("只选几种", "Only some")).check()
        run = visit.button("开始演习", "Run the drill").or_(visit.button("再来一次", "Run it again"))
        expect(run).to_be_disabled()
        page.get_by_role("checkbox", name="529").check()
        page.get_by_label(visit.say("操作", "Operation"), exact=True).select_option("text")
        visit.check_access()
        run.click()
        live = page.get_by_role("region", name=visit.say("演习进行中", "The drill goes on"))
        expect(live).to_be_visible()
        expect(live.get_by_role("table")).to_be_visible(timeout=LONG)
        visit.check_access()
        card = page.get_by_role("region", name=visit.say("记分卡", "Scorecard")).first
        expect(card).to_contain_text(visit.say("所有承诺均已兑现", "Every promise was kept"), timeout=LONG)
        expect(card).to_contain_text("admin")
        visit.check_access()
        card.get_by_role("button", name=visit.say("529 过载", "529 overloaded")).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("reader")
        expect(dialog).to_contain_text("claude-*")
        visit.check_access()
        page.keyboard.press("Escape")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name=visit.say("打开报告", "Open the report")).click()
        expect(opened.value.get_by_role("heading", level=1)).to_have_text(visit.say("舢板演习", "Sampan drill"))
        opened.value.close()
        with page.expect_download() as saved:
            visit.button("下载 JSON", "Download JSON").click()
        assert saved.value.suggested_filename == "drill.json"
    report = console.http("GET", "/admin/v1/drill/report")
    policy = report.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "script" not in policy
    told = console.http("GET", "/admin/v1/drill/scorecard").json["data"][0]
    assert told["only"] == ["529"] and {scene["fault"] for scene in told["card"]["scenes"]} == {"529"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_drill_that_is_stopped_leaves_no_process(browser: Browser, pier: Gateway, scheme: str) -> None:
    before = set(family(pier.pid))
    with visiting(browser, pier, "en", scheme, phone=scheme == "dark") as visit:
        visit.sign_in()
        visit.go("/drill")
        visit.button("Run the drill", "Run the drill").or_(visit.button("Run it again", "Run it again")).click()
        live = visit.page.get_by_role("region", name="The drill goes on")
        expect(live.get_by_role("table")).to_be_visible(timeout=LONG)
        started = set(family(pier.pid)) - before
        assert len(started) >= 4, "a leash, the drill, its gateway's leash, the gateway"
        refused = pier.http("POST", "/admin/v1/drill", {})
        assert refused.status == 400 and "a drill goes on" in refused.json["error"]["message"]
        visit.check_access()
        assert visit.page.evaluate("document.getElementById('main').scrollWidth <= innerWidth")
        live.get_by_role("button", name="Stop the drill").click()
        expect(visit.page.get_by_text("The drill was stopped")).to_be_visible(timeout=LONG)
        visit.check_access()
    eventually(lambda: not any(map(is_alive, started)), what="all that the drill started to end")
