"""An S3 server of the tests' own (Debian's OpenStack Swift, see `swift_server`), and a relay that sees what arrives.

Swift answers after about two seconds: one for a whole session, with a bucket for each test that wants one.
"""

from __future__ import annotations

import http.client
import itertools
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sampan.config.objects import Bucket, S3Credentials, read_objects
from sampan.storage.uploads import Uploads

ACCESS_KEY, SECRET_KEY = "test:tester", "a-secret-of-the-tests"  # as in `swift_server`
CREDENTIALS = S3Credentials(ACCESS_KEY, SECRET_KEY)
DOMAIN = "s3.example.test"
SOON = 60.0  # seconds; only a test that fails waits this long
PYTHON = Path("/usr/bin/python3")  # Debian's packages are for Debian's Python
SERVER = Path(__file__).with_name("swift_server.py")


class S3Process:
    """`with S3Process(folder) as s3:` answers at `s3.endpoint`. It may be killed, held, and started with all it had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = folder / "said"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            self.port: int = holder.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> S3Process:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.kill()

    def start(self) -> None:
        assert PYTHON.exists(), "there is no Debian's Python: scripts/debian-packages installs what Swift needs"
        with self._said.open("wb") as said:
            command = [str(PYTHON), str(SERVER), str(self._folder), str(self.port)]
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=said, stderr=said)
        pause, end = threading.Event(), time.monotonic() + SOON
        while "ready" not in self.said:
            assert self._process.poll() is None and time.monotonic() < end, f"Swift did not start:\n{self.said}"
            pause.wait(0.02)

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace")

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

    def bucket(self, options: str = "", prefix: str = "") -> Bucket:
        """A new, empty bucket, by the address that the configuration would have."""
        name = f"bucket-{next(self._numbers)}"
        OpenUploads(known(f"s3://{name}?endpoint={self.endpoint}")).make_bucket()
        address = f"s3://{name}/{prefix}?{options}"
        return known(address if "endpoint=" in options else f"{address}&endpoint={self.endpoint}".replace("?&", "?"))


def known(address: str) -> Bucket:
    bucket = read_objects(address)
    assert bucket is not None
    return bucket


class OpenUploads(Uploads):
    """What the tests ask a store that the gateway never does."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket, CREDENTIALS, SOON)

    def make_bucket(self) -> None:
        self._ask("PUT", "", {}, (200,))

    def keys(self) -> list[str]:
        """Of the uploads that are still open."""
        return [key for key, _, _ in self._list("")]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; names of headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    length: int


def let_through(seen: Seen) -> int:
    return 200


class Relay:
    """Hands on to a port what arrives at its own, and remembers it; also asked as a proxy, and by TLS.

    `answer` decides on each request: 200 lets it through, 0 drops the connection, any other status is answered.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[Seen], int] = let_through
        self.leads_to = port
        self._server = _RelayServer(("127.0.0.1", 0), _RelayHandler)
        self._server.relay = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _RelayServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    relay: Relay

    def handle_error(self, *_: object) -> None:
        """A client that goes away is nothing to talk about."""


class _RelayHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _RelayServer

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # any method
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, length)
        relay = self.server.relay
        relay.seen.append(seen)
        status = relay.answer(seen)
        if status == 200:
            self._hand_on(relay.leads_to, body)
        elif status:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _hand_on(self, port: int, body: bytes) -> None:
        target = self.path[self.path.index("/", 8) :] if self.path.startswith("http://") else self.path
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
        connection.request(self.command, target, body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        of_head = answer.getheader("content-length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("content-length", of_head)
        self.end_headers()
        self.wfile.write(content)
