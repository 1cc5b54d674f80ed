"""What the READMEs show is run as a new user would: pasted, against `sampan serve` on its embedded defaults."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.en.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """The URL and the first key that a fresh start prints, once it says that it is ready."""
    (folder / "sampan.toml").write_text('[server]\nlisten = "127.0.0.1:0"\n')
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    server = subprocess.Popen(
        [sys.executable, "-m", "sampan", "serve"], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if line.startswith("Ready"):
                break
        url, key = re.search(r"URL: +(\S+)", said), re.search(r"Admin key: +(\S+)", said)
        assert url and key, said
        yield url[1], key[1]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_the_examples_answer_when_pasted(name: str, served: tuple[str, str]) -> None:
    url, key = served
    talk, draw = blocks(name)
    said = []
    for block in (talk, draw):
        assert len(block.strip().splitlines()) <= 10
        code = block.replace("http://127.0.0.1:8000", url)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "SAMPAN_API_KEY": key},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(done.stdout)
    assert "2024年6月22日" in said[0]
    assert "163,149.00" in said[0]
    link = said[1].strip().splitlines()[-1]
    assert link.startswith(f"{url}/artifacts/")
    with urlopen(link) as picture:
        assert picture.read(8) == b"\x89PNG\r\n\x1a\n"


def commands(name: str) -> list[list[str]]:
    """What is to be typed beside a running gateway."""
    typed = re.findall(r"^\.venv/bin/sampan (.+)$", (ROOT / name).read_text(), re.MULTILINE)
    return [shlex.split(each) for each in typed]


def ask_for(pictures: int, key: str, url: str) -> int:
    body = json.dumps({"model": "chatgpt-image-latest", "prompt": "a red cat", "n": pictures}).encode()
    head = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    try:
        with urlopen(Request(f"{url}/v1/images/generations", body, head)) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code


def test_the_verbs_do_what_is_said_beside_a_running_gateway(served: tuple[str, str], folder: Path) -> None:
    said = {}
    assert len(commands("README.md")) >= 10
    assert commands("README.md") == commands("README.en.md")
    for words in commands("README.md"):
        order = [sys.executable, "-m", "sampan", *words]
        done = subprocess.run(order, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        said[" ".join(words[:2])] = done.stdout
    assert "It may go to: reader (local)\n" in said["policy explain"]
    assert said["audit verify"].endswith("Nothing was changed.\n")
    assert zipfile.is_zipfile(folder / "sampan-backup.zip")
    key = said["key create"].strip()
    assert [ask_for(pictures, key, served[0]) for pictures in (1, 10)] == [200, 429]


@pytest.mark.parametrize("name", READMES)
def test_links_lead_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text()):
        assert (ROOT / link).exists(), link


def test_the_commands_are_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in READMES:
        for target in set(re.findall(r"make ([a-z]+)", (ROOT / name).read_text())):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
