"""What servers know together: over a real Redis that is killed, held and started again, and over a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from behaviours import answer_text
from callers import Clients, Told, ask, clients, messages
from clouds import Cloud
from gateway import TALK, Gateway, eventually, route, upstream
from redis_process import RedisProcess

from sampan.storage.db import Database
from sampan.storage.state import SETTING

DELAY, LONG_DELAY = 4.0, 120.0
CALLS, AT_ONCE = 120, 6
LOST, BACK = "the state of breakers is not shared", "the state of breakers is shared and kept again"


def config(cloud: Cloud, *names: str, state: str = "memory", delay: float = DELAY) -> str:
    """For each name a cloud that will be sick, with a local server behind it and, as `only-NAME`, without."""
    text = f'[breaker]\ndelay = {delay}\n[probes]\ninterval = 3600\ntimeout = 1\n[storage]\nstate = "{state}"\n'
    text += upstream("local", cloud.url("shared-local"), "anthropic", location="local") + route("local", TALK, "local")
    for name in names:
        text += upstream(name, cloud.url(f"shared-{name}"), "anthropic")
        text += route(name, TALK, name, "local") + route(f"only-{name}", TALK, name)
    return text


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as running:
        yield running


@dataclass(frozen=True)
class Pair:
    """Two servers over one Redis."""

    one: Gateway
    other: Gateway

    def has(self, name: str, *states: str) -> bool:
        """Whether the breakers of both are in one of these states."""
        return breaker(self.one, name) in states and breaker(self.other, name) in states

    def is_up(self, value: int) -> bool:
        return is_up(self.one, value) and is_up(self.other, value)


@pytest.fixture(scope="module")
def pair(cloud: Cloud, redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    text = config(cloud, "touch", "trial", "dying", state=redis.url)
    both = [Gateway(tmp_path_factory.mktemp(name), text) for name in ("one", "other")]
    with ThreadPoolExecutor() as threads:
        list(threads.map(Gateway.start, both))
    try:
        yield Pair(*both)
    finally:
        for gateway in both:
            gateway.__exit__()


def breaker(gateway: Gateway, name: str) -> str:
    return gateway.http("GET", "/ready", key=None).json["breakers"][name]["text"]


def is_up(gateway: Gateway, value: int) -> bool:
    return f"sampan_shared_state_up {value}.0" in gateway.http("GET", "/metrics", key=None).body.decode()


async def soon(look: Callable[[], object], within: float = 30.0) -> None:
    await asyncio.to_thread(eventually, look, within)


async def trip(sdk: Clients, name: str) -> None:
    for _ in range(3):
        assert (await ask(sdk, "text", name)).attempts == f"{name}=overloaded,local=ok"


async def back(name: str, *sdks: Clients) -> None:
    """All go on calling: no call fails, and soon the cloud answers everywhere."""
    began = time.monotonic()
    waiting = list(sdks)
    while waiting:
        for sdk in tuple(waiting):
            if (await ask(sdk, "text", name)).upstream == name:
                waiting.remove(sdk)
        assert time.monotonic() - began < DELAY + 10.0, "still not back"
        await asyncio.sleep(0.05)


async def test_the_second_server_never_touches_what_was_sick_for_the_first(pair: Pair, cloud: Cloud) -> None:
    cell = cloud.cell("shared-touch")
    cell.behaviour = "529"
    async with clients(pair.one) as here, clients(pair.other) as there:
        await trip(here, "touch")
        await soon(lambda: breaker(pair.other, "touch") == "open", 3.0)
        for shape in ("text", "text_stream", "text"):
            assert (await ask(there, shape, "touch")).attempts == "touch=breaker_open,local=ok"
        assert cell.posts == 3, "the second server asked it, too"
        cell.behaviour = "healthy"
        await back("touch", here, there)
        await soon(lambda: pair.has("touch", "closed"))


async def test_one_server_at_a_time_tries(pair: Pair, cloud: Cloud) -> None:
    cell = cloud.cell("shared-trial")
    cell.behaviour = "529"
    async with clients(pair.one) as here, clients(pair.other) as there:
        await trip(here, "trial")
        cell.gate.clear()
        cell.behaviour = "gated_middle"
        calls: set[asyncio.Task[Told]] = set()
        end = time.monotonic() + DELAY + 10.0
        while cell.posts == 3:
            assert time.monotonic() < end, "nobody tries"
            calls |= {asyncio.create_task(ask(sdk, "text_stream", "trial")) for sdk in (here, there)}
            await asyncio.wait(calls, timeout=0.1)
        for sdk in (here, there) * 3:
            calls.add(asyncio.create_task(ask(sdk, "text_stream", "trial")))
        done, waiting = await asyncio.wait(calls, timeout=1.5)
        assert len(waiting) == 1, "more than one trial"
        assert cell.posts == 4
        cell.gate.set()
        cell.behaviour = "healthy"
        [trial] = waiting
        assert (await trial).attempts == "trial=ok"
        assert {(await each).upstream for each in done} == {"local"}
        await soon(lambda: pair.has("trial", "closed"))


async def load(gateway: Gateway, event: Callable[[], None]) -> list[Told]:
    """Many calls, `AT_ONCE` at a time, and something that happens amid them; raises where one fails."""
    places = asyncio.Semaphore(AT_ONCE)
    ended = 0

    async def one(number: int) -> Told:
        nonlocal ended
        async with places:
            told = await ask(sdk, "text_stream" if number % 2 else "text", "dying" if number % 3 else "local")
        ended += 1
        if ended == CALLS // 3:
            await asyncio.to_thread(event)
        return told

    async with clients(gateway) as sdk:
        return await asyncio.gather(*(one(number) for number in range(CALLS)))


async def test_redis_may_die_stand_still_and_come_back_and_no_call_fails(
    pair: Pair, cloud: Cloud, redis: RedisProcess
) -> None:
    cell = cloud.cell("shared-dying")
    await soon(lambda: pair.is_up(1))
    for answered in await asyncio.gather(load(pair.one, redis.kill), load(pair.other, lambda: None)):
        assert len(answered) == CALLS
        assert {told.tier for told in answered} == {"cloud", "local"}
    await soon(lambda: pair.is_up(0))
    cell.behaviour = "529"  # each goes on by itself
    async with clients(pair.one) as here, clients(pair.other) as there:
        await trip(here, "dying")
        assert (await ask(here, "text", "dying")).attempts == "dying=breaker_open,local=ok"
        assert breaker(pair.other, "dying") == "closed"
        redis.start()
        await soon(lambda: pair.is_up(1))
        await soon(lambda: pair.has("dying", "open", "half_open"), 5.0)  # and catches up
        cell.behaviour = "healthy"
        await back("dying", here, there)
    for told in await load(pair.one, redis.hold):
        assert told.seconds < 5.0
    await soon(lambda: pair.is_up(0))
    redis.go_on()
    await soon(lambda: pair.is_up(1))
    for gateway in (pair.one, pair.other):
        assert (gateway.log.count(LOST), gateway.log.count(BACK)) == (2, 2)
        assert "Traceback" not in gateway.log


async def test_a_server_starts_without_redis(cloud: Cloud, tmp_path: Path) -> None:
    with RedisProcess(tmp_path) as redis:
        redis.kill()
        with Gateway(tmp_path, config(cloud, "alone", state=redis.url)) as gateway:
            async with clients(gateway) as sdk:
                told = await ask(sdk, "text", "alone")
            assert (told.content, told.attempts) == (answer_text("shared-alone"), "alone=ok")
            assert is_up(gateway, 0)
            assert gateway.log.count(LOST) == 1
            redis.start()
            await soon(lambda: is_up(gateway, 1))


@pytest.mark.parametrize("kept", ["memory", "redis"])
async def test_a_restart_keeps_a_breaker_open_for_the_rest_of_its_delay(
    cloud: Cloud, redis: RedisProcess, tmp_path: Path, kept: str
) -> None:
    name = f"again-{kept}"
    cell = cloud.cell(f"shared-{name}")
    cell.behaviour = "529"
    state = redis.url if kept == "redis" else kept
    with Gateway(tmp_path, config(cloud, name, state=state, delay=LONG_DELAY)) as gateway:
        async with clients(gateway) as sdk:
            await trip(sdk, name)
        tripped = time.monotonic()
        if kept == "memory":
            eventually(lambda: '"open"' in saved(gateway.data))
            gateway.kill()
        else:
            gateway.stop()
        gateway.start()
        assert breaker(gateway, name) == "open"
        passed = time.monotonic() - tripped
        body = {"model": f"only-{name}", "max_tokens": 9, "messages": messages(False)}
        refused = gateway.http("POST", "/v1/messages", body)
        assert refused.status == 529
        assert float(refused.headers["retry-after"]) < LONG_DELAY - passed + 1.5, "it began to wait anew"
        assert cell.posts == 3, "it was asked again"


def saved(data: Path) -> str:
    database = Database(data)
    try:
        return database.setting(SETTING, lambda: "{}")
    finally:
        database.close()
