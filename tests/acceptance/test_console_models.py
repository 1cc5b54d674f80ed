"""Models in a real browser: promoted under watch, rolled back, fetched, stopped, gone on with, verified and removed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import LANGUAGES, SCHEMES, Visit, visiting
from gateway import Gateway, eventually
from playwright.sync_api import Browser, Locator, expect
from yard import FIRST, SECOND, Yard, opened

from tests.releases.fake_hub import Held

SHORT = 3.0  # seconds of watching at each share: longer than the page waits between two looks


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with opened(tmp_path_factory.mktemp("yard"), watch=SHORT) as made:
        yield made


def engine(gateway: Gateway, name: str) -> Any:
    found = gateway.http("GET", "/admin/v1/models").json["engines"]
    return next(each for each in found if each["name"] == name)


def settled(gateway: Gateway, name: str) -> Any:
    """The engine once nothing is under way on it."""
    return eventually(lambda: (told := engine(gateway, name))["work"] is None and told)


def card(visit: Visit, name: str) -> Locator:
    return visit.page.get_by_role("region", name=name, exact=True)


def ask(visit: Visit, revision: str) -> None:
    """Promotes a tag on `chat` by the page."""
    card(visit, "chat").get_by_role("button", name=visit.say("换发布版本", "Promote")).click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_role("textbox", name=visit.say("版本标签", "Tag of the release")).fill(revision)
    dialog.get_by_role("button", name=visit.say("开始换版", "Start")).click()
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_release_is_promoted_watched_and_rolled_back(browser: Browser, yard: Yard, language: str) -> None:
    good, bad = f"v2-{language}", f"v3-{language}+mute"
    settled(yard.gateway, "chat")
    with visiting(browser, yard.gateway, language) as visit:
        visit.sign_in()
        visit.go("/models")
        page, chat = visit.page, card(visit, "chat")
        before = engine(yard.gateway, "chat")["stable"]["release"]
        expect(chat).to_contain_text(before)
        ask(visit, good)
        step = chat.get_by_role("listitem").filter(has_text=visit.say("分流", "Sharing"))
        expect(step).to_have_attribute("aria-current", "step")
        expect(chat).to_contain_text(visit.say("的调用", "of the calls"))
        expect(chat).to_contain_text(visit.say(f"{good} 已生效", f"{good} is in force"))
        assert engine(yard.gateway, "chat")["stable"]["release"] == good
        ask(visit, bad)
        expect(chat).to_contain_text(visit.say(f"{bad} 已自动换回", f"{bad} was rolled back"))
        expect(chat).to_contain_text("golden probe 'counts'")
        visit.check_access()
        chat.get_by_role("button", name=visit.say("回到上一版本", "Roll back")).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text(before)
        dialog.get_by_role("button", name=visit.say("回到上一版本", "Roll back"), exact=True).click()
        expect(chat).to_contain_text(visit.say(f"已回到 {before}", f"{before} is in force again"))
        chat.get_by_role("button", name=visit.say("历史", "History")).click()
        expect(page.get_by_role("dialog").get_by_role("listitem").first).to_contain_text(before)
        expect(page.get_by_role("dialog")).to_contain_text("golden probe")
        visit.check_access()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(card(visit, "reader")).to_contain_text(visit.say("随舢板一起安装", "It comes with Sampan"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_promotion_is_stopped_by_hand(browser: Browser, yard: Yard, scheme: str) -> None:
    settled(yard.gateway, "chat")
    with visiting(browser, yard.gateway, "zh", scheme) as visit:
        visit.sign_in()
        visit.go("/models")
        ask(visit, "v4+never")
        chat = card(visit, "chat")
        step = chat.get_by_role("listitem").filter(has_text="启动")
        expect(step).to_have_attribute("aria-current", "step")
        visit.check_access()
        chat.get_by_role("button", name="停止并换回").click()
        visit.page.get_by_role("dialog").get_by_role("button", name="停止并换回", exact=True).click()
        expect(chat).to_contain_text("换版已停止")
    told = settled(yard.gateway, "chat")
    assert told["stable"]["release"] != "v4+never" and told["candidate"] is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_is_fetched_stopped_gone_on_with_verified_and_removed(
    browser: Browser, yard: Yard, language: str
) -> None:
    hub = yard.hub
    hub.commit = FIRST if language == "zh" else SECOND
    hub.branches = {"main": hub.commit}
    hub.faults["model.safetensors"] = [Held(2_000_000)]
    hub.holding.clear()
    with visiting(browser, yard.gateway, language) as visit:
        visit.sign_in()
        visit.go("/models")
        page = visit.page
        visit.button("取得模型", "Fetch a model").first.click()
        dialog = page.get_by_role("dialog")
        name = dialog.get_by_label(visit.say("模型名称", "Name of the model"))
        name.fill("no name")
        visit.button("开始取得", "Fetch").click()
        expect(dialog).to_contain_text(visit.say("名称应为 OWNER/NAME", "The name must be OWNER/NAME"))
        visit.check_access()
        name.fill(hub.name)
        visit.button("开始取得", "Fetch").click()
        assert hub.holding.wait(60)
        meter = page.get_by_role("progressbar", name=f"{hub.name}: {visit.say('取得中', 'Fetching')}")
        expect(meter).to_have_attribute("aria-valuenow", re.compile(r"6\d"))  # told a few times a second
        visit.check_access()
        fetches = page.get_by_role("region", name=visit.say("取得进度", "Fetches"))
        fetches.get_by_role("button", name=visit.say("停止", "Stop"), exact=True).click()
        first = fetches.get_by_role("listitem").first
        expect(first).to_contain_text(visit.say("已停止", "Stopped"))
        first.get_by_role("button", name=visit.say("接着取", "Go on")).click()
        expect(fetches.get_by_role("listitem").first).to_contain_text(visit.say("已取得", "Here"))
        assert any(seen.range == "bytes=2000000-" for seen in hub.bytes_requests("model.safetensors"))
        row = page.get_by_role("row").filter(has_text=hub.commit[:12])
        row.get_by_role("button", name=visit.say("校验", "Verify")).click()
        expect(page.get_by_text(visit.say("1 个发布版本的文件都完好", "All files of 1 releases"))).to_be_visible()
        weights = yard.gateway.data / "models" / "Qwen--Tiny" / hub.commit / "model.safetensors"
        weights.write_bytes(bytes(weights.stat().st_size))
        row.get_by_role("button", name=visit.say("校验", "Verify")).click()
        expect(page.get_by_text("model.safetensors: is not the file that was fetched")).to_be_visible()
        visit.check_access()
        here = fetches.get_by_role("listitem").filter(has_text=visit.say("已取得", "Here"))
        before = here.count()  # what others fetched is listed, too
        visit.button("重新取得损坏的文件", "Fetch what is damaged again").click()
        expect(here).to_have_count(before + 1)


def test_a_release_is_removed_unless_somebody_uses_it(browser: Browser, yard: Yard) -> None:
    third = "5" * 40
    yard.have(third, time.time() + 1000)
    with visiting(browser, yard.gateway, "zh") as visit:
        visit.sign_in()
        visit.go("/models")
        page = visit.page
        row = page.get_by_role("row").filter(has_text=third[:12])
        expect(row).to_contain_text("brain")
        expect(row.get_by_role("button", name="删除")).to_be_disabled()
        used = yard.gateway.http("DELETE", f"/admin/v1/models/releases/Qwen--Tiny@{third}")
        assert used.status == 400 and "used by the engine brain" in used.json["error"]["message"]
        yard.have("6" * 40, time.time() + 2000)  # what is loaded next is the newest
        page.reload()
        row.get_by_role("button", name="删除").click()
        page.get_by_role("dialog").get_by_role("button", name="删除", exact=True).click()
        expect(row).to_be_hidden()
    assert not (yard.gateway.data / "models" / "Qwen--Tiny" / third).exists()


def test_on_a_phone_it_fits(browser: Browser, yard: Yard) -> None:
    with visiting(browser, yard.gateway, "zh", "dark", phone=True) as visit:
        visit.sign_in()
        visit.go("/models")
        expect(card(visit, "chat")).to_be_visible()
        visit.check_access()
        assert visit.page.evaluate("document.getElementById('main').scrollWidth <= innerWidth")
        card(visit, "chat").get_by_role("button", name="换发布版本").tap()
        visit.check_access()


def test_who_may_not_operate_sees_nothing_of_it(yard: Yard) -> None:
    made = yard.gateway.http("POST", "/admin/v1/keys", {"name": "member"}).json["key"]
    for method, path in (("GET", ""), ("POST", "/fetch"), ("POST", "/engines/chat/promote")):
        refused = yard.gateway.http(method, f"/admin/v1/models{path}", key=made)
        assert refused.status == 403 and "operate" in json.dumps(refused.json)
