"""Callers at their worst: a thousand who say nothing, a thousand who hardly read, some who leave at each step."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from behaviours import answer_text
from chaos_flood import Flood
from chaos_load import HEAD, Load, begun, call_id, metric, talk, whole
from clouds import Cloud
from gateway import SOON, TALK, Gateway, eventually, route, until, upstream

MANY = 1000
ORDINARY = 50
KIBIBYTE = 1024


def house(cloud: Cloud, name: str) -> str:
    return upstream("talk", cloud.url(name), "anthropic") + route("talk-model", TALK, "talk")


@contextlib.contextmanager
def files(soft: int) -> Iterator[None]:
    """As many files as this process, and those that it starts meanwhile, may have open."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.fixture
def room() -> Iterator[None]:
    with files(8 * MANY):
        yield


def resident(gateway: Gateway) -> int:
    """KiB of memory that the gateway has."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(gateway.pid)], capture_output=True, check=True, text=True)
    return int(told.stdout)


def _ordinary(gateway: Gateway) -> None:
    """Calls as on any day: all are answered."""
    with Load(gateway, 5, lambda number: talk("talk-model", stream=number % 2 == 0)) as load:
        load.wait_for(ORDINARY)
    assert (load.errors, load.wrong) == (0, [])


def test_a_thousand_who_say_nothing_disturb_nobody_and_are_let_go(cloud: Cloud, tmp_path: Path, room: None) -> None:
    """Also where the system gives a process 1,024 files to begin with. So is one who takes nothing of its answer."""
    cloud.cell("silent-flood").behaviour = "flood"
    config = house(cloud, "silent") + route("flood-model", TALK, "flood")
    config += upstream("flood", cloud.url("silent-flood"), "anthropic")
    gateway = Gateway(tmp_path, config, server="idle_timeout = 4\nbody_timeout = 4\n")
    with files(1024):
        stack = contextlib.ExitStack()
        stack.enter_context(gateway)
    with stack:
        _ordinary(gateway)
        before, had = gateway.open_files, resident(gateway)
        socks = [stack.enter_context(begun(gateway)) for _ in range(MANY)]
        socks += [
            stack.enter_context(begun(gateway, part)) for part in (b"P", HEAD, HEAD + b"content-length: 9\r\n\r\n{")
        ]
        eventually(lambda: gateway.open_files >= before + MANY, what="all to be connected")
        deaf = stack.enter_context(gateway.connect(*talk("flood-model", stream=True)))
        until(deaf, b"xxx")
        _ordinary(gateway)
        assert resident(gateway) - had < MANY * 24, "KiB for those who say nothing"
        for sock in socks[:MANY]:
            assert sock.recv(1) == b""
        for sock, status in zip(socks[MANY:], (b"408", b"408", b"400"), strict=True):
            assert until(sock, b"\r\n").startswith(b"HTTP/1.1 " + status)
        eventually(lambda: gateway.open_files <= before + 10, what="their connections to be closed")
        eventually(lambda: metric(gateway, 'sampan_bulkhead_taken{upstream="flood"}') == 0, what="its place to be free")
        _ordinary(gateway)


class Dawdlers:
    """Callers of one long answer, each of whom reads a byte a second."""

    def __init__(self, gateway: Gateway, count: int) -> None:
        _, body = talk("flood-model", stream=True)
        data = json.dumps(body).encode()
        self._socks = []
        for _ in range(count):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(gateway.address)
            sock.sendall(HEAD + b"content-length: %d\r\n\r\n%b" % (len(data), data))
            sock.setblocking(False)
            self._socks.append(sock)
        self.read = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._dawdle, daemon=True)

    def __enter__(self) -> Dawdlers:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._thread.join()
        for sock in self._socks:
            sock.close()

    def _dawdle(self) -> None:
        while not self._over.wait(1.0):
            for sock in self._socks:
                with contextlib.suppress(BlockingIOError):
                    self.read += len(sock.recv(1))


def _still(flood: Flood) -> int:
    """What was sent, once nothing more goes out for a while."""
    before = flood.sent
    threading.Event().wait(0.7)
    return before if before and flood.sent == before else 0


def test_a_thousand_who_read_a_byte_a_second_are_held_back_and_disturb_nobody(
    cloud: Cloud, tmp_path: Path, room: None
) -> None:
    with Flood(pieces=200) as flood:
        config = house(cloud, "dawdling") + route("flood-model", TALK, "flood")
        config += upstream("flood", flood.url, "anthropic", more=f'concurrency = {2 * MANY}\nprobe = "off"\n')
        with Gateway(tmp_path, config) as gateway:
            _ordinary(gateway)
            had = resident(gateway)
            with Dawdlers(gateway, MANY) as dawdlers:
                eventually(lambda: metric(gateway, 'sampan_bulkhead_taken{upstream="flood"}') == MANY, 60)
                sent = eventually(lambda: _still(flood), 60, "the upstream to be held back")
                assert sent < MANY * len(flood.answer) / 2, "it is not held back"
                _ordinary(gateway)
                assert resident(gateway) - had < MANY * 900, "KiB for those who hardly read"
                eventually(lambda: dawdlers.read >= 2 * MANY, what="them to have read")
            eventually(lambda: flood.open == 0, what="the upstream to be let go")
            eventually(lambda: metric(gateway, 'sampan_bulkhead_taken{upstream="flood"}') == 0)
            assert metric(gateway, "sampan_open_calls") == 0
            _ordinary(gateway)


STEP = talk("step-model", stream=True)
BODY = json.dumps(STEP[1]).encode()
SIZED = HEAD + b"content-length: %d\r\n\r\n" % len(BODY)
WHOLE = json.dumps(STEP[1] | {"stream": False}).encode()


@dataclass(frozen=True)
class Step:
    """How far a caller goes before it leaves: `says` this much and `reads` so long, from a cloud that behaves so."""

    says: bytes
    behaviour: str = ""
    reads: bytes = b""
    outcome: str = ""


STEPS = {
    "connected": Step(b""),
    "half a head": Step(HEAD[:30]),
    "a head": Step(SIZED),
    "half a body": Step(SIZED + BODY[:30]),
    "waiting for the answer": Step(HEAD + b"content-length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE), "gated", b"", "left"),
    "waiting for the first event": Step(SIZED + BODY, "gated", b": waiting", "left"),
    "in mid-stream": Step(SIZED + BODY, "gated_middle", answer_text("step").encode(), "left"),
    "in mid-stream, unread": Step(SIZED + BODY, "flood", b"xxx", "left"),
    "before the last byte": Step(SIZED + BODY, "healthy", b"message_stop", "ok"),
}


@pytest.fixture(scope="module")
def stairs(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One place at the upstream, and one trial of a breaker that was open: who keeps either is noticed."""
    config = "[breaker]\ndelay = 0.2\n[probes]\ninterval = 0\n"
    config += upstream("step", cloud.url("step"), "anthropic", more="concurrency = 1\n") + route(
        "step-model", TALK, "step"
    )
    with Gateway(tmp_path_factory.mktemp("stairs"), config, server="keepalive = 0.1\n") as gateway:
        yield gateway


@pytest.mark.parametrize("name", STEPS)
def test_a_caller_who_leaves_gives_all_of_it_back(cloud: Cloud, stairs: Gateway, name: str) -> None:
    step, cell = STEPS[name], cloud.cell("step")
    cell.behaviour = "529"
    for _ in range(3):
        tripped = stairs.http("POST", *STEP)
    stairs.record(tripped.headers["request-id"])
    known = {record["id"] for record in stairs.latest()}
    cell.behaviour = step.behaviour
    for event in (cell.gone, cell.gate):
        event.clear()
    sock = eventually(lambda: _tried(stairs, cloud, step), what="the breaker to let a trial through")
    if step.reads:
        seen = b""
        while not seen.endswith(step.reads):
            seen += sock.recv(1)  # not a byte more
    sock.close()
    if step.behaviour.startswith("gated"):
        assert cell.gone.wait(2), "the upstream was not let go"
    eventually(lambda: metric(stairs, 'sampan_bulkhead_taken{upstream="step"}') == 0, 5, "its place to be free")
    eventually(lambda: metric(stairs, "sampan_open_calls") == 0, 5, "its call to be over")
    cell.behaviour = "healthy"
    cell.gate.set()
    last = eventually(lambda: _through(stairs, step.outcome), what="the trial to be free")
    stairs.record(last)
    outcomes = [record["outcome"] for record in stairs.latest() if record["id"] not in known | {last}]
    assert [each for each in outcomes if each != "failed"] == ([step.outcome] if step.outcome else [])
    assert "Traceback" not in stairs.log


def _tried(gateway: Gateway, cloud: Cloud, step: Step) -> socket.socket | None:
    """A caller at its step, unless an open breaker has sent it away."""
    cell = cloud.cell("step")
    posts = cell.posts
    sock = begun(gateway, step.says)
    if not step.behaviour:
        return sock
    sock.settimeout(0.01)
    while cell.posts == posts:
        with contextlib.suppress(TimeoutError):
            if b" 529 " in sock.recv(16, socket.MSG_PEEK):
                sock.close()
                return None
    sock.settimeout(SOON)
    return sock


def _through(gateway: Gateway, outcome: str) -> str:
    """The id of a call that was answered. Where the trial was given back, the first one is."""
    reply = gateway.http("POST", STEP[0], STEP[1] | {"stream": False})
    attempts = reply.headers["x-sampan-attempts"]
    assert attempts == "step=ok" or not outcome, f"the trial is not free: {attempts}"
    return reply.headers["request-id"] if attempts == "step=ok" else ""


@pytest.fixture
def pier(cloud: Cloud, tmp_path: Path) -> Iterator[Gateway]:
    config = "".join(
        upstream(name, cloud.url(f"pier-{name}"), "anthropic") + route(f"{name}-model", TALK, name)
        for name in ("waiting", "middle", "quick")
    )
    cloud.cell("pier-waiting").behaviour, cloud.cell("pier-middle").behaviour = "gated", "gated_middle"
    for name in ("waiting", "middle"):
        cloud.cell(f"pier-{name}").gate.clear()
    with Gateway(tmp_path, config, server="shutdown = 20\nkeepalive = 0.1\n") as gateway:
        yield gateway


def _open(gateway: Gateway) -> list[socket.socket]:
    """Three streams in their middle, three before their first event, three callers who wait for a whole answer."""
    kinds = (("middle", True, b"content_block_delta"), ("waiting", True, b": waiting"), ("waiting", False, b""))
    socks = []
    for name, stream, mark in kinds * 3:
        socks.append(gateway.connect(*talk(f"{name}-model", stream=stream)))
        if mark:
            until(socks[-1], mark)
    eventually(lambda: metric(gateway, "sampan_open_calls") == len(socks))
    return socks


def _refuses(gateway: Gateway) -> bool:
    try:
        begun(gateway).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_lets_open_answers_end_whole_and_nobody_else_in(cloud: Cloud, pier: Gateway) -> None:
    with begun(pier, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n") as idle, contextlib.ExitStack() as stack:
        until(idle, b"\r\n\r\n{")
        socks = [stack.enter_context(sock) for sock in _open(pier)]
        pier.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refuses(pier), what="the port to be closed")
        while idle.recv(65536):
            pass
        assert pier.process.poll() is None
        for name in ("middle", "waiting"):
            cloud.cell(f"pier-{name}").gate.set()
        for sock in socks:
            seen = b""
            while data := sock.recv(65536):  # the connection is closed behind the answer
                seen += data
            assert b"message_stop" in seen or (whole(seen) and answer_text("pier-waiting").encode() in seen), seen
            assert b"event: error" not in seen
        assert pier.process.wait(SOON) == 0
    assert [record["outcome"] for record in pier.records()] == ["ok"] * len(socks)
    assert "Traceback" not in pier.log


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_it_ends_at_once(cloud: Cloud, pier: Gateway, second: signal.Signals) -> None:
    with pier.connect(*talk("middle-model", stream=True)) as sock:
        head = until(sock, b"content_block_delta")
        pier.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refuses(pier), what="the first one to be heard")
        began = time.monotonic()
        pier.process.send_signal(second)
        assert pier.process.wait(SOON) == 130
        assert time.monotonic() - began < 5, "it waited for the open answer"
        rest = b""
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(65536):
                rest += data
        assert b"message_stop" not in rest and not rest.endswith(b"0\r\n\r\n"), "a cut that looks like an end"
    pier.start()
    ended = pier.http("POST", *talk("quick-model", stream=False))
    pier.record(ended.headers["request-id"])
    assert call_id(head) not in {record["id"] for record in pier.latest()}
