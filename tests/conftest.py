"""What all tests share: this folder on the path, and property tests that take the same examples on every machine.

New examples are looked for on purpose, with `HYPOTHESIS_PROFILE=default`: a change must not fail by luck.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from postgres_process import PostgresProcess

from sampan.storage.db import Database

settings.register_profile("steady", derandomize=True, deadline=None)  # nor by a slow machine
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# A job in the background ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresProcess]:
    """A PostgreSQL server for as long as tests want one."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server is another user's
        with PostgresProcess(Path(folder) / "postgres") as server:
            yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresProcess) -> str:
    """The name of a database that has all our tables; those of tests are its twins, which is the quicker way."""
    name = postgres.make()
    with tempfile.TemporaryDirectory() as folder:
        Database(Path(folder), postgres.url(name)).close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """`[storage] database` for a test that is to run on both; each has a database of its own."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    server: PostgresProcess = request.getfixturevalue("postgres")
    name = server.make(request.getfixturevalue("postgres_template"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    """A database for a test that is to run on both."""
    with closing(Database(tmp_path, database_url)) as opened:
        yield opened
