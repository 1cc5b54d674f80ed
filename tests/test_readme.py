"""What the READMEs show is run as a new user would: pasted, against `sampan serve` on its embedded defaults."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.en.md")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL and the first key that a fresh start prints, once it says that it is ready."""
    folder = tmp_path_factory.mktemp("readme")
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


@pytest.mark.parametrize("name", READMES)
def test_links_lead_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text()):
        assert (ROOT / link).exists(), link


def test_the_commands_are_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in READMES:
        for target in set(re.findall(r"make ([a-z]+)", (ROOT / name).read_text())):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
