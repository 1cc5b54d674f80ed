"""Holds another's server on a leash: it ends when whoever started it does, and takes what it started along.

    python -m sampan.engines.leash [--grace SECONDS] -- vllm serve …

Standard input is a pipe that the supervisor holds. When that ends, or SIGTERM or SIGINT comes, the command's whole
process group is asked to end by SIGTERM (`docker run` hands that on to its container), and killed `--grace` seconds on.
The command's own exit status is ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

GRACE = 5.0  # seconds: the supervisor kills after seven
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CANNOT_START = 127


def main(argv: Sequence[str]) -> int:
    """Runs a command until it ends or is to end; returns its exit status, 128 + N where signal N ended it."""
    ours, command = (argv[: argv.index("--")], list(argv[argv.index("--") + 1 :])) if "--" in argv else (argv, [])
    grace = float(ours[1]) if ours[:1] == ["--grace"] else GRACE
    if not command:
        print("leash: say what to run after --", file=sys.stderr)
        return 2
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    # A SIGKILL of this process is left to the kernel: the command goes with it. Loaded here, before the fork.
    tie = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # There is no thread yet, so the fork is safe.
            preexec_fn=None if tie is None else lambda: tie(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509
        )
    except OSError as error:
        print(f"leash: {command[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return _CANNOT_START
    threading.Thread(target=_watch_lifeline, args=(ending,), daemon=True).start()
    threading.Thread(target=_await, args=(process, ending), daemon=True).start()
    ending.wait()
    return _see_out(process, grace)


def _watch_lifeline(ending: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    ending.set()


def _await(process: subprocess.Popen[bytes], ending: threading.Event) -> None:
    process.wait()
    ending.set()


def _see_out(process: subprocess.Popen[bytes], grace: float) -> int:
    """Ends the group, politely first; what the command itself left behind is killed too."""
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    _signal(process.pid, signal.SIGKILL)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
