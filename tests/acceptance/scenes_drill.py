"""The page of the drill as the documentation shows it: set up, under way, and read."""

from __future__ import annotations

from collections.abc import Iterator

from browsing import Visit
from gateway import eventually
from playwright.sync_api import expect

FAULTS = ["dns", "refused", "tls", "500", "529", "429", "no-credit", "silence", "content-cut", "content-end"]


def scenes(visit: Visit) -> Iterator[str]:
    """Brings a visit that is signed in to each state; the drill it plays takes half a minute."""
    page, gateway = visit.page, visit.gateway
    visit.go("/drill")
    expect(visit.button("开始演习", "Run the drill").or_(visit.button("再来一次", "Run it again"))).to_be_visible()
    yield "drill"
    page.get_by_role("radio", name=visit.say("只选几种", "Only some")).check()
    for name in FAULTS:
        page.locator(f'input[value="{name}"]').check()
    yield "drill-choose"
    asked = {"only": FAULTS, "operation": "text", "language": visit.language}
    assert gateway.http("POST", "/admin/v1/drill", asked).status == 202
    page.reload()
    eventually(lambda: gateway.http("GET", "/admin/v1/drill").json["done"] >= len(FAULTS) // 2, 180.0)
    expect(page.locator('[data-state="kept"]').first).to_be_visible()
    yield "drill-live"
    eventually(lambda: gateway.http("GET", "/admin/v1/drill").json["state"] != "running", 240.0)
    expect(page.get_by_role("region", name=visit.say("记分卡", "Scorecard")).first).to_be_visible()
    yield "drill-scorecard"
    page.get_by_role("button", name=visit.say("说到一半断开", "a stream cut after content")).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "drill-details"
    page.keyboard.press("Escape")
