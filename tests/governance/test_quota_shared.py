"""Several nodes over a real Redis: one pot, deaths, outages, and data that is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_process import RedisProcess

from sampan.core import Spent
from sampan.errors import ConfigError, QuotaExceeded, Unavailable
from sampan.governance.quota_shared import SharedLease, SharedQuota
from sampan.governance.quota_sources import Settings
from sampan.storage.db import Database
from sampan.storage.ledger import Books
from sampan.storage.ledger_redis import RedisPots
from tests.governance.quota_house import LI, NOBODY, PLAN, WANG, call, limit, settings, took

MONTH = limit("month", "calls", 50, "month")
SOON = 20.0  # seconds; only a test that fails waits this long


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
async def redis(server: RedisProcess) -> AsyncIterator[RedisProcess]:
    """Empty, and alive again afterwards."""
    server.kill()
    server.start()
    yield server


class Node:
    """One gateway's ledger. Its life can end as by `kill -9`, and begin anew with what is in its folder."""

    def __init__(self, folder: Path, url: str, wanted: Settings) -> None:
        self.folder = folder
        self.url = url
        self.settings = wanted
        self.quota: SharedQuota
        self._task: asyncio.Task[None]

    async def begin(self) -> Node:
        self._database = await asyncio.to_thread(Database, self.folder)
        self._books = Books(self._database, capacity=1 << 16)
        self._pots = RedisPots(self.url, self._books.node)
        self.quota = SharedQuota(self._books, self._pots, None, self.settings)
        await asyncio.to_thread(self.quota.start)
        self._task = asyncio.create_task(self.quota.run())
        return self

    async def die(self) -> None:
        """What is in memory is gone; files are as they are."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._books.close()
        await self._pots.aclose()
        self._database.close()

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self.quota.aclose()
        self._database.close()

    async def take(self, **more: Any) -> SharedLease:
        lease = await self.quota.take(call(**more), LI, PLAN)
        assert lease is not None
        return lease

    async def spend(self) -> bool:
        try:
            lease = await self.take()
        except QuotaExceeded:
            return False
        lease.settle(took())
        return True

    async def bar(self) -> tuple[float, float]:
        [bar] = await self.quota.bars()
        return bar.spent, bar.reserved


@contextlib.asynccontextmanager
async def nodes(folder: Path, url: str, wanted: Settings, number: int = 2) -> AsyncIterator[list[Node]]:
    found = [await Node(folder / f"n{index}", url, wanted).begin() for index in range(number)]
    try:
        yield found
    finally:
        for node in found:
            with contextlib.suppress(RuntimeError):
                await node.end()


async def until(look: Callable[[], Any]) -> None:
    end = time.monotonic() + SOON
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def holds(node: Node, spent: float, reserved: float) -> bool:
    with contextlib.suppress(ConfigError):  # Redis may be gone just now
        return await node.bar() == (spent, reserved)
    return False


async def test_two_nodes_spend_exactly_one_pot(redis: RedisProcess, tmp_path: Path) -> None:
    async with nodes(tmp_path, redis.url, settings(MONTH)) as both:
        done = await asyncio.gather(*(both[number % 2].spend() for number in range(80)))
        assert sum(done) == 50
        await until(lambda: holds(both[0], 50, 0))
        with pytest.raises(QuotaExceeded, match="50 calls a month, 0 left") as full:
            await both[1].take()
        assert full.value.retry_after is not None and full.value.retry_after > 0
        assert not full.value.should_retry


async def test_none_is_charged_unless_all_fit(redis: RedisProcess, tmp_path: Path) -> None:
    wanted = settings(limit("few", "calls", 1, "day", user="*"), limit("month", "calls", 50, "month"))
    async with nodes(tmp_path, redis.url, wanted, 1) as [node]:
        (await node.take()).settle(took())
        with pytest.raises(QuotaExceeded, match="few"):
            await node.take()
        await until(lambda: _spent(node, {"few": (1, 0), "month": (1, 0)}))
        other = await node.quota.take(call(), WANG, PLAN)
        assert other is not None
        other.refund()
        await until(lambda: _spent(node, {"few": (1, 0), "month": (1, 0)}))


async def _spent(node: Node, wanted: dict[str, tuple[float, float]]) -> bool:
    found: dict[str, tuple[float, float]] = {}
    for bar in await node.quota.bars():
        spent, reserved = found.get(bar.limit.settings.name, (0.0, 0.0))
        found[bar.limit.settings.name] = (spent + bar.spent, reserved + bar.reserved)
    return found == wanted


async def test_tokens_are_reserved_as_a_bound_and_charged_as_they_were(redis: RedisProcess, tmp_path: Path) -> None:
    async with nodes(tmp_path, redis.url, settings(limit("t", "tokens", 1000, "day", soft=0.01)), 1) as [node]:
        lease = await node.take(answer=500)
        [(name, told)] = lease.headers
        assert name == "x-sampan-quota" and told.startswith("t; limit=1000; left=")
        spent, reserved = await node.bar()
        assert spent == 0 and 500 < reserved < 800
        with pytest.raises(QuotaExceeded):
            await node.take(answer=500)
        lease.settle(took(10, 20))
        await until(lambda: holds(node, 30, 0))
        (await node.take(answer=500)).settle(Spent(None, 640, PLAN[0]))
        await until(lambda: _is_between(node, 50, 150))


async def _is_between(node: Node, least: float, most: float) -> bool:
    spent, reserved = await node.bar()
    return reserved == 0 and least < spent < most


async def test_open_calls_are_given_back_at_once(redis: RedisProcess, tmp_path: Path) -> None:
    async with nodes(tmp_path, redis.url, settings(limit("open", "concurrency", 2))) as both:
        leases = [await node.take() for node in both]
        with pytest.raises(QuotaExceeded, match="2 open calls") as full:
            await both[0].take()
        assert full.value.retry_after == 1.0
        leases[1].refund()
        await until(both[0].spend)
        leases[0].settle(took())
        await until(lambda: holds(both[1], 0, 0))


async def test_a_node_that_died_comes_back_with_its_journal(redis: RedisProcess, tmp_path: Path) -> None:
    async with nodes(tmp_path, redis.url, settings(MONTH)) as both:
        for _ in range(3):
            await both[0].spend()
        await until(lambda: holds(both[1], 3, 0))
        settled, _open = await both[0].take(), await both[0].take()
        both[0]._task.cancel()  # the task that carries is dead already
        await asyncio.wait((both[0]._task,))
        settled.settle(took())
        await both[0].die()
        assert await both[1].bar() == (3, 2), "until it is back nobody knows"
        await both[0].begin()
        await until(lambda: holds(both[1], 4, 0))
        await both[0].die()
        await both[0].begin()
        await until(lambda: holds(both[1], 4, 0))


async def test_a_node_that_never_comes_back_is_charged_in_full(redis: RedisProcess, tmp_path: Path) -> None:
    wanted = settings(limit("t", "tokens", 5000, "day"), quota={"lost_after": 1.0})
    async with nodes(tmp_path, redis.url, wanted) as both:
        await both[0].take(answer=1000)
        _, reserved = await both[1].bar()
        await both[0].die()
        await until(lambda: holds(both[1], reserved, 0))
        await both[0].begin()
        (await both[0].take(answer=10)).settle(took(1, 1))
        await until(lambda: holds(both[1], reserved, 0))  # what it truly spent is in there


async def test_redis_that_lost_its_data_is_told_anew(redis: RedisProcess, tmp_path: Path) -> None:
    async with nodes(tmp_path, redis.url, settings(MONTH)) as both:
        for node in (*both, both[0]):
            assert await node.spend()
        kept = await both[1].take()
        await until(lambda: holds(both[0], 3, 1))
        redis.kill()
        redis.start()
        await until(lambda: holds(both[0], 3, 1))
        done = await asyncio.gather(*(both[number % 2].spend() for number in range(60)))
        assert sum(done) == 46
        kept.settle(took())
        await until(lambda: holds(both[0], 50, 0))


async def test_while_redis_is_away_calls_are_refused_at_once(redis: RedisProcess, tmp_path: Path) -> None:
    async with nodes(tmp_path, redis.url, settings(limit("r", "calls", 50, "day", department="radiology"))) as both:
        lease = await both[0].take()
        redis.hold()
        began = time.monotonic()
        for answered in await asyncio.gather(*(both[0].take() for _ in range(100)), return_exceptions=True):
            assert isinstance(answered, Unavailable) and answered.should_retry
        assert time.monotonic() - began < 5.0
        assert await both[0].quota.take(call(), NOBODY, PLAN) is None, "nothing limits this one"
        lease.settle(took())
        redis.go_on()
        await until(lambda: both[0].quota.up)
        assert await both[0].spend()
        await until(lambda: holds(both[1], 2, 0))


async def test_while_redis_is_away_each_may_spend_its_share(redis: RedisProcess, tmp_path: Path) -> None:
    wanted = settings(MONTH, quota={"when_away": "local"})
    async with nodes(tmp_path, redis.url, wanted) as both:
        await until(lambda: all(node.quota.up for node in both))
        for node in both:
            assert await node.spend()
            assert await node.spend()
        await until(lambda: holds(both[0], 4, 0))
        await asyncio.sleep(0.3)  # a beat: both know of each other
        redis.kill()
        spent = [0, 0]
        for index, node in enumerate(both):
            while await node.spend():
                spent[index] += 1
        assert all(20 <= each <= 23 for each in spent), spent
        redis.start()
        await until(lambda: all(node.quota.up for node in both))
        await until(lambda: holds(both[0], 4 + sum(spent), 0))
        assert sum(spent) < 46 or not await both[0].spend()


async def test_a_caller_who_leaves_while_it_is_reserved_leaves_nothing(redis: RedisProcess, tmp_path: Path) -> None:
    async with nodes(tmp_path, redis.url, settings(MONTH), 1) as [node]:
        await node.spend()
        redis.hold()
        waiting = [asyncio.create_task(node.take()) for _ in range(5)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        redis.go_on()
        await until(lambda: holds(node, 1, 0))
        lease = await node.take()
        lease.settle(took())
        with pytest.raises(RuntimeError):
            lease.refund()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_happens_it_balances(redis: RedisProcess, tmp_path: Path, seed: int) -> None:
    """Against a sequential model: what was settled, and no more than the limit, however nodes and Redis die."""
    chance = random.Random(seed)
    steps = ["take"] * 40 + ["settle"] * 15 + ["refund"] * 8 + ["die"] * 4 + ["lose"] * 2 + ["settle and die"] * 2
    chance.shuffle(steps)
    settled = 0
    async with nodes(tmp_path, redis.url, settings(limit("month", "calls", 15, "month"))) as both:
        held: list[list[SharedLease]] = [[], []]
        for step in steps:
            number = chance.randrange(2)
            node, mine = both[number], held[number]
            if step == "take":
                with contextlib.suppress(QuotaExceeded, Unavailable):
                    mine.append(await node.take())
            elif step in ("settle", "settle and die") and mine:
                mine.pop(chance.randrange(len(mine))).settle(took())
                settled += 1
            elif step == "refund" and mine:
                mine.pop().refund()
            elif step == "lose":
                redis.kill()
                redis.start()
            if step in ("die", "settle and die"):
                mine.clear()
                await node.die()
                await node.begin()
            assert settled + sum(map(len, held)) <= 15
        for lease in (*held[0], *held[1]):
            lease.settle(took())
            settled += 1
        await until(lambda: holds(both[0], settled, 0))
        while settled < 15:
            with contextlib.suppress(Unavailable):
                assert await both[chance.randrange(2)].spend()
                settled += 1
        assert not await both[0].spend()
    with contextlib.closing(Database(tmp_path / "n0")) as one, contextlib.closing(Database(tmp_path / "n1")) as other:
        assert sum(sum(Books(each).spent(0).values()) for each in (one, other)) == 15
