"""A PostgreSQL server of the tests' own: on a free port, in a folder that it owns, and with no care for power cuts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import trustme
from sqlalchemy import URL, Engine, create_engine

SOON = 60.0  # seconds; only a test that fails waits this long
USER = "sampan"
PASSWORD = "Kahn/@:#?%21"  # with every sign that a URL has to escape
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    # It writes by itself, and then `Watch` says so.
    "autovacuum": "off",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
}


class PostgresProcess:
    """`with PostgresProcess(folder) as server:` makes databases at `server.url(name)`; it may be killed and started.

    The folder must be one that any user can enter: PostgreSQL refuses to run as root, and then runs as `postgres`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cluster"
        self._log = folder / "log"
        self.authority = folder / "authority.pem"
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            self.port: int = holder.getsockname()[1]

    def __enter__(self) -> PostgresProcess:
        user = "postgres" if os.getuid() == 0 else None
        self._folder.parent.mkdir(mode=0o755, exist_ok=True)
        if user:
            shutil.chown(self._folder.parent, user, user)
        words = self._folder.parent / "password"
        words.write_text(PASSWORD)
        if user:
            shutil.chown(words, user, user)
        command = [_program("initdb"), "--pgdata", str(self._folder), "--username", USER, "--pwfile", str(words)]
        command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        made = subprocess.run(command, capture_output=True, text=True, check=False, **_as(user))
        assert made.returncode == 0, made.stderr
        self._certify(user)
        self.start()
        return self

    def _certify(self, user: str | None) -> None:
        """For TLS; `authority` is who signed it."""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(self.authority)
        served = ca.issue_cert("127.0.0.1")
        served.private_key_pem.write_to_path(self._folder / "server.key")
        served.cert_chain_pems[0].write_to_path(self._folder / "server.crt")
        for name in ("server.key", "server.crt"):
            (self._folder / name).chmod(0o600)
            if user:
                shutil.chown(self._folder / name, user, user)

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def start(self) -> None:
        command = [_program("postgres"), "-D", str(self._folder), "-p", str(self.port)]
        command += [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            user = "postgres" if os.getuid() == 0 else None
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_as(user))
        pause, end = threading.Event(), time.monotonic() + SOON
        while not self.answers():
            alive = self._process.poll() is None and time.monotonic() < end
            assert alive, f"postgres did not start: {self._log.read_text()[-2000:]}"
            pause.wait(0.02)

    def answers(self) -> bool:
        program = [_program("pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(self.port)]
        return subprocess.run(program, check=False).returncode == 0

    def stop(self) -> None:
        """As an administrator does: sessions are told so and ended."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a crash does: nobody is told anything."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(SOON)

    def url(self, name: str, user: str = USER, password: str = PASSWORD, **options: str) -> str:
        """Of the database `name`, as it stands in a configuration; without TLS if not told otherwise."""
        options = {"sslmode": "disable", **options}
        url = URL.create("postgresql", user, password, "127.0.0.1", self.port, name, options)
        return url.render_as_string(hide_password=False)

    def make(self, template: str = "template1") -> str:
        """Makes a database, empty or the twin of `template`, and returns its name."""
        self._number += 1
        name = f"test_{self._number}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def engine(self, name: str) -> Engine:
        """A way in past us, as the server's owner."""
        url = URL.create("postgresql+pg8000", USER, PASSWORD, "127.0.0.1", self.port, name)
        return create_engine(url, connect_args={"ssl_context": False})

    def run(self, *statements: str, name: str = "postgres") -> None:
        """Runs statements as the server's owner, each in a transaction of its own."""
        engine = self.engine(name).execution_options(isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                for statement in statements:
                    connection.exec_driver_sql(statement)
        finally:
            engine.dispose()


def _program(name: str) -> str:
    """The newest that is here: Debian keeps them where no PATH looks."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(debian[-1]) if debian else shutil.which(name)
    assert found, f"there is no {name} of PostgreSQL: scripts/debian-packages installs it"
    return found


def _as(user: str | None) -> dict[str, object]:
    return {"user": user, "group": user, "extra_groups": [], "cwd": "/"} if user else {"cwd": "/"}
