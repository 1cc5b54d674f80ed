"""The supervisor with real processes and sockets; time is only ever waited for by what it brings about."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import ConfigError
from sampan.supervisor import (
    MOVES,
    Clock,
    EngineSpec,
    EngineState,
    Lines,
    Phase,
    Rules,
    Supervisor,
    SystemClock,
    WarmUpFailed,
    parse_ready,
    reserve,
)

TESTS = Path(__file__).parent
FAST = Rules(poll_starting=0.01, poll_warm=0.02, first_delay=0.02, longest_delay=0.1, grace=0.5)


@dataclass
class Watched:
    """A supervisor and all that it said."""

    supervisor: Supervisor
    lines: list[str]
    states: list[EngineState]
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not seen():
                self.changed.clear()
                await self.changed.wait()


def command(mode: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-E", str(TESTS / "fake_engine.py"), mode, "--listen", "{listen}")


class HandClock(SystemClock):
    """Its hands are moved by the test; sleeping is as ever."""

    time = 0.0

    def now(self) -> float:
        return self.time


@asynccontextmanager
async def supervised(mode: str, rules: Rules = FAST, clock: Clock | None = None) -> AsyncGenerator[Watched, None]:
    lines: list[str] = []
    states: list[EngineState] = []
    changed = asyncio.Event()

    def log(engine: str, line: str) -> None:
        assert engine == "one"
        lines.append(line)
        changed.set()

    def listen_to(state: EngineState) -> None:
        states.append(state)
        changed.set()

    spec = EngineSpec("one", command(mode))
    supervisor = Supervisor([spec], log=log, listeners=[listen_to], rules=rules, clock=clock)
    watched = Watched(supervisor, lines, states, changed)
    await supervisor.start()
    try:
        yield watched
    finally:
        await supervisor.stop()
        assert supervisor.state("one").phase is Phase.STOPPED
        assert not [line for line in lines if "supervision failed" in line]


def gone(pid: int) -> bool:
    """True once a process has ended, a zombie being one that has."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except ProcessLookupError:
        return True
    except FileNotFoundError:  # it ended in between; or there is no /proc, and it is still there
        return Path("/proc/self").exists()


def wait_gone(pid: int, seconds: float) -> bool:
    """Looks again and again for the end of a process that is no child of ours."""
    deadline = time.monotonic() + seconds
    while not gone(pid) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return gone(pid)


def port_of(watched: Watched) -> int:
    return int(watched.supervisor.url("one").rpartition(":")[2])


async def test_an_engine_becomes_warm_and_is_stopped() -> None:
    async with supervised("good") as watched:
        state = await watched.supervisor.wait_warm("one", 20)
        assert state.phase is Phase.WARM
        assert state.pid is not None
        assert not gone(state.pid)
        assert [one.phase for one in watched.states if one.phase is not Phase.STARTING] == [Phase.WARM]
        assert any(one.stage == "counting sheep" for one in watched.states)
        assert "good starts" in watched.lines
        assert watched.supervisor.states == (watched.supervisor.state("one"),)
    assert gone(state.pid)
    assert watched.supervisor.state("one").pid is None


async def test_an_engine_that_is_killed_is_started_again_on_the_same_port() -> None:
    async with supervised("good") as watched:
        first = await watched.supervisor.wait_warm("one", 20)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await watched.until(lambda: watched.supervisor.state("one").phase is Phase.BACKING_OFF)
        down = watched.supervisor.state("one")
        assert down.last_error == "it was ended by SIGKILL"
        assert down.pid is None
        second = await watched.supervisor.wait_warm("one", 20)
        assert second.pid not in (None, first.pid)
        assert second.url == first.url
        assert second.restarts == 1


async def test_a_port_refuses_at_once_while_its_engine_is_down_and_nobody_else_gets_it() -> None:
    rules = Rules(poll_starting=0.01, first_delay=3600, longest_delay=3600)
    async with supervised("failing", rules) as watched:
        await watched.until(lambda: watched.supervisor.state("one").phase is Phase.BACKING_OFF)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port_of(watched))
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port_of(watched)))


async def test_a_crash_loop_is_said_in_words_with_the_engines_last_line() -> None:
    async with supervised("failing") as watched:
        await watched.until(lambda: watched.supervisor.state("one").crashes >= 4)
        loops = [line for line in watched.lines if "crash loop" in line]
        assert "it ended by itself with code 3; that is 3 times in a row" in loops[0]
        assert "It last said: the model file is damaged; next start in" in loops[0]
        with pytest.raises(TimeoutError, match=r"engine one is not warm after 0\.01 s.*damaged"):
            await watched.supervisor.wait_warm("one", 0.01)


async def test_a_hung_engine_is_killed_and_started_again() -> None:
    async with supervised("deaf", replace(FAST, answer_within=0.5)) as watched:
        first = await watched.supervisor.wait_warm("one", 20)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGUSR1)
        await watched.until(lambda: watched.supervisor.state("one").restarts == 1)
        assert "it hangs: 3 polls in a row were not answered" in watched.supervisor.state("one").last_error
        assert gone(first.pid)
        assert (await watched.supervisor.wait_warm("one", 20)).pid != first.pid


async def test_an_engine_that_does_not_get_warm_is_started_again() -> None:
    rules = Rules(poll_starting=0.01, first_delay=3600, longest_delay=3600, grace=0.5)
    clock = HandClock()
    async with supervised("never", rules, clock) as watched:
        await watched.until(lambda: watched.supervisor.state("one").stage == "counting sheep")
        clock.time += rules.warm_within + 1
        await watched.until(lambda: watched.supervisor.state("one").phase is Phase.BACKING_OFF)
        assert "last stage: counting sheep" in watched.supervisor.state("one").last_error


async def test_an_engine_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    async with supervised("stubborn") as watched:
        pid = (await watched.supervisor.wait_warm("one", 20)).pid
        assert pid is not None
    assert gone(pid)


async def test_a_command_that_does_not_exist_is_said() -> None:
    lines: list[str] = []
    spec = EngineSpec("one", ("/nowhere/engine",))
    supervisor = Supervisor([spec], log=lambda engine, line: lines.append(line), rules=FAST)
    await supervisor.start()
    with pytest.raises(TimeoutError, match="/nowhere/engine"):
        await supervisor.wait_warm("one", 0.2)
    await supervisor.stop()
    assert "it cannot be started: No such file or directory: /nowhere/engine" in lines[0]


async def test_log_lines_are_bounded_and_decoded() -> None:
    async with supervised("chatty") as watched:
        await watched.supervisor.wait_warm("one", 20)
        assert "x" * 4096 + "…" in watched.lines
        assert "after" in watched.lines
        assert "\ufffd\ufffd bytes" in watched.lines
    assert "unfinished" in watched.lines  # written without a line end, kept when the engine ended


async def test_stop_before_start_and_right_after_it() -> None:
    for started in (False, True):
        supervisor = Supervisor([EngineSpec("one", command("good"))], log=lambda engine, line: None, rules=FAST)
        if started:
            await supervisor.start()
        await supervisor.stop()
        assert supervisor.state("one").phase is Phase.STOPPED


def test_a_taken_or_wrong_address_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot listen on 127"):
            reserve(f"127.0.0.1:{taken.getsockname()[1]}")
    for wrong in ("8000", "127.0.0.1:", "127.0.0.1:99999", "host:-1"):
        with pytest.raises(ConfigError, match="no HOST:PORT"):
            reserve(wrong)
    first = reserve("")
    with pytest.raises(ConfigError, match="cannot listen"):  # another supervisor's port, though nobody listens there
        reserve(first.listen)
    assert first.held is not None
    first.held.close()


async def test_a_mistake_in_supervising_is_said_and_ends_the_engine() -> None:
    lines: list[str] = []
    pids: set[int | None] = set()
    said = asyncio.Event()

    def log(engine: str, line: str) -> None:
        lines.append(line)
        if "supervision failed" in line:
            said.set()

    def trip(state: EngineState) -> None:
        pids.add(state.pid)
        if state.phase is Phase.WARM:
            raise ValueError("a listener that must not raise")

    supervisor = Supervisor([EngineSpec("one", command("good"))], log=log, listeners=[trip], rules=FAST)
    await supervisor.start()
    await asyncio.wait_for(said.wait(), 20)
    await supervisor.stop()
    assert supervisor.state("one").phase is Phase.STOPPED
    assert all(wait_gone(pid, 10) for pid in pids if pid is not None)


async def quiet_supervisor(spec: EngineSpec, rules: Rules = FAST) -> tuple[Supervisor, list[str], Watched]:
    lines: list[str] = []
    states: list[EngineState] = []
    changed = asyncio.Event()

    def log(engine: str, line: str) -> None:
        lines.append(line)
        changed.set()

    def listen_to(state: EngineState) -> None:
        states.append(state)
        changed.set()

    supervisor = Supervisor([spec], log=log, listeners=[listen_to], rules=rules)
    await supervisor.start()
    return supervisor, lines, Watched(supervisor, lines, states, changed)


async def test_the_first_call_is_made_until_it_is_answered() -> None:
    calls = 0

    async def first_call() -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise WarmUpFailed("no weights")

    rules = replace(FAST, poll_warm_up=0.01)
    supervisor, _, watched = await quiet_supervisor(EngineSpec("one", command("good"), warm=first_call), rules)
    state = await supervisor.wait_warm("one", 20)
    await supervisor.stop()
    assert (calls, state.stage, state.refusals) == (3, "ready", 2)
    assert "its first call failed: no weights" in [each.stage for each in watched.states]


class Page:
    """A server of somebody else's: answers every request with its `status`, unless it is away."""

    def __init__(self) -> None:
        self.status = 200
        self._server: asyncio.Server | None = None
        self._port = 0

    async def come(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def go(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % self.status)
        writer.close()


async def test_a_server_of_somebody_elses_goes_away_and_comes_back() -> None:
    page = Page()
    await page.come()
    spec = EngineSpec("one", url=page.url, ready="/health")
    supervisor, _, watched = await quiet_supervisor(spec, replace(FAST, poll_away=0.01))
    state = await supervisor.wait_warm("one", 20)
    assert (state.url, state.pid) == (page.url, None)
    await page.go()
    await watched.until(lambda: supervisor.state("one").phase is Phase.BACKING_OFF)
    assert "it hangs: 3 polls" in supervisor.state("one").last_error
    await page.come()
    assert (await supervisor.wait_warm("one", 20)).restarts >= 1
    await supervisor.stop()
    assert supervisor.state("one").phase is Phase.STOPPED
    await page.go()


async def test_anothers_server_that_says_that_it_is_sick_is_not_warm_any_more() -> None:
    async def first_call() -> None: ...

    page = Page()
    await page.come()
    spec = EngineSpec("one", url=page.url, ready="/health", warm=first_call)
    supervisor, _, watched = await quiet_supervisor(spec)
    await supervisor.wait_warm("one", 20)
    page.status = 503
    await watched.until(lambda: supervisor.state("one").phase is Phase.BACKING_OFF)
    assert supervisor.state("one").last_error == "it is sick: it said so 3 times in a row, the last with status 503"
    page.status = 200
    await supervisor.wait_warm("one", 20)
    await supervisor.stop()
    await page.go()


async def test_engines_are_added_and_removed_while_others_run() -> None:
    supervisor, _, _ = await quiet_supervisor(EngineSpec("one", command("good")))
    supervisor.add(EngineSpec("two", command("good")))
    assert supervisor.state("two").phase is Phase.STOPPED
    with pytest.raises(ConfigError, match="two engines are called two"):
        supervisor.add(EngineSpec("two", command("good")))
    await supervisor.start()
    first, second = await supervisor.wait_warm("one", 20), await supervisor.wait_warm("two", 20)
    assert first.pid is not None and second.pid is not None and first.url != second.url
    port = int(second.url.rpartition(":")[2])
    await supervisor.remove("two")
    assert gone(second.pid) and not gone(first.pid)
    assert [state.name for state in supervisor.states] == ["one"]
    reserved = reserve(f"127.0.0.1:{port}")  # it was given back
    assert reserved.held is not None
    reserved.held.close()
    await supervisor.stop()


async def test_a_command_is_found_out_anew_for_each_start() -> None:
    found = 0

    def find() -> tuple[str, ...]:
        nonlocal found
        found += 1
        if found == 1:
            raise ConfigError("the model is not here: `sampan models fetch` fetches it")
        return command("failing" if found == 2 else "good")

    supervisor, lines, watched = await quiet_supervisor(EngineSpec("one", find))
    await watched.until(lambda: supervisor.state("one").crashes == 2)
    state = await supervisor.wait_warm("one", 20)
    await supervisor.stop()
    assert (found, state.crashes) == (3, 2)
    assert "it cannot be started: the model is not here: `sampan models fetch` fetches it" in lines[0]


async def test_host_and_port_are_filled_in() -> None:
    script = "import sys; print(*sys.argv[1:], flush=True)"
    supervisor, lines, watched = await quiet_supervisor(
        EngineSpec("one", (sys.executable, "-c", script, "{host}", "{port}", "{listen}", "{else}"))
    )
    port = supervisor.url("one").rpartition(":")[2]
    await watched.until(lambda: f"127.0.0.1 {port} 127.0.0.1:{port} {{else}}" in lines)
    await supervisor.stop()


def test_two_engines_of_one_name_are_refused() -> None:
    spec = EngineSpec("one", ("x",))
    with pytest.raises(ConfigError, match="two engines are called one"):
        Supervisor([spec, spec], log=lambda engine, line: None)


def test_delays_double_up_to_the_longest_and_are_spread() -> None:
    rules = Rules()
    assert [rules.delay(crashes, 0.5) for crashes in (1, 2, 3, 7, 8, 1000)] == [0.5, 1, 2, 30, 30, 30]
    assert rules.delay(1, 0) == pytest.approx(0.4)
    assert rules.delay(1, 1) == pytest.approx(0.6)


class LongAgo:
    """A clock on which an hour goes by whenever somebody looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        self._now += 3600
        return self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def test_crashes_are_forgotten_after_health() -> None:
    states: list[EngineState] = []
    rules = Rules(warm_within=1e12, answer_within=5, grace=1)
    spec = EngineSpec("one", command("good"))
    down = asyncio.Event()

    def listen_to(state: EngineState) -> None:
        states.append(state)
        if state.phase is Phase.BACKING_OFF:
            down.set()

    lines: list[str] = []
    supervisor = Supervisor(
        [spec], log=lambda _, line: lines.append(line), listeners=[listen_to], rules=rules, clock=LongAgo()
    )
    await supervisor.start()
    for _ in range(3):
        pid = (await supervisor.wait_warm("one", 20)).pid
        assert pid is not None
        down.clear()
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(down.wait(), 20)
    await supervisor.stop()
    assert {state.crashes for state in states if state.phase is Phase.BACKING_OFF} == {1}
    assert max(state.restarts for state in states) == 3
    assert not [line for line in lines if "supervision failed" in line]


def test_every_phase_has_its_moves_and_all_lead_to_stopped() -> None:
    assert set(MOVES) == set(Phase)
    assert all(Phase.STOPPED in moves for phase, moves in MOVES.items() if phase is not Phase.STOPPED)


@given(st.lists(st.binary(max_size=40)))
def test_lines_do_not_depend_on_how_the_bytes_come(pieces: list[bytes]) -> None:
    lines, whole = Lines(), Lines()
    got = [line for piece in pieces for line in lines.feed(piece)] + lines.finish()
    assert got == whole.feed(b"".join(pieces)) + whole.finish()


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_to_ready_or_none(data: bytes) -> None:
    for answer in (data, b"HTTP/1.1 200 OK\r\n\r\n" + data):
        parsed = parse_ready(answer)
        assert parsed is None or isinstance(parsed[0], int)
    assert parse_ready(b"HTTP/1.1 503 No\r\n\r\n" + b'{"stage": "loading"}') == (503, "loading")
    warming = b"HTTP/1.1 503 No\r\n\r\n" + b'{"stage": "warming up", "cold": ["pictures", "4 at once"]}'
    assert parse_ready(warming) == (503, "warming up (still cold: pictures, 4 at once)")
    assert parse_ready(b"HTTP/1.1 200 OK\r\n\r\n" + b'{"stage": "ready", "cold": []}') == (200, "ready")


@contextmanager
def killable(*engine: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A process that supervises an engine, and the engine's pid and URL once it is warm."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS / "engines")])}
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "supervised.py"), *engine],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    pid, url = process.stdout.readline().split()
    try:
        yield process, int(pid), url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        if not gone(int(pid)):
            os.kill(int(pid), signal.SIGKILL)


SHELL = (sys.executable, "-m", "sampan.engines.server", "fake_engines:Talker", "--listen", "{listen}", "--lifeline")


@pytest.mark.parametrize("engine", [command("good"), SHELL], ids=["pipe", "shell"])
@pytest.mark.parametrize("killer", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphan_when_the_supervisors_process_is_killed(engine: tuple[str, ...], killer: signal.Signals) -> None:
    with killable(*engine) as (process, pid, _):
        assert not gone(pid)
        process.send_signal(killer)
        assert process.wait(20) != 0
        assert wait_gone(pid, 10), "the engine outlived the process that supervised it"


def test_no_orphan_when_the_engine_cannot_see_its_lifeline_end() -> None:
    with killable(*SHELL) as (process, pid, url):
        ask = b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"grip"}]}'
        host, _, port = url.removeprefix("http://").rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=20)
        client.request("POST", "/v1/messages", ask)
        assert process.stderr is not None
        assert any("fake: gripping" in line for line in process.stderr)  # from here on no Python runs in the engine
        process.kill()
        assert wait_gone(pid, 10), "only the kernel could end it, and did not"
        client.close()
