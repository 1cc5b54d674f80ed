from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from postgres_process import PostgresProcess
from sqlalchemy import Connection, func, select

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.batches import KEPT, LIFETIME, Asked, Batch, Batches, Outcome, Status
from sampan.storage.db import Database
from sampan.storage.tables import BATCH_REQUESTS


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, database_url: str, clock: Clock) -> Iterator[Batches]:
    with closing(Database(tmp_path, database_url, busy_seconds=0)) as database:
        yield Batches(database, clock)


def asked(count: int) -> list[Asked]:
    return [Asked(f"c{each}", json.dumps({"n": each}).encode()) for each in range(count)]


def counts(batch: Batch) -> tuple[int, int, int, int]:
    return batch.succeeded, batch.errored, batch.canceled, batch.expired


def test_a_batch_from_its_creation_to_its_end(ledger: Batches, clock: Clock) -> None:
    batch = ledger.create("ann", {"anthropic-beta": "x"}, asked(3))
    assert (batch.status, batch.total, batch.expires) == (Status.IN_PROGRESS, 3, clock.now + LIFETIME)
    assert ledger.open() == [batch]
    assert ledger.open()[0].headers == {"anthropic-beta": "x"}
    assert ledger.pending(batch, -1, 1) == [(0, b'{"n": 0}')]
    assert ledger.pending(batch, 1, 1) == [(2, b'{"n": 2}')]
    assert ledger.pending(batch, 2, 1) == []
    assert ledger.settle(batch, 2, Outcome.SUCCEEDED, b"two")
    assert ledger.settle(batch, 0, Outcome.ERRORED, b"zero")
    assert ledger.pending(batch, -1, 1) == [(1, b'{"n": 1}')]
    assert counts(ledger.find("ann", batch.id)) == (0, 0, 0, 0)
    clock.now += 5
    assert ledger.settle(batch, 1, Outcome.SUCCEEDED, b"one")
    ended = ledger.find("ann", batch.id)
    assert (ended.status, ended.ended, counts(ended)) == (Status.ENDED, clock.now, (2, 1, 0, 0))
    assert ledger.open() == []
    assert [(each.custom_id, each.body) for each in ledger.results(batch, -1, 10)] == [
        ("c0", b"zero"),
        ("c1", b"one"),
        ("c2", b"two"),
    ]
    assert [each.position for each in ledger.results(batch, 0, 1)] == [1]


def test_the_first_result_of_a_request_stays(ledger: Batches, clock: Clock) -> None:
    batch = ledger.create("ann", {}, asked(1))
    assert ledger.settle(batch, 0, Outcome.SUCCEEDED, b"first")
    clock.now += 1
    assert not ledger.settle(batch, 0, Outcome.ERRORED, b"second")
    assert ledger.results(batch, -1, 10)[0].body == b"first"
    assert counts(ledger.find("ann", batch.id)) == (1, 0, 0, 0)
    assert ledger.find("ann", batch.id).ended == clock.now - 1


def test_cancel_ends_what_is_not_running(ledger: Batches, clock: Clock) -> None:
    batch = ledger.create("ann", {}, asked(4))
    ledger.settle(batch, 0, Outcome.SUCCEEDED, b"zero")
    canceling = ledger.cancel("ann", batch.id)
    assert (canceling.status, canceling.cancel_initiated) == (Status.CANCELING, clock.now)
    clock.now += 1
    assert ledger.cancel("ann", batch.id) == canceling
    assert ledger.close_pending(canceling, Outcome.CANCELED, {1}) == 2
    assert ledger.find("ann", batch.id).status is Status.CANCELING
    ledger.settle(batch, 1, Outcome.SUCCEEDED, b"one")
    ended = ledger.find("ann", batch.id)
    assert (ended.status, counts(ended)) == (Status.ENDED, (2, 0, 2, 0))
    assert ledger.results(batch, 1, 1)[0].body == b'{"type":"canceled"}'
    with pytest.raises(InvalidRequest, match="has ended already"):
        ledger.cancel("ann", batch.id)


def test_only_an_ended_batch_is_deleted_and_all_of_it(ledger: Batches) -> None:
    batch = ledger.create("ann", {}, asked(1))
    with pytest.raises(InvalidRequest, match="cancel it first"):
        ledger.delete("ann", batch.id)
    ledger.close_pending(batch, Outcome.EXPIRED, ())
    ledger.delete("ann", batch.id)
    assert ledger.results(batch, -1, 10) == []
    with pytest.raises(NotFound):
        ledger.find("ann", batch.id)
    assert ledger.create("ann", {}, asked(1)).sequence > batch.sequence


def test_a_batch_is_its_owners_alone(ledger: Batches) -> None:
    batch = ledger.create("ann", {}, asked(1))
    for attempt in (ledger.find, ledger.cancel, ledger.delete):
        with pytest.raises(NotFound):
            attempt("bob", batch.id)
    assert ledger.page("bob", 10) == ([], False)
    with pytest.raises(InvalidRequest, match="after_id"):
        ledger.page("bob", 10, batch.id)


def test_pages_of_batches(ledger: Batches) -> None:
    made = [ledger.create("ann", {}, asked(1)) for _ in range(4)]
    assert ledger.page("ann", 3) == ([made[3], made[2], made[1]], True)
    assert ledger.page("ann", 3, after_id=made[1].id) == ([made[0]], False)
    assert ledger.page("ann", 2, before_id=made[0].id) == ([made[2], made[1]], True)


def test_results_are_archived_after_their_days(ledger: Batches, clock: Clock) -> None:
    old, open_ = ledger.create("ann", {}, asked(2)), ledger.create("ann", {}, asked(2))
    ledger.close_pending(old, Outcome.EXPIRED, ())
    clock.now += KEPT
    assert ledger.archive() == 0
    clock.now += 1
    assert ledger.archive() == 1
    assert ledger.archive() == 0
    archived = ledger.find("ann", old.id)
    assert (archived.archived, counts(archived)) == (clock.now, (0, 0, 0, 2))
    assert ledger.results(old, -1, 10) == []
    assert ledger.open() == [open_]
    ledger.delete("ann", old.id)


def test_many_requests_take_many_transactions(ledger: Batches) -> None:
    batch = ledger.create("ann", {}, asked(2501))
    assert ledger.pending(batch, 2499, 1) == [(2500, b'{"n": 2500}')]
    assert len(ledger.pending(batch, -1, 9999)) == 2501
    assert ledger.close_pending(batch, Outcome.CANCELED, {7}) == 2500
    assert ledger.pending(batch, -1, 1) == [(7, b'{"n": 7}')]


class Torn(Database):
    """A database whose process dies, as it were, in the middle of a large batch."""

    left = 3

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.left -= 1
        if self.left == 0:
            raise ConfigError("killed")
        with super().write() as connection:
            yield connection


def test_a_batch_that_was_never_accepted_is_nowhere_and_swept(tmp_path: Path, database_url: str, clock: Clock) -> None:
    with closing(Torn(tmp_path, database_url)) as torn:
        torn.left = 3
        with pytest.raises(ConfigError):
            Batches(torn, clock).create("ann", {}, asked(2500))
    with closing(Database(tmp_path, database_url)) as database:
        ledger = Batches(database, clock)

        def kept() -> int:
            with database.read() as connection:
                return connection.execute(select(func.count()).select_from(BATCH_REQUESTS)).scalar_one()

        assert kept() == 2000
        assert ledger.open() == []
        assert ledger.page("ann", 10) == ([], False)
        ledger.archive()
        assert kept() == 2000, "it may still be on its way"
        clock.now += LIFETIME + 1
        ledger.archive()
        assert kept() == 0


def test_of_several_gateways_one_runs_the_batches_and_another_when_it_is_gone(
    tmp_path: Path, clock: Clock, postgres: PostgresProcess
) -> None:
    url = postgres.url(postgres.make())
    with closing(Database(tmp_path / "other", url)) as there:
        other = Batches(there, clock)
        with closing(Database(tmp_path / "one", url)) as here:
            one = Batches(here, clock)
            batch = other.create("ann", {}, asked(1))
            assert one.open() == [batch]
            assert other.open() == []
            assert one.open() == [batch]
            assert other.find("ann", batch.id) == batch
        assert other.open() == [batch]


class Killed(RuleBasedStateMachine):
    """A gateway that begins, ends, cancels and dies as it likes: what it said is never taken back.

    `running` is what the process would know; a kill forgets it and opens the folder anew, with no goodbye to the old
    database. A result of a process that died may still have been on its way to the disk: `stale`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.databases: list[Database] = []
        self.batches: dict[str, Batch] = {}
        self.promised: dict[tuple[str, int], bytes] = {}
        self.running: set[tuple[str, int]] = set()
        self.stale: set[tuple[str, int]] = set()
        self.number = 0
        self.kill()

    @rule()
    def kill(self) -> None:
        self.stale |= self.running
        self.running = set()
        self.databases.append(Database(self.folder))
        self.ledger = Batches(self.databases[-1], self.clock)

    @rule(count=st.integers(1, 4))
    def create(self, count: int) -> None:
        batch = self.ledger.create("ann", {}, asked(count))
        self.batches[batch.id] = batch

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(list(self.batches.values())))
        after = max((position for name, position in self.running if name == batch.id), default=-1)
        found = self.ledger.pending(batch, after, 1)
        if found:
            assert (batch.id, found[0][0]) not in self.promised, "a request that has its result was run again"
            self.running.add((batch.id, found[0][0]))

    @precondition(lambda self: self.running or self.stale)
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.ERRORED]))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        place = data.draw(st.sampled_from(sorted(self.running | self.stale)))
        self.number += 1
        result = f"{outcome.value} {self.number}".encode()
        first = self.ledger.settle(self.batches[place[0]], place[1], outcome, result)
        assert first is (place not in self.promised)
        if first:
            self.promised[place] = result
        self.running.discard(place)
        self.stale.discard(place)

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), expire=st.booleans())
    def stop(self, data: st.DataObject, expire: bool) -> None:
        batch = data.draw(st.sampled_from(list(self.batches.values())))
        if not expire and self.ledger.find("ann", batch.id).status is not Status.ENDED:
            self.ledger.cancel("ann", batch.id)
        self.close(batch, Outcome.EXPIRED if expire else Outcome.CANCELED)

    def close(self, batch: Batch, outcome: Outcome) -> None:
        running = {position for name, position in self.running if name == batch.id}
        self.ledger.close_pending(batch, outcome, running)
        for result in self.ledger.results(batch, -1, 10):
            self.promised.setdefault((batch.id, result.position), result.body)

    @invariant()
    def what_was_said_stands(self) -> None:
        for batch in self.batches.values():
            kept = {(batch.id, each.position): each.body for each in self.ledger.results(batch, -1, 10)}
            assert kept == {place: body for place, body in self.promised.items() if place[0] == batch.id}
            now = self.ledger.find("ann", batch.id)
            assert (now.status is Status.ENDED) == (len(kept) == batch.total)
            assert sum(counts(now)) == (batch.total if now.status is Status.ENDED else 0)

    def teardown(self) -> None:
        self.kill()
        for batch in self.batches.values():
            self.close(batch, Outcome.EXPIRED)
        self.what_was_said_stands()
        assert self.ledger.open() == []
        assert len(self.promised) == sum(batch.total for batch in self.batches.values())
        for database in self.databases:
            database.close()
        shutil.rmtree(self.folder)


TestKilled = Killed.TestCase
TestKilled.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
