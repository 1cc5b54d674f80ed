"""Drills that are begun, heard of, kept and stopped; what a drill does is tried where it is at home."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sampan.console import leashed
from sampan.console.rehearsing import Rehearsals, catalogue
from sampan.drill.orders import VARIABLE, Orders, Watching
from sampan.drill.troubles import TROUBLES
from sampan.errors import InvalidRequest, NotFound

SCENES = [
    {"number": number, "fault": "500", "route": "claude-*", "operation": "text", "stream": number == 2}
    for number in (1, 2)
]
CARD = {"kept": False, "scenes": [{"fault": "500", "kept": False, "calls": ["many"]}]}


class Play:
    """Stands for `sampan drill`."""

    def __init__(self, orders: Orders, status: int, *, writes: bool) -> None:
        self.orders = orders
        self._status = status
        self._writes = writes
        self.halfway = asyncio.Event()
        self.go_on = asyncio.Event()
        self.stopped = False
        self.last_words = "there is nothing to rehearse"

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        yield {"event": "plan", "scenes": SCENES}
        yield {"event": "begin", "scene": 1}
        yield {"event": "end", "scene": 1, "kept": True}
        yield {"event": "begin", "scene": 2}
        self.halfway.set()
        await self.go_on.wait()
        if not self.stopped:
            yield {"event": "end", "scene": 2, "kept": False}

    async def ended(self) -> int:
        if self._writes and not self.stopped:
            out = Path(self.orders.out)
            (out / "drill.json").write_text(json.dumps(CARD))
            (out / "drill.html").write_text("<!doctype html>")
        return 143 if self.stopped else self._status

    def stop(self) -> None:
        self.stopped = True
        self.go_on.set()


class House:
    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = data
        self.plays: list[Play] = []
        self.status, self.writes = 1, True
        self.begun = asyncio.Event()
        self.rehearsals = self.open()
        monkeypatch.setattr(leashed, "start", self.start)

    def open(self) -> Rehearsals:
        return Rehearsals(self.data, Path("/etc/sampan.toml"), {"X": "1"}, lambda: 1_800_000_000.0)

    async def start(self, words: Sequence[str], environ: Mapping[str, str]) -> Any:
        assert list(words) == ["sampan.drill"] and environ["X"] == "1"
        orders = msgspec.json.decode(environ[VARIABLE], type=Orders)
        self.plays.append(Play(orders, self.status, writes=self.writes))
        self.begun.set()
        return self.plays[-1]

    async def begin(self, *only: str, operation: str = "") -> Play:
        self.begun.clear()
        self.rehearsals.begin(only, operation, "zh", "wang")
        await self.begun.wait()
        await self.plays[-1].halfway.wait()
        return self.plays[-1]

    async def end(self) -> dict[str, Any]:
        self.plays[-1].go_on.set()
        assert self.rehearsals._task is not None
        await self.rehearsals._task
        return self.rehearsals.told()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


async def test_a_drill_from_its_beginning_to_its_end(house: House) -> None:
    assert house.rehearsals.told() == {"state": "never"} and house.rehearsals.kept() == []
    play = await house.begin("529", "500", operation="text")
    orders = play.orders
    assert (orders.config, orders.only, orders.operation) == ("/etc/sampan.toml", ["500", "529"], ["text"])
    assert (orders.lang, orders.progress) == ("zh", Watching.JSON)
    told = house.rehearsals.told()
    assert (told["state"], told["done"], told["total"], told["by"]) == ("running", 1, 2, "wang")
    assert [scene["state"] for scene in told["scenes"]] == ["kept", "playing"]
    with pytest.raises(InvalidRequest, match="a drill goes on"):
        house.rehearsals.begin((), "", "en", "li")
    told = await house.end()
    assert (told["state"], told["done"], told["error"]) == ("done", 2, "")
    assert [scene["state"] for scene in told["scenes"]] == ["kept", "broken"]


async def test_what_came_of_the_last_two_outlives_the_gateway(house: House) -> None:
    for only in ("500", "529", "429"):
        await house.begin(only)
        await house.end()
    last, before = house.open().kept()
    assert (last.facts["only"], before.facts["only"]) == (["429"], ["529"])
    assert (last.facts["by"], last.facts["ended"]) == ("wang", 1_800_000_000.0)
    assert last.card == {"kept": False, "scenes": [{"fault": "500", "kept": False}]}, "without its single calls"
    assert house.open().file("drill.html") == b"<!doctype html>"
    assert b"many" in house.open().file("drill.json", "before")
    assert sorted(path.name for path in (house.data / "drill").iterdir()) == ["before", "last"]


async def test_one_without_a_scorecard_has_failed_and_leaves_the_last_one(house: House) -> None:
    await house.begin("500")
    await house.end()
    house.writes = False
    await house.begin("529")
    told = await house.end()
    assert (told["state"], told["error"]) == ("failed", "there is nothing to rehearse")
    [kept] = house.rehearsals.kept()
    assert kept.facts["only"] == ["500"]


async def test_one_that_is_stopped(house: House) -> None:
    assert house.rehearsals.stop() == {"state": "never"}
    play = await house.begin()
    house.rehearsals.stop()
    assert play.stopped
    await house.rehearsals.aclose()
    assert house.rehearsals.told()["state"] == "stopped" and house.rehearsals.kept() == []
    with pytest.raises(NotFound, match="no drill has come to its end"):
        house.rehearsals.file("drill.html")


@pytest.mark.parametrize(
    ("only", "operation", "language", "field"),
    [(("no-such",), "", "en", "only"), ((), "sing", "en", "operation"), ((), "", "tlh", "language")],
)
def test_what_cannot_be_rehearsed_names_its_field(
    house: House, only: Sequence[str], operation: str, language: str, field: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: ") as refused:
        house.rehearsals.begin(only, operation, language, "wang")
    assert refused.value.param == field and house.rehearsals.told() == {"state": "never"}


def test_the_catalogue_has_every_fault_in_both_languages() -> None:
    told = catalogue()
    assert [each["name"] for each in told["faults"]] == [trouble.name for trouble in TROUBLES]
    moments = [each["name"] for each in told["moments"]]
    assert all(each["zh"] and each["en"] and each["when"] in moments for each in told["faults"])
    assert len(told["promises"]) == 8 and "vision" in told["operations"]
