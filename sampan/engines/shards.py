"""The files of a checkpoint: whether they are all there and whole, before anything heavy looks at them.

A safetensors file begins with the length of its header (8 bytes, little endian) and the header, JSON that says where
each tensor lies; the tensors follow without gaps (github.com/huggingface/safetensors, "Format"). So a file that was cut
short or overwritten at its beginning is known by its size alone. Bits that were turned in the middle are not: that is
what the sums of `sampan models verify` are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sampan.errors import ConfigError

AGAIN = "fetch it again: `sampan models verify` says what is wrong, `sampan models fetch` mends it"
_HEADER = 100_000_000  # bytes: the format's own limit


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies: `begin` and `end` in bytes from the start of its file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a checkpoint's folder. Raises `ConfigError` for a file that is missing or none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise ConfigError(f"{file} is missing; {AGAIN}") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"{file} is damaged, it is no JSON object; {AGAIN}") from None


def read_header(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, if its size is what its header says. Raises `ConfigError` naming it."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            told = opened.read(length) if 2 <= length <= min(_HEADER, size - 8) else b""
        header = msgspec.json.decode(told, type=dict[str, Any])
    except FileNotFoundError:
        raise ConfigError(f"{file} is missing; {AGAIN}") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"{file} is damaged, its header makes no sense; {AGAIN}") from None
    tensors = dict(_tensors(header, 8 + length, file))
    end = max((tensor.end for tensor in tensors.values()), default=8 + length)
    if size != end:
        raise ConfigError(f"{file} is damaged, {size:,} bytes where its header says {end:,}; {AGAIN}")
    return tensors


def _tensors(header: Mapping[str, Any], base: int, file: Path) -> Iterator[tuple[str, Tensor]]:
    for name, about in header.items():
        if name == "__metadata__":
            continue
        try:
            begin, end = (int(place) for place in about["data_offsets"])
            tensor = Tensor(str(about["dtype"]), tuple(map(int, about["shape"])), base + begin, base + end)
            sane = 0 <= begin <= end
        except (TypeError, LookupError, ValueError):
            sane = False
        if not sane:
            raise ConfigError(f"{file} is damaged, its header has no place for {name[:200]}; {AGAIN}")
        yield name, tensor
