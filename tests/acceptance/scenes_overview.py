"""The states of the overview that are worth a picture: what it looks like on a good day, in an outage, and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from browsing import Visit
from clouds import Cloud
from playwright.sync_api import expect

PATH = "/admin/v1/overview"
CALLS = 6
QUESTIONS = {
    "zh": (
        "市第一医院的出院小结要存几年？",
        "北方轴承厂三号车间今天有几条报修？",
        "把这份采购合同的付款条件列出来。",
    ),
    "en": (
        "How long are discharge letters kept?",
        "How many repairs came in today?",
        "List the terms of payment.",
    ),
}


def ask(visit: Visit, count: int, *, stream: bool = False) -> None:
    """So many calls by the route that has a cloud before the reader."""
    for number in range(count):
        question = QUESTIONS[visit.language][number % 3]
        body: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 64, "stream": stream}
        visit.gateway.http("POST", "/v1/messages", body | {"messages": [{"role": "user", "content": question}]})


def turn(visit: Visit, upstream: str, state: str) -> None:
    for operation in ("text", "vision"):
        visit.gateway.http("POST", f"/admin/v1/targets/{upstream}/{operation}", {"state": state})


def scenes(visit: Visit, cloud: Cloud | None = None) -> Iterator[str]:
    """With the cloud that stands before `console`, an outage is shown as well."""
    page = visit.page
    ask(visit, CALLS)
    visit.go("/overview")
    card = page.get_by_role("article", name="claude", exact=True)
    expect(card).to_be_visible()
    expect(page.get_by_text(visit.say("实时", "Live"), exact=True)).to_be_visible()
    page.get_by_role("radio", name=visit.say("15 分钟", "15 min")).check(force=True)
    yield "overview"
    if cloud is not None:
        cell = cloud.cell("console-talk")
        cell.behaviour = "after_error"
        ask(visit, 1, stream=True)
        cell.behaviour = "500"
        ask(visit, CALLS)
        expect(card.get_by_text(visit.say("已熔断", "Open")).first).to_be_visible()
        heading = page.get_by_role("heading", name=visit.say("故障与接续", "Faults and handovers"))
        heading.evaluate("heading => heading.scrollIntoView({block: 'start'})")
        yield "overview-outage"
        cell.behaviour = "healthy"
    turn(visit, "claude", "isolated")
    ask(visit, 2)
    expect(card.get_by_text(visit.say("已隔离", "Isolated"))).to_be_visible()
    card.scroll_into_view_if_needed()
    yield "overview-isolated"
    turn(visit, "claude", "auto")
