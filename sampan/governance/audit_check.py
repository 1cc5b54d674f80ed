"""Checks a chain of records against what was signed of it: finds every edit, gap, insertion, swap and cut.

Pure: it is fed the records of one node in the order in which they lie, wherever they come from. What it cannot know is
what happened behind the last seal that it is given, and whether the key that signed was in the right hands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from sampan.storage.chain import START, Drop, Entry, Seal, is_signed, link

MOST = 100
"""Problems that are told in words; the others are counted."""

KEPT = ("redacted:", "sealed:")
LOST = ("lost", "skipped", "failed")
"""What a record says of content that was to be kept and could not be: see `governance.audit_content`."""


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it was written. `number` is the record's, 0 where it is none's."""

    node: str
    number: int
    what: str

    def __str__(self) -> str:
        return f"node {self.node}, record {self.number:,}: {self.what}" if self.number else self.__words()

    def __words(self) -> str:
        return f"node {self.node}: {self.what}" if self.node else self.what


class Expected(msgspec.Struct, frozen=True):
    """What a note outside says: this node's record `number` had this hash."""

    node: str
    number: int
    hash: str


class Findings:
    """What came of a check of all chains."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.count = 0
        self.nodes = 0
        self.records = 0
        self.dropped = 0
        self.seals = 0
        self.contents = 0

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.count

    def add(self, node: str, number: int, what: str) -> None:
        self.count += 1
        if len(self.problems) < MOST:
            self.problems.append(Problem(node, number, what))


class Chain:
    """One node's. `keys` are those that may have signed; none: whichever signed first is believed, and named.

    `start` is (number, hash) of the record before the first that is given; None: the chain is given from its beginning.
    """

    def __init__(
        self,
        node: str,
        findings: Findings,
        keys: frozenset[str] = frozenset(),
        start: tuple[int, str] | None = None,
    ) -> None:
        self._node = node
        self._findings = findings
        self._keys = keys
        self._number, digest = start or (0, START.hex())
        self._previous: tuple[bytes, ...] = (_bytes(digest),)
        self._begin = self._number
        self._seals: dict[int, Seal] = {}
        self._drops: dict[int, Drop] = {}
        self._expected: dict[int, str] = {}
        self._last_seal: Seal | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of it, neither a record nor a signed word."""
        return self._number == self._begin and self._last_seal is None and not self._drops

    def expect(self, expected: Expected) -> None:
        """Takes in what a note outside says."""
        self._expected[expected.number] = expected.hash

    def words(self, seals: Sequence[Seal], drops: Sequence[Drop]) -> None:
        """Takes in what was signed, before the first record; seals in their order."""
        self._findings.nodes += 1
        last: Seal | None = None
        for seal in seals:
            self._findings.seals += 1
            if self._believes(seal, f"seal {seal.ordinal:,}"):
                if last is not None and (seal.number <= last.number or seal.time < last.time):
                    self._problem(0, f"seal {seal.ordinal:,} goes back behind the one before it")
                self._seals[seal.number] = seal
            if last is None and not self._begin and seal.ordinal != 1:
                self._problem(0, f"seals before {seal.ordinal:,} are missing")
            elif last is not None and seal.ordinal != last.ordinal + 1:
                self._problem(0, f"seal {seal.ordinal:,} follows seal {last.ordinal:,}: there are more or fewer")
            last = seal
        self._last_seal = last
        for drop in drops:
            whole = drop.last - drop.first + 1 == drop.count > 0
            if self._believes(drop, f"the note of the dropped day {drop.day}") and not whole:
                self._problem(drop.first, f"the note of the dropped day {drop.day} counts wrong")
            if drop.first in self._drops:
                self._problem(drop.first, f"there are two notes of the dropped day {drop.day}")
            self._drops[drop.first] = drop

    def _believes(self, word: Seal | Drop, name: str) -> bool:
        if word.node != self._node or not is_signed(word):
            self._problem(0, f"{name} does not bear the signature of what it says")
            return False
        if not self._keys:
            self._keys = frozenset({word.key})
            self._findings.notes.append(
                f"node {self._node}: no public key was given; its own {word.key} was believed. Compare it with what "
                "`sampan audit key` prints there."
            )
        if word.key not in self._keys:
            self._problem(0, f"{name} was signed with another key, {word.key}")
            return False
        return True

    def record(self, entry: Entry) -> None:
        """The next record."""
        self._findings.records += 1
        self._pass_dropped()
        expected = self._number + 1
        if entry.number < expected:
            self._problem(entry.number, f"{entry.record.id} stands behind {self._number:,}: doubled, moved or put in")
            return
        if entry.number > expected:
            gap = f"{expected:,}" if entry.number == expected + 1 else f"{expected:,} to {entry.number - 1:,}"
            self._problem(expected, f"missing: {gap}")
            self._previous = ()
        stored = _bytes(entry.hash)
        try:
            linked = [link(previous, self._node, entry.number, entry.record) for previous in self._previous]
        except (OverflowError, UnicodeError, ValueError):
            linked = [b""]
        if self._previous and stored not in linked:
            self._problem(entry.number, f"{entry.record.id} is not what was written: its hash does not fit")
            self._previous = (stored, linked[0])
        else:
            self._previous = (stored,)
        self._reach(entry.number, entry.hash)

    def _pass_dropped(self) -> None:
        """Goes on behind days that were dropped, as far as the signed notes carry."""
        while (drop := self._drops.pop(self._number + 1, None)) is not None:
            if self._previous and _bytes(drop.before) not in self._previous:
                self._problem(drop.first, f"the note of the dropped day {drop.day} goes on from another record")
            self._findings.dropped += drop.count
            before, self._number = self._number, max(drop.last, self._number)
            self._previous = (_bytes(drop.hash),)
            for number in [each for each in self._seals if before < each < self._number]:
                del self._seals[number]
            self._reach(drop.last, drop.hash)

    def _reach(self, number: int, digest: str) -> None:
        self._number = number
        if (seal := self._seals.pop(number, None)) is not None and seal.hash != digest:
            self._problem(number, f"seal {seal.ordinal:,} says that it had another hash")
        if (said := self._expected.pop(number, None)) is not None and said != digest:
            self._problem(number, "the note from outside says that it had another hash")

    def end(self) -> None:
        """There are no more."""
        self._pass_dropped()
        for number, drop in self._drops.items():
            self._problem(number, f"the note of the dropped day {drop.day} belongs nowhere")
        late = [number for number in self._seals if number > self._number]
        if late:
            self._problem(self._number + 1, f"the end is missing: it was sealed up to record {max(late):,}")
        for number in self._expected:
            self._problem(number, "the note from outside names it, and it is not here")
        if self._last_seal is None:
            self._findings.notes.append(f"node {self._node}: nothing is sealed, so nothing is signed")
        elif self._last_seal.number < self._number:
            behind = self._number - self._last_seal.number
            self._findings.notes.append(f"node {self._node}: the last {behind:,} records are behind its last seal")

    def _problem(self, number: int, what: str) -> None:
        self._findings.add(self._node, number, what)


def check_contents(
    entries: Sequence[Entry], contents: Callable[[Sequence[str]], Mapping[str, bytes]], findings: Findings
) -> None:
    """Compares what was kept of questions and answers with what the records of one page say."""
    wanted = [entry for entry in entries if entry.record.content.startswith(KEPT)]
    if not wanted:
        return
    there = contents([entry.record.id for entry in wanted])
    for entry in wanted:
        _, _, digest = entry.record.content.partition(":")
        if digest in LOST:
            continue
        findings.contents += 1
        data = there.get(entry.record.id)
        if data is None:
            findings.add(entry.node, entry.number, f"the content of {entry.record.id} is missing")
        elif hashlib.sha256(data).hexdigest() != digest:
            findings.add(entry.node, entry.number, f"the content of {entry.record.id} is not what was kept")


def _bytes(digest: str) -> bytes:
    """32 bytes, or none where the text is no hash as we write it."""
    try:
        data = bytes.fromhex(digest)
    except ValueError:
        return b""
    return data if len(data) == 32 and data.hex() == digest else b""
