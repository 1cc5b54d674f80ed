"""Facts and leases: what all stores promise, in the database, in Redis, and in the fake that other tests go by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from fake_state import FakeState
from fake_upstreams import Clock
from postgres_process import PostgresProcess
from redis_process import RedisProcess
from sqlalchemy import update

from sampan.config import parse
from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.state import SETTING, Fact, KeptState, RedisState, State
from sampan.storage.tables import SETTINGS

PASSWORD = "p@ss word/canary"
QUOTED = "p%40ss%20word%2Fcanary"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest_asyncio.fixture(params=["fake", "kept", "redis"])
async def state(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[State]:
    made: State
    database: Database | None = None
    if request.param == "fake":
        made = FakeState(Clock())
    elif request.param == "kept":
        database = Database(tmp_path)
        made = KeptState(database, time.time)
    else:
        # Stop clocks of the machine must not make a slow test fail: the time limit has a test of its own.
        made = RedisState(request.getfixturevalue("redis").url, timeout=10.0)
    yield made
    await made.aclose()
    if database is not None:
        database.close()


def fact(value: str, age: float = 0.0, by: str = "a", keep: float = 60.0) -> Fact:
    return Fact(value, by, age, keep)


async def test_what_was_told_is_known(state: State, request: pytest.FixtureRequest) -> None:
    one, two = f"1 {request.node.name}", f"2 {request.node.name}"
    assert await state.exchange({}, [one, two]) == {}
    known = await state.exchange({one: fact("open", 3.0)}, [one, two])
    assert list(known) == [one]
    assert (known[one].value, known[one].by) == ("open", "a")
    assert known[one].age == pytest.approx(3.0, abs=1.0)
    assert await state.exchange({}, [two]) == {}


async def test_the_newer_fact_is_kept_whoever_tells_it_last(state: State, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    first = (await state.exchange({name: fact("open", 20.0)}, [name]))[name]
    newer = (await state.exchange({name: fact("closed", 10.0, by="b")}, [name]))[name]
    assert (newer.value, newer.by) == ("closed", "b")
    assert newer.stamp > first.stamp
    late = (await state.exchange({name: fact("half_open", 15.0, by="c")}, [name]))[name]
    assert (late.value, late.by, late.stamp) == ("closed", "b", newer.stamp)


async def test_whoever_told_a_fact_may_replace_it(state: State, request: pytest.FixtureRequest) -> None:
    """Messages of one server may take longer or shorter: its second is not older than its first for that."""
    name = request.node.name
    first = (await state.exchange({name: fact("open", 5.0)}, [name]))[name]
    second = (await state.exchange({name: fact("half_open", 5.5)}, [name]))[name]
    assert second.value == "half_open"
    assert second.stamp > first.stamp


async def test_a_lease_is_one_s_own(state: State, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    assert await state.lease(name, "a", 60)
    assert await state.lease(name, "a", 60)
    assert await state.lease(name, "b", 60) is not state.shared  # without others there is nobody to keep out
    await state.release(name, "b")
    assert await state.lease(name, "b", 60) is not state.shared
    await state.release(name, "a")
    assert await state.lease(name, "b", 60)


async def test_nothing_asked_is_nothing_known(state: State) -> None:
    assert await state.exchange({}, []) == {}


async def test_a_restart_forgets_nothing_and_the_age_goes_on(database: Database) -> None:
    wall = Clock()
    await KeptState(database, wall).exchange({"x": fact("open", 2.0), "y": fact("closed")}, ["x", "y"])
    wall.now += 5
    known = await KeptState(database, wall).exchange({}, ["x", "y"])
    assert (known["x"].value, known["x"].age) == ("open", pytest.approx(7.0))
    assert known["y"].age == pytest.approx(5.0)


async def test_what_is_stale_is_forgotten(database: Database) -> None:
    wall = Clock()
    state = KeptState(database, wall)
    await state.exchange({"x": fact("open", keep=60), "y": fact("isolated", keep=0)}, [])
    wall.now += 61
    assert list(await state.exchange({}, ["x", "y"])) == ["y"]
    assert list(await KeptState(database, wall).exchange({}, ["x", "y"])) == ["y"]


async def test_a_clock_that_was_set_back_makes_nothing_older_or_stuck(database: Database) -> None:
    wall = Clock()
    await KeptState(database, wall).exchange({"x": fact("open")}, [])
    wall.now -= 500
    state = KeptState(database, wall)
    assert (await state.exchange({}, ["x"]))["x"].age == 0.0
    assert (await state.exchange({"x": fact("closed")}, ["x"]))["x"].value == "closed"


async def test_a_database_that_cannot_be_written_is_tried_again(database: Database) -> None:
    wall = Clock()
    state = KeptState(database, wall)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE settings RENAME TO elsewhere")
    with pytest.raises(ConfigError, match="cannot be used"):
        await state.exchange({"x": fact("open")}, ["x"])
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO settings")
    assert (await state.exchange({}, ["x"]))["x"].value == "open"
    assert "x" in await KeptState(database, wall).exchange({}, ["x"])


async def test_what_another_version_wrote_is_no_stumbling_block(database: Database) -> None:
    await KeptState(database, time.time).exchange({"x": fact("open")}, ["x"])
    with database.write() as connection:
        mine = SETTINGS.c.name.startswith(SETTING)
        assert connection.execute(update(SETTINGS).where(mine).values(value='{"x": 5}')).rowcount == 1
    state = KeptState(database, time.time)
    assert await state.exchange({}, ["x"]) == {}


async def test_servers_on_one_database_know_what_they_know_themselves(
    tmp_path: Path, postgres: PostgresProcess
) -> None:
    url = postgres.url(postgres.make())
    with closing(Database(tmp_path / "one", url)) as one, closing(Database(tmp_path / "other", url)) as other:
        await KeptState(one, time.time).exchange({"x": fact("open")}, ["x"])
        assert await KeptState(other, time.time).exchange({}, ["x"]) == {}
        assert "x" in await KeptState(one, time.time).exchange({}, ["x"])


# Redis alone.


async def test_two_servers_hear_one_another_and_not_themselves(redis: RedisProcess) -> None:
    here, there = RedisState(redis.url, 10.0), RedisState(redis.url, 10.0)
    await asyncio.wait_for(here.heard("a"), 10)  # from now on it listens
    hearing = asyncio.create_task(here.heard("a"))
    await here.exchange({"h": fact("open", 5.0, by="a")}, ["h"])
    await there.exchange({}, ["h"])
    assert not hearing.done()
    await there.exchange({"h": fact("closed", 0.0, by="b")}, ["h"])
    await asyncio.wait_for(hearing, 10)
    again = asyncio.create_task(here.heard("a"))
    await there.lease("h", "b", 60)
    await there.release("h", "b")
    await asyncio.wait_for(again, 10)
    await here.aclose()
    await there.aclose()


async def test_facts_and_leases_expire_in_redis(redis: RedisProcess) -> None:
    state = RedisState(redis.url, 10.0)
    await state.exchange({"e": fact("open", keep=0.05), "f": fact("isolated", keep=0)}, ["e", "f"])
    await state.lease("e", "a", 0.05)
    over = time.monotonic() + 10
    while not (await state.lease("e", "b", 60) and list(await state.exchange({}, ["e", "f"])) == ["f"]):
        assert time.monotonic() < over
    await state.aclose()


async def test_what_others_keep_under_our_names_is_not_known(redis: RedisProcess) -> None:
    state = RedisState(redis.url, 10.0)
    await state._execute("SET", "sampan:alien", "something else entirely")
    assert await state.exchange({}, ["alien"]) == {}
    assert (await state.exchange({"alien": fact("open")}, ["alien"]))["alien"].value == "open"
    await state._execute("SET", "sampan:alien", "99999999999999999 z closed")  # from before its clock was set back
    assert (await state.exchange({"alien": fact("open")}, ["alien"]))["alien"].value == "open"
    await state.aclose()


async def test_a_redis_that_is_silent_costs_the_time_limit_and_no_more(tmp_path: Path) -> None:
    with RedisProcess(tmp_path) as redis:
        state = RedisState(redis.url)
        redis.hold()
        began = time.monotonic()
        with pytest.raises(ConfigError, match=r"127\.0\.0\.1:\d+ cannot be used: no answer within 0\.2 s"):
            await state.exchange({}, ["x"])
        assert 0.15 < time.monotonic() - began < 2.0
        redis.go_on()
        patient = RedisState(redis.url, 10.0)
        assert await patient.exchange({}, ["x"]) == {}
        for each in (state, patient):
            await each.aclose()


async def test_a_redis_that_dies_is_an_error_for_whoever_asks_or_listens_and_its_heir_is_found(tmp_path: Path) -> None:
    with RedisProcess(tmp_path) as redis:
        state = RedisState(redis.url, 10.0)
        await state.exchange({"x": fact("open")}, ["x"])
        await state.heard("a")
        hearing = asyncio.create_task(state.heard("a"))
        redis.kill()
        with pytest.raises(ConfigError, match="cannot be used"):
            await asyncio.wait_for(hearing, 10)
        for step in (state.exchange({}, ["x"]), state.lease("x", "a", 1), state.release("x", "a"), state.heard("a")):
            with pytest.raises(ConfigError, match="cannot be used"):
                await step
        redis.start()
        assert await state.exchange({}, ["x"]) == {}
        await state.heard("a")
        await state.aclose()


async def test_the_password_lets_in_and_is_never_told(tmp_path: Path) -> None:
    with RedisProcess(tmp_path, PASSWORD) as redis:
        right = RedisState(f"redis://:{QUOTED}@127.0.0.1:{redis.port}/1", 10.0)
        assert await right.exchange({}, ["x"]) == {}
        wrong = RedisState(f"redis://:wrong-canary@127.0.0.1:{redis.port}", 10.0)
        with pytest.raises(ConfigError) as told:
            await wrong.exchange({}, ["x"])
        assert "canary" not in str(told.value)
        for each in (right, wrong):
            await each.aclose()


# What a configuration may say.


@pytest.mark.parametrize("url", ["redis://h", "redis://h:6379", "redis://u:p@h:1/15", "redis://:p%40@[::1]:7000/"])
def test_redis_may_be_named_in_these_ways(url: str) -> None:
    assert parse(f'[storage]\nstate = "{url}"\n', "x", {}).storage.state == url


@pytest.mark.parametrize(
    "url",
    [
        "disk",
        "redis://",
        "http://:canary@h",
        "redis://:canary@h:port",
        "redis://:canary@h/a",
        "redis://:canary@h/0?x=1",
    ],
)
def test_anything_else_stops_the_start_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"line 2: storage\.state: must be `memory`") as told:
        parse(f'[storage]\nstate = "{url}"\n', "x", {})
    assert "canary" not in str(told.value)
