"""A real engine process for tests, its log followed line by line."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class EngineProcess:
    """`python -m sampan.engines.server KIND` on a free port, `stdin` being its lifeline where it has one."""

    def __init__(self, kind: str, *options: str, env: dict[str, str] | None = None) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "engines")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sampan.engines.server", kind, "--listen", "127.0.0.1:0", *options],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **(env or {})},
        )
        self.lines: list[str] = []
        self._grown = threading.Condition()
        self._ended = False
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def _follow(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._grown:
                self.lines.append(line.rstrip())
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def line(self, part: str, *, after: int = 0, seconds: float = 30) -> str:
        """Waits for a log line that holds `part`, from line number `after` on."""

        def find() -> str | None:
            return next((line for line in self.lines[after:] if part in line), None)

        with self._grown:
            self._grown.wait_for(lambda: find() is not None or self._ended, seconds)
            found = find()
            log = "\n".join(self.lines)
        assert found is not None, f"no line with {part!r} in:\n{log}"
        return found

    @property
    def port(self) -> int:
        return int(self.line("listens on").rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
        """(status, headers, the JSON of the body) of one request."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            client.request(method, path, body, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = client.getresponse()
            data = answer.read()
            return answer.status, answer.headers, json.loads(data) if data else None
        finally:
            client.close()

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Asks again and again until what comes back `holds`."""
        pause = threading.Event()
        for _ in range(3000):
            said = self.ask("GET", path)[2]
            if holds(said):
                return said
            pause.wait(0.01)
        raise AssertionError(f"{path} still says {said}")

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._follower.join(10)
        for stream in (self.process.stdin, self.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def engine(kind: str, *options: str, env: dict[str, str] | None = None) -> Iterator[EngineProcess]:
    """A running engine, not yet ready."""
    running = EngineProcess(kind, *options, env=env)
    try:
        yield running
    finally:
        running.close()


@contextmanager
def warm_engine(kind: str, *options: str, seconds: float = 30) -> Iterator[EngineProcess]:
    with engine(kind, *options) as running:
        running.line("ready after", seconds=seconds)
        running.until("/ready", lambda said: said["ready"])
        yield running
