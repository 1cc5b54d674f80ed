"""What an engine process is told as it starts: `config.ModelSettings`, each of them a flag."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_origin, get_type_hints

from sampan.config import ModelSettings
from sampan.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Options:
    """`name` is what the model goes by on the wire, `ledger` the folder where engines agree on an accelerator's memory.

    Empty, each means there is none: the kind's own name, and nobody to agree with.
    """

    threads: int = 1
    name: str = ""
    ledger: str = ""
    settings: ModelSettings = field(default_factory=ModelSettings)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for every field: `--max-pixels 1000000`, `--compile`, `--sizes 1024x1024 512x512`, `--loras name=FILE`."""
    parser.add_argument("--threads", type=int, default=1, help="calls it works on at once")
    parser.add_argument("--name", default="", help="what its model goes by")
    parser.add_argument("--ledger", default="", help="folder where engines agree on an accelerator's memory")
    hints = get_type_hints(ModelSettings)
    for each in dataclasses.fields(ModelSettings):
        kind = hints[each.name]
        how: dict[str, Any] = {"help": each.metadata["help"].replace("%", "%%"), "dest": each.name}
        if kind is bool:
            how["action"] = "store_true"
        elif get_origin(kind) is list or issubclass(get_origin(kind) or kind, Mapping):
            how |= {"nargs": "*", "default": [], "metavar": "NAME=FILE" if get_origin(kind) is not list else None}
        else:
            how |= {"type": kind, "default": each.default, "metavar": kind.__name__.upper()}
        parser.add_argument(f"--{each.name.replace('_', '-')}", **how)


def read_flags(parsed: argparse.Namespace) -> Options:
    """What `add_flags` left. Raises `ConfigError` for a LoRA without a name."""
    given = {each.name: getattr(parsed, each.name) for each in dataclasses.fields(ModelSettings)}
    given["loras"] = _named(given["loras"])
    return Options(max(1, parsed.threads), parsed.name, parsed.ledger, ModelSettings(**given))


def _named(pairs: Sequence[str]) -> dict[str, str]:
    named = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not (name and equals and file):
            raise ConfigError(f"--loras {pair!r} is not NAME=FILE")
        named[name] = file
    return named
