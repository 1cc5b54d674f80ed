"""Keys and values of many conversations in one tensor for each layer: a **slot** is one conversation's part of it.

The occupied slots are always the first ones, so that a decode step reads them as they lie, without copying. A row that
ends leaves a hole; the last slot is moved into it. Every row writes at its own length, in place.

The language models of the library only call `update` and, without positions, `get_seq_length`: this stands in for
their own cache classes (`transformers.cache_utils.Cache`), which know one length for all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_STEP = 256  # tokens that the length is rounded up to as it grows


class Aim:
    """Where one forward pass writes and what it reads. `positions` is [rows, tokens], `reach` how far rows are read.

    `slots` names the slot of each row. They are read in place where they follow one another.
    """

    def __init__(self, slots: Sequence[int], positions: Any, reach: int) -> None:
        import torch

        self.first = slots[0]
        self.rows = len(slots)
        self.reach = reach
        self.consecutive = list(slots) == list(range(self.first, self.first + self.rows))
        # Where they follow one another no list is sent to the device: a recorded step may not wait for the CPU.
        count = torch.arange(self.first, self.first + self.rows, device=positions.device)
        self._slots = (count if self.consecutive else torch.tensor(list(slots))).unsqueeze(1)
        self.positions = positions
        self._on: dict[Any, tuple[Any, Any]] = {}

    def on(self, device: Any) -> tuple[Any, Any]:
        """The slots, [rows, 1], and the positions on a device: layers may live on several."""
        found = self._on.get(device)
        if found is None:
            found = self._slots.to(device, non_blocking=True), self.positions.to(device, non_blocking=True)
            self._on[device] = found
        return found


class SlotCache:
    """`slots` conversations of `length` tokens at most. `fixed` takes all memory with the first pass, as graphs need.

    Otherwise it grows as conversations come and get longer. The last position of a slot is a scrap heap: what pads a
    row that is shorter than its neighbours is written there, and never read.
    """

    def __init__(self, slots: int, length: int, *, fixed: bool = False) -> None:
        self._most = (slots, length + 1)
        self._slots, self._length = self._most if fixed else (1, min(_STEP, length + 1))
        self._layers: dict[int, tuple[Any, Any]] = {}
        self._aim: Aim | None = None
        self._used = 0  # positions that were ever read: beyond them there is nothing to keep

    @property
    def length(self) -> int:
        """Tokens that a slot has room for now, the scrap heap not counted."""
        return self._length - 1

    @property
    def scrap(self) -> int:
        """The position that is never read."""
        return self._length - 1

    @property
    def bytes(self) -> int:
        """Memory that it has taken."""
        return sum(part.nbytes for pair in self._layers.values() for part in pair)

    def reserve(self, slots: int, length: int) -> None:
        """Makes room for so many slots of so many tokens. What is there stays."""
        if slots > self._most[0] or length >= self._most[1]:
            raise ValueError(f"{slots} slots of {length} tokens are more than {self._most}")
        slots = min(self._most[0], max(self._slots, _doubled(slots, self._slots)))
        length = min(self._most[1], max(self._length, _doubled(length + 1, self._length)))
        if (slots, length) == (self._slots, self._length):
            return
        grown = {
            layer: tuple(_grown(part, slots, length, self._used) for part in pair)
            for layer, pair in self._layers.items()
        }
        self._layers = {layer: (pair[0], pair[1]) for layer, pair in grown.items()}
        self._slots, self._length = slots, length

    def aim(self, aim: Aim) -> None:
        """Says where the next forward pass writes and reads."""
        self._aim = aim
        self._used = max(self._used, aim.reach)

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Writes what a layer has made, [rows, heads, tokens, size], and returns all that its rows may look at."""
        aim = self._aim
        assert aim is not None
        pair = self._layers.get(layer)
        if pair is None:
            pair = self._layers[layer] = (self._room(keys), self._room(values))
        slots, positions = aim.on(keys.device)
        for part, made in zip(pair, (keys, values), strict=True):
            part[slots, :, positions] = made.transpose(1, 2)
        return _read(pair[0], aim, slots), _read(pair[1], aim, slots)

    @property
    def starts(self) -> Any:
        """The first position that each row of the coming pass writes, [rows]: before it lies what is known of it."""
        assert self._aim is not None
        return self._aim.positions[:, 0]

    def known(self, layer: int, like: Any) -> tuple[Any, Any]:
        """What the rows of the coming pass may read of a layer before they write, [rows, heads, reach, size] each.

        For a model that is not the library's and is handed its past. `like` has the heads and the size of the layer.
        """
        aim = self._aim
        assert aim is not None
        pair = self._layers.get(layer)
        if pair is None:
            pair = self._layers[layer] = (self._room(like), self._room(like))
        slots, _ = aim.on(like.device)
        return _read(pair[0], aim, slots), _read(pair[1], aim, slots)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Asked by the library where it is given no positions; it always is."""
        return 0

    def move(self, source: int, target: int, length: int) -> None:
        """Copies a slot over another, so that the occupied ones stay together."""
        for pair in self._layers.values():
            for part in pair:
                part[target, :, :length] = part[source, :, :length]

    def _room(self, like: Any) -> Any:
        import torch

        # Zeros, not whatever was there: a masked position is multiplied by 0, and 0 times NaN is NaN.
        shape = (self._slots, like.shape[1], self._length, like.shape[3])
        return torch.zeros(shape, dtype=like.dtype, device=like.device)


def _read(part: Any, aim: Aim, slots: Any) -> Any:
    if aim.consecutive:
        return part[aim.first : aim.first + aim.rows, :, : aim.reach]
    return part[:, :, : aim.reach].index_select(0, slots.squeeze(1))


def _doubled(needed: int, now: int) -> int:
    """`now`, doubled until it is enough."""
    while now < needed:
        now *= 2
    return now


def _grown(part: Any, slots: int, length: int, used: int) -> Any:
    """Only what was used is written: memory that nobody has touched is none yet, on a CPU."""
    grown = part.new_zeros((slots, part.shape[1], length, part.shape[3]))
    grown[: part.shape[0], :, :used] = part[:, :, :used]
    return grown
