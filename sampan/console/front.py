"""The web console's files: built from `console/` by the package's build hook, and handed to browsers from memory."""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sampan.core import Answer, Incoming

SITE = Path(__file__).parent / "site"
ROOT = "/console/"
NONCE = b"__NONCE__"
"""What stands in the page where a word of each answer's own is put: see `html.cspNonce` in console/vite.config.ts."""

_READING = ("GET", "HEAD")
_JSON = ("content-type", "application/json")
_CODINGS = (("br", ".br"), ("gzip", ".gz"))
_FOREVER = "public, max-age=31536000, immutable"
"""Files below `assets/` are named by their content."""

_UNBUILT = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Sampan</title>
<p lang="zh-CN">网关在运行,但这份源码还没有构建控制台:请运行 <code>make console</code>(需要能访问 npm),
或安装发布的 wheel。</p>
<p lang="en">The gateway runs, but the console of this checkout is not built: run <code>make console</code> (it needs
npm's packages), or install a released wheel.</p></html>"""


@dataclass(frozen=True, slots=True)
class _File:
    """One file, plain and as compressed as the build made it."""

    headers: tuple[tuple[str, str], ...]
    plain: bytes
    packed: Mapping[str, bytes]


class Front:
    """A `Foyer`: strangers may open it, for the page that asks them to sign in is in it.

    `pictures` are origins beside ours that pictures may come from: an object store that gives links of its own.
    """

    def __init__(self, version: str, site: Path = SITE, pictures: Sequence[str] = ()) -> None:
        """Blocks: reads all files, about a megabyte."""
        self._version = version
        index = site / "index.html"
        self._index = index.read_bytes() if index.is_file() else b""
        self._files = {ROOT + name: _read(site / name) for name in _names(site)} if self._index else {}
        self._images = " ".join(("'self'", "data:", "blob:", *pictures))

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these files."""
        return _READING if path == "/" or path in self._files else ()

    async def handle(self, incoming: Incoming) -> Answer:
        """Answers whoever asks: nobody has to be known here."""
        if incoming.path == "/":
            return self._page() if _is_browser(incoming) else self._card()
        file = self._files[incoming.path]
        accepted = incoming.headers.get("accept-encoding", "")
        for coding, data in file.packed.items():
            if coding in accepted:
                return Answer(200, (*file.headers, ("content-encoding", coding)), data)
        return Answer(200, file.headers, file.plain)

    def _card(self) -> Answer:
        """What this is, for programs."""
        said = {"name": "Sampan", "version": self._version, "ready": "/ready", "models": "/v1/models"}
        return Answer(200, (_JSON, ("vary", "accept")), msgspec.json.encode(said))

    def _page(self) -> Answer:
        nonce = secrets.token_urlsafe(18)
        # A script runs and a style applies only where it came from here, and is named by the page itself.
        policy = (
            f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src {self._images}; "
            "font-src 'self'; connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; object-src 'none'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        headers = (
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", policy),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),  # its word is good once
            ("vary", "accept"),
        )
        page = self._index.replace(NONCE, nonce.encode()) if self._index else _UNBUILT.encode()
        return Answer(200, headers, page)


def _is_browser(incoming: Incoming) -> bool:
    return "text/html" in incoming.headers.get("accept", "")


def _names(site: Path) -> list[str]:
    found = (path.relative_to(site).as_posix() for path in sorted(site.rglob("*")) if path.is_file())
    return [name for name in found if not name.endswith((".br", ".gz")) and name != "index.html"]


def _read(path: Path) -> _File:
    packed = {
        coding: path.with_name(path.name + suffix).read_bytes()
        for coding, suffix in _CODINGS
        if path.with_name(path.name + suffix).is_file()
    }
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    kept = _FOREVER if path.parent.name == "assets" else "public, max-age=3600"
    charset = "; charset=utf-8" if kind.startswith("text/") else ""
    headers = [("content-type", kind + charset), ("cache-control", kept)]
    if packed:
        headers.append(("vary", "accept-encoding"))
    return _File(tuple(headers), path.read_bytes(), packed)
