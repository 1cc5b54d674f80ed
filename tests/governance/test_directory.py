"""Callers made from names are those that the gateway would know, and names that nobody has are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sampan.cli import cli
from sampan.core import Permission
from sampan.errors import InvalidRequest, NotFound, Unauthenticated
from sampan.governance.directory import Directory, directory_of
from sampan.governance.identity import Identity
from sampan.storage.db import Database
from sampan.storage.keys import Belonging, Keys
from sampan.storage.people import Department, People, User
from sampan.storage.statutes import Statutes

NOW = 1000.0


class House:
    """A hospital with a confined ward, a switched-off one, and people in them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys = Keys(database, lambda: NOW)
        self.people = People(database)
        for department in (Department("icu", confined=True), Department("radiology"), Department("shut", active=False)):
            self.people.add_department(department)
        for user in (
            User("li.wei", "radiology", "senior"),
            User("zhang.min", "icu"),
            User("gone", "radiology", active=False),
            User("late", "shut"),
            User("eve", "", "auditor"),
        ):
            self.people.add_user(user)

    def directory(self) -> Directory:
        return directory_of(self.database, {"senior": [Permission.CALL, Permission.OPERATE]}, lambda: NOW)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(Database(tmp_path)) as database:
        yield House(database)


def test_what_is_left_out_is_the_users_own(house: House) -> None:
    li = house.directory().by_name("", "", "li.wei")
    assert (li.actor.department, li.actor.role, li.actor.user, li.refusal, li.notes) == (
        *("radiology", "senior", "li.wei"),
        *("", ()),
    )
    assert li.actor.permissions == {Permission.CALL, Permission.OPERATE}
    somebody = house.directory().by_name("", "", "")
    assert (somebody.actor.role, somebody.actor.user, somebody.refusal) == ("member", "", "")


def test_a_department_confines_whoever_is_in_it(house: House) -> None:
    directory = house.directory()
    assert directory.by_name("icu", "", "").actor.confined == "department icu"
    assert directory.by_name("", "", "zhang.min").actor.confined == "department icu"
    assert directory.by_name("radiology", "", "").actor.confined == ""


def test_a_key_is_who_the_gateway_takes_it_for(house: House) -> None:
    for belonging in (Belonging("icu"), Belonging(user="zhang.min"), Belonging(confined=True)):
        info, secret = house.keys.create("ward", belonging=belonging)
        known = Identity(house.keys, lambda: NOW).authenticate(secret)
        assert house.directory().by_key(info.id).actor == known


@pytest.mark.parametrize(
    ("names", "refusal"),
    [
        (("", "", "gone"), "the user 'gone' is switched off"),
        (("shut", "", ""), "the department 'shut' is switched off"),
        (("", "", "late"), "the department 'shut' is switched off"),
        (("", "auditor", ""), "the role 'auditor' may not make calls"),
        (("", "", "eve"), "the role 'auditor' may not make calls"),
    ],
)
def test_who_is_let_ask_nothing_is_told_so(house: House, names: tuple[str, str, str], refusal: str) -> None:
    assert house.directory().by_name(*names).refusal == f"{refusal}: such a caller is refused"


def test_a_key_of_somebody_who_is_switched_off_is_refused(house: House) -> None:
    info, secret = house.keys.create("desk", "", belonging=Belonging(user="late"))
    with pytest.raises(Unauthenticated):
        Identity(house.keys, lambda: NOW).authenticate(secret)
    assert "'shut' is switched off" in house.directory().by_key(info.id).refusal


def test_who_is_not_here_is_named(house: House) -> None:
    directory = house.directory()
    with pytest.raises(InvalidRequest, match=r"there is no user 'li\.wie' here") as refused:
        directory.by_name("", "", "li.wie")
    assert refused.value.param == "user"
    with pytest.raises(InvalidRequest, match=r"there is no role 'nosuch' here; there are: .*senior") as refused:
        directory.by_name("", "nosuch", "li.wei")
    assert refused.value.param == "role"
    with pytest.raises(NotFound):
        directory.by_key("key_none")


def test_keys_that_are_good_no_more_are_the_questions_fault(house: House) -> None:
    revoked, _ = house.keys.create("old")
    house.keys.revoke(revoked.id)
    brief, _ = Keys(house.database, lambda: 1.0).create("brief", expires=2.0)
    for info, state in ((revoked, "was revoked"), (brief, "has expired")):
        with pytest.raises(InvalidRequest, match=state) as refused:
            house.directory().by_key(info.id)
        assert refused.value.param == "key"


def test_what_only_a_token_could_say_is_noted(house: House) -> None:
    directory = house.directory()
    strange = directory.by_name("radiolgy", "", "")
    assert (strange.refusal, strange.notes) == (
        "",
        ("there is no department 'radiolgy' here (a token may still bring it)",),
    )
    assert directory.by_name("icu", "admin", "li.wei").notes == (
        "li.wei is in the department 'radiology' here: only a token could bring 'icu'",
        "li.wei has the role 'senior' here: only a token could bring 'admin'",
    )
    assert directory.by_name("icu", "member", "eve").notes[0].startswith("eve is in no department here")
    assert directory.by_name("radiology", "member", "li.wei").notes == ()


def test_strangers_are_those_that_nobody_here_has(house: House) -> None:
    info, _ = house.keys.create("ward")
    old, _ = house.keys.create("old")
    house.keys.revoke(old.id)
    Statutes(house.database).put("role", "nurse", {"permissions": ["call"]})
    directory = house.directory()
    named = {
        "department": ["icu", "shut", "!radiolgy", "radio*", "", "radiolgy"],
        "role": ["member", "nurse", "senior", "boss"],
        "user": ["gone", "li.wie"],
        "key": ["ward", info.id, "li.wei", "jwt_0123", "old"],
        "model": ["none"],
    }
    assert directory.strangers(named) == (
        "there is no department 'radiolgy' here (a token may still bring it)",
        "there is no role 'boss' here",
        "there is no user 'li.wie' here (a token may still bring it)",
        "there is no valid key 'old' here (a token may still bring it)",
    )


def test_explaining_goes_by_the_directory(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sampan.toml").write_text('[server]\ndata = "."\n[roles.senior]\npermissions = ["call"]\n', encoding="utf-8")

    def explained(*words: str) -> str:
        done = CliRunner().invoke(cli, ["policy", "explain", *words, "--model", "claude-x"], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    assert "It may not leave the house: residency:department icu" in explained("--department", "icu")
    assert "Denied: the user 'gone' is switched off: such a caller is refused\n" in explained("--user", "gone")
    assert explained("--department", "radiolgy").endswith(
        "Note: there is no department 'radiolgy' here (a token may still bring it)\n"
    )
    assert '"notes":[]' in explained("--user", "li.wei", "--json")
