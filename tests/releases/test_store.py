"""Releases on disk: names that lead nowhere else, what `find` finds, and what `verify` sees."""

from __future__ import annotations

import hashlib
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sampan.releases.install import is_plain
from sampan.releases.names import ReleaseError, check_name, check_paths, check_pin, check_revision, folder_of
from sampan.releases.store import Facts, Release, ReleaseFile, Store, find_licence, read_release, walk

FILES = {"config.json": b"{}", "unet/model.safetensors": b"weights" * 1000, "空 格.txt": b""}


def keep(
    store: Store, revision: str = "aaaaaaa1", fetched: float = 1.0, asked: str = "main", name: str = "Qwen/Tiny"
) -> Release:
    """A whole release, as a fetch leaves it."""
    folder = store.place(name, revision)
    listed = []
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        listed.append(ReleaseFile(path, len(data), hashlib.sha256(data).hexdigest()))
    return store.note(Facts(name, revision, "huggingface", listed, fetched, asked, "", whole=True))


def damages(store: Store, release: Release) -> dict[str, str]:
    return {each.path: each.what for each in store.verify(release, 2, lambda path, count: None)}


@given(st.text(max_size=40))
@example("Qwen/Qwen2.5-VL-7B-Instruct")
@example("../x")
@example("a/../b")
@example("a--b/c")
@example("gpt2")
def test_a_name_is_a_folder_below_the_models_or_it_is_refused(name: str) -> None:
    try:
        folder = folder_of(name)
    except ReleaseError as error:
        assert "is no name of a model" in str(error)
        return
    assert Path(folder).name == folder and folder not in (".", "..") and not folder.startswith(".")
    assert folder.replace("--", "/") == name
    assert set(folder) <= set(string.ascii_letters + string.digits + "._-")


@given(st.lists(st.from_regex(r"[A-Za-z0-9._-]{1,9}(/[A-Za-z0-9._-]{1,9})?", fullmatch=True), min_size=2, unique=True))
def test_no_two_names_share_a_folder(names: list[str]) -> None:
    folders = []
    for name in names:
        try:
            folders.append(folder_of(name))
        except ReleaseError:
            continue
    assert len(set(folders)) == len(folders)


@given(st.text(max_size=60))
@example("main")
@example("refs/pr/1")
@example("a/../../b")
def test_a_pinned_revision_is_one_part_of_a_path(revision: str) -> None:
    try:
        check_pin(revision)
    except ReleaseError:
        return
    assert Path(revision).parts == (revision,) and revision not in (".", "..") and not revision.startswith(".")


ODD = st.sampled_from(
    ["..", ".", "", "a", "b c", " a", "a\\b", "a:b", "a\u200bb", "a\u202eb", "e\u0301", "词", "a\x00", "\ud800"]
)


@given(st.lists(ODD, min_size=1, max_size=5).map("/".join) | st.text(max_size=30))
@example("/etc/passwd")
@example("a/" * 600 + "a")
@example("a" * 201)
def test_a_plain_path_stays_below_its_folder(path: str) -> None:
    if not is_plain(path):
        return
    assert not path.startswith("/") and all(part not in ("", ".", "..") for part in path.split("/"))
    assert Path("/release", path).resolve().is_relative_to("/release")
    assert unicodedata.normalize("NFC", path) == path and path.isprintable() and len(path.encode()) <= 1024
    assert "\\" not in path and ":" not in path


@pytest.mark.parametrize(
    "path", ["a/b.txt", "分词/词表.txt", "Füße.md", "a b.json", "LICENSE", "日本語/é.txt", "emoji😀.txt"]
)
def test_usual_paths_are_plain(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["a", "a"], "twice"),
        (["a/b", "a"], "which is a file"),
        (["release.json"], "release.json"),
        (["x.part"], ".part"),
        (["x.part.etag"], ".part"),
        (["../x"], "no path"),
    ],
)
def test_files_cannot_be_in_each_others_place(paths: list[str], said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        check_paths(paths)


def test_branches_may_have_slashes_and_pins_not() -> None:
    assert check_revision("refs/pr/1") == "refs/pr/1"
    with pytest.raises(ReleaseError, match="not a pinned revision"):
        check_pin("refs/pr/1")


def test_find_takes_the_newest_whole_one_a_branch_or_the_beginning_of_a_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ReleaseError, match="`sampan models fetch Qwen/Tiny`"):
        store.find("Qwen/Tiny")
    keep(store, "aaaaaaa1", 1.0)
    keep(store, "bbbbbbb2", 2.0)
    keep(store, "ccccccc3", 3.0, asked="v2")
    store.note(Facts("Qwen/Tiny", "ddddddd4", "huggingface", [], 4.0, whole=False))
    assert store.find("Qwen/Tiny").revision == "ccccccc3"
    assert store.find("Qwen/Tiny", "aaaaaaa1").revision == "aaaaaaa1"
    assert store.find("Qwen/Tiny", "main").revision == "bbbbbbb2"
    assert store.find("Qwen/Tiny", "aaaaaaa").revision == "aaaaaaa1"
    for wrong in ("aaaaaa", "ddddddd4", "v3"):
        with pytest.raises(ReleaseError, match="Here are: ccccccc3, bbbbbbb2, aaaaaaa1"):
            store.find("Qwen/Tiny", wrong)
    assert [(each.revision, each.facts.whole) for each in store.list()] == [
        ("ddddddd4", False),
        ("ccccccc3", True),
        ("bbbbbbb2", True),
        ("aaaaaaa1", True),
    ]


def test_a_removed_release_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = keep(store, "aaaaaaa1", 1.0)
    keep(store, "bbbbbbb2", 2.0)
    assert store.remove(old) == sum(len(data) for data in FILES.values())
    assert [each.revision for each in store.list()] == ["bbbbbbb2"]
    store.remove(store.find("Qwen/Tiny"))
    assert list((tmp_path / "models").iterdir()) == []


def test_verify_sees_every_kind_of_damage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    release = keep(store)
    assert damages(store, release) == {}
    weights = release.folder / "unet" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[3500] ^= 1
    weights.write_bytes(data)
    (release.folder / "evil.py").write_text("import os")
    (release.folder / "config.json").unlink()
    (release.folder / "config.json").symlink_to("/etc/hostname")
    (release.folder / "空 格.txt").unlink()
    found = damages(store, release)
    assert found["unet/model.safetensors"].startswith("is not the file that was fetched")
    assert found["evil.py"] == "is not part of this release"
    assert found["config.json"] == "is a link, not a file"
    assert found["空 格.txt"] == "is missing"
    weights.write_bytes(b"")
    assert damages(store, release)["unet/model.safetensors"] == "has 0 bytes instead of 7000"


def test_what_was_not_written_by_us_is_no_release(tmp_path: Path) -> None:
    store = Store(tmp_path)
    good = keep(store)
    elsewhere = tmp_path / "models" / "Qwen--Tiny" / "bbbbbbb2"
    elsewhere.mkdir()
    text = (good.folder / "release.json").read_text()
    for bad in (text, text.replace("aaaaaaa1", "bbbbbbb2").replace("config.json", "../config.json"), "{", "[]"):
        (elsewhere / "release.json").write_text(bad)
        assert [each.revision for each in store.list()] == ["aaaaaaa1"]
    (elsewhere / "release.json").unlink()
    elsewhere.rmdir()
    elsewhere.symlink_to(good.folder)
    assert [each.revision for each in store.list()] == ["aaaaaaa1"]
    with pytest.raises(ReleaseError, match="is a link"):
        store.place("Qwen/Tiny", "bbbbbbb2")
    with pytest.raises(ReleaseError, match="no name of a model"):
        store.find("../Qwen")


def test_two_do_not_fetch_the_same_release(tmp_path: Path) -> None:
    store = Store(tmp_path)
    release = keep(store)
    with store.lock("Qwen/Tiny", "aaaaaaa1"):
        with pytest.raises(ReleaseError, match="Another process"):
            Store(tmp_path).remove(release)
        with store.lock("Qwen/Tiny", "bbbbbbb2"):
            pass
    assert read_release(release.folder) == release


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\ntags: [a]\nlicense: 'mit'\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
        ("---\nlicense: other\n---\n", "other"),
        ("# license: mit\n", ""),
        ("", ""),
    ],
)
def test_the_licence_is_what_the_model_card_says(tmp_path: Path, text: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(text)
    assert find_licence(tmp_path) == licence
    assert list(walk(tmp_path)) == ["README.md"]


def test_names_of_models_are_said_back(tmp_path: Path) -> None:
    assert check_name("Qwen/Qwen-Image") == "Qwen/Qwen-Image"
    with pytest.raises(ReleaseError, match="OWNER/NAME"):
        check_name("Qwen/Image/extra")
