from contextlib import closing
from pathlib import Path

import pytest

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.db import Database
from sampan.storage.keys import Belonging, Keys, digest
from sampan.storage.people import Department, People, User

NOW = 1_700_000_000.0


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database, lambda: NOW)


@pytest.fixture
def people(database: Database) -> People:
    return People(database, lambda: NOW)


def test_people_are_kept_and_changed(people: People) -> None:
    icu = people.add_department(Department("icu", "重症监护室", confined=True))
    lab = people.add_department(Department("lab"))
    assert people.departments() == (icu, lab) and icu.created == NOW
    li = people.add_user(User("li.wei", "icu", "operator", "li@hospital.cn"))
    assert people.users() == (li,) and people.user("li.wei") == li
    assert people.change_user("li.wei", department="lab", active=False) == people.user("li.wei")
    assert people.change_department("icu", confined=False).confined is False
    with pytest.raises(InvalidRequest, match="already"):
        people.add_department(Department("icu"))
    with pytest.raises(InvalidRequest, match="already"):
        people.add_user(User("li.wei"))
    for name in ("none", "", "no\0ne", "icu\n", "no\ud800ne"):
        with pytest.raises(NotFound, match="department list"):
            people.department(name)
    with pytest.raises(NotFound, match="user list"):
        people.change_user("none", active=True)


def test_names_that_could_not_stand_in_a_url_or_a_record(people: People) -> None:
    for name in ("", " ", " a", "a ", "a/b", "a\nb", "x" * 101, "\ud800"):
        for add, thing in ((people.add_department, Department(name)), (people.add_user, User(name))):
            with pytest.raises(InvalidRequest) as caught:
                add(thing)  # type: ignore[operator]
            assert caught.value.param == "name"


def test_every_change_changes_the_version(people: People, keys: Keys) -> None:
    versions = {keys.version()}
    for change in (
        lambda: people.add_department(Department("icu")),
        lambda: people.change_department("icu", active=False),
        lambda: people.add_user(User("li")),
        lambda: people.change_user("li", role="auditor"),
        lambda: keys.create("k", belonging=Belonging(user="li")),
        lambda: keys.change(keys.list()[0].id, confined=True),
        lambda: keys.rotate(keys.list()[0].id, 5),
        lambda: people.remove_department("icu"),
    ):
        change()
        assert keys.version() not in versions
        versions.add(keys.version())


def test_a_key_belongs_to_somebody_who_is_there(people: People, keys: Keys) -> None:
    for belonging, error in (
        (Belonging(department="icu"), NotFound),
        (Belonging(user="li"), NotFound),
    ):
        with pytest.raises(error):
            keys.create("k", belonging=belonging)
    people.add_department(Department("icu"))
    people.add_user(User("li", "icu"))
    with pytest.raises(InvalidRequest, match="leave it out"):
        keys.create("k", belonging=Belonging("icu", "li"))
    with pytest.raises(InvalidRequest, match="role is one of"):
        keys.create("k", "", belonging=Belonging("icu"))
    info, _ = keys.create("k", "", belonging=Belonging(user="li", networks=["::1", "10.0.0.0/8", "::1/128"]))
    assert (info.department, info.networks) == ("icu", ("::1/128", "10.0.0.0/8"))
    assert keys.list() == (info,) == (keys.find(info.prefix),)
    assert keys.snapshot().users["li"].department == "icu"


def test_rotation_keeps_the_last_secret_only(keys: Keys) -> None:
    info, first = keys.create("k")
    _, second = keys.rotate(info.id, 60)
    roster = keys.snapshot()
    assert set(roster.keys) == {digest(second)} and set(roster.previous) == {digest(first)}
    rotated, third = keys.rotate(second[:16], 60)
    assert set(keys.snapshot().previous) == {digest(second)}
    assert (rotated.id, rotated.rotated, rotated.overlap) == (info.id, NOW, NOW + 60)
    keys.rotate(info.id)
    assert keys.snapshot().previous == {} and digest(third) not in keys.snapshot().keys
    for overlap in (-1.0, 40 * 86_400.0, float("nan")):
        with pytest.raises(InvalidRequest, match="overlap"):
            keys.rotate(info.id, overlap)


def test_the_preset_key_is_changed_where_it_is_set(keys: Keys, people: People) -> None:
    keys.ensure_admin("correct-horse-battery")
    with pytest.raises(InvalidRequest, match="SAMPAN_ADMIN_KEY"):
        keys.rotate("correct")
    info, ours = keys.create("later the preset", "admin")
    assert keys.ensure_admin(ours) is None
    keys.rotate(info.id, 60)
    with pytest.raises(ConfigError, match="rotated since"):
        keys.ensure_admin(ours)


def test_an_admin_who_is_switched_off_lets_nobody_in(keys: Keys, people: People) -> None:
    people.add_user(User("boss", role="admin"))
    keys.create("boss's", "admin", belonging=Belonging(user="boss"))
    assert keys.ensure_admin() is None
    people.change_user("boss", role="member")
    assert keys.ensure_admin() is not None
    for info in keys.list():
        if not info.user:
            keys.revoke(info.id)
    people.change_user("boss", role="admin", active=False)
    assert keys.ensure_admin() is not None


def test_a_database_from_before_has_keys_that_are_as_they_were(tmp_path: Path, database_url: str) -> None:
    """Columns of schema 4 are added to the table of schema 3, and what they mean there is: nothing."""
    with closing(Database(tmp_path, database_url)) as database:
        info, secret = Keys(database, lambda: NOW).create("old", "admin")
        database.migrate(3)
    with closing(Database(tmp_path, database_url)) as database:
        keys = Keys(database, lambda: NOW)
        assert keys.list() == (info,) and keys.snapshot().keys == {digest(secret): info}
        assert keys.ensure_admin() is None
        People(database).add_department(Department("icu"))
