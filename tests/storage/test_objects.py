import asyncio
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from sampan.errors import CallError, ConfigError, Forbidden, NotFound
from sampan.storage.db import Database
from sampan.storage.objects import Artifact, Link, Objects
from sampan.storage.tables import ARTIFACTS

DAY = 86400.0
PICTURE = b"\x89PNG\r\n" + bytes(range(256)) * 1000
NAME = hashlib.sha256(PICTURE).hexdigest()


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path, busy_seconds=0)) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def objects(database: Database, clock: Clock) -> Objects:
    return Objects(database, clock)


def files(objects_folder: Path) -> set[str]:
    return {str(path.relative_to(objects_folder)) for path in objects_folder.rglob("*") if path.is_file()}


async def test_what_is_put_comes_back(objects: Objects, tmp_path: Path) -> None:
    made = await objects.put(PICTURE, "image/png", "key_1", {"upstream": "sketcher"})
    assert made == Artifact(NAME, "image/png", len(PICTURE))
    assert await objects.find(NAME) == made
    assert await objects.read(NAME) == PICTURE
    async with aclosing(objects.stream(NAME)) as chunks:
        pieces = [chunk async for chunk in chunks]
    assert b"".join(pieces) == PICTURE
    assert max(len(piece) for piece in pieces) == 1 << 16
    path = tmp_path / "objects" / NAME[:2] / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_same_content_twice_is_one_file_with_two_histories(
    objects: Objects, database: Database, tmp_path: Path
) -> None:
    await asyncio.gather(*(objects.put(PICTURE, "image/png", f"key_{n}", {"n": n}) for n in range(4)))
    assert files(tmp_path / "objects") == {f"{NAME[:2]}/{NAME}"}
    with database.read() as connection:
        rows = connection.execute(select(ARTIFACTS.c.owner_key_id, ARTIFACTS.c.provenance)).all()
    assert sorted(map(tuple, rows)) == [(f"key_{n}", f'{{"n":{n}}}') for n in range(4)]


@pytest.mark.parametrize("name", [NAME, NAME.upper(), "", "../sampan.db", f"../../{NAME}", NAME + "\n", "a" * 63])
async def test_what_is_not_there_is_not_found(objects: Objects, name: str) -> None:
    with pytest.raises(NotFound):
        await objects.read(name)
    with pytest.raises(NotFound):
        await objects.find(name)
    with pytest.raises(NotFound):
        async with aclosing(objects.stream(name)) as chunks:
            await anext(chunks)


async def test_a_put_that_fails_leaves_no_half_file(objects: Objects, database: Database, tmp_path: Path) -> None:
    with database.write(), pytest.raises(ConfigError, match="locked"):
        await objects.put(PICTURE, "image/png", "key_1", {})
    assert not [name for name in files(tmp_path / "objects") if name.startswith("incoming")]
    with pytest.raises(NotFound):
        await objects.find(NAME)


async def test_sweep_forgets_what_is_old_and_not_put_again(objects: Objects, clock: Clock, tmp_path: Path) -> None:
    again = await objects.put(b"put again", "image/png", "key_1", {})
    old = await objects.put(b"old", "image/png", "key_1", {})
    clock.now += 20 * DAY
    await objects.put(b"put again", "image/png", "key_2", {})
    new = await objects.put(b"new", "image/png", "key_1", {})
    clock.now += 15 * DAY
    assert await objects.sweep(0, clock.now) == 0
    assert await objects.sweep(30, clock.now) == 1
    assert await objects.sweep(30, clock.now) == 0
    assert files(tmp_path / "objects") == {f"{kept.sha256[:2]}/{kept.sha256}" for kept in (again, new)}
    assert (await objects.find(again.sha256)).size == 9
    with pytest.raises(NotFound, match="older than the days"):
        await objects.read(old.sha256)


async def test_sweep_takes_what_dead_processes_left(objects: Objects, database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    with database.write(), pytest.raises(ConfigError):
        await objects.put(PICTURE, "image/png", "key_1", {})
    (folder / "incoming" / "half").write_bytes(b"half")
    (folder / "incoming" / "fresh").write_bytes(b"being written")
    (folder / "README").write_bytes(b"somebody's own file")
    now = (folder / "incoming" / "fresh").stat().st_mtime
    for path in (folder / "incoming" / "half", folder / NAME[:2] / NAME):
        os.utime(path, (now - 40 * DAY, now - 40 * DAY))
    assert await objects.sweep(30, now) == 1
    assert files(folder) == {"incoming/fresh", "README"}


def test_a_link_leads_to_its_artifact_until_it_expires(objects: Objects) -> None:
    path, _, query = objects.sign(NAME, "image/jpeg", 2000).partition("?")
    assert path == f"/artifacts/{NAME}.jpg"
    assert objects.verify(path, query, 1999.9) == Link(NAME, "image/jpeg", 2000)
    with pytest.raises(Forbidden, match="expired"):
        objects.verify(path, query, 2000)


def test_links_outlive_a_restart_and_hold_in_one_house_only(
    objects: Objects, database: Database, tmp_path: Path
) -> None:
    path, _, query = objects.sign(NAME, "image/png", 2000).partition("?")
    assert Objects(database).verify(path, query, 0).sha256 == NAME
    with closing(Database(tmp_path / "elsewhere")) as other, pytest.raises(Forbidden, match="not signed here"):
        Objects(other).verify(path, query, 0)


def test_content_that_a_browser_would_run_is_only_downloaded(objects: Objects) -> None:
    for media_type in ("text/html", "image/svg+xml", "application/xhtml+xml", "nonsense"):
        path, _, query = objects.sign(NAME, media_type, 2000).partition("?")
        assert objects.verify(path, query, 0).media_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (("expires=2000", "expires=2001"), Forbidden, "not signed here"),
        (("expires=2000", "expires=02000"), Forbidden, "not signed here"),
        (("expires=2000", "expires=-1"), Forbidden, "not complete"),
        (("expires=2000", "expires=²"), Forbidden, "not complete"),
        (("expires=2000", "expires=" + "9" * 13), Forbidden, "not complete"),
        (("expires=2000", "expires="), Forbidden, "not complete"),
        (("expires=2000", "expires=2000&expires=3000"), Forbidden, "not complete"),
        (("expires=2000&", ""), Forbidden, "not complete"),
        (("signature=", "signature=0"), Forbidden, "not complete"),
        (("signature=", "signature=é"), Forbidden, "not complete"),
        ((".png", ".jpg"), Forbidden, "not signed here"),
        ((NAME, "0" * 64), Forbidden, "not signed here"),
        ((NAME, NAME.upper()), NotFound, "no such artifact"),
        ((".png", ".html"), NotFound, "no such artifact"),
        ((".png", ".png/../../sampan.db"), NotFound, "no such artifact"),
        (("/artifacts/", "/artifacts/../"), NotFound, "no such artifact"),
        (("/artifacts/", "/artifacts/%2e%2e/"), NotFound, "no such artifact"),
    ],
)
def test_a_changed_link_is_refused(
    objects: Objects, change: tuple[str, str], error: type[CallError], text: str
) -> None:
    link = objects.sign(NAME, "image/png", 2000)
    assert change[0] in link
    path, _, query = link.replace(*change).partition("?")
    with pytest.raises(error, match=text):
        objects.verify(path, query, 0)


@given(index=st.integers(min_value=0), character=st.characters(min_codepoint=32, max_codepoint=0x2FF))
def test_no_single_character_of_a_link_can_be_changed(
    index: int, character: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "links"
    with closing(Database(folder)) as database:
        objects = Objects(database)
        link = objects.sign(NAME, "image/png", 2000)
        index %= len(link)
        changed = link[:index] + character + link[index + 1 :]
        path, _, query = changed.partition("?")
        if changed == link:
            assert objects.verify(path, query, 0).sha256 == NAME
        else:
            with pytest.raises((Forbidden, NotFound)):
                objects.verify(path, query, 0)
