"""The states of Govern, with a hospital in it: its departments, people, keys, limits and rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from browsing import Visit
from gateway import Gateway
from playwright.sync_api import expect

DEPARTMENTS = {
    "radiology": ("放射科", "Radiology"),
    "icu": ("重症监护室", "Intensive care"),
    "billing": ("收费处", "Billing"),
}
USERS = {"li.wei": ("radiology", "member"), "zhang.min": ("billing", "member"), "wang.fang": ("icu", "auditor")}
KEYS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("放射科阅片工作站", "Reading room of radiology", {"user": "li.wei"}),
    ("收费处窗口 3", "Billing, window 3", {"user": "zhang.min", "networks": ["127.0.0.0/8"]}),
    ("病历归档程序", "Archive of records", {"department": "icu", "service": True, "confined": True}),
)
LIMITS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("每日图片", "pictures a day", {"what": "pictures", "most": 10, "per": "day", "department": "billing", "key": "*"}),
    ("收费处经费", "billing’s money", {"what": "money", "most": 3000, "per": "month", "department": "billing"}),
    ("放射科调用", "calls of radiology", {"what": "calls", "most": 5, "per": "day", "department": "radiology"}),
    ("大模型并发", "large model", {"what": "concurrency", "most": 8, "model": "claude-*"}),
)
RULES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("放射科不出门", "radiology stays", {"effect": "local", "departments": ["radiology"]}),
    ("收费处遮住证件号", "billing is masked", {"effect": "mask", "departments": ["billing"]}),
    (
        "夜间不画图",
        "no pictures at night",
        {"effect": "deny", "departments": ["billing"], "operations": ["generate", "edit"], "hours": ["22:00-06:00"]},
    ),
    ("护士不用工具", "no shell", {"effect": "deny", "roles": ["nurse"], "tools": ["bash*"]}),
)


def furnish(gateway: Gateway, language: str) -> None:
    """The same hospital in either language; what there is already is renamed."""
    index = 0 if language == "zh" else 1
    for name, titles in DEPARTMENTS.items():
        gateway.http("POST", "/admin/v1/departments", {"name": name})
        gateway.http("PATCH", f"/admin/v1/departments/{name}", {"title": titles[index]})
    for user, (department, role) in USERS.items():
        gateway.http("POST", "/admin/v1/users", {"name": user, "department": department, "role": role})
    gateway.http("POST", "/admin/v1/roles", {"name": "nurse", "permissions": ["call"]})
    for kind, sorts in (("limits", LIMITS), ("rules", RULES)):
        for name in (name for each in sorts for name in each[:2]):
            gateway.http("DELETE", f"/admin/v1/{kind}/{quote(name)}")
    for each in LIMITS:
        gateway.http("PUT", f"/admin/v1/limits/{quote(each[index])}", each[2])
    # Before there are rules: one of them forbids pictures at night, whenever these are taken.
    _spend(gateway, [_key(gateway, each[:2], index, each[2]) for each in KEYS])
    for each in RULES:
        gateway.http("PUT", f"/admin/v1/rules/{quote(each[index])}", each[2])


def _key(gateway: Gateway, names: tuple[str, str], index: int, belonging: dict[str, Any]) -> str:
    known = gateway.http("GET", "/admin/v1/keys?limit=200").json["data"]
    found = next((each for each in known if each["name"] in names and each["state"] == "valid"), None)
    if found is None:
        made = gateway.http("POST", "/admin/v1/keys", {"name": names[index], **belonging})
        return str(made.json["key"])
    gateway.http("PATCH", f"/admin/v1/keys/{found['id']}", {"name": names[index]})
    return str(gateway.http("POST", f"/admin/v1/keys/{found['id']}/rotate", {"overlap": 0}).json["key"])


def _spend(gateway: Gateway, secrets: list[str]) -> None:
    """Three pictures and a few words, once, so that the bars have something to show."""
    limits = gateway.http("GET", "/admin/v1/limits?limit=200").json["data"]
    names = LIMITS[2][:2]
    if any(pot["spent"] for each in limits if each["name"] in names for pot in each["pots"]):
        return
    asked = {"model": "reader", "max_tokens": 16, "messages": [{"role": "user", "content": "你好"}]}
    drawn = {"model": "sketcher", "prompt": "红色的猫", "n": 3, "size": "256x256"}
    answers = [gateway.http("POST", "/v1/messages", asked, key=secrets[0]) for _ in range(4)]
    answers.append(gateway.http("POST", "/v1/images/generations", drawn, key=secrets[1]))
    assert all(each.status == 200 for each in answers), [each.body[:300] for each in answers]


def scenes(visit: Visit) -> Iterator[str]:
    furnish(visit.gateway, visit.language)
    page, say = visit.page, visit.say
    names = [each[0 if visit.language == "zh" else 1] for each in KEYS]
    visit.go("/govern/keys")
    expect(page.get_by_text(names[0], exact=True)).to_be_visible()
    yield "govern-keys"
    visit.button("新建密钥", "New key").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label(say("名称", "Name"), exact=True).fill(say("放射科 CT 室", "CT room of radiology"))
    panel.get_by_label(say("用户", "User"), exact=True).select_option("li.wei")
    panel.get_by_role("button", name=say("每天最多 10 张图片", "At most 10 pictures a day")).click()
    yield "govern-new-key"
    panel.get_by_role("button", name=say("取消", "Cancel")).click()
    expect(panel).to_be_hidden()
    visit.go("/govern/people")
    expect(page.get_by_text("wang.fang").first).to_be_visible()
    yield "govern-people"
    visit.go("/govern/roles")
    expect(page.get_by_text("nurse", exact=True)).to_be_visible()
    yield "govern-roles"
    visit.go("/govern/limits")
    expect(page.get_by_role("progressbar").first).to_be_visible()
    yield "govern-limits"
    visit.go("/govern/rules")
    rule = say("放射科的请求只在本地回答", "Calls of Radiology are answered in the house only")
    expect(page.get_by_text(rule).first).to_be_visible()
    yield "govern-rules"
    visit.button("新建规则", "New rule").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label(say("规则名称", "Name of the rule"), exact=True).fill(say("放射科夜间", "radiology at night"))
    panel.get_by_label(say("部门", "Departments"), exact=True).fill("radiology,")
    yield "govern-new-rule"
    panel.get_by_role("button", name=say("取消", "Cancel")).click()
    expect(panel).to_be_hidden()
    visit.go("/govern/explain")
    page.get_by_label(say("部门", "Department"), exact=True).select_option("radiology")
    page.get_by_label(say("模型", "Model"), exact=True).fill("claude-sonnet-5-5")
    visit.button("推演", "Work it out").click()
    expect(page.locator("[data-decision]")).to_be_visible()
    yield "govern-explain"
