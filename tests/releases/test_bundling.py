"""A bundle installs what was signed, and nothing else, on a machine that nothing else reaches."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from release_house import small_model
from typer.testing import CliRunner

from sampan.releases import bundle as bundles
from sampan.releases import install
from sampan.releases.install import Bundle, Refused, header, is_signed, padding
from sampan.releases.names import ReleaseError
from sampan.releases.progress import Silence
from sampan.releases.signing import Signer, house_signer, read_signer
from sampan.releases.store import Facts, Release, ReleaseFile, Store
from sampan.releases.verbs import models_cli
from sampan.releases.wheels import collect, requirements

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORDER = 2**252 + 27742317777372353535851937790883648493


def keep(data: Path, name: str = "Qwen/Tiny", files: dict[str, bytes] | None = None) -> Release:
    """A whole release in a data folder."""
    store = Store(data)
    folder = store.place(name, "abcdef1234")
    listed = []
    for path, content in (files or small_model(weights=3_000)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        listed.append(ReleaseFile(path, len(content), hashlib.sha256(content).hexdigest()))
    return store.note(Facts(name, "abcdef1234", "huggingface", listed, 1.0, "main", "apache-2.0", whole=True))


@dataclass(frozen=True)
class Made:
    """A bundle of one model, and what it was made of."""

    file: Path
    release: Release
    public: bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    release = keep(folder / "data")
    signer = Signer(KEY)
    items = bundles.list_items([release], [])
    bundles.make(items, [release], folder / "x.sampan", signer, Silence())
    return Made(folder / "x.sampan", release, signer.public)


def put_in(file: Path, into: Path, public: bytes) -> None:
    install.install(file, into, public, say=lambda _: None)


def files_below(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".installing")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


# The signature.


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32), st.integers(0, 511), st.integers(0, 255))
@settings(deadline=None, max_examples=30)
def test_signatures_are_judged_as_cryptography_judges_them(message: bytes, seed: bytes, bit: int, other: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert is_signed(message, signature, public)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not is_signed(message, bytes(flipped), public)
    assert not is_signed(message + bytes([other]), signature, public)
    stranger = bytearray(public)
    stranger[bit % 32] ^= 1 << bit % 8
    assert not is_signed(message, signature, bytes(stranger))


@pytest.mark.parametrize(
    ("secret", "public", "message", "signature"),
    [  # RFC 8032, section 7.1: tests 1, 2 and 3
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595"
            "bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb43"
            "02aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716"
            "ed28dc027beceea1ec40a",
        ),
    ],
)
def test_the_vectors_of_the_rfc(secret: str, public: str, message: str, signature: str) -> None:
    assert is_signed(bytes.fromhex(message), bytes.fromhex(signature), bytes.fromhex(public))


def test_a_second_form_of_a_signature_is_none() -> None:
    """S + L is the same number modulo L: RFC 8032 has it refused, or anybody could make another signature of it."""
    signature = KEY.sign(b"x")
    more = int.from_bytes(signature[32:], "little") + ORDER
    public = KEY.public_key().public_bytes_raw()
    assert is_signed(b"x", signature, public)
    assert not is_signed(b"x", signature[:32] + more.to_bytes(32, "little"), public)
    for bad in (b"", public[:31], public + b"\0", b"\xff" * 32, (2).to_bytes(32, "little")):
        assert not is_signed(b"x", signature, bad)
    assert not is_signed(b"x", signature[:63], public)


# The form.


@given(st.from_regex(r"[a-z词é][a-zA-Z0-9词é._-]{0,80}(/[a-z0-9词]{1,60}){0,3}", fullmatch=True), st.integers(0, 3000))
@example("a" * 100, 1)
@example("a" * 101, 0)
@example("词" * 60, 513)
def test_headers_are_read_by_others(path: str, size: int) -> None:
    data = bytes(size)
    archive = header(path, size) + data + padding(size)
    archive += install.ending(len(archive))
    assert len(archive) % 10_240 == 0
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        (member,) = opened.getmembers()
        assert (member.name, member.size, member.isreg(), member.mtime, member.uid) == (path, size, True, 0, 0)


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 40 * 10**9])
def test_headers_of_large_files_are_read_by_others(size: int) -> None:
    member = tarfile.TarFile(fileobj=BytesIO(header("w.safetensors", size) + bytes(1024)), errorlevel=0).next()
    assert member is not None and member.size == size and member.name == "w.safetensors"


def test_tar_itself_takes_out_the_installer(made: Made) -> None:
    out = subprocess.run(["tar", "-xOf", str(made.file), "install.py"], check=True, stdout=subprocess.PIPE).stdout
    assert out == Path(install.__file__).read_bytes()
    listed = subprocess.run(["tar", "-tf", str(made.file)], check=True, stdout=subprocess.PIPE, text=True).stdout.split(
        "\n"
    )
    assert listed[:3] == ["install.py", "manifest.json", "manifest.sig"] and len(listed) == 3 + 7 + 1 + 1


def test_a_bundle_is_the_same_bytes_whenever_it_is_made(made: Made, tmp_path: Path) -> None:
    items = bundles.list_items([made.release], [])
    bundles.make(items, [made.release], tmp_path / "again", Signer(KEY), Silence())
    assert (tmp_path / "again").read_bytes() == made.file.read_bytes()


# What is refused.


def test_what_was_signed_is_installed(made: Made, tmp_path: Path) -> None:
    put_in(made.file, tmp_path, made.public)
    found = files_below(tmp_path / "data" / "models" / "Qwen--Tiny" / "abcdef1234")
    assert found.pop("release.json")
    assert found == small_model(weights=3_000)
    assert Store(tmp_path / "data").find("Qwen/Tiny").facts == made.release.facts
    put_in(made.file, tmp_path, made.public)  # again: over what is there
    assert not list(tmp_path.glob(".incoming-*"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
@given(st.data())
def test_no_bit_of_it_can_be_changed(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(made.file.read_bytes())
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    bad = tmp_path / "bad"
    bad.write_bytes(whole)
    into = tmp_path / "into"
    with pytest.raises(Refused):
        put_in(bad, into, made.public)
    assert files_below(into) == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.data())
def test_it_can_be_neither_cut_nor_longer(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    whole = made.file.read_bytes()
    bad = tmp_path / "bad"
    bad.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(Refused, match="ends too early"):
        put_in(bad, tmp_path / "into", made.public)
    bad.write_bytes(whole + data.draw(st.binary(min_size=1, max_size=20_000)))
    with pytest.raises(Refused, match="follows the end"):
        put_in(bad, tmp_path / "into", made.public)
    assert files_below(tmp_path / "into") == {}


def test_another_key_is_refused_in_words(made: Made, tmp_path: Path) -> None:
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(Refused, match=r"not signed by the key that you trust.+do not install it"):
        put_in(made.file, tmp_path, stranger)


def archive(members: list[tuple[str, bytes]]) -> bytes:
    whole = b"".join(header(path, len(data)) + data + padding(len(data)) for path, data in members)
    return whole + install.ending(len(whole))


def signed(manifest: dict[str, object]) -> list[tuple[str, bytes]]:
    """The first members with a manifest that somebody who holds the key has signed, however odd it is."""
    script = Path(install.__file__).read_bytes()
    usual = {
        "format": 1,
        "sampan": "0",
        "python": install.python(),
        "machine": install.machine(),
        "script": hashlib.sha256(script).hexdigest(),
        "models": [{"name": "a/b", "revision": "r"}],
        "members": [],
    }
    text = json.dumps(usual | manifest).encode()
    return [("install.py", script), ("manifest.json", text), ("manifest.sig", KEY.sign(text))]


def member(path: str, data: bytes = b"x") -> dict[str, object]:
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


GOOD = "models/a--b/r/config.json"


@pytest.mark.parametrize(
    ("manifest", "members", "said"),
    [
        ({"members": [member(GOOD)]}, [], "not signed, before models/a--b/r/config.json"),
        ({"members": []}, [(GOOD, b"x")], "a member too many"),
        ({"members": [member(GOOD)]}, [(GOOD, b"y")], "config.json in the bundle is not the one that was signed"),
        ({"members": [member(GOOD)]}, [(GOOD, b"xy")], "not signed, before"),
        ({"members": [member(GOOD), member(GOOD)]}, [(GOOD, b"x")] * 2, "not allowed"),
        ({"members": [member("models/a--b/r/../../x/y")]}, [], "not allowed"),
        ({"members": [member("models/other/r/config.json")]}, [], "not allowed"),
        ({"members": [member("/etc/passwd")]}, [], "not allowed"),
        ({"members": [member("data/bundle-key.pem")]}, [], "not allowed"),
        ({"members": [member("wheels/a/b.whl")]}, [], "not allowed"),
        ({"format": 2}, [], "format 2, this program reads format 1"),
        ({"members": 5}, [], "cannot be read"),
        ({"script": "0" * 64}, [], "install.py in the bundle is not the one that was signed"),
        ({"members": [{"path": GOOD, "size": 10**15, "sha256": ""}]}, [], "1000.0 TB are needed"),
    ],
)
def test_members_are_those_of_the_manifest(
    tmp_path: Path, manifest: dict[str, object], members: list[tuple[str, bytes]], said: str
) -> None:
    (tmp_path / "bad").write_bytes(archive(signed(manifest) + members))
    with pytest.raises(Refused, match=said.replace("(", r"\(")):
        put_in(tmp_path / "bad", tmp_path / "into", KEY.public_key().public_bytes_raw())
    assert files_below(tmp_path / "into") == {}


def test_links_and_other_kinds_cannot_even_be_said(tmp_path: Path) -> None:
    """A header of a link is not the header of a file, whatever it links to."""
    link = tarfile.TarInfo(GOOD)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    body = b"".join(header(p, len(d)) + d + padding(len(d)) for p, d in signed({"members": [member(GOOD)]}))
    (tmp_path / "bad").write_bytes(body + link.tobuf(tarfile.USTAR_FORMAT) + bytes(10_240))
    with pytest.raises(Refused, match="not signed, before"):
        put_in(tmp_path / "bad", tmp_path / "into", KEY.public_key().public_bytes_raw())


def test_nothing_of_an_unsigned_bundle_is_read(tmp_path: Path) -> None:
    """Not even its manifest is parsed: the signature comes first."""
    text = b"not json at all"
    script = Path(install.__file__).read_bytes()
    stranger = Ed25519PrivateKey.generate().sign(text)
    data = archive([("install.py", script), ("manifest.json", text), ("manifest.sig", stranger)])
    with pytest.raises(Refused, match="not signed by the key"):
        Bundle(BytesIO(data)).open(KEY.public_key().public_bytes_raw())


def test_wheels_for_another_machine_are_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    manifest = {
        "python": "3.9",
        "machine": "plan9-vax",
        "members": [member("requirements.txt"), member("wheels/a.whl")],
    }
    (tmp_path / "bad").write_bytes(archive([*signed(manifest), ("requirements.txt", b"x"), ("wheels/a.whl", b"x")]))
    with pytest.raises(Refused, match=r"for Python 3\.9 on plan9-vax, and this is Python"):
        put_in(tmp_path / "bad", tmp_path / "into", KEY.public_key().public_bytes_raw())


def test_the_installer_says_its_refusals_in_one_sentence(made: Made, tmp_path: Path) -> None:
    """As its users start it: alone, in Python's isolated mode, without Sampan."""
    script = tmp_path / "install.py"
    script.write_bytes(Path(install.__file__).read_bytes())

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(script), *words]
        return subprocess.run(command, check=False, text=True, capture_output=True, cwd=tmp_path)

    done = run(str(made.file), "--into", "here", "--trust", "ab" * 32)
    assert done.returncode == 1 and done.stderr.startswith("install: the manifest of this bundle is not signed")
    assert run(str(made.file), "--into", "here", "--trust", "nonsense").stderr == (
        "install: --trust must be the public key, 64 hexadecimal digits, or a file with it\n"
    )
    (tmp_path / "key").write_text(made.public.hex() + "\n")
    done = run(str(made.file), "--into", "here", "--trust", "key")
    assert done.returncode == 0, done.stderr
    assert "All 8 files are the ones that were signed." in done.stdout
    assert (tmp_path / "here" / "data" / "models" / "Qwen--Tiny" / "abcdef1234" / "config.json").is_file()


def test_an_older_python_can_at_least_read_the_installer() -> None:
    """It gets the sentence about the wheels, not a SyntaxError."""
    ast.parse(Path(install.__file__).read_text(), feature_version=(3, 8))


def test_openssl_agrees_about_the_signature(made: Made, tmp_path: Path) -> None:
    for name in ("manifest.json", "manifest.sig"):
        with (tmp_path / name).open("wb") as out:
            subprocess.run(["tar", "-xOf", str(made.file), name], check=True, stdout=out)
    # RFC 8410: what stands before the 32 bytes of a key.
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + made.public)
    command = (
        "openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin -in manifest.json -sigfile manifest.sig"
    )
    subprocess.run(command.split(), check=True, cwd=tmp_path, capture_output=True)


# Making one.


def test_what_is_damaged_is_not_signed(tmp_path: Path) -> None:
    release = keep(tmp_path / "data")
    items = bundles.list_items([release], [])
    (release.folder / "config.json").write_bytes(b'{"model_type": "evil"}')
    with pytest.raises(ReleaseError, match=r"config\.json is damaged: `sampan models verify` says more"):
        bundles.make(items, [release], tmp_path / "x", Signer(KEY), Silence())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    half = Store(tmp_path / "data").note(Facts("a/b", "r1", "folder", [ReleaseFile("x", 1)], whole=False))
    with pytest.raises(ReleaseError, match="a/b at r1 is not whole"):
        bundles.list_items([half], [])


def test_the_key_of_a_house_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    public = house_signer(tmp_path / "data").public
    path = tmp_path / "data" / "bundle-key.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert house_signer(tmp_path / "data").public == public == read_signer(path).public
    assert [each.name for each in path.parent.iterdir()] == ["bundle-key.pem"]
    path.write_text("-----BEGIN NONSENSE-----\n")
    with pytest.raises(ReleaseError, match="holds no private key"):
        house_signer(tmp_path / "data")
    with pytest.raises(ReleaseError, match="cannot be read"):
        read_signer(tmp_path / "nowhere")


def test_wheels_are_what_pip_makes_of_the_lock_files(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "into"
    source.mkdir()
    into.mkdir()
    asked: list[list[str]] = []

    def run(words: object) -> None:
        assert isinstance(words, list)
        asked.append(words)
        (into / f"made_{len(asked)}-1.{len(asked)}+cpu-py3-none-any.whl").write_bytes(b"wheel")

    with pytest.raises(ReleaseError, match=r"has no requirements\.lock"):
        collect(source, into, False, "torch==2", run)
    for lock in ("requirements.lock", "requirements-qwen.lock"):
        (source / lock).write_text("")
    wheels = collect(source, into, True, "torch==2", run)
    assert [words[-3] for words in asked] == [
        str(source / "requirements.lock"),
        str(source / "requirements-qwen.lock"),
        "torch==2",
        str(source),
    ]
    assert all("--require-hashes" in words for words in asked[:2]) and not list(into.glob("*.txt"))
    digest = hashlib.sha256(b"wheel").hexdigest()
    assert requirements(wheels[:1]) == f"made_1==1.1+cpu --hash=sha256:{digest}\n"


# A house that runs Sampan already.


def test_a_house_takes_the_models_and_leaves_the_wheels(tmp_path: Path) -> None:
    release = keep(tmp_path / "data")
    wheel = tmp_path / "evil-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    bundles.make(bundles.list_items([release], [wheel]), [release], tmp_path / "x", Signer(KEY), Silence())
    store = Store(tmp_path / "other")
    (installed,) = bundles.install_models(tmp_path / "x", store, KEY.public_key().public_bytes_raw(), Silence())
    assert installed.facts == release.facts and store.verify(installed, 1, lambda path, count: None) == []
    assert [each.name for each in (tmp_path / "other").iterdir()] == ["models"]
    data = bytearray((tmp_path / "x").read_bytes())
    data[data.rindex(b"wheels/") + install.BLOCK] ^= 1  # of a wheel, which a house does not even take
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ReleaseError, match=r"/x: "):
        bundles.install_models(
            tmp_path / "x", Store(tmp_path / "third"), KEY.public_key().public_bytes_raw(), Silence()
        )


# All of it, with the network denied.

# Loopback is down in a new namespace, and `ip` is not everywhere: netdevice(7), SIOCSIFFLAGS with IFF_UP | IFF_RUNNING.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as any:
    fcntl.ioctl(any, 0x8914, struct.pack("16sH22x", b"lo", 0x41))
os.execvp(sys.argv[1], sys.argv[1:])
"""
NAMESPACE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
SERVE_AND_CALL = """
import json, os, pathlib, socket, subprocess, sys, urllib.request
from sampan.releases.store import Store

port = sys.argv[1]
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except OSError as error:
    print("outside:", error.strerror or error)
release = Store(pathlib.Path("data")).find("Qwen/Tiny")
print("damaged:", len(Store(pathlib.Path("data")).verify(release, 1, lambda path, count: None)))
with open("served.log", "wb") as log:
    server = subprocess.Popen([".venv/bin/sampan", "serve"], stdout=subprocess.PIPE, stderr=log, text=True)
for line in server.stdout:
    if line.startswith("Ready"):
        break
text = "Summarize: The boat was built in 1952. It carries rice and tea. Its owner is the Chen family."
body = {"model": "reader", "max_tokens": 64, "messages": [{"role": "user", "content": text}]}
headers = {"x-api-key": os.environ["SAMPAN_ADMIN_KEY"], "content-type": "application/json",
           "anthropic-version": "2023-06-01"}
request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/messages", json.dumps(body).encode(), headers)
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
    print("answered:", answer.status, answer.headers["x-sampan-upstream"], len(json.load(answer)["content"][0]["text"]))
server.terminate()
print("ended:", server.wait(30))
"""


def namespaces_work() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The name of the test says how the network was denied: truly, or as far as a machine without namespaces can."""
    if "denied" in metafunc.fixturenames:
        metafunc.parametrize("denied", ["by-a-network-namespace" if namespaces_work() else "by-dead-proxies-only"])


def run_denied(denied: str, words: list[str], folder: Path) -> str:
    """Standard output of a program that succeeds without a network."""
    wall = [*NAMESPACE, sys.executable, "-c", LOOPBACK_UP] if denied == "by-a-network-namespace" else []
    dead = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "SAMPAN_ADMIN_KEY": "sk-" + "a" * 40}
    env = clean | dead | {"PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*wall, *words], check=False, cwd=folder, env=env, text=True, capture_output=True)
    log = folder / "house" / "served.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    return done.stdout


@pytest.mark.timeout(600)
def test_a_bundle_installs_and_answers_where_the_network_is_denied(tmp_path: Path, denied: str) -> None:
    release = keep(tmp_path / "data")
    (tmp_path / "sampan.toml").write_text(f'[server]\ndata = "{tmp_path}/data"\n')
    file = tmp_path / "house.sampan"
    words = ["bundle", "Qwen/Tiny", "--wheels", "--into", str(file), "--config", str(tmp_path / "sampan.toml")]
    said = CliRunner().invoke(models_cli, words, catch_exceptions=False).output
    public = re.search(r"Public key: ([0-9a-f]{64})", said)
    script = re.search(r"install\.py: sha256 ([0-9a-f]{64})", said)
    assert public and script and file.stat().st_size > 50_000_000

    away = tmp_path / "away"
    away.mkdir()
    with (away / "install.py").open("wb") as out:
        subprocess.run(["tar", "-xOf", str(file), "install.py"], check=True, stdout=out)
    assert hashlib.sha256((away / "install.py").read_bytes()).hexdigest() == script[1]
    python = str(Path(sys.executable).resolve())  # that of the system, without our packages
    said = run_denied(denied, [python, "install.py", str(file), "--into", "house", "--trust", public[1]], away)
    assert f"Start it with: cd {away}/house && .venv/bin/sampan serve" in said

    house = away / "house"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (house / "sampan.toml").write_text(f'[server]\nlisten = "127.0.0.1:{port}"\n[engines.reader]\nkind = "reader"\n')
    (house / "call.py").write_text(SERVE_AND_CALL)
    script_words = [str(house / ".venv" / "bin" / "python"), "call.py", str(port)]
    said = run_denied(denied, ["sh", "-c", 'cd house && exec "$@"', "sh", *script_words], away)
    assert "damaged: 0" in said and re.search(r"answered: 200 reader [1-9]", said) and "ended: 0" in said
    if denied == "by-a-network-namespace":
        assert "outside: Network is unreachable" in said
    assert Store(house / "data").find("Qwen/Tiny").facts == release.facts
