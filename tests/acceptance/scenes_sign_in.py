"""The way in."""

from __future__ import annotations

from collections.abc import Iterator

from browsing import Visit
from playwright.sync_api import expect


def scenes(visit: Visit) -> Iterator[str]:
    visit.allowed.append("401")
    visit.page.goto(visit.gateway.url)
    expect(visit.page.get_by_role("heading")).to_be_visible()
    yield "sign-in"
