"""The console's audit: calls found and told, the proof checked, records taken along and held."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import pytest
from browsing import LANGUAGES, SCHEMES, Visit, visiting
from clouds import Cloud
from gateway import QUICK, TALK, Gateway, eventually, route, upstream
from playwright.sync_api import Browser, Locator, expect

DEPARTMENT, PERSON = "核医学科", "赵敏"


@dataclass(frozen=True)
class Calls:
    """The request ids of four calls of one department."""

    answered: str
    failed_over: str
    refused: str
    picture: str


def said_by(answer: Any) -> str:
    assert answer.status == 200, answer.body
    return str(answer.headers["request-id"])


def make(gateway: Gateway, what: str, body: dict[str, Any]) -> Any:
    answer = gateway.http("POST", f"/admin/v1/{what}", body)
    assert answer.status == 201, answer.body
    return answer.json


@pytest.fixture(scope="module")
def calls(console: Gateway, cloud: Cloud) -> Calls:
    """Made by the SDKs, with the key of a person in a department of this module's own."""
    make(console, "departments", {"name": DEPARTMENT})
    make(console, "users", {"name": PERSON, "department": DEPARTMENT, "role": "member"})
    key = make(console, "keys", {"name": "工作站 7", "user": PERSON})["key"]
    claude, openai = console.anthropic(key), console.openai(key)
    talk: Any = {
        "model": "claude-opus-4-1",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "片子上是什么？"}],
    }
    cell = cloud.cell("console-talk")
    answered = claude.messages.with_raw_response.create(**talk)
    cell.behaviour = "503"
    try:
        failed_over = claude.messages.with_raw_response.create(**talk)
    finally:
        cell.behaviour = "healthy"
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(**talk | {"max_tokens": -1})
    picture = openai.images.with_raw_response.generate(model="gpt-image-1", prompt="左边红猫，右边蓝车", n=1)
    made = Calls(
        answered.headers["request-id"],
        failed_over.headers["request-id"],
        str(refused.value.response.headers["request-id"]),
        picture.headers["request-id"],
    )
    for call in (made.answered, made.failed_over, made.refused, made.picture):
        console.record(call)
    return made


def row(visit: Visit, call: str) -> Locator:
    return visit.page.locator(f'tr[data-call="{call}"]')


def wish(visit: Visit, field: tuple[str, str], value: str, *, choice: bool = False) -> None:
    """Adds a filter, as people do."""
    page = visit.page
    page.get_by_label(visit.say("条件", "Filter by"), exact=True).select_option(label=visit.say(*field))
    box = page.get_by_label(visit.say("值", "Value"), exact=True)
    if choice:
        box.select_option(label=value)
    else:
        box.fill(value)
        visit.button("添加", "Add").click()


def open_department(visit: Visit) -> None:
    visit.go("/audit")
    wish(visit, ("部门", "Department"), DEPARTMENT)
    expect(visit.page.locator("tr[data-call]")).to_have_count(4)


@pytest.mark.parametrize("language", LANGUAGES)
def test_calls_are_found_by_filters_that_the_address_keeps(
    browser: Browser, console: Gateway, calls: Calls, language: str
) -> None:
    with visiting(browser, console, language) as visit:
        visit.sign_in()
        page = visit.page
        open_department(visit)
        expect(page.get_by_role("status").filter(has_text=visit.say("共 4 条", "4 calls"))).to_be_visible()
        ids = page.locator("tr[data-call]").evaluate_all("rows => rows.map(row => row.dataset.call)")
        assert ids == [calls.picture, calls.refused, calls.failed_over, calls.answered], "the newest first"
        expect(row(visit, calls.failed_over)).to_contain_text(visit.say("降级", "Degraded"))
        expect(row(visit, calls.failed_over)).to_contain_text(visit.say("1 次失败之后", "after 1 fault"))
        expect(row(visit, calls.picture)).to_contain_text(visit.say("1 张图", "1 picture"))
        for field, value, found in (
            (("来源", "Tier"), visit.say("降级", "Degraded"), calls.failed_over),
            (("结果", "Outcome"), visit.say("网关拒绝", "Refused"), calls.refused),
            (("操作", "Operation"), visit.say("画图", "Draw"), calls.picture),
        ):
            wish(visit, field, value, choice=True)
            expect(page.locator("tr[data-call]")).to_have_count(1)
            expect(row(visit, found)).to_be_visible()
            page.reload()
            expect(row(visit, found)).to_be_visible()
            expect(page.locator("tr[data-call]")).to_have_count(1)
            name = f"{visit.say(*field)}: {value}"
            visit.button(f"去掉条件“{name}”", f"Remove the filter “{name}”").click()
            expect(page.locator("tr[data-call]")).to_have_count(4)
        wish(visit, ("请求编号", "Request id"), calls.answered)
        expect(page.locator("tr[data-call]")).to_have_count(1)
        visit.button("全部清除", "Clear all").click()
        visit.button("今天", "Today").click()
        page.wait_for_url(re.compile("range=today"))
        wish(visit, ("密钥", "Key"), "nobody's")
        expect(page.get_by_text(visit.say("没有找到调用", "No calls found"))).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_call_tells_its_whole_story(browser: Browser, console: Gateway, calls: Calls, language: str) -> None:
    with visiting(browser, console, language) as visit:
        visit.sign_in()
        page = visit.page
        open_department(visit)
        row(visit, calls.failed_over).click()
        page.wait_for_url(re.compile(f"/audit/{calls.failed_over}$"))
        story = page.get_by_role("article")
        for chinese, english in (
            (
                "claude没有成功（服务器错误），由 reader（降级）回答。",
                "claude did not succeed (Server error); reader (Degraded)",
            ),
            ("它自己出了错（5xx）。", "It had a fault of its own (5xx)."),
            ("文字问答", "Text"),
            ("没有规则起作用。", "No rule took part."),
            ("回答完整送达。", "The whole answer was delivered."),
            ("没有保留。", "None was kept."),
        ):
            expect(story).to_contain_text(visit.say(chinese, english))
        expect(story.locator("[data-fault]")).to_have_count(2)
        expect(story).to_contain_text(DEPARTMENT)
        expect(story).to_contain_text(console.http("GET", f"/admin/v1/audit/{calls.failed_over}").json["hash"])
        page.get_by_text(visit.say("原始记录（JSON）", "The record itself (JSON)")).click()
        raw = json.loads(story.locator("details pre").inner_text())
        assert (raw["id"], raw["attempts"]) == (calls.failed_over, "claude=server_error,reader=ok")
        page.get_by_role("link", name=visit.say("返回列表", "Back to the list")).click()
        expect(page.locator("tr[data-call]")).to_have_count(4)
        visit.go(f"/audit/{calls.refused}")
        expect(story).to_contain_text(visit.say("没有询问任何目标。", "No target was asked."))
        expect(story).to_contain_text("invalid_request_error")
        visit.go(f"/audit/{calls.picture}")
        expect(story).to_contain_text(visit.say("openai（云端）直接回答。", "openai (Cloud) answered right away."))
        visit.allowed.append("404")
        visit.go("/audit/req_nobody")
        expect(page.get_by_text(visit.say("没有这条记录", "There is no such record"))).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_chain_is_verified_at_the_press_of_a_button(
    browser: Browser, console: Gateway, calls: Calls, language: str
) -> None:
    with visiting(browser, console, language) as visit:
        visit.sign_in()
        visit.go("/audit/verify")
        page = visit.page
        page.get_by_role("button", name=re.compile(visit.say("核对", "Verify"))).click()
        expect(page.get_by_role("heading", name=visit.say("没有任何记录被改动", "Nothing was changed"))).to_be_visible()
        result = eventually(lambda: console.http("GET", "/admin/v1/audit/verify").json.get("result"))
        figure = page.locator("dl.figures > div").filter(has_text=visit.say("记录", "Records")).first
        shown = figure.locator("dd").inner_text()
        assert int(shown.replace(",", "")) == result["records"] >= 4


@pytest.fixture(scope="module")
def tampered(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    """A gateway in whose database one letter of one record was changed, and the id of that record."""
    config = QUICK + upstream("claude", cloud.url("console-audit"), "anthropic", more='probe = "off"')
    config += route("claude-*", TALK, "claude") + '[audit]\ncontent = "redacted"\n'
    config += '[[prices]]\nupstream = "claude"\ninput = 36\noutput = 180\n'
    gateway = Gateway(tmp_path_factory.mktemp("tampered"), config)
    with gateway:
        body = {
            "model": "claude-opus-4-1",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "电话13800138000"}],
        }
        ids = [said_by(gateway.http("POST", "/v1/messages", body)) for _ in range(5)]
        gateway.record(ids[-1])
        gateway.stop()
        with closing(sqlite3.connect(gateway.data / "sampan.db")) as database, database:
            changed = database.execute("UPDATE records SET model = 'claude-opus-4-2' WHERE id = ?", (ids[2],))
            assert changed.rowcount == 1
        gateway.start()
        yield gateway, ids[2]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_changed_letter_is_found_and_named(browser: Browser, tampered: tuple[Gateway, str], language: str) -> None:
    gateway, changed = tampered
    with visiting(browser, gateway, language) as visit:
        visit.sign_in()
        visit.go("/audit/verify")
        page = visit.page
        page.get_by_role("button", name=re.compile(visit.say("核对", "Verify"))).click()
        expect(page.get_by_role("heading", name=re.compile(visit.say("发现 1 处问题", "One problem")))).to_be_visible()
        words = visit.say(f"{changed} 的内容与当初写下的不同", f"{changed} is not what was written")
        expect(page.get_by_role("row").filter(has_text=words)).to_contain_text(visit.say("第 3 条", "Record 3"))
        visit.check_access()
        page.get_by_role("link", name=visit.say("查看这次调用", "Show the call")).click()
        expect(page.get_by_role("article")).to_contain_text("claude-opus-4-2")
        expect(page.get_by_role("article")).to_contain_text(visit.say("已由第 1 个封存签名", "Signed by seal 1"))
        visit.button("查看内容", "Show it").click()
        expect(page.get_by_role("article")).to_contain_text("电话[mobile]")
        expect(page.get_by_role("article")).not_to_contain_text("13800138000")


def test_records_are_exported_with_the_filters_in_force(browser: Browser, console: Gateway, calls: Calls) -> None:
    with visiting(browser, console, "en") as visit:
        visit.sign_in()
        page = visit.page
        open_department(visit)
        visit.button("导出…", "Export…").click()
        found: dict[str, bytes] = {}
        for name in ("CSV table", "JSON lines", "Proof"):
            with page.expect_download() as coming:
                page.get_by_role("link", name=re.compile(f"Download {name}")).click()
            found[name] = Path(coming.value.path()).read_bytes()
        visit.check_access()
    assert found["CSV table"].startswith(b"\xef\xbb\xbf"), "else a spreadsheet misreads Chinese"
    rows = list(csv.DictReader(io.StringIO(found["CSV table"].decode("utf-8-sig"))))
    wanted = [calls.answered, calls.failed_over, calls.refused, calls.picture]
    assert [each["id"] for each in rows] == wanted and {each["department"] for each in rows} == {DEPARTMENT}
    lines = [json.loads(line) for line in found["JSON lines"].splitlines()]
    assert [each["id"] for each in lines] == wanted
    proof = [json.loads(line) for line in found["Proof"].splitlines()]
    assert "start" in proof[0] and {each.get("id") for each in proof} >= set(wanted)


@pytest.mark.parametrize("language", LANGUAGES)
def test_records_are_held_and_let_go(browser: Browser, console: Gateway, language: str) -> None:
    name = f"案件 {language}"
    with visiting(browser, console, language) as visit:
        visit.sign_in()
        visit.go("/audit/holds")
        page = visit.page
        visit.button("新建冻结", "New hold").click()
        dialog = page.get_by_role("dialog", name=visit.say("新建冻结", "New hold"))
        dialog.get_by_label(visit.say("名称", "Name"), exact=True).fill(name)
        dialog.get_by_label(visit.say("部门", "Department"), exact=True).fill(DEPARTMENT)
        dialog.get_by_label(visit.say("从", "From"), exact=True).fill("2026-11-01")
        dialog.get_by_label(visit.say("到（含当天）", "To (that day included)"), exact=True).fill("2026-11-30")
        visit.check_access()
        dialog.get_by_role("button", name=visit.say("冻结", "Hold"), exact=True).click()
        held = page.get_by_role("listitem").filter(has_text=name)
        expect(held).to_contain_text(DEPARTMENT)
        [hold] = [each for each in console.http("GET", "/admin/v1/audit/holds").json["data"] if each["name"] == name]
        assert (hold["until"] - hold["since"], hold["since"] % 86_400) == (30 * 86_400, 16 * 3600), "days of Shanghai"
        held.get_by_role("button").click()
        sure = page.get_by_role("dialog", name=visit.say(f"解除冻结“{name}”", f"Remove the hold “{name}”"))
        expect(sure).to_be_visible()
        visit.check_access()
        sure.get_by_role("button", name=visit.say("解除", "Remove"), exact=True).click()
        expect(held).to_have_count(0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_use_it(browser: Browser, console: Gateway, calls: Calls, scheme: str) -> None:
    with visiting(browser, console, "zh", scheme) as visit:
        visit.sign_in()
        page = visit.page
        open_department(visit)
        visit.button("自定义", "Custom").click()
        expect(page.get_by_label("从", exact=True)).to_be_visible()
        expect(row(visit, calls.picture)).to_be_visible()
        visit.check_access()
        row(visit, calls.failed_over).get_by_role("link").press("Enter")
        expect(page.get_by_role("article")).to_be_visible()
        visit.check_access()
        visit.go("/audit/verify")
        page.get_by_role("button", name=re.compile("核对")).click()
        expect(page.get_by_role("heading", name="没有任何记录被改动")).to_be_visible()
        visit.check_access()
        visit.go("/audit/holds")
        expect(page.get_by_role("heading", name="冻结的记录")).to_be_visible()
        visit.check_access()


def test_on_a_phone_calls_are_cards(browser: Browser, console: Gateway, calls: Calls) -> None:
    with visiting(browser, console, "zh", phone=True) as visit:
        visit.sign_in()
        page = visit.page
        open_department(visit)
        narrow = "document.documentElement.scrollWidth <= innerWidth"
        card = row(visit, calls.failed_over)
        expect(page.locator("thead").first).to_be_hidden()
        assert page.evaluate(narrow), "it must not scroll sideways"
        visit.check_access()
        card.tap()
        expect(page.get_by_role("article")).to_be_visible()
        assert page.evaluate(narrow), "it must not scroll sideways"
        visit.check_access()


def test_who_may_not_audit_sees_no_such_page(browser: Browser, console: Gateway) -> None:
    key = make(console, "keys", {"name": "no auditor", "role": "member"})["key"]
    with visiting(browser, console, "en") as visit:
        visit.sign_in(key)
        expect(visit.page.get_by_role("link", name="Ask", exact=True)).to_be_visible()
        for name in ("Audit", "Usage"):
            expect(visit.page.get_by_role("link", name=name, exact=True)).to_have_count(0)
