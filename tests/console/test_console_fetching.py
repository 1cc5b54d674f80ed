"""Fetches that are begun, heard of, stopped and refused; the verb itself is tried where it is at home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sampan.console import fetching, leashed
from sampan.console.fetching import Fetches, Wish
from sampan.errors import CallError, InvalidRequest, NotFound

WHOLE = [
    {"event": "plan", "what": "Qwen/Tiny", "files": 2, "bytes": 1000},
    {"event": "progress", "bytes": 250},
    {"event": "note", "text": "tried again in 0.5 s"},
    {"event": "end", "path": "a"},
    {"event": "end", "path": "b"},
    {"event": "whole", "revision": "c0ffee"},
]


class Verb:
    """Stands for `sampan models fetch`: tells its events, then waits until it may end or is stopped."""

    def __init__(self, events: Sequence[Mapping[str, Any]], status: int) -> None:
        self._events = events
        self._status = status
        self.heard = asyncio.Event()
        self.may_end = asyncio.Event()
        self.stopped = False
        self.last_words = "the hub has no such model"

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        for event in self._events:
            yield event
        self.heard.set()
        await self.may_end.wait()

    async def ended(self) -> int:
        return 143 if self.stopped else self._status

    def stop(self) -> None:
        self.stopped = True
        self.may_end.set()


class House:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.verbs: list[Verb] = []
        self.words: list[Sequence[str]] = []
        self.events: Sequence[Mapping[str, Any]] = WHOLE
        self.status = 0
        self.now = 100.0
        self.fetches = Fetches(Path("/etc/sampan.toml"), {}, lambda: 1_800_000_000.0, lambda: self.now)
        monkeypatch.setattr(leashed, "start", self.start)

    async def start(self, words: Sequence[str], environ: Mapping[str, str]) -> Any:
        self.words.append(words)
        self.verbs.append(Verb(self.events, self.status))
        return self.verbs[-1]

    async def begin(self, name: str = "Qwen/Tiny", **more: Any) -> dict[str, Any]:
        told = await self.fetches.begin(Wish(name, **more), "wang")
        await asyncio.sleep(0)
        await self.verbs[-1].heard.wait()
        return told

    async def end(self) -> dict[str, Any]:
        self.verbs[-1].may_end.set()
        await asyncio.gather(*self.fetches._tasks)
        return self.fetches.told()[0]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


async def test_a_fetch_from_its_beginning_to_its_end(house: House) -> None:
    begun = await house.begin(revision="main", include=["*.json"], exclude=["-x"])
    assert (begun["state"], begun["by"], begun["started"]) == ("running", "wang", 1_800_000_000.0)
    [words] = house.words
    assert words[:6] == ("sampan", "models", "fetch", "Qwen/Tiny", "--from=huggingface", "--json")
    assert words[6:] == ("--revision=main", "--include=*.json", "--exclude=-x", "--config=/etc/sampan.toml")
    told = await house.end()
    assert told["state"] == "done" and told["pinned"] == "c0ffee" and told["id"] == begun["id"]
    assert (told["files_done"], told["files"], told["bytes_done"], told["bytes"]) == (2, 2, 1000, 1000)
    assert told["said"] == ["tried again in 0.5 s"] and told["rate"] == 0


async def test_the_rate_is_that_of_late(house: House) -> None:
    house.events = [WHOLE[0]]
    begun = await house.begin()
    [fetch] = house.fetches._fetches
    for seconds, done in ((1, 400), (20, 500), (1, 700)):
        house.now += seconds
        fetch.hear({"event": "progress", "bytes": done})
    assert house.fetches.told()[0]["rate"] == 200, "what came more than ten seconds ago does not count"
    house.fetches.stop(begun["id"])
    assert (await house.end())["state"] == "stopped"


async def test_one_that_fails_says_why(house: House) -> None:
    house.status, house.events = 1, []
    await house.begin()
    told = await house.end()
    assert (told["state"], told["error"]) == ("failed", "the hub has no such model")


async def test_one_that_cannot_be_started_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(words: Sequence[str], environ: Mapping[str, str]) -> Any:
        raise CallError("no process can be started: out of memory")

    monkeypatch.setattr(leashed, "start", start)
    await house.fetches.begin(Wish("Qwen/Tiny"), "wang")
    await house.fetches.aclose()
    [told] = house.fetches.told()
    assert (told["state"], told["error"]) == ("failed", "no process can be started: out of memory")


async def test_all_are_stopped_in_the_end(house: House) -> None:
    await house.begin()
    await house.begin("Qwen/Other")
    await house.fetches.aclose()
    assert [each["state"] for each in house.fetches.told()] == ["stopped", "stopped"]
    with pytest.raises(NotFound):
        house.fetches.stop("fetch_0")


async def test_no_more_than_a_few_at_once_and_none_twice(house: House) -> None:
    await house.begin()
    with pytest.raises(InvalidRequest, match="is being fetched already"):
        await house.begin()
    for number in range(fetching.TOGETHER - 1):
        await house.begin(f"Qwen/Other-{number}")
    with pytest.raises(InvalidRequest, match="3 models are being fetched"):
        await house.begin("Qwen/More")
    await house.fetches.aclose()


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": "--help"}, "name"),
        ({"name": "a/b", "revision": "x y"}, "revision"),
        ({"name": "a/b", "source": "/etc"}, "source"),
        ({"name": "a/b", "include": ["x"] * 21}, "include"),
        ({"name": "a/b", "exclude": ["a\nb"]}, "exclude"),
        ({"name": "a/b", "exclude": [""]}, "exclude"),
    ],
)
async def test_what_cannot_be_fetched_names_its_field(house: House, wish: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: ") as refused:
        await house.fetches.begin(Wish(**wish), "wang")
    assert refused.value.param == field and not house.words
