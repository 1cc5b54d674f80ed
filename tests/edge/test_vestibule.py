"""TLS with one's own certificate over real sockets: whom it lets in, who is told what, and how it is changed."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from house import House, request

from sampan.config import Config, ServerSettings
from sampan.config.edge import TlsSettings
from sampan.edge.certificates import Certificates
from sampan.edge.crowd import Crowd, CrowdLimits
from sampan.edge.entrance import Entrance
from sampan.edge.listener import Listener
from sampan.errors import ConfigError


def make(folder: Path, name: str, *options: str) -> tuple[Path, Path]:
    """A self-made certificate and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", *(options or ("-nodes",))]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


@dataclass(frozen=True)
class Pairs:
    """Made once: `old`, `new`, and `caller` for a client; `secret` has a passphrase."""

    folder: Path

    def settings(self, name: str = "old", **more: str) -> TlsSettings:
        return TlsSettings(certificate=str(self.folder / f"{name}.pem"), key=str(self.folder / f"{name}.key"), **more)

    def client(self, trusted: str = "old") -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / f"{trusted}.pem"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("old", "new", "caller"):
        make(folder, name)
    make(folder, "secret", "-passout", "pass:1234")
    return Pairs(folder)


class Counting(Crowd):
    """Says when the last connection has left."""

    def __init__(self, limits: CrowdLimits, left: asyncio.Event) -> None:
        super().__init__(limits, lambda: 0.0)
        self._left = left

    def leave(self, address: str) -> None:
        super().leave(address)
        if not self._total:
            self._left.set()


Tour = Callable[[Path, Pairs], Coroutine[Any, Any, None]]


@dataclass
class Secure:
    """A door behind TLS."""

    port: int
    entrance: Entrance
    listener: Listener
    house: House
    left: asyncio.Event

    async def common_name(self, context: ssl.SSLContext) -> str:
        reader, writer = await self.connect(context)
        writer.write(request("GET", "/health"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        subject = dict(pair for group in writer.get_extra_info("peercert")["subject"] for pair in group)
        writer.close()
        return str(subject["commonName"])

    async def connect(self, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="127.0.0.1")


@asynccontextmanager
async def secure(folder: Path, settings: TlsSettings, idle: float = 75.0, **server: int) -> AsyncIterator[Secure]:
    house = House(folder, limit=10_000_000)
    entrance = Entrance(Config(server=replace(ServerSettings(), **server), tls=settings))  # type: ignore[arg-type]
    left = asyncio.Event()
    entrance.crowd = Counting(entrance.crowd.limits, left)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    listener = Listener(house.door, idle=idle, entrance=entrance)
    await listener.start(listening)
    try:
        yield Secure(port, entrance, listener, house, left)
    finally:
        await listener.close()
        listening.close()
        house.database.close()


async def test_a_call_goes_through_tls_as_it_does_in_the_clear(tmp_path: Path, pairs: Pairs) -> None:
    async with secure(tmp_path, pairs.settings()) as door:
        reader, writer = await door.connect(pairs.client())
        told = writer.get_extra_info("ssl_object")
        assert told.version() == "TLSv1.3"
        for size in (2, 100_000, 5_000_000, 2):
            writer.write(request("POST", "/v1/messages", body=bytes(size)))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(2) == b"{}"
        writer.close()
        assert [len(came.body) for came in door.house.came] == [2, 100_000, 5_000_000, 2]
        assert {came.peer for came in door.house.came} == {"127.0.0.1"}


async def test_old_protocols_are_not_spoken_and_http_1_1_is_agreed_on(tmp_path: Path, pairs: Pairs) -> None:
    async with secure(tmp_path, pairs.settings()) as door:
        client = pairs.client()
        client.set_alpn_protocols(["h2", "http/1.1"])
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        _, writer = await door.connect(client)
        told = writer.get_extra_info("ssl_object")
        assert (told.version(), told.selected_alpn_protocol()) == ("TLSv1.2", "http/1.1")
        writer.close()
    assert door.entrance.certificates is not None
    assert door.entrance.certificates.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert door.entrance.certificates.context.options & ssl.OP_NO_RENEGOTIATION


async def test_who_speaks_no_tls_is_told_so(tmp_path: Path, pairs: Pairs) -> None:
    async with secure(tmp_path, pairs.settings()) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(request("POST", "/v1/messages", body=b"{}"))
        said = await asyncio.wait_for(reader.read(), 10)
        assert said.startswith(b"HTTP/1.1 400 ") and b"https://" in said
        writer.close()
        assert door.house.came == []
        assert await door.common_name(pairs.client()) == "old"


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x00\x05hello" * 20])
async def test_a_handshake_that_does_not_end_is_ended(tmp_path: Path, pairs: Pairs, sent: bytes) -> None:
    async with secure(tmp_path, replace(pairs.settings(), handshake=0.1), connections=1) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(sent)
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await asyncio.wait_for(door.left.wait(), 10)
        assert await door.common_name(pairs.client()) == "old"


async def test_connections_are_counted_before_their_handshake(tmp_path: Path, pairs: Pairs) -> None:
    async with secure(tmp_path, pairs.settings(), connections_per_address=1) as door:
        _, first = await asyncio.open_connection("127.0.0.1", door.port)  # says nothing
        reader, second = await asyncio.open_connection("127.0.0.1", door.port)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        first.close()
        second.close()
        await asyncio.wait_for(door.left.wait(), 10)
        assert await door.common_name(pairs.client()) == "old"


async def test_a_new_certificate_is_shown_to_the_next_and_open_connections_stay(tmp_path: Path, pairs: Pairs) -> None:
    for end in ("pem", "key"):
        shutil.copy(pairs.folder / f"old.{end}", tmp_path / f"mine.{end}")
    settings = TlsSettings(certificate=str(tmp_path / "mine.pem"), key=str(tmp_path / "mine.key"))
    async with secure(tmp_path, settings) as door:
        certificates = door.entrance.certificates
        assert certificates is not None
        reader, writer = await door.connect(pairs.client())
        assert not certificates.refresh()
        (tmp_path / "next.pem").write_bytes((pairs.folder / "new.pem").read_bytes())
        os.replace(tmp_path / "next.pem", tmp_path / "mine.pem")
        assert not certificates.refresh(), "a certificate without its key"
        assert await door.common_name(pairs.client("old")) == "old"
        shutil.copy(pairs.folder / "new.key", tmp_path / "mine.key")
        assert certificates.refresh()
        assert await door.common_name(pairs.client("new")) == "new"
        with pytest.raises(ssl.SSLCertVerificationError):
            await door.common_name(pairs.client("old"))
        writer.write(request("GET", "/health"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()


def test_what_cannot_be_used_stays_out_of_force_and_is_said_once(
    tmp_path: Path, pairs: Pairs, caplog: pytest.LogCaptureFixture
) -> None:
    for end in ("pem", "key"):
        shutil.copy(pairs.folder / f"old.{end}", tmp_path / f"mine.{end}")
    certificates = Certificates(TlsSettings(certificate=str(tmp_path / "mine.pem"), key=str(tmp_path / "mine.key")))
    context = certificates.context
    for content in (b"nonsense", b"", (pairs.folder / "new.pem").read_bytes()):
        (tmp_path / "mine.pem").write_bytes(content)
        assert not certificates.refresh() and not certificates.refresh()
    (tmp_path / "mine.pem").unlink()
    assert not certificates.refresh() and not certificates.refresh()
    assert certificates.context is context
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4 and all("the old one stays in force" in each for each in said)
    assert "the key is not this certificate's" in said[2] and "No such file" in said[3]


def test_a_pair_that_cannot_be_used_stops_the_start(pairs: Pairs) -> None:
    old = pairs.settings()
    for wrong, reason in (
        (replace(old, key=pairs.settings("new").key), "the key is not this certificate's"),
        (pairs.settings("secret"), "has a passphrase"),
        (replace(old, certificate=old.key), r"\[tls\] certificate and key: "),
        (replace(old, client_ca=old.key), r"\[tls\] client_ca: "),
    ):
        with pytest.raises(ConfigError, match=reason):
            Certificates(wrong)


async def test_only_callers_with_a_certificate_are_let_in_where_that_is_wanted(tmp_path: Path, pairs: Pairs) -> None:
    settings = pairs.settings(client_ca=str(pairs.folder / "caller.pem"))
    async with secure(tmp_path, settings) as door:
        client = pairs.client()
        client.load_cert_chain(pairs.folder / "caller.pem", pairs.folder / "caller.key")
        assert await door.common_name(client) == "old"
        stranger = pairs.client()
        stranger.load_cert_chain(pairs.folder / "new.pem", pairs.folder / "new.key")
        for context in (pairs.client(), stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await door.common_name(context)
        assert len(door.house.came) == 0


async def test_a_caller_who_takes_nothing_of_its_answer_is_let_go(tmp_path: Path, pairs: Pairs) -> None:
    async with secure(tmp_path, pairs.settings(), idle=0.2) as door:
        door.house._run = None
        artifact = await door.house.objects.put(bytes(20_000_000), "image/png", "key", {})
        link = door.house.objects.sign(artifact.sha256, "image/png", 1_700_000_100)
        reader, writer = await door.connect(pairs.client())
        writer.write(request("GET", link))
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(door.left.wait(), 10)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            await reader.readexactly(20_000_000)
        writer.close()


async def test_a_server_that_stops_takes_nobody_in(tmp_path: Path, pairs: Pairs) -> None:
    async with secure(tmp_path, pairs.settings()) as door:
        _, waiting = await asyncio.open_connection("127.0.0.1", door.port)
        door.listener.retire()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", door.port)
        assert await door.listener.empty(10)
        waiting.close()


TOURS = (
    test_a_call_goes_through_tls_as_it_does_in_the_clear,
    test_old_protocols_are_not_spoken_and_http_1_1_is_agreed_on,
    test_who_speaks_no_tls_is_told_so,
    test_connections_are_counted_before_their_handshake,
    test_a_new_certificate_is_shown_to_the_next_and_open_connections_stay,
    test_only_callers_with_a_certificate_are_let_in_where_that_is_wanted,
    test_a_caller_who_takes_nothing_of_its_answer_is_let_go,
    test_a_server_that_stops_takes_nobody_in,
)


@pytest.mark.parametrize("tour", TOURS, ids=lambda tour: tour.__name__.removeprefix("test_"))
def test_on_the_server_s_own_loop_too(tour: Tour, tmp_path: Path, pairs: Pairs) -> None:
    """The server runs on uvloop, which has a TLS of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(tour(tmp_path, pairs))
