"""What a server may do to us that a file cannot."""

import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pg8000 import ProgrammingError
from postgres_process import PASSWORD, USER, PostgresProcess
from sqlalchemy import insert, select, text

from sampan.config.database import Server
from sampan.errors import ConfigError
from sampan.storage import postgres as module
from sampan.storage.db import Database
from sampan.storage.postgres import Postgres
from sampan.storage.tables import SETTINGS

THROW_OUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@pytest.fixture
def name(postgres: PostgresProcess, postgres_template: str) -> Iterator[str]:
    made = postgres.make(postgres_template)
    yield made
    postgres.drop(made)


@pytest.fixture
def opened(postgres: PostgresProcess, name: str, tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path, postgres.url(name))) as database:
        yield database


def refusal(tmp_path: Path, url: str) -> str:
    """What is said when a database cannot be opened; never with the password."""
    with pytest.raises(ConfigError) as caught:
        Database(tmp_path, url)
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert "hunter2" not in shown
    return str(caught.value)


def test_it_says_where_it_is_and_keeps_its_password(postgres: PostgresProcess, name: str, opened: Database) -> None:
    assert opened.dialect == "postgresql"
    assert opened.place == f"127.0.0.1:{postgres.port}/{name}"
    assert PASSWORD not in repr(vars(opened)) + str(opened.engine.url)


def test_a_session_that_was_ended_while_nobody_used_it_is_replaced(
    postgres: PostgresProcess, name: str, opened: Database
) -> None:
    watch = opened.watch()
    watch.changed()
    postgres.run(THROW_OUT.format(name))
    assert opened.setting("a", lambda: "1") == "1"
    postgres.run(THROW_OUT.format(name))
    with opened.read() as connection:
        assert connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == "a")).scalar() == "1"
    with pytest.raises(ConfigError, match="cannot be used: "):
        watch.changed()
    opened.setting("b", lambda: "1")
    assert watch.changed()
    watch.close()


def test_a_session_that_is_ended_in_the_middle_loses_its_block_alone(
    postgres: PostgresProcess, name: str, opened: Database
) -> None:
    with pytest.raises(ConfigError, match="cannot be used: "), opened.write() as connection:
        connection.execute(insert(SETTINGS).values(name="half", value="1"))
        postgres.run(THROW_OUT.format(name))
        connection.execute(insert(SETTINGS).values(name="other half", value="1"))
    assert opened.setting("half", lambda: "anew") == "anew"


def test_a_server_that_crashed_and_came_back_is_used_again(
    postgres: PostgresProcess, name: str, opened: Database
) -> None:
    opened.setting("a", lambda: "1")
    postgres.kill()
    with pytest.raises(ConfigError, match=r"127.0.0.1:\d+/test_\d+ cannot be used: Connection refused\. See whether"):
        opened.setting("b", lambda: "2")
    postgres.start()
    assert opened.setting("a", lambda: "2") == "1"


def test_a_server_that_stops_while_a_block_runs(postgres: PostgresProcess, name: str, opened: Database) -> None:
    with pytest.raises(ConfigError, match="cannot be used: "), opened.read() as connection:
        postgres.stop()
        connection.execute(select(SETTINGS))
    postgres.start()
    assert opened.setting("a", lambda: "1") == "1"


def test_what_is_wrong_with_the_url_is_said(postgres: PostgresProcess, name: str, tmp_path: Path) -> None:
    wrong = refusal(tmp_path, postgres.url(name, password="hunter2"))
    assert f'password authentication failed for user "{USER}" (28P01). Correct user and password' in wrong
    missing = refusal(tmp_path, postgres.url("nowhere"))
    assert (
        'nowhere cannot be used: database "nowhere" does not exist (3D000). Make it first: CREATE DATABASE' in missing
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refused = refusal(tmp_path, f"postgresql://ann:hunter2@127.0.0.1:{free.getsockname()[1]}/sampan")
    assert "cannot be used: Connection refused. See whether the server is up" in refused
    unknown = refusal(tmp_path, "postgresql://ann:hunter2@no-such-host.invalid/sampan")
    assert "The PostgreSQL database no-such-host.invalid:5432/sampan cannot be used: " in unknown


def test_a_user_without_rights_is_told_what_he_lacks(postgres: PostgresProcess, tmp_path: Path) -> None:
    name = postgres.make()
    postgres.run("CREATE USER guest PASSWORD 'hunter2'")
    assert "permission denied for schema public (42501). Make the user the owner" in refusal(
        tmp_path, postgres.url(name, user="guest", password="hunter2")
    )
    postgres.drop(name)


def test_a_server_that_only_reads_is_named(postgres: PostgresProcess, name: str, tmp_path: Path) -> None:
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with closing(Database(tmp_path, postgres.url(name))) as database, pytest.raises(ConfigError, match="standby"):
        database.setting("a", lambda: "1")


def test_a_database_that_cannot_hold_all_of_unicode_is_refused(postgres: PostgresProcess, tmp_path: Path) -> None:
    postgres.run("CREATE DATABASE old ENCODING 'EUC_CN' LOCALE 'C' TEMPLATE template0")
    assert "is encoded in EUC_CN, which cannot hold" in refusal(tmp_path, postgres.url("old"))
    postgres.drop("old")


def test_who_speaks_tls_is_who_its_certificate_says(postgres: PostgresProcess, name: str, tmp_path: Path) -> None:
    def encrypted(**options: str) -> bool:
        with closing(Database(tmp_path, postgres.url(name, **options))) as database, database.read() as connection:
            ours = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(connection.execute(ours).scalar_one())

    assert not encrypted(sslmode="disable")
    assert encrypted(sslmode="prefer")
    assert encrypted(sslmode="require")
    assert encrypted(sslmode="verify-full", sslrootcert=str(postgres.authority))
    assert "certificate is not trusted: " in refusal(tmp_path, postgres.url(name, sslmode="verify-ca"))
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    assert f"The certificates in {bad} cannot be read" in refusal(
        tmp_path, postgres.url(name, sslmode="verify-full", sslrootcert=str(bad))
    )


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """Somebody who takes a connection and says one thing, or nothing."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(64)
                peer.sendall(answer)
                done.wait(60)

        thread = threading.Thread(target=talk)
        thread.start()
        yield server.getsockname()[1]
        done.set()
        thread.join()


def test_a_server_without_tls_is_told_apart(tmp_path: Path) -> None:
    with listener(b"N") as port:
        words = refusal(tmp_path, f"postgresql://ann:hunter2@127.0.0.1:{port}/sampan?sslmode=require")
    assert "it speaks no TLS. Turn ssl on at the server, or write ?sslmode=disable." in words


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 0.1)
    with listener(b"") as port:
        words = refusal(tmp_path, f"postgresql://ann:hunter2@127.0.0.1:{port}/sampan?sslmode=disable")
    assert "cannot be used: no answer in time. See whether the server is up" in words


def test_a_statement_has_its_time(postgres: PostgresProcess, name: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STATEMENT_SECONDS", 0.2)
        database = Database(tmp_path, postgres.url(name))
    with closing(database):
        with pytest.raises(ConfigError, match=r"statement timeout \(57014\)"), database.read() as connection:
            connection.execute(text("SELECT pg_sleep(60)"))
        assert database.setting("a", lambda: "1") == "1"


def test_a_node_that_froze_in_the_middle_of_a_write_does_not_keep_the_others_from_writing(
    postgres: PostgresProcess, name: str, opened: Database, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STATEMENT_SECONDS", 0.2)
        frozen = Database(tmp_path, postgres.url(name))
    with closing(frozen):
        with pytest.raises(ConfigError, match="cannot be used: "), frozen.write() as connection:
            connection.execute(insert(SETTINGS).values(name="mine", value="frozen"))
            assert opened.setting("mine", lambda: "another's") == "another's"
            connection.execute(select(SETTINGS))
        assert frozen.setting("mine", lambda: "late") == "another's"


def test_the_pool_is_bounded_and_says_so(postgres: PostgresProcess, name: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "POOL", (1, 0))
        database = Database(tmp_path, postgres.url(name), busy_seconds=0)
    held = pytest.raises(ConfigError, match="all 1 connections are in use")
    with closing(database), database.read(), held, database.read():
        raise AssertionError("there was another connection")


def test_many_rows_go_in_few_statements(postgres: PostgresProcess, opened: Database) -> None:
    calls = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    with opened.write() as connection:
        connection.execute(insert(SETTINGS), [{"name": f"n{row}", "value": "\0" * row} for row in range(500)])
    with opened.read() as connection:
        assert connection.execute(calls).scalar_one() < 500
        rows = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == "n3")).scalar_one()
    assert rows == "\ufffd" * 3


@pytest.mark.parametrize(
    "code, words",
    [("53100", "Make room on the server's disk"), ("53300", "max_connections"), ("99999", "Its log says more")],
)
def test_what_the_server_says_comes_with_what_to_do(code: str, words: str) -> None:
    kind = Postgres(Server("db", 5432, "sampan", "ann", "hunter2"), 1.0)
    error = ProgrammingError({"S": "ERROR", "C": code, "M": "could not go on", "D": "Key (x)=(canary)"})
    said = kind.words(error)
    assert said.startswith(f"The PostgreSQL database db:5432/sampan cannot be used: could not go on ({code}). ")
    assert words in said
    assert "canary" not in said + str(error)
