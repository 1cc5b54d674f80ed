"""The verbs, as typed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sampan import __version__
from sampan.cli import cli, main
from sampan.core import Record
from sampan.storage.db import Database
from sampan.storage.records import Records

RUNNER = CliRunner()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with no keys in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("SAMPAN_CONFIG", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def typed(*words: str) -> str:
    """Standard output of a verb that succeeds."""
    result = RUNNER.invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """The one sentence that a verb fails with, as `main` shows it."""
    monkeypatch.setattr(sys, "argv", ["sampan", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert said.err.startswith("sampan: ")
    assert said.err.count("\n") == 1
    return said.err


def test_the_version_and_the_help(home: Path) -> None:
    assert typed("--version") == f"sampan {__version__}\n"
    assert "serve" in typed("--help")
    for verb in ("serve", "check", "engine", "key", "audit"):
        assert "Usage" in typed(verb, "--help")


def test_check_says_what_is_in_force(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = typed("check")
    assert "embedded defaults: ok" in said
    assert "claude-*" in said and "reader" in said
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    said = typed("check")
    assert "claude → reader" in said
    assert "sk-secret" not in said


GOVERNED = """
[[rules]]
name = "night"
effect = "deny"
departments = ["radiolgy", "lab*", "!radiology"]
keys = ["ward"]
[[limits]]
name = "each"
what = "calls"
most = 5
per = "day"
role = "boss"
[[prices]]
upstream = "reader"
picture = 1.5
[roles.boss]
permissions = ["call"]
[[identity.issuers]]
issuer = "https://id.example"
audience = "sampan"
key = "0123456789abcdef0123456789abcdef"
[audit]
days = 90
[[audit.sinks]]
name = "siem"
url = "https://siem.example/in?token=hidden"
secret = "hidden-0123456789"
[residency]
departments = ["icu"]
[engines.reader]
kind = "reader"
[[routes]]
model = "*"
operations = ["text"]
targets = ["reader"]
cache = true
"""


def test_check_counts_what_governs(home: Path) -> None:
    said = typed("check")
    assert "May be connected to: any: [egress] hosts is empty\n" in said
    assert not (home / "data").exists()
    (home / "sampan.toml").write_text(GOVERNED)
    done = RUNNER.invoke(cli, ["check"])
    assert done.exit_code == 0, done.exception
    assert done.stderr == "" and not (home / "data").exists()  # who there is, nobody can know yet
    rows = {}
    for line in done.stdout.partition("Governance")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("│┃").split("│")]
        rows[cells[0]] = cells[1:]
    for what, count, which in (
        ("rules", "1", "night"),
        ("limits", "1", "each"),
        ("prices", "1", "reader:*"),
        ("roles of one's own", "1", "boss"),
        ("issuers of tokens", "1", "https://id.example"),
        ("TLS", "", "none: plain HTTP"),
        ("audit", "", "records kept for 90 days; content kept: none"),
        ("audit sinks", "1", "siem"),
        ("cached routes", "1", "* (256 MiB)"),
    ):
        assert rows[what] == [count, which]
    assert "hidden" not in done.output and "0123456789" not in done.output


def test_check_notes_names_that_nobody_has(home: Path) -> None:
    (home / "sampan.toml").write_text(GOVERNED)
    for name in ("radiology", "icu"):
        typed("department", "add", name)
    typed("policy", "set", "day [1]", '{"effect": "deny", "users": ["li.wie"]}')
    done = RUNNER.invoke(cli, ["check"])
    assert done.exit_code == 0 and "night, day [1] (stored)" in done.stdout
    assert done.stderr.splitlines() == [
        "rule 'night': there is no department 'radiolgy' here (a token may still bring it)",
        "rule 'night': there is no valid key 'ward' here (a token may still bring it)",
        "stored rule 'day [1]': there is no user 'li.wie' here (a token may still bring it)",
    ]


def test_check_shows_brackets_as_they_are(home: Path) -> None:
    (home / "sampan.toml").write_text(
        '[upstreams.up]\ndialect = "anthropic"\nbase_url = "http://[::1]:8000"\n'
        '[[routes]]\nmodel = "qwen[/awq]"\noperations = ["text"]\ntargets = ["up:qwen[bold]"]\n'
    )
    said = typed("check")
    assert "sampan.toml: ok" in said
    assert "qwen[/awq]" in said and "up:qwen[bold]" in said and "http://[::1]:8000" in said


def test_a_bad_configuration_is_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "other.toml"
    file.write_text("[server]\nlimit = 5\n")
    for verb in (["check"], ["serve"], ["key", "list"], ["audit", "export"]):
        assert "other.toml, line 2: server.limit: is no setting" in refused(
            capsys, monkeypatch, *verb, "--config", str(file)
        )
    assert "cannot be read" in refused(capsys, monkeypatch, "check", "--config", "nowhere.toml")
    monkeypatch.setenv("SAMPAN_CONFIG", str(file))
    assert "line 2" in refused(capsys, monkeypatch, "check")


def test_the_life_of_a_key(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result = RUNNER.invoke(cli, ["key", "create", "ann [red]", "--role", "admin", "--days", "2"])
    secret = result.stdout.strip()
    assert secret.startswith("sk-sampan-")
    assert secret not in result.stderr
    assert "ann [red] (admin)" in result.stderr
    [listed] = [json.loads(line) for line in typed("key", "list", "--json").splitlines()]
    assert (listed["name"], listed["role"], listed["revoked"]) == ("ann [red]", "admin", None)
    table = typed("key", "list")
    assert "ann [red]" in table and "valid" in table and secret not in table
    assert typed("key", "revoke", listed["id"]) == f"{listed['id']} of ann [red] is revoked\n"
    assert "revoked" in typed("key", "list")
    assert "No key has this id" in refused(capsys, monkeypatch, "key", "revoke", "key_other")
    assert "role is one of" in refused(capsys, monkeypatch, "key", "create", "bob", "--role", "boss")
    assert "expires in the future" in refused(capsys, monkeypatch, "key", "create", "bob", "--days", "0")


def test_records_are_exported_a_line_each(home: Path) -> None:
    numbers = dict.fromkeys(
        (
            "status",
            "input_tokens",
            "output_tokens",
            "images",
            "bytes_in",
            "bytes_out",
            "first_event_ms",
            "total_ms",
            "cost",
        ),
        0,
    )
    names = [name for name in Record.__struct_fields__ if name not in numbers and name not in ("started", "stream")]
    records = Records(Database(home / "data"))
    records.start()
    for number in (1, 2):
        texts = dict.fromkeys(names, "文") | {"id": f"req_{number}"}
        records.append(Record(**texts, **numbers, started=float(number), stream=False))  # type: ignore[arg-type]
    records.close()
    lines = typed("audit", "export").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["req_1", "req_2"]
    assert "文" in lines[0]
    assert [json.loads(line)["id"] for line in typed("audit", "export", "--since", "2").splitlines()] == ["req_2"]


def test_one_engine_alone_takes_this_process_s_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, words: ran.append([path, *words]))
    typed("engine", "reader", "--listen", "127.0.0.1:9", "--threads", "2", "--more", "x")
    module = [sys.executable, sys.executable, "-m", "sampan.engines.server", "reader"]
    assert ran == [[*module, "--listen", "127.0.0.1:9", "--threads", "2", "--more", "x"]]
