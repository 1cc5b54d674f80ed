"""A Redis server of the tests' own: on a free port, without persistence, and as rude as a test wants it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

SOON = 30.0  # seconds; only a test that fails waits this long


class RedisProcess:
    """`with RedisProcess(folder) as redis:` answers at `redis.url`. It may be killed, held, and started anew, empty."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self._folder = folder
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        # Bound, but not listening: nobody else takes the port while the server is down.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        secret = f":{password}@" if password else ""
        self.url = f"redis://{secret}127.0.0.1:{self.port}/0"

    def __enter__(self) -> RedisProcess:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.kill()
        self._holder.close()

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "there is no redis-server: scripts/debian-packages installs it"
        self._holder.close()
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--requirepass", self._password] if self._password else []
        self._process = subprocess.Popen(
            command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pause, end = threading.Event(), time.monotonic() + SOON
        while not self.answers():
            assert self._process.poll() is None and time.monotonic() < end, "redis-server did not start"
            pause.wait(0.01)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                sock.sendall(b"PING\r\n")
                return bool(sock.recv(64))
        except OSError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(SOON)
            self._process = None

    def hold(self) -> None:
        """It takes connections, as its kernel does, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
