"""Everything that a gateway keeps, in one file, and from one place to another.

    sampan-backup.json      what is in it: versions, rows and SHA-256 of each table, files, objects that were missing
    tables/<name>.jsonl     the names of the columns, then a row a line; bytes are base64
    files/<name>            small files of the data folder, such as the key that the audit is sealed with
    objects/<sha256>        the bytes of artifacts and uploads

A ZIP file (ZIP64), so that any machine can look into it. All tables are read in one view of the database, so that they
fit together; objects are named by their content and cannot change meanwhile. Weights of models are not in it: they are
fetched or installed from a bundle.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import Connection, LargeBinary, Table, delete, func, insert, select, text

from sampan import __version__
from sampan.errors import ConfigError
from sampan.storage.chain import KEY_FILE, NODE_FILE
from sampan.storage.db import Database
from sampan.storage.schema import SCHEMA_VERSION
from sampan.storage.store import Store
from sampan.storage.tables import ARTIFACTS, METADATA, SETTINGS

MANIFEST = "sampan-backup.json"
KEPT_FILES = (KEY_FILE, NODE_FILE)
PAGE = 500  # rows
PIECE = 1 << 20  # bytes

Tell = Callable[[str, int, int], None]
"""Is told what is being done, how far it is, and how far it goes."""


class TableEntry(msgspec.Struct, frozen=True):
    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds. `missing` are objects that the database knew and the store did not have."""

    format: int
    version: str
    schema: int
    made: float
    tables: dict[str, TableEntry]
    files: dict[str, str]
    objects: int
    bytes: int
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway keeps what it keeps."""

    database: Database
    store: Store


@dataclass(frozen=True, slots=True)
class Parts:
    """What is to be moved."""

    tables: bool = True
    objects: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """How many rows and objects are there now."""

    rows: int
    objects: int


def nothing(what: str, done: int, whole: int) -> None:
    """Tells nobody."""


def check_free(path: Path) -> None:
    """Raises `ConfigError` where something is at `path` already."""
    if path.exists():
        raise ConfigError(f"{path} is there already: choose another name, a backup is never written over")


async def write(place: Place, path: Path, tell: Tell = nothing) -> Manifest:
    """Makes a backup at `path`, whole or not at all, and reads it once more. The gateway may run meanwhile.

    Raises `ConfigError`, or `OSError` where the disk is full.
    """
    await asyncio.to_thread(check_free, path)
    partial = path.with_name(path.name + ".partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                await _fill(place, archive, tell)
            out.flush()
            os.fsync(out.fileno())
        manifest = verify(partial, tell)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return manifest


async def _fill(place: Place, archive: zipfile.ZipFile, tell: Tell) -> None:
    tables, kinds = await asyncio.to_thread(_write_tables, place.database, archive, tell)
    files = {}
    for name in KEPT_FILES:
        file = place.database.folder / name
        if file.is_file():
            data = file.read_bytes()
            archive.writestr(f"files/{name}", data)
            files[name] = hashlib.sha256(data).hexdigest()
    size, missing = 0, []
    for number, sha256 in enumerate(sorted(kinds)):
        tell("objects", number, len(kinds))
        entry = zipfile.ZipInfo(f"objects/{sha256}")  # pictures do not get smaller
        with archive.open(entry, "w", force_zip64=True) as out:
            found = await _copy_object(place.store, sha256, out)
        if found is None:
            missing.append(sha256)
        size += found or 0
    tell("objects", len(kinds), len(kinds))
    manifest = Manifest(1, __version__, SCHEMA_VERSION, time.time(), tables, files, len(kinds), size, missing)
    archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


async def _copy_object(store: Store, sha256: str, out: IO[bytes]) -> int | None:
    """How many bytes it has; None where it is not there, or not what it is named."""
    hashed, size = hashlib.sha256(), 0
    try:
        async with aclosing(store.stream(sha256)) as pieces:
            async for piece in pieces:
                hashed.update(piece)
                size += len(piece)
                out.write(piece)
    except FileNotFoundError:
        return None
    return size if hashed.hexdigest() == sha256 else None


def _write_tables(
    database: Database, archive: zipfile.ZipFile, tell: Tell
) -> tuple[dict[str, TableEntry], dict[str, str]]:
    """The tables' entries, and the media types of the objects that they know."""
    entries = {}
    with database.read() as connection:
        kinds = _kinds(connection)
        for number, table in enumerate(METADATA.sorted_tables):
            tell("tables", number, len(METADATA.sorted_tables))
            hashed, rows = hashlib.sha256(), 0
            with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as out:
                for line in _lines(connection, table):
                    hashed.update(line)
                    out.write(line)
                    rows += 1
            entries[table.name] = TableEntry(rows - 1, hashed.hexdigest())
        tell("tables", len(entries), len(entries))
    return entries, kinds


def _kinds(connection: Connection) -> dict[str, str]:
    """Every object that a row names, uploads too: their bytes are artifacts."""
    rows = connection.execute(select(ARTIFACTS.c.sha256, ARTIFACTS.c.media_type).distinct())
    return {sha256: media_type for sha256, media_type in rows}


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    """The names of the columns, then the rows in the order of their keys: two backups of the same are the same."""
    yield msgspec.json.encode([str(column.name) for column in table.columns]) + b"\n"
    found = connection.execution_options(yield_per=PAGE).execute(select(table).order_by(*table.primary_key.columns))
    for row in found:
        yield msgspec.json.encode(tuple(row)) + b"\n"


def verify(path: Path, tell: Tell = nothing) -> Manifest:
    """Reads a whole backup and compares all that it says of itself. Raises `ConfigError` naming what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            _verify_tables(archive, manifest, path, tell)
            _verify_objects(archive, manifest, path, tell)
            return manifest
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}") from None
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        raise ConfigError(f"{path} is damaged: {error}. Take another backup.") from None


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    except (KeyError, msgspec.DecodeError, msgspec.ValidationError):
        raise ConfigError(f"{path} is no backup of Sampan's, or not a whole one") from None
    if manifest.schema != SCHEMA_VERSION:
        raise ConfigError(
            f"{path} has schema {manifest.schema}, made by Sampan {manifest.version}; this one restores "
            f"{SCHEMA_VERSION}. Restore it with that version, and upgrade then."
        )
    return manifest


def _verify_tables(archive: zipfile.ZipFile, manifest: Manifest, path: Path, tell: Tell) -> None:
    for number, (name, entry) in enumerate(manifest.tables.items()):
        tell("verifying tables", number, len(manifest.tables))
        with archive.open(f"tables/{name}.jsonl") as lines:
            hashed = hashlib.file_digest(lines, "sha256")  # type: ignore[arg-type]
        if hashed.hexdigest() != entry.sha256:
            raise ConfigError(f"{path} is damaged: table {name} is not what was written. Take another backup.")
    tell("verifying tables", len(manifest.tables), len(manifest.tables))
    for name, sha256 in manifest.files.items():
        if hashlib.sha256(archive.read(f"files/{name}")).hexdigest() != sha256:
            raise ConfigError(f"{path} is damaged: file {name} is not what was written. Take another backup.")


def _verify_objects(archive: zipfile.ZipFile, manifest: Manifest, path: Path, tell: Tell) -> None:
    names = [name for name in archive.namelist() if name.startswith("objects/")]
    if len(names) != manifest.objects:
        raise ConfigError(f"{path} is damaged: it has {len(names)} of {manifest.objects} objects. Take another backup.")
    missing = set(manifest.missing)
    for number, name in enumerate(names):
        tell("verifying objects", number, len(names))
        sha256 = name.removeprefix("objects/")
        if sha256 in missing:
            continue
        with archive.open(name) as file:
            hashed = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
        if hashed.hexdigest() != sha256:
            raise ConfigError(f"{path} is damaged: object {sha256[:12]}… is not what was written. Take another backup.")
    tell("verifying objects", len(names), len(names))


async def restore(path: Path, place: Place, tell: Tell = nothing) -> Manifest:
    """Puts a backup, which is verified first, into a place that is empty.

    Objects come first: rows without bytes would be promises that cannot be kept. Raises `ConfigError`, and leaves the
    database as it was then.
    """
    manifest = await asyncio.to_thread(verify, path, tell)
    await asyncio.to_thread(_check_empty, place.database)
    missing = set(manifest.missing)
    with zipfile.ZipFile(path) as archive:
        kinds = dict(_kinds_in(archive))
        names = [name for name in archive.namelist() if name.startswith("objects/")]
        for number, name in enumerate(names):
            tell("objects", number, len(names))
            sha256 = name.removeprefix("objects/")
            if sha256 not in missing:
                await place.store.put(sha256, archive.read(name), kinds.get(sha256, "application/octet-stream"))
        tell("objects", len(names), len(names))
        for name in manifest.files:
            _put_file(place.database.folder / name, archive.read(f"files/{name}"))

        def tables() -> Iterator[tuple[Table, Iterator[bytes]]]:
            for table in METADATA.sorted_tables:
                with archive.open(f"tables/{table.name}.jsonl") as lines:
                    yield table, iter(lines)

        counts = await asyncio.to_thread(_insert, place.database, tables(), tell)
    for name, entry in manifest.tables.items():
        if counts.get(name) != entry.rows:
            raise ConfigError(f"table {name} has {counts.get(name)} rows after all, not {entry.rows}")
    return manifest


async def move(source: Place, target: Place, parts: Parts, tell: Tell = nothing) -> Moved:
    """Copies everything, or one of the two, to where nothing is yet. The gateway must not run meanwhile.

    The source is left as it is. Raises `ConfigError`.
    """
    if parts.tables:
        await asyncio.to_thread(_check_empty, target.database)
    kinds = await asyncio.to_thread(_read_kinds, source.database) if parts.objects else {}
    for number, (sha256, media_type) in enumerate(sorted(kinds.items())):
        tell("objects", number, len(kinds))
        await _move_object(source.store, target.store, sha256, media_type)
    tell("objects", len(kinds), len(kinds))
    await asyncio.to_thread(_move_files, source.database.folder, target.database.folder)
    counts = {}
    if parts.tables:
        counts = await asyncio.to_thread(_move_tables, source.database, target.database, tell)
    return Moved(sum(counts.values()), len(kinds))


def _move_files(source: Path, target: Path) -> None:
    for name in KEPT_FILES:
        if (source / name).is_file() and source.resolve() != target.resolve():
            _put_file(target / name, (source / name).read_bytes())


def _move_tables(source: Database, target: Database, tell: Tell) -> dict[str, int]:
    with source.read() as connection:
        tables = ((table, _lines(connection, table)) for table in METADATA.sorted_tables)
        counts = _insert(target, tables, tell)
        for table in METADATA.sorted_tables:
            rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
            if rows != counts[table.name]:
                raise ConfigError(f"table {table.name} has {counts[table.name]} rows there, and {rows} here")
    return counts


async def _move_object(source: Store, target: Store, sha256: str, media_type: str) -> None:
    try:
        data = await source.read(sha256)
    except FileNotFoundError:
        return  # a row whose bytes were lost before; it is a row that says so there as well
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ConfigError(f"object {sha256[:12]}… is damaged where it is; remove it, or put it back from a backup")
    with suppress(FileNotFoundError):  # which is the rule; else it is there from an earlier attempt
        if await target.size(sha256) == len(data):
            return
    await target.put(sha256, data, media_type)


def _read_kinds(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return _kinds(connection)


def _kinds_in(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    with archive.open(f"tables/{ARTIFACTS.name}.jsonl") as lines:
        names = msgspec.json.decode(next(lines))
        sha256, media_type = names.index("sha256"), names.index("media_type")
        for line in lines:
            row = msgspec.json.decode(line)
            yield row[sha256], row[media_type]


def _check_empty(database: Database) -> None:
    with database.read() as connection:
        for table in METADATA.sorted_tables:
            if table is not SETTINGS and connection.execute(select(table).limit(1)).first() is not None:
                raise ConfigError(
                    f"{database.place} is not empty (table {table.name} has rows): nothing was changed. Name a new "
                    "database, or a new data folder, in the configuration."
                )


def _insert(database: Database, tables: Iterable[tuple[Table, Iterator[bytes]]], tell: Tell) -> dict[str, int]:
    """All rows in one transaction, and how many each table has then."""
    counts = {}
    with database.write() as connection:
        connection.execute(delete(SETTINGS))
        for number, (table, lines) in enumerate(tables):
            tell("tables", number, len(METADATA.sorted_tables))
            names = msgspec.json.decode(next(lines))
            rows: list[dict[str, Any]] = []
            for line in lines:
                rows.append(_row(table, names, line))
                if len(rows) == PAGE:
                    connection.execute(insert(table), rows)
                    rows = []
            if rows:
                connection.execute(insert(table), rows)
            _go_on_counting(connection, table)
            counts[table.name] = connection.execute(select(func.count()).select_from(table)).scalar_one()
        tell("tables", len(counts), len(counts))
    return counts


def _row(table: Table, names: list[str], line: bytes) -> dict[str, Any]:
    row = dict(zip(names, msgspec.json.decode(line), strict=True))
    for name, value in row.items():
        if value is not None and isinstance(table.c[name].type, LargeBinary):
            row[name] = base64.b64decode(value)
    return row


def _go_on_counting(connection: Connection, table: Table) -> None:
    """PostgreSQL's counters do not see rows that brought their number along; SQLite's do."""
    column = table.autoincrement_column
    if connection.dialect.name != "postgresql" or column is None:
        return
    last = connection.execute(select(func.max(column))).scalar()
    if last is not None:
        counter = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
        connection.execute(text(f"SELECT setval({counter}, :last)"), {"last": last})


def _put_file(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
