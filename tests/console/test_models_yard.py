"""Engines and releases as they are told, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sampan.config import Config, parse
from sampan.console.models import Models, Process, Running
from sampan.errors import InvalidRequest, NotFound
from sampan.releases.store import Facts, ReleaseFile, Store
from sampan.storage.db import Database
from sampan.storage.releases import Kind, Pin, Releases, Stage

A, B = "a" * 40, "b" * 40
ENGINES = """
[engines.brain]
kind = "server"
model = "Qwen/Tiny"
command = ["serve", "{port}", "{model}"]
[engines.chat]
kind = "server"
revision = "v1"
command = ["serve", "{port}", "{release}"]
[engines.reader]
kind = "reader"
[engines.away]
kind = "server"
url = "http://127.0.0.1:9"
[engines.fixed]
kind = "server"
command = ["serve", "{port}"]
"""


def process(release: str, **more: Any) -> Process:
    return Process(release, "warm", "ready", 1.0, 0, "", "", **more)


class House:
    def __init__(self, folder: Path, database: Database) -> None:
        self.config: Config = parse(f'[server]\ndata = "{folder}"\n{ENGINES}', "test", {})
        self.store = Store(folder)
        self.releases = Releases(database, lambda: 5.0)
        self.models = Models(lambda: self.config, self.releases, lambda: 9.0)
        self.running = {name: Running(process("")) for name in self.config.engines}

    def have(self, revision: str, fetched: float, *, whole: bool = True) -> Path:
        place = self.store.place("Qwen/Tiny", revision)
        (place / "config.json").write_bytes(b"{}")
        digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        files = [ReleaseFile("config.json", 2, digest)]
        self.store.note(Facts("Qwen/Tiny", revision, "huggingface", files, fetched, "main", "mit", whole))
        return place

    def told(self) -> dict[str, Any]:
        return self.models.told(self.running)

    def engine(self, name: str) -> dict[str, Any]:
        return next(each for each in self.told()["engines"] if each["name"] == name)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(Database(tmp_path)) as database:
        yield House(tmp_path, database)


def test_engines_are_told_with_what_hinders_them(house: House) -> None:
    told = {each["name"]: each for each in house.told()["engines"]}
    hindered = {name: each["obstacle"] for name, each in told.items()}
    assert hindered == {"brain": "", "chat": "", "reader": "built_in", "away": "elsewhere", "fixed": "fixed"}
    assert told["chat"]["tags"] and not told["brain"]["tags"]
    assert (told["chat"]["next"], told["brain"]["next"]) == ("v1", "-")


def test_releases_are_told_with_who_uses_them(house: House) -> None:
    house.have(A, 1.0)
    house.have(B, 2.0)
    house.have("half", 3.0, whole=False)
    used = {each["revision"]: each["used_by"] for each in house.told()["releases"]}
    assert used == {A: [], B: ["brain"], "half": []}
    house.running["brain"] = Running(process(B), process(A, share=0.1, calls=3))
    used = {each["revision"]: each["used_by"] for each in house.told()["releases"]}
    assert used[A] == ["brain"], "what runs beside is used"
    house.running["brain"] = Running(process(A))
    house.releases.pin(Pin("brain", A, B, ""))
    used = {each["revision"]: each["used_by"] for each in house.told()["releases"]}
    assert used == {A: ["brain"], B: ["brain (for a rollback)"], "half": []}
    assert house.engine("brain")["previous"] == B and house.engine("brain")["next"] == A


def test_a_promotion_is_asked_for_followed_and_ended(house: House) -> None:
    house.have(A, 1.0)
    asked = house.models.promote("brain", A[:8])
    assert (asked["revision"], asked["stage"], asked["kind"]) == (A, "asked", "promote")
    with pytest.raises(InvalidRequest, match="goes on"):
        house.models.promote("brain", A)
    house.releases.note(asked["id"], Stage.SHARING, "3 calls, 0 faults", 0.1)
    assert house.engine("brain")["work"]["share"] == 0.1
    stopped = house.models.rollback("brain")
    assert (stopped["kind"], stopped["revision"]) == ("rollback", A)
    for each in house.releases.open():
        house.releases.note(each.id, Stage.ROLLED_BACK, "stopped by hand")
    assert house.engine("brain")["work"] is None and house.engine("brain")["last"]["kind"] == "rollback"
    assert [each["kind"] for each in house.models.history("brain")] == ["rollback", "promote"]


@pytest.mark.parametrize(
    ("engine", "revision", "words"),
    [
        ("brain", "v9", "revision: The model Qwen/Tiny is not here"),
        ("brain", "", "revision: 1 to 200"),
        ("brain", "x" * 201, "revision: 1 to 200"),
        ("chat", "a b", "revision: 'a b' is no release"),
        ("reader", "v1", "comes with Sampan"),
        ("away", "v1", "run by somebody else"),
    ],
)
def test_what_cannot_be_promoted_is_said(house: House, engine: str, revision: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        house.models.promote(engine, revision)


def test_there_is_no_way_back_before_a_promotion(house: House) -> None:
    with pytest.raises(InvalidRequest, match="no way back"):
        house.models.rollback("chat")
    with pytest.raises(InvalidRequest, match="comes with Sampan"):
        house.models.rollback("reader")
    with pytest.raises(NotFound, match="There are: away, brain, chat, fixed, reader"):
        house.models.rollback("nobody")
    house.releases.pin(Pin("chat", "v2", "v1", "v1"))
    assert house.models.rollback("chat")["kind"] == Kind.ROLLBACK


def test_a_release_is_removed_unless_it_is_used(house: House) -> None:
    place = house.have(A, 1.0)
    house.have(B, 2.0)
    with pytest.raises(InvalidRequest, match="used by the engine brain"):
        house.models.remove(f"Qwen--Tiny@{B}", house.running)
    assert house.models.remove(f"Qwen--Tiny@{A}", house.running)["bytes"] == 2
    assert not place.exists()
    for missing in (f"Qwen--Tiny@{A}", "..--..@x", "x", "@", f"Qwen--Tiny@../{B}"):
        with pytest.raises(NotFound, match="there is no release"):
            house.models.remove(missing, house.running)


async def test_damage_is_found(house: House) -> None:
    house.have(A, 1.0)
    (house.have(B, 2.0) / "config.json").write_bytes(b"[]")
    assert house.models.check() == {"state": "never"}
    begun = await house.models.begin_check("")
    assert (begun["state"], begun["bytes"]) == ("running", 4)
    assert house.models._checking is not None
    await house.models._checking
    told = house.models.check()
    assert (told["state"], told["checked"], told["bytes_done"]) == ("done", 2, 4)
    [damaged] = told["damaged"]
    assert damaged["revision"] == B and "sha256 differs" in damaged["files"][0]["what"]
    await house.models.begin_check(f"Qwen--Tiny@{A}")
    await house.models._checking
    assert house.models.check()["damaged"] == []
    with pytest.raises(NotFound):
        await house.models.begin_check("nothing")


async def test_a_check_ends_with_the_gateway(house: House) -> None:
    house.have(A, 1.0)
    await house.models.begin_check("")
    await house.models.aclose()
    assert house.models.check()["state"] in ("stopped", "done")
    await house.models.begin_check("")
    await house.models.aclose()
    assert house.models.check()["state"] == "stopped"
