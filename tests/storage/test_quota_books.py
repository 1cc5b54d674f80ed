"""The journal of quota and its table: every entry counts once, however the process ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.ledger import SETTLED, Books, Entry, Folder, Pot, heading, pack, unpack

names = st.text(max_size=30)
pots = st.builds(Pot, names, names, st.integers(0, 2**40), st.integers(0, 2**53))
charges = st.lists(st.tuples(pots, st.integers(0, 2**53)), max_size=4)
DAY = Pot("few|calls|day", "user=li", 0, 86_400)
NIGHT = Pot("few|calls|day", "user=wang", 0, 86_400)


@contextmanager
def database(folder: Path) -> Iterator[Database]:
    found = Database(folder)
    try:
        yield found
    finally:
        found.close()


@given(st.integers(0, 2**64 - 1), charges)
def test_an_entry_is_read_as_it_was_written(lease: int, charged: list[tuple[Pot, int]]) -> None:
    payload = pack(SETTLED, lease, ((heading(pot), amount) for pot, amount in charged))
    assert unpack(payload) == Entry(SETTLED, lease, tuple(charged))


@given(st.binary(max_size=60))
def test_what_is_no_entry_is_refused(payload: bytes) -> None:
    try:
        entry = unpack(payload)
    except ValueError:
        return
    assert unpack(pack(entry.kind, entry.lease, ((heading(pot), amount) for pot, amount in entry.charges))) == entry


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), amounts=st.lists(st.integers(1, 1000), min_size=1, max_size=12))
def test_a_torn_write_loses_only_what_was_not_kept_yet(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, amounts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    with database(folder) as opened:
        books = Books(opened, capacity=1 << 12)
        books.open()
        ends = []
        for amount in amounts:
            books.append(pack(SETTLED, 0, [(heading(DAY), amount)]))
            ends.append(books._spool.tail if books._spool else 0)
        books.close()
        torn = data.draw(st.integers(0, ends[-1] - 1))
        path = folder / "quota.journal"
        content = bytearray(path.read_bytes())
        content[4096 + torn] ^= 0x55  # where the death of a process left something else
        path.write_bytes(content)
        again = Books(opened, capacity=1 << 12)
        again.open()
        folding = Folder(again)
        folding.start()
        folding.close()
        whole = sum(amount for amount, end in zip(amounts, ends, strict=True) if end <= torn)
        assert again.spent(0).get(DAY, 0) == whole
        again.close()


def test_a_death_between_the_table_and_the_release_counts_nothing_twice(tmp_path: Path) -> None:
    with database(tmp_path) as opened:
        books = Books(opened, capacity=1 << 12)
        books.open()
        for amount in (3, 4):
            books.append(pack(SETTLED, 0, [(heading(DAY), amount), (heading(NIGHT), 1)]))
        books.fold(books.group())  # and dies
        books.append(pack(SETTLED, 0, [(heading(DAY), 5)]))
        books.close()
        again = Books(opened, capacity=1 << 12)
        again.open()
        group = again.group()
        assert len(group.entries) == 3, "they are seen again"
        assert again.fold(group) == {DAY: 5}
        assert again.fold(group) == {}
        again.release(group)
        assert again.spent(0) == {DAY: 12, NIGHT: 2}
        assert again.spent(86_400) == {}
        assert again.shares(0) == {again.node: {DAY: 12, NIGHT: 2}}
        again.close()


class _Faulty(Books):
    """Its table fails when it is told to: before anything is written, or when all of it is."""

    fault = ""

    def _store(self, sums: Mapping[Pot, int], end: int) -> None:
        if self.fault == "before":
            raise ConfigError("the database is locked")
        super()._store(sums, end)
        if self.fault == "after":
            self._folded = 0  # nobody heard that it was committed
            raise ConfigError("the connection is gone")


STEPS = ("charge", "charge", "append", "fold", "fail before", "fail after", "die")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1000)), max_size=16))
def test_whatever_fails_each_charge_counts_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    with database(tmp_path_factory.mktemp("faults")) as opened:
        books = _Faulty(opened, capacity=1 << 12)
        books.open()
        charged = dict.fromkeys((DAY, NIGHT), 0)
        for step, amount in steps:
            if step in ("charge", "append"):
                pairs = [(DAY, amount), (NIGHT, 1)]
                charged[DAY] += amount
                charged[NIGHT] += 1
                named = [(heading(pot), each) for pot, each in pairs]
                books.charge(named) if step == "charge" else books.append(pack(SETTLED, 0, named))
            elif step == "die":
                books.close()
                books = _Faulty(opened, capacity=1 << 12)
                books.open()
            elif step == "fold":
                books.fold_next()
                assert books.empty
            else:
                books.fault = step.partition(" ")[2]
                try:
                    books.fold_next()
                    assert books.empty, "there was nothing to write"
                except ConfigError:
                    assert not books.empty
                books.fault = ""
        books.fold_next()
        assert books.empty
        assert books.spent(0) == {pot: amount for pot, amount in charged.items() if charged[NIGHT]}
        books.close()


def test_charges_are_folded_without_being_read(tmp_path: Path) -> None:
    with database(tmp_path) as opened:
        books = Books(opened, capacity=1 << 12)
        books.open()
        assert books.fold_next() == 0
        for amount in (3, 4):
            books.charge([(heading(DAY), amount), (heading(NIGHT), 1)])
        assert books.group().entries[1] == Entry(SETTLED, 0, ((DAY, 4), (NIGHT, 1))), "a dead process left the same"
        assert books.fold_next() == 0
        books.charge([(heading(DAY), 5)])
        books.append(pack(SETTLED, 0, [(heading(DAY), 6)]))
        assert books.fold_next() == 2, "one of them was never added up"
        assert books.spent(0) == {DAY: 18, NIGHT: 2}
        books.close()


def test_charges_that_come_while_others_are_folded_count_once(tmp_path: Path) -> None:
    with database(tmp_path) as opened:
        books = Books(opened, capacity=1 << 20)
        books.open()
        folder = Folder(books, linger=0.0)
        folder.start()
        for _ in range(3000):
            books.charge([(heading(DAY), 2)])
            folder.wake()
        assert folder.flush(30.0)
        assert books.spent(0) == {DAY: 6000}
        folder.close()
        books.close()


def test_charges_beyond_a_full_journal_count_once(tmp_path: Path) -> None:
    with database(tmp_path) as opened:
        books = Books(opened, capacity=256)
        books.open()
        books.fold_next()
        for _ in range(20):
            books.charge([(heading(DAY), 1)])
        assert not books.has_room
        while not books.empty:
            books.fold_next()
        assert books.spent(0) == {DAY: 20}
        books.close()


def test_a_journal_that_was_taken_away_starts_anew(tmp_path: Path) -> None:
    with database(tmp_path) as opened:
        for _ in range(2):
            books = Books(opened, capacity=1 << 12)
            books.open()
            books.append(pack(SETTLED, 0, [(heading(DAY), 7)]))
            folder = Folder(books)
            folder.start()
            folder.close()
            books.close()
            (tmp_path / "quota.journal").unlink()
        assert Books(opened).spent(0) == {DAY: 14}


def test_a_full_journal_loses_nothing_while_the_database_is_away(tmp_path: Path) -> None:
    with database(tmp_path) as opened:
        books = Books(opened, capacity=256)
        books.open()
        folder = Folder(books, linger=0.01)
        folder.start()
        blocker = sqlite3.connect(tmp_path / "sampan.db")
        blocker.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            books.append(pack(SETTLED, 0, [(heading(DAY), 1)]))
            folder.wake()
        assert not books.has_room
        blocker.rollback()
        blocker.close()
        assert folder.flush(30.0)
        assert books.spent(0) == {DAY: 20}
        assert books.has_room
        folder.close()
        books.close()
        with pytest.raises(RuntimeError):
            books.append(b"x")


def test_ended_windows_are_dropped_after_a_while(tmp_path: Path) -> None:
    minute, month = Pot("a", "", 0, 60), Pot("b", "", 0, 30 * 86_400)
    with database(tmp_path) as opened:
        books = Books(opened, capacity=1 << 12)
        books.open()
        books.append(pack(SETTLED, 0, [(heading(minute), 1), (heading(month), 2)]))
        folder = Folder(books)
        folder.start()
        folder.close()
        assert books.prune(80_000) == 0
        assert books.prune(90_000) == 1
        assert books.spent(0) == {month: 2}
        assert books.prune(80 * 86_400) == 1
        books.close()


def test_a_journal_that_is_something_else_is_refused(tmp_path: Path) -> None:
    with database(tmp_path) as opened:
        (tmp_path / "quota.journal").write_bytes(b"x" * 8192)
        with pytest.raises(ConfigError, match="damaged"):
            Books(opened).open()
