"""The weights of a checkpoint as files: whether they are all there and whole, before anything heavy looks at them.

A safetensors file begins with the length of its header (8 bytes, little endian) and the header, JSON that says where
each tensor lies; the tensors follow without gaps (github.com/huggingface/safetensors, "Format"). So a file that was cut
short or overwritten at its beginning is known by its size alone. Bits that were turned in the middle are not: that is
what the sums of `sampan models fetch` are for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sampan.errors import ConfigError

_INDEX = "model.safetensors.index.json"
_LONE = "model.safetensors"
_HEADER = 100_000_000  # bytes: the format's own limit
_AGAIN = "fetch it again with `sampan models fetch`"


def verify(folder: Path) -> int:
    """Checks every shard of a checkpoint and returns their size in bytes. Raises `ConfigError` naming the file."""
    total = 0
    held: set[str] = set()
    wanted = _wanted(folder)
    for name in sorted(set(wanted.values())) if wanted else [_LONE]:
        header = _header(folder / name)
        held.update(header)
        total += (folder / name).stat().st_size
    missing = sorted(set(wanted) - held)
    if missing:
        raise ConfigError(
            f"{folder / wanted[missing[0]]} lacks {missing[0]}, which {_INDEX} says is in it: it is another "
            f"release's file; {_AGAIN}"
        )
    return total


def _wanted(folder: Path) -> Mapping[str, str]:
    """The file of each tensor; empty where one file holds them all."""
    index = folder / _INDEX
    if not index.exists():
        if not (folder / _LONE).exists():
            raise ConfigError(f"{folder} holds no weights, neither {_INDEX} nor {_LONE}; {_AGAIN}")
        return {}
    wanted = read_json(index).get("weight_map")
    if not isinstance(wanted, dict) or not all(isinstance(name, str) for name in wanted.values()):
        raise ConfigError(f"{index} has no weight_map; {_AGAIN}")
    return wanted


def _header(file: Path) -> Mapping[str, Any]:
    """The tensors of a file, once its size is what its header says."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if 2 <= length <= min(_HEADER, size - 8) else None
    except FileNotFoundError:
        raise ConfigError(f"{file} is missing; {_AGAIN}") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ConfigError(f"{file} is damaged, its header makes no sense; {_AGAIN}")
    header.pop("__metadata__", None)
    end = max(_ends(header, file), default=0)
    if size != 8 + length + end:
        raise ConfigError(f"{file} is damaged, {size} bytes where {8 + length + end} belong; {_AGAIN}")
    return header


def _ends(header: Mapping[str, Any], file: Path) -> Iterator[int]:
    for name, tensor in header.items():
        try:
            begin, end = tensor["data_offsets"]
            sane = 0 <= int(begin) <= int(end)
        except (TypeError, KeyError, ValueError):
            sane = False
        if not sane:
            raise ConfigError(f"{file} is damaged, its header has no place for {name[:200]}; {_AGAIN}")
        yield int(end)


def read_json(file: Path) -> Mapping[str, Any]:
    """A JSON object from a checkpoint's folder. Raises `ConfigError` for a file that is missing or none."""
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{file} is missing; {_AGAIN}") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{file} is damaged, it is no JSON; {_AGAIN}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{file} is damaged, it is no JSON object; {_AGAIN}")
    return value
