import stat
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sampan.errors import ConfigError
from sampan.storage.spool import Spool

CAPACITY = 300
RING = 4096
HEAD_SLOTS = (64, 128)


def entry(payload: bytes, position: int) -> bytes:
    """The format as the module's docstring has it, written a second time."""
    return struct.pack("<II", len(payload), zlib.crc32(payload, position)) + payload


def overwrite(path: Path, position: int, data: bytes) -> None:
    """Writes into the ring as a process would that dies before it is through."""
    with path.open("r+b") as file:
        for index, byte in enumerate(data):
            file.seek(RING + (position + index) % CAPACITY)
            file.write(bytes([byte]))


class SpoolMachine(RuleBasedStateMachine):
    """A spool beside a list: whatever is done, and whenever the process dies, both hold the same entries."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "spool"
        self.spool = Spool(self.path, CAPACITY)
        self.model: list[bytes] = []

    @rule(payload=st.binary(min_size=1, max_size=CAPACITY))
    def append(self, payload: bytes) -> None:
        fits = len(payload) + 8 <= self.spool.free
        assert self.spool.append(payload) == fits
        if fits:
            self.model.append(payload)

    @rule(limit=st.integers(1, 5))
    def drain(self, limit: int) -> None:
        payloads, end = self.spool.entries(limit)
        assert payloads == self.model[:limit]
        self.spool.release(end)
        del self.model[:limit]

    @rule()
    def die(self) -> None:
        self.reopen()

    @precondition(lambda self: self.spool.free > 9)
    @rule(payload=st.binary(min_size=1, max_size=CAPACITY), share=st.floats(0, 1))
    def die_while_appending(self, payload: bytes, share: float) -> None:
        data = entry(payload, self.spool.tail)[: self.spool.free]
        written = data[: min(int(len(data) * share), len(payload) + 7)]
        # The byte that is missing differs from what lies there, or the entry would be whole by chance.
        overwrite(self.path, self.spool.tail, written)
        if len(written) < len(data):
            missing = data[len(written)] ^ 0xFF
            overwrite(self.path, self.spool.tail + len(written), bytes([missing]))
        self.reopen()

    @rule(garbage=st.binary(min_size=12, max_size=12), slot=st.booleans(), limit=st.integers(1, 3))
    def die_while_releasing(self, garbage: bytes, slot: bool, limit: int) -> None:
        before = self.path.read_bytes()[HEAD_SLOTS[0] : HEAD_SLOTS[1] + 12]
        _, end = self.spool.entries(limit)
        self.spool.release(end)
        with self.path.open("r+b") as file:
            after = file.read()[HEAD_SLOTS[0] : HEAD_SLOTS[1] + 12]
            touched = HEAD_SLOTS[0] if after[:12] != before[:12] else HEAD_SLOTS[1]
            file.seek(touched)
            file.write(garbage)
        self.reopen()

    @invariant()
    def holds_the_model(self) -> None:
        assert self.spool.entries(10_000)[0] == self.model
        assert self.spool.free == CAPACITY - sum(len(payload) + 8 for payload in self.model)

    def reopen(self) -> None:
        # The old mapping is left as the kernel would find it: nothing is closed or flushed.
        self.spool = Spool(self.path, 64)

    def teardown(self) -> None:
        self.folder.cleanup()


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_entries_of_an_older_lap_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 320)
    for _ in range(4):
        for _ in range(10):
            assert spool.append(b"x" * 24)
        spool.release(spool.entries(10)[1])
    spool.append(b"x" * 24)
    assert Spool(tmp_path / "spool", 320).entries(100)[0] == [b"x" * 24]


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    Spool(tmp_path / "spool", 3 << 20).close()
    status = (tmp_path / "spool").stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == RING + (3 << 20)


@pytest.mark.parametrize("content", [b"", b"SampanS1", b"x" * 9000, b"SampanS1" + struct.pack("<Q", 10) + bytes(9000)])
def test_something_else_in_the_place_of_the_spool_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool").write_bytes(content)
    with pytest.raises(ConfigError, match=r"spool.*(damaged|cannot be opened)"):
        Spool(tmp_path / "spool", 1000)


def test_a_half_made_file_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "spool.new").write_bytes(b"half")
    spool = Spool(tmp_path / "spool", 1000)
    assert spool.append(b"a")
    assert spool.entries(2)[0] == [b"a"]
