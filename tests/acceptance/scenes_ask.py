"""The Ask page in the states that its documentation shows."""

from __future__ import annotations

from collections.abc import Iterator

from browsing import Visit
from playwright.sync_api import expect

TITLES = {
    "zh": ("三号楼电梯维保合同", "检验科十月采购发票", "伺服电机报价单", "夜班排班表"),
    "en": (
        "Lift maintenance, building 3",
        "October invoices, laboratory",
        "Quotation for servo motors",
        "Night shifts",
    ),
}


def scenes(visit: Visit) -> Iterator[str]:
    """Welcome, an answer beside its picture, the same with a place lit, enlarged, and a handover to the reader."""
    page, gateway = visit.page, visit.gateway
    listed = gateway.http("GET", "/console/v1/papers?kind=conversation&limit=200").json["data"]
    kept = {each["title"] for each in listed}
    for title in TITLES[visit.language]:
        if title not in kept:
            made = {"kind": "conversation", "title": title, "body": {"version": 1, "turns": []}}
            assert gateway.http("POST", "/console/v1/papers", made).status == 201
    visit.go("/ask")
    page.reload()
    first = visit.say("签订日期、合同总价和质保期", "What are the signing date")
    example = page.get_by_role("button", name=first).last  # conversations of earlier visits have its name
    expect(example).to_be_visible()
    expect(page.get_by_role("main").get_by_role("img").first.or_(page.locator(".welcome img"))).to_be_attached()
    yield "ask"
    example.click()
    marks = page.locator("[data-mark]")
    expect(marks).to_have_count(3)
    expect(page.get_by_role("button", name=visit.say("再答一次", "Answer again"))).to_be_enabled()
    page.mouse.move(2, 2)
    yield "ask-read"
    page.locator("[data-place]").nth(1).hover()
    expect(page.locator(".mark.lit")).to_have_count(1)
    yield "ask-lit"
    page.locator("[data-place]").nth(0).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog").locator("[data-mark]")).to_have_count(3)
    yield "ask-large"
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
