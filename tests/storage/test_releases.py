"""What is asked of releases, and what is in force: two tables that the verbs and the server share."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from postgres_process import PostgresProcess
from sqlalchemy import insert

from sampan import reloading
from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.releases import ENDS, PID, Kind, Pin, Releases, Stage, server_pid
from sampan.storage.tables import PINS


class Wall:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def releases(database: Database) -> Releases:
    return Releases(database, Wall())


def test_what_is_asked_is_open_until_it_ends(releases: Releases) -> None:
    number = releases.ask("chat", Kind.PROMOTE, "v2")
    [promotion] = releases.open()
    assert (promotion.id, promotion.engine, promotion.revision) == (number, "chat", "v2")
    assert (promotion.kind, promotion.stage, promotion.share) == (Kind.PROMOTE, Stage.ASKED, 0.0)
    assert (promotion.asked, promotion.ended) == (100.0, None)
    releases.note(number, Stage.SHARING, "3 calls", 0.5)
    assert (releases.get(number).stage, releases.get(number).share) == (Stage.SHARING, 0.5)
    releases.note(number, Stage.ROLLED_BACK, "cut")
    assert releases.open() == []
    releases.note(number, Stage.SHARING, "too late")
    ended = releases.get(number)
    assert (ended.stage, ended.detail, ended.ended) == (Stage.ROLLED_BACK, "cut", 100.0)
    assert ended.stage in ENDS


def test_one_thing_an_engine_at_a_time_but_a_rollback_stops_a_promotion(releases: Releases) -> None:
    number = releases.ask("chat", Kind.PROMOTE, "v2")
    releases.ask("other", Kind.PROMOTE, "v2")
    with pytest.raises(ConfigError, match=r"a promote of chat goes on \(asked\).*`sampan models rollback chat`"):
        releases.ask("chat", Kind.PROMOTE, "v3")
    back = releases.ask("chat", Kind.ROLLBACK)
    assert releases.get(back).revision == "v2"  # the one that it is to stop
    with pytest.raises(ConfigError, match=r"a rollback of chat goes on \(asked\): wait for its end$"):
        releases.ask("chat", Kind.ROLLBACK)
    for each in (number, back):
        releases.note(each, Stage.FINISHED)
    assert releases.get(releases.ask("chat", Kind.ROLLBACK)).revision == ""


def test_history_is_newest_first_and_of_one_engine(releases: Releases) -> None:
    numbers = []
    for revision in ("v1", "v2", "v3"):
        numbers.append(releases.ask("chat", Kind.PROMOTE, revision))
        releases.note(numbers[-1], Stage.FAILED, "no")
    releases.ask("other", Kind.PROMOTE, "v9")
    assert [row.revision for row in releases.history("chat")] == ["v3", "v2", "v1"]
    assert [row.revision for row in releases.history("chat", limit=1)] == ["v3"]
    with pytest.raises(ConfigError, match="there is no promotion 999"):
        releases.get(999)


def test_a_pin_holds_until_the_configuration_names_another(releases: Releases) -> None:
    assert releases.pinned("chat", "v1") is None
    releases.pin(Pin("chat", "v2", "v1", "v1"))
    assert releases.pinned("chat", "v1") == Pin("chat", "v2", "v1", "v1")
    assert releases.pinned("chat", "v5") is None
    assert releases.pinned("other", "v1") is None
    releases.pin(Pin("chat", "v6", "v5", "v5"))
    assert releases.pinned("chat", "v5") == Pin("chat", "v6", "v5", "v5")


def test_the_pin_and_the_end_are_written_together_or_not_at_all(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = releases.ask("chat", Kind.PROMOTE, "v2")

    def no_disk(*facts: object) -> None:
        raise ConfigError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("sampan.storage.releases._still_open", no_disk)
        with pytest.raises(ConfigError, match="disk full"):
            releases.enforce(number, Pin("chat", "v2", "v1", ""), "in force")
    assert releases.pinned("chat", "") is None
    assert releases.get(number).stage is Stage.ASKED
    releases.enforce(number, Pin("chat", "v2", "v1", ""), "in force")
    assert releases.pinned("chat", "") == Pin("chat", "v2", "v1", "")
    ended = releases.get(number)
    assert (ended.stage, ended.detail, ended.share, ended.ended) == (Stage.FINISHED, "in force", 1.0, 100.0)


def test_a_server_is_known_by_its_pid(tmp_path: Path) -> None:
    assert reloading.PID == PID
    assert server_pid(tmp_path) is None
    file = tmp_path / PID
    for text in ("", "no number", "0", "-1", str(2**22 + 1)):
        file.write_text(text)
        assert server_pid(tmp_path) is None, text
    file.write_text(str(os.getpid()))
    assert server_pid(tmp_path) == os.getpid()
    file.write_text("1")
    assert server_pid(tmp_path) == 1  # another user's, perhaps; it is there


def test_machines_on_one_database_have_releases_of_their_own(tmp_path: Path, postgres: PostgresProcess) -> None:
    url = postgres.url(postgres.make())
    with closing(Database(tmp_path / "a", url)) as here, closing(Database(tmp_path / "b", url)) as there:
        one, other = Releases(here, Wall()), Releases(there, Wall())
        number = one.ask("chat", Kind.PROMOTE, "v2")
        assert other.open() == []
        assert [each.engine for each in one.open()] == ["chat"]
        other.ask("chat", Kind.PROMOTE, "v3")
        one.enforce(number, Pin("chat", "v2", "v1", "v1"), "")
        assert other.pinned("chat", "v1") is None
        assert one.pinned("chat", "v1") == Pin("chat", "v2", "v1", "v1")
        assert [each.revision for each in other.history("chat")] == ["v3"]


def test_what_was_in_force_before_the_database_was_moved_stays_so(database: Database, releases: Releases) -> None:
    with database.write() as connection:
        row = {"engine": "chat", "revision": "v2", "previous": "v1", "configured": "v1", "since": 1.0}
        connection.execute(insert(PINS), row)
    assert releases.pinned("chat", "v1") == Pin("chat", "v2", "v1", "v1")
    releases.pin(Pin("chat", "v3", "v2", "v1"))
    assert releases.pinned("chat", "v1") == Pin("chat", "v3", "v2", "v1")
