"""How engines are started: whose release, in which words, on which port."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sampan.config import EngineSettings
from sampan.core import Dialect
from sampan.errors import ConfigError
from sampan.ports import Address, reach, reserve
from sampan.processes import Processes
from sampan.releases.standing import AS_NAMED, check_promotable, in_words, loads, resolve
from sampan.releases.store import Facts, ReleaseFile, Store
from sampan.supervisor import EngineSpec

OLD, NEW = "a" * 40, "b" * 40
MODEL = "Qwen/Tiny"
SERVER = ["serve", "{model}", "--port", "{port}"]
IMAGE = ["docker", "run", "-p", "127.0.0.1:{port}:8000", "vllm:{release}"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two releases of a model; the newer is `main`."""
    store = Store(tmp_path)
    for fetched, revision in enumerate((OLD, NEW)):
        folder = store.place(MODEL, revision)
        (folder / "config.json").write_text("{}")
        files = [ReleaseFile("config.json", 2, "x")]
        store.note(Facts(MODEL, revision, "folder", files, fetched=float(fetched), asked="main", whole=True))
    return tmp_path


def server(**facts: object) -> EngineSettings:
    return EngineSettings(**({"kind": "server", "model": MODEL, "command": SERVER} | facts))  # type: ignore[arg-type]


def qwen(**facts: object) -> EngineSettings:
    return EngineSettings(**({"kind": "qwen_vl", "model": MODEL} | facts))  # type: ignore[arg-type]


class House:
    """Engines, and which release of each is in force."""

    def __init__(self, data: Path, **engines: EngineSettings) -> None:
        self.pins: dict[str, str] = {}
        self.called: list[tuple[str, str]] = []
        self.folder = data / "models" / "Qwen--Tiny"
        self.processes = Processes(data, engines, lambda name: self.pins.get(name, ""), self._first_call)

    async def _first_call(self, engine: str, process: str) -> None:
        self.called.append((engine, process))

    def first(self, name: str = "x") -> tuple[str, ...]:
        return command(self.processes.first(name))

    def release(self, revision: str, process: str = "x@1") -> tuple[str, ...]:
        return command(self.processes.release("x", revision, process))


def command(spec: EngineSpec) -> tuple[str, ...]:
    return spec.command() if callable(spec.command) else spec.command


def after(words: tuple[str, ...], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_an_engine_of_ours_is_started_with_the_newest_and_stays_with_it(data: Path) -> None:
    house = House(data, x=qwen(quantization="int4", threads=3))
    words = house.first()
    assert words[:6] == (sys.executable, "-m", "sampan.engines.server", "qwen_vl", "--listen", "{listen}")
    assert after(words, "--model") == str(house.folder / NEW)
    assert (after(words, "--quantization"), after(words, "--threads"), after(words, "--name")) == ("int4", "3", "x")
    assert house.processes.running == {"x": NEW}
    newest = "c" * 40
    Store(data).place(MODEL, newest)
    Store(data).note(Facts(MODEL, newest, "folder", [], fetched=9.0, whole=True))
    assert after(house.first(), "--model") == str(house.folder / NEW)  # a crash is no promotion


def test_what_is_promoted_is_started_beside_it(data: Path) -> None:
    house = House(data, x=qwen(listen="127.0.0.1:9999"))
    house.pins["x"] = OLD
    assert after(house.first(), "--model") == str(house.folder / OLD)
    spec = house.processes.release("x", NEW[:9], "x@b.1")
    assert (spec.name, spec.listen) == ("x@b.1", "")
    assert house.processes.first("x").listen == "127.0.0.1:9999"
    assert after(command(spec), "--model") == str(house.folder / NEW)
    assert house.processes.running == {"x": OLD, "x@b.1": NEW}
    with pytest.raises(ConfigError, match="is not here at revision cccccccc"):
        house.release("c" * 8)


def test_what_is_not_here_is_looked_for_at_each_start(tmp_path: Path) -> None:
    house = House(tmp_path, x=qwen())
    with pytest.raises(ConfigError, match="`sampan models fetch Qwen/Tiny` fetches it"):
        house.first()
    assert house.processes.running == {}
    Store(tmp_path).place(MODEL, NEW)
    Store(tmp_path).note(Facts(MODEL, NEW, "folder", [], whole=True))
    assert after(house.first(), "--model") == str(house.folder / NEW)


def test_the_embedded_ones_have_one_thread_and_no_ledger(tmp_path: Path) -> None:
    house = House(tmp_path, x=EngineSettings(kind="reader", env={"A": "b"}))
    spec = house.processes.first("x")
    assert spec.env == {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "A": "b"}
    assert "--ledger" not in command(spec) and "--model" not in command(spec)
    assert spec.warm is None


async def test_anothers_server_is_held_on_the_leash_and_warmed_up(data: Path) -> None:
    house = House(data, x=server(health="/alive"))
    spec = house.processes.first("x")
    words = command(spec)
    assert words[:4] == (sys.executable, "-m", "sampan.engines.leash", "--")
    assert words[4:] == ("serve", str(house.folder / NEW), "--port", "{port}")
    assert (spec.ready, house.processes.running) == ("/alive", {"x": NEW})
    assert spec.warm is not None
    await spec.warm()
    assert house.called == [("x", "x")]


def test_a_model_that_was_not_fetched_is_its_servers_to_find(data: Path) -> None:
    house = House(data, x=server(model="org/other"))
    assert "org/other" in house.first()
    assert house.processes.running == {"x": AS_NAMED}
    with pytest.raises(ConfigError, match="org/other is not here"):
        house.release(NEW)


def test_a_model_that_its_server_found_is_gone_back_to_though_it_was_fetched_since(data: Path) -> None:
    house = House(data, x=server())
    assert MODEL in house.release(AS_NAMED)
    assert house.processes.running == {"x@1": AS_NAMED}


def test_tags_of_an_image_are_releases(data: Path) -> None:
    house = House(data, x=server(command=IMAGE, revision="v0.1"))
    house.pins["x"] = "v0.1"
    assert house.first()[-1] == "vllm:v0.1"
    assert house.release("v0.2")[-1] == "vllm:v0.2"
    assert house.processes.running == {"x": "v0.1", "x@1": "v0.2"}


def test_what_somebody_else_runs_is_only_watched(tmp_path: Path) -> None:
    house = House(tmp_path, x=EngineSettings(kind="server", url="http://127.0.0.1:1", health="/"))
    spec = house.processes.first("x")
    assert (spec.url, spec.command, spec.ready, spec.warm is not None) == ("http://127.0.0.1:1", (), "/", True)


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (EngineSettings(kind="reader"), "comes with Sampan and has no releases"),
        (EngineSettings(kind="server", url="http://h:1"), "run by somebody else at http://h:1"),
        (server(command=["serve", "{port}"]), r"neither \{release\} nor \{model\}"),
        (qwen(model="."), "is a folder"),
    ],
)
def test_what_has_no_releases_is_not_promoted(data: Path, engine: EngineSettings, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        House(data, x=engine).processes.release("x", NEW, "x@1")
    with pytest.raises(ConfigError, match=why):
        resolve(Store(data), "x", engine, NEW)


def test_a_release_is_found_by_what_one_calls_it(data: Path) -> None:
    store = Store(data)
    for name in (NEW, NEW[:7], "main"):
        assert resolve(store, "x", qwen(), name) == NEW
    image = server(command=IMAGE, revision="v1")
    for tag in ("v0.2", "latest-cu129", "nightly@sha256:00ff"):
        assert resolve(store, "x", image, tag) == tag
    for tag in ("", "-v1", "v 1", "v1;ls", "x" * 201):
        with pytest.raises(ConfigError, match="is no release"):
            resolve(store, "x", image, tag)
    check_promotable("x", image)


STANDINGS: Mapping[str, tuple[EngineSettings, str, str, str]] = {
    "embedded": (EngineSettings(kind="reader"), "", "", "comes with Sampan"),
    "attached": (EngineSettings(kind="server", url="http://h:1"), "", "", "somebody else's"),
    "newest": (qwen(), "", NEW, NEW),
    "configured": (qwen(revision=OLD[:8]), "", OLD, OLD),
    "promoted": (qwen(), OLD, OLD, OLD),
    "gone": (qwen(), "c" * 40, "", f"{'c' * 40}, which is not here"),
    "never": (qwen(model="a/b"), "", "", "not fetched"),
    "folder": (qwen(model="."), "", "", "a folder"),
    "tag": (server(command=IMAGE, revision="v1"), "", "v1", "v1"),
    "promoted tag": (server(command=IMAGE, revision="v1"), "v2", "v2", "v2"),
    "named": (server(model="a/b"), "", AS_NAMED, "as its server finds it"),
    "named again": (server(), AS_NAMED, AS_NAMED, "as its server finds it"),
    "fixed": (server(command=["serve", "{port}"]), "", AS_NAMED, "as its server finds it"),
}


@pytest.mark.parametrize("name", STANDINGS)
def test_what_is_in_force(data: Path, name: str) -> None:
    engine, pinned, revision, words = STANDINGS[name]
    assert loads(Store(data), engine, pinned) == revision
    assert in_words(Store(data), engine, pinned) == words


def test_an_address_is_filled_in_and_other_braces_stay() -> None:
    assert (
        Address("127.0.0.1", 9, None).put_into("{listen} {host} {port} {other} {}")
        == "127.0.0.1:9 127.0.0.1 9 {other} {}"
    )
    assert Address("::1", 9, None).put_into("{listen}") == "[::1]:9"


def test_a_url_is_an_address() -> None:
    assert reach("http://gpu.lan:8001/v1") == Address("gpu.lan", 8001, None)
    assert reach("http://[::1]") == Address("::1", 80, None)
    for wrong in ("https://h:1", "h:1", "http://", "http://h:99999", "http://h:0", "http://[::1"):
        with pytest.raises(ConfigError, match="no http://HOST:PORT"):
            reach(wrong)


def test_a_server_that_knows_nothing_of_shared_ports_gets_into_the_one_held_for_it() -> None:
    ours, theirs = reserve(""), reserve("", others=True)
    assert ours.held is not None and theirs.held is not None
    with ours.held, theirs.held, socket.socket() as plain, socket.socket() as refused:
        for each in (plain, refused):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plain.bind((theirs.host, theirs.port))
        plain.listen()
        with pytest.raises(OSError, match="in use"):
            refused.bind((ours.host, ours.port))
        with pytest.raises(ConfigError, match="cannot listen on"):
            reserve(theirs.listen, others=True)
    named = reserve(theirs.listen, others=True)  # whoever names a port holds it himself
    assert (named.port, named.held) == (theirs.port, None)


def test_what_an_engine_speaks() -> None:
    assert (server().speaks, qwen().speaks) == (Dialect.OPENAI_CHAT, Dialect.ANTHROPIC)
    assert server(dialect=Dialect.OPENAI_EMBEDDINGS).speaks is Dialect.OPENAI_EMBEDDINGS
