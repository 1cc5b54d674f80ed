"""What holds of artifacts in every store: in a folder, and in a bucket of a real S3 server."""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_process import PostgresProcess
from s3_process import CREDENTIALS, S3Process
from sqlalchemy import select

from sampan.config.settings import StorageSettings
from sampan.errors import CallError, ConfigError, Forbidden, InternalError, NotFound, Unavailable
from sampan.storage.bucket import BucketStore
from sampan.storage.db import Database
from sampan.storage.folder import FolderStore
from sampan.storage.objects import Artifact, Link, Objects, open_store
from sampan.storage.store import Store
from sampan.storage.tables import ARTIFACTS, CONDEMNED

DAY = 86400.0
PICTURE = b"\x89PNG\r\n" + bytes(range(256)) * 1000
NAME = hashlib.sha256(PICTURE).hexdigest()
LATER = time.time() + 2 * DAY  # stores say by their own clocks when something was put


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Slow(FolderStore):
    """Removes when it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.removing, self.go_on = asyncio.Event(), asyncio.Event()

    async def remove(self, sha256: str) -> None:
        self.removing.set()
        await self.go_on.wait()
        await super().remove(sha256)


class Broken(FolderStore):
    async def put(self, sha256: str, data: bytes, media_type: str) -> None:
        await super().put(sha256, data, media_type)
        raise OSError("it broke at the very end")

    async def size(self, sha256: str) -> int:
        raise OSError("it is away")

    async def read(self, sha256: str) -> bytes:
        raise ConfigError("it refuses the key canary-5521")

    async def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        yield b""
        raise OSError("it is away")


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


@pytest.fixture(params=["embedded", "served"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Store]]:
    """A database and a store: those that need no server, and those of a house with several nodes."""
    if request.param == "embedded":
        yield "sqlite", FolderStore(tmp_path / "objects")
        return
    s3: S3Process = request.getfixturevalue("s3")
    postgres: PostgresProcess = request.getfixturevalue("postgres")
    name = postgres.make(request.getfixturevalue("postgres_template"))
    yield postgres.url(name), BucketStore(s3.bucket(prefix="house/one"), CREDENTIALS)
    postgres.drop(name)


@pytest.fixture
def store(house: tuple[str, Store]) -> Store:
    return house[1]


@pytest.fixture
def shared(house: tuple[str, Store], tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path, house[0])) as made:
        yield made


@pytest.fixture
def kept(shared: Database, clock: Clock, store: Store) -> Objects:
    """In each of the houses."""
    return Objects(shared, clock, store)


async def names(objects: Objects) -> set[str]:
    return {each.sha256 async for each in objects.walk()}


async def streamed(objects: Objects, name: str, *span: int) -> list[bytes]:
    async with aclosing(objects.stream(name, *span)) as chunks:
        return [chunk async for chunk in chunks]


async def test_what_is_put_comes_back(kept: Objects) -> None:
    made = await kept.put(PICTURE, "image/png", "key_1", {"upstream": "sketcher"})
    assert made == Artifact(NAME, "image/png", len(PICTURE))
    assert await kept.find(NAME) == made
    assert await kept.read(NAME) == PICTURE
    pieces = await streamed(kept, NAME)
    assert b"".join(pieces) == PICTURE
    assert max(len(piece) for piece in pieces) == 1 << 16
    assert [(each.sha256, each.size) async for each in kept.walk()] == [(NAME, len(PICTURE))]
    await kept.check()


async def test_a_part_of_it_can_be_asked_for(kept: Objects) -> None:
    await kept.put(PICTURE, "image/png", "key_1", {})
    for start, end in ((0, 1), (100, 200_000), (65_536, 65_537), (len(PICTURE) - 1, len(PICTURE))):
        assert b"".join(await streamed(kept, NAME, start, end)) == PICTURE[start:end]
    assert b"".join(await streamed(kept, NAME, 250_000)) == PICTURE[250_000:]


async def test_nothing_can_be_kept_too(kept: Objects) -> None:
    made = await kept.put(b"", "text/plain", "key_1", {})
    assert await kept.find(made.sha256) == made
    assert await kept.read(made.sha256) == b""
    assert await streamed(kept, made.sha256) == []


async def test_the_same_content_twice_is_one_object_with_two_histories(kept: Objects, shared: Database) -> None:
    await asyncio.gather(*(kept.put(PICTURE, "image/png", f"key_{n}", {"n": n}) for n in range(4)))
    assert await names(kept) == {NAME}
    with shared.read() as connection:
        rows = connection.execute(select(ARTIFACTS.c.owner_key_id, ARTIFACTS.c.provenance)).all()
    assert sorted(map(tuple, rows)) == [(f"key_{n}", f'{{"n":{n}}}') for n in range(4)]


async def test_what_is_not_there_is_not_found(kept: Objects) -> None:
    for name in (NAME, NAME.upper(), "", "../sampan.db", f"../../{NAME}", NAME + "\n", "a" * 63):
        for ask in (kept.read(name), kept.find(name), streamed(kept, name)):
            with pytest.raises(NotFound):
                await ask


async def test_bytes_that_are_not_those_of_the_name_are_not_handed_out(
    kept: Objects, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await kept.put(PICTURE, "image/png", "key_1", {})
    changed = PICTURE[:100_000] + b"X" + PICTURE[100_001:]
    await store.put(NAME, changed, "image/png")
    with pytest.raises(InternalError, match="damaged"):
        await kept.read(NAME)
    given = b""
    with pytest.raises(InternalError, match="damaged"):
        async with aclosing(kept.stream(NAME)) as chunks:
            async for chunk in chunks:
                given += chunk
    assert len(given) < len(changed), "the last piece is held back, so that nobody takes it for the whole"
    assert NAME in caplog.text
    await kept.put(PICTURE, "image/png", "key_2", {})  # which repairs it
    assert await kept.read(NAME) == PICTURE


async def test_sweep_forgets_what_is_old_and_not_put_again(kept: Objects, clock: Clock) -> None:
    again = await kept.put(b"put again", "image/png", "key_1", {})
    old = await kept.put(b"old", "image/png", "key_1", {})
    clock.now += 20 * DAY
    await kept.put(b"put again", "image/png", "key_2", {})
    new = await kept.put(b"new", "image/png", "key_1", {})
    clock.now += 15 * DAY
    assert await kept.sweep(0, clock.now) == 0
    assert await kept.sweep(30, clock.now) == 1
    assert await kept.sweep(30, clock.now) == 0
    assert await names(kept) == {again.sha256, new.sha256}
    assert (await kept.find(again.sha256)).size == 9
    with pytest.raises(NotFound, match="older than the days"):
        await kept.read(old.sha256)


async def test_sweep_takes_once_a_day_what_nobody_has_a_row_of(kept: Objects, store: Store, clock: Clock) -> None:
    stray = b"of a database that is no more"
    for data in (stray, PICTURE):
        await store.put(hashlib.sha256(data).hexdigest(), data, "image/png")
    await kept.put(PICTURE, "image/png", "key_1", {})
    clock.now = LATER
    assert await kept.sweep(0, LATER - 2 * DAY) == 0, "it is not a day old"
    assert await kept.sweep(0, LATER - DAY - 60) == 0, "the store was read through less than a day ago"
    assert await kept.sweep(0, LATER) == 1
    assert await names(kept) == {NAME}


async def test_many_strays_are_taken_in_groups(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sampan.storage.objects._BATCH", 20)
    store = FolderStore(tmp_path / "objects")
    objects = Objects(database, lambda: LATER, store)
    for n in range(41):
        path = tmp_path / "objects" / f"{n:064x}"[-2:] / (f"{n:064x}"[-2:] + f"{n:062x}")
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert await objects.sweep(30, LATER) == 41
    assert await names(objects) == set()


async def test_a_put_that_fails_keeps_nothing(database: Database, clock: Clock, tmp_path: Path) -> None:
    objects = Objects(database, clock, Broken(tmp_path / "objects"))
    with pytest.raises(OSError, match="at the very end"):
        await objects.put(PICTURE, "image/png", "key_1", {})
    with database.read() as connection:
        assert connection.execute(select(ARTIFACTS)).all() == []
    assert await objects.sweep(30, clock.now) == 1, "the bytes had come to be there, and are taken at once"
    with database.write(), pytest.raises(ConfigError, match="locked"):
        await objects.put(PICTURE, "image/png", "key_1", {})
    assert await names(objects) == set()


async def test_a_store_that_is_away_is_said_to_be_so(
    database: Database, objects: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await objects.put(PICTURE, "image/png", "key_1", {})
    broken = Objects(database, time.time, Broken(tmp_path / "objects"))
    for ask in (broken.find(NAME), broken.read(NAME), streamed(broken, NAME)):
        with pytest.raises(Unavailable) as caught:
            await ask
        assert "canary-5521" not in str(caught.value)
    assert caplog.text.count("it is away") == 2


async def test_a_put_waits_for_a_sweep_that_removes_the_same(database: Database, clock: Clock, tmp_path: Path) -> None:
    """Two nodes that share a store and a database: what the one puts, the other's sweep does not take."""
    slow = Slow(tmp_path / "objects")
    one, other = Objects(database, clock, slow), Objects(database, clock, FolderStore(tmp_path / "objects"))
    await one.put(PICTURE, "image/png", "key_1", {})
    clock.now += 40 * DAY
    sweeping = asyncio.create_task(one.sweep(30, clock.now))
    await slow.removing.wait()
    putting = asyncio.create_task(other.put(PICTURE, "image/png", "key_2", {}))
    done, _ = await asyncio.wait([putting], timeout=0.3)
    assert not done, "the bytes would be removed under it"
    slow.go_on.set()
    assert await sweeping == 1
    await putting
    assert await other.read(NAME) == PICTURE
    assert await one.sweep(30, clock.now) == 0


async def test_a_put_goes_ahead_when_a_sweep_has_died(database: Database, clock: Clock, tmp_path: Path) -> None:
    slow = Slow(tmp_path / "objects")
    objects = Objects(database, clock, slow)
    await objects.put(PICTURE, "image/png", "key_1", {})
    other = await objects.put(b"other", "image/png", "key_1", {})
    clock.now += 40 * DAY
    sweeping = asyncio.create_task(objects.sweep(30, clock.now))
    await slow.removing.wait()
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
    slow.go_on.set()
    with database.read() as connection:
        [claimed] = connection.execute(select(CONDEMNED.c.sha256)).scalars()
    data = PICTURE if claimed == NAME else b"other"
    assert await objects.sweep(30, clock.now) == 1, "only the one that nobody was removing"
    clock.now += 121
    await objects.put(data, "image/png", "key_2", {})
    assert await objects.sweep(30, clock.now) == 0
    assert await names(objects) == {claimed}
    assert claimed in (NAME, other.sha256)


async def test_a_sweep_that_died_is_finished_by_the_next(database: Database, clock: Clock, tmp_path: Path) -> None:
    slow = Slow(tmp_path / "objects")
    objects = Objects(database, clock, slow)
    await objects.put(PICTURE, "image/png", "key_1", {})
    clock.now += 40 * DAY
    sweeping = asyncio.create_task(objects.sweep(30, clock.now))
    await slow.removing.wait()
    sweeping.cancel()
    slow.go_on.set()
    clock.now += 121
    assert await objects.sweep(30, clock.now) == 1
    assert await names(objects) == set()
    with database.read() as connection:
        assert connection.execute(select(CONDEMNED)).all() == []


async def test_puts_and_sweeps_of_two_nodes_lose_nothing(
    house: tuple[str, Store], clock: Clock, tmp_path: Path
) -> None:
    """What was put last is there, whoever swept meanwhile."""
    contents = [b"content %d" % n for n in range(4)]

    async def put(node: Objects, data: bytes) -> None:
        await node.put(data, "image/png", "key_1", {})
        assert await node.read(hashlib.sha256(data).hexdigest()) == data

    with closing(Database(tmp_path, house[0])) as one, closing(Database(tmp_path, house[0])) as other:
        nodes = [Objects(database, clock, house[1]) for database in (one, other)]
        for _ in range(3):
            clock.now += 40 * DAY  # everything is old
            sweeps = [node.sweep(30, clock.now) for node in nodes]
            puts = [put(nodes[n % 2], data) for n, data in enumerate(contents)]
            await asyncio.gather(*puts, *sweeps)
            assert await names(nodes[0]) == {hashlib.sha256(data).hexdigest() for data in contents}


async def test_who_is_cancelled_has_put_it_all_the_same(kept: Objects) -> None:
    putting = asyncio.create_task(kept.put(PICTURE, "image/png", "key_1", {}))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await kept.settled()
    assert await kept.read(NAME) == PICTURE


def test_without_an_address_of_a_bucket_the_store_is_a_folder(tmp_path: Path) -> None:
    assert isinstance(open_store(StorageSettings(), tmp_path, {}), FolderStore)
    assert (tmp_path / "objects" / "incoming").is_dir()


def test_a_bucket_needs_something_to_sign_with(tmp_path: Path) -> None:
    settings = StorageSettings(objects="s3://pictures?endpoint=http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"):
        open_store(settings, tmp_path, {"AWS_ACCESS_KEY_ID": "a"})
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert isinstance(open_store(settings, tmp_path, environ), BucketStore)


def test_links_are_the_gateways_unless_the_store_has_its_own(
    objects: Objects, database: Database, clock: Clock
) -> None:
    expires = int(clock.now) + 60
    link = objects.link("https://ai.example.org/", NAME, "image/png", expires)
    assert link == "https://ai.example.org" + objects.sign(NAME, "image/png", expires)
    assert Objects(database, clock, direct=True).link("https://ai.example.org", NAME, "image/png", expires) == link


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
