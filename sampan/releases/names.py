"""What models, revisions and files may be called: nothing that leads out of the folder of models."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sampan.errors import ConfigError
from sampan.releases.install import is_plain

RELEASE_FILE = "release.json"
PART = ".part"
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+/-]{0,126}[A-Za-z0-9])?")


class ReleaseError(ConfigError):
    """A model cannot be fetched, found or trusted; the message says why, and what to do."""


def check_name(name: str) -> str:
    """`owner/name`, or `name` alone, as hubs have them. Raises `ReleaseError`.

    No part has `--` or `..` in it: on disk the parts are joined with `--`, and no two models share a folder.
    """
    parts = name.split("/")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) and "--" not in part and ".." not in part for part in parts):
        raise ReleaseError(
            f"{name!r} is no name of a model. One is OWNER/NAME, such as Qwen/Qwen2.5-VL-7B-Instruct: letters, digits, "
            "`_`, `.` and `-`, without `--` or `..`, 96 signs at most each."
        )
    return name


def folder_of(name: str) -> str:
    """`Qwen/Qwen-Image` → `Qwen--Qwen-Image`. Raises `ReleaseError`."""
    return check_name(name).replace("/", "--")


def check_revision(revision: str) -> str:
    """A commit, tag or branch as one asks for it. Raises `ReleaseError`."""
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision:
        raise ReleaseError(
            f"{revision!r} is no revision. One is a commit, a tag or a branch: letters, digits, `.`, `_`, `+`, `-` and "
            "`/`, 128 signs at most."
        )
    return revision


def check_pin(revision: str) -> str:
    """A revision as it names a folder: no `/`. Raises `ReleaseError`."""
    if "/" in check_revision(revision):
        raise ReleaseError(
            f"{revision!r} is a branch or a tag, not a pinned revision: `sampan models list` shows those"
        )
    return revision


def check_path(path: str) -> str:
    """The path of a file in a release. Raises `ReleaseError` for one that is not plain, or that is ours."""
    if not is_plain(path) or path == RELEASE_FILE or path.endswith((PART, f"{PART}.etag")):
        raise ReleaseError(
            f"{path!r} is no path that a file of a model may have: relative, without `..`, backslashes, colons or "
            f"invisible signs, 1024 bytes at most, neither {RELEASE_FILE} nor ending in {PART}"
        )
    return path


def check_paths(paths: Iterable[str]) -> None:
    """All files of a release. Raises `ReleaseError`; also where two would be in each other's place."""
    seen: set[str] = set()
    for path in paths:
        if check_path(path) in seen:
            raise ReleaseError(f"{path!r} is listed twice")
        seen.add(path)
    for path in seen:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in seen:
                raise ReleaseError(f"{path!r} is listed below {'/'.join(parts[:depth])!r}, which is a file")
