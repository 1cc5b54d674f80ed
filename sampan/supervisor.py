"""Starts engine processes, waits until they are warm, restarts them with backoff, keeps their logs, leaves no orphan.

An engine is known by its command line only. What the supervisor asks of it: listen on the address that stands for
`{listen}` in its command, answer `GET /ready` with 200 once it is warm and 503 before, end on SIGTERM, and end when its
standard input does. That input is a pipe of which only this process holds the other end, so that whatever kills this
process, SIGKILL included, ends the engines too.

    STOPPED ──start──▶ STARTING ──/ready 200──▶ WARM
       ▲                ▲    │                   │
       │           delay│    └──exit, too long───┤ exit, hung
       │                │                        ▼
       └───── stop ──── BACKING_OFF ◀────────────┘          (stop leads to STOPPED from everywhere)

Ports: each engine has one for as long as the supervisor lives. It is held by a socket that is bound and never
listens; the engine binds the same port beside it (`ports`). While an engine is down its port refuses connections
at once and nobody else can be given it. Where the system has no SO_REUSEPORT the port is only chosen, and a start that
finds it taken is tried again like any other that fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from sampan.errors import ConfigError
from sampan.ports import reach, reserve

_LINE = 4096  # bytes of a log line that are kept
_ANSWER = 16 * 1024  # bytes of an answer to /ready that are read


class WarmUpFailed(Exception):
    """The first call of an engine came to nothing; the message says why, in words."""


WarmUp: TypeAlias = Callable[[], Awaitable[None]]


class Phase(StrEnum):
    """Where an engine stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    WARM = "warm"
    BACKING_OFF = "backing_off"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.STOPPED: frozenset({Phase.STARTING}),
    Phase.STARTING: frozenset({Phase.WARM, Phase.BACKING_OFF, Phase.STOPPED}),
    Phase.WARM: frozenset({Phase.BACKING_OFF, Phase.STOPPED}),
    Phase.BACKING_OFF: frozenset({Phase.STARTING, Phase.STOPPED}),
}


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One engine: `{listen}`, `{host}` and `{port}` in the command are filled in.

    A command may be found out anew for each start: what raises `ConfigError` then is tried again later, and blocks.
    `listen` empty takes a free port on 127.0.0.1. With `url` there is no command: somebody else runs it, and it is only
    watched. `ready` answers 200 once it can be called; then `warm` is awaited, its first real call, which raises
    `WarmUpFailed` and is tried again. Who needs that is another's server: it may also turn sick without ending, and say
    so there by a 5xx.
    """

    name: str
    command: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    listen: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    ready: str = "/ready"
    warm: WarmUp | None = None


@dataclass(frozen=True, slots=True)
class EngineState:
    """What is known of an engine. `since` is in the clock's seconds; `stage` is what the engine says while it starts.

    `restarts` counts since the supervisor began, `crashes` in a row, `refusals` first calls in a row that came to
    nothing; `last_error` says why it last ended, in words.
    """

    name: str
    url: str
    phase: Phase
    since: float
    restarts: int = 0
    crashes: int = 0
    refusals: int = 0
    pid: int | None = None
    stage: str = ""
    last_error: str = ""
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """When an engine is looked at, given up and tried again; seconds throughout."""

    poll_starting: float = 0.1
    poll_warm: float = 5.0
    poll_away: float = 1.0  # while a server that somebody else runs is not there
    poll_warm_up: float = 2.0  # until a first call that failed is tried again
    answer_within: float = 5.0
    hung_after: int = 3  # polls in a row without an answer, or with one that it is sick
    warm_within: float = 600.0
    first_delay: float = 0.5
    longest_delay: float = 30.0
    healthy_after: float = 60.0  # warm for so long, and earlier crashes are forgotten
    grace: float = 7.0  # from SIGTERM to SIGKILL; our engines drain for five
    loop_at: int = 3  # crashes in a row that are called a crash loop

    def delay(self, crashes: int, luck: float) -> float:
        """How long to wait after so many crashes in a row. `luck` (0 to 1) spreads engines that fell together."""
        doubled = self.first_delay * 2.0 ** min(crashes - 1, 30)
        return min(doubled, self.longest_delay) * (0.8 + 0.4 * luck)


class Clock(Protocol):
    """Time, so that a test can bring its own."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


Log = Callable[[str, str], None]
Listener = Callable[[EngineState], None]


class Lines:
    """Cuts a stream of bytes into lines; what a line has beyond `_LINE` bytes is dropped and shown as `…`."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._dropped = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without empty ones."""
        *whole, rest = data.split(b"\n")
        lines = []
        for piece in whole:
            self._add(piece)
            lines.append(self._take())
        self._add(rest)
        return [line for line in lines if line]

    def finish(self) -> list[str]:
        """What stands after the last line end."""
        line = self._take()
        return [line] if line else []

    def _add(self, piece: bytes) -> None:
        room = _LINE - len(self._rest)
        self._dropped = self._dropped or len(piece) > room
        self._rest += piece[:room]

    def _take(self) -> str:
        line = self._rest.decode(errors="replace").rstrip() + ("…" if self._dropped else "")
        self._rest.clear()
        self._dropped = False
        return line


class _Output(asyncio.Protocol):
    """The end of the pipe that an engine writes its log to."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lines = Lines()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._say(line)

    def connection_lost(self, error: Exception | None) -> None:
        for line in self._lines.finish():
            self._say(line)
        self.ended.set()


@dataclass(frozen=True, slots=True)
class _Running:
    """One life of an engine process."""

    process: subprocess.Popen[bytes]
    exited: asyncio.Future[int]
    lifeline: int
    output: _Output
    pipe: asyncio.ReadTransport


class _Keeper:
    """Keeps one engine running."""

    def __init__(self, spec: EngineSpec, rules: Rules, clock: Clock, log: Log, listeners: Sequence[Listener]) -> None:
        self._spec = spec
        self._rules = rules
        self._clock = clock
        self._log = log
        self._listeners = listeners
        self._address = reach(spec.url) if spec.url else reserve(spec.listen, others=spec.warm is not None)
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        url = f"http://{self._address.listen}"
        self.state = EngineState(spec.name, url, Phase.STOPPED, clock.now())

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"engine {self._spec.name}")
            self._task.add_done_callback(self._kept)

    def _kept(self, task: asyncio.Task[None]) -> None:
        """Supervision only ends by `stop`; if a mistake of ours ends it, that is said."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log(self._spec.name, f"supervision failed and ends: {error!r}")
            if self.state.phase is not Phase.STOPPED:
                self._become(Phase.STOPPED, pid=None, stage="", last_error="its supervision failed")

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._address.held is not None:
            self._address.held.close()

    async def wait_warm(self, timeout: float) -> EngineState:
        try:
            async with asyncio.timeout(timeout):
                while self.state.phase is not Phase.WARM:
                    await self._changed.wait()
        except TimeoutError:
            state = self.state
            said = state.last_error or state.last_line or state.stage or "nothing"
            words = f"engine {state.name} is not warm after {timeout:g} s but {state.phase.value}; it last said: {said}"
            raise TimeoutError(words) from None
        return self.state

    def _become(self, phase: Phase, **facts: object) -> None:
        """Moves to another phase; a move that is not in the table is a mistake of ours."""
        if phase not in MOVES[self.state.phase]:
            raise RuntimeError(f"engine {self._spec.name} cannot go from {self.state.phase} to {phase}")
        self._note(phase=phase, since=self._clock.now(), **facts)

    def _note(self, **facts: object) -> None:
        self.state = replace(self.state, **facts)  # type: ignore[arg-type]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for listener in self._listeners:
            listener(self.state)

    def _say(self, line: str) -> None:
        """One line of the engine's own."""
        self.state = replace(self.state, last_line=line)
        self._log(self._spec.name, line)

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            self._become(Phase.STARTING, stage="", pid=None, refusals=0)
            why = await self._live()
            if self._stopping.is_set():
                break
            await self._back_off(why)
        if self.state.phase is not Phase.STOPPED:
            self._become(Phase.STOPPED, pid=None, stage="")

    async def _back_off(self, why: str) -> None:
        state = self.state
        lasted = state.phase is Phase.WARM and self._clock.now() - state.since >= self._rules.healthy_after
        crashes = 1 if lasted else state.crashes + 1
        delay = self._rules.delay(crashes, random.random())
        if crashes >= self._rules.loop_at:
            why = f"{why}; that is {crashes} times in a row, a crash loop. It last said: {state.last_line or 'nothing'}"
        self._log(self._spec.name, f"{why}; next start in {delay:.1f} s")
        self._become(
            Phase.BACKING_OFF, pid=None, stage="", last_error=why, crashes=crashes, restarts=state.restarts + 1
        )
        await self._unless_stopping(self._clock.sleep(delay))

    async def _live(self) -> str:
        """One life of the engine, from its start to its end; says why it ended."""
        if self._spec.url:
            return await self._attend()
        try:
            running = await self._spawn()
        except ConfigError as error:
            return f"it cannot be started: {error}"
        except OSError as error:
            return f"it cannot be started: {error.strerror}: {error.filename}"
        try:
            self._note(pid=running.process.pid)
            watched = asyncio.ensure_future(self._watch())
            why = ""
            try:
                ends: set[asyncio.Future[Any]] = {running.exited, watched}
                await self._unless_stopping(asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED))
                if watched.done() and not running.exited.done():
                    why = watched.result()
            finally:
                watched.cancel()
                await asyncio.gather(watched, return_exceptions=True)
            if why:  # hung: it would not hear SIGTERM either
                running.process.kill()
            await self._end(running)
            return why or _farewell(running.exited.result())
        finally:
            self._release(running)

    async def _attend(self) -> str:
        """The life of an engine that somebody else runs, as far as it is seen."""
        watched = asyncio.ensure_future(self._watch())
        try:
            await self._unless_stopping(watched)
        finally:
            watched.cancel()
            await asyncio.gather(watched, return_exceptions=True)
        return "" if watched.cancelled() else watched.result()

    async def _spawn(self) -> _Running:
        """Starts the process, its log pipe read and its end waited for."""
        parts = await asyncio.to_thread(self._spec.command) if callable(self._spec.command) else self._spec.command
        command = [self._address.put_into(part) for part in parts]
        stdin, lifeline = os.pipe()
        out, stdout = os.pipe()
        loop = asyncio.get_running_loop()
        pipe, output = await loop.connect_read_pipe(lambda: _Output(self._say), os.fdopen(out, "rb", 0))
        try:
            process = _launch(command, stdin, stdout, {**os.environ, **self._spec.env})
        except BaseException:
            os.close(lifeline)
            pipe.close()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        exited: asyncio.Future[int] = loop.create_future()
        threading.Thread(target=_await_exit, args=(process, loop, exited), daemon=True).start()
        return _Running(process, exited, lifeline, output, pipe)

    async def _watch(self) -> str:
        """Polls the engine until it is warm and from then on; returns, in words, when it is given up."""
        rules = self._rules
        begun = self._clock.now()
        silent = 0
        while True:
            address = self._address
            answer = await ask_ready(address.host, address.port, rules.answer_within, self._spec.ready)
            warm = self.state.phase is Phase.WARM
            sick = answer is not None and answer[0] >= 500 and self._spec.warm is not None
            if answer is None or (warm and sick):
                silent += warm
            else:
                silent = 0
                await self._hear(*answer)
            if silent >= rules.hung_after and answer is not None:
                return f"it is sick: it said so {silent} times in a row, the last with status {answer[0]}"
            if silent >= rules.hung_after:
                return f"it hangs: {silent} polls in a row were not answered within {rules.answer_within:g} s"
            if self.state.phase is Phase.STARTING and self._clock.now() - begun > rules.warm_within:
                return f"it did not get warm within {rules.warm_within:g} s (last stage: {self.state.stage or 'none'})"
            starting = rules.poll_away if self._spec.url and answer is None else rules.poll_starting
            await self._clock.sleep(rules.poll_warm if self.state.phase is Phase.WARM else starting)

    async def _hear(self, status: int, stage: str) -> None:
        if self.state.phase is not Phase.STARTING:
            return
        if status == 200 and await self._warm_up():
            self._become(Phase.WARM, stage="ready", last_error="")
        elif status != 200 and stage != self.state.stage:
            self._note(stage=stage)

    async def _warm_up(self) -> bool:
        """Makes the engine's first call, where it does not do that itself."""
        if self._spec.warm is None:
            return True
        self._note(stage="warming up")
        try:
            await self._spec.warm()
        except WarmUpFailed as error:
            self._note(stage=f"its first call failed: {error}", refusals=self.state.refusals + 1)
            await self._clock.sleep(self._rules.poll_warm_up)
            return False
        return True

    async def _end(self, running: _Running) -> None:
        """Sees the process out: SIGTERM, some grace, SIGKILL; then the rest of its log."""
        if not running.exited.done():
            running.process.terminate()
            done, _ = await asyncio.wait({running.exited}, timeout=self._rules.grace)
            if not done:
                running.process.kill()
                await asyncio.wait({running.exited})
        with contextlib.suppress(TimeoutError):  # a grandchild may hold the pipe open for ever
            async with asyncio.timeout(1.0):
                await running.output.ended.wait()

    def _release(self, running: _Running) -> None:
        if not running.exited.done():  # only where this task itself was cancelled
            running.process.kill()
        running.pipe.close()
        os.close(running.lifeline)

    async def _unless_stopping(self, step: Awaitable[object]) -> None:
        """Waits for a step, or for `stop`, whichever comes first."""
        work = asyncio.ensure_future(step)
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            stop.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)


def _launch(command: Sequence[str], stdin: int, stdout: int, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a process, standard error going where its output goes. Raises `OSError`.

    Not asyncio's way: its `wait` waits for the pipes of grandchildren too, and its `send_signal` may reap a child
    before its watcher does, which then reports a code that it made up. And not in a thread: an engine asks the kernel
    to be ended with the thread that started it (PR_SET_PDEATHSIG). It holds the loop for about a millisecond.
    """
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stdout, env=env)


def _await_exit(process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, exited: asyncio.Future[int]) -> None:
    """A thread's whole life: waits for a process and tells the loop, if there still is one."""
    code = process.wait()
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, exited, code)


def _settle(exited: asyncio.Future[int], code: int) -> None:
    if not exited.done():
        exited.set_result(code)


def _farewell(code: int) -> str:
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended by itself with code {code}"


async def ask_ready(host: str, port: int, timeout: float, path: str = "/ready") -> tuple[int, str] | None:
    """`GET /ready`, or another path: (status, stage), or None where nothing that is HTTP answered in time."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port, limit=_ANSWER)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                answer = await _read_some(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return parse_ready(answer)


async def _read_some(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while len(data) < _ANSWER:
        more = await reader.read(_ANSWER)
        if not more:
            break
        data += more
    return data


def parse_ready(answer: bytes) -> tuple[int, str] | None:
    """(status, stage) of an HTTP answer, the stage with what is still cold; None where it is none."""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    told = said if isinstance(said, dict) else {}
    stage, cold = str(told.get("stage", "")), told.get("cold")
    if isinstance(cold, list) and cold:
        stage += f" (still cold: {', '.join(map(str, cold[:20]))})"
    return int(words[1]), stage[:400]


class Supervisor:
    """Keeps engines running. Their ports are taken when it is made, so that their URLs are known before they start.

    `log` is called with (engine, line) for each line that an engine writes and for what happens to it, `listeners` with
    the new state after each change. Both are called on the event loop and must not block.
    """

    def __init__(
        self,
        specs: Sequence[EngineSpec],
        *,
        log: Log,
        listeners: Sequence[Listener] = (),
        rules: Rules | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Raises `ConfigError` for a wrong or taken address and for two engines of one name."""
        self._keepers: dict[str, _Keeper] = {}
        self._rules = rules or Rules()
        self._clock = clock or SystemClock()
        self._log = log
        self._listeners = listeners
        for spec in specs:
            self.add(spec)

    def add(self, spec: EngineSpec) -> None:
        """Takes one more engine in; `start` starts it. Raises `ConfigError` as the constructor."""
        if spec.name in self._keepers:
            raise ConfigError(f"two engines are called {spec.name}")
        self._keepers[spec.name] = _Keeper(spec, self._rules, self._clock, self._log, self._listeners)

    async def remove(self, name: str) -> None:
        """Ends an engine and forgets it."""
        await self._keepers[name].stop()
        self._keepers.pop(name, None)

    @property
    def states(self) -> tuple[EngineState, ...]:
        return tuple(keeper.state for keeper in self._keepers.values())

    def state(self, name: str) -> EngineState:
        return self._keepers[name].state

    def url(self, name: str) -> str:
        """`http://HOST:PORT` of an engine, the same for as long as this supervisor lives."""
        return self._keepers[name].state.url

    async def start(self) -> None:
        """Starts every engine that is not started yet; does not wait for them to be warm."""
        for keeper in self._keepers.values():
            keeper.start()

    async def wait_warm(self, name: str, timeout: float) -> EngineState:
        """Waits until an engine is warm. Raises `TimeoutError` that says what it last said."""
        return await self._keepers[name].wait_warm(timeout)

    async def stop(self) -> None:
        """Ends every engine and gives the ports back: SIGTERM, and SIGKILL for what is still there after the grace."""
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers.values()))
