import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sampan.core import Actor
from sampan.errors import Unauthenticated
from sampan.governance.identity import Identity
from sampan.storage.db import Database
from sampan.storage.keys import Keys

NOW = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Ticks:
    """A sleep that ends when the test says so; `tick` returns once the sleeper is back for more."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._asleep = asyncio.Event()
        self._wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._asleep.set()
        await self._wake.wait()
        self._wake.clear()

    async def tick(self) -> None:
        await asyncio.wait_for(self._asleep.wait(), 10)
        self._asleep.clear()
        self._wake.set()
        await asyncio.wait_for(self._asleep.wait(), 10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Iterator[Keys]:
    """The gateway's."""
    with closing(Database(tmp_path, busy_seconds=0)) as database:
        yield Keys(database, clock)


@pytest.fixture
def console(tmp_path: Path, clock: Clock) -> Iterator[Keys]:
    """Those of another process: `sampan key …` beside a running gateway."""
    with closing(Database(tmp_path)) as database:
        yield Keys(database, clock)


def refusal(identity: Identity, credential: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        identity.authenticate(credential)
    assert caught.value.status == 401
    return caught.value.message


def test_a_key_is_known(keys: Keys, clock: Clock) -> None:
    info, secret = keys.create("财务部", "member")
    identity = Identity(keys, clock)
    assert identity.authenticate(secret) == Actor(info.id, "财务部", "member")
    identity.close()


def test_a_refusal_tells_missing_from_not_valid_and_no_more(keys: Keys, clock: Clock) -> None:
    _, expiring = keys.create("expiring", expires=NOW + 10)
    info, revoked = keys.create("revoked")
    keys.revoke(info.id)
    identity = Identity(keys, clock)
    assert identity.authenticate(expiring).name == "expiring"
    clock.now += 10
    bad = [expiring, revoked, "sk-sampan-unknown", expiring + "x", expiring[:-1], expiring.upper(), "é\ud800\x00"]
    messages = {refusal(identity, credential) for credential in bad}
    assert messages == {"The API key is not valid."}
    assert "x-api-key" in refusal(identity, "")
    identity.close()


def test_what_another_process_changes_is_seen(keys: Keys, console: Keys, clock: Clock) -> None:
    identity = Identity(keys, clock)
    assert not identity.refresh()
    info, secret = console.create("new")
    refusal(identity, secret)
    assert identity.refresh()
    assert identity.authenticate(secret).key_id == info.id
    console.revoke(info.id)
    assert identity.refresh()
    refusal(identity, secret)
    identity.close()


def test_other_writes_do_not_reload_the_keys(keys: Keys, console: Keys, clock: Clock) -> None:
    info, _ = keys.create("one")
    identity = Identity(keys, clock)
    console.touch({info.id: NOW})
    assert not identity.refresh()
    identity.close()


async def test_a_revoked_key_ends_at_the_next_tick(keys: Keys, console: Keys, clock: Clock) -> None:
    info, secret = keys.create("one")
    identity, ticks = Identity(keys, clock), Ticks()
    watching = asyncio.create_task(identity.watch(ticks.sleep))
    await ticks.tick()
    assert identity.authenticate(secret).key_id == info.id
    await asyncio.to_thread(console.revoke, info.id)
    await ticks.tick()
    refusal(identity, secret)
    assert set(ticks.asked) == {0.5}
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    identity.close()


async def test_last_uses_are_written_in_groups(keys: Keys, console: Keys, clock: Clock) -> None:
    first, first_secret = keys.create("first")
    second, second_secret = keys.create("second")
    identity, ticks = Identity(keys, clock, touch_after=30, steady=clock), Ticks()
    watching = asyncio.create_task(identity.watch(ticks.sleep))
    identity.authenticate(first_secret)
    clock.now += 29
    await ticks.tick()
    assert {info.last_used for info in console.list()} == {None}
    clock.now += 1
    await ticks.tick()
    assert {info.id: info.last_used for info in console.list()} == {first.id: NOW, second.id: None}
    identity.authenticate(second_secret)
    watching.cancel()
    identity.close()
    assert {info.id: info.last_used for info in console.list()} == {first.id: NOW, second.id: NOW + 30}


async def test_a_clock_that_is_set_moves_expiry_and_nothing_else(keys: Keys, console: Keys, clock: Clock) -> None:
    """Hours back, last uses are still written down after their seconds; hours ahead, a key is over until it is not."""
    info, secret = keys.create("guest", expires=NOW + 3600)
    steady, ticks = Clock(), Ticks()
    identity = Identity(keys, clock, touch_after=30, steady=steady)
    watching = asyncio.create_task(identity.watch(ticks.sleep))
    clock.now = NOW + 5 * 3600
    refusal(identity, secret)
    clock.now = NOW - 5 * 3600
    identity.authenticate(secret)
    steady.now += 30
    await ticks.tick()
    assert {each.id: each.last_used for each in console.list()} == {info.id: NOW - 5 * 3600}
    watching.cancel()
    identity.close()


async def test_a_database_that_fails_leaves_the_keys_in_force(
    keys: Keys, console: Keys, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    info, secret = keys.create("one")
    identity, ticks = Identity(keys, clock, touch_after=0), Ticks()
    watching = asyncio.create_task(identity.watch(ticks.sleep))
    identity.authenticate(secret)
    with closing(Database(tmp_path)) as other, other.write():
        await ticks.tick()
        await ticks.tick()
    assert {kept.last_used for kept in console.list()} == {None}
    assert caplog.text.count("the last known ones stay in force") == 1
    await ticks.tick()
    assert {kept.last_used for kept in console.list()} == {NOW}
    assert identity.authenticate(secret).key_id == info.id
    await asyncio.to_thread(console.revoke, info.id)
    await ticks.tick()
    refusal(identity, secret)
    watching.cancel()
    identity.close()
