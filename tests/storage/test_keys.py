import re
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.db import Database
from sampan.storage.keys import Keys, digest
from sampan.storage.tables import KEYS, SETTINGS

NOW = 1_700_000_000.0
PRESET = "correct-horse-battery"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(database: Database, clock: Clock) -> Keys:
    return Keys(database, clock)


def test_a_key_is_shown_once_and_kept_as_a_hash(keys: Keys, database: Database, tmp_path: Path) -> None:
    info, secret = keys.create("财务部", "member", NOW + 60)
    assert re.fullmatch(r"sk-sampan-[A-Za-z0-9_-]{43}", secret)
    assert (info.name, info.role, info.created, info.expires) == ("财务部", "member", NOW, NOW + 60)
    assert info.prefix == secret[:16]
    assert keys.list() == (info,)
    assert keys.snapshot().keys == {digest(secret): info}
    with database.read() as connection:
        stored = [str(row) for table in (KEYS, SETTINGS) for row in connection.execute(select(table))]
    stored += [str(path.read_bytes()) for path in tmp_path.iterdir()]
    assert not [each for each in stored if secret[16:] in each]
    assert [each for each in stored if secret[:16] in each]


def test_no_two_keys_are_alike(keys: Keys) -> None:
    made = [keys.create("same name") for _ in range(5)]
    assert len({secret for _, secret in made}) == len({info.id for info, _ in made}) == 5
    assert [info.id for info in keys.list()] == sorted(info.id for info, _ in made)


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        (("", "member", None), "name"),
        (("  ", "member", None), "name"),
        (("a\nb", "member", None), "name"),
        (("n" * 101, "member", None), "name"),
        (("name", "root", None), "role"),
        (("name", "member", NOW), "expires"),
        (("name", "member", float("nan")), "expires"),
    ],
)
def test_a_bad_key_is_named_to_the_field(keys: Keys, arguments: tuple[str, str, float | None], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        keys.create(*arguments)
    assert caught.value.param == param
    assert keys.list() == ()


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("", "at least 6"),
        ("x" * 5, "at least 6"),
        ("x" * 15 + " y", "no spaces"),
        ("密" * 16, "ASCII"),
        ("x" * 16 + "\n", "ASCII"),
    ],
)
def test_a_bad_preset_stops_the_start(keys: Keys, secret: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        keys.ensure_admin(secret)
    assert keys.list() == ()


def test_a_preset_key_is_made_once_and_little_of_it_is_shown(keys: Keys) -> None:
    assert keys.ensure_admin(PRESET) is None
    assert keys.ensure_admin(PRESET) is None
    (info,) = keys.list()
    assert info.role == "admin"
    assert info.prefix == "correct"
    assert digest(PRESET) in keys.snapshot().keys


def test_a_preset_that_is_revoked_or_no_admins_stops_the_start(keys: Keys) -> None:
    _, member = keys.create("member")
    with pytest.raises(ConfigError, match="no admin's"):
        keys.ensure_admin(member)
    keys.ensure_admin(PRESET)
    keys.revoke("correct")
    with pytest.raises(ConfigError, match="was revoked"):
        keys.ensure_admin(PRESET)


def test_the_first_start_makes_an_admin_key_and_later_ones_do_not(keys: Keys, clock: Clock) -> None:
    keys.create("a member is no admin")
    secret = keys.ensure_admin()
    assert secret is not None
    assert keys.snapshot().keys[digest(secret)].role == "admin"
    assert keys.ensure_admin() is None
    assert len(keys.list()) == 2


def test_whoever_revoked_or_outlived_the_last_admin_key_gets_in_again(keys: Keys, clock: Clock) -> None:
    keys.create("for a day", "admin", NOW + 60)
    assert keys.ensure_admin() is None
    clock.now += 60
    assert keys.ensure_admin() is not None
    for kept in keys.list():
        keys.revoke(kept.id)
    assert keys.ensure_admin() is not None


def test_of_two_starters_one_makes_the_key(tmp_path: Path, database_url: str) -> None:
    barrier = threading.Barrier(4)
    secrets: list[str | None] = []

    def start() -> None:
        with closing(Database(tmp_path, database_url)) as database:
            barrier.wait()
            secrets.append(Keys(database).ensure_admin())

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 4
    assert sum(secret is not None for secret in secrets) == 1


def test_revoking_by_id_or_prefix(keys: Keys, clock: Clock) -> None:
    first, secret = keys.create("first")
    second, other = keys.create("second")
    clock.now += 5
    revoked = keys.revoke(first.id)
    assert revoked.revoked == NOW + 5
    clock.now += 5
    assert keys.revoke(first.prefix) == revoked
    assert set(keys.snapshot().keys) == {digest(other)}
    assert keys.revoke(second.id[:12]).id == second.id
    assert keys.snapshot().keys == {}
    assert digest(secret) not in keys.snapshot().keys


def test_revoking_needs_one_key(keys: Keys) -> None:
    keys.create("first")
    with pytest.raises(NotFound, match="sampan key list"):
        keys.revoke("sk-other")
    with pytest.raises(NotFound):
        keys.revoke("  ")
    infos = [keys.create("next")[0] for _ in range(6)]
    with pytest.raises(InvalidRequest, match=r"7 keys begin so: key_.*, …\. Give the whole id") as caught:
        keys.revoke("sk-sampan-")
    assert sum(info.id in caught.value.message for info in infos) >= 4
    assert all(info.revoked is None for info in keys.list())


def test_version_changes_with_the_keys_and_with_nothing_else(keys: Keys) -> None:
    versions = [keys.version()]
    info, _ = keys.create("one")
    versions.append(keys.version())
    keys.revoke(info.id)
    versions.append(keys.version())
    assert len(set(versions)) == 3
    keys.touch({info.id: NOW})
    keys.revoke(info.id)
    keys.list()
    assert keys.version() == versions[-1]


def test_last_use_never_goes_back(keys: Keys) -> None:
    info, _ = keys.create("one")
    other, _ = keys.create("other")
    keys.touch({info.id: NOW + 5})
    keys.touch({info.id: NOW + 3, other.id: NOW + 4, "key_gone": NOW})
    keys.touch({})
    assert {kept.id: kept.last_used for kept in keys.list()} == {info.id: NOW + 5, other.id: NOW + 4}
