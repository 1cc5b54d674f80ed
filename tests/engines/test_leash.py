"""Another's server ends with whoever started it, and takes its children along."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# Starts a child that ignores SIGTERM, says both pids, and waits.
STUBBORN = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c",
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"],
    stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
signal.pause()
"""
READY = "import os, signal; print(os.getpid(), flush=True); signal.pause()"


@contextmanager
def leashed(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "sampan.engines.leash", "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def pids(process: subprocess.Popen[bytes]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


def wait_gone(pid: int) -> None:
    """Until the process is no more, or only its exit status is left."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 20)[0], f"process {pid} is still there"
    finally:
        os.close(handle)


@pytest.mark.parametrize("how", ["lifeline", "sigterm", "sigkill"])
def test_the_command_ends_with_its_leash(how: str) -> None:
    with leashed(sys.executable, "-c", READY) as process:
        [pid] = pids(process)
        if how == "lifeline":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGKILL)
        process.wait(20)
        wait_gone(pid)


def test_children_that_do_not_listen_are_killed() -> None:
    with leashed(sys.executable, "-c", STUBBORN) as process:
        both = pids(process)
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
        for pid in both:
            wait_gone(pid)


def test_the_exit_status_is_the_commands() -> None:
    with leashed(sys.executable, "-c", "raise SystemExit(7)") as process:
        assert process.wait(20) == 7


def test_a_command_that_is_not_there_is_told() -> None:
    with leashed("no-such-server-anywhere", "serve") as process:
        assert process.wait(20) == 127
        assert process.stderr is not None
        assert process.stderr.read() == b"leash: no-such-server-anywhere cannot be started: No such file or directory\n"


def test_without_a_command_it_says_so() -> None:
    with leashed() as process:
        assert process.wait(20) == 2
