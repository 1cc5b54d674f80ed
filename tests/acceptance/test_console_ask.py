"""The Ask page as people use it: documents read with boxes, streams stopped, clouds sick, files brought, all kept."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import LANGUAGES, Visit, visiting
from cells import Cell
from clouds import Cloud
from gateway import KEY, Gateway
from playwright.sync_api import Browser, Locator, expect

from tests.media.files import pdf

CONTRACT = Path(__file__).parents[2] / "docs" / "img" / "contract.png"
SAID = "the answer of console-talk"
PAPERS = "/console/v1/papers"


@pytest.fixture
def cell(cloud: Cloud) -> Iterator[Cell]:
    """The cloud that stands behind `claude-…`, healthy again afterwards."""
    found = cloud.cell("console-talk")
    found.gate.clear()
    yield found
    found.gate.set()
    found.behaviour = "healthy"


def question(visit: Visit) -> Locator:
    return visit.page.get_by_label(visit.say("问题", "Question"), exact=True)


def choose_model(visit: Visit, name: str) -> None:
    """One that only a pattern of a route knows is written."""
    choice = visit.page.get_by_label(visit.say("模型", "Model"), exact=True)
    choice.select_option(label=visit.say("其他名称…", "Another name…"))
    visit.page.get_by_placeholder(visit.say("模型名称", "Name of the model")).fill(name)
    visit.page.keyboard.press("Enter")
    expect(choice).to_have_value(name)


def begin(visit: Visit, model: str = "") -> None:
    visit.sign_in()
    visit.go("/ask")
    expect(question(visit)).to_be_visible()
    if model:
        choose_model(visit, model)


def ask(visit: Visit, text: str) -> None:
    question(visit).fill(text)
    question(visit).press("Enter")


def answered(visit: Visit, count: int = 1) -> Locator:
    """The last answer, once it and those before it are complete."""
    again = visit.button("再答一次", "Answer again")
    expect(again).to_have_count(count)
    expect(again.last).to_be_enabled()
    return visit.page.get_by_role("region", name=visit.say("回答", "Answer"), exact=True).last


def kept(gateway: Gateway, visit: Visit) -> dict[str, Any]:
    """The conversation that is open, as it is kept."""
    identifier = visit.page.url.rpartition("/")[2]
    reply = gateway.http("GET", f"{PAPERS}/{identifier}")
    assert reply.status == 200, visit.page.url
    found: dict[str, Any] = reply.json
    return found


def hand_over(visit: Visit, kind: str, files: list[tuple[str, str, bytes]]) -> None:
    """Pastes or drops files, as a browser does it."""
    named = [(name, media, base64.b64encode(data).decode()) for name, media, data in files]
    question(visit).evaluate(
        """(element, [kind, files]) => {
            const data = new DataTransfer()
            for (const [name, type, text] of files) {
                data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, {type}))
            }
            const options = {bubbles: true, cancelable: true}
            if (kind === 'paste') element.dispatchEvent(new ClipboardEvent('paste', {...options, clipboardData: data}))
            else for (const name of ['dragenter', 'dragover', 'drop'])
                element.dispatchEvent(new DragEvent(name, {...options, dataTransfer: data}))
        }""",
        [kind, named],
    )


@pytest.mark.parametrize(("language", "scheme"), [("zh", "light"), ("en", "dark")])
def test_the_example_contract_answers_with_boxes(
    browser: Browser, console: Gateway, language: str, scheme: str
) -> None:
    with visiting(browser, console, language, scheme) as visit:
        begin(visit)
        page = visit.page
        expect(visit.button("新会话", "New conversation")).to_be_visible()
        visit.check_access()
        page.get_by_role("button", name=visit.say("签订日期、合同总价", "What are the signing date")).click()
        answer = answered(visit)
        for value in ("2024年6月22日", "163,149.00", "18个月"):
            expect(answer.locator("strong", has_text=value)).to_be_visible()
        facts = answer.get_by_label(visit.say("这个回答的来历", "About this answer"))
        expect(facts).to_contain_text(visit.say("降级", "Degraded"))
        expect(facts).to_contain_text(visit.say("它读文档", "it reads documents"))
        expect(facts.get_by_role("link")).to_have_attribute("href", re.compile(r"#/audit/req_"))
        marks, places = answer.locator("[data-mark]"), answer.locator("[data-place]")
        expect(marks).to_have_count(3)
        expect(answer.locator(".strip")).to_have_count(3)
        # The boxes are where the picture has them, whatever size it is shown in: the date stands right of the middle.
        picture, date = answer.locator("svg image").last.bounding_box(), marks.first.locator("rect").bounding_box()
        assert picture is not None and date is not None
        left = (date["x"] - picture["x"]) / picture["width"]
        top = (date["y"] - picture["y"]) / picture["height"]
        assert abs(left - 697 / 1240) < 0.02 and abs(top - 307 / 1754) < 0.02
        places.nth(1).hover()
        expect(marks.nth(1)).to_have_class(re.compile(r"\blit\b"))
        expect(marks.nth(0)).to_have_class(re.compile(r"\bdim\b"))
        marks.nth(2).hover()
        expect(places.nth(2)).to_have_class(re.compile(r"\blit\b"))
        expect(places.nth(1)).not_to_have_class(re.compile(r"\blit\b"))
        visit.check_access()
        places.nth(0).focus()
        expect(marks.nth(0)).to_have_class(re.compile(r"\blit\b"))
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("[data-mark]")).to_have_count(3)
        expect(dialog.locator("[data-mark]").first).to_have_class(re.compile(r"\blit\b"))
        visit.check_access()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        # What was sent before is asked about again.
        ask(visit, visit.say("第三条说了什么？", "What does clause 3 say?"))
        expect(answered(visit, 2)).to_contain_text("20%")
        expect(answered(visit, 2).locator("[data-mark]")).to_have_count(1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_conversations_are_kept_found_renamed_and_deleted(browser: Browser, console: Gateway, language: str) -> None:
    with visiting(browser, console, language) as visit:
        begin(visit, "claude-kept")
        page, title = visit.page, visit.say("留存的会话甲", "A conversation that is kept")
        ask(visit, title)
        expect(answered(visit)).to_contain_text(SAID)
        expect(page).to_have_url(re.compile(r"#/ask/paper_"))
        paper = kept(console, visit)
        assert paper["title"] == title and paper["body"]["turns"][0]["answers"][0]["text"] == SAID
        page.reload()
        expect(answered(visit)).to_contain_text(SAID)
        expect(page.get_by_label(visit.say("模型", "Model"), exact=True)).to_have_value("claude-kept")
        visit.button("新会话", "New conversation").click()
        expect(answered_none(visit)).to_have_count(0)
        search = page.get_by_label(visit.say("按标题查找", "Find by title"), exact=True)
        search.fill("zzz 没有这样的")
        expect(page.get_by_role("link", name=title)).to_have_count(0)
        search.fill(title[:8])
        page.get_by_role("link", name=title).click()
        expect(answered(visit)).to_contain_text(SAID)
        visit.button(f"重命名 {title}", f"Rename {title}").click()
        renamed = visit.say("改过的名字", "Renamed by hand")
        page.get_by_label(visit.say("标题", "Title"), exact=True).fill(renamed)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(renamed)
        search.fill(renamed)
        visit.button(f"删除 {renamed}", f"Delete {renamed}").click()
        expect(page.get_by_role("alertdialog")).to_contain_text(renamed)
        visit.check_access()
        visit.button("取消", "Cancel").click()
        expect(page.get_by_role("alertdialog")).to_be_hidden()
        visit.button(f"删除 {renamed}", f"Delete {renamed}").click()
        visit.button("删除", "Delete").click()
        expect(page.get_by_role("link", name=renamed)).to_have_count(0)
        expect(page).to_have_url(re.compile(r"#/ask$"))
        assert console.http("GET", f"{PAPERS}/{paper['id']}").status == 404


def answered_none(visit: Visit) -> Locator:
    return visit.page.get_by_role("region", name=visit.say("回答", "Answer"), exact=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_shown_as_they_come_and_can_be_stopped(
    browser: Browser, console: Gateway, cell: Cell, language: str
) -> None:
    cell.behaviour = "gated_middle"
    cell.gone.clear()
    with visiting(browser, console, language) as visit:
        begin(visit, "claude-streams")
        ask(visit, visit.say("慢慢说", "Say it slowly"))
        words = visit.page.get_by_text(SAID)
        expect(words).to_be_visible()
        visit.button("停止", "Stop").click()
        expect(visit.page.get_by_text(visit.say("已停止", "Stopped"), exact=True)).to_be_visible()
        expect(answered(visit)).to_contain_text(SAID)
        assert cell.gone.wait(30), "who stops lets the cloud go"
        visit.page.reload()
        expect(visit.page.get_by_text(visit.say("已停止", "Stopped"), exact=True)).to_be_visible()
        # Once more, and to its end; the stopped answer stays beside it.
        visit.button("再答一次", "Answer again").click()
        expect(visit.button("停止", "Stop")).to_be_visible()
        cell.gate.set()
        answer = answered(visit)
        expect(visit.page.get_by_text(visit.say("已停止", "Stopped"), exact=True)).to_be_hidden()
        expect(answer.locator("[data-fact=tokens]")).to_contain_text("11 → 7")
        expect(answer.locator("[data-fact=model]")).to_have_text("cloud-model")
        visit.button("上一个回答", "Earlier answer").click()
        expect(visit.page.get_by_text(visit.say("已停止", "Stopped"), exact=True)).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sick_cloud_is_owned_up_to_and_another_can_be_asked(
    browser: Browser, console: Gateway, cell: Cell, language: str
) -> None:
    with visiting(browser, console, language) as visit:
        begin(visit, "claude-sick")
        hand_over(visit, "paste", [("contract.png", "image/png", CONTRACT.read_bytes())])
        cell.behaviour = "503"
        question(visit).fill(visit.say("签订日期是哪天？", "What is the signing date?"))
        visit.button("发送", "Send").click()
        answer = answered(visit)
        expect(answer).to_contain_text("2024年6月22日")
        attempts = answer.locator("[data-fact=attempts]")
        expect(attempts).to_contain_text(
            re.compile(visit.say("claude 服务器错误.*reader 已回答", "claude server error.*reader answered"))
        )
        visit.check_access()
        cell.behaviour = "healthy"
        menu = visit.button("换一个回答", "Ask another")
        menu.focus()
        visit.page.keyboard.press("Enter")
        items = visit.page.get_by_role("menuitem")
        expect(items.first).to_be_focused()
        expect(visit.page.get_by_role("menu")).to_contain_text("reader")
        visit.check_access()
        visit.page.keyboard.press("Escape")
        expect(menu).to_be_focused()
        menu.click()
        items.filter(has_text=re.compile("^reader")).click()
        expect(visit.page.get_by_text("2 / 2")).to_be_visible()
        expect(answered(visit).locator("[data-mark]")).to_have_count(1)
        turn = kept(console, visit)["body"]["turns"][0]
        assert [each["asked"] for each in turn["answers"]] == ["claude-sick", "reader"]


def test_pictures_and_pdfs_come_by_drop_paste_and_choice(browser: Browser, console: Gateway) -> None:
    document = pdf("Invoice date: 2026-03-05", "Total amount: 120.00 EUR", box=(400, 300))
    with visiting(browser, console, "en") as visit:
        begin(visit, "reader")
        page = visit.page
        hand_over(visit, "drop", [("offer: 1.pdf", "application/pdf", document)])
        files = page.get_by_role("list", name="Files to be sent")
        expect(files).to_contain_text("offer_ 1.pdf")
        hand_over(visit, "paste", [("note.txt", "text/plain", b"a")])
        expect(files.get_by_role("alert")).to_have_text("Only pictures and PDFs can be asked about.")
        expect(visit.button("", "Send")).to_be_disabled()
        visit.button("", "Remove note.txt").click()
        ask(visit, "What is the total amount?")
        answer = answered(visit)
        expect(answer).to_contain_text("120.00")
        expect(answer.locator(".where")).to_contain_text("page 2")
        link = page.get_by_role("link", name="Download offer_ 1.pdf")
        with page.expect_download() as download:
            link.click()
        assert Path(download.value.path()).read_bytes() == document
        with page.expect_file_chooser() as chooser:
            visit.button("", "Add pictures or PDFs").click()
        chooser.value.set_files([CONTRACT])
        expect(files.locator("img")).to_be_visible()
        ask(visit, "What is the signing date?")
        expect(answered(visit, 2).locator("[data-mark]")).to_have_count(1)
        visit.button("", "Enlarge contract.png").click()
        expect(page.get_by_role("dialog").locator("image")).to_be_visible()
        page.keyboard.press("Escape")
        # What a deleted conversation held is gone with it.
        held = [each["file"] for turn in kept(console, visit)["body"]["turns"] for each in turn["files"]]
        visit.button("", "Delete What is the total amount?").first.click()
        with page.expect_response(lambda answer: answer.url.endswith(held[-1]) and answer.request.method == "DELETE"):
            visit.button("", "Delete").click()
        assert console.http("GET", f"/console/v1/files/{held[-1]}").status == 404


def test_a_conversation_is_exported(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console) as visit:
        begin(visit, "claude-export")
        ask(visit, "导出这一句")
        expect(answered(visit)).to_contain_text(SAID)
        made = {}
        for form in ("Markdown", "JSON"):
            visit.button("导出会话", "").click()
            with visit.page.expect_download() as download:
                visit.page.get_by_role("menuitem", name=form).click()
            made[form] = Path(download.value.path()).read_text(encoding="utf-8")
            assert download.value.suggested_filename.startswith("导出这一句.")
        assert made["Markdown"].startswith("# 导出这一句\n\n## 问 · ") and SAID in made["Markdown"]
        assert json.loads(made["JSON"])["turns"][0]["answers"][0]["told"]["tier"] == "cloud"


def test_what_the_gateway_refuses_is_said_in_its_words(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "en") as visit:
        visit.allowed.append(r"404 .*/v1/messages")
        begin(visit, "no-such-model")
        ask(visit, "Anybody there?")
        answer = answered(visit)
        expect(answer.get_by_role("alert")).to_contain_text("model: no route for 'no-such-model'")
        expect(answer.get_by_role("alert")).to_contain_text("req_")
        visit.check_access()
        choose_model(visit, "claude-refused")
        ask(visit, "And now?")
        expect(answered(visit, 2)).to_contain_text(SAID)


def test_what_another_window_changed_is_not_written_over(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "en") as visit:
        visit.allowed.append(r"400 .*/console/v1/papers")
        begin(visit, "claude-two")
        ask(visit, "Two windows")
        answered(visit)
        paper = kept(console, visit)
        told = {"title": "Changed elsewhere", "body": paper["body"], "updated": paper["updated"]}
        assert console.http("PUT", f"{PAPERS}/{paper['id']}", told).status == 200
        ask(visit, "From here")
        alert = visit.page.get_by_role("alert").filter(has_text="changed in another window")
        expect(alert).to_be_visible()
        answered(visit, 2)
        visit.button("", "Keep mine beside it").click()
        expect(alert).to_be_hidden()
        expect(visit.page).not_to_have_url(re.compile(paper["id"]))
        assert len(kept(console, visit)["body"]["turns"]) == 2
        assert console.http("GET", f"{PAPERS}/{paper['id']}").json["title"] == "Changed elsewhere"


def test_by_keyboard_alone_and_with_an_input_method(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console) as visit:
        begin(visit)
        page, field = visit.page, question(visit)
        for _ in range(60):
            if field.evaluate("element => element === document.activeElement"):
                break
            page.keyboard.press("Tab")
        expect(field).to_be_focused()
        page.keyboard.type("你好")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("再见")
        # Enter takes a candidate of the input method.
        field.evaluate("""element => element.dispatchEvent(new KeyboardEvent(
            'keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))""")
        expect(field).to_have_value("你好\n再见")
        page.keyboard.press("Enter")
        expect(answered(visit)).to_contain_text("离线降级阅读器")
        expect(field).to_be_focused()
        expect(field).to_have_value("")


def test_on_a_phone(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, phone=True) as visit:
        begin(visit)
        page = visit.page
        expect(visit.button("拍照", "")).to_be_visible()
        page.get_by_role("button", name="签订日期、合同总价").tap()
        answer = answered(visit)
        expect(answer.locator("[data-mark]")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"
        visit.check_access()
        answer.locator("[data-place]").first.tap()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("dialog").get_by_role("button", name="关闭").tap()
        visit.button("会话", "").tap()
        expect(page.get_by_role("dialog").get_by_role("link").first).to_be_visible()
        visit.check_access()
        page.get_by_role("dialog").get_by_role("button", name="新会话").tap()
        expect(page.get_by_role("heading", level=1)).to_have_text("问答")
        visit.button("会话设置", "").tap()
        expect(page.get_by_label("系统提示").last).to_be_visible()
        visit.check_access()


def test_nobody_sees_the_conversations_of_another(browser: Browser, console: Gateway) -> None:
    made = console.http("POST", PAPERS, {"kind": "conversation", "title": "nobody else's", "body": {"version": 1}})
    assert made.status == 201
    other = console.http("POST", "/admin/v1/keys", {"name": "ask-other", "role": "member"})
    with visiting(browser, console, "en") as visit:
        visit.allowed.append(r"404 .*/console/v1/papers")
        visit.sign_in(other.json["key"])
        visit.go(f"/ask/{made.json['id']}")
        expect(visit.page.get_by_role("alert")).to_contain_text("there is no paper")
        expect(visit.page.get_by_text("No conversations yet")).to_be_visible()
    assert console.http("GET", f"{PAPERS}/{made.json['id']}", key=KEY).status == 200
