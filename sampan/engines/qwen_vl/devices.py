"""Which device a model goes to, and whether it fits there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.engines.ledger import GIB, Ledger
from sampan.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of memory that a model takes: its weights, its cache of conversations, and what passes through it."""

    weights: int
    cache: int
    passing: int = 3 * GIB // 2  # of 2048 tokens through the widest layers of a 72 B model, and the libraries' own

    @property
    def all(self) -> int:
        return self.weights + self.cache + self.passing


@dataclass(frozen=True, slots=True)
class Devices:
    """`names` are the accelerators, none for the CPU; `map` is what `from_pretrained` takes as `device_map`.

    `free` are the bytes there, all together. `float8`: they calculate in fp8 (compute capability 8.9, Ada, or later).
    `bfloat16`: they do in bf16; a CPU without it takes four times as long over that as over fp32 (measured, AVX2).
    `spills`: what finds no room there may stay in the machine's memory, or on its disk.
    """

    names: tuple[str, ...]
    map: Any
    free: int
    float8: bool = False
    bfloat16: bool = True
    spills: bool = False

    @property
    def accelerated(self) -> bool:
        return bool(self.names)

    def check(self, need: Need, quantization: str) -> None:
        """Raises `ConfigError` where it does not fit. On a CPU the cache takes memory only as it is used."""
        needed = need.all if self.accelerated else need.weights
        if needed <= self.free or self.spills:
            return
        where = "the accelerator has" if self.accelerated else "this machine has"
        parts = f" ({need.weights / GIB:.1f} of them weights, {need.cache / GIB:.1f} `batch` times `context`)"
        less = "a smaller model" if quantization == "int4" else '`quantization = "int4"` or a smaller model'
        raise ConfigError(
            f"the model needs {needed / GIB:.1f} GiB{parts if self.accelerated else ''} and {where} "
            f"{self.free / GIB:.1f} GiB free: take {less}, or free what others use"
        )

    def claim(self, folder: str, name: str, size: int) -> None:
        """Enters the size in the ledger, a share on each accelerator, for as long as this process lives.

        Raises `ConfigError` with the numbers where others have claimed too much. Without a folder nothing happens.
        """
        if folder:
            for device in self.names:
                Ledger(Path(folder)).claim(device, name, size // len(self.names))

    def settled(self, parts: Mapping[str, Any]) -> None:
        """Raises `ConfigError` where parts were left outside the accelerators without being asked for."""
        outside = [part for part, device in parts.items() if str(device) in ("cpu", "disk", "meta")]
        if self.accelerated and outside and not self.spills:
            raise ConfigError(
                f'{len(outside)} parts of the model found no room on the accelerators: take `quantization = "int4"`, '
                'a smaller model, or `offload = "cpu"`, which is slow'
            )


def place(asked: str, offload: str = "none") -> Devices:
    """`auto`, `cpu`, `cuda` or `cuda:1`. Raises `ConfigError` for a device that is not there."""
    import torch

    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return Devices((), "cpu", _memory(), bfloat16=bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    count = torch.cuda.device_count()
    numbers = list(range(count)) if asked == "auto" else [_number(asked, count)]
    return Devices(
        names=tuple(f"cuda:{number}" for number in numbers),
        map="auto" if len(numbers) > 1 or offload != "none" else {"": numbers[0]},
        spills=offload != "none",
        free=sum(torch.cuda.mem_get_info(number)[0] for number in numbers),
        float8=all(torch.cuda.get_device_capability(number) >= (8, 9) for number in numbers),
    )


def _number(asked: str, count: int) -> int:
    kind, _, number = asked.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal():
        raise ConfigError(f"device: {asked!r} is none of auto, cpu, cuda, cuda:0, cuda:1 and so on")
    if int(number or 0) >= count:
        there = f"there are {count}" if count else "there is none"
        raise ConfigError(f"device: {asked} is not there; of devices that CUDA can use {there}")
    return int(number or 0)


def _memory() -> int:
    """Bytes that this machine could give a process; what files are cached in counts as free (proc(5), MemAvailable)."""
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as opened:
        for line in opened:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
