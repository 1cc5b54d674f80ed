"""`sampan key|department|user|role …`, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sampan.cli import cli
from sampan.config import verbs
from sampan.core import Permission
from sampan.errors import SampanError
from sampan.governance.identity import Beside, Identity
from sampan.storage.db import Database
from sampan.storage.keys import Keys
from sampan.storage.statutes import Statutes

RUNNER = CliRunner()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("SAMPAN_CONFIG", raising=False)
    (tmp_path / "sampan.toml").write_text('[roles.librarian]\npermissions = ["audit"]\n')
    return tmp_path


def typed(*words: str) -> str:
    result = RUNNER.invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def listed(what: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in typed(what, "list", "--json").splitlines()]


def refused(*words: str) -> str:
    error = RUNNER.invoke(cli, words).exception
    assert isinstance(error, SampanError), error
    return str(error)


def test_people_and_their_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed("department", "add", "重症 [icu]", "--title", "ICU", "--confined").startswith(
        "重症 [icu] is here, and"
    )
    assert (
        typed("user", "add", "li.wei", "--department", "重症 [icu]", "--role", "operator")
        == "li.wei is here (operator)\n"
    )
    made = RUNNER.invoke(
        cli, ["key", "create", "laptop", "--user", "li.wei", "--network", "10.0.0.0/8", "--network", "::1"]
    )
    secret = made.stdout.strip()
    monkeypatch.setattr(verbs, "terminal_width", lambda: 80)
    narrow = typed("key", "list")
    assert listed("key")[0]["id"] in narrow and "…" not in narrow
    assert "laptop (as the user)" in made.stderr and secret not in made.stderr
    typed("key", "create", "robot", "--role", "member", "--service", "--confined", "--department", "重症 [icu]")
    laptop, robot = listed("key")
    assert (laptop["user"], laptop["department"], laptop["networks"]) == (
        "li.wei",
        "重症 [icu]",
        ["10.0.0.0/8", "::1/128"],
    )
    assert (robot["kind"], robot["confined"], robot["user"]) == ("service", True, "")
    identity = Identity(Keys(Database(home / "data")))
    assert identity.authenticate(secret, "10.0.0.1").permissions == {Permission.CALL, Permission.OPERATE}
    typed("department", "off", "重症 [icu]")
    assert identity.refresh()
    with pytest.raises(SampanError):
        identity.authenticate(secret, "10.0.0.1")
    typed("department", "on", "重症 [icu]")
    typed("user", "off", "li.wei")
    assert "switched off" in typed("user", "list") and "重症 [icu]" in typed("user", "list")
    typed("user", "on", "li.wei")
    assert listed("user")[0]["active"] is True and listed("department")[0]["confined"] is True
    assert "yes" in typed("department", "list")
    assert identity.refresh() and identity.authenticate(secret, "10.0.0.1").user == "li.wei"
    identity.close()


def test_a_key_is_rotated(home: Path) -> None:
    old = typed("key", "create", "one").strip()
    rotated = RUNNER.invoke(cli, ["key", "rotate", old[:16], "--overlap", "60"])
    new = rotated.stdout.strip()
    assert new.startswith("sk-sampan-") and new != old and "The old one is good until" in rotated.stderr
    identity = Identity(Keys(Database(home / "data")))
    assert identity.authenticate(old) == identity.authenticate(new)
    last = RUNNER.invoke(cli, ["key", "rotate", new[:16], "--overlap", "0"])
    assert "good no more" in last.stderr
    assert identity.refresh() and identity.authenticate(last.stdout.strip()).name == "one"
    for secret in (old, new):
        with pytest.raises(SampanError):
            identity.authenticate(secret)
    identity.close()
    assert "No key" in refused("key", "rotate", "key_other")


def test_roles_of_one_s_own(home: Path) -> None:
    assert (
        typed("role", "set", "nurse", "--permission", "call", "--permission", "audit") == "nurse allows audit, call\n"
    )
    assert {each["name"]: each["from"] for each in listed("role")} == {
        "nurse": "database",
        "librarian": "configuration",
        **dict.fromkeys(("admin", "operator", "auditor", "member"), "built in"),
    }
    assert "audit, call" in typed("role", "list")
    typed("user", "add", "li", "--role", "nurse")
    secret = typed("key", "create", "l", "--role", "librarian").strip()
    typed("key", "create", "n", "--role", "nurse")
    database = Database(home / "data")
    identity = Identity(Keys(database), beside=Beside({"librarian": [Permission.AUDIT]}, statutes=Statutes(database)))
    assert identity.authenticate(secret).permissions == {Permission.AUDIT}
    identity.close()
    said = typed("role", "remove", "nurse")
    assert said.startswith("nurse is removed; allowed nothing any more: key_") and said.endswith(", li\n")
    assert "is one of: admin, " in refused("user", "add", "wang", "--role", "nurse").replace("librarian, ", "")
    assert "built in" in refused("role", "set", "admin", "--permission", "call")
    assert "configuration" in refused("role", "remove", "librarian")
    assert "no stored role" in refused("role", "remove", "nurse")
    assert "no `/`" in refused("role", "set", "a/b", "--permission", "call")


def test_what_is_wrong_is_said(home: Path) -> None:
    assert "no department" in refused("user", "add", "li", "--department", "none")
    assert "no user" in refused("key", "create", "k", "--user", "none")
    assert "CIDR" in refused("key", "create", "k", "--network", "10.0.0.1/8")
    assert "already" in refused("department", "add", "d") if typed("department", "add", "d") else ""
    assert "department list" in refused("department", "off", "none")
    assert "user list" in refused("user", "off", "none")
