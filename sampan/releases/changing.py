"""`sampan models promote|rollback|history`: which release of an engine is in force.

The request goes into the database of the data folder, where the server on it finds it and tells how it goes. Where none
runs there is nothing to be careful with: the release is in force from the next start on.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from sampan.config import Config, EngineSettings
from sampan.config.verbs import ConfigOption, JsonOption, day, load, print_table
from sampan.errors import ConfigError
from sampan.releases.standing import AS_NAMED, check_promotable, in_words, loads, resolve
from sampan.releases.store import Store
from sampan.storage.db import Database, is_there
from sampan.storage.releases import ENDS, Kind, Pin, Promotion, Releases, Stage, server_pid

EVERY = 0.2  # seconds between two looks at how it goes
TAKEN_UP = 30.0  # seconds within which a server takes up what it is asked for
INTERRUPTED = 130

EngineArgument = Annotated[str, typer.Argument(help="Name of the engine in the configuration.", show_default=False)]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Ask for it, and do not wait for its end.")]


@dataclass(frozen=True, slots=True)
class _House:
    """An engine, and where its releases stand."""

    name: str
    engine: EngineSettings
    data: Path
    store: Store
    releases: Releases

    @property
    def pin(self) -> Pin | None:
        return self.releases.pinned(self.name, self.engine.revision)

    @property
    def pinned(self) -> str:
        """What was promoted, or nothing."""
        return self.pin.revision if self.pin else ""


def promote(
    name: EngineArgument,
    release: Annotated[
        str,
        typer.Argument(
            help="Revision as `sampan models list` shows it, its beginning, or a branch or tag that was fetched; for a "
            "server with {release} in its command any tag.",
            show_default=False,
        ),
    ],
    no_wait: NoWaitOption = False,
    path: ConfigOption = None,
) -> None:
    """Puts another release in the place of the present one, while calls go on; a bad one is rolled back."""
    with _house(name, path) as house:
        revision = resolve(house.store, name, house.engine, release)
        if server_pid(house.data) is not None:
            _ask(house, Kind.PROMOTE, revision, no_wait)
            return
        before = loads(house.store, house.engine, house.pinned)
        if revision == before:
            raise ConfigError(f"{revision} is in force already")
        _enforce(house, Kind.PROMOTE, Pin(name, revision, before, house.engine.revision))


def rollback(name: EngineArgument, no_wait: NoWaitOption = False, path: ConfigOption = None) -> None:
    """Puts the release before the present one back, or stops a promotion that goes on."""
    with _house(name, path) as house:
        check_promotable(name, house.engine)
        if server_pid(house.data) is not None:
            _ask(house, Kind.ROLLBACK, "", no_wait)
            return
        pin = house.pin
        if pin is None or not pin.previous:
            raise ConfigError(f"nothing was promoted on {name} that has a release before it, so there is no way back")
        if pin.previous != AS_NAMED:
            resolve(house.store, name, house.engine, pin.previous)
        _enforce(house, Kind.ROLLBACK, Pin(name, pin.previous, pin.revision, house.engine.revision))


def history(name: EngineArgument, as_json: JsonOption = False, path: ConfigOption = None) -> None:
    """Tells what is in force for an engine, and what was promoted and rolled back, newest first."""
    with _house(name, path) as house:
        rows = house.releases.history(name)
        told = in_words(house.store, house.engine, house.pinned)
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
        return
    print(f"In force for {name}: {told}")
    lines = []
    for row in rows:
        far = f"{row.stage} {row.share:.0%}" if row.stage is Stage.SHARING else row.stage
        lines.append((day(row.asked), row.kind, row.revision or "–", far, row.detail))
    if lines:
        print_table(("asked", "what", "release", "how far", "what came of it"), lines, whole=("release",))


def standings(loaded: Config) -> dict[str, str]:
    """What each engine of a configuration loads at its next start, in words. Reads only; blocks."""
    data = Path(loaded.server.data)
    url = loaded.storage.database
    database = Database(data, url) if is_there(data, url) else None
    try:
        releases = Releases(database, time.time) if database else None
        told = {}
        for name, engine in loaded.engines.items():
            pin = releases.pinned(name, engine.revision) if releases else None
            told[name] = in_words(Store(data), engine, pin.revision if pin else "")
        return told
    finally:
        if database:
            database.close()


@contextmanager
def _house(name: str, path: Path | None) -> Iterator[_House]:
    loaded = load(path)
    engine = loaded.engines.get(name)
    if engine is None:
        raise ConfigError(f"there is no engine {name!r}. There are: {', '.join(sorted(loaded.engines)) or 'none'}")
    data = Path(loaded.server.data)
    database = Database(data, loaded.storage.database)
    try:
        yield _House(name, engine, data, Store(data), Releases(database, time.time))
    finally:
        database.close()


def _enforce(house: _House, kind: Kind, pin: Pin) -> None:
    """Puts a release in force while no server runs."""
    for left in house.releases.open():
        if left.engine == house.name:
            house.releases.note(left.id, Stage.FAILED, "the server stopped meanwhile")
    identifier = house.releases.ask(house.name, kind, pin.revision if kind is Kind.PROMOTE else "")
    house.releases.enforce(identifier, pin, "no server ran: in force from the next start on")
    what = "what its server finds by itself" if pin.revision == AS_NAMED else pin.revision
    print(f"No server runs on {house.data}: the next start loads {what} for {house.name}")


def _ask(house: _House, kind: Kind, revision: str, no_wait: bool) -> None:
    """Asks the server, and follows what it does. Raises `ConfigError` where that comes to no good end."""
    identifier = house.releases.ask(house.name, kind, revision)
    if no_wait:
        print(f"asked for; `sampan models history {house.name}` tells how it goes")
        return
    pause = threading.Event()
    seen = steps(house.releases, identifier, lambda: server_pid(house.data) is not None, pause.wait)
    try:
        ended = show(house.name, seen, Console(stderr=True))
    except KeyboardInterrupt:
        stops = f"; `sampan models rollback {house.name}` stops it" if kind is Kind.PROMOTE else ""
        print(f"sampan: it goes on without being watched{stops}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if ended.stage is not Stage.FINISHED:
        raise ConfigError(f"the {kind} of {house.name} is {ended.stage.replace('_', ' ')}: {ended.detail}")
    print(f"{house.name}: {ended.detail}")


def steps(
    releases: Releases, identifier: int, alive: Callable[[], bool], pause: Callable[[float], object]
) -> Iterator[Promotion]:
    """How it goes, each time that has changed; its end last. Raises `ConfigError` where the server is gone."""
    seen: Promotion | None = None
    waited = 0.0
    while True:
        gone = not alive()  # asked first: its last words count
        promotion = releases.get(identifier)
        if promotion != seen:
            seen = promotion
            yield promotion
        if promotion.stage in ENDS:
            return
        if promotion.stage is Stage.ASKED and waited > TAKEN_UP:
            releases.note(identifier, Stage.FAILED, "no server took it up")
            continue
        if gone:
            raise ConfigError("the server ended meanwhile; what was in force before stays so")
        pause(EVERY)
        waited += EVERY


def show(name: str, seen: Iterator[Promotion], console: Console) -> Promotion:
    """Shows a promotion as it goes: one line that lives on a terminal, plain lines elsewhere. Returns its end."""
    if not console.is_terminal:
        return _last(_say(name, seen, console))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TextColumn("{task.fields[detail]}"), console=console, transient=True) as progress:
        task = progress.add_task(name, total=1.0, detail="")
        for promotion in seen:
            words = f"{escape(name)} {promotion.stage}"
            progress.update(task, description=words, completed=promotion.share, detail=escape(promotion.detail))
    return promotion


def _say(name: str, seen: Iterator[Promotion], console: Console) -> Iterator[Promotion]:
    """A line for each stage and share, and for what a release says while it starts; not one for each call."""
    told: tuple[object, ...] = ()
    for promotion in seen:
        detail = "" if promotion.stage is Stage.SHARING else promotion.detail
        if (now := (promotion.stage, promotion.share, detail)) != told:
            told = now
            share = f" {promotion.share:.0%} of the calls" if promotion.stage is Stage.SHARING else ""
            words = f"{name}: {promotion.stage}{share}{': ' if detail else ''}{detail}"
            console.print(words, markup=False, highlight=False, soft_wrap=True)
        yield promotion


def _last(seen: Iterator[Promotion]) -> Promotion:
    *_, last = seen
    return last
