"""Releases change under load, with the official SDK calling all the while: no call fails, whatever the new one does."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import pytest
from gateway import QUICK, Gateway, eventually, is_alive, route
from typer.testing import CliRunner

from sampan.cli import cli
from sampan.errors import ConfigError
from sampan.releases.verbs import models_cli
from sampan.reloading import ask_server
from sampan.storage.db import Database
from sampan.storage.releases import Kind, Promotion, Releases, Stage

RUNNER = CliRunner()
SERVER = Path(__file__).parent.parent / "fake_chat_server.py"
WORDS = [f"w{number}" for number in range(1, 13)]
GOLDEN = """
[[probes]]
name = "counts"
ask = { max_tokens = 50, messages = [{ role = "user", content = "Count." }] }
contains = ["w3 w4"]
"""
SHORT, LONG = 1.0, 600.0  # seconds of watching: a good release must outlast them, a bad one is seen before


@dataclass
class House:
    """A gateway with the engine `chat`, whose first release is v1."""

    gateway: Gateway
    golden: Path

    def settle(self, *, watch: float, keep: float = 3600.0) -> None:
        """Other rules from now on, without a restart."""
        head, _, _ = self.gateway.path.read_text().partition("[releases]")
        self.gateway.path.write_text(head + rules(self.golden, watch, keep))
        ask_server(self.gateway.data)

    def verb(self, *words: str) -> tuple[int, str]:
        """`sampan models …`: its exit status and what it said. Here and not in a process, which takes seconds."""
        done = RUNNER.invoke(models_cli, [*words, "--config", str(self.gateway.path)])
        assert done.exception is None or isinstance(done.exception, ConfigError | SystemExit), done.exception
        return done.exit_code, f"{done.output}{done.exception or ''}"

    def promote(self, release: str, *more: str) -> tuple[int, str]:
        return self.verb("promote", "chat", release, *more)

    def rollback(self) -> str:
        status, words = self.verb("rollback", "chat")
        assert status == 0, words
        return words

    @property
    def engine(self) -> Any:
        return self.gateway.http("GET", "/ready", key=None).json["engines"]["chat"]

    @contextmanager
    def releases(self) -> Iterator[Releases]:
        database = Database(self.gateway.data)
        try:
            yield Releases(database, lambda: 0.0)
        finally:
            database.close()

    def history(self) -> Sequence[Promotion]:
        with self.releases() as releases:
            return releases.history("chat")

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes of each release, as they themselves said."""
        found: dict[str, list[int]] = {}
        for release, pid in re.findall(r"release (\S+) runs as (\d+)", self.gateway.log):
            found.setdefault(release, []).append(int(pid))
        return found

    def alive(self) -> list[int]:
        return [pid for pids in self.pids.values() for pid in pids if is_alive(pid)]

    def ask(self) -> str:
        """The release that answers a call."""
        return said(self.gateway.anthropic(), stream=False).split()[0]


@dataclass
class Load:
    """What callers were told while they called."""

    texts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def by(self, release: str) -> int:
        """Answers that a release began."""
        return sum(text.split()[0] == release for text in self.texts)


def said(client: anthropic.Anthropic, *, stream: bool) -> str:
    ask: dict[str, Any] = {
        "model": "claude-x",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Count, please."}],
    }
    if not stream:
        [block] = client.messages.create(**ask).content
    else:
        with client.messages.stream(**ask) as answer:
            [block] = answer.get_final_message().content
    assert block.type == "text"
    return block.text


@contextmanager
def load(house: House, callers: int = 3) -> Iterator[Load]:
    """Calls all the while, streaming and not. At its end every caller has had whole answers and nothing else."""
    seen = Load()
    stop = threading.Event()
    client = house.gateway.anthropic()

    def call() -> None:
        stream = False
        while not stop.wait(0.02):  # or the machine would do nothing else
            stream = not stream
            try:
                seen.texts.append(said(client, stream=stream))
            except Exception as error:
                seen.failures.append(f"{'stream' if stream else 'whole'}: {error!r}")

    threads = [threading.Thread(target=call, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert seen.failures == []
    assert [text for text in seen.texts if text.split()[1:] != WORDS] == []


def rules(golden: Path, watch: float, keep: float) -> str:
    return f'[releases]\nshares = [0.5]\nwatch = {watch}\nkeep = {keep}\ngolden = "{golden}"\n'


def server(**more: str) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in more.items())
    return f'[engines.chat]\nkind = "server"\nmodel = "fake"\n{lines}'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("promotion")
    golden = folder / "golden.toml"
    golden.write_text(GOLDEN)
    command = [sys.executable, "-S", "-E", str(SERVER), "--port", "{port}", "--release", "{release}"]
    config = QUICK + server(command=repr(command), revision='"v1"') + route("*", '"text", "vision"', "chat")
    with Gateway(folder, config + rules(golden, SHORT, 3600.0)) as gateway:
        gateway.wait_ready(60)
        yield House(gateway, golden)
    house = House(gateway, golden)
    eventually(lambda: not house.alive(), what="the end of all servers")


def test_a_good_release_takes_over_and_the_way_back_is_instant(house: House) -> None:
    house.settle(watch=SHORT)
    with load(house) as seen:
        eventually(lambda: seen.by("v1") > 5)
        done = house.gateway.verb("models", "promote", "chat", "v2+slow")  # as it is typed
        words = done.stderr
        assert done.returncode == 0, words
        assert "chat: in force; v1 stays warm for a while" in done.stdout
        assert "sharing 50% of the calls" in words and "finished" in words
        assert seen.by("v2") > 0, "it had no share of the calls before it was in force"
        before = seen.by("v2")
        eventually(lambda: seen.by("v2") > before + 10)
        old = house.pids["v1"]
        assert is_alive(old[-1])
        assert "v1 is in force again" in house.rollback()
        assert house.ask() == "v1"
        assert house.pids["v1"] == old, "the old release was started again: it should have been kept"
    assert house.history()[0].kind is Kind.ROLLBACK
    assert house.engine["state"] == "warm" and "candidate" not in house.engine


def test_a_release_that_fails_its_golden_probes_is_rolled_back(house: House) -> None:
    with load(house) as seen:
        status, words = house.promote("v3+mute")
    assert status == 1
    assert "rolled back: golden probe 'counts': its answer lacks 'w3 w4'" in words
    assert "mumble" not in words
    assert seen.by("v3") == seen.by("mumble") == 0
    eventually(lambda: not is_alive(house.pids["v3+mute"][-1]), what="the end of v3")


@pytest.mark.parametrize(
    ("release", "why"),
    [
        ("v4+every3", r"[0-9]+ of [0-9]+ calls failed, the last with server_error: status 500"),
        ("v5+crash9", r"it is (backing_off|starting)|[0-9]+ of [0-9]+ calls failed"),
        ("v6+refuse", r"calls failed, the last with malformed: it refuses with 400 what the release before it answers"),
    ],
)
def test_a_release_that_fails_its_calls_is_rolled_back_and_no_call_fails(house: House, release: str, why: str) -> None:
    house.settle(watch=LONG)
    before = house.ask()
    with load(house) as seen:
        status, words = house.promote(release)
        assert status == 1
        assert "rolled back" in words
        count = len(seen.texts)
        eventually(lambda: len(seen.texts) > count + 5)
    assert house.ask() == before
    [row] = [row for row in house.history() if row.revision == release]
    assert row.stage is Stage.ROLLED_BACK
    assert re.search(why, row.detail), row.detail
    eventually(lambda: not any(is_alive(pid) for pid in house.pids[release]), what=f"the end of {release}")


def test_a_release_that_does_not_get_warm_is_rolled_back_by_hand(house: House) -> None:
    assert house.promote("v7+never", "--no-wait")[0] == 0
    eventually(lambda: house.history()[0].stage is Stage.STARTING)
    status, words = house.promote("v8")
    assert status == 1
    assert "a promote of chat goes on" in words
    assert "was stopped" in house.rollback()
    promotion = house.history()[1]
    assert (promotion.stage, promotion.detail) == (Stage.ROLLED_BACK, "stopped by hand")


def test_the_way_back_after_the_old_release_was_let_go(house: House) -> None:
    house.settle(watch=SHORT, keep=0.0)
    before = house.ask()
    old = house.pids[before]
    assert house.promote("v9")[0] == 0
    eventually(lambda: not is_alive(old[-1]), what=f"the end of {before}")
    with load(house):
        assert f"{before} is in force again" in house.rollback()
    assert house.ask() == before
    assert len(house.pids[before]) == len(old) + 1


def test_wrong_golden_probes_are_told_before_they_are_needed(house: House, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[[probes]]\nname = "a"\nask = { n = 1 }\n')
    before = house.gateway.path.read_text()
    house.gateway.path.write_text(before.replace(str(house.golden), str(wrong)))
    try:
        with pytest.raises(ConfigError, match=r"keeps its old configuration: the golden probes.*'a': ask"):
            ask_server(house.gateway.data)
        checked = RUNNER.invoke(cli, ["check", "--config", str(house.gateway.path)])
        assert "the golden probes" in str(checked.exception)
        started = house.gateway.verb("serve")
        assert (started.returncode, started.stdout) == (1, "")
        assert "the golden probes" in started.stderr
    finally:
        house.gateway.path.write_text(before)


def test_what_is_killed_in_the_middle_of_a_promotion_comes_back_with_the_old_release(house: House) -> None:
    house.settle(watch=LONG)
    before = house.ask()
    assert house.promote("v10", "--no-wait")[0] == 0
    eventually(lambda: house.history()[0].stage is Stage.SHARING)
    house.gateway.kill()
    eventually(lambda: not house.alive(), what="the end of all servers")
    house.gateway.start()
    house.gateway.wait_ready(60)
    assert house.ask() == before
    promotion = house.history()[0]
    assert promotion.stage is Stage.FAILED
    assert "the release before stays in force" in promotion.detail
    assert len(house.alive()) == 1


def test_without_a_server_the_next_start_loads_it(house: House) -> None:
    before = house.ask()
    house.gateway.stop()
    eventually(lambda: not house.alive(), what="the end of all servers")
    status, words = house.promote("v11")
    assert status == 0, words
    assert "No server runs" in words and "the next start loads v11" in words
    house.gateway.start()
    house.gateway.wait_ready(60)
    assert house.ask() == "v11"
    assert f"{before} is in force again" in house.rollback()
    assert house.ask() == before
