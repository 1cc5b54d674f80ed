"""What leaves the house: `[egress]` where sockets are made, calls that may not leave, and the client for the rest."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Any

import pytest

from sampan.config import Egress
from sampan.core import Call, Dialect, Fault, Location, Operation
from sampan.dialects.translation.manners import Terms, manners
from sampan.errors import ConfigError, TargetFault
from sampan.upstreams.connection import Connection
from sampan.upstreams.dial import Address, Dialer
from sampan.upstreams.fetch import Strangers
from sampan.upstreams.origin import Clocks, Limits, Origin, Proxy
from sampan.upstreams.outside import Outside
from sampan.upstreams.pool import Pool
from sampan.upstreams.upstream import Habits, HttpUpstream, Uncleared
from tests.upstreams.servers import SERVE, Read, Send, Step, answer, playing

CLOCKS = Clocks(5.0, 5.0, 5.0, 10.0)
MESSAGE = b'{"type":"message","content":[],"usage":{"input_tokens":3,"output_tokens":2}}'
JSON = ("content-type: application/json",)


def no_connection() -> Connection:
    raise AssertionError("nothing is to be connected to")


async def dialled(egress: Egress, url: str, addresses: Sequence[str], proxy: str | None = None) -> list[str]:
    """Which names were looked up; nothing may be connected to."""
    looked_up: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[Address]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each, port)) for each in addresses]

    through = Proxy.parse(proxy) if proxy else None
    dialer = Dialer(Origin.parse(url), proxy=through, context=None, limits=Limits(), resolve=resolve, egress=egress)
    with pytest.raises(TargetFault, match=r"\[egress\]") as caught:
        await dialer.open(no_connection, 1e12)
    assert caught.value.fault is Fault.UNREACHABLE
    return looked_up


async def test_a_name_that_is_not_listed_is_not_even_looked_up() -> None:
    egress = Egress(["a.org", "10.0.0.0/8"])
    assert await dialled(egress, "http://b.org", ["10.0.0.1"]) == []
    assert await dialled(egress, "http://11.0.0.1", []) == []
    assert await dialled(egress, "http://b.org", ["10.0.0.1"], proxy="http://10.0.0.2:80") == []
    assert await dialled(egress, "http://a.org", ["10.0.0.1"], proxy="http://p.org:80") == []


async def test_a_name_that_turns_out_to_be_what_a_rule_forbids_is_not_connected_to() -> None:
    assert await dialled(Egress(["a.org", "!10.0.0.0/8"]), "http://a.org", ["10.0.0.1"]) == ["a.org"]
    assert await dialled(Egress(["a.org"]), "http://a.org", ["127.0.0.1", "169.254.169.254"]) == ["a.org"]


async def test_of_several_addresses_only_allowed_ones_are_connected_to() -> None:
    async with playing(SERVE) as stage:
        port = int(stage.url.rpartition(":")[2])
        pool = Pool(Origin.parse(f"http://localhost:{port}"), headers={}, egress=Egress([f"a.org:{port}"]))
        async with await pool.request("GET", "/", clocks=CLOCKS) as response:
            assert await response.read(100) == b"hello"
        await pool.aclose()


async def test_what_callers_link_to_is_not_looked_up_either() -> None:
    strangers = Strangers(egress=Egress(["files.lan"]))
    try:
        with pytest.raises(TargetFault, match="egress"):
            await strangers.resolve("a.org", 80)
        with pytest.raises(TargetFault, match="egress"):
            await strangers.get("http", "files.lan", 80, "/", addresses=["127.0.0.1"], most=9, seconds=5)
        with pytest.raises(TargetFault, match="egress"):
            await strangers.get("http", "9.9.9.9", 80, "/", addresses=["9.9.9.9"], most=9, seconds=5)
        assert await strangers.resolve("127.0.0.1", 80) == ["127.0.0.1"]
    finally:
        strangers.close()


# Calls.


def call(dialect: Dialect = Dialect.ANTHROPIC, **more: Any) -> Call:
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"prompt":"x","input":"x"}'
    return Call(dialect, Operation.TEXT, "m", "/v1/x", body, "application/json", **more)


ASKED = {
    Dialect.ANTHROPIC: (Dialect.ANTHROPIC, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES),
    Dialect.OPENAI_CHAT: (Dialect.ANTHROPIC, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES),
    Dialect.OPENAI_IMAGES: (Dialect.OPENAI_IMAGES,),
    Dialect.OPENAI_EMBEDDINGS: (Dialect.OPENAI_EMBEDDINGS,),
}


@pytest.mark.parametrize("held", [{"confined": "the key"}, {"masked": True}, {"confined": "x", "masked": True}])
@pytest.mark.parametrize(("spoken", "asked"), [(spoken, each) for spoken, asks in ASKED.items() for each in asks])
async def test_a_cloud_is_never_asked_what_may_not_leave(spoken: Dialect, asked: Dialect, held: dict[str, Any]) -> None:
    """Whatever the router planned: in each dialect, streaming or not, awaited or not."""
    async with playing(SERVE) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        upstream = HttpUpstream("far", pool, manners(spoken, Terms(lambda: 0.0)), Habits(CLOCKS, "off", 1.0))
        await pool.connect(CLOCKS)
        with pytest.raises(Uncleared, match="far is a cloud"):
            await upstream.fetch(call(asked, **held), None)
        with pytest.raises(Uncleared):
            upstream.ask(call(asked, **held), None, lambda outcome: None)
        for stream in (False, True):
            with pytest.raises(Uncleared):
                async for _ in upstream.attempt(call(asked, stream=stream, **held), None):
                    pass
        await upstream.aclose()
    assert stage.requests == []


async def test_a_server_of_ones_own_is_asked_everything() -> None:
    habits = Habits(CLOCKS, "off", 1.0, location=Location.LOCAL)
    async with playing([Read(), Send(answer(MESSAGE, headers=JSON))]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        upstream = HttpUpstream("near", pool, manners(Dialect.ANTHROPIC, Terms(lambda: 0.0)), habits)
        assert (await upstream.fetch(call(confined="the key", masked=True), None)).data == MESSAGE
        await upstream.aclose()


async def test_what_a_confined_chat_links_to_is_brought_and_not_handed_on() -> None:
    habits = Habits(CLOCKS, "off", 1.0, location=Location.LOCAL)
    completion = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}'

    async def bring(asked: Call) -> Call:
        brought.append(asked)
        return call(Dialect.OPENAI_CHAT)

    brought: list[Call] = []
    async with playing(
        [Read(), Send(answer(completion, headers=JSON)), Read(), Send(answer(completion, headers=JSON))]
    ) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        speaks = manners(Dialect.OPENAI_CHAT, Terms(lambda: 0.0))
        upstream = HttpUpstream("near", pool, speaks, habits, bring=bring)
        sees = Call(
            Dialect.OPENAI_CHAT,
            Operation.VISION,
            "m",
            "/v1/x",
            b'{"model":"m","messages":["http://a.org/"]}',
            "application/json",
        )
        await upstream.fetch(sees, None)
        held = Call(
            **{name: getattr(sees, name) for name in ("dialect", "operation", "model", "path", "body", "content_type")},
            confined="x",
        )
        assert upstream.ask(held, None, lambda outcome: None) is None
        await upstream.fetch(held, None)
        await upstream.aclose()
    assert b"a.org" in stage.requests[0] and b"a.org" not in stage.requests[1] and brought == [held]


# Whatever is no call.


async def test_it_gets_and_posts() -> None:
    moved = answer(b"no", status="302 Found", headers=["location: http://a.org/"])
    script: list[Step] = [
        Read(),
        Send(answer(b"keys")),
        Read(),
        Send(answer(status="204 No Content")),
        Read(),
        Send(moved),
        Read(),
        Send(moved),
    ]
    async with playing(script) as stage:
        outside = Outside()
        assert await outside.get(f"{stage.url}/jwks/?a=1", {"accept": "application/json"}, 100, 5) == b"keys"
        assert await outside.post(stage.url, {"x-sign": "1"}, b"body", 5) == 204
        with pytest.raises(TargetFault, match="302"):
            await outside.get(stage.url, {}, 100, 5)
        reply = await outside.ask("GET", stage.url, {}, b"", limit=100, seconds=5)
        assert (reply.status, reply.headers["location"], reply.body) == (302, "http://a.org/", b"no")
        await outside.aclose()
    first, second, *_ = stage.requests
    assert first.startswith(b"GET /jwks/?a=1 HTTP/1.1\r\n") and b"accept: application/json" in first
    assert second.startswith(b"POST / HTTP/1.1\r\n") and second.endswith(b"\r\n\r\nbody")
    assert stage.connections == 1


async def test_it_takes_no_more_than_its_limit() -> None:
    async with playing([Read(), Send(answer(bytes(101)))]) as stage:
        outside = Outside()
        with pytest.raises(TargetFault) as caught:
            await outside.get(stage.url, {}, 100, 5)
        assert caught.value.fault is Fault.MALFORMED
        await outside.aclose()


async def test_it_obeys_egress() -> None:
    outside = Outside(Egress(["a.org"]))
    with pytest.raises(TargetFault, match="egress"):
        await outside.get("https://b.org/jwks", {}, 100, 5)
    for wrong in ("ftp://a.org/", "nothing", "http://user:pw@a.org/"):
        with pytest.raises(ConfigError):
            await outside.post(wrong, {}, b"", 5)
    with pytest.raises(TargetFault, match="cannot be sent"):
        await outside.post("http://a.org/", {"x": "a\r\nb"}, b"", 5)
    await outside.aclose()


async def test_it_has_ways_for_whoever_knows_no_client() -> None:
    script: list[Step] = [
        Read(),
        Send(answer(b"{}")),
        Read(),
        Send(answer(b"token", status="400 Bad")),
        Read(),
        Send(answer()),
    ]
    async with playing(script) as stage:
        outside = Outside()
        assert await outside.fetch(stage.url) == b"{}"
        assert await outside.exchange(stage.url, {}, b"code") == (400, b"token")
        assert await outside.deliver(stage.url, {}, b"record") == 200
        await outside.aclose()


async def test_those_ways_obey_egress_and_raise_what_is_expected_of_them(
    trusting: ssl.SSLContext, serving: ssl.SSLContext
) -> None:
    outside = Outside(Egress(["a.org", "!127.0.0.3"]))
    async with playing([Read(), Send(answer(b"taken"))], tls=serving) as stage:
        port = int(stage.url.rpartition(":")[2])
        reader, writer = await outside.connect("localhost", port, ssl=trusting)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"taken" in await reader.read(1000)
        writer.close()
    for host in ("b.org", "10.1.1.1", "127.0.0.3"):
        with pytest.raises(ConnectionError, match="egress"):
            await outside.connect(host, 514)
    with pytest.raises(ConnectionError, match="egress"):
        await outside.deliver("https://b.org/", {}, b"")
    with pytest.raises(ConnectionRefusedError):
        await outside.connect("127.0.0.1", port)
    await outside.aclose()
