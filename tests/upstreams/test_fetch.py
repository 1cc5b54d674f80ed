"""Fetching over real sockets: the address that was judged is the one that is asked, within size and time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Sequence

import pytest
import trustme

from sampan.core import Fault
from sampan.errors import InvalidRequest, TargetFault
from sampan.media.fetching import Exemption, Fetcher, Policy
from sampan.upstreams.fetch import Strangers
from tests.upstreams.servers import Close, Flood, Read, Send, Stage, Stall, answer, chunked, playing

LOOPS = ("asyncio", "uvloop")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(4000)
WANTED = frozenset({"image/png"})
PATH = "messages.0.content.0"


@pytest.fixture
async def strangers(trusting: ssl.SSLContext) -> AsyncIterator[Strangers]:
    made = Strangers(context=trusting)
    yield made
    made.close()


def port(stage: Stage) -> int:
    return int(stage.url.rpartition(":")[2])


def home(*stages: Stage, **more: float) -> Policy:
    """A policy that lets fetches into this machine, at these servers' ports only."""
    exemptions = tuple(Exemption.parse(f"127.0.0.1:{port(stage)}") for stage in stages)
    return Policy(exemptions, **more)  # type: ignore[arg-type]


async def fetch(strangers: Strangers, url: str, policy: Policy) -> bytes:
    return await Fetcher(strangers.get, strangers.resolve, policy).fetch(url, PATH, WANTED)


async def test_a_picture_comes_over_redirects_with_nothing_of_ours_in_the_request(strangers: Strangers) -> None:
    async with playing([Read(), Send(answer(PNG))]) as last:
        there = f"location: {last.url}/b.png?size=1"
        async with playing([Read(), Send(answer(b"gone", status="302 Found", headers=[there]))]) as first:
            assert await fetch(strangers, f"{first.url}/a.png", home(first, last)) == PNG
    [request] = last.requests
    head = request.decode().lower()
    assert head.startswith("get /b.png?size=1 http/1.1\r\n") and f"\r\nhost: 127.0.0.1:{port(last)}\r\n" in head
    assert "accept-encoding: identity" in head
    assert not [word for word in ("cookie", "authorization", "referer", "x-api-key") if word in head]


async def test_a_redirect_to_this_machine_is_not_followed(strangers: Strangers) -> None:
    async with playing([Read(), Send(answer(PNG))]) as inner:
        moved = answer(status="301 Moved", headers=[f"location: {inner.url}/"])
        async with playing([Read(), Send(moved)]) as outer:
            with pytest.raises(InvalidRequest) as caught:
                await fetch(strangers, outer.url, home(outer))
    assert caught.value.param == PATH
    assert inner.connections == 0 and outer.connections == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "0"])
async def test_no_spelling_of_this_machine_is_asked(strangers: Strangers, host: str) -> None:
    async with playing([Read(), Send(answer(PNG))]) as stage:
        policy = Policy(ports=frozenset({port(stage)}))
        with pytest.raises(InvalidRequest, match="not found on the public internet"):
            await fetch(strangers, f"http://{host}:{port(stage)}/", policy)
        assert stage.connections == 0


async def test_a_name_is_not_looked_up_again_to_connect(strangers: Strangers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: whatever the name says after it was judged, the connection goes where the judgement was."""
    real = socket.getaddrinfo
    asked: list[str] = []

    def lookup(host: str, *more: object, **named: object) -> object:
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    async with playing([Read(), Send(answer(PNG))]) as stage:
        assert await fetch(strangers, f"http://rebinds.test:{port(stage)}/", home(stage)) == PNG
    assert asked == ["rebinds.test"]
    assert b"\r\nhost: rebinds.test:" in stage.requests[0]


async def test_tls_is_of_the_name_and_not_of_the_address(strangers: Strangers, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pictures.test").configure_cert(context)
    async with playing([Read(), Send(answer(PNG))], tls=context) as stage:

        async def resolve(host: str, _port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        fetcher = Fetcher(strangers.get, resolve, home(stage))
        assert await fetcher.fetch(f"https://pictures.test:{port(stage)}/", PATH, WANTED) == PNG
        with pytest.raises(InvalidRequest, match="does not answer"):
            await fetcher.fetch(f"https://other.test:{port(stage)}/", PATH, WANTED)


@pytest.mark.parametrize("reply", [answer(PNG), chunked(PNG[:1000], PNG[1000:])])
async def test_a_body_over_the_limit_is_not_taken(strangers: Strangers, reply: bytes) -> None:
    async with playing([Read(), Send(reply)]) as stage:
        assert await fetch(strangers, stage.url, home(stage, most=len(PNG))) == PNG
        with pytest.raises(InvalidRequest, match="larger than 4,007 bytes"):
            await fetch(strangers, stage.url, home(stage, most=len(PNG) - 1))


async def test_a_flood_is_cut_off_early(strangers: Strangers) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    async with playing([Read(), Send(head), Flood(piece, 4096)]) as stage:
        with pytest.raises(InvalidRequest, match="larger than"):
            await fetch(strangers, stage.url, home(stage, most=1_000_000))
    assert stage.flooded < 64 * 1024 * 1024


@pytest.mark.parametrize("steps", [[Read(), Stall()], [Read(), Send(answer(PNG)[:900]), Stall()]])
async def test_a_slow_server_is_given_up(strangers: Strangers, steps: list[Read | Send | Stall]) -> None:
    async with playing(steps) as stage:
        with pytest.raises(InvalidRequest, match=r"too long|does not answer"):
            await fetch(strangers, stage.url, home(stage, seconds=0.05))


@pytest.mark.parametrize("steps", [[Read(), Close()], [Read(), Send(answer(PNG)[:900]), Close()], [Read(), Send(b"?")]])
async def test_a_broken_answer_is_none(strangers: Strangers, steps: list[Read | Send | Close]) -> None:
    async with playing(steps) as stage:
        with pytest.raises(InvalidRequest, match="does not answer"):
            await fetch(strangers, stage.url, home(stage))


async def test_the_second_address_is_tried_where_the_first_is_dead(strangers: Strangers) -> None:
    async with playing([Read(), Send(answer(PNG))]) as stage:
        got = await strangers.get(
            "http", "a.test", port(stage), "/", addresses=["::1", "127.0.0.2", "127.0.0.1"], most=10_000, seconds=20
        )
    assert (got.status, got.body) == (200, PNG)


async def test_a_name_without_addresses(strangers: Strangers) -> None:
    with pytest.raises(TargetFault) as caught:
        await strangers.resolve("nothing.invalid", 80)
    assert caught.value.fault is Fault.DNS
