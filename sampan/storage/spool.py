"""A ring of entries in a memory-mapped file: what is put in survives the death of the process, for a few µs and no I/O.

Pages of a shared mapping belong to the kernel, not to the process: after `kill -9` they are still there and reach the
disk in their time. (They do not survive a power cut; neither do the last commits of the database.)

    0      magic, capacity                 "<8sQ"
    64     head, crc32 of its 8 bytes      "<QI"    } two slots, written in turn, so that a head torn by the death of
    128    the same                                 } the process leaves the one before: entries are then seen twice
    4096   the ring: entries               length, crc32 "<II", then the payload; may wrap at the end

Positions count bytes since the file was made and never go back; a position's place is its rest by the capacity. The crc
of an entry starts from its position, so what is left of an older lap is never taken for an entry: the first one that
does not add up is the end.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from pathlib import Path

from sampan.errors import ConfigError

MIN_CAPACITY = 64

_MAGIC = b"SampanS1"
_FILE = struct.Struct("<8sQ")
_HEAD = struct.Struct("<QI")
_HEAD_SLOTS = (64, 128)
_ENTRY = struct.Struct("<II")
_HEADER = _ENTRY.size
_pack, _crc32 = _ENTRY.pack, zlib.crc32  # an append is made for every call, and each dot costs it something
_RING = 4096
_BLOCK = 1 << 18
_MASK = 0xFFFFFFFF


class Spool:
    """One writer thread may `append` while another one reads with `entries` and gives back with `release`."""

    def __init__(self, path: Path, capacity: int) -> None:
        """Opens `path`, or makes it with room for `capacity` bytes; a file that is there keeps the room it has.

        Raises `ConfigError` when it cannot be opened or is something else.
        """
        try:
            if not path.exists():
                _make(path, capacity)
            with path.open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                self._map = mmap.mmap(file.fileno(), max(size, 1))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is empty"
            raise ConfigError(
                f"The spool {path} cannot be opened: {reason}. Check the free space and the owner of the data folder."
            ) from error
        header: tuple[bytes, int] = _FILE.unpack_from(self._map) if size >= _RING else (b"", 0)
        magic, self.capacity = header
        if magic != _MAGIC or size != _RING + self.capacity:
            self._map.close()
            raise ConfigError(f"The spool {path} is damaged. Move it away; the next start makes a new one.")
        self._slot = 0
        self.head = self._load_head()
        self.tail = self._find_tail()

    @property
    def free(self) -> int:
        """How many bytes can still be appended, the 8 of each entry's header included."""
        return self.capacity - (self.tail - self.head)

    def append(self, payload: bytes) -> bool:
        """Puts an entry in; when this returns True the entry survives the process. False: there is no room for it."""
        size = _HEADER + len(payload)
        tail, capacity = self.tail, self.capacity
        if size > capacity - tail + self.head or size == _HEADER:
            return False
        data = _pack(size - _HEADER, _crc32(payload, tail & _MASK)) + payload
        place = tail % capacity
        first = capacity - place
        if size <= first:
            place += _RING
            self._map[place : place + size] = data
        else:
            self._map[_RING + place : _RING + self.capacity] = data[:first]
            self._map[_RING : _RING + size - first] = data[first:]
        self.tail = tail + size
        return True

    def entries(self, limit: int) -> tuple[list[bytes], int]:
        """The oldest `limit` payloads, and the position that releases them."""
        payloads: list[bytes] = []
        end, tail = self.head, self.tail
        while len(payloads) < limit and end < tail:
            # Cut out of one piece: to go to the mapping for each entry twice takes longer than all else.
            size = min(tail - end, _BLOCK)
            data, at = self._read(end, size), 0
            while len(payloads) < limit and at + _ENTRY.size <= size:
                start = at + _ENTRY.size
                stop = start + _ENTRY.unpack_from(data, at)[0]
                if stop > size:
                    break
                payloads.append(data[start:stop])
                at = stop
            if not at:  # longer than a block
                length, _ = _ENTRY.unpack_from(data)
                payloads.append(self._read(end + _ENTRY.size, length))
                at = _ENTRY.size + length
            end += at
        return payloads, end

    def release(self, position: int) -> None:
        """Gives the room before `position` back: its entries are safe elsewhere."""
        data = position.to_bytes(8, "little")
        self._slot = 1 - self._slot
        _HEAD.pack_into(self._map, _HEAD_SLOTS[self._slot], position, zlib.crc32(data, 1))
        # Room is given back only after the head is written: an append must not touch what a replay would still read.
        self.head = position

    def close(self) -> None:
        """Lets go of the file; entries that were not released stay in it."""
        self._map.close()

    def _load_head(self) -> int:
        best = 0
        for slot, offset in enumerate(_HEAD_SLOTS):
            position, crc = _HEAD.unpack_from(self._map, offset)
            if zlib.crc32(position.to_bytes(8, "little"), 1) == crc and position >= best:
                best, self._slot = position, slot
        return best

    def _find_tail(self) -> int:
        """The end of the last whole entry, walking from the head."""
        start, limit = self.head, self.head + self.capacity
        while start + _ENTRY.size < limit:
            length, crc = _ENTRY.unpack(self._read(start, _ENTRY.size))
            end = start + _ENTRY.size + length
            if not length or end > limit:
                break
            if zlib.crc32(self._read(start + _ENTRY.size, length), start & _MASK) != crc:
                break
            start = end
        return start

    def _read(self, position: int, size: int) -> bytes:
        place = position % self.capacity
        first = self.capacity - place
        if size <= first:
            return self._map[_RING + place : _RING + place + size]
        return self._map[_RING + place : _RING + self.capacity] + self._map[_RING : _RING + size - first]


def _make(path: Path, capacity: int) -> None:
    """Writes every byte: a hole in the file would mean death by SIGBUS, not an error, on the day the disk is full."""
    if capacity < MIN_CAPACITY:
        raise ConfigError(f"The spool needs room for at least {MIN_CAPACITY} bytes.")
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        header = bytearray(_RING)
        _FILE.pack_into(header, 0, _MAGIC, capacity)
        file.write(header)
        zeros = bytes(1 << 20)
        for start in range(0, capacity, len(zeros)):
            file.write(zeros[: capacity - start])
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
