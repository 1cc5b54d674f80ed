"""A model arrives whole, as it was announced, whatever happens on its way."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fake_hub import COMMIT, Cut, FakeHub, Held, Longer, OtherRange, Status, Whole, Wrong
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from release_house import House, small_model

from sampan.releases.choice import Wanted
from sampan.releases.hub import Announced, ModelScope
from sampan.releases.names import ReleaseError
from sampan.releases.part import Part
from sampan.releases.progress import Lines
from sampan.releases.store import Release, walk

FIRST = "model-00001-of-00002.safetensors"
SECOND = "model-00002-of-00002.safetensors"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(small_model()).running() as running:
        yield running


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def is_same(release: Release, hub: FakeHub) -> bool:
    """Whether a release holds what the hub has, and nothing else."""
    wanted = {path: data for path, data in hub.files.items() if not path.startswith(".")}
    found = {path: (release.folder / path).read_bytes() for path in walk(release.folder) if path != "release.json"}
    return found == wanted and release.facts.whole


def test_a_fetched_model_is_pinned_whole_and_says_where_it_is_from(hub: FakeHub, house: House) -> None:
    release = house.fetch(hub)
    assert is_same(release, hub)
    assert (release.revision, release.facts.asked, release.facts.source) == (COMMIT, "main", "huggingface")
    assert release.facts.licence == "apache-2.0"
    assert release.folder == house.store.folder / "Qwen--Tiny" / COMMIT
    assert house.store.verify(release, 2, lambda path, count: None) == []
    assert house.store.find("Qwen/Tiny", "main") == release


def test_modelscope_brings_the_same_bytes(hub: FakeHub, house: House) -> None:
    wire = house.wire()
    release = house.fetcher(wire).fetch(ModelScope(wire, hub.url, "ms-token"), "Qwen/Tiny", "", Wanted())
    assert is_same(release, hub)
    assert (release.revision, release.facts.source) == (COMMIT, "modelscope")


def test_a_token_does_not_follow_a_redirect(hub: FakeHub, house: House) -> None:
    hub.token = "hf_secret"
    house.fetch(hub, token="hf_secret")
    (large,) = hub.bytes_requests(FIRST)
    assert large.where == "cdn" and "hf_secret" not in str(large.headers)


def test_a_second_fetch_brings_nothing_but_what_was_damaged(hub: FakeHub, house: House) -> None:
    release = house.fetch(hub)
    before = len(hub.seen)
    assert house.fetch(hub) == release
    assert len(hub.seen) == before + 1  # the list
    weights = release.folder / FIRST
    weights.write_bytes(b"x" * weights.stat().st_size)
    assert is_same(house.fetch(hub), hub)
    assert len(hub.bytes_requests(FIRST)) == 2 and len(hub.bytes_requests(SECOND)) == 1
    assert f"{FIRST} is not the file that was fetched: its sha256 differs" in house.said


def test_a_cut_is_resumed_where_it_was(hub: FakeHub, house: House) -> None:
    hub.faults = {FIRST: [Cut(100), Cut(900), Status(503), Cut(0), Cut(40_000)], "config.json": [Cut(3)]}
    assert is_same(house.fetch(hub), hub)
    ranges = [seen.range for seen in hub.bytes_requests(FIRST)]
    assert ranges == ["", "bytes=100-", "bytes=1000-", "bytes=1000-", "bytes=1000-", "bytes=41000-"]
    assert [seen.range for seen in hub.bytes_requests("config.json")] == ["", "bytes=3-"]
    assert any(
        line.startswith(f"{FIRST}: it was cut after 100 bytes of 50.0 kB; tried again in") for line in house.said
    )


def test_no_progress_ends_it_and_the_same_command_goes_on(hub: FakeHub, house: House) -> None:
    hub.faults = {FIRST: [Cut(100), *[Cut(0)] * 3]}
    with pytest.raises(ReleaseError, match="The same command goes on where it was"):
        house.fetch(hub)
    with pytest.raises(ReleaseError, match="is not here"):
        house.store.find("Qwen/Tiny")
    assert [each.facts.whole for each in house.store.list()] == [False]
    hub.seen.clear()
    assert is_same(house.fetch(hub), hub)
    assert hub.bytes_requests(FIRST)[0].range == "bytes=100-"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(have=st.integers(0, 50_001), flipped=st.none() | st.integers(0, 50_000))
@example(have=0, flipped=None)
@example(have=49_999, flipped=None)
@example(have=50_000, flipped=None)
@example(have=50_000, flipped=0)
@example(have=50_001, flipped=None)
def test_it_goes_on_at_any_byte_and_never_on_top_of_a_wrong_one(hub: FakeHub, have: int, flipped: int | None) -> None:
    with TemporaryDirectory() as folder:
        house = House(Path(folder))
        hub.seen.clear()
        data = bytearray(hub.files[FIRST] + b"!")[:have]
        if flipped is not None and flipped < have:
            data[flipped] ^= 1
        part = house.store.place("Qwen/Tiny", COMMIT) / f"{FIRST}.part"
        part.write_bytes(data)
        release = house.fetch(hub, wanted=Wanted(include=(FIRST,)))
        assert (release.folder / FIRST).read_bytes() == hub.files[FIRST]
        ranges = [seen.range for seen in hub.bytes_requests(FIRST)]
        whole = len(hub.files[FIRST])
        if have > whole or have == 0:
            assert ranges == [""]
        elif flipped is None or flipped >= have:
            assert ranges == ([f"bytes={have}-"] if have < whole else [])
        else:
            assert ranges == ([f"bytes={have}-", ""] if have < whole else [""])


@pytest.mark.parametrize("fault", [Wrong(), Longer()])
def test_wrong_bytes_are_thrown_away_and_fetched_once_more(hub: FakeHub, house: House, fault: Wrong | Longer) -> None:
    hub.faults = {FIRST: [fault], "config.json": [fault]}
    assert is_same(house.fetch(hub), hub)
    said = f"{FIRST}: the file that arrived is not the one that was announced; it is thrown away and fetched once more"
    assert said in house.said


@pytest.mark.parametrize("path", [FIRST, "config.json"])
def test_bytes_that_stay_wrong_are_never_kept(hub: FakeHub, house: House, path: str) -> None:
    hub.faults = {path: [Wrong(), Wrong()]}
    with pytest.raises(
        ReleaseError, match=re.escape(f"{path}: the file that arrived is not the one that was announced")
    ):
        house.fetch(hub)
    assert not [each for each in walk(house.store.place("Qwen/Tiny", COMMIT)) if path in each]
    assert is_same(house.fetch(hub), hub)


def test_another_file_under_the_same_name_begins_anew(hub: FakeHub, house: House) -> None:
    hub.faults = {FIRST: [Cut(100), *[Cut(0)] * 3]}
    hub.etag = '"one"'
    with pytest.raises(ReleaseError):
        house.fetch(hub)
    hub.etag = '"two"'
    hub.seen.clear()
    assert is_same(house.fetch(hub), hub)
    (asked,) = hub.bytes_requests(FIRST)
    assert (asked.range, asked.headers["if-range"]) == ("bytes=100-", '"one"')


@pytest.mark.parametrize("fault", [Whole(), OtherRange(), Status(416)])
def test_servers_without_ranges_begin_anew(hub: FakeHub, house: House, fault: Whole | OtherRange | Status) -> None:
    hub.faults = {FIRST: [Cut(100), fault]}
    assert is_same(house.fetch(hub), hub)


def test_a_server_that_asks_to_wait_is_waited_for(hub: FakeHub, house: House) -> None:
    hub.faults = {FIRST: [Status(429, {"Retry-After": "0"}), Status(500)]}
    assert is_same(house.fetch(hub), hub)
    assert any("it answered 429; tried again" in line for line in house.said)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_refused_is_not_asked_for_again(hub: FakeHub, house: House, status: int) -> None:
    hub.faults = {FIRST: [Status(status)]}
    with pytest.raises(ReleaseError, match=f"{FIRST}: it answered {status}"):
        house.fetch(hub)
    assert len(hub.bytes_requests(FIRST)) == 1


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "{hub}/Qwen/Tiny/resolve/main/loop"])
def test_redirects_lead_to_http_and_to_an_end(hub: FakeHub, house: House, to: str) -> None:
    hub.faults = {"config.json": [Status(302, {"Location": to.format(hub=hub.url)})]}
    with pytest.raises(ReleaseError, match=r"is not followed|it answered 404"):
        house.fetch(hub)


def test_silence_ends_and_is_tried_again(hub: FakeHub, house: House) -> None:
    hub.faults = {FIRST: [Held(100)]}
    wire = house.wire(timeout=0.3)
    release = house.fetcher(wire).fetch(ModelScope(wire, hub.url, ""), "Qwen/Tiny", "", Wanted())
    assert is_same(release, hub)
    assert any("nothing came for 0.3 seconds" in line for line in house.said)


def test_a_proxy_of_the_environment_is_used(hub: FakeHub, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHub({}, "Another/Model").running() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(ReleaseError, match="has no model Qwen/Tiny"):
            house.fetch(hub)
        assert proxy.seen[0].target.startswith(f"{hub.url}/api/models/Qwen/Tiny/revision/main")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert is_same(house.fetch(hub), hub)


def test_weights_that_run_code_are_left_out_unless_they_are_asked_for(hub: FakeHub, house: House) -> None:
    hub.files |= {"pytorch_model.bin": b"\x80\x04.", "ov/model.xml": b"<net/>", "ov/model.bin": b"numbers"}
    release = house.fetch(hub)
    paths = {file.path for file in release.facts.files}
    assert "pytorch_model.bin" not in paths and {"ov/model.bin", "README.md"} <= paths and ".gitattributes" not in paths
    assert any("run code when they are loaded: pytorch_model.bin" in line for line in house.said)
    assert "pytorch_model.bin" in {f.path for f in house.fetch(hub, wanted=Wanted(allow_pickle=True)).facts.files}
    hub.files = {"pytorch_model.bin": b"\x80\x04.", "config.json": b"{}"}
    hub.name = "Qwen/Old"
    with pytest.raises(ReleaseError, match=r"weights are here as pytorch_model\.bin only.*--allow-pickle"):
        house.fetch(hub)


def test_what_an_interrupted_fetch_wanted_goes_and_what_is_somebodys_own_stays(hub: FakeHub, house: House) -> None:
    hub.faults = {"config.json": [Status(404)]}
    with pytest.raises(ReleaseError):
        house.fetch(hub)
    folder = house.store.place("Qwen/Tiny", COMMIT)
    assert (folder / FIRST).is_file()
    (folder / "mine.safetensors").write_bytes(b"a LoRA of my own")
    release = house.fetch(hub, wanted=Wanted(exclude=("*-00001-*",)))
    assert not (folder / FIRST).exists()
    (damage,) = house.store.verify(release, 1, lambda path, count: None)
    assert (damage.path, damage.what) == ("mine.safetensors", "is not part of this release")
    assert house.fetch(hub, wanted=Wanted(exclude=("*-00001-*",))) == release
    assert (folder / "mine.safetensors").is_file()


def test_include_and_exclude_choose_and_add_up(hub: FakeHub, house: House) -> None:
    first = house.fetch(hub, wanted=Wanted(include=("*.json",)))
    assert {file.path for file in first.facts.files} == {"config.json", "README.md"}
    second = house.fetch(hub, wanted=Wanted(include=("model-*",), exclude=("*-00002-*", "README*")))
    assert {file.path for file in second.facts.files} == {"config.json", "README.md", FIRST}
    assert len(hub.bytes_requests("config.json")) == 1
    with pytest.raises(ReleaseError, match="no file of it matches"):
        house.fetch(hub, wanted=Wanted(include=("*.gguf",), exclude=("README*",)))


@pytest.mark.parametrize("path", ["../../evil", "/etc/evil", "a\\..\\evil", "release.json", "x/../y", "a\u202eb"])
def test_a_path_that_leads_elsewhere_is_refused_before_anything_is_written(
    hub: FakeHub, house: House, path: str
) -> None:
    hub.files[path] = b"evil"
    with pytest.raises(ReleaseError, match="is no path that a file of a model may have"):
        house.fetch(hub)
    assert house.store.list() == []


def test_nothing_is_written_through_a_link(hub: FakeHub, house: House, tmp_path: Path) -> None:
    folder = house.store.place("Qwen/Tiny", COMMIT)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (folder / f"{FIRST}.part").symlink_to(victim)
    with pytest.raises(ReleaseError, match="cannot be written"):
        house.fetch(hub)
    assert victim.read_bytes() == b"precious"


def test_two_fetches_of_one_model_do_not_mix(hub: FakeHub, house: House) -> None:
    hub.faults = {FIRST: [Held(10)]}
    first = threading.Thread(target=house.fetch, args=(hub,))
    first.start()
    assert hub.holding.wait(20)
    with pytest.raises(ReleaseError, match="Another process is fetching Qwen/Tiny"):
        House(house.store.folder.parent).fetch(hub)
    hub.let_go.set()
    first.join(20)
    assert is_same(house.store.find("Qwen/Tiny"), hub)


# A disk that is full: before the start, and in the middle.


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_without_room_is_named_before_the_start(hub: FakeHub, house: House) -> None:
    hub.announced[FIRST] = {"lfs": {"sha256": "0" * 64, "size": 10**15}}
    with pytest.raises(ReleaseError, match=r"is full: 1000\.0 TB more are needed and .+ are free\. Make room"):
        house.fetch(hub)
    assert hub.bytes_requests(FIRST) == []


def test_a_disk_that_fills_up_in_the_middle_loses_nothing(hub: FakeHub, tmp_path: Path) -> None:
    """By the limit of a file's size, which fails as a full disk does and needs no rights."""
    hub.files[FIRST] = hub.files[FIRST] * 10
    house = House(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(ReleaseError, match=r"is full: .+ more are needed.+goes on where it was"):
            house.fetch(hub)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    hub.seen.clear()
    assert is_same(house.fetch(hub), hub)
    assert hub.bytes_requests(FIRST)[0].range == "bytes=200000-"


def can_mount(folder: Path) -> bool:
    probe = folder / "probe"
    probe.mkdir()
    try:
        with small_disk(probe, "64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def test_a_really_full_disk_is_said_in_words(hub: FakeHub, tmp_path: Path) -> None:
    """On a small file system of its own where one may be mounted, and on the limit of a file's size elsewhere."""
    hub.files[FIRST] = os.urandom(3_000_000)
    disk = tmp_path / "disk"
    disk.mkdir()
    house = House(disk)
    if can_mount(tmp_path):
        with small_disk(disk, "6m"):
            filler = disk / "filler"
            hub.faults = {FIRST: [Held(100)]}
            failed: list[ReleaseError] = []

            def fetch() -> None:
                try:
                    house.fetch(hub)
                except ReleaseError as error:
                    failed.append(error)

            thread = threading.Thread(target=fetch)
            thread.start()
            assert hub.holding.wait(20)
            filler.write_bytes(b"x" * 4_500_000)  # somebody else takes the room meanwhile
            hub.let_go.set()
            thread.join(30)
            assert "is full" in str(failed[0]) and "MB more are needed" in str(failed[0])
            filler.unlink()
            assert is_same(house.fetch(hub), hub)
    else:
        test_a_disk_that_fills_up_in_the_middle_loses_nothing(hub, disk)


# Processes that end in the middle.

VERB = "import sys; from sampan.releases.verbs import models_cli; models_cli(sys.argv[1:])"


def start(hub: FakeHub, folder: Path) -> subprocess.Popen[str]:
    (folder / "sampan.toml").write_text(f'[server]\ndata = "{folder}/data"\n[releases]\nhuggingface = "{hub.url}"\n')
    command = [sys.executable, "-c", VERB, "fetch", "Qwen/Tiny"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_fetch_goes_on(hub: FakeHub, tmp_path: Path, how: signal.Signals) -> None:
    hub.faults = {FIRST: [Held(30_000)]}
    process = start(hub, tmp_path)
    part = tmp_path / "data" / "models" / "Qwen--Tiny" / COMMIT / f"{FIRST}.part"
    assert hub.holding.wait(60)
    ticks = threading.Event()
    while not part.is_file() or part.stat().st_size < 30_000:
        assert process.poll() is None
        ticks.wait(0.01)
    process.send_signal(how)
    said = process.communicate(timeout=30)[1]
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "sampan: stopped; the same command goes on where it was" in said and "Traceback" not in said
    hub.let_go.set()
    hub.seen.clear()
    second = start(hub, tmp_path)
    out, said = second.communicate(timeout=60)
    assert second.returncode == 0, said
    assert f"Qwen/Tiny {COMMIT} is here: 6 files, 77." in out and "licence apache-2.0" in out
    assert hub.bytes_requests(FIRST)[0].range == "bytes=30000-"


# Folders.


def folder_with(files: dict[str, bytes], folder: Path) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def from_folder(house: House, source: Path, revision: str = "") -> Release:
    return house.fetcher(house.wire()).fetch_folder(source, "house/tiny", revision, Wanted())


def test_a_folder_is_linked_and_pinned_by_its_content(house: House, tmp_path: Path) -> None:
    source = folder_with(small_model(), tmp_path / "source")
    release = from_folder(house, source)
    assert release.revision.startswith("content-") and release.facts.source == "folder"
    assert (release.folder / FIRST).samefile(source / FIRST)
    assert not (release.folder / ".gitattributes").exists()
    assert from_folder(house, source) == release
    assert from_folder(house, source, "v2").revision == "v2"
    (source / "config.json").unlink()
    (source / "config.json").write_bytes(b"{}")
    assert from_folder(house, source).revision not in (release.revision, "v2")
    assert house.store.verify(release, 1, lambda path, count: None) == []


def test_a_folder_of_links_to_files_is_followed_and_one_of_links_to_folders_is_not(
    house: House, tmp_path: Path
) -> None:
    blobs = folder_with({"blob": b"weights"}, tmp_path / "blobs")
    source = folder_with({"config.json": b"{}"}, tmp_path / "snapshot")
    (source / "model.safetensors").symlink_to(blobs / "blob")
    release = from_folder(house, source)
    assert not (release.folder / "model.safetensors").is_symlink()
    assert (release.folder / "model.safetensors").read_bytes() == b"weights"
    (source / "deep").symlink_to(blobs)
    with pytest.raises(ReleaseError, match="is no file, and no link to one"):
        from_folder(house, source)
    with pytest.raises(ReleaseError, match="is no folder"):
        from_folder(house, tmp_path / "nowhere")


def test_a_release_of_another_house_has_to_be_what_it_says(hub: FakeHub, house: House, tmp_path: Path) -> None:
    there = house.fetch(hub)
    here = House(tmp_path / "here")
    release = from_folder(here, there.folder)
    assert release.revision == COMMIT and is_same(release, hub)
    (there.folder / SECOND).unlink()
    (there.folder / SECOND).write_bytes(b"x" * len(hub.files[SECOND]))
    with pytest.raises(ReleaseError, match="is not the one that was announced"):
        from_folder(House(tmp_path / "third"), there.folder)
    with pytest.raises(ReleaseError, match="is the release itself"):
        from_folder_as(here, release.folder, "house/tiny")


def from_folder_as(house: House, source: Path, name: str) -> Release:
    (source / "new.json").write_bytes(b"{}")
    return house.fetcher(house.wire()).fetch_folder(source, name, "", Wanted())


def test_another_disk_is_copied_to(house: House, tmp_path: Path) -> None:
    """A link cannot be made across file systems, nor over what a Part writes: the copy is hashed as it is written."""
    with TemporaryDirectory(dir="/dev/shm") as other:
        source = folder_with(small_model(), Path(other))
        release = from_folder(house, source)
        assert not (release.folder / FIRST).samefile(source / FIRST)
        assert house.store.verify(release, 1, lambda path, count: None) == []


def test_plain_lines_say_how_far_it_is() -> None:
    said: list[str] = []
    times = iter([0.0, 1.0, 11.0, 12.0])
    lines = Lines(said.append, lambda: next(times))
    lines.plan("Qwen/Tiny", 2, 3_000_000)
    lines.advance("a", 500_000)
    lines.advance("a", 500_000)
    lines.end("a")
    lines.advance("b", 1)
    assert said == ["Qwen/Tiny: 2 files, 3.0 MB", "1.0 MB of 3.0 MB, 90.9 kB/s, 22 s left", "1 of 2: a"]


def test_a_part_counts_what_it_throws_away() -> None:
    counts: list[int] = []
    with TemporaryDirectory() as folder, Part(Path(folder) / "a", Announced("a", 3), counts.append) as part:
        part.write(b"ab")
        part.restart()
        part.write(b"abc")
        assert part.finish() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert counts == [2, -2, 3]
