"""The weights of a talking checkpoint: every shard that its index names, each whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sampan.engines.shards import AGAIN, read_header, read_json
from sampan.errors import ConfigError

_INDEX = "model.safetensors.index.json"
_LONE = "model.safetensors"


def verify(folder: Path) -> int:
    """Checks every shard of a checkpoint and returns their size in bytes. Raises `ConfigError` naming the file."""
    total = 0
    held: set[str] = set()
    wanted = _wanted(folder)
    for name in sorted(set(wanted.values())) if wanted else [_LONE]:
        header = read_header(folder / name)
        held.update(header)
        total += (folder / name).stat().st_size
    missing = sorted(set(wanted) - held)
    if missing:
        raise ConfigError(
            f"{folder / wanted[missing[0]]} lacks {missing[0]}, which {_INDEX} says is in it: it is another "
            f"release's file; {AGAIN}"
        )
    return total


def _wanted(folder: Path) -> Mapping[str, str]:
    """The file of each tensor; empty where one file holds them all."""
    index = folder / _INDEX
    if not index.exists():
        if not (folder / _LONE).exists():
            raise ConfigError(f"{folder} holds no weights, neither {_INDEX} nor {_LONE}; {AGAIN}")
        return {}
    wanted = read_json(index).get("weight_map")
    if not isinstance(wanted, dict) or not all(isinstance(name, str) for name in wanted.values()):
        raise ConfigError(f"{index} has no weight_map; {AGAIN}")
    return wanted
