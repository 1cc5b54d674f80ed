"""The audit as it is shown: a search, one call's story, the proof."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from browsing import Visit
from playwright.sync_api import expect

PEOPLE = {
    "zh": (("放射科", "王芳"), ("心内科", "李强"), ("检验科", "陈静")),
    "en": (("Radiology", "wang"), ("Cardiology", "li"), ("Laboratory", "chen")),
}
QUESTIONS = {"zh": "这份合同的签订日期和金额是多少？", "en": "What are the date and the amount of this contract?"}
PICTURES = {"zh": "左边红猫，右边蓝车", "en": "a red cat on the left, a blue car on the right"}


def keys(visit: Visit) -> list[tuple[str, str, str]]:
    """(department, user, key) of some people; departments and users may be there already."""
    found = []
    for department, user in PEOPLE[visit.language]:
        visit.gateway.http("POST", "/admin/v1/departments", {"name": department})
        visit.gateway.http("POST", "/admin/v1/users", {"name": user, "department": department, "role": "member"})
        name = visit.say(f"{department}工作站", f"{department} desk")
        made = visit.gateway.http("POST", "/admin/v1/keys", {"name": name, "user": user})
        found.append((department, user, str(made.json["key"])))
    return found


def busy(visit: Visit) -> None:
    """Some calls of a working day: answered, drawn, refused."""
    ask: dict[str, Any] = {"max_tokens": 60, "messages": [{"role": "user", "content": QUESTIONS[visit.language]}]}
    for number, (_, _, key) in enumerate(keys(visit)):
        for model in ("claude-opus-4-1", "claude-haiku-4-5", "reader")[: 3 - number]:
            visit.gateway.http("POST", "/v1/messages", ask | {"model": model}, key=key)
        visit.gateway.http("POST", "/v1/messages", ask | {"model": "claude-opus-4-1", "max_tokens": -1}, key=key)
        drawing = {"model": "gpt-image-1", "prompt": PICTURES[visit.language], "n": number + 1}
        last = visit.gateway.http("POST", "/v1/images/generations", drawing, key=key)
        visit.gateway.record(last.headers["request-id"])


def story_worth_telling(visit: Visit) -> str:
    """The newest call that somebody else than the first target answered; else the newest that was answered."""
    records = [each for each in visit.gateway.latest() if each["outcome"] == "ok"]
    return str(next((each for each in records if "," in each["attempts"]), records[0])["id"])


def scenes(visit: Visit) -> Iterator[str]:
    busy(visit)
    page = visit.page
    visit.go("/audit?range=today")
    expect(page.locator("tr[data-call]").first).to_be_visible()
    yield "audit"
    visit.go(f"/audit/{story_worth_telling(visit)}")
    expect(page.get_by_role("article")).to_be_visible()
    yield "audit-story"
    visit.go("/audit/verify")
    begin = page.get_by_role("button", name=visit.say("核对", "Verify"))
    expect(begin).to_be_enabled()
    begin.click()
    expect(page.get_by_role("heading", name=visit.say("没有任何记录被改动", "Nothing was changed"))).to_be_visible()
    yield "audit-verify"
