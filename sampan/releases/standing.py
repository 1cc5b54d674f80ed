"""Which releases an engine can be given, and which of them is in force."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sampan.config import EMBEDDED_ENGINES, SERVER_KIND, EngineSettings
from sampan.errors import ConfigError
from sampan.releases.names import ReleaseError
from sampan.releases.store import Store

AS_NAMED = "-"  # in the place of a revision: another's server, given its model by name, finds that by itself
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+:@/-]{0,199}")


def names(command: Sequence[str], *placeholders: str) -> bool:
    """Whether one of the placeholders stands in a command."""
    return any(placeholder in part for part in command for placeholder in placeholders)


def has_tags(engine: EngineSettings) -> bool:
    """Whether its releases are tags that only its command understands, such as those of an image."""
    return names(engine.command, "{release}")


def check_promotable(name: str, engine: EngineSettings) -> None:
    """Raises `ConfigError` for an engine of which there are no releases that could be promoted."""
    if engine.kind in EMBEDDED_ENGINES:
        raise ConfigError(f"{name} is a {engine.kind}: it comes with Sampan and has no releases")
    if engine.url:
        raise ConfigError(f"{name} is run by somebody else at {engine.url}: promote there")
    if has_tags(engine):
        return
    if engine.kind == SERVER_KIND and not names(engine.command, "{model}"):
        raise ConfigError(f"the command of {name} has neither {{release}} nor {{model}} in it: nothing would change")
    if Path(engine.model).is_dir():
        raise ConfigError(f"the model of {name} is a folder: `sampan models fetch --from FOLDER` makes releases of it")


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
