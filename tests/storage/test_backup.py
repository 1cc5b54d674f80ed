"""What a gateway keeps, in one file and back again, and from one place to another."""

from __future__ import annotations

import asyncio
import os
import random
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from postgres_process import PostgresProcess
from sqlalchemy import BigInteger, Boolean, Float, Integer, LargeBinary, insert, select

from sampan.errors import ConfigError
from sampan.storage import backup
from sampan.storage.backup import Parts, Place
from sampan.storage.bucket import BucketStore
from sampan.storage.db import Database
from sampan.storage.folder import FolderStore
from sampan.storage.keys import Keys
from sampan.storage.objects import Objects
from sampan.storage.tables import ARTIFACTS, METADATA, PROMOTIONS, SETTINGS
from tests.s3_process import CREDENTIALS, S3Process

PICTURES = [b"\x89PNG" + bytes([number]) * (50_000 * number + 1) for number in range(4)]


def embedded(folder: Path) -> Place:
    database = Database(folder)
    return Place(database, FolderStore(folder / "objects"))


def large(folder: Path, postgres: PostgresProcess, s3: S3Process) -> Place:
    return Place(Database(folder, postgres.url(postgres.make())), BucketStore(s3.bucket(), CREDENTIALS))


def value(kind: object, luck: random.Random, number: int) -> Any:
    if isinstance(kind, LargeBinary):
        return luck.randbytes(luck.randint(0, 40))
    if isinstance(kind, Boolean):
        return luck.random() < 0.5
    if isinstance(kind, BigInteger | Integer):
        return number + 1
    if isinstance(kind, Float):
        return luck.choice([0.0, 0.1, 1.7e9 + luck.random(), 3.0])
    return luck.choice(["", "放射科", 'a "quoted"\n line', "\\", "x" * 3000]) + str(number)


def fill(database: Database, rows: int = 30) -> None:
    """Every table, with whatever its columns can hold."""
    luck = random.Random(7)
    with database.write() as connection:
        for table in METADATA.sorted_tables:
            if table not in (SETTINGS, ARTIFACTS):
                made = []
                for number in range(rows):
                    row = {column.name: value(column.type, luck, number) for column in table.columns}
                    for column in table.columns:
                        if column.nullable and luck.random() < 0.4:
                            row[column.name] = None
                    made.append(row)
                connection.execute(insert(table), made)


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in METADATA.sorted_tables
        }


async def picture(place: Place) -> list[str]:
    objects = Objects(place.database, store=place.store)
    return [(await objects.put(each, "image/png", "key_1", {"n": 1})).sha256 for each in PICTURES]


async def made(folder: Path) -> tuple[Place, list[str]]:
    place = embedded(folder)
    Keys(place.database).ensure_admin()
    names = await picture(place)
    fill(place.database)
    (folder / "audit-key.pem").write_bytes(b"not really a key")
    return place, names


async def test_what_is_restored_is_what_was_there(tmp_path: Path) -> None:
    place, names = await made(tmp_path / "old")
    file = tmp_path / "all.backup"
    told: list[tuple[str, int, int]] = []
    manifest = await backup.write(place, file, lambda *said: told.append(said))
    assert (manifest.objects, manifest.bytes, manifest.missing) == (4, sum(map(len, PICTURES)), [])
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(os.listdir(tmp_path)) == {"old", "all.backup"}
    last = {what: (done, whole) for what, done, whole in told}
    assert set(last) == {"tables", "objects", "verifying tables", "verifying objects"}
    assert all(done == whole > 0 for done, whole in last.values())
    new = embedded(tmp_path / "new")
    await backup.restore(file, new)
    assert contents(new.database) == contents(place.database)
    assert [await new.store.read(name) for name in names] == PICTURES
    assert (tmp_path / "new" / "audit-key.pem").read_bytes() == b"not really a key"
    assert (tmp_path / "new" / "audit-key.pem").stat().st_mode & 0o777 == 0o600


async def test_from_the_embedded_stores_to_the_large_ones_and_back(
    tmp_path: Path, postgres: PostgresProcess, s3: S3Process
) -> None:
    old, names = await made(tmp_path / "old")
    new = large(tmp_path / "new", postgres, s3)
    moved = await backup.move(old, new, Parts())
    assert moved.objects == 4
    assert moved.rows == sum(map(len, contents(old.database).values()))
    assert contents(new.database) == contents(old.database)
    assert [await new.store.read(name) for name in names] == PICTURES
    # Whoever comes next is counted on from there.
    with new.database.write() as connection:
        row = {column.name: value(column.type, random.Random(1), 99) for column in PROMOTIONS.columns}
        del row["id"]
        assert connection.execute(insert(PROMOTIONS).values(row).returning(PROMOTIONS.c.id)).scalar_one() == 31
    file = tmp_path / "large.backup"
    await backup.write(new, file)
    back = embedded(tmp_path / "back")
    await backup.restore(file, back)
    assert contents(back.database) == contents(new.database)


async def test_objects_alone_may_move(tmp_path: Path, s3: S3Process, postgres: PostgresProcess) -> None:
    old, names = await made(tmp_path / "old")
    new = replace(large(tmp_path / "new", postgres, s3), database=old.database)
    assert await backup.move(old, new, Parts(tables=False)) == backup.Moved(0, 4)
    assert await backup.move(old, new, Parts(tables=False)) == backup.Moved(0, 4)  # once more does no harm
    assert [await new.store.read(name) for name in names] == PICTURES


async def test_nothing_is_put_over_something(tmp_path: Path) -> None:
    place, _ = await made(tmp_path / "old")
    file = tmp_path / "all.backup"
    await backup.write(place, file)
    with pytest.raises(ConfigError, match="is there already"):
        await backup.write(place, file)
    other = embedded(tmp_path / "other")
    Keys(other.database).ensure_admin()
    before = contents(other.database)
    for work in (backup.restore(file, other), backup.move(place, other, Parts())):
        with pytest.raises(ConfigError, match="is not empty"):
            await work
    assert contents(other.database) == before


async def test_an_object_that_was_lost_before_is_told(tmp_path: Path) -> None:
    place, names = await made(tmp_path / "old")
    await place.store.remove(names[0])
    path = tmp_path / "old" / "objects" / names[1][:2] / names[1]
    path.write_bytes(b"rotten")
    manifest = await backup.write(place, tmp_path / "all.backup")
    assert sorted(manifest.missing) == sorted(names[:2])
    new = embedded(tmp_path / "new")
    await backup.restore(tmp_path / "all.backup", new)
    assert await new.store.read(names[2]) == PICTURES[2]
    with pytest.raises(ConfigError, match=f"object {names[1][:12]}… is damaged"):
        await backup.move(place, embedded(tmp_path / "moved"), Parts())


async def test_any_damage_is_found(tmp_path: Path) -> None:
    place, _ = await made(tmp_path / "old")
    file = tmp_path / "all.backup"
    await backup.write(place, file)
    whole = file.read_bytes()
    luck = random.Random(3)
    bad = tmp_path / "bad.backup"
    covered = []
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            start = info.header_offset + 200
            if info.compress_size > 2000:
                covered.append((start, start + info.compress_size // 2))
    for start, end in covered:
        for _ in range(4):
            spot = luck.randrange(start, end)
            bad.write_bytes(whole[:spot] + bytes([whole[spot] ^ 1 << luck.randrange(8)]) + whole[spot + 1 :])
            with pytest.raises(ConfigError, match="damaged"):
                await asyncio.to_thread(backup.verify, bad)
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        bad.write_bytes(whole[:cut])
        with pytest.raises(ConfigError, match=r"damaged|no backup"):
            await asyncio.to_thread(backup.verify, bad)
    target = embedded(tmp_path / "new")
    with pytest.raises(ConfigError):
        await backup.restore(bad, target)
    assert all(not rows for name, rows in contents(target.database).items() if name != "settings")


async def test_a_table_that_was_changed_by_hand_is_found(tmp_path: Path) -> None:
    place, _ = await made(tmp_path / "old")
    file, forged = tmp_path / "all.backup", tmp_path / "forged.backup"
    await backup.write(place, file)
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(forged, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b'"admin"', b'"amdin"') if name == "tables/keys.jsonl" else data)
    with pytest.raises(ConfigError, match="table keys is not what was written"):
        backup.verify(forged)


async def test_a_backup_of_another_schema_says_who_can_restore_it(tmp_path: Path) -> None:
    place, _ = await made(tmp_path / "old")
    file, older = tmp_path / "all.backup", tmp_path / "older.backup"
    manifest = await backup.write(place, file)
    with zipfile.ZipFile(older, "w") as target:
        target.writestr(
            backup.MANIFEST, msgspec.json.encode(msgspec.structs.replace(manifest, schema=99, version="9.9"))
        )
    with pytest.raises(ConfigError, match=r"schema 99, made by Sampan 9\.9"):
        backup.verify(older)


async def test_who_is_interrupted_leaves_nothing_half(tmp_path: Path) -> None:
    place, _ = await made(tmp_path / "old")

    def leave(what: str, done: int, whole: int) -> None:
        if what == "objects" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await backup.write(place, tmp_path / "all.backup", leave)
    assert os.listdir(tmp_path) == ["old"]
