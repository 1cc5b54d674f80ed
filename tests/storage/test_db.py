import math
import stat
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text, update

from sampan.errors import ConfigError
from sampan.storage.db import Database, bump, is_there
from sampan.storage.tables import PINS, QUOTA_SPENT, SETTINGS


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run(works: Sequence[Callable[[], None]]) -> None:
    """All at once; what one raised is raised here."""
    with ThreadPoolExecutor(len(works)) as threads:
        for future in [threads.submit(work) for work in works]:
            future.result()


def test_folder_and_files_are_the_owners_alone(tmp_path: Path) -> None:
    database = Database(tmp_path / "data")
    database.setting("x", lambda: "1")
    files = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert mode(tmp_path / "data") == 0o700
    assert {path.name for path in files} == {"sampan.db", "sampan.db-wal", "sampan.db-shm"}
    assert {mode(path) for path in files} == {0o600}
    database.close()


def test_sqlite_opened_again_keeps_what_is_there_and_its_log(tmp_path: Path) -> None:
    first = Database(tmp_path)
    assert first.setting("name", lambda: "first") == "first"
    first.close()
    second = Database(tmp_path)
    assert second.setting("name", lambda: "second") == "first"
    with second.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    second.close()


def test_opening_again_keeps_what_is_there(tmp_path: Path, database_url: str) -> None:
    with closing(Database(tmp_path, database_url)) as first:
        assert first.setting("name", lambda: "first") == "first"
    with closing(Database(tmp_path, database_url)) as second:
        assert second.setting("name", lambda: "second") == "first"


def test_many_openers_of_a_new_folder_agree(tmp_path: Path, database_url: str) -> None:
    barrier = threading.Barrier(8)
    found: list[str] = []

    def start(number: int) -> None:
        barrier.wait()
        with closing(Database(tmp_path / "data", database_url)) as database:
            found.append(database.setting("secret", lambda: str(number)))

    run([partial(start, number) for number in range(8)])
    assert len(found) == 8
    assert len(set(found)) == 1


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


def test_a_block_that_fails_writes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(SETTINGS).values(name="half", value="1"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.read() as connection:
        assert connection.execute(select(SETTINGS).where(SETTINGS.c.name == "half")).one_or_none() is None


def test_a_locked_database_is_named_without_the_values_of_the_statement(tmp_path: Path, database_url: str) -> None:
    secret = " ".join(("very", "secret"))  # a traceback shows our own lines
    with closing(Database(tmp_path, database_url, busy_seconds=0)) as database:
        with database.write(), pytest.raises(ConfigError, match=r"database is locked|lock timeout") as caught:
            database.setting("name", lambda: secret)
        assert database.setting("name", lambda: "then") == "then"
    shown = "".join(traceback.format_exception(caught.value))
    assert "very secret" not in shown


def test_a_refused_row_is_named_without_its_values(database: Database) -> None:
    row = insert(SETTINGS).values(name=" ".join(("very", "secret")), value="1")
    with database.write() as connection:
        connection.execute(row)
    with pytest.raises(ConfigError, match=r"(?i)unique constraint") as caught, database.write() as connection:
        connection.execute(row)
    assert "very secret" not in "".join(traceback.format_exception(caught.value))


def test_readers_see_one_state_while_others_write(database: Database) -> None:
    count = select(SETTINGS.c.name)
    with database.read() as connection:
        before = len(connection.execute(count).all())
        database.setting("another", lambda: "1")
        assert len(connection.execute(count).all()) == before
    with database.read() as connection:
        assert len(connection.execute(count).all()) == before + 1


def test_writers_take_turns_and_see_what_those_before_them_wrote(tmp_path: Path, database_url: str) -> None:
    """Reads, then writes what follows from it: what two at once would get wrong without turns."""
    nodes, times = 4, 10
    databases = [Database(tmp_path, database_url) for _ in range(nodes)]
    databases[0].setting("count", lambda: "0")
    mine = SETTINGS.c.name == "count"

    def add(database: Database) -> None:
        for _ in range(times):
            with database.write() as connection:
                count = int(connection.execute(select(SETTINGS.c.value).where(mine)).scalar_one())
                connection.execute(update(SETTINGS).where(mine).values(value=str(count + 1)))

    run([partial(add, database) for database in databases])
    assert databases[0].setting("count", lambda: "") == str(nodes * times)
    for database in databases:
        database.close()


def test_a_writer_that_is_not_alone_commits_all_the_same(database: Database) -> None:
    with database.write(alone=False) as connection:
        connection.execute(insert(SETTINGS).values(name="beside", value="1"))
    assert database.setting("beside", lambda: "2") == "1"


def test_a_bumped_setting_never_has_the_same_value_again(database: Database) -> None:
    seen = set()
    for _ in range(3):
        with database.write() as connection:
            bump(connection, "version")
        seen.add(database.setting("version", lambda: "none"))
    assert len(seen) == 3
    assert "none" not in seen


def test_integers_beyond_64_bits_and_half_characters_break_nothing(database: Database) -> None:
    """Whoever keeps what callers send has to fit it first (records do); the connection is whole after that."""
    for value, error in ((1 << 63, OverflowError), ("\ud800", UnicodeEncodeError)):
        statement = (
            "UPDATE records SET status = :value" if isinstance(value, int) else "UPDATE records SET error = :value"
        )
        with pytest.raises(error), database.write() as connection:
            connection.execute(text(statement), {"value": value})
        assert database.setting("still", lambda: "there") == "there"
    with database.write() as connection:
        connection.execute(text("UPDATE records SET status = :value"), {"value": (1 << 63) - 1})


def test_a_nul_in_a_text_breaks_nothing(database: Database) -> None:
    with database.write() as connection:
        rows = [{"name": "one\0", "value": "a\0b"}, {"name": "two", "value": "语\0"}]
        connection.execute(insert(SETTINGS), rows)
    with database.read() as connection:
        found = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == "one\0")).scalar_one()
    assert found == {"sqlite": "a\0b", "postgresql": "a\ufffdb"}[database.dialect]


def test_a_sum_of_integers_is_an_integer(database: Database) -> None:
    with database.write() as connection:
        row = {"node": "n", "meter": "m", "pot": "p", "until": 1}
        connection.execute(insert(QUOTA_SPENT), [{**row, "since": since, "spent": -(1 << 60)} for since in range(3)])
        spent = connection.execute(select(func.sum(QUOTA_SPENT.c.spent))).scalar_one()
    assert spent == -3 * (1 << 60)
    assert type(spent) is int


def test_not_a_number_is_nothing(database: Database) -> None:
    with pytest.raises(ConfigError, match=r"(?i)not.null"), database.write() as connection:
        row = {"engine": "e", "revision": "", "previous": "", "configured": "", "since": math.nan}
        connection.execute(insert(PINS), row)


def test_watch_sees_writes_of_others_once(tmp_path: Path, database_url: str) -> None:
    database, other = Database(tmp_path, database_url), Database(tmp_path, database_url)
    watch = database.watch()
    assert watch.changed()
    assert not watch.changed()
    other.setting("a", lambda: "1")
    assert watch.changed()
    assert not watch.changed()
    with other.read() as connection:
        assert connection.execute(select(SETTINGS.c.name)).all()
    assert not watch.changed(), "a reader is no writer"
    watch.forget()
    assert watch.changed()
    watch.close()
    database.close()
    other.close()


def test_watch_sees_a_commit_that_began_before_it_looked(tmp_path: Path, database_url: str) -> None:
    database, other = Database(tmp_path, database_url), Database(tmp_path, database_url)
    watch = database.watch()
    with other.write() as connection:
        connection.execute(insert(SETTINGS).values(name="slow", value="1"))
        watch.changed()
        assert not watch.changed()
    assert watch.changed()
    watch.close()
    database.close()
    other.close()


def test_a_url_that_is_none_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[storage\] database must be `sqlite`, or a URL such as"):
        Database(tmp_path, "mysql://ann:hunter2@db/x")


def test_whether_there_is_a_database_is_known_without_making_one(tmp_path: Path) -> None:
    assert not is_there(tmp_path, "sqlite")
    Database(tmp_path).close()
    assert is_there(tmp_path, "sqlite")
    assert is_there(tmp_path / "elsewhere", "postgresql://ann@db/sampan")
