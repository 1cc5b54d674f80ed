"""The ledger of accelerator memory: against a sequential model, between real processes, and after deaths."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.engines.ledger import GIB, Claim, Entry, Ledger, Memory, born, shortage
from sampan.errors import ConfigError

TOTAL = 16 * GIB


def measured(device: str) -> Memory:
    return Memory(TOTAL, TOTAL)  # nothing is loaded in these tests: only claims count


def test_what_fits_is_claimed_and_what_does_not_is_said_with_numbers(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, measure=measured)
    first = ledger.claim("cuda:0", "vl", 10 * GIB)
    with pytest.raises(ConfigError) as caught:
        ledger.claim("cuda:0", "image", 8 * GIB)
    said = str(caught.value)
    assert "image does not fit on cuda:0" in said
    assert "it needs 8.0 GiB, and of 16.0 GiB there are 5.5 GiB left" in said
    assert f"held by vl 10.0 GiB (process {os.getpid()})" in said
    ledger.claim("cuda:1", "image", 8 * GIB)  # another device is another matter
    first.leave()
    first.leave()
    with ledger.claim("cuda:0", "image", 8 * GIB):
        assert [entry.name for entry in ledger.entries("cuda:0")] == ["image"]
    assert ledger.entries("cuda:0") == []


def test_a_device_is_one_whatever_two_processes_call_it(tmp_path: Path) -> None:
    ours = Ledger(tmp_path, measure=lambda device: Memory(TOTAL, TOTAL, "cuda-GPU-7"))
    ours.claim("cuda:0", "vl", 10 * GIB)
    with pytest.raises(ConfigError, match=r"held by vl 10\.0 GiB"):
        ours.claim("cuda:1", "image", 8 * GIB)
    Ledger(tmp_path, measure=lambda device: Memory(TOTAL, TOTAL, "cuda-GPU-8")).claim("cuda:0", "image", 8 * GIB)


def test_memory_that_strangers_use_is_not_given_away() -> None:
    mine = [Entry(1, 1, "vl", 4 * GIB, 1)]
    assert shortage(mine, 6 * GIB, free=12 * GIB, total=TOTAL) == ""  # the 4 that are used are the 4 that are claimed
    assert shortage(mine, 6 * GIB, free=8 * GIB, total=TOTAL) == ""
    assert "programs outside the ledger 4.0 GiB" in shortage(mine, 8 * GIB, free=8 * GIB, total=TOTAL)
    assert shortage([], 1, free=0, total=TOTAL)


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, measure=measured)
    code = (
        "import sys, pathlib; from sampan.engines.ledger import GIB, Ledger, Memory; full = Memory(16 * GIB, 16 * GIB);"
        f"Ledger(pathlib.Path({str(tmp_path)!r}), measure=lambda d: full).claim('cuda:0', 'vl', 15 * GIB);"
        "print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"vl 15.0 GiB .process {child.pid}."):
            ledger.claim("cuda:0", "image", 2 * GIB)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()
    ledger.claim("cuda:0", "image", 2 * GIB)
    assert [entry.name for entry in ledger.entries("cuda:0")] == ["image"]


def test_a_number_that_another_process_has_now_holds_nothing(tmp_path: Path) -> None:
    births = {os.getpid(): 5}
    ledger = Ledger(tmp_path, measure=measured, born=births.get)
    ledger.claim("cuda:0", "vl", 15 * GIB)
    births[os.getpid()] = 6
    ledger.claim("cuda:0", "image", 15 * GIB)
    assert [entry.name for entry in ledger.entries("cuda:0")] == ["image"]
    assert born(os.getpid())
    assert born(2**22 + 1) is None


def test_a_torn_page_stops_the_start_with_its_name(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, measure=measured)
    ledger.claim("cuda:0", "vl", GIB)
    (tmp_path / "cuda-0.json").write_bytes(b'[{"pid":')
    with pytest.raises(ConfigError, match=r"cuda-0\.json cannot be read"):
        ledger.claim("cuda:0", "image", GIB)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        Ledger(blocked, measure=measured).claim("cuda:0", "image", GIB)


def serve(folder: str, pipe: Connection) -> None:
    """A process that claims and leaves as it is told."""
    ledger = Ledger(Path(folder), measure=measured)
    claims: list[Claim] = []
    while (asked := pipe.recv()) is not None:
        verb, number = asked
        if verb == "leave":
            claims.pop(number % len(claims)).leave() if claims else None
            pipe.send(True)
            continue
        try:
            claims.append(ledger.claim("cuda:0", "engine", number * GIB))
            pipe.send(True)
        except ConfigError:
            pipe.send(False)


class Fleet:
    """Some processes that share a folder, each made again when it was killed."""

    def __init__(self, folder: Path, count: int) -> None:
        self._context = multiprocessing.get_context("fork")
        self._folder = folder
        self._members: list[tuple[Any, Connection]] = [self._member() for _ in range(count)]

    def _member(self) -> tuple[Any, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(str(self._folder), theirs), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def ask(self, member: int, verb: str, number: int) -> bool:
        pipe = self._members[member][1]
        pipe.send((verb, number))
        assert pipe.poll(60)
        return bool(pipe.recv())

    def ask_all(self, number: int) -> int:
        """All claim at once; how many got it."""
        for _, pipe in self._members:
            pipe.send(("claim", number))
        return sum(bool(pipe.recv()) for _, pipe in self._members if pipe.poll(60))

    def kill(self, member: int) -> None:
        process, pipe = self._members[member]
        process.kill()
        process.join()
        pipe.close()
        self._members[member] = self._member()

    def close(self) -> None:
        for process, pipe in self._members:
            process.kill()
            process.join()
            pipe.close()


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["claim", "claim", "leave", "kill"]), st.integers(0, 9)), max_size=25
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_several_processes_do_what_one_list_would(tmp_path: Path, steps: list[tuple[int, str, int]]) -> None:
    folder = tmp_path / os.urandom(4).hex()
    fleet = Fleet(folder, 3)
    held: list[list[int]] = [[], [], []]
    try:
        for member, verb, number in steps:
            if verb == "kill":
                fleet.kill(member)
                held[member] = []
            elif verb == "leave":
                fleet.ask(member, verb, number)
                if held[member]:
                    held[member].pop(number % len(held[member]))
            else:
                fits = sum(map(sum, held)) * GIB + number * GIB <= TOTAL - GIB // 2
                assert fleet.ask(member, verb, number) == fits
                if fits:
                    held[member].append(number)
        left = Counter(entry.bytes // GIB for entry in Ledger(folder, measure=measured).entries("cuda:0"))
        assert left == Counter(size for sizes in held for size in sizes)
    finally:
        fleet.close()


def test_of_many_at_once_only_as_many_get_in_as_fit(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 6)
    try:
        assert fleet.ask_all(4) == 3
        assert len(Ledger(tmp_path, measure=measured).entries("cuda:0")) == 3
    finally:
        fleet.close()
