"""Usage as it is shown: a month by departments, and one department's users, with limits that are used."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from browsing import Visit
from playwright.sync_api import expect
from scenes_audit import PEOPLE, busy


def scenes(visit: Visit) -> Iterator[str]:
    (first, _), *_ = PEOPLE[visit.language]
    for name, what, most in (
        (visit.say("各科室绘图", "pictures by department"), "pictures", 10),
        (visit.say("各科室调用", "calls by department"), "calls", 400),
    ):
        limit = {"what": what, "most": most, "per": "day", "department": "*"}
        visit.gateway.http("PUT", f"/admin/v1/limits/{quote(name)}", limit)
    busy(visit)
    page = visit.page
    visit.go("/usage?by=department")
    expect(page.locator(f'tr[data-line="{first}"]')).to_be_visible()
    expect(page.locator("section.limits li").first).to_be_visible()
    yield "usage"
    visit.go(f"/usage?by=model&department={quote(first)}&show=calls")
    expect(page.locator("tr[data-line]").first).to_be_visible()
    yield "usage-department"
