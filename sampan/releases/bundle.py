"""One signed file with releases, and Sampan itself if wished, for a machine without a network.

A bundle is a tar file in the canonical form of `install`: `install.py`, `manifest.json`, `manifest.sig`, then what the
manifest lists. It is written in one pass and never held in memory; what is in a release is hashed once more on its way.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from sampan import __version__
from sampan.releases import install
from sampan.releases.install import Bundle, Member, Refused, in_words
from sampan.releases.names import RELEASE_FILE, ReleaseError, folder_of
from sampan.releases.progress import Watch
from sampan.releases.signing import Signer
from sampan.releases.store import Release, Store, hash_file
from sampan.releases.wheels import requirements


@dataclass(frozen=True, slots=True)
class Item:
    """A member and where its bytes come from."""

    member: Member
    source: Path | bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")


@dataclass(frozen=True, slots=True)
class Made:
    """A finished bundle: `script` is the sha256 of its install.py, `public` the key to trust, both in hexadecimal."""

    file: Path
    size: int
    script: str
    public: str


def list_items(releases: Sequence[Release], wheels: Sequence[Path]) -> list[Item]:
    """What a bundle holds beside its first three members. Raises `ReleaseError` for a release that is not whole."""
    items = []
    for wheel in wheels:
        member = Member(f"{install.WHEELS}/{wheel.name}", wheel.stat().st_size, hash_file(wheel))
        items.append(Item(member, wheel))
    if wheels:
        items.append(_item(install.REQUIREMENTS, requirements(wheels).encode()))
    for release in releases:
        if not release.facts.whole:
            raise ReleaseError(f"{release.name} at {release.revision} is not whole: fetch it first")
        place = f"{install.MODELS}/{folder_of(release.name)}/{release.revision}"
        for file in release.facts.files:
            items.append(Item(Member(f"{place}/{file.path}", file.size, file.sha256), release.folder / file.path))
        items.append(_item(f"{place}/{RELEASE_FILE}", msgspec.json.encode(release.facts)))
    return items


def make(items: Sequence[Item], releases: Sequence[Release], into: Path, signer: Signer, watch: Watch) -> Made:
    """Writes the bundle `into`, in its place only once it is whole. Raises `ReleaseError`."""
    script = Path(install.__file__).read_bytes()
    manifest = _manifest(items, releases, script)
    first = ((install.SCRIPT, script), (install.MANIFEST, manifest), (install.SIGNATURE, signer.sign(manifest)))
    size = sum(item.member.size for item in items)
    watch.plan(into.name, len(items), size)
    with _writing(into, size) as file:
        for path, data in first:
            file.write(install.header(path, len(data)) + data + install.padding(len(data)))
        for item in items:
            _copy(item, file, watch)
        file.write(install.ending(file.tell()))
    return Made(into, into.stat().st_size, hashlib.sha256(script).hexdigest(), signer.public.hex())


def install_models(file: Path, store: Store, trusted: bytes, watch: Watch) -> list[Release]:
    """Takes the releases of a bundle into a store. Raises `ReleaseError`.

    All of the bundle is verified, its wheels too, before anything is in its place.
    """
    try:
        with file.open("rb") as opened, install.staging(store.folder) as staged, ExitStack() as locks:
            bundle = Bundle(opened)
            manifest = bundle.open(trusted)
            for model in manifest.models:
                locks.enter_context(store.lock(model.name, model.revision))
            watch.plan(file.name, len(manifest.members), sum(member.size for member in manifest.members))
            install.unpack(bundle, manifest, staged, partial(_tell, watch), f"{install.MODELS}/")
            install.place_models(manifest, staged, store.folder)
    except Refused as error:
        raise ReleaseError(f"{file}: {error}") from None
    except OSError as error:
        raise ReleaseError(f"{file} cannot be installed: {error.strerror}") from None
    return [store.find(model.name, model.revision) for model in manifest.models]


def _tell(watch: Watch, member: Member) -> None:
    watch.advance(member.path, member.size)
    watch.end(member.path)


def _item(path: str, data: bytes) -> Item:
    return Item(Member(path, len(data), hashlib.sha256(data).hexdigest()), data)


def _manifest(items: Sequence[Item], releases: Sequence[Release], script: bytes) -> bytes:
    raw = {
        "format": install.FORMAT,
        "sampan": __version__,
        "python": install.python(),
        "machine": install.machine(),
        "script": hashlib.sha256(script).hexdigest(),
        "models": [{"name": each.name, "revision": each.revision, "licence": each.facts.licence} for each in releases],
        "members": [{"path": m.path, "size": m.size, "sha256": m.sha256} for m in (item.member for item in items)],
    }
    data = msgspec.json.encode(raw)
    try:
        install.read_manifest(data)
    except Refused as error:
        raise ReleaseError(str(error)) from None
    return data


@contextmanager
def _writing(into: Path, size: int) -> Iterator[BinaryIO]:
    """A file that is in its place when the block ends well, and nowhere when it does not."""
    draft = into.with_name(f".{into.name}.{os.getpid()}.part")
    try:
        free = shutil.disk_usage(into.parent).free
        if size > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(into)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ReleaseError(f"The disk of {into} is full: the bundle needs {in_words(size)}.") from None
        raise ReleaseError(f"{into} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def _copy(item: Item, file: BinaryIO, watch: Watch) -> None:
    member = item.member
    file.write(install.header(member.path, member.size))
    watch.begin(member.path, member.size)
    digest = hashlib.sha256()
    with item.open() as source:
        while piece := source.read(install.CHUNK):
            digest.update(piece)
            file.write(piece)
            watch.advance(member.path, len(piece))
    if digest.hexdigest() != member.sha256:
        raise ReleaseError(f"{member.path} is damaged: `sampan models verify` says more, `fetch` mends it")
    file.write(install.padding(member.size))
    watch.end(member.path)
