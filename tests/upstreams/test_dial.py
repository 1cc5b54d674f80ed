"""TLS and proxies: what is verified, what is tunnelled, and which fault each failure is."""

from __future__ import annotations

import asyncio
import base64
import datetime
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import pytest
import trustme

from sampan.core import Fault
from sampan.errors import ConfigError, TargetFault
from sampan.upstreams.connection import Connection
from sampan.upstreams.dial import Address, Dialer
from sampan.upstreams.http1 import Clocks, Limits, Origin, Pool, tls_context
from tests.upstreams.servers import SERVE, Again, Close, Read, Send, Stall, answer, chunked, playing, proxying

LOOPS = ("asyncio", "uvloop")

PATIENT = Clocks(connect=20, first_event=20, idle=20, total=60)
HURRIED = 0.03


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def asked(
    url: str,
    context: ssl.SSLContext | None = None,
    *,
    proxy: str | None = None,
    clocks: Clocks = PATIENT,
    times: int = 1,
) -> bytes:
    """What `times` requests one after the other return; the pool must be empty after a failure."""
    pool = Pool(Origin.parse(url), ssl_context=context, proxy=proxy, headers={})
    try:
        body = b""
        for _ in range(times):
            async with await pool.request("GET", "/x", clocks=clocks) as response:
                body = await response.read(1 << 20)
        return body
    except TargetFault:
        assert pool.size == 0
        raise
    finally:
        await pool.aclose()


async def fault_of(
    url: str, context: ssl.SSLContext | None = None, *, proxy: str | None = None, clocks: Clocks = PATIENT
) -> TargetFault:
    with pytest.raises(TargetFault) as caught:
        await asked(url, context, proxy=proxy, clocks=clocks)
    return caught.value


# TLS


async def test_tls_is_spoken_and_kept(trusting: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    async with playing(SERVE, tls=serving) as stage:
        assert await asked(stage.url, trusting, times=3) == b"hello"
        assert stage.connections == 1


async def test_tls_carries_large_bodies(trusting: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 8000
    async with playing([Read(), Send(chunked(body)), Again()], tls=serving) as stage:
        pool = Pool(Origin.parse(stage.url), ssl_context=trusting, headers={})
        async with await pool.request("POST", "/", body=body, clocks=PATIENT) as response:
            assert await response.read(1 << 24) == body
        assert stage.requests[0].endswith(body)
        await pool.aclose()


async def test_a_stale_tls_connection_is_replaced(trusting: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    async with playing([Read(), Send(answer(b"a")), Read(), Close()], SERVE, tls=serving) as stage:
        assert await asked(stage.url, trusting, times=2) == b"hello"
        assert stage.connections == 2


async def test_a_cut_in_tls(trusting: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    async with playing([Read(), Send(answer(b"abc")[:-1]), Close()], tls=serving) as stage:
        assert (await fault_of(stage.url, trusting)).fault is Fault.CUT


async def test_cancelling_closes_a_tls_connection(trusting: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    async with playing([Read(), Stall()], tls=serving) as stage:
        task = asyncio.create_task(asked(stage.url, trusting))
        await stage.asked.wait()
        task.cancel()
        await stage.left.wait()


async def test_an_unknown_authority(serving: ssl.SSLContext) -> None:
    async with playing(SERVE, tls=serving) as stage:
        fault = await fault_of(stage.url)
        assert fault.fault is Fault.TLS
        assert "certificate" in fault.detail
        assert not stage.requests


async def test_the_wrong_host(trusting: ssl.SSLContext, authority: trustme.CA) -> None:
    async with playing(SERVE, tls=server_context(authority.issue_cert("example.org"))) as stage:
        assert (await fault_of(stage.url, trusting)).fault is Fault.TLS


async def test_an_expired_certificate(trusting: ssl.SSLContext, authority: trustme.CA) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    expired = authority.issue_cert("127.0.0.1", not_after=yesterday)
    async with playing(SERVE, tls=server_context(expired)) as stage:
        fault = await fault_of(stage.url, trusting)
        assert fault.fault is Fault.TLS
        assert "expired" in fault.detail


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_1_1_is_not_spoken(trusting: ssl.SSLContext, authority: trustme.CA) -> None:
    context = server_context(authority.issue_cert("127.0.0.1"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with playing(SERVE, tls=context) as stage:
        assert (await fault_of(stage.url, trusting)).fault is Fault.TLS


@pytest.mark.parametrize(
    "script", [[Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Close()], [Close()]], ids=["http", "eof"]
)
async def test_no_tls_there(trusting: ssl.SSLContext, script: list[Send | Close]) -> None:
    async with playing(script) as stage:
        assert (await fault_of(f"https://127.0.0.1:{stage.port}", trusting)).fault is Fault.TLS


async def test_a_handshake_that_stalls(trusting: ssl.SSLContext) -> None:
    async with playing([Stall()]) as stage:
        fault = await fault_of(f"https://127.0.0.1:{stage.port}", trusting, clocks=Clocks(connect=0.4))
        assert fault.fault is Fault.CONNECT_TIMEOUT
        await stage.left.wait()


async def test_the_certificate_must_name_what_was_asked_for(trusting: ssl.SSLContext, authority: trustme.CA) -> None:
    async with playing(SERVE, tls=server_context(authority.issue_cert("localhost"))) as stage:
        assert await asked(f"https://localhost:{stage.port}", trusting) == b"hello"
        assert (await fault_of(f"https://127.0.0.1:{stage.port}", trusting)).fault is Fault.TLS
    async with playing(SERVE, tls=server_context(authority.issue_cert("127.0.0.1"))) as stage:
        assert (await fault_of(f"https://localhost:{stage.port}", trusting)).fault is Fault.TLS


class Lender:
    """An owner for connections that no pool has."""

    def recycle(self, connection: Connection) -> None: ...
    def discard(self, connection: Connection) -> None: ...
    def gone(self, connection: Connection) -> None: ...


def dialer(resolve: Callable[[str, int], Coroutine[object, object, Sequence[Address]]]) -> Dialer:
    return Dialer(Origin.parse("http://several.example"), proxy=None, context=None, limits=Limits(), resolve=resolve)


async def opened(dialer: Dialer, seconds: float = 20) -> Connection:
    loop = asyncio.get_running_loop()
    return await dialer.open(lambda: Connection(loop, Lender(), Limits(), 30), loop.time() + seconds)


def ipv4(port: int) -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))


async def test_every_address_is_tried() -> None:
    async with playing(SERVE) as stage:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            linkless: Address = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 0))
            entries = [ipv4(closed.getsockname()[1]), linkless, ipv4(stage.port)]

            async def resolve(host: str, port: int) -> Sequence[Address]:
                assert (host, port) == ("several.example", 80)
                return entries

            connection = await opened(dialer(resolve))
            assert connection.usable
            connection.abort()
            for fault in (Fault.UNREACHABLE, Fault.REFUSED, Fault.DNS):
                entries.pop()
                with pytest.raises(TargetFault) as caught:
                    await opened(dialer(resolve))
                assert caught.value.fault is fault


async def test_tls_context_trusts_what_it_is_told(
    authority: trustme.CA, serving: ssl.SSLContext, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = tls_context(str(file))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    async with playing(SERVE, tls=serving) as stage:
        assert await asked(stage.url, context) == b"hello"
    for content in (b"", b"no certificate"):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="CA file"):
            tls_context(str(file))
    with pytest.raises(ConfigError, match="CA file"):
        tls_context(str(tmp_path / "missing.pem"))


# Proxies


async def test_tunnels_plain_and_tls(trusting: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    for tls in (None, serving):
        async with playing(SERVE, tls=tls) as stage, proxying() as proxy:
            url = f"http://us%3Aer:p%40ss@127.0.0.1:{proxy.port}"
            assert await asked(stage.url, trusting, proxy=url, times=2) == b"hello"
            secret = base64.b64encode(b"us:er:p@ss").decode()
            place = f"127.0.0.1:{stage.port}"
            expected = f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\nproxy-authorization: Basic {secret}\r\n\r\n"
            assert proxy.asked == [expected.encode()]
            assert b"proxy-authorization" not in b"".join(stage.requests)


async def test_tls_is_verified_through_a_proxy(serving: ssl.SSLContext) -> None:
    async with playing(SERVE, tls=serving) as stage, proxying() as proxy:
        fault = await fault_of(stage.url, proxy=f"http://127.0.0.1:{proxy.port}")
        assert fault.fault is Fault.TLS


REPLIES = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "407"),
    "502": (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\nbad", "502"),
    "no http": (b"SOCKS\r\n\r\n", "no HTTP"),
    "eof": (b"HTTP/1.1 200 OK\r\n", "closed"),
    "more than a head": (b"HTTP/1.1 200 OK\r\n\r\nhello", "no HTTP"),
}


@pytest.mark.parametrize(("reply", "said"), REPLIES.values(), ids=REPLIES.keys())
async def test_a_proxy_that_refuses(reply: bytes, said: str) -> None:
    async with proxying(reply) as proxy:
        fault = await fault_of("http://origin.example", proxy=f"http://127.0.0.1:{proxy.port}")
        assert fault.fault is Fault.UNREACHABLE
        assert said in fault.detail


async def test_a_proxy_that_is_silent() -> None:
    async with proxying(silent=True) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        fault = await fault_of("http://origin.example", proxy=url, clocks=Clocks(connect=HURRIED))
        assert fault.fault is Fault.CONNECT_TIMEOUT


async def test_a_proxy_that_is_not_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        fault = await fault_of("http://origin.example", proxy=f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert fault.fault is Fault.REFUSED
    fault = await fault_of("http://127.0.0.1:1", proxy="http://proxy.invalid:1")
    assert fault.fault is Fault.DNS


# Names


async def test_a_name_is_looked_up_once_however_many_wait() -> None:
    answered: asyncio.Future[Sequence[Address]] = asyncio.get_running_loop().create_future()
    lookups = 0

    async def resolve(host: str, port: int) -> Sequence[Address]:
        nonlocal lookups
        lookups += 1
        return await answered

    async with playing(SERVE) as stage:
        one = dialer(resolve)
        given_up = asyncio.create_task(opened(one, HURRIED))
        patient = [asyncio.create_task(opened(one)) for _ in range(3)]
        with pytest.raises(TargetFault, match="connect_timeout"):
            await given_up
        answered.set_result([ipv4(stage.port)])
        for task in patient:
            (await task).abort()
        assert lookups == 1


async def test_a_lookup_that_nobody_waits_for_ends_with_its_dialer() -> None:
    ended = asyncio.Event()

    async def resolve(host: str, port: int) -> Sequence[Address]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return []

    one = dialer(resolve)
    with pytest.raises(TargetFault, match="connect_timeout"):
        await opened(one, HURRIED)
    assert not ended.is_set()
    waiting = asyncio.create_task(opened(one))
    await asyncio.sleep(0)
    one.close()
    await ended.wait()
    with pytest.raises(TargetFault, match="closed"):
        await waiting
