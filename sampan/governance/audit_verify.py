"""Where a check gets its records from: the database, or files of an export. Neither needs a network, or a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sampan.errors import ConfigError
from sampan.governance.audit_check import KEPT, LOST, Chain, Expected, Findings, check_contents
from sampan.governance.audit_export import Start, read_line
from sampan.storage.chain import START, Drop, Entry, Seal
from sampan.storage.evidence import Evidence

Progress = Callable[[int, int], None]
"""Told how many of how many: records of a database, bytes of files."""

_STEP = 2000
_RECORD = b'{"id": '


def check_database(
    evidence: Evidence, keys: frozenset[str], expected: Sequence[Expected] = (), told: Progress | None = None
) -> Findings:
    """Checks all that a database holds, of every node. Raises `ConfigError` where it cannot be read."""
    while True:
        nodes = evidence.nodes()
        before = {node: evidence.drops(node) for node in nodes}
        findings = _check_database(evidence, nodes, before, _Asked(keys, expected, told))
        if findings.good or before == {node: evidence.drops(node) for node in nodes}:
            _unmet(findings, nodes, expected)
            return findings
        # A day was dropped between the reading of its note and that of its records.


@dataclass(frozen=True, slots=True)
class _Asked:
    keys: frozenset[str]
    expected: Sequence[Expected]
    told: Progress | None


def _check_database(
    evidence: Evidence, nodes: Sequence[str], drops: Mapping[str, Sequence[Drop]], asked: _Asked
) -> Findings:
    findings = Findings()
    total = evidence.count()
    with_content: set[str] = set()
    reached: dict[str, int] = {}
    for node in nodes:
        chain = Chain(node, findings, asked.keys)
        _expect(chain, node, asked.expected)
        # What was signed is read first: a seal that is made meanwhile may speak of records that no page had yet.
        chain.words(evidence.seals(node), drops[node])
        for page in evidence.entries(node):
            for entry in page:
                chain.record(entry)
                kind, _, digest = entry.record.content.partition(":")
                if f"{kind}:" in KEPT and digest not in LOST:
                    with_content.add(entry.record.id)
            check_contents(page, evidence.contents, findings)
            reached[node] = page[-1].number
            if asked.told is not None:
                asked.told(findings.records, total)
        chain.end()
    for identifier in evidence.content_ids():
        if identifier not in with_content:
            place = evidence.place(identifier)
            if place is None or place[1] <= reached.get(place[0], 0):  # else it came while we looked
                findings.add("", 0, f"there is content of {identifier}, which no record speaks of")
    return findings


def check_files(
    paths: Sequence[Path], keys: frozenset[str], expected: Sequence[Expected] = (), told: Progress | None = None
) -> Findings:
    """Checks exports (JSON lines), one behind the other as if they were one. Raises `ConfigError`."""
    findings = Findings()
    chains, total = _chains(paths, findings, keys)
    for node in {each.node for each in expected} & set(chains):
        _expect(chains[node], node, expected)
    done = 0
    for path in paths:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                done += len(line)
                if told is not None and number % _STEP == 0:
                    told(done, total)
                try:
                    found = read_line(line)
                except ValueError as error:
                    findings.add("", 0, f"{path.name}, line {number:,}: {_reason(error)}")
                    continue
                if isinstance(found, Entry):
                    chain = chains.get(found.node)
                    if chain is None:  # nothing was signed of it, and it says not where it begins
                        chain = chains[found.node] = Chain(found.node, findings, keys)
                        chain.words((), ())
                        _expect(chain, found.node, expected)
                    chain.record(found)
    for node, chain in chains.items():
        if chain.is_empty:
            findings.add(node, 0, "is said to begin, and nothing follows")
        chain.end()
    _unmet(findings, tuple(chains), expected)
    return findings


def _chains(paths: Sequence[Path], findings: Findings, keys: frozenset[str]) -> tuple[dict[str, Chain], int]:
    """What was signed has to be known before the first record is met: it is collected first."""
    words: dict[str, list[Seal | Drop]] = {}
    starts: dict[str, Start] = {}
    total = 0
    for path in paths:
        with _opened(path) as file:
            for line in file:
                total += len(line)
                if line.startswith(_RECORD):
                    continue
                try:
                    found = read_line(line)
                except ValueError:
                    continue  # told when the records are read
                if isinstance(found, Start):
                    if starts.setdefault(found.node, found) is not found:
                        findings.add(found.node, 0, "says twice where it begins")
                elif not isinstance(found, Entry):
                    words.setdefault(found.node, []).append(found)
    chains = {}
    for node in {**starts, **words}:
        start, said = starts.get(node), words.get(node, [])
        if start is None or (not start.number and start.hash != START.hex()):
            findings.add(node, 0, "what says where it begins is missing, or not as it was")
        elif start.number:
            findings.notes.append(f"node {node}: begins behind record {start.number:,}; what was before is not in it")
        begin = None if start is None else (start.number, start.hash)
        chains[node] = chain = Chain(node, findings, keys, begin)
        seals = [word for word in said if isinstance(word, Seal)]
        chain.words(seals, [word for word in said if isinstance(word, Drop)])
    return chains, total


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _reason(error: ValueError) -> str:
    # msgspec's and json's words may repeat what stands in the line.
    return str(error) if str(error).startswith(("it ", "its ")) else "it is no line of an export"


def _expect(chain: Chain, node: str, expected: Sequence[Expected]) -> None:
    for each in expected:
        if each.node == node:
            chain.expect(each)


def _unmet(findings: Findings, nodes: Sequence[str], expected: Sequence[Expected]) -> None:
    for each in expected:
        if each.node not in nodes:
            findings.add(each.node, each.number, "the note from outside names it, and there is nothing of this node")


def read_keys(text: str) -> frozenset[str]:
    """Public keys, as `sampan audit key` prints them: 64 hexadecimal digits each, one a line. Raises `ConfigError`."""
    keys = re.findall(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", text)
    if not keys:
        raise ConfigError(
            "There is no public key in that file: 64 hexadecimal digits, as `sampan audit key` prints it."
        )
    return frozenset(keys)


def read_expected(texts: Sequence[str]) -> tuple[Expected, ...]:
    """`NODE:NUMBER:HASH` each. Raises `ConfigError`."""
    found = []
    for text in texts:
        match = re.fullmatch(r"([0-9a-f]{16}):([0-9]{1,18}):([0-9a-f]{64})", text.strip())
        if not match or match[2] == "0":
            raise ConfigError(f"--expect {text[:200]!r} is not NODE:NUMBER:HASH, as `sampan audit seal` prints it.")
        found.append(Expected(match[1], int(match[2]), match[3]))
    return tuple(found)


def result_of(findings: Findings) -> Mapping[str, object]:
    """What came of a check, for programs."""
    return {
        "good": findings.good,
        "nodes": findings.nodes,
        "records": findings.records,
        "seals": findings.seals,
        "dropped": findings.dropped,
        "contents": findings.contents,
        "problems": [{"node": each.node, "number": each.number, "what": each.what} for each in findings.problems],
        "problem_count": findings.count,
        "notes": findings.notes,
    }
