"""Whom a person can talk to here, as the console's page asks for it: each model, and who answers behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sampan.config import Config
from sampan.core import Location, Operation, Tier
from sampan.routing.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Behind:
    """Who answers for a model; `house`: what is asked does not leave it."""

    upstream: str
    tier: Tier
    house: bool


@dataclass(frozen=True, slots=True)
class Voice:
    """A model that talks. `sees`: it takes pictures and documents; its targets are in the order of asking."""

    id: str
    sees: bool
    targets: tuple[Behind, ...]


@dataclass(frozen=True, slots=True)
class Voices:
    """All of them. `default` is what is asked where nobody chose; the rest are bytes: of a picture, and of a file."""

    default: str
    largest_picture: int
    largest_file: int
    models: tuple[Voice, ...]


def voices(config: Config, catalog: Catalog, models: Mapping[str, Sequence[Operation]]) -> Voices:
    """`models` are the callable names with what they do."""
    found = tuple(
        _voice(catalog, name, does)
        for name, does in models.items()
        if Operation.TEXT in does or Operation.VISION in does
    )
    server = config.server
    return Voices(server.default_model, server.max_image, server.max_file, found)


def _voice(catalog: Catalog, name: str, does: Sequence[Operation]) -> Voice:
    sees = Operation.VISION in does
    targets = catalog.route(name, Operation.VISION if sees else Operation.TEXT).targets
    behind = tuple(Behind(each.upstream, each.tier, each.location is Location.LOCAL) for each in targets)
    return Voice(name, sees, behind)
