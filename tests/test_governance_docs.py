"""The walk-through of docs/governance.md is typed as it stands; what needs a running gateway has tests of its own."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sampan.cli import cli

PAGE = (Path(__file__).parent.parent / "docs" / "governance.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^sampan (.+)$", re.MULTILINE)


def typed() -> list[tuple[str, str]]:
    """Each command of the page, and the block that follows its own, which shows what it says."""
    found = []
    for block, shown in re.findall(r"```sh\n(.*?)```\n(?:\n```\n(.*?)```)?", PAGE, re.DOTALL):
        found += [(command, shown) for command in COMMAND.findall(block)]
    return found


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's configuration, and nothing else."""
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "sampan.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
    return tmp_path


def test_every_command_is_taken_and_explains_what_the_page_shows(house: Path) -> None:
    runner = CliRunner()
    explained = 0
    for command, shown in [("check", ""), *typed()]:
        done = runner.invoke(cli, shlex.split(command))
        if command.startswith("audit show"):  # there is no call to show
            assert "there is no record" in str(done.exception)
            continue
        assert done.exit_code == 0, f"{command}: {done.output}"
        if command.startswith(("policy", "limit", "check")):
            assert done.stderr == "", command  # the page names nobody who is not there
        if command.startswith("policy explain"):
            assert done.stdout == shown
            explained += 1
    assert explained == 2


def test_a_misspelt_department_is_told_as_the_page_shows(house: Path) -> None:
    [told] = re.findall(r"`(there is no department [^`]+)`", PAGE)
    done = CliRunner().invoke(cli, ["policy", "set", "x", '{"effect": "local", "departments": ["radiolgy"]}'])
    assert (done.exit_code, done.stderr) == (0, f"x: {told}\n")
    assert CliRunner().invoke(cli, ["check"]).stderr == f"stored rule 'x': {told}\n"


def test_a_user_is_explained_with_department_and_role(house: Path) -> None:
    runner = CliRunner()
    for command, _ in typed():
        if command.startswith(("department", "user", "policy set")):
            assert runner.invoke(cli, shlex.split(command)).exit_code == 0
    by_user = runner.invoke(cli, ["policy", "explain", "--user", "li.wei", "--model", "claude-sonnet-5-5"])
    by_department = runner.invoke(
        cli, ["policy", "explain", "--department", "radiology", "--model", "claude-sonnet-5-5"]
    )
    assert by_user.stdout == by_department.stdout and "may not leave" in by_user.stdout


def test_the_names_that_the_page_edits_are_those_of_the_database(house: Path) -> None:
    for command, _ in typed():
        if command.startswith(("department", "user")):
            assert CliRunner().invoke(cli, shlex.split(command)).exit_code == 0
    [order] = re.findall(r'^sqlite3 (\S+) "(.+)"$', PAGE, re.MULTILINE)
    with closing(sqlite3.connect(house / order[0])) as database:
        assert database.execute(order[1]).rowcount == 0


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
        assert (Path(__file__).parent.parent / "docs" / link).exists(), link
