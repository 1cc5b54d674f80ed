import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.tables import SETTINGS


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_and_files_are_the_owners_alone(tmp_path: Path) -> None:
    database = Database(tmp_path / "data")
    database.setting("x", lambda: "1")
    files = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert mode(tmp_path / "data") == 0o700
    assert {path.name for path in files} == {"sampan.db", "sampan.db-wal", "sampan.db-shm"}
    assert {mode(path) for path in files} == {0o600}
    database.close()


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    first = Database(tmp_path)
    assert first.setting("name", lambda: "first") == "first"
    first.close()
    second = Database(tmp_path)
    assert second.setting("name", lambda: "second") == "first"
    with second.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    second.close()


def test_many_openers_of_a_new_folder_agree(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    found: list[str] = []

    def start(number: int) -> None:
        barrier.wait()
        database = Database(tmp_path / "data")
        found.append(database.setting("secret", lambda: str(number)))
        database.close()

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    Database(tmp_path).close()
    with sqlite3.connect(tmp_path / "sampan.db") as connection:
        connection.execute("UPDATE settings SET value = '99' WHERE name = 'schema_version'")
        connection.execute("DROP TABLE keys")
    with pytest.raises(ConfigError, match=r"schema 99, made by a newer Sampan"):
        Database(tmp_path)
    tables = sqlite3.connect(tmp_path / "sampan.db").execute("SELECT name FROM sqlite_master WHERE type='table'")
    assert ("keys",) not in tables.fetchall()


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be made: .*directory.*\[server\] data"):
        Database(tmp_path / "file" / "data")


def test_a_database_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "sampan.db").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be written: Is a directory.*\[server\] data"):
        Database(tmp_path)


def test_something_else_in_the_place_of_the_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "sampan.db").write_bytes(b"a shopping list, and not a short one" * 99)
    with pytest.raises(ConfigError, match="file is not a database"):
        Database(tmp_path)


def test_a_block_that_fails_writes_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path)

    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(SETTINGS).values(name="half", value="1"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.read() as connection:
        assert connection.execute(select(SETTINGS).where(SETTINGS.c.name == "half")).one_or_none() is None
    database.close()


def test_a_locked_database_is_named_without_the_values_of_the_statement(tmp_path: Path) -> None:
    database = Database(tmp_path, busy_seconds=0)
    with database.write(), pytest.raises(ConfigError, match="database is locked") as caught:
        database.setting("name", lambda: "very secret")
    assert "very secret" not in str(caught.value)
    database.close()


def test_readers_see_one_state_while_others_write(tmp_path: Path) -> None:
    database = Database(tmp_path)
    count = select(SETTINGS.c.name)
    with database.read() as connection:
        before = len(connection.execute(count).all())
        database.setting("another", lambda: "1")
        assert len(connection.execute(count).all()) == before
    with database.read() as connection:
        assert len(connection.execute(count).all()) == before + 1
    database.close()


def test_watch_sees_writes_of_others_once(tmp_path: Path) -> None:
    database, other = Database(tmp_path), Database(tmp_path)
    watch = database.watch()
    assert watch.changed()
    assert not watch.changed()
    other.setting("a", lambda: "1")
    assert watch.changed()
    assert not watch.changed()
    watch.forget()
    assert watch.changed()
    watch.close()
    database.close()
    other.close()
