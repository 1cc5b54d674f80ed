"""The console's usage: a department's month, what it is made of, its table, and the limits that are nearly spent."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browsing import LANGUAGES, SCHEMES, Visit, visiting
from gateway import Gateway
from playwright.sync_api import Browser, Locator, expect

DEPARTMENT, PERSON, LIMIT = "病理科, 一部", "孙丽", "病理科每天的图"
INPUT_TOKENS, OUTPUT_TOKENS = 11, 7  # what the tests' cloud says of every answer


@pytest.fixture(scope="module")
def used(console: Gateway) -> str:
    """Three answers, a refusal and a picture of one department; returns the name of its key."""
    for what, body in (
        ("departments", {"name": DEPARTMENT}),
        ("users", {"name": PERSON, "department": DEPARTMENT, "role": "member"}),
    ):
        assert console.http("POST", f"/admin/v1/{what}", body).status == 201
    limit = {"what": "pictures", "most": 2, "per": "day", "department": DEPARTMENT}
    assert console.http("PUT", f"/admin/v1/limits/{quote(LIMIT)}", limit).status == 201
    name = "病理工作站"
    key = console.http("POST", "/admin/v1/keys", {"name": name, "user": PERSON}).json["key"]
    talk: Any = {"max_tokens": 50, "messages": [{"role": "user", "content": "你好"}]}
    for model in ("claude-opus-4-1", "claude-opus-4-1", "claude-haiku-4-5"):
        console.anthropic(key).messages.create(model=model, **talk)
    assert (
        console.http("POST", "/v1/messages", talk | {"model": "claude-opus-4-1", "max_tokens": -1}, key=key).status
        == 400
    )
    drawn = console.openai(key).images.with_raw_response.generate(model="gpt-image-1", prompt="船", n=1)
    console.record(drawn.headers["request-id"])
    return name


def line(visit: Visit, name: str) -> Locator:
    return visit.page.locator(f'tr[data-line="{name}"]')


def cells(row: Locator) -> list[str]:
    return [each.strip() for each in row.locator("td").all_inner_texts()]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_departments_month_and_its_table(browser: Browser, console: Gateway, used: str, language: str) -> None:
    with visiting(browser, console, language) as visit:
        visit.sign_in()
        page = visit.page
        page.get_by_role("link", name=visit.say("用量", "Usage"), exact=True).click()
        row = line(visit, DEPARTMENT)
        expect(row).to_be_visible()
        _, calls, unanswered, read, written, pictures, *_ = cells(row)
        # Four answers of the tests' cloud, a picture's among them.
        assert (calls, unanswered, pictures) == ("5", "1", "1")
        assert (read, written) == (str(4 * INPUT_TOKENS), str(4 * OUTPUT_TOKENS))
        with page.expect_download() as coming:
            visit.button("导出 CSV", "Export CSV").click()
        month = console.http("GET", "/admin/v1/usage").json["month"]
        assert coming.value.suggested_filename == visit.say(f"用量-{month}-部门.csv", f"usage-{month}-Department.csv")
        data = Path(coming.value.path()).read_bytes()
        assert data.startswith(b"\xef\xbb\xbf"), "else a spreadsheet misreads Chinese"
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
        assert rows[0][:2] == [visit.say("部门", "Department"), visit.say("调用", "Calls")]
        assert [DEPARTMENT, "5", "1", "44", "28", "1"] in [each[:6] for each in rows]
        assert rows[-1][0] == visit.say("合计", "Total")
        assert int(rows[-1][1]) == sum(int(each[1]) for each in rows[1:-1])

        row.get_by_role("button", name=DEPARTMENT).click()
        expect(line(visit, PERSON)).to_be_visible()
        expect(page.locator("tr[data-line]")).to_have_count(1)
        page.get_by_role("group", name=visit.say("按什么汇总", "Summed by")).get_by_role(
            "button", name=visit.say("请求的模型", "Model asked for")
        ).click()
        expect(line(visit, "claude-haiku-4-5")).to_be_visible()
        page.get_by_role("group", name=visit.say("看什么", "What is shown")).get_by_role(
            "button", name=visit.say("调用", "Calls")
        ).click()
        page.reload()
        expect(line(visit, "claude-opus-4-1")).to_contain_text("40%")
        expect(page.locator("tr[data-line]")).to_have_count(4)
        expect(line(visit, "")).to_contain_text(visit.say("（未能识别）", "(not understood)"))
        days = page.get_by_role("table", name=visit.say("每天的调用", "Calls a day"))
        expect(days.locator("tbody tr").first).to_contain_text(month)
        line(visit, "claude-haiku-4-5").get_by_role("link").click()
        expect(page.locator("tr[data-call]")).to_have_count(1)
        expect(page.locator("tr[data-call]")).to_contain_text("claude-haiku-4-5")


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_months_and_the_limits(browser: Browser, console: Gateway, used: str, language: str) -> None:
    with visiting(browser, console, language) as visit:
        visit.sign_in()
        visit.go("/usage?by=key")
        page = visit.page
        expect(page.locator("tr[data-line]").filter(has_text=used)).to_be_visible()
        bar = page.locator("section.limits li").filter(has_text=LIMIT)
        expect(bar).to_contain_text("50%")
        expect(bar).to_contain_text(visit.say("1 / 2 张图", "1 of 2 pictures"))
        expect(page.get_by_role("link", name=visit.say("管理限额", "Manage limits"))).to_have_attribute(
            "href", "#/govern/limits"
        )
        now = page.get_by_label(visit.say("月份", "Month"), exact=True)
        month = now.input_value()
        visit.button("上个月", "The month before").click()
        expect(page.get_by_text(visit.say("这个月没有调用", "No calls in this month"))).to_be_visible()
        page.wait_for_url(re.compile(r"month=\d{4}-\d\d"))
        now.select_option(month)
        expect(page.locator("tr[data-line]").filter(has_text=used)).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_read_it(browser: Browser, console: Gateway, used: str, scheme: str) -> None:
    with visiting(browser, console, "zh", scheme) as visit:
        visit.sign_in()
        visit.go(f"/usage?department={quote(DEPARTMENT)}")
        expect(line(visit, DEPARTMENT)).to_be_visible()
        expect(visit.page.locator("section.limits li").first).to_be_visible()
        visit.check_access()


def test_it_fits_a_phone(browser: Browser, console: Gateway, used: str) -> None:
    with visiting(browser, console, "zh", phone=True) as visit:
        visit.sign_in()
        visit.go("/usage")
        expect(line(visit, DEPARTMENT)).to_be_visible()
        visit.check_access()
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"
