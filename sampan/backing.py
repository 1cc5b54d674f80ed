"""`sampan backup`, `restore` and `move`: what a gateway keeps, in one file, back again, and from place to place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sampan import config
from sampan.config.verbs import ConfigOption, load
from sampan.errors import ConfigError
from sampan.storage import backup
from sampan.storage.backup import Manifest, Parts, Place, Tell
from sampan.storage.db import Database, make_folder
from sampan.storage.lock import held
from sampan.storage.objects import open_store
from sampan.storage.records import Records

T = TypeVar("T")


def backup_verb(
    file: Annotated[Path, typer.Argument(help="Where to; nothing may be there.")],
    path: ConfigOption = None,
    check: Annotated[bool, typer.Option("--check", help="Only verifies a backup that is there.")] = False,
) -> None:
    """Writes everything that the gateway keeps to one file, and verifies it; the gateway may run meanwhile."""
    if check:
        manifest = _shown(lambda tell: asyncio.to_thread(backup.verify, file, tell))
    else:
        backup.check_free(file)
        with _place(load(path)) as place:
            manifest = _shown(lambda tell: backup.write(place, file, tell))
    _tell(manifest, file)


def restore_verb(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    path: ConfigOption = None,
) -> None:
    """Verifies a backup and puts it where the configuration says, which must be empty; the gateway must not run."""
    loaded = load(path)
    with _still(Path(loaded.server.data)), _place(loaded) as place:
        manifest = _shown(lambda tell: backup.restore(file, place, tell))
        print(f"restored into {place.database.place}")
    _tell(manifest, file)


def move_verb(
    to: Annotated[Path, typer.Option(help="Configuration whose storage and data folder say where to.")],
    path: ConfigOption = None,
) -> None:
    """Copies everything to where another configuration keeps it, which must be empty; the gateway must not run."""
    source, target = load(path), config.load(to)
    here, there = _where(source), _where(target)
    if here == there:
        raise ConfigError(f"{to} keeps everything where it is already")
    parts = Parts(tables=here[0] != there[0], objects=here[1] != there[1])
    _settle(source)
    with ExitStack() as stack:
        for folder in {Path(each.server.data).resolve() for each in (source, target)}:
            stack.enter_context(_still(folder))
        old, new = stack.enter_context(_place(source)), stack.enter_context(_place(target))
        moved = _shown(lambda tell: backup.move(old, new, parts, tell))
        where = f" in {new.database.place}" if parts.tables else ""
        print(f"{moved.rows:,} rows{where} and {moved.objects:,} objects were copied; nothing was removed here")
    print(f"Start the gateway with {to}, and keep what is here until you have looked around.")


def _where(loaded: config.Config) -> tuple[str, str]:
    """Where its tables are, and where its objects."""
    folder, storage = str(Path(loaded.server.data).resolve()), loaded.storage
    return (
        folder if storage.database == "sqlite" else storage.database,
        folder if storage.objects == "folder" else storage.objects,
    )


@contextmanager
def _place(loaded: config.Config) -> Iterator[Place]:
    """Where a configuration keeps things."""
    folder = Path(loaded.server.data)
    database = Database(folder, loaded.storage.database)
    try:
        yield Place(database, open_store(loaded.storage, folder, os.environ))
    finally:
        database.close()


@contextmanager
def _still(folder: Path) -> Iterator[None]:
    """No gateway of this data folder runs, and none starts meanwhile."""
    make_folder(folder)
    with held(folder):
        yield


def _settle(loaded: config.Config) -> None:
    """What a gateway that was killed left in its spool goes to the database."""
    with _place(loaded) as place:
        records = Records(place.database)
        records.start()
        records.close()


def _shown(work: Callable[[Tell], Coroutine[Any, Any, T]]) -> T:
    """Runs it with a progress bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def tell(what: str, done: int, whole: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=whole)
            progress.update(tasks[what], completed=done, total=whole)

        return asyncio.run(_awaited(work(tell)))


async def _awaited(work: Coroutine[Any, Any, T]) -> T:
    return await work


def _tell(manifest: Manifest, file: Path) -> None:
    made = datetime.fromtimestamp(manifest.made, UTC).astimezone()
    rows = sum(entry.rows for entry in manifest.tables.values())
    print(
        f"{file}: whole; of {made:%Y-%m-%d %H:%M}, Sampan {manifest.version}, schema {manifest.schema}; {rows:,} rows, "
        f"{manifest.objects:,} objects of {manifest.bytes:,} bytes"
    )
    if manifest.missing:
        print(f"{len(manifest.missing)} objects were missing or damaged when it was made; their rows are in it")
