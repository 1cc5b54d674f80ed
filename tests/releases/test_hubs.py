"""What both hubs answer is read as their own clients read it, and nobody else gets our tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fake_hub import COMMIT, FakeHub, Status
from release_house import HURRY, small_model

from sampan.config import Egress
from sampan.releases.hub import Hub, HuggingFace, ModelScope
from sampan.releases.names import ReleaseError
from sampan.releases.wire import Credentials, Patience, Wire


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(small_model()).running() as running:
        yield running


def wire() -> Wire:
    return Wire(threading.Event(), HURRY, 5.0)


def both(hub: FakeHub, token: str = "") -> list[Hub]:
    return [HuggingFace(wire(), hub.url, token), ModelScope(wire(), hub.url, token)]


def test_a_branch_becomes_a_commit_and_files_their_hashes(hub: FakeHub) -> None:
    for source, branch in zip(both(hub), ("main", "master"), strict=True):
        listing = source.list("Qwen/Tiny", "")
        assert (listing.revision, listing.asked) == (COMMIT, branch)
        files = {file.path: file for file in listing.files}
        assert set(files) == set(hub.files)
        for path, data in hub.files.items():
            assert files[path].size == len(data)
            assert files[path].sha256 or files[path].blob
        assert files["model-00001-of-00002.safetensors"].sha256 and not files["model-00001-of-00002.safetensors"].blob
        assert source.list("Qwen/Tiny", COMMIT).revision == COMMIT


def test_what_is_not_there_is_said(hub: FakeHub) -> None:
    huggingface, modelscope = both(hub)
    with pytest.raises(ReleaseError, match="has Qwen/Tiny, but no revision v9"):
        huggingface.list("Qwen/Tiny", "v9")
    with pytest.raises(ReleaseError, match=r"no revision v9 of Qwen/Tiny\. There are: main, master, v1\.0"):
        modelscope.list("Qwen/Tiny", "v9")
    for source in (huggingface, modelscope):
        with pytest.raises(ReleaseError, match="has no model Qwen/Huge"):
            source.list("Qwen/Huge", "")
        with pytest.raises(ReleaseError, match="no name of a model"):
            source.list("../Tiny", "")
        with pytest.raises(ReleaseError, match="is no revision"):
            source.list("Qwen/Tiny", "../x")
    hub.gated = True
    with pytest.raises(ReleaseError, match=r"agree to its licence at http://127.+/Qwen/Tiny.+HF_TOKEN"):
        huggingface.list("Qwen/Tiny", "")


def test_a_token_goes_to_its_hub_and_is_never_shown(hub: FakeHub) -> None:
    hub.token = "hf_secret"
    for source in both(hub, "hf_secret"):
        assert source.list("Qwen/Tiny", "").revision == COMMIT
    assert hub.seen[-1].headers["cookie"] == "m_session_id=hf_secret"
    with pytest.raises(ReleaseError, match="if it is private, set HF_TOKEN"):
        both(hub)[0].list("Qwen/Tiny", "")
    with pytest.raises(ReleaseError) as refused:
        both(hub, "two\nlines")
    assert "two" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "gets"),
    [
        ("https://hub.example/a", True),
        ("https://hub.example:443/a", True),
        ("http://hub.example/a", False),
        ("https://hub.example:8443/a", False),
        ("https://cdn.hub.example/a", False),
        ("https://hub.example@evil.example/a", False),
    ],
)
def test_credentials_are_for_one_origin(url: str, gets: bool) -> None:
    assert bool(Credentials("https://hub.example", {"Authorization": "x"}).for_url(url)) is gets


def test_modelscope_without_a_whole_commit_is_pinned_by_content(hub: FakeHub) -> None:
    hub.announced["config.json"] = {"Revision": "e" * 40}
    source = both(hub)[1]
    listing = source.list("Qwen/Tiny", "master")
    assert listing.revision.startswith("content-") and len(listing.revision) == 48
    assert source.list("Qwen/Tiny", "master").revision == listing.revision
    assert "Revision=master" in source.address(listing, "config.json")
    hub.files["config.json"] = b"{}"
    assert source.list("Qwen/Tiny", "master").revision != listing.revision


def test_a_list_that_modelscope_cuts_off_is_not_taken_for_all(hub: FakeHub) -> None:
    hub.files = {f"{number}.json": b"" for number in range(3000)}
    with pytest.raises(ReleaseError, match="3000 files or more"):
        both(hub)[1].list("Qwen/Tiny", "")


@pytest.mark.parametrize(
    "entry",
    [
        {"size": "12"},
        {"size": -1},
        {"size": True},
        {"rfilename": 5},
        {"blobId": "zz"},
        {"lfs": {"sha256": "12", "size": 5}},
    ],
)
def test_a_list_that_makes_no_sense_is_refused(hub: FakeHub, entry: dict[str, object]) -> None:
    hub.announced["config.json"] = entry
    with pytest.raises(ReleaseError, match="the hub lists"):
        both(hub)[0].list("Qwen/Tiny", "")


def test_a_hub_that_is_busy_is_asked_again_and_not_for_ever(hub: FakeHub) -> None:
    hub.listing_faults = [Status(503), Status(429, {"Retry-After": "0"})]
    said: list[str] = []
    source = HuggingFace(Wire(threading.Event(), HURRY, 5.0, said.append), hub.url, "")
    assert source.list("Qwen/Tiny", "").revision == COMMIT
    assert [line.split(": ")[1] for line in said] == [
        "it answered 503; tried again in 0.0 s",
        "it answered 429; tried again in 0.0 s",
    ]
    hub.listing_faults = [Status(503)] * 9
    with pytest.raises(ReleaseError, match="it answered 503"):
        source.list("Qwen/Tiny", "")
    assert len(hub.listing_faults) == 6


def test_a_hub_that_is_not_there_is_named() -> None:
    with pytest.raises(ReleaseError, match=r"127\.0\.0\.1:9: it cannot be reached: Connection refused"):
        HuggingFace(wire(), "http://127.0.0.1:9", "").list("Qwen/Tiny", "")


def test_patience_doubles_and_heeds_what_is_asked_within_reason() -> None:
    patience = Patience(tries=7, first=0.5, longest=20.0)
    assert [patience.wait(attempt, 0.0) for attempt in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 20.0]
    assert patience.wait(1, 30.0) == 30.0
    assert patience.wait(1, 86_400.0) == 120.0


@pytest.mark.parametrize("url", ["http://mirror.example", "https://mirror.example", "http://10.1.2.3"])
def test_a_hub_that_egress_does_not_list_is_not_asked(url: str) -> None:
    source = HuggingFace(Wire(threading.Event(), HURRY, 5.0, egress=Egress(["huggingface.co"])), url, "")
    with pytest.raises(ReleaseError, match="egress"):
        source.list("Qwen/Tiny", "")


def test_egress_judges_addresses_too(hub: FakeHub) -> None:
    """`localhost` may be asked, until a rule forbids what it stands for."""
    url = hub.url.replace("127.0.0.1", "localhost")
    allowing = Wire(threading.Event(), HURRY, 5.0, egress=Egress(["huggingface.co"]))
    assert HuggingFace(allowing, url, "").list("Qwen/Tiny", "").revision == COMMIT
    forbidding = Wire(threading.Event(), HURRY, 5.0, egress=Egress(["!127.0.0.0/8", "!::1"]))
    with pytest.raises(ReleaseError, match="egress"):
        HuggingFace(forbidding, url, "").list("Qwen/Tiny", "")
    assert len(hub.seen) == 1
