"""Pages of other origins, and what browsers are told of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from house import KEY, House, Reply, ask, opened

from sampan.config.edge import CorsSettings
from sampan.core import Actor, Answer, Incoming
from sampan.edge.origins import EXPOSED, Origins

APP, OTHER = "https://app.example.org", "https://evil.example"
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key, content-type"}
ALLOW = "access-control-allow-origin"


class Shelf:
    """A page of HTML, one that has its own words, and one of the admin's."""

    def methods(self, path: str) -> tuple[str, ...]:
        return ("GET",) if path in ("/page", "/own", "/admin/v1/x", "/administer") else ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        if incoming.path == "/own":
            own = (("Content-Type", "text/html"), ("Content-Security-Policy", "default-src 'none'"))
            return Answer(200, own, b"<p>")
        kind = "text/html; charset=utf-8" if incoming.path == "/page" else "application/json"
        return Answer(200, (("content-type", kind),), b"{}")


def house(folder: Path, settings: CorsSettings, hsts: int = 0) -> House:
    return House(folder, shelves=((Shelf(), 9),), origins=Origins(settings), hsts=hsts)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with opened(house(tmp_path, CorsSettings(origins=[APP]))) as port:
        yield port


def names(reply: Reply) -> set[str]:
    return {name for name in reply.headers if name.startswith("access-control")}


async def test_a_page_of_a_named_origin_may_ask_and_read_what_we_say(port: int) -> None:
    for path in ("/v1/messages", "/v1/images/generations", "/artifacts/x.png", "/v1/files/x"):
        reply = await ask(port, "OPTIONS", path, {"origin": APP, **ASKS})
        assert (reply.status, reply.body, reply.headers[ALLOW], reply.headers["vary"]) == (204, b"", APP, "origin")
        assert reply.headers["access-control-allow-methods"] == "GET, HEAD, POST, PATCH, DELETE"
        assert reply.headers["access-control-allow-headers"] == "x-api-key, content-type"
        assert "access-control-allow-credentials" not in reply.headers
    reply = await ask(port, "POST", "/v1/messages", {"origin": APP}, b"{}")
    assert reply.status == 200
    assert (reply.headers[ALLOW], reply.headers["vary"]) == (APP, "origin")
    assert reply.headers["access-control-expose-headers"] == ", ".join(EXPOSED)
    for path, status in (("/v1/models", 401), ("/v1/nothing", 404), ("/artifacts/x.png", 404)):
        reply = await ask(port, "GET", path, {"origin": APP})
        assert (reply.status, reply.headers[ALLOW]) == (status, APP)  # a page must be able to read why
    reply = await ask(port, "POST", "/v1/messages", {"origin": APP, "content-length": "99999"})
    assert (reply.status, reply.headers[ALLOW]) == (413, APP)


async def test_a_page_of_another_origin_may_not(port: int) -> None:
    for origin in (OTHER, "null", APP.upper(), APP + ":8443", APP + ".evil.example", f"{APP}, {OTHER}", ""):
        reply = await ask(port, "OPTIONS", "/v1/messages", {"origin": origin, **ASKS})
        assert reply.status == 403 and not names(reply) and reply.headers["vary"] == "origin"
        assert origin.encode() not in reply.body or not origin
    reply = await ask(port, "POST", "/v1/messages", {"origin": OTHER}, b"{}")
    assert reply.status == 200 and not names(reply)  # the browser keeps it from the page; a program has no origin


async def test_a_question_before_a_call_must_be_one_that_a_browser_asks(port: int) -> None:
    asked = {"origin": APP, **ASKS}
    assert (
        await ask(port, "OPTIONS", "/v1/messages", asked | {"access-control-request-method": "TRACE"})
    ).status == 403
    for headers in ("a b", "a\x7f", "x" * 5000, "a,,b"):
        reply = await ask(port, "OPTIONS", "/v1/messages", asked | {"access-control-request-headers": headers})
        assert reply.status == 400 and "access-control-allow-headers" not in reply.headers
    assert (await ask(port, "OPTIONS", "/v1/messages", {"origin": APP})).status == 405
    for path in ("/admin/v1/x", "/ready", "/metrics"):
        reply = await ask(port, "OPTIONS", path, asked)
        assert reply.status == 405 and not names(reply)
        assert not names(await ask(port, "GET", path, {"origin": APP, "x-api-key": KEY}))


async def test_any_origin_and_cookies(tmp_path: Path) -> None:
    async with opened(house(tmp_path / "any", CorsSettings(origins=["*"], headers=["x-api-key"], max_age=5))) as port:
        reply = await ask(port, "OPTIONS", "/v1/messages", {"origin": OTHER, **ASKS})
        assert (reply.headers[ALLOW], reply.headers["access-control-max-age"]) == ("*", "5")
        assert reply.headers["access-control-allow-headers"] == "x-api-key"
    settings = CorsSettings(origins=[APP], credentials=True)
    async with opened(house(tmp_path / "cookies", settings)) as port:
        reply = await ask(port, "POST", "/v1/messages", {"origin": APP}, b"{}")
        assert (reply.headers[ALLOW], reply.headers["access-control-allow-credentials"]) == (APP, "true")


async def test_without_origins_nothing_is_said_of_them(tmp_path: Path) -> None:
    async with opened(house(tmp_path, CorsSettings())) as port:
        for method in ("OPTIONS", "POST"):
            reply = await ask(port, method, "/v1/messages", {"origin": APP, **ASKS}, b"{}")
            assert reply.status in (405, 200) and not names(reply) and "vary" not in reply.headers


async def test_pages_tell_browsers_what_they_may_do(tmp_path: Path) -> None:
    key = {"x-api-key": KEY}
    async with opened(house(tmp_path, CorsSettings(), hsts=99)) as port:
        page = await ask(port, "GET", "/page", key)
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        own = await ask(port, "GET", "/own", key)
        assert own.headers["content-security-policy"] == "default-src 'none'"
        for path in ("/page", "/own", "/admin/v1/x", "/health", "/nothing", "/v1/models"):
            reply = await ask(port, "GET", path, key)
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["referrer-policy"] == "no-referrer"
            assert reply.headers["strict-transport-security"] == "max-age=99"
            assert "server" not in reply.headers
        for path in ("/admin/v1/x", "/admin/nothing", "/auth/sign-in"):
            assert (await ask(port, "GET", path, key)).headers["cache-control"] == "no-store"
        for path in ("/administer", "/health"):
            assert "cache-control" not in (await ask(port, "GET", path, key)).headers
        assert "content-security-policy" not in (await ask(port, "GET", "/health")).headers
    async with opened(house(tmp_path / "clear", CorsSettings())) as port:
        assert "strict-transport-security" not in (await ask(port, "GET", "/health")).headers


class Foyer:
    def methods(self, path: str) -> tuple[str, ...]:
        return ("GET", "POST") if path == "/auth/way-in" else ()

    async def handle(self, incoming: Incoming) -> Answer:
        return Answer(200, (("content-type", "application/json"),), incoming.method.encode())


async def test_strangers_may_open_the_pages_of_a_foyer(tmp_path: Path) -> None:
    async with opened(House(tmp_path, foyers=(Foyer(),))) as port:
        for method in ("GET", "POST"):
            reply = await ask(port, method, "/auth/way-in", {"x-api-key": ""}, b"")
            assert (reply.status, reply.body) == (200, method.encode())
            assert reply.headers["cache-control"] == "no-store"
        assert (await ask(port, "DELETE", "/auth/way-in")).headers["allow"] == "GET, POST"
        assert (await ask(port, "GET", "/auth/way-out")).status == 404
