from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from sampan.errors import InvalidRequest, NotFound, Unavailable
from sampan.storage.db import Database
from sampan.storage.files import Files, Upload, Wanted
from sampan.storage.objects import Objects

DAY = 86400.0
DATA = b"a contract, signed"
NAME = hashlib.sha256(DATA).hexdigest()


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    with closing(Database(tmp_path, database_url, busy_seconds=0)) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def objects(database: Database, clock: Clock) -> Objects:
    return Objects(database, clock)


@pytest.fixture
def files(database: Database, objects: Objects, clock: Clock) -> Files:
    return Files(database, objects, clock)


def upload(data: bytes = DATA, expires: float | None = None, purpose: str = "user_data") -> Upload:
    return Upload("contract.txt", "text/plain", data, purpose, False, expires)


async def test_what_is_kept_comes_back_to_its_owner_and_to_nobody_else(files: Files) -> None:
    kept = await files.keep("ann", upload())
    assert (kept.filename, kept.size, kept.sha256, kept.expires) == ("contract.txt", len(DATA), NAME, None)
    assert await files.find("ann", kept.id) == kept
    assert await files.read("ann", kept.id) == (kept, DATA)
    async with aclosing(await files.stream(kept)) as pieces:
        assert b"".join([piece async for piece in pieces]) == DATA
    for ask in (files.find, files.read, files.delete):
        with pytest.raises(NotFound, match=kept.id):
            await ask("bob", kept.id)
    assert await files.list("bob", Wanted(10)) == ((), False)


async def test_a_file_outlives_the_days_of_artifacts_until_it_is_deleted(
    files: Files, objects: Objects, clock: Clock
) -> None:
    clock.now = 4_000_000_000.0  # the files' own times lie behind it, however long this test is kept
    kept = await files.keep("ann", upload())
    clock.now += 400 * DAY
    assert await objects.sweep(30, clock.now) == 0
    assert (await files.read("ann", kept.id))[1] == DATA
    await files.delete("ann", kept.id)
    with pytest.raises(NotFound):
        await files.find("ann", kept.id)
    assert await objects.sweep(30, clock.now) == 1
    with pytest.raises(NotFound):
        await objects.read(NAME)


async def test_deleted_bytes_are_gone_with_the_very_next_sweep(files: Files, objects: Objects, clock: Clock) -> None:
    kept = await files.keep("ann", upload())
    await files.delete("ann", kept.id)
    assert await objects.sweep(30, clock.now) == 1


async def test_a_store_that_fails_is_said_to_be_unavailable(files: Files, tmp_path: Path) -> None:
    (tmp_path / "objects" / "incoming").rmdir()
    with pytest.raises(Unavailable, match="Try again"):
        await files.keep("ann", upload())
    assert await files.list("ann", Wanted(10)) == ((), False)


async def test_bytes_stay_while_another_file_or_artifact_has_them(files: Files, objects: Objects, clock: Clock) -> None:
    first, second = await files.keep("ann", upload()), await files.keep("bob", upload())
    await files.delete("ann", first.id)
    assert await objects.sweep(30, clock.now) == 0
    assert (await files.read("bob", second.id))[1] == DATA
    await objects.put(DATA, "text/plain", "carl", {})
    await files.delete("bob", second.id)
    assert await objects.sweep(30, clock.now) == 0
    assert await objects.read(NAME) == DATA


async def test_an_expired_file_is_not_found_and_purged(files: Files, objects: Objects, clock: Clock) -> None:
    kept = await files.keep("ann", upload(expires=clock.now + 60))
    lasting = await files.keep("ann", upload(b"other"))
    clock.now += 59
    assert await files.find("ann", kept.id) == kept
    assert await files.purge() == 0
    clock.now += 1
    with pytest.raises(NotFound, match="has expired"):
        await files.find("ann", kept.id)
    assert (await files.known("ann", kept.id)).expired(clock.now)
    assert await files.list("ann", Wanted(10)) == ((lasting,), False)
    assert await files.purge() == 1
    assert await objects.sweep(30, clock.now) == 1
    with pytest.raises(NotFound, match="there is no file"):
        await files.known("ann", kept.id)


async def test_pages_in_both_directions_and_orders(files: Files) -> None:
    made = [await files.keep("ann", upload(str(each).encode())) for each in range(5)]
    await files.keep("bob", upload())
    names = [file.id for file in made]

    async def page(**wanted: object) -> tuple[list[int], bool]:
        found, more = await files.list("ann", Wanted(**wanted))  # type: ignore[arg-type]
        return [names.index(file.id) for file in found], more

    assert await page(limit=2) == ([4, 3], True)
    assert await page(limit=2, after=names[3]) == ([2, 1], True)
    assert await page(limit=2, after=names[1]) == ([0], False)
    assert await page(limit=2, before=names[0]) == ([2, 1], True)
    assert await page(limit=2, before=names[2]) == ([4, 3], False)
    assert await page(limit=5) == ([4, 3, 2, 1, 0], False)
    assert await page(limit=2, oldest_first=True) == ([0, 1], True)
    assert await page(limit=2, oldest_first=True, after=names[2]) == ([3, 4], False)
    assert await page(limit=2, oldest_first=True, before=names[3]) == ([1, 2], True)
    assert await page(limit=9, page=made[2].sequence) == ([1, 0], False)
    assert await page(limit=9, ids=[names[3], "file_nobody"]) == ([3], False)
    assert await page(limit=9, purpose="batch") == ([], False)


async def test_a_cursor_that_is_no_file_of_the_owner_is_named(files: Files) -> None:
    kept = await files.keep("bob", upload())
    with pytest.raises(InvalidRequest, match=f"after_id: there is no '{kept.id}'"):
        await files.list("ann", Wanted(10, after=kept.id))
    with pytest.raises(InvalidRequest) as caught:
        await files.list("ann", Wanted(10, after="nobody", names=("after", "before")))
    assert caught.value.param == "after"


async def test_the_order_survives_the_deletion_of_the_last_file(files: Files) -> None:
    first, second = await files.keep("ann", upload(b"1")), await files.keep("ann", upload(b"2"))
    await files.delete("ann", second.id)
    third = await files.keep("ann", upload(b"3"))
    assert third.sequence > second.sequence > first.sequence
