"""The page of models as the documentation shows it, on a gateway of its own: elsewhere is nothing to promote."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from browsing import Visit
from gateway import eventually
from playwright.sync_api import expect
from yard import FIRST, SECOND, Yard, opened

from tests.releases.fake_hub import Held

LONG = 600.0  # seconds of watching: a promotion is to stand still while it is looked at


def scenes(visit: Visit) -> Iterator[str]:
    """Brings the visit to each state, and back to its own gateway in the end."""
    own = visit.gateway
    with tempfile.TemporaryDirectory(prefix="scenes-") as folder, opened(Path(folder), watch=LONG) as yard:
        yard.fetch(FIRST)
        yard.fetch(SECOND)
        visit.page.goto("about:blank")
        visit.gateway = yard.gateway
        try:
            visit.page.goto(f"{yard.gateway.url}/")
            visit.sign_in()
            yield from _scenes(visit, yard)
        finally:
            visit.page.goto("about:blank")  # the page asks its own gateway until then
            visit.gateway = own


def _scenes(visit: Visit, yard: Yard) -> Iterator[str]:
    page, gateway = visit.page, yard.gateway
    visit.go("/models")
    chat = page.get_by_role("region", name="chat", exact=True)
    expect(chat).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)
    yield "models"
    page.get_by_role("region", name="brain", exact=True).get_by_role(
        "button", name=visit.say("换发布版本", "Promote")
    ).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "models-promote"
    page.keyboard.press("Escape")
    gateway.http("POST", "/admin/v1/models/engines/chat/promote", {"revision": "v3+mute"})
    eventually(lambda: gateway.http("GET", "/admin/v1/models").json["engines"][0]["last"])
    gateway.http("POST", "/admin/v1/models/engines/brain/promote", {"revision": FIRST})
    expect(page.get_by_role("listitem").filter(has_text=visit.say("分流", "Sharing"))).to_have_attribute(
        "data-mark", "now"
    )
    client = gateway.anthropic()
    for _ in range(20):
        client.messages.create(model="brain-1", max_tokens=50, messages=[{"role": "user", "content": "hi"}])
    expect(page.get_by_text(visit.say("2 次调用，0 次出错", "2 calls, 0 faults"))).to_be_visible()
    yield "models-canary"
    gateway.http("POST", "/admin/v1/models/engines/brain/rollback", {})
    yard.hub.commit = "e1a24c5d0f7b3968c4d2a1b09e8f7c6d5b4a3928"
    yard.hub.branches = {"main": yard.hub.commit}
    yard.hub.faults["model.safetensors"] = [Held(2_000_000)]
    page.get_by_role("button", name=visit.say("取得模型", "Fetch a model")).first.click()
    page.get_by_role("textbox", name=visit.say("模型名称", "Name of the model")).or_(
        page.get_by_role("combobox", name=visit.say("模型名称", "Name of the model"))
    ).fill(yard.hub.name)
    yield "models-fetch"
    visit.button("开始取得", "Fetch").click()
    assert yard.hub.holding.wait(60)
    expect(page.get_by_role("progressbar").first).to_have_attribute("aria-valuenow", "67")
    yield "models-fetching"
    yard.hub.let_go.set()
    expect(page.get_by_text(visit.say("已取得", "Here"), exact=True)).to_be_visible()
