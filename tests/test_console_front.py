"""The console's files as they are handed out, and what is said where they were not built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from sampan.console.front import Front
from sampan.core import Answer, Incoming

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<meta property="csp-nonce" nonce="__NONCE__"><script nonce="__NONCE__">')
    (tmp_path / "assets" / "a-1.js").write_text("console.log(1)")
    (tmp_path / "assets" / "a-1.js.gz").write_bytes(b"packed")
    (tmp_path / "icon.svg").write_text("<svg/>")
    return tmp_path


async def get(front: Front, path: str, headers: Mapping[str, str] | None = None) -> tuple[Answer, dict[str, str]]:
    assert front.methods(path) == ("GET", "HEAD")
    answer = await front.handle(Incoming("GET", path, "", dict(headers or {}), b"", ""))
    return answer, dict(answer.headers)


async def test_each_page_has_a_word_of_its_own(site: Path) -> None:
    front = Front("9.9", site, ("https://s3.example.org",))
    seen = set()
    for _ in range(3):
        answer, headers = await get(front, "/", BROWSER)
        assert isinstance(answer.body, bytes)
        nonce = answer.body.partition(b'nonce="')[2].partition(b'"')[0].decode()
        assert answer.body.count(nonce.encode()) == 2 and f"'nonce-{nonce}'" in headers["content-security-policy"]
        assert "img-src 'self' data: blob: https://s3.example.org;" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        seen.add(nonce)
    assert len(seen) == 3


async def test_programs_are_told_what_this_is(site: Path) -> None:
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        answer, told = await get(Front("9.9", site), "/", headers)
        assert isinstance(answer.body, bytes) and told["content-type"] == "application/json"
        assert msgspec.json.decode(answer.body)["name"] == "Sampan"


async def test_a_file_goes_as_the_browser_takes_it(site: Path) -> None:
    front = Front("9.9", site)
    plain, headers = await get(front, "/console/assets/a-1.js")
    assert plain.body == b"console.log(1)" and "immutable" in headers["cache-control"]
    packed, headers = await get(front, "/console/assets/a-1.js", {"accept-encoding": "gzip, deflate, br"})
    assert packed.body == b"packed" and headers["content-encoding"] == "gzip" and headers["vary"] == "accept-encoding"
    assert headers["content-type"].startswith("text/javascript")
    _, headers = await get(front, "/console/icon.svg")
    assert headers["content-type"] == "image/svg+xml" and "immutable" not in headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    ["/console/index.html", "/console/assets/a-1.js.gz", "/console/../front.py", "/console/", "/console/nothing"],
)
def test_nothing_else_is_there(site: Path, path: str) -> None:
    assert Front("9.9", site).methods(path) == ()


async def test_without_a_build_it_says_how_to_get_one(tmp_path: Path) -> None:
    front = Front("9.9", tmp_path / "none")
    answer, _ = await get(front, "/", BROWSER)
    assert isinstance(answer.body, bytes) and b"make console" in answer.body
    assert front.methods("/console/icon.svg") == ()
