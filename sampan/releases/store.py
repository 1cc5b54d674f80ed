"""Releases on disk: `<data>/models/<owner>--<name>/<revision>/`, the files of a checkpoint and a `release.json`.

`release.json` is written last and in one step, so a release is whole or it is not there. Nothing here asks a network.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sampan.releases.names import (
    PART,
    RELEASE_FILE,
    ReleaseError,
    check_name,
    check_paths,
    check_pin,
    check_revision,
    folder_of,
)
from sampan.storage.db import make_folder

CHUNK = 1 << 20
_SHORTEST = 7  # letters of a commit that are enough to mean it


class ReleaseFile(msgspec.Struct, frozen=True):
    """One file: its path below the release, `size` in bytes, `sha256` in hexadecimal (empty: not known yet)."""

    path: str
    size: int
    sha256: str = ""


class Facts(msgspec.Struct, frozen=True):
    """What `release.json` holds. `fetched` is in Unix seconds; `asked` is the branch or tag that led to `revision`.

    `source` is `huggingface`, `modelscope` or `folder`; `whole` is False while files are still arriving.
    """

    name: str
    revision: str
    source: str
    files: list[ReleaseFile]
    fetched: float = 0.0
    asked: str = ""
    licence: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """One revision of one model in `folder`."""

    facts: Facts
    folder: Path

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def revision(self) -> str:
        return self.facts.revision

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.facts.files)


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with one file of a release, in words."""

    path: str
    what: str


class Store:
    """The releases below `<data>/models`. Every method blocks; several processes may use it at once."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "models"

    def find(self, name: str, revision: str = "") -> Release:
        """The release that a configuration means. Raises `ReleaseError` where there is no whole one.

        Without a revision: the newest that was fetched. A revision is one as `list` shows it, the branch or tag that
        was asked for (the newest of those), or the first 7 signs or more of a commit.
        """
        whole = [release for release in self._of(name) if release.facts.whole]
        if not whole:
            raise ReleaseError(f"The model {name} is not here: `sampan models fetch {name}` fetches it.")
        if not revision:
            return whole[0]
        check_revision(revision)
        exact = [release for release in whole if release.revision == revision]
        asked = [release for release in whole if release.facts.asked == revision]
        short = [release for release in whole if release.revision.startswith(revision)]
        if exact or asked:
            return (exact or asked)[0]
        if len(short) == 1 and len(revision) >= _SHORTEST:
            return short[0]
        known = ", ".join(release.revision for release in whole)
        raise ReleaseError(
            f"The model {name} is not here at revision {revision}: `sampan models fetch {name} --revision {revision}` "
            f"fetches it. Here are: {known}"
        )

    def list(self) -> Sequence[Release]:
        """All releases, those too that are not whole yet; by name, the newest first."""
        folders = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return [release for folder in folders if _is_folder(folder) for release in self._in(folder)]

    def remove(self, release: Release) -> int:
        """Takes a release away and returns the bytes of its files. Raises `ReleaseError` while it is being fetched."""
        with self.lock(release.name, release.revision):
            # First it is no release any more: what dies half way leaves nothing that looks whole.
            (release.folder / RELEASE_FILE).unlink(missing_ok=True)
            shutil.rmtree(release.folder, ignore_errors=True)
        with suppress(OSError):
            self._lock_file(release.name, release.revision).unlink()
            release.folder.parent.rmdir()
        return release.size

    def verify(self, release: Release, jobs: int, told: Callable[[str, int], None]) -> Sequence[Damage]:
        """Hashes every file again, `jobs` at once; `told` gets a path and how many bytes more of it were read.

        A file that is not in `release.json` is damage too: the libraries load what they find in a folder.
        """
        with ThreadPoolExecutor(jobs) as pool:
            found = pool.map(lambda file: _check(release.folder, file, told), release.facts.files)
            damages = [damage for damage in found if damage is not None]
        known = {file.path for file in release.facts.files} | {RELEASE_FILE}
        for path in walk(release.folder):
            if path not in known and not path.endswith((PART, f"{PART}.etag")):
                damages.append(Damage(path, "is not part of this release"))
        return damages

    def place(self, name: str, revision: str) -> Path:
        """The folder of a release, made if it is not there. Raises `ReleaseError` where a link stands in the way."""
        folder = self._model(name) / check_pin(revision)
        for each in (self.folder, folder.parent, folder):
            if each.is_symlink() and each != self.folder:
                raise ReleaseError(f"{each} is a link: releases are kept in folders of their own")
            make_folder(each)
        return folder

    def note(self, facts: Facts) -> Release:
        """Writes `release.json`, in one step. Files are named in it as `names.check_paths` wants them."""
        check_paths(file.path for file in facts.files)
        folder = self.place(facts.name, facts.revision)
        data = msgspec.json.format(msgspec.json.encode(facts), indent=1)
        _write(folder / RELEASE_FILE, data)
        return Release(facts, folder)

    def read(self, name: str, revision: str) -> Release | None:
        """What `release.json` says, whole or not, or None where there is none that can be read."""
        return read_release(self._model(name) / check_pin(revision))

    @contextmanager
    def lock(self, name: str, revision: str) -> Iterator[None]:
        """Nobody else fetches or removes this release meanwhile. Raises `ReleaseError` where somebody does."""
        make_folder(self._model(name))
        with self._lock_file(name, revision).open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ReleaseError(f"Another process is fetching {name} at {revision}: wait for it.") from None
            yield

    def _model(self, name: str) -> Path:
        return self.folder / folder_of(name)

    def _lock_file(self, name: str, revision: str) -> Path:
        return self._model(name) / f".{check_pin(revision)}.lock"

    def _of(self, name: str) -> Sequence[Release]:
        return [release for release in self._in(self._model(name)) if release.name == name]

    def _in(self, folder: Path) -> Sequence[Release]:
        """The releases in the folder of a model, the newest first; what is not as we write it is none."""
        found = []
        for place in sorted(folder.iterdir()) if _is_folder(folder) else []:
            release = read_release(place) if _is_folder(place) else None
            if release is not None and release.revision == place.name and folder_of(release.name) == folder.name:
                found.append(release)
        return sorted(found, key=lambda release: release.facts.fetched, reverse=True)


def read_release(folder: Path) -> Release | None:
    """The release in any folder, if there is a `release.json` of ours that can be trusted to name plain paths only."""
    try:
        facts = msgspec.json.decode((folder / RELEASE_FILE).read_bytes(), type=Facts)
        check_name(facts.name)
        check_pin(facts.revision)
        check_paths(file.path for file in facts.files)
    except (OSError, msgspec.MsgspecError, ReleaseError, UnicodeDecodeError):
        return None
    return Release(facts, folder)


def walk(folder: Path) -> Iterator[str]:
    """Paths of everything below a folder that is no folder, sorted; links are not followed."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        here = Path(root)
        names = files + [name for name in folders if (here / name).is_symlink()]
        yield from sorted((here / name).relative_to(folder).as_posix() for name in names)


def hash_file(path: Path, told: Callable[[int], None] = lambda _: None) -> str:
    """The sha256 of a file, read in pieces; `told` gets the bytes of each."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            told(len(piece))
    return digest.hexdigest()


def find_licence(folder: Path) -> str:
    """What the front matter of README.md says (`license: apache-2.0`), or nothing.

    Hubs' model cards begin with YAML between two lines of `---`; one's own licence is `other` with a `license_name`.
    """
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 16)
    except OSError:
        return ""
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    facts: Mapping[str, str] = (
        dict(re.findall(r"^(license|license_name):[ \t]*(\S.*?)[ \t]*$", front[1], re.M)) if front else {}
    )
    named = facts.get("license", "").strip("\"'")
    return facts.get("license_name", named).strip("\"'") if named in ("", "other") else named


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _check(folder: Path, file: ReleaseFile, told: Callable[[str, int], None]) -> Damage | None:
    path = folder / file.path
    try:
        if path.is_symlink() or not path.is_file():
            return Damage(file.path, "is a link, not a file" if path.is_symlink() else "is missing")
        if (size := path.stat().st_size) != file.size:
            return Damage(file.path, f"has {size} bytes instead of {file.size}")
        found = hash_file(path, lambda count: told(file.path, count))
    except OSError as error:
        return Damage(file.path, f"cannot be read: {error.strerror}")
    return None if found == file.sha256 else Damage(file.path, "is not the file that was fetched: its sha256 differs")


def _write(path: Path, data: bytes) -> None:
    """In one step, and on the disk before it counts."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise ReleaseError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
