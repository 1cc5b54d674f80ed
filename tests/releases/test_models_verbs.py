"""`sampan models …`, as typed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, Wrong
from release_house import small_model
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from sampan.releases.names import ReleaseError
from sampan.releases.progress import Bars, Events
from sampan.releases.store import Store
from sampan.releases.verbs import models_cli
from sampan.releases.wheels import TORCH, find_source
from sampan.storage.db import Database
from sampan.storage.releases import Kind, Pin, Releases

RUNNER = CliRunner()
ROOT = Path(__file__).parents[2]
FIRST = "model-00001-of-00002.safetensors"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(small_model()).running() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: FakeHub) -> Path:
    """A folder to stand in, its configuration leading to the fake hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")
    for name in ("SAMPAN_CONFIG", "HF_TOKEN", "MODELSCOPE_API_TOKEN", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    configure(tmp_path, hub)
    return tmp_path


def configure(home: Path, hub: FakeHub, more: str = "") -> None:
    places = f'[releases]\nhuggingface = "{hub.url}"\nmodelscope = "{hub.url}"\n'
    (home / "sampan.toml").write_text(f'[server]\ndata = "{home}/data"\n{places}{more}')


def typed(*words: str) -> str:
    """Standard output of a verb that succeeds."""
    result = RUNNER.invoke(models_cli, words)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def refused(*words: str) -> str:
    """What a verb fails with."""
    result = RUNNER.invoke(models_cli, words)
    assert isinstance(result.exception, ReleaseError), result.output + repr(result.exception)
    return str(result.exception)


def test_fetch_list_verify_remove(home: Path, hub: FakeHub) -> None:
    said = typed("fetch", "Qwen/Tiny")
    assert said == f"Qwen/Tiny {COMMIT} is here: 6 files, 77.1 kB, licence apache-2.0\n"
    said = typed("list")
    assert "Qwen/Tiny" in said and COMMIT in said and "huggingface" in said and "apache-2.0" in said
    assert typed("verify") == f"Qwen/Tiny {COMMIT}: 6 files are as they were fetched\n"
    weights = home / "data" / "models" / "Qwen--Tiny" / COMMIT / FIRST
    weights.write_bytes(b"x" * weights.stat().st_size)
    result = RUNNER.invoke(models_cli, ["verify", "Qwen/Tiny"])
    assert f"{FIRST} is not the file that was fetched" in result.output
    assert f"`sampan models fetch Qwen/Tiny --revision {COMMIT}` mends it" in str(result.exception)
    typed("fetch", "Qwen/Tiny", "--revision", COMMIT)
    typed("verify", "Qwen/Tiny", "--jobs", "1")
    assert typed("remove", "Qwen/Tiny") == f"Qwen/Tiny {COMMIT} is removed: 77.1 kB\n"
    assert refused("remove", "Qwen/Tiny") == "Qwen/Tiny is not here"
    assert list((home / "data" / "models").iterdir()) == []


def test_fetch_from_elsewhere(home: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "secret"
    assert "if it is private, set MODELSCOPE_API_TOKEN" in refused("fetch", "Qwen/Tiny", "--from", "modelscope")
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "secret")
    typed("fetch", "Qwen/Tiny", "--from", "modelscope", "--include", "*.json", "--exclude", "README*")
    source = home / "source"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"weights")
    said = typed("fetch", "house/mine", "--from", str(source), "--revision", "v1")
    assert said.startswith("house/mine v1 is here: 1 files, 7 bytes")
    assert "is no folder. --from takes `huggingface`, `modelscope` or a folder." in refused(
        "fetch", "a/b", "--from", "nowhere"
    )
    assert "is no name of a model" in refused("fetch", "../b")
    rows = [json.loads(line) for line in typed("list", "--json").splitlines()]
    assert [(row["name"], row["source"], row["files"], row["whole"]) for row in rows] == [
        ("Qwen/Tiny", "modelscope", 1, True),
        ("house/mine", "folder", 1, True),
    ]


def test_fetch_for_programs_says_every_step(home: Path, hub: FakeHub) -> None:
    hub.faults = {FIRST: [Wrong()]}
    events = [json.loads(line) for line in typed("fetch", "Qwen/Tiny", "--json", "--jobs", "1").splitlines()]
    assert events[0] == {"event": "plan", "what": "Qwen/Tiny 1234567890ab", "files": 6, "bytes": 77_077}
    assert {"event": "begin", "path": FIRST, "bytes": 50_000} in events
    assert any(each["event"] == "note" and "not the one that was announced" in each["text"] for each in events)
    last = events[-1]
    assert (last["event"], last["revision"], last["bytes"]) == ("whole", COMMIT, 77_077)
    assert Path(last["folder"]).is_dir()


def test_list_says_which_engine_uses_what_and_remove_asks(home: Path, hub: FakeHub) -> None:
    typed("fetch", "Qwen/Tiny")
    configure(home, hub, '[engines.vl]\nkind = "qwen_vl"\nmodel = "Qwen/Tiny"\n')
    rows = [json.loads(line) for line in typed("list", "--json").splitlines()]
    assert rows[0]["used"] == "vl"
    assert refused("remove", "Qwen/Tiny") == ("Qwen/Tiny is used by the engine vl. --force removes it all the same.")
    releases = Releases(Database(home / "data"), lambda: 1.0)
    for revision, used in ((COMMIT, "vl"), ("other2", "vl (for a rollback)"), ("other3", "")):
        identifier = releases.ask("vl", Kind.PROMOTE, revision)
        previous = pin.revision if (pin := releases.pinned("vl", "")) else ""
        releases.enforce(identifier, Pin("vl", revision, previous, ""), "promoted")
        assert json.loads(typed("list", "--json"))["used"] == used
    folder = home / "data" / "models" / "Qwen--Tiny" / COMMIT
    for engine, used in (
        (f'kind = "qwen_vl"\nmodel = "{folder}"', "vl"),
        ('kind = "qwen_image"\nmodel = "a/b"\nedit_model = "Qwen/Tiny"', "vl"),
        (f'kind = "qwen_vl"\nmodel = "Qwen/Tiny"\nrevision = "{"f" * 40}"', ""),
    ):
        configure(home, hub, f"[engines.vl]\n{engine}\n")
        assert json.loads(typed("list", "--json"))["used"] == used
    store = Store(home / "data")
    store.note(store.find("Qwen/Tiny").facts.__class__("Qwen/Tiny", "other1", "folder", [], 1.0, whole=False))
    assert "not whole yet: fetch it again" in typed("list")
    assert refused("remove", "Qwen/Tiny").startswith("--revision has to say which one. Here are: ")
    typed("remove", "Qwen/Tiny", "--revision", "other1")
    typed("remove", "Qwen/Tiny", "--force")


def test_bundle_and_install_in_another_house(
    home: Path, hub: FakeHub, tmp_path_factory: pytest.TempPathFactory
) -> None:
    typed("fetch", "Qwen/Tiny")
    assert refused("bundle", "--into", "x") == "Name a model, or say --wheels, or both: the bundle would be empty."
    assert refused("bundle", "Qwen/Tiny", "--qwen", "--into", "x") == "--qwen adds to --wheels: say both."
    assert refused("bundle", "Qwen/Tiny", "--into", "no/x").startswith("There is no folder")
    assert "is not here" in refused("bundle", "Qwen/Huge", "--into", "x")
    said = typed("bundle", f"Qwen/Tiny@{COMMIT[:8]}", "--into", "x.sampan")
    key = re.search(r"Public key: ([0-9a-f]{64})\n", said)
    assert key and f"python3 install.py x.sampan --into sampan --trust {key[1]}" in said
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "my.pem"], check=True)
    assert key[1] not in typed("bundle", "Qwen/Tiny", "--into", "y.sampan", "--key", "my.pem")

    other = tmp_path_factory.mktemp("other")
    configure(other, hub)
    config = ("--config", str(other / "sampan.toml"))
    assert refused("install", "x.sampan", *config).startswith("--trust has to say whose bundle this is")
    assert "not signed by the key that you trust" in refused("install", "y.sampan", "--trust", key[1], *config)
    assert "64 hexadecimal digits" in refused("install", "x.sampan", "--trust", "abc", *config)
    said = typed("install", "x.sampan", "--trust", key[1], *config)
    assert said == f"Qwen/Tiny {COMMIT} is here: 77.1 kB\n"
    assert typed("verify", *config).endswith("6 files are as they were fetched\n")
    assert typed("install", "x.sampan") == f"Qwen/Tiny {COMMIT} is here: 77.1 kB\n"  # our own key is trusted


@pytest.mark.parametrize("verb", ["tiny", "export"])
def test_programs_of_the_engines_get_all_words(verb: str) -> None:
    """`tiny` and `export` become other processes: who fetches a model does not load torch."""
    code = "import sys; from sampan.releases.verbs import models_cli; models_cli(sys.argv[1:])"
    command = [sys.executable, "-c", code, verb, "--no-such-option", "--help"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, text=True, capture_output=True, env=env)
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m sampan.engines.{verb}" in done.stdout


def test_a_terminal_is_shown_bars() -> None:
    console = Console(force_terminal=True, width=120, record=True)
    with Progress(console=console, auto_refresh=False) as progress:
        bars = Bars(progress)
        bars.plan("Qwen/Tiny", 1, 100)
        bars.begin("a[b].json", 100)
        bars.advance("a[b].json", 40)
        assert [(task.description, task.completed) for task in progress.tasks] == [
            ("[bold]Qwen/Tiny", 40),
            (r"a\[b].json", 40),
        ]
        bars.advance("a[b].json", -40)
        bars.end("a[b].json")
        bars.say("a note [x]")
        bars.plan("again", 1, 5)
        assert [task.description for task in progress.tasks] == ["[bold]again"]
    assert "a note [x]" in console.export_text()


def test_the_torch_of_a_bundle_is_the_one_of_the_makefile() -> None:
    assert f"TORCH  := {TORCH}\n" in (ROOT / "Makefile").read_text()
    assert find_source() == ROOT


def test_events_tell_the_bytes_that_are_here_at_each_hundredth_and_twice_a_second() -> None:
    said: list[str] = []
    now = 0.0
    events = Events(said.append, lambda: now)
    events.plan("Qwen/Tiny", 1, 1000)
    for count in (5, 5, 1, 900, -911):
        events.advance("a", count)
    now = 0.6
    events.advance("a", 1)
    told = [json.loads(line) for line in said]
    assert told[0] == {"event": "plan", "what": "Qwen/Tiny", "files": 1, "bytes": 1000}
    assert [each["bytes"] for each in told[1:]] == [10, 911, 0, 1]
