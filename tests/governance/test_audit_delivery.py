"""Records reach real sockets in order and at least once, whatever is killed in the middle."""

import asyncio
import hashlib
import hmac
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from sampan.config import SinkSettings
from sampan.governance.audit_delivery import BACKOFF, Delivery, make_sink
from sampan.governance.audit_sinks import Syslog, Webhook, syslog_message
from sampan.storage.chain import Entry
from sampan.storage.db import Database
from sampan.storage.evidence import Evidence
from sampan.storage.records import Records
from tests.storage.test_records import record

SOON = 20.0


@dataclass
class House:
    database: Database
    records: Records
    evidence: Evidence
    told: list[tuple[str, int, bool]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def keep(self, *numbers: int) -> None:
        for number in numbers:
            self.records.append(record(number))
        assert self.records.flush(10)

    def delivery(self, sink: Syslog | Webhook, batch: int = 10) -> Delivery:
        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            await asyncio.sleep(0.005)

        head = lambda: self.records.head  # noqa: E731
        told = lambda *said: self.told.append(said)  # noqa: E731
        return Delivery(self.evidence, "siem", sink, head, batch=batch, told=told, pause=pause)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(Database(tmp_path / "data")) as database, closing(Records(database, linger=0.001)) as records:
        records.start()
        yield House(database, records, Evidence(database, records.node))


@asynccontextmanager
async def running(delivery: Delivery) -> AsyncIterator[Delivery]:
    work = asyncio.create_task(delivery.run())
    try:
        async with asyncio.timeout(SOON):
            yield delivery
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


class Receiver:
    """A syslog server over TCP that reads frames by their octet counts; `limit` is how many it takes before it dies."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.got = asyncio.Queue[dict[str, object]]()
        self.heads: list[bytes] = []
        self.limit = -1
        self.port = 0
        self._context = context
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Receiver":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int(await reader.readuntil(b" "))
                message = await reader.readexactly(length)
                head, _, body = message.partition(b" - {")
                self.heads.append(head)
                self.got.put_nowait(json.loads(b"{" + body))
                if len(self.heads) == self.limit:
                    self.limit = -1
                    writer.transport.abort()
                    return

    async def take(self, count: int) -> list[object]:
        async with asyncio.timeout(SOON):
            return [(await self.got.get())["number"] for _ in range(count)]

    async def take_until(self, number: int) -> list[object]:
        """What comes up to this number."""
        seen: list[object] = []
        async with asyncio.timeout(SOON):
            while number not in seen:
                seen.append((await self.got.get())["number"])
        return seen


async def test_syslog_over_tcp_counts_octets_and_says_who_what_and_how_grave(house: House) -> None:
    house.keep(1, 2)
    house.records.append(record(3, model="文\n", outcome="failed"))
    assert house.records.flush(10)
    async with Receiver() as receiver, running(house.delivery(Syslog(f"syslog+tcp://127.0.0.1:{receiver.port}"))):
        assert await receiver.take(3) == [1, 2, 3]
    assert receiver.heads[0].startswith(b"<110>1 2023-11-14T22:13:21.000Z ")
    assert receiver.heads[0].endswith(b" sampan - ok")
    assert receiver.heads[2].startswith(b"<108>1 ")
    assert house.told[0] == ("siem", 0, False)


async def test_syslog_over_tls_trusts_only_whom_it_is_told_to(house: House, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    house.keep(1)
    async with Receiver(context) as receiver:
        url = f"syslog+tls://localhost:{receiver.port}"
        async with running(house.delivery(Syslog(url, str(tmp_path / "ca.pem")))):
            assert await receiver.take(1) == [1]
        stranger = Syslog(url)
        with pytest.raises(ssl.SSLError):
            await stranger.send(house.evidence.page(house.evidence.node, 0, 1))


async def test_syslog_over_udp_sends_a_datagram_for_each(house: House) -> None:
    house.keep(1, 2, 3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        loop = asyncio.get_running_loop()
        async with running(house.delivery(Syslog(f"syslog+udp://127.0.0.1:{receiver.getsockname()[1]}"))):
            got = [await loop.sock_recv(receiver, 65536) for _ in range(3)]
    assert [json.loads(data[data.index(b"{") :])["number"] for data in got] == [1, 2, 3]


async def test_a_udp_sink_that_is_closed_is_noticed(house: House) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    house.keep(1)
    away = asyncio.Event()
    delivery = house.delivery(Syslog(f"syslog+udp://127.0.0.1:{port}"))
    delivery._told = lambda name, waiting, is_away: away.set() if is_away else None
    async with running(delivery):
        await away.wait()
    assert house.evidence.delivered("siem") == 0


async def test_what_a_receiver_took_before_it_died_comes_again_and_nothing_is_missing(house: House) -> None:
    house.keep(*range(1, 101))
    async with Receiver() as receiver:
        receiver.limit = 37
        delivery = house.delivery(Syslog(f"syslog+tcp://127.0.0.1:{receiver.port}"))
        async with running(delivery):
            seen = await receiver.take_until(100)
    assert set(seen) == set(range(1, 101))
    again = seen[37:]
    assert seen[:37] == list(range(1, 38))
    # In order from where it went on, which is no later than what got lost.
    assert again == list(range(int(str(again[0])), 101))
    assert int(str(again[0])) <= 38


async def test_a_gateway_that_is_killed_goes_on_where_it_was(house: House) -> None:
    house.keep(*range(1, 31))
    async with Receiver() as receiver:
        url = f"syslog+tcp://127.0.0.1:{receiver.port}"
        async with running(house.delivery(Syslog(url))):
            await receiver.take(15)
        house.keep(*range(31, 51))
        begin = house.evidence.delivered("siem")
        async with running(house.delivery(Syslog(url))):
            seen = await receiver.take_until(50)
    assert begin <= 30
    assert set(range(16, 51)) <= set(seen)


async def test_a_sink_that_is_away_is_waited_for_and_said_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sampan.governance")
    receiver = Receiver()
    async with receiver:
        url = f"syslog+tcp://127.0.0.1:{receiver.port}"
    house.keep(1, 2)
    failed = asyncio.Event()
    delivery = house.delivery(Syslog(url))

    def told(name: str, waiting: int, away: bool) -> None:
        house.told.append((name, waiting, away))
        if len(house.told) > 3:
            failed.set()

    delivery._told = told
    async with running(delivery):
        await failed.wait()
        assert set(house.told) == {("siem", 2, True)}
        async with receiver:
            assert await receiver.take(2) == [1, 2]
    assert house.pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert BACKOFF[1] == 60.0
    assert caplog.text.count("cannot be delivered to siem and wait") == 1
    assert "are delivered to siem again" in caplog.text


class Hook:
    """A webhook's HTTP server in its smallest form, and a client that POSTs to it over a socket."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got = asyncio.Queue[tuple[Mapping[str, str], bytes]]()
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{self.port}/hook"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.statuses.pop(0) if self.statuses else 204
        if status:
            self.got.put_nowait((headers, body))
            writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n".encode())
        writer.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "content-length": len(body)}.items())
        writer.write(f"POST /hook HTTP/1.1\r\n{head}\r\n".encode() + body)
        try:
            line = await reader.readline()
        finally:
            writer.close()
        if not line:
            raise ConnectionResetError("no answer")
        return int(line.split()[1])


async def test_a_webhook_gets_signed_batches_and_each_again_until_it_takes_it(house: House) -> None:
    house.keep(*range(1, 26))
    hook = Hook()
    hook.statuses = [204, 500, 0, 429, 200]
    async with hook.listening() as url:
        settings = SinkSettings(name="siem", url=url, secret="s3cret-s3cret-s3cret")
        sink = make_sink(settings, hook.post, asyncio.open_connection, lambda: 1_800_000_000.5)
        async with running(house.delivery(sink)):
            got = [await hook.got.get() for _ in range(5)]
            house.keep(26)
            got.append(await hook.got.get())
    batches = [json.loads(body) for _, body in got]
    spans = [(batch["first"], batch["last"]) for batch in batches]
    assert spans == [(1, 10), (11, 20), (11, 20), (11, 20), (21, 25), (26, 26)]
    headers, body = got[0]
    expected = hmac.new(b"s3cret-s3cret-s3cret", b"1800000000." + body, hashlib.sha256).hexdigest()
    assert headers["x-sampan-timestamp"] == "1800000000"
    assert headers["x-sampan-signature"] == f"v1={expected}"
    assert headers["x-sampan-batch"] == f"{house.evidence.node}:1-10"
    assert [kept["id"] for kept in batches[0]["records"]] == [f"req_{number}" for number in range(1, 11)]
    assert house.evidence.delivered("siem") >= 25


async def test_a_database_that_is_away_is_waited_for_too(house: House) -> None:
    house.keep(1)
    hook = Hook()
    async with hook.listening() as url:
        with house.database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE deliveries RENAME TO elsewhere")
        failed = asyncio.Event()
        delivery = house.delivery(Webhook(url, "secret", hook.post))
        delivery._told = lambda name, waiting, away: failed.set() if away else None
        async with running(delivery):
            await failed.wait()
            with house.database.write() as connection:
                connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO deliveries")
            await hook.got.get()


def test_a_syslog_message_is_ascii_on_one_line() -> None:
    made = syslog_message(Entry("n" * 16, 1, "0" * 64, record(1, model="文\n\x00", outcome="")), "host")
    assert made.isascii() and b"\n" not in made and b"\x00" not in made
    assert made.startswith(b"<109>1 ") and b" host sampan - - - {" in made
