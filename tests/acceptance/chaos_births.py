"""Gateways that are born quickly, to be killed often: `chaos_nursery` has imported the program and forks each one."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from gateway import KEY, SOON, Gateway, environment, eventually


class Child:
    """One process, as `subprocess.Popen` shows one."""

    def __init__(self, nursery: socket.socket, pid: int, stdout: TextIOWrapper) -> None:
        self.pid = pid
        self.stdout = stdout
        self._nursery = nursery
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None and select.select([self._nursery], [], [], 0)[0]:
            self._status = _line(self._nursery)
        return self._status

    def wait(self, timeout: float) -> int:
        if self._status is None:
            assert select.select([self._nursery], [], [], timeout)[0], f"process {self.pid} does not end"
            self._status = _line(self._nursery)
        return self._status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """`with Nursery() as nursery:`; one child at a time. `before` are the words in front of its own command line."""

    def __init__(self, before: tuple[str, ...] = ()) -> None:
        self._before = before

    def __enter__(self) -> Nursery:
        self._socket, theirs = socket.socketpair()
        env = environment() | {"SAMPAN_ADMIN_KEY": KEY}
        program = Path(__file__).with_name("chaos_nursery.py")
        command = [*self._before, sys.executable, str(program), str(theirs.fileno())]
        self._process = subprocess.Popen(command, env=env, pass_fds=(theirs.fileno(),))
        theirs.close()
        assert _line(self._socket) == 0
        return self

    def __exit__(self, *failure: object) -> None:
        self._socket.close()
        self._process.wait(SOON)

    @property
    def pid(self) -> int:
        return self._process.pid

    def bear(self, words: list[str], errors: Path) -> Child:
        out, theirs = os.pipe()
        with errors.open("a") as log:
            line = json.dumps(words).encode() + b"\n"
            socket.send_fds(self._socket, [line], [theirs, log.fileno()])
        os.close(theirs)
        return Child(self._socket, _line(self._socket), os.fdopen(out))


class Reborn(Gateway):
    """A gateway whose starts cost no import."""

    def __init__(self, nursery: Nursery, folder: Path, config: str, **named: Any) -> None:
        super().__init__(folder, config, **named)
        self._nursery = nursery

    def conceive(self) -> Child:
        """Starts it, and does not wait until it answers."""
        self.lines.clear()
        child = self._nursery.bear(["serve", "--config", str(self.path)], self.errors)
        self._process = child  # type: ignore[assignment]
        threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return child

    def start(self, *, admin_key: str | None = KEY) -> None:
        assert admin_key == KEY
        self.conceive()
        self.url = self.said("URL:").removeprefix("URL:").strip()
        eventually(self._health, what="GET /health")


def _line(sock: socket.socket) -> int:
    """A number and its line end, byte by byte: what follows is another one's."""
    said = b""
    while not said.endswith(b"\n"):
        data = sock.recv(1)
        assert data, "the nursery has ended"
        said += data
    return int(said)
