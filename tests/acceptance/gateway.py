"""A real `sampan serve` process as a user starts one, and what a user does with it: SDKs, plain HTTP, the verbs."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import msgspec
import openai

from sampan.storage.db import Database
from sampan.storage.records import Records

T = TypeVar("T")

TALK, DRAW = '"text", "vision"', '"generate", "edit"'
QUICK = "[breaker]\ndelay = 1\n[probes]\ninterval = 3600\ntimeout = 1\n"
KEY = "sk-sampan-acceptance-0123456789abcdefghijklmnop"
SOON = 60.0  # seconds; only a test that fails waits this long


def eventually(look: Callable[[], T], within: float = SOON, what: str = "") -> T:
    """The first true value of `look`; fails with the last one when `within` seconds have gone."""
    pause = threading.Event()
    end = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"{what or look} did not come true within {within:g} s, last: {seen!r}"
        pause.wait(0.02)


def upstream(name: str, url: str, dialect: str, *, location: str = "cloud", more: str = "") -> str:
    return f'[upstreams.{name}]\ndialect = "{dialect}"\nbase_url = "{url}"\nlocation = "{location}"\n{more}\n'


def route(model: str, operations: str, *targets: str) -> str:
    listed = ", ".join(f'"{target}"' for target in targets)
    return f"[[routes]]\nmodel = {model!r}\noperations = [{operations}]\ntargets = [{listed}]\n"


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def environment() -> dict[str, str]:
    """Ours, without anything that would change what a server or an SDK does."""
    prefixes = ("SAMPAN_", "ANTHROPIC_", "OPENAI_")
    kept = ("SAMPAN_CONSOLE_SITE",)  # another build of the console, to try it before it is everybody's
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(prefixes)}


class Gateway:
    """`with Gateway(folder, config) as gateway:` is a server that answers. `config` is TOML without `[server]`."""

    def __init__(self, folder: Path, config: str, *, server: str = "", listen: str = "127.0.0.1:0") -> None:
        self.folder = folder
        self.path = folder / "sampan.toml"
        self.data = folder / "data"
        head = f'[server]\nlisten = "{listen}"\ndata = "{self.data}"\n{server}\n'
        self.path.write_text(head + config)
        self.errors = folder / "stderr.log"
        self.lines: list[str] = []
        self.url = ""
        self._process: subprocess.Popen[str] | None = None
        self._heard = threading.Condition()
        self._clients: list[Any] = []
        self._database: Database | None = None

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        for client in self._clients:
            client.close()
        if self._database is not None:
            self._database.close()
        if self._process is not None and self._process.poll() is None:
            self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the gateway was not started"
        return self._process

    @property
    def log(self) -> str:
        """What it wrote to standard error so far, over all its lives."""
        return self.errors.read_text()

    def start(self, *, admin_key: str | None = KEY) -> None:
        self.lines.clear()
        preset = {"SAMPAN_ADMIN_KEY": admin_key} if admin_key else {}
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sampan", "serve", "--config", str(self.path)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment() | preset,
            )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        self.url = self.said("URL:").removeprefix("URL:").strip()
        eventually(self._health, what="GET /health")

    def _health(self) -> bool:
        assert self.process.poll() is None, f"the gateway ended: {self.log}"
        try:
            return self.http("GET", "/health", key=None).status == 200
        except OSError:
            return False

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._heard:
                self.lines.append(line.rstrip("\n"))
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def said(self, beginning: str, within: float = SOON) -> str:
        """The first line of standard output that begins so."""

        def find() -> str | None:
            return next((line for line in self.lines if line.startswith(beginning)), None)

        with self._heard:
            self._heard.wait_for(lambda: find() or (self.process.poll() is not None), within)
            found = find()
        assert found, f"no line {beginning!r} in {self.lines}; standard error: {self.log}"
        return found

    def wait_ready(self, within: float) -> None:
        eventually(lambda: self.http("GET", "/ready", key=None).status == 200, within, "GET /ready")

    def stop(self) -> int:
        """Asks it to end, as an operating system does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SOON)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(SOON)

    # What callers do.

    def anthropic(self, key: str = KEY, **options: Any) -> anthropic.Anthropic:
        """The SDK, its own retries off unless asked for: they would hide what the gateway does."""
        settings = {"max_retries": 0, "timeout": SOON} | options
        return self._kept(anthropic.Anthropic(api_key=key, base_url=self.url, **settings))

    def openai(self, key: str = KEY, **options: Any) -> openai.OpenAI:
        settings = {"max_retries": 0, "timeout": SOON} | options
        return self._kept(openai.OpenAI(api_key=key, base_url=f"{self.url}/v1", **settings))

    def async_anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key=KEY, base_url=self.url, max_retries=0, timeout=SOON)

    def async_openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key=KEY, base_url=f"{self.url}/v1", max_retries=0, timeout=SOON)

    def _kept(self, client: T) -> T:
        self._clients.append(client)
        return client

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def http(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = KEY,
    ) -> Reply:
        """One plain request on a connection of its own; a dict goes as JSON."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("x-api-key", key)
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        connection = http.client.HTTPConnection(*self.address, timeout=SOON)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read())
        finally:
            connection.close()

    def connect(self, path: str, body: dict[str, Any]) -> socket.socket:
        """A POST that was sent over a socket of the test's own; nothing was read yet."""
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n"
        sock = socket.create_connection(self.address, SOON)
        sock.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        return sock

    # What its owner does.

    def verb(self, *words: str, config: bool = True) -> subprocess.CompletedProcess[str]:
        """`sampan …` with this gateway's configuration."""
        option = ["--config", str(self.path)] if config else []
        return sampan(*words, *option)

    def records(self) -> list[dict[str, Any]]:
        """All records, as `sampan audit export` writes them."""
        done = self.verb("audit", "export")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def record(self, call: str) -> dict[str, Any]:
        """The record of one call, by the reader behind `audit export`: to start a process for each would take minutes.

        It is there a moment after the answer ended.
        """
        found = eventually(lambda: self._reader.find(call), what=f"the record of {call}")
        return msgspec.structs.asdict(found)

    def latest(self) -> list[dict[str, Any]]:
        """The newest records first."""
        return [msgspec.structs.asdict(record) for record in self._reader.latest(100)]

    @property
    def _reader(self) -> Records:
        if self._database is None:
            self._database = Database(self.data)
        return Records(self._database)

    @property
    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def children(self) -> list[int]:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
        return [child for child, parent in pairs if parent == self.pid]


def sampan(
    *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sampan", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment() | dict(env or {}),
        cwd=cwd,
        check=False,
    )


def is_alive(pid: int) -> bool:
    """Whether the process still runs; one that only waits to be collected does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def until(sock: socket.socket, mark: bytes) -> bytes:
    """Reads up to and with `mark`, at the least."""
    seen = b""
    while mark not in seen:
        data = sock.recv(65536)
        assert data, f"the connection ended before {mark!r}: {seen!r}"
        seen += data
    return seen


def form(fields: Mapping[str, str], files: Mapping[str, tuple[str, str, bytes]]) -> tuple[bytes, str]:
    """A body as a browser's FormData makes it, and its content type; files are (filename, media type, bytes)."""
    mark = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    out = b""
    for name, value in fields.items():
        out += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, (filename, kind, data) in files.items():
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        out += f"{head}Content-Type: {kind}\r\n\r\n".encode() + data + b"\r\n"
    return out + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"
