"""What a person can draw with here, as the console's page asks: each model, and what it takes beside a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sampan.config import Config
from sampan.core import Location, Operation
from sampan.routing.catalog import Catalog

_NEGATES = "qwen_image"


@dataclass(frozen=True, slots=True)
class Easel:
    """A model that makes pictures. `seeds` and `negates`: it takes `seed`, and `negative_prompt`.

    Clouds refuse fields that they do not know, so a model that any cloud may answer takes neither.
    """

    id: str
    draws: bool
    edits: bool
    seeds: bool
    negates: bool


@dataclass(frozen=True, slots=True)
class Easels:
    """All of them; `default` is asked where nobody chose, `largest` is how many bytes a picture in a call may have."""

    default: str
    largest: int
    models: tuple[Easel, ...]


def easels(config: Config, catalog: Catalog, models: Mapping[str, Sequence[Operation]]) -> Easels:
    """`models` are the callable names with what they do."""
    found = [_easel(config, catalog, name, does) for name, does in models.items()]
    makers = tuple(each for each in found if each.draws or each.edits)
    return Easels(config.server.default_image_model, config.server.max_image, makers)


def _easel(config: Config, catalog: Catalog, name: str, does: Sequence[Operation]) -> Easel:
    draws, edits = Operation.GENERATE in does, Operation.EDIT in does
    if not (draws or edits):
        return Easel(name, False, False, False, False)
    targets = catalog.route(name, Operation.GENERATE if draws else Operation.EDIT).targets
    local = all(target.location is Location.LOCAL for target in targets)
    kinds = {config.engines[target.upstream].kind for target in targets if target.upstream in config.engines}
    return Easel(name, draws, edits, local, local and _NEGATES in kinds)
