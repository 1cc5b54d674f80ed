import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.releases import PID
from sampan.storage.schema import SCHEMA_VERSION
from sampan.storage.verbs import migrate

NEWEST = str(SCHEMA_VERSION)


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Path:
    (tmp_path / "sampan.toml").write_text(
        f'[server]\ndata = "{tmp_path / "data"}"\n[storage]\ndatabase = "{database_url}"\n'
    )
    Database(tmp_path / "data", database_url).close()
    return tmp_path


def run(home: Path, *words: str, typed: str = "") -> Result:
    app = typer.Typer()
    app.command()(migrate)
    result = CliRunner().invoke(app, [*words, "--config", str(home / "sampan.toml")], input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def schema(home: Path, url: str) -> int:
    with closing(Database(home / "data", url, prepared=False)) as database:
        return database.schema_version()


def test_it_shows_and_changes_nothing_by_itself(home: Path, database_url: str) -> None:
    shown = run(home).output
    assert f"schema {NEWEST}; this program uses {NEWEST}" in shown
    assert "Kahn" not in shown
    assert run(home, "--to", "newest").exit_code == 0
    assert schema(home, database_url) == SCHEMA_VERSION


def test_down_asks_first_and_up_again_does_not(home: Path, database_url: str) -> None:
    asked = run(home, "--to", "2", typed="n\n")
    assert asked.exit_code == 1
    assert "will be forgotten for good:\n  Schema 3: " in asked.output
    assert "Schema 4: " in asked.output
    assert schema(home, database_url) == SCHEMA_VERSION
    assert run(home, "--to", "3", typed="y\n").exit_code == 0
    assert schema(home, database_url) == 3
    assert run(home, "--to", "1", "--yes").exit_code == 0
    assert f"schema 1; this program uses {NEWEST}" in run(home).output
    assert run(home, "--to", "newest").output.endswith(f"schema {NEWEST}\n")
    assert schema(home, database_url) == SCHEMA_VERSION


def test_a_running_gateway_keeps_its_schema(home: Path, database_url: str) -> None:
    (home / "data" / PID).write_text(str(os.getpid()))
    with pytest.raises(ConfigError, match=f"a gateway uses the database \\(process {os.getpid()}\\)"):
        run(home, "--to", "3", "--yes")
    (home / "data" / PID).unlink()
    if database_url != "sqlite":
        with (
            closing(Database(home / "elsewhere", database_url)),
            pytest.raises(ConfigError, match=r"a gateway uses the database \(1 connections\)"),
        ):
            run(home, "--to", "3", "--yes")
    assert schema(home, database_url) == SCHEMA_VERSION


@pytest.mark.parametrize("to", ["0", "-1", "99", "old", "²"])
def test_a_schema_that_is_none_is_refused(to: str, tmp_path: Path) -> None:
    (tmp_path / "sampan.toml").write_text(f'[server]\ndata = "{tmp_path}"\n')
    Database(tmp_path).close()
    with pytest.raises(ConfigError, match=f"there are the schemas 1 to {NEWEST}"):
        run(tmp_path, f"--to={to}")


def test_a_newer_database_is_shown_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sampan.toml").write_text(f'[server]\ndata = "{tmp_path}"\n')
    Database(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "sampan.db")) as connection:
        connection.execute("UPDATE settings SET value = '99' WHERE name = 'schema_version'")
        connection.commit()
    assert f"schema 99; this program uses {NEWEST}" in run(tmp_path).output
    with pytest.raises(ConfigError, match="schema 99, made by a newer Sampan"):
        run(tmp_path, "--to", "newest", "--yes")


def test_no_database_is_made_for_a_look(tmp_path: Path) -> None:
    (tmp_path / "sampan.toml").write_text(f'[server]\ndata = "{tmp_path}"\n')
    with pytest.raises(ConfigError, match="there is no database in"):
        run(tmp_path)
    assert not (tmp_path / "sampan.db").exists()
