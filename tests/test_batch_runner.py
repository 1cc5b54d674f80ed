from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from sampan.batches import RETRY_AFTER, BatchRunner, verdict
from sampan.errors import ConfigError, Unauthenticated
from sampan.storage.batches import KEPT, LIFETIME, Asked, Batch, Batches, Outcome, Status
from sampan.storage.db import Database

Run = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Batches]:
    with closing(Database(tmp_path)) as database:
        yield Batches(database, clock)


def asked(count: int, prefix: str = "c") -> list[Asked]:
    return [Asked(f"{prefix}{each}", f'{{"n": "{prefix}{each}"}}'.encode()) for each in range(count)]


def message(body: bytes) -> bytes:
    return b'{"type": "message", "asked": ' + body + b"}"


def overloaded() -> bytes:
    return b'{"type":"error","error":{"type":"overloaded_error","message":"all are down"},"request_id":"req_7"}'


class Model:
    """Answers when it is let to; keeps what it was asked."""

    def __init__(self, *, held: bool = False) -> None:
        self.came: list[str] = []
        self.owners: list[tuple[str, Mapping[str, str]]] = []
        self.at_once = 0
        self.most = 0
        self.free = asyncio.Event()
        self.status = 200
        if not held:
            self.free.set()

    async def run(self, owner: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        self.came.append(json.loads(body)["n"])
        self.owners.append((owner, headers))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.free.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        return (200, message(body)) if self.status == 200 else (self.status, overloaded())


@asynccontextmanager
async def running(
    ledger: Batches, run: Run, clock: Clock, concurrency: int = 4, **options: Any
) -> AsyncIterator[BatchRunner]:
    runner = BatchRunner(ledger, run, clock, concurrency, **options)
    task = asyncio.create_task(runner.run_forever())
    try:
        yield runner
    finally:
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(condition):
            pass


async def ended(ledger: Batches, *batches: Batch) -> list[Batch]:
    await until(lambda: all(ledger.find("ann", each.id).status is Status.ENDED for each in batches))
    return [ledger.find("ann", each.id) for each in batches]


def outcomes(ledger: Batches, batch: Batch) -> dict[str, str]:
    return {each.custom_id: json.loads(each.body)["type"] for each in ledger.results(batch, -1, 10_000)}


async def test_every_request_is_run_once_as_its_owner_and_few_at_a_time(ledger: Batches, clock: Clock) -> None:
    model = Model(held=True)
    batch = ledger.create("ann", {"anthropic-beta": "b"}, asked(20))
    async with running(ledger, model.run, clock, 3) as runner:
        await until(lambda: model.at_once == 3)
        runner.wake()
        model.free.set()
        [done] = await ended(ledger, batch)
    assert (done.succeeded, done.total) == (20, 20)
    assert sorted(model.came) == sorted(each.custom_id for each in asked(20))
    assert set(map(str, model.owners)) == {str(("ann", {"anthropic-beta": "b"}))}
    assert model.most == 3
    for result in ledger.results(batch, -1, 100):
        assert json.loads(result.body) == {
            "type": "succeeded",
            "message": {"type": "message", "asked": {"n": result.custom_id}},
        }


async def test_a_batch_that_comes_later_is_begun_when_the_runner_is_woken(ledger: Batches, clock: Clock) -> None:
    model = Model()
    async with running(ledger, model.run, clock, tick=1000) as runner:
        first = ledger.create("ann", {}, asked(1))
        runner.wake()
        await ended(ledger, first)
        second = ledger.create("ann", {}, asked(1))
        runner.wake()
        await ended(ledger, second)


async def test_a_small_batch_does_not_wait_for_a_large_one(ledger: Batches, clock: Clock) -> None:
    model = Model()
    large, small = ledger.create("ann", {}, asked(30, "l")), ledger.create("ann", {}, asked(3, "s"))
    async with running(ledger, model.run, clock, 1):
        await ended(ledger, large, small)
    assert model.came[:6] == ["l0", "s0", "l1", "s1", "l2", "s2"]


async def test_a_runner_that_stops_leaves_what_it_ran_to_the_next(ledger: Batches, clock: Clock) -> None:
    model = Model(held=True)
    batch = ledger.create("ann", {}, asked(5))
    async with running(ledger, model.run, clock, 2):
        await until(lambda: len(model.came) == 2)
    assert model.at_once == 0
    assert outcomes(ledger, batch) == {}
    again = Model()
    async with running(ledger, again.run, clock):
        await ended(ledger, batch)
    assert sorted(again.came) == ["c0", "c1", "c2", "c3", "c4"]


async def test_what_has_a_result_is_never_run_again(ledger: Batches, clock: Clock) -> None:
    batch = ledger.create("ann", {}, asked(5))
    ledger.settle(batch, 1, Outcome.SUCCEEDED, b'{"type":"succeeded"}')
    ledger.settle(batch, 3, Outcome.ERRORED, b'{"type":"errored"}')
    model = Model()
    async with running(ledger, model.run, clock):
        await ended(ledger, batch)
    assert sorted(model.came) == ["c0", "c2", "c4"]


async def test_cancel_stops_what_has_not_begun(ledger: Batches, clock: Clock) -> None:
    model = Model(held=True)
    batch = ledger.create("ann", {}, asked(6))
    async with running(ledger, model.run, clock, 2, tick=1000) as runner:
        await until(lambda: len(model.came) == 2)
        ledger.cancel("ann", batch.id)
        runner.wake()
        await until(lambda: len(outcomes(ledger, batch)) == 4)
        assert ledger.find("ann", batch.id).status is Status.CANCELING
        model.free.set()
        [done] = await ended(ledger, batch)
    assert (done.succeeded, done.canceled) == (2, 4)
    assert len(model.came) == 2


async def test_what_has_not_begun_within_a_day_expires(ledger: Batches, clock: Clock) -> None:
    model = Model(held=True)
    batch = ledger.create("ann", {}, asked(3))
    async with running(ledger, model.run, clock, 1, tick=1000) as runner:
        await until(lambda: len(model.came) == 1)
        clock.now += LIFETIME
        runner.wake()
        await until(lambda: len(outcomes(ledger, batch)) == 2)
        model.free.set()
        [done] = await ended(ledger, batch)
    assert (done.succeeded, done.expired) == (1, 2)


async def test_old_results_are_archived_by_the_runner(ledger: Batches, clock: Clock) -> None:
    batch = ledger.create("ann", {}, asked(1))
    async with running(ledger, Model().run, clock, tick=1000) as runner:
        await ended(ledger, batch)
        clock.now += KEPT + 1
        runner.wake()
        await until(lambda: ledger.find("ann", batch.id).archived == clock.now)


async def test_busy_targets_are_asked_again_later_and_not_for_ever(ledger: Batches, clock: Clock) -> None:
    model = Model()
    model.status = 529
    batch = ledger.create("ann", {}, asked(1))
    async with running(ledger, model.run, clock, tick=1000) as runner:
        for tries, wait in enumerate(RETRY_AFTER, 1):
            await until(lambda: len(model.came) == tries and model.at_once == 0)  # noqa: B023
            clock.now += wait - 1
            runner.wake()
            assert outcomes(ledger, batch) == {}
            clock.now += 1
            runner.wake()
        [done] = await ended(ledger, batch)
    assert len(model.came) == len(RETRY_AFTER) + 1
    assert done.errored == 1
    error = json.loads(ledger.results(batch, -1, 1)[0].body)["error"]
    assert error == json.loads(overloaded())


async def test_a_request_that_waits_for_a_busy_target_holds_nobody_up(ledger: Batches, clock: Clock) -> None:
    model = Model()

    async def run(owner: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        answer = await model.run(owner, headers, body)
        return (429, b"slow down") if body == asked(1)[0].params and len(model.came) < 3 else answer

    batch = ledger.create("ann", {}, asked(3))
    async with running(ledger, run, clock, 1, tick=1000) as runner:
        await until(lambda: len(outcomes(ledger, batch)) == 2)
        clock.now += RETRY_AFTER[0]
        runner.wake()
        [done] = await ended(ledger, batch)
    assert model.came == ["c0", "c1", "c2", "c0"]
    assert done.succeeded == 3


async def test_refusals_and_mistakes_are_errored_results(ledger: Batches, clock: Clock) -> None:
    async def run(owner: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        if json.loads(body)["n"] == "c0":
            raise Unauthenticated("the key is not valid any more")
        raise KeyError("a secret detail")

    batch = ledger.create("ann", {}, asked(2))
    async with running(ledger, run, clock):
        [done] = await ended(ledger, batch)
    assert done.errored == 2
    first, second = (json.loads(each.body)["error"]["error"] for each in ledger.results(batch, -1, 2))
    assert first == {"type": "authentication_error", "message": "the key is not valid any more"}
    assert second["type"] == "api_error"
    assert "secret" not in second["message"]


class Failing(Batches):
    """A ledger whose database fails the first times that it is written or read."""

    settles = 2
    opens = 1

    def settle(self, batch: Batch, position: int, outcome: Outcome, result: bytes) -> bool:
        if self.settles:
            self.settles -= 1
            raise ConfigError("database is locked")
        return super().settle(batch, position, outcome, result)

    def open(self) -> list[Batch]:
        if self.opens:
            self.opens -= 1
            raise ConfigError("database is locked")
        return super().open()


async def test_a_database_that_fails_costs_no_answer(tmp_path: Path, clock: Clock) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with closing(Database(tmp_path)) as database:
        ledger, model = Failing(database, clock), Model()
        batch = ledger.create("ann", {}, asked(1))
        async with running(ledger, model.run, clock, tick=0.01, sleep=sleep):
            await ended(ledger, batch)
    assert model.came == ["c0"]
    assert slept == [0.01, 0.01]


class Slow(Batches):
    """A ledger that is in the middle of keeping a result until it is let go on."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self.keeping, self.go_on = threading.Event(), threading.Event()

    def settle(self, batch: Batch, position: int, outcome: Outcome, result: bytes) -> bool:
        self.keeping.set()
        assert self.go_on.wait(20)
        return super().settle(batch, position, outcome, result)


async def test_an_answer_that_is_here_when_the_runner_stops_is_kept(tmp_path: Path, clock: Clock) -> None:
    with closing(Database(tmp_path)) as database:
        ledger = Slow(database, clock)
        batch = ledger.create("ann", {}, asked(1))
        task = asyncio.create_task(BatchRunner(ledger, Model().run, clock).run_forever())
        await until(ledger.keeping.is_set)
        task.cancel()
        await asyncio.sleep(0)
        ledger.go_on.set()
        await asyncio.wait((task,))
        assert outcomes(ledger, batch) == {"c0": "succeeded"}


async def test_a_call_that_was_broken_off_by_the_stop_is_run_again(ledger: Batches, clock: Clock) -> None:
    """A pipeline that stops may answer 529 in place of being cancelled: that is no result of the request."""

    async def run(owner: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
        return 529, overloaded()

    begun = asyncio.Event()
    batch = ledger.create("ann", {}, asked(1))
    async with running(ledger, run, clock):
        await begun.wait()
    assert outcomes(ledger, batch) == {}
    async with running(ledger, Model().run, clock):
        [done] = await ended(ledger, batch)
    assert done.succeeded == 1


@pytest.mark.parametrize(
    ("status", "body", "outcome", "kind"),
    [
        (200, b'{\n"type": "message",\r\n"content": []}', Outcome.SUCCEEDED, ""),
        (200, b'{"type": "completion"}', Outcome.ERRORED, "api_error"),
        (200, b"", Outcome.ERRORED, "api_error"),
        (200, b'{"type": "message", "id": "\xff"}', Outcome.ERRORED, "api_error"),
        (
            404,
            b'{"error": {"type": "not_found_error", "message": "no such model"}}',
            Outcome.ERRORED,
            "not_found_error",
        ),
        (422, b"[" * 5000, Outcome.ERRORED, "invalid_request_error"),
        (500, b"<html>", Outcome.ERRORED, "api_error"),
        (429, b"{}", Outcome.ERRORED, "rate_limit_error"),
    ],
)
def test_what_an_answer_means(status: int, body: bytes, outcome: Outcome, kind: str) -> None:
    found, result = verdict(status, body)
    assert found is outcome
    assert b"\n" not in result
    assert b"\r" not in result
    said = json.loads(result)
    assert said["type"] == outcome.value
    if kind:
        assert (said["error"]["type"], said["error"]["error"]["type"]) == ("error", kind)
    else:
        assert said["message"] == {"type": "message", "content": []}


# A gateway that is killed by the kernel while it answers its n-th request, and one that is started after it.
DOOMED = """
import asyncio, os, signal, sys
from pathlib import Path
from sampan.batches import BatchRunner
from sampan.storage.batches import Batches
from sampan.storage.db import Database

folder, last = Path(sys.argv[1]), int(sys.argv[2])
came = 0

async def run(owner, headers, body):
    global came
    with open(folder / "ran", "ab") as file:
        file.write(body + b"\\n")
    came += 1
    if came == last:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0)
    return 200, b'{"type": "message"}'

def clock():
    return 1_700_000_001.0

asyncio.run(BatchRunner(Batches(Database(folder), clock), run, clock, 2).run_forever())
"""


async def test_kill_9_loses_no_request_and_runs_none_that_has_its_result(tmp_path: Path, clock: Clock) -> None:
    with closing(Database(tmp_path)) as database:
        ledger = Batches(database, clock)
        batch = ledger.create("ann", {}, asked(12))
        clock.now += 1
        settled: dict[str, str] = {}
        for last in (1, 4, 3):
            before = set(settled)
            (tmp_path / "ran").write_bytes(b"")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", DOOMED, str(tmp_path), str(last), stderr=subprocess.PIPE, env={**os.environ}
            )
            async with asyncio.timeout(30):
                _, said = await process.communicate()
            assert process.returncode == -signal.SIGKILL, said.decode()
            ran = {json.loads(line)["n"] for line in (tmp_path / "ran").read_bytes().splitlines()}
            assert not ran & before
            settled = outcomes(ledger, batch)
            assert before <= set(settled)
        model = Model()
        async with running(ledger, model.run, clock):
            [done] = await ended(ledger, batch)
        assert not set(model.came) & set(settled)
        assert done.succeeded == 12
        assert list(outcomes(ledger, batch)) == [f"c{each}" for each in range(12)]
