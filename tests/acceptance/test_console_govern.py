"""Govern, as somebody does it who has never seen it: people, keys with limits, rules, and what would happen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from browsing import LANGUAGES, SCHEMES, Visit, visiting
from gateway import QUICK, Gateway
from playwright.sync_api import Browser, Locator, expect
from scenes_govern import furnish

PAGES = ("keys", "people", "roles", "limits", "rules", "explain")
WRITTEN = """
[roles.nurse]
permissions = ["call"]
[[rules]]
name = "nights"
effect = "deny"
operations = ["generate"]
hours = ["22:00-06:00"]
[[limits]]
name = "house"
what = "tokens"
most = 1000000
per = "month"
department = "*"
[residency]
detect = { resident_id = "local" }
[upstreams.none]
dialect = "anthropic"
base_url = "http://127.0.0.1:9"
location = "local"
probe = "off"
[[routes]]
model = "alpha"
operations = ["text"]
targets = ["none"]
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One whose configuration has a role, a rule and a limit of its own; it has no engines, and asks nobody."""
    folder: Path = tmp_path_factory.mktemp("govern-office")
    with Gateway(folder, QUICK + WRITTEN) as gateway:
        yield gateway


def panel(visit: Visit) -> Locator:
    return visit.page.get_by_role("dialog").last


def field(visit: Visit, chinese: str, english: str) -> Locator:
    return panel(visit).get_by_label(visit.say(chinese, english), exact=True)


def press(visit: Visit, chinese: str, english: str) -> None:
    panel(visit).get_by_role("button", name=visit.say(chinese, english), exact=True).click()


def add_people(visit: Visit, department: str, title: str, user: str) -> None:
    visit.go("/govern/people")
    visit.button("添加部门", "Add department").click()
    field(visit, "标识", "Name").fill(department)
    field(visit, "显示名称", "Title").fill(title)
    press(visit, "添加部门", "Add a department")
    expect(visit.page.locator(f"[data-department='{department}']")).to_contain_text(title)
    visit.button("添加用户", "Add user").click()
    field(visit, "用户名", "User name").fill(user)
    field(visit, "部门", "Department").select_option(department)
    press(visit, "添加用户", "Add a user")
    expect(visit.page.locator(f"[data-user='{user}']")).to_contain_text(title)


def secret_of(visit: Visit) -> str:
    """What the dialog shows; it closes only when it is said to be kept."""
    shown = visit.page.get_by_role("textbox", name=visit.say("密钥", "The key"), exact=True)
    secret = shown.input_value()
    # Notices of what was done have a button of this name, too.
    close = visit.page.get_by_role("dialog").get_by_role("button", name=visit.say("关闭", "Close"), exact=True)
    expect(close).to_be_disabled()
    visit.page.keyboard.press("Escape")
    expect(shown).to_be_visible()
    visit.page.get_by_label(visit.say("我已经把它保存好了", "I have saved it")).check()
    visit.check_access()
    close.click()
    expect(shown).to_have_count(0)
    return secret


def row(visit: Visit, name: str) -> Locator:
    return visit.page.locator("tr[data-key]").filter(has_text=name)


def draw(gateway: Gateway, secret: str, number: int = 1) -> int:
    client = gateway.openai(key=secret)
    drawn = client.images.generate(model="sketcher", prompt="左边红猫", n=number, size="256x256")
    return len(drawn.data or [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_key_limited_to_ten_pictures_a_day(browser: Browser, console: Gateway, language: str) -> None:
    department, user, name = f"ct-{language}", f"li.wei-{language}", f"CT {language}"
    with visiting(browser, console, language) as visit:
        page = visit.page
        visit.sign_in()
        add_people(visit, department, visit.say("放射科 CT 室", "CT room"), user)
        page.get_by_role("link", name=visit.say("密钥", "Keys"), exact=True).click()
        visit.button("新建密钥", "New key").click()
        field(visit, "名称", "Name").fill(name)
        field(visit, "用户", "User").select_option(user)
        press(visit, "每天最多 10 张图片", "At most 10 pictures a day")
        visit.check_access()
        press(visit, "创建密钥", "Create key")
        secret = secret_of(visit)
        assert secret.startswith("sk-sampan-") and len(secret) > 40
        limit = visit.say("每天最多 10 张图片", "At most 10 pictures a day")
        expect(row(visit, name)).to_contain_text(limit)
        expect(row(visit, name)).to_contain_text(user)
        # Its ten pictures, as the programs of the house ask for them, and the bar that follows.
        assert draw(console, secret, 2) == 2
        page.get_by_role("link", name=visit.say("限额", "Limits"), exact=True).click()
        bar = page.locator("[data-limit]").filter(has_text=name)
        expect(bar).to_contain_text(visit.say("2 / 10 张图片", "2 of 10 pictures"))
        assert draw(console, secret, 2) == 2
        expect(bar).to_contain_text(visit.say("4 / 10 张图片", "4 of 10 pictures"))
        with pytest.raises(openai.RateLimitError, match="10 pictures a day"):
            draw(console, secret, 7)
        # Shown once, and never again: not in what the gateway tells, not in the page, not in what a browser keeps.
        with page.expect_response(lambda told: "/admin/v1/keys" in told.url) as answer:
            page.get_by_role("link", name=visit.say("密钥", "Keys"), exact=True).click()
        assert secret not in answer.value.text()
        expect(row(visit, name)).to_be_visible()
        assert secret not in page.content()
        assert secret not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        _rotate_and_revoke(visit, console, name, secret)


def _rotate_and_revoke(visit: Visit, gateway: Gateway, name: str, secret: str) -> None:
    row(visit, name).get_by_role("button", name=visit.say(f"换发: {name}", f"Rotate: {name}")).click()
    field(visit, "旧密文还能用多久", "How long the old secret stays good").select_option("3600")
    visit.check_access()
    press(visit, "换发", "Rotate")
    overlapping = secret_of(visit)
    assert overlapping != secret
    for each in (secret, overlapping):
        assert gateway.http("GET", "/admin/v1/me", key=each).status == 200, "both are good for an hour"
    row(visit, name).get_by_role("button", name=visit.say(f"换发: {name}", f"Rotate: {name}")).click()
    field(visit, "旧密文还能用多久", "How long the old secret stays good").select_option("0")
    press(visit, "换发", "Rotate")
    newest = secret_of(visit)
    assert gateway.http("GET", "/admin/v1/me", key=overlapping).status == 401
    row(visit, name).get_by_role("button", name=visit.say(f"吊销: {name}", f"Revoke: {name}")).click()
    asked = panel(visit)
    expect(asked).to_contain_text(visit.say("一秒内会被拒绝", "refused within a second"))
    visit.check_access()
    press(visit, "吊销", "Revoke")
    expect(row(visit, name)).to_have_count(0)
    with pytest.raises(openai.AuthenticationError):
        draw(gateway, newest)
    visit.page.get_by_label(visit.say("状态", "State"), exact=True).select_option("revoked")
    expect(row(visit, name)).to_contain_text(visit.say("已吊销", "Revoked"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_rule_that_radiology_stays(browser: Browser, console: Gateway, language: str) -> None:
    department, rule = f"radiology-{language}", f"stays-{language}"
    assert console.http("POST", "/admin/v1/departments", {"name": department, "title": "放射科"}).status == 201
    made = console.http("POST", "/admin/v1/keys", {"name": f"x-ray {language}", "department": department}).json
    with visiting(browser, console, language) as visit:
        page = visit.page
        visit.sign_in()
        visit.go("/govern/rules")
        visit.button("新建规则", "New rule").click()
        field(visit, "规则名称", "Name of the rule").fill(rule)
        chosen = field(visit, "部门", "Departments")
        chosen.fill(department)
        chosen.press("Enter")
        expect(panel(visit)).to_contain_text(
            visit.say("放射科的请求只在本地回答。", "Calls of 放射科 are answered in the house only.")
        )
        visit.check_access()
        press(visit, "新建规则", "New rule")
        expect(page.locator(f"[data-rule='{rule}']")).to_contain_text(visit.say("只在本地回答", "in the house only"))
        page.get_by_role("link", name=visit.say("推演", "Explain"), exact=True).click()
        page.get_by_label(visit.say("部门", "Department"), exact=True).select_option(department)
        page.get_by_label(visit.say("模型", "Model"), exact=True).fill("claude-sonnet-5-5")
        visit.button("推演", "Work it out").click()
        verdict = page.locator("[data-decision]")
        expect(verdict).to_have_attribute("data-state", "confined")
        expect(verdict).to_contain_text(rule)
        expect(verdict).to_contain_text("reader")
        visit.check_access()
        asked = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "你好"}]}
        answer = console.http("POST", "/v1/messages", asked, key=made["key"])
        assert (answer.headers["x-sampan-upstream"], answer.headers["x-sampan-tier"]) == ("reader", "degraded")
        page.get_by_role("link", name=visit.say("规则", "Rules"), exact=True).click()
        page.get_by_role("button", name=visit.say(f"删除: {rule}", f"Delete: {rule}")).click()
        expect(panel(visit)).to_contain_text(visit.say("可能离开本单位", "may leave"))
        press(visit, "删除", "Delete")
        expect(page.locator(f"[data-rule='{rule}']")).to_have_count(0)


def test_a_rule_as_json_and_names_that_nobody_has(browser: Browser, office: Gateway) -> None:
    with visiting(browser, office, "en") as visit:
        page = visit.page
        visit.sign_in()
        visit.allowed.append("400")
        visit.go("/govern/rules")
        visit.button("新建规则", "New rule").click()
        field(visit, "规则名称", "Name of the rule").fill("by hand")
        press(visit, "用 JSON 编辑", "Edit as JSON")
        text = field(visit, "规则的 JSON", "The rule as JSON")
        text.fill('{"effect": "deny", "hours": ["25:00"]}')
        press(visit, "新建规则", "New rule")
        expect(panel(visit).get_by_role("alert")).to_contain_text("no span")
        text.fill('{"effect": "deny", "departments": ["radiolgy"], "over_pictures": 2}')
        press(visit, "用表单编辑", "Edit as a form")
        expect(panel(visit)).to_contain_text("Calls of radiolgy for more than 2 pictures are refused.")
        press(visit, "新建规则", "New rule")
        expect(page.get_by_text("there is no department 'radiolgy' here")).to_be_visible()
        expect(page.locator("[data-rule='by hand']")).to_contain_text("for more than 2 pictures")


def test_what_the_configuration_says_is_read_only(browser: Browser, office: Gateway) -> None:
    with visiting(browser, office) as visit:
        page = visit.page
        visit.sign_in()
        for address, found, name in (
            ("roles", "[data-role='nurse']", "nurse"),
            ("limits", "[data-limit='house']", "house"),
            ("rules", "[data-rule='nights']", "nights"),
        ):
            visit.go(f"/govern/{address}")
            expect(page.locator(found)).to_contain_text("写在配置文件里，只能在文件里改")
            expect(page.get_by_role("button", name=f"编辑: {name}")).to_have_count(0)
            expect(page.get_by_role("button", name=f"删除: {name}")).to_have_count(0)
        expect(page.get_by_text("内容里有身份证号：只在本地回答")).to_be_visible()
        visit.go("/govern/explain")
        page.get_by_label("模型", exact=True).fill("alpha")
        page.get_by_label("要问的内容").fill("张三，身份证 11010519491231002X，请写小结")
        visit.button("推演", "Work it out").click()
        expect(page.locator("[data-decision]")).to_contain_text("内容里有身份证号")
        page.get_by_label("操作", exact=True).select_option("generate")
        page.get_by_text("更多").click()
        page.get_by_label("什么时候").fill("2026-11-22T23:30")
        visit.button("推演", "Work it out").click()
        expect(page.locator("[data-decision='deny']")).to_contain_text("nights")


def test_what_is_wrong_stands_beside_its_field(browser: Browser, office: Gateway) -> None:
    with visiting(browser, office) as visit:
        page = visit.page
        visit.sign_in()
        visit.allowed.append("400")
        visit.go("/govern/people")
        visit.button("添加部门", "Add department").click()
        press(visit, "添加部门", "Add a department")
        expect(panel(visit).get_by_role("alert")).to_have_text("请填写")
        field(visit, "标识", "Name").fill("a/b")
        press(visit, "添加部门", "Add a department")
        expect(panel(visit).get_by_role("alert")).to_contain_text("name")
        field(visit, "标识", "Name").fill("lab")
        page.keyboard.press("Enter")
        expect(page.locator("[data-department='lab']")).to_be_visible()
        page.get_by_role("button", name="停用: lab").click()
        expect(panel(visit)).to_contain_text("0 把可用密钥")
        press(visit, "停用", "Switch off")
        expect(page.locator("[data-department='lab']")).to_contain_text("已停用")
        visit.go("/govern/keys")
        visit.button("新建密钥", "New key").click()
        field(visit, "名称", "Name").fill("机房")
        panel(visit).get_by_text("不属于谁").click()
        panel(visit).get_by_text("来源、出门和服务账号").click()
        field(visit, "只能从这些网段使用", "Only from these networks").fill("10.0.0.1/8")
        press(visit, "创建密钥", "Create key")
        expect(panel(visit).get_by_role("alert")).to_contain_text("10.1.0.0/16")
        assert "机房" not in {each["name"] for each in office.http("GET", "/admin/v1/keys").json["data"]}


def test_who_may_not_govern_is_told_so(browser: Browser, office: Gateway) -> None:
    member = office.http("POST", "/admin/v1/keys", {"name": "a member"}).json["key"]
    with visiting(browser, office) as visit:
        visit.sign_in(member)
        expect(visit.page.get_by_role("link", name="问答", exact=True)).to_be_visible()
        expect(visit.page.get_by_role("link", name="治理", exact=True)).to_have_count(0)
        visit.go("/govern/keys")
        expect(visit.page.get_by_text("您没有“治理”页面的权限")).to_be_visible()
        visit.check_access()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_can_be_read_by_everybody(browser: Browser, console: Gateway, scheme: str) -> None:
    language = "zh" if scheme == "light" else "en"
    furnish(console, language)
    with visiting(browser, console, language, scheme) as visit:
        visit.sign_in()
        for address in PAGES:
            visit.go(f"/govern/{address}")
            ready = visit.page.locator("main tbody tr, main [data-limit], main [data-rule], main form")
            expect(ready.first).to_be_visible()
            visit.check_access()
        visit.go("/govern/limits")
        visit.button("新建限额", "New limit").click()
        expect(panel(visit)).to_contain_text(visit.say("每把密钥各算各的", "each key apart"))
        visit.check_access()


def test_on_a_phone_nothing_hangs_over(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, phone=True) as visit:
        page = visit.page
        visit.sign_in()
        for address in PAGES:
            visit.go(f"/govern/{address}")
            expect(
                page.locator("main tbody tr, main [data-limit], main [data-rule], main form, main .nothing").first
            ).to_be_visible()
            assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth"), address
            visit.check_access()
        visit.go("/govern/keys")
        visit.button("新建密钥", "New key").tap()
        expect(field(visit, "名称", "Name")).to_be_visible()
        box = panel(visit).bounding_box()
        assert box is not None and box["width"] <= 390
