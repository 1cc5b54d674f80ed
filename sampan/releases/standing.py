"""Which releases an engine can be given, and which of them is in force."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from sampan.config import EMBEDDED_ENGINES, SERVER_KIND, EngineSettings
from sampan.errors import ConfigError
from sampan.releases.names import ReleaseError
from sampan.releases.store import Release, Store
from sampan.storage.releases import Pin

AS_NAMED = "-"  # in the place of a revision: another's server, given its model by name, finds that by itself
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+:@/-]{0,199}")


def names(command: Sequence[str], *placeholders: str) -> bool:
    """Whether one of the placeholders stands in a command."""
    return any(placeholder in part for part in command for placeholder in placeholders)


def has_tags(engine: EngineSettings) -> bool:
    """Whether its releases are tags that only its command understands, such as those of an image."""
    return names(engine.command, "{release}")


class Obstacle(StrEnum):
    """Why an engine has no releases that could be promoted."""

    BUILT_IN = "built_in"
    ELSEWHERE = "elsewhere"
    FIXED = "fixed"
    FOLDER = "folder"


def obstacle(engine: EngineSettings) -> Obstacle | None:
    """None where there are releases of it."""
    if engine.kind in EMBEDDED_ENGINES:
        return Obstacle.BUILT_IN
    if engine.url:
        return Obstacle.ELSEWHERE
    if has_tags(engine):
        return None
    if engine.kind == SERVER_KIND and not names(engine.command, "{model}"):
        return Obstacle.FIXED
    return Obstacle.FOLDER if Path(engine.model).is_dir() else None


def check_promotable(name: str, engine: EngineSettings) -> None:
    """Raises `ConfigError` for an engine of which there are no releases that could be promoted."""
    match obstacle(engine):
        case Obstacle.BUILT_IN:
            raise ConfigError(f"{name} is a {engine.kind}: it comes with Sampan and has no releases")
        case Obstacle.ELSEWHERE:
            raise ConfigError(f"{name} is run by somebody else at {engine.url}: promote there")
        case Obstacle.FIXED:
            why = "has neither {release} nor {model} in it: nothing would change"
            raise ConfigError(f"the command of {name} {why}")
        case Obstacle.FOLDER:
            folder = "`sampan models fetch --from FOLDER` makes releases of it"
            raise ConfigError(f"the model of {name} is a folder: {folder}")


def resolve(store: Store, name: str, engine: EngineSettings, release: str) -> str:
    """What `promote` calls a release: its full revision, or a tag as it is. Raises `ConfigError`. Blocks."""
    check_promotable(name, engine)
    if not has_tags(engine):
        return store.find(engine.model, release).revision
    if not _TAG.fullmatch(release):
        raise ConfigError(f"{release!r} is no release: letters, digits and ._+:@/- only, 200 signs at most")
    return release


def loads(store: Store, engine: EngineSettings, pinned: str) -> str:
    """The revision that a start loads, in full; `AS_NAMED`, or nothing where it would load none. Blocks.

    `pinned` is what was promoted, or nothing.
    """
    revision = pinned or engine.revision
    if engine.kind in EMBEDDED_ENGINES or engine.url:
        return ""
    if has_tags(engine) or revision == AS_NAMED:
        return revision
    if engine.kind == SERVER_KIND and not names(engine.command, "{model}"):
        return AS_NAMED
    if not revision and Path(engine.model).is_dir():
        return ""
    try:
        return store.find(engine.model, revision).revision
    except ReleaseError:
        return AS_NAMED if engine.kind == SERVER_KIND and not revision else ""


def in_words(store: Store, engine: EngineSettings, pinned: str) -> str:
    """The same, as people read it. Blocks."""
    if engine.kind in EMBEDDED_ENGINES:
        return "comes with Sampan"
    if engine.url:
        return "somebody else's"
    revision = loads(store, engine, pinned)
    if revision:
        return "as its server finds it" if revision == AS_NAMED else revision
    if Path(engine.model).is_dir():
        return "a folder"
    asked = pinned or engine.revision
    return f"{asked}, which is not here" if asked else "not fetched"


def users(
    engines: Mapping[str, EngineSettings], store: Store, release: Release, pin: Callable[[str], Pin | None]
) -> list[str]:
    """The engines that would start with this release, or be rolled back to it. Blocks.

    `pin` says what was promoted on an engine.
    """
    found = []
    for name, engine in engines.items():
        pinned = pin(name)
        if _means(engine, store, release, pinned.revision if pinned else ""):
            found.append(name)
        elif pinned is not None and (engine.model, pinned.previous) == (release.name, release.revision):
            found.append(f"{name} (for a rollback)")
    return found


def _means(engine: EngineSettings, store: Store, release: Release, pinned: str) -> bool:
    if Path(engine.model).is_absolute() and Path(engine.model).resolve() == release.folder.resolve():
        return True
    if engine.model == release.name and loads(store, engine, pinned) == release.revision:
        return True
    # Of a second model there is no revision in a configuration: it is the newest.
    return engine.edit_model == release.name and release.facts.whole and store.find(release.name) == release
