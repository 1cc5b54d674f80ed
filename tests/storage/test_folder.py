from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from sampan.storage.folder import FolderStore

DATA = b"a picture"
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


async def test_only_the_owner_may_read_what_is_kept(store: FolderStore, tmp_path: Path) -> None:
    await store.put(NAME, DATA, "image/png")
    path = tmp_path / NAME[:2] / NAME
    assert path.read_bytes() == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_put_that_fails_leaves_no_half_file(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / NAME[:2]).write_bytes(b"a file where the folder is to be")
    with pytest.raises(Exception, match="exist"):
        await store.put(NAME, DATA, "image/png")
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_what_a_dead_process_left_half_written_is_removed_when_it_is_old(
    store: FolderStore, tmp_path: Path
) -> None:
    for name in ("half", "fresh"):
        (tmp_path / "incoming" / name).write_bytes(b"being written")
    os.utime(tmp_path / "incoming" / "half", (1000, 1000))
    await store.tidy(2000)
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["fresh"]


async def test_files_of_others_are_not_ours(store: FolderStore, tmp_path: Path) -> None:
    await store.put(NAME, DATA, "image/png")
    (tmp_path / "README").write_bytes(b"somebody's own file")
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / NAME).write_bytes(b"in the wrong folder")
    (tmp_path / NAME[:2] / "notes.txt").write_bytes(b"no name of an object")
    assert [each.sha256 async for each in store.walk()] == [NAME]


async def test_a_folder_that_is_gone_is_found_out(store: FolderStore, tmp_path: Path) -> None:
    await store.check()
    (tmp_path / "incoming").rmdir()
    with pytest.raises(OSError):
        await store.check()


def test_a_folder_gives_no_links(store: FolderStore) -> None:
    assert store.link(NAME, 60) == ""
