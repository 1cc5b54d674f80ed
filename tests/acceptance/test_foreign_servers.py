"""Servers of others as engines: llama.cpp's own, started by a command, and one that somebody else runs and stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_model
from gateway import QUICK, SOON, Gateway, eventually, is_alive, route

HERE = Path(__file__).parent
FAKE = HERE.parent / "fake_chat_server.py"
TALK = '"text", "vision"'


class Neighbour:
    """A chat server that its owner starts and stops as he likes, always on the same port."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def come(self) -> None:
        command = [sys.executable, "-S", "-E", str(FAKE), "--port", str(self.port), "--release", "hello"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def go(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(SOON)


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Neighbour]:
    made = Neighbour()
    made.come()
    yield made
    made.go()


@pytest.fixture(scope="module")
def house(neighbour: Neighbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("foreign")
    tiny_model.write(folder / "tiny.gguf")
    command = [sys.executable, str(HERE / "llama_command.py"), "{model}", "{port}"]
    config = f'[engines.llama]\nkind = "server"\nserver = "llama.cpp"\nmodel = "{folder / "tiny.gguf"}"\n'
    config += f"command = {command!r}\n"
    config += f'[engines.neighbour]\nkind = "server"\nurl = "http://127.0.0.1:{neighbour.port}"\n'
    config += route("llama", TALK, "llama") + route("*", TALK, "neighbour", "llama")
    with Gateway(folder, QUICK + config) as gateway:
        gateway.wait_ready(60)
        yield gateway
    assert not [pid for pid in llamas(gateway) if is_alive(pid)]


def llamas(gateway: Gateway) -> list[int]:
    """Processes of llama.cpp below the gateway: children of the leash."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    mine = [line.split() for line in listed.splitlines() if "llama_command.py" in line and str(gateway.folder) in line]
    return [int(words[0]) for words in mine if "sampan.engines.leash" not in words]


def ask(gateway: Gateway, model: str, *, stream: bool = False) -> str:
    facts: dict[str, Any] = {
        "model": model,
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "Who are you?"}],
    }
    client = gateway.anthropic()
    if stream:
        with client.messages.stream(**facts) as answer:
            [block] = answer.get_final_message().content
    else:
        [block] = client.messages.create(**facts).content
    assert block.type == "text"
    return block.text


def state(gateway: Gateway, engine: str) -> str:
    return str(gateway.http("GET", "/ready", key=None).json["engines"][engine]["state"])


def test_llama_cpp_is_started_warmed_up_and_asked(house: Gateway) -> None:
    assert ask(house, "llama") and ask(house, "llama", stream=True)
    assert "llama.cpp listens on" in house.log
    assert len(llamas(house)) == 1
    checked = house.verb("check")
    assert re.search(r"llama .*as its server", checked.stdout), checked.stdout


def test_llama_cpp_is_started_again_after_a_crash(house: Gateway) -> None:
    [pid] = llamas(house)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: house.http("GET", "/ready", key=None).json["engines"]["llama"]["restarts"] == 1)
    house.wait_ready(60)
    assert ask(house, "llama")
    assert llamas(house) != [pid]


def test_it_has_no_releases_to_promote(house: Gateway) -> None:
    refused = house.verb("models", "promote", "neighbour", "v2")
    assert refused.returncode == 1
    assert "run by somebody else" in refused.stderr


def test_a_neighbour_goes_away_and_comes_back(house: Gateway, neighbour: Neighbour) -> None:
    assert ask(house, "any").startswith("hello w1")
    neighbour.go()
    for stream in (False, True, False):
        assert "w1" not in ask(house, "any", stream=stream).split()  # another answers, at once
    eventually(lambda: state(house, "neighbour") != "warm", what="its engine to be seen as away")
    assert house.http("GET", "/ready", key=None).status == 503
    neighbour.come()
    house.wait_ready(60)
    assert eventually(lambda: ask(house, "any").startswith("hello w1"))
