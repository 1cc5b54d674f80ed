"""Takes a bundle of `sampan models bundle` into a machine without a network: `python3 install.py FILE --into DIR ...`.

This file travels in the bundle and runs before anything is installed: it needs the standard library of Python 3.11 and
nothing else. Nothing of the bundle is used before its signature (Ed25519, RFC 8032) was verified, and nothing is put in
its place before every byte was. A bundle is a POSIX tar file in one canonical form: each header follows from the path
and the size in the manifest, so a reader compares headers instead of trusting them, and there is no way to write a
link, a path that leads elsewhere, or a byte that nobody looks at.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import unicodedata
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:  # an older Python, which has no TypeAlias, shall get as far as to be told what it lacks
    from typing import TypeAlias

    Say: TypeAlias = Callable[[str], None]
    Point: TypeAlias = tuple[int, int, int, int]

FORMAT = 1
SCRIPT, MANIFEST, SIGNATURE = "install.py", "manifest.json", "manifest.sig"
REQUIREMENTS, WHEELS, MODELS = "requirements.txt", "wheels", "models"
BLOCK = 512
RECORD = 20 * BLOCK  # POSIX: an archive is a whole number of records
CHUNK = 1 << 20
_LARGEST = {SCRIPT: 1 << 20, MANIFEST: 64 << 20, SIGNATURE: 64}
_OCTAL_LIMIT = 8**11
_UNPACKED = 4  # a wheel is a zip file: what it takes once installed, about


class Refused(Exception):
    """The bundle is not what was signed, or cannot be installed here; the message says why, and what to do."""


# Ed25519: RFC 8032, section 5.1. Points are in the extended coordinates of section 5.1.4.
_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)


def _add(one: Point, two: Point) -> Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c = 2 * one[3] * two[3] * _D % _P
    d = 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _point(data: bytes) -> Point | None:
    """The point that 32 bytes stand for (section 5.1.3), or None."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _bytes(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def is_signed(message: bytes, signature: bytes, key: bytes) -> bool:
    """Whether `signature` (64 bytes) of `message` is by the public `key` (32 bytes): RFC 8032, section 5.1.7."""
    public = _point(key) if len(key) == 32 else None
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or len(signature) != 64 or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    generator = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert generator is not None
    minus = (_P - public[0], public[1], public[2], _P - public[3])
    return _bytes(_add(_times(scalar, generator), _times(challenge, minus))) == signature[:32]


def is_plain(path: str) -> bool:
    """Whether a path is relative, stays where it begins, and looks like what it is.

    No empty part, `.` or `..`; no backslash or colon; no control, invisible, direction-changing or unassigned sign; in
    the composed form (NFC), so that no two paths look the same; 1024 bytes at most, 200 for a part.
    """
    if not path.isascii() and (
        unicodedata.normalize("NFC", path) != path
        or any(unicodedata.category(sign)[0] == "C" or unicodedata.category(sign) in ("Zl", "Zp") for sign in path)
    ):
        return False
    if re.search(r"[\x00-\x1f\x7f\\:]", path) or len(path.encode()) > 1024:
        return False
    return all(
        part not in ("", ".", "..") and part == part.strip() and len(part.encode()) <= 200 for part in path.split("/")
    )


def header(path: str, size: int) -> bytes:
    """The tar header of a file: POSIX ustar, with a pax header before it where path or size do not fit in."""
    name = path.encode()
    if len(name) <= 100 and name.isascii() and size < _OCTAL_LIMIT:
        return _block(name, size, b"0")
    records = _record(b"path", name) + _record(b"size", b"%d" % size)
    pax = _block(b"././@PaxHeader", len(records), b"x") + records + padding(len(records))
    return pax + _block(b"see-the-pax-header", size if size < _OCTAL_LIMIT else 0, b"0")


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    nobody = b"0000000\0"
    front = name.ljust(100, b"\0") + b"0000644\0" + nobody * 2 + b"%011o\0%011o\0" % (size, 0)
    back = kind + bytes(100) + b"ustar\x0000" + bytes(64) + nobody * 2 + bytes(167)
    return front + b"%06o\0 " % (sum(front) + 8 * ord(" ") + sum(back)) + back


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, where the length counts itself."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest) + len(b"%d" % len(rest))
    length = len(rest) + len(b"%d" % length)
    return b"%d" % length + rest


def padding(size: int) -> bytes:
    """What follows `size` bytes of a member, up to a whole block."""
    return bytes(-size % BLOCK)


def ending(length: int) -> bytes:
    """What ends an archive of `length` bytes: two empty blocks, and more up to a whole record."""
    return bytes(2 * BLOCK + -(length + 2 * BLOCK) % RECORD)


@dataclass(frozen=True)
class Member:
    """One file of a bundle; `size` in bytes, `sha256` in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Model:
    """A release in a bundle."""

    name: str
    revision: str

    @property
    def place(self) -> str:
        """Its folder below that of all models, as `sampan.releases.store` has it."""
        return f"{self.name.replace('/', '--')}/{self.revision}"


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself; `members` in their order, without the three that come first.

    `python` ("3.11") and `machine` ("linux-x86_64") are what the wheels are for, where there are any.
    """

    sampan: str
    python: str
    machine: str
    models: tuple[Model, ...]
    members: tuple[Member, ...]

    @property
    def has_wheels(self) -> bool:
        return any(member.path == REQUIREMENTS for member in self.members)


def read_manifest(data: bytes) -> tuple[Manifest, str]:
    """The manifest and the sha256 of its `install.py`. Raises `Refused`: a signed one may be of a later format."""
    try:
        raw: Any = json.loads(data)
        if raw["format"] != FORMAT:
            raise Refused(f"the bundle is of format {raw['format']}, this program reads format {FORMAT}: use its own")
        members = tuple(Member(str(each["path"]), int(each["size"]), str(each["sha256"])) for each in raw["members"])
        models = tuple(Model(str(each["name"]), str(each["revision"])) for each in raw["models"])
        manifest = Manifest(str(raw["sampan"]), str(raw["python"]), str(raw["machine"]), models, members)
        script = str(raw["script"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"the manifest of the bundle cannot be read: {error}") from None
    _check_paths(manifest)
    return manifest, script


def _check_paths(manifest: Manifest) -> None:
    """Wheels, their list and the files of the models that are named: nothing else has a place in a bundle."""
    places = {tuple(model.place.split("/")) for model in manifest.models}
    seen: set[str] = set()
    for member in manifest.members:
        first, *rest = member.path.split("/")
        fits = member.path == REQUIREMENTS or (first == WHEELS and len(rest) == 1)
        fits = fits or (first == MODELS and len(rest) > 2 and tuple(rest[:2]) in places)
        if not fits or not is_plain(member.path) or member.size < 0 or member.path in seen:
            raise Refused(f"the bundle has a member with a path that is not allowed: {member.path!r}")
        seen.add(member.path)


class Bundle:
    """A bundle that is being read, from its beginning to its end, once. Every method raises `Refused`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0

    def open(self, trusted: bytes) -> Manifest:
        """Reads the first three members and verifies the signature; nothing else of the bundle is looked at before."""
        script = self._first(SCRIPT)
        text = self._first(MANIFEST)
        signature = self._first(SIGNATURE)
        if not is_signed(text, signature, trusted):
            raise Refused(
                "the manifest of this bundle is not signed by the key that you trust. Either it was signed with "
                "another key, or it was changed on its way: do not install it. The public key is the one that "
                "`sampan models bundle` printed."
            )
        manifest, announced = read_manifest(text)
        if hashlib.sha256(script).hexdigest() != announced:
            raise Refused(f"{SCRIPT} in the bundle is not the one that was signed")
        return manifest

    def copy(self, member: Member, to: BinaryIO | None) -> None:
        """Verifies the next member, writing it to `to` where one is given."""
        self._expect(header(member.path, member.size), f"before {member.path}")
        digest, left = hashlib.sha256(), member.size
        while left:
            piece = self._take(min(CHUNK, left))
            digest.update(piece)
            if to is not None:
                to.write(piece)
            left -= len(piece)
        if digest.hexdigest() != member.sha256:
            raise Refused(f"{member.path} in the bundle is not the one that was signed")
        self._expect(padding(member.size), f"after {member.path}")

    def close(self) -> None:
        """Makes sure that the end is where the manifest ends."""
        self._expect(ending(self._at), "at its end: a member too many, or one changed")
        if self._file.read(1):
            raise Refused("something follows the end of the bundle that was not signed")

    def _first(self, path: str) -> bytes:
        block = self._take(BLOCK)
        digits = block[124:135]
        size = int(digits, 8) if re.fullmatch(rb"[0-7]{11}", digits) else -1
        if not 0 <= size <= _LARGEST[path] or block != header(path, size):
            raise Refused(f"this is no bundle, or it is damaged: {path} is not where it should be")
        data = self._take(size)
        self._expect(padding(size), f"after {path}")
        return data

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise Refused("the bundle ends too early: it was not copied to its end. Copy it again.")
        self._at += size
        return data

    def _expect(self, wanted: bytes, where: str) -> None:
        if self._take(len(wanted)) != wanted:
            raise Refused(f"the bundle has bytes that were not signed, {where}")


def machine() -> str:
    """What wheels are built for, beside the version of Python."""
    return f"{platform.system()}-{platform.machine()}".lower()


def python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def read_key(text: str) -> bytes:
    """A public key as it was printed (64 hexadecimal digits), or the file that it stands in. Raises `Refused`."""
    words = text.strip()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", words):
        try:
            words = Path(text).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            words = ""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", words):
        raise Refused("--trust must be the public key, 64 hexadecimal digits, or a file with it")
    return bytes.fromhex(words)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A folder to write into before anything is in its place; gone afterwards, and so are those of dead processes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".installing").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"another installation into {folder} is at work: wait for it") from None
        for left in folder.glob(".incoming-*"):
            shutil.rmtree(left, ignore_errors=True)
        place = folder / f".incoming-{secrets.token_hex(8)}"
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def unpack(bundle: Bundle, manifest: Manifest, into: Path, told: Callable[[Member], None], only: str = "") -> None:
    """Verifies all members, writing those whose path begins with `only` below `into`. Raises `Refused`.

    `told` gets each member that was verified.
    """
    _make_room(sum(member.size for member in manifest.members if member.path.startswith(only)), into)
    for member in manifest.members:
        if not member.path.startswith(only):
            bundle.copy(member, None)
            told(member)
            continue
        target = into / member.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                bundle.copy(member, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Refused(f"{member.path} cannot be written: {error.strerror}. Nothing was installed.") from None
        told(member)
    bundle.close()


def _make_room(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Refused(
            f"the disk of {folder} has {in_words(free)} free, and {in_words(needed)} are needed: "
            f"free {in_words(needed - free)} more"
        )


def in_words(size: int) -> str:
    """`13.4 GB`."""
    amount, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def place_models(manifest: Manifest, staged: Path, models: Path) -> None:
    """Moves verified releases from `staged/models` to `models`, each at once."""
    for number, model in enumerate(manifest.models):
        place = models / model.place
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.exists():  # the same revision, perhaps half of it: an engine that has it open keeps its files
            place.rename(staged / f"replaced-{number}")
        (staged / MODELS / model.place).rename(place)


def _percent(manifest: Manifest, say: Say) -> Callable[[Member], None]:
    """Says how far it is, every tenth of the way."""
    total = sum(member.size for member in manifest.members) or 1
    done = said = 0

    def told(member: Member) -> None:
        nonlocal done, said
        done += member.size
        if done * 10 // total > said:
            said = done * 10 // total
            say(f"Verified {said * 10} % of {in_words(total)}")

    return told


def install(file: Path, into: Path, trusted: bytes, say: Say = print) -> Manifest:
    """Installs all of a bundle below `into`. Raises `Refused` before anything there was changed, or `OSError`."""
    with file.open("rb") as opened, staging(into) as staged:
        bundle = Bundle(opened)
        manifest = bundle.open(trusted)
        names = ", ".join(f"{model.name} {model.revision}" for model in manifest.models)
        say(f"The signature is good. Sampan {manifest.sampan}: {names or 'no models'}.")
        if manifest.has_wheels:
            _check_machine(manifest)
            wheels = sum(member.size for member in manifest.members if member.path.startswith(f"{WHEELS}/"))
            _make_room(sum(member.size for member in manifest.members) + _UNPACKED * wheels, into)
        unpack(bundle, manifest, staged, _percent(manifest, say))
        say(f"All {len(manifest.members)} files are the ones that were signed.")
        data = into / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        place_models(manifest, staged, data / MODELS)
        if manifest.has_wheels:
            shutil.rmtree(into / WHEELS, ignore_errors=True)
            (staged / WHEELS).rename(into / WHEELS)
            (staged / REQUIREMENTS).replace(into / REQUIREMENTS)
            _make_environment(into, say)
    return manifest


def _check_machine(manifest: Manifest) -> None:
    if (manifest.python, manifest.machine) != (python(), machine()):
        raise Refused(
            f"the wheels in this bundle are for Python {manifest.python} on {manifest.machine}, and this is Python "
            f"{python()} on {machine()}. Start {SCRIPT} with that Python, or make the bundle on a machine like this."
        )


def _make_environment(into: Path, say: Say) -> None:
    """`into/.venv` with the wheels, from nowhere else: what pip reads of its environment and configuration is empty."""
    say("Installing ...")
    environment = into / ".venv"
    try:
        venv.create(environment, with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, OSError) as error:
        raise Refused(f"a virtual environment cannot be made: {error}. On Debian: apt install python3-venv") from None
    command = [str(environment / "bin" / "python"), "-m", "pip", "--isolated", "--disable-pip-version-check", "install"]
    command += ["--quiet", "--no-index", "--find-links", str(into / WHEELS), "--require-hashes", "--no-cache-dir"]
    # Compiling all of it takes longer than installing it, and Python compiles what is used when it is used.
    command += ["--no-compile", "-r", str(into / REQUIREMENTS)]
    quiet = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(command, env=quiet, text=True, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Refused(f"pip could not install the wheels: {done.stderr.strip()[-2000:]}")


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Installs a Sampan bundle on a machine without a network.")
    parser.add_argument("file", type=Path, help="the bundle")
    parser.add_argument("--into", type=Path, required=True, help="folder to install into")
    parser.add_argument("--trust", required=True, help="public key of who made it, or a file with it")
    given = parser.parse_args(words)
    try:
        manifest = install(given.file, given.into, read_key(given.trust))
    except (Refused, OSError) as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("install: stopped; the same command begins again", file=sys.stderr)
        return 130
    if manifest.has_wheels:
        print(f"Start it with: cd {given.into.resolve()} && .venv/bin/sampan serve")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
