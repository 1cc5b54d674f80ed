"""`promote`, `rollback` and `history` as they are typed, with a server that the test plays, and with none."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sampan import config
from sampan.errors import ConfigError
from sampan.releases import changing
from sampan.releases.standing import AS_NAMED
from sampan.releases.store import Facts, Store
from sampan.releases.verbs import models_cli
from sampan.storage.db import Database
from sampan.storage.releases import PID, Kind, Promotion, Releases, Stage

OLD, NEW = "a" * 40, "b" * 40
RUNNER = CliRunner()
FILE = """
[server]
data = "{data}"
[engines.qwen]
kind = "qwen_vl"
model = "Qwen/Tiny"
[engines.chat]
kind = "server"
command = ["serve", "{{release}}", "{{port}}"]
revision = "v1"
[engines.other]
kind = "server"
model = "org/name"
command = ["serve", "{{model}}", "{{port}}"]
"""


class Desk:
    """A data folder with a configuration, and what is typed."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.path = folder / "sampan.toml"
        self.path.write_text(FILE.format(data=self.data))
        self.database = Database(self.data)
        self.releases = Releases(self.database, lambda: 0.0)
        store = Store(self.data)
        for fetched, revision in enumerate((OLD, NEW)):
            store.place("Qwen/Tiny", revision)
            store.note(Facts("Qwen/Tiny", revision, "folder", [], fetched=float(fetched), whole=True))

    def type(self, *words: str) -> str:
        """What a verb that succeeds says."""
        done = RUNNER.invoke(models_cli, [*words, "--config", str(self.path)])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    def refusal(self, *words: str) -> str:
        done = RUNNER.invoke(models_cli, [*words, "--config", str(self.path)])
        assert isinstance(done.exception, ConfigError), (done.output, done.exception)
        return str(done.exception)

    def serve(self) -> None:
        """As if a server ran here."""
        (self.data / PID).write_text(str(os.getpid()))

    def pin(self, engine: str) -> str:
        configured = config.load(self.path).engines[engine].revision
        pin = self.releases.pinned(engine, configured)
        return f"{pin.revision[:3]}<{pin.previous[:3]}" if pin else ""

    def standing(self, engine: str) -> str:
        return changing.standings(config.load(self.path))[engine]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("COLUMNS", "200")
    made = Desk(tmp_path)
    with closing(made.database):
        yield made


def test_without_a_server_the_next_start_loads_it(desk: Desk) -> None:
    assert desk.standing("qwen") == NEW
    said = desk.type("promote", "qwen", OLD[:8])
    assert f"No server runs on {desk.data}: the next start loads {OLD} for qwen" in said
    assert (desk.pin("qwen"), desk.standing("qwen")) == ("aaa<bbb", OLD)
    assert "is in force already" in desk.refusal("promote", "qwen", OLD)
    assert f"the next start loads {NEW}" in desk.type("rollback", "qwen")
    assert desk.pin("qwen") == "bbb<aaa"
    told = desk.type("history", "qwen")
    assert f"In force for qwen: {NEW}" in told
    assert told.index("rollback") < told.index("promote")
    assert desk.releases.open() == []


def test_tags_of_a_command(desk: Desk) -> None:
    desk.type("promote", "chat", "v2")
    desk.type("promote", "chat", "v3")
    desk.type("rollback", "chat")
    assert (desk.pin("chat"), desk.standing("chat")) == ("v2<v3", "v2")
    assert "is no release" in desk.refusal("promote", "chat", "v 2")


def test_what_a_server_found_by_itself_is_gone_back_to(desk: Desk) -> None:
    Store(desk.data).place("org/name", NEW)
    assert desk.standing("other") == "as its server finds it"
    desk.releases.pin(changing.Pin("other", NEW, AS_NAMED, ""))
    assert "the next start loads what its server finds by itself for other" in desk.type("rollback", "other")
    assert desk.standing("other") == "as its server finds it"


def test_what_cannot_be_is_said_in_words(desk: Desk) -> None:
    assert "there is no engine 'no'. There are: chat, other, qwen" in desk.refusal("promote", "no", "v2")
    assert "is not here at revision ccccccc" in desk.refusal("promote", "qwen", "ccccccc")
    assert "nothing was promoted on qwen" in desk.refusal("rollback", "qwen")
    desk.type("promote", "qwen", OLD)
    Store(desk.data).remove(Store(desk.data).find("Qwen/Tiny", NEW))
    assert f"not here at revision {NEW}" in desk.refusal("rollback", "qwen")


def test_what_a_dead_server_left_open_is_ended(desk: Desk) -> None:
    left = desk.releases.ask("qwen", Kind.PROMOTE, NEW)
    other = desk.releases.ask("chat", Kind.PROMOTE, "v2")
    desk.type("promote", "qwen", OLD)
    assert desk.releases.get(left).stage is Stage.FAILED
    assert desk.releases.get(other).ended is None


def test_with_a_server_it_is_asked(desk: Desk) -> None:
    desk.serve()
    assert "`sampan models history qwen` tells" in desk.type("promote", "qwen", OLD[:8], "--no-wait")
    [promotion] = desk.releases.open()
    assert (promotion.engine, promotion.revision, promotion.stage) == ("qwen", OLD, Stage.ASKED)
    assert desk.pin("qwen") == ""
    assert "a promote of qwen goes on" in desk.refusal("promote", "qwen", OLD)
    desk.type("rollback", "qwen", "--no-wait")
    assert [row.kind for row in desk.releases.open()] == [Kind.PROMOTE, Kind.ROLLBACK]
    assert '"stage":"asked"' in desk.type("history", "qwen", "--json")


def play(desk: Desk, monkeypatch: pytest.MonkeyPatch, *script: tuple[Stage, str, float]) -> None:
    """A server that goes one step each time that the verb waits."""
    rest = iter(script)

    def wait(self: object, seconds: float) -> None:
        [promotion] = desk.releases.open()
        try:
            desk.releases.note(promotion.id, *next(rest))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(changing.threading, "Event", type("Pause", (), {"wait": wait}))
    desk.serve()


GOING = [
    (Stage.STARTING, "reading weights", 0.0),
    (Stage.SHARING, "0 calls, 0 faults", 0.5),
    (Stage.SHARING, "9 calls, 0 faults", 0.5),
]


def test_a_promotion_is_followed_to_its_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    play(desk, monkeypatch, *GOING, (Stage.FINISHED, "in force", 1.0))
    said = desk.type("promote", "qwen", OLD)
    assert said.count("sharing 50% of the calls") == 1  # not one line for each call
    for line in ("qwen: asked", "qwen: starting: reading weights", "qwen: finished: in force", "qwen: in force"):
        assert line in said


def test_a_release_that_is_rolled_back_is_status_one_and_says_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    play(desk, monkeypatch, *GOING, (Stage.ROLLED_BACK, "golden probe 'talks': it said nothing", 0.0))
    why = desk.refusal("promote", "qwen", OLD)
    assert why == "the promote of qwen is rolled back: golden probe 'talks': it said nothing"


def test_ctrl_c_stops_following_and_says_that_it_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    play(desk, monkeypatch, *GOING)
    done = RUNNER.invoke(models_cli, ["promote", "qwen", OLD, "--config", str(desk.path)])
    assert done.exit_code == changing.INTERRUPTED
    assert "it goes on without being watched; `sampan models rollback qwen` stops it" in done.output
    assert [row.stage for row in desk.releases.open()] == [Stage.SHARING]


def test_a_server_that_ends_meanwhile(desk: Desk) -> None:
    number = desk.releases.ask("qwen", Kind.PROMOTE, OLD)
    seen = changing.steps(desk.releases, number, lambda: False, lambda seconds: None)
    assert next(seen).stage is Stage.ASKED
    with pytest.raises(ConfigError, match="the server ended meanwhile"):
        next(seen)


def test_a_server_that_takes_nothing_up(desk: Desk) -> None:
    number = desk.releases.ask("qwen", Kind.PROMOTE, OLD)
    *_, last = changing.steps(desk.releases, number, lambda: True, lambda seconds: None)
    assert (last.stage, last.detail) == (Stage.FAILED, "no server took it up")
    assert desk.releases.open() == []


def test_on_a_terminal_it_is_one_line(desk: Desk) -> None:
    def promotion(stage: Stage, detail: str, share: float) -> Promotion:
        return Promotion(1, "qwen", OLD, Kind.PROMOTE, stage, share, detail, 0.0, None)

    script = [*(promotion(*each) for each in GOING), promotion(Stage.FINISHED, "[b]in force", 1.0)]
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    assert changing.show("qwen", iter(script), console) is script[-1]
    assert isinstance(console.file, io.StringIO)
    assert "[b]in force" in console.file.getvalue()


def test_check_tells_what_is_in_force_and_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "sampan.toml").write_text(FILE.format(data=tmp_path / "none"))
    told = changing.standings(config.load(tmp_path / "sampan.toml"))
    assert told == {"qwen": "not fetched", "chat": "v1", "other": "as its server finds it"}
    assert not (tmp_path / "none").exists()
