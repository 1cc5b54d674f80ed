"""Whatever is changed in a chain is found: every bit of every column, of every seal and note, and of an export."""

import hashlib
import math
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Column, Float, LargeBinary, Table, delete, insert, select, update

from sampan.core import Record
from sampan.errors import ConfigError
from sampan.governance.audit_check import Expected, Findings
from sampan.governance.audit_export import json_lines, proof_lines
from sampan.governance.audit_verify import check_database, check_files, read_expected, read_keys, result_of
from sampan.storage.chain import AuditKey, Seal, link
from sampan.storage.db import Database
from sampan.storage.evidence import DAY, Evidence
from sampan.storage.records import Records, Wanted
from sampan.storage.tables import CONTENTS, DAYS_DROPPED, RECORDS, SEALS
from tests.storage.test_records import PROGRAM, record

DAYS = 6
EACH = 4


class Keeping:
    """Keeps some bytes of every call that wants it."""

    def resolve(self, kept: Record) -> tuple[Record, bytes | None]:
        data = kept.id.encode() * 3
        return msgspec.structs.replace(kept, content=f"sealed:{hashlib.sha256(data).hexdigest()}"), data

    def settled(self, ids: Collection[str]) -> None:
        return


@dataclass
class Archive:
    database: Database
    evidence: Evidence
    key: AuditKey

    @property
    def keys(self) -> frozenset[str]:
        return frozenset({self.key.public})

    def check(self, *expected: Expected) -> Findings:
        return check_database(self.evidence, self.keys, expected)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with records of six days, the first two dropped, several seals, content, and an export."""
    folder = tmp_path_factory.mktemp("audit") / "data"
    with closing(Database(folder)) as database:
        records = Records(database, linger=0.001, keeping=Keeping())
        records.start()
        evidence, key = Evidence(database, records.node, lambda: 1_800_000_000.0), AuditKey.of(folder)
        for number in range(1, DAYS * EACH + 1):
            day = (number - 1) // EACH
            content = {"content": "sealed"} if number % 3 == 0 else {}
            records.append(record(number, started=day * DAY + number, department="病案室", cost=0.25, **content))
            assert records.flush(10)
            if number % 5 == 0 or number == DAYS * EACH:
                evidence.seal(key, records.head)
        for span in list(evidence.days_over(2 * DAY)):
            evidence.drop(key, span, 3)
            evidence.drop(key, span, 3)
        records.close()
        with (folder / "export.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(proof_lines(evidence))
    return folder


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Iterator[Archive]:
    shutil.copytree(folder, tmp_path / "data")
    with closing(Database(tmp_path / "data")) as database:
        node = (tmp_path / "data" / "node").read_text().strip()
        yield Archive(database, Evidence(database, node), AuditKey.of(tmp_path / "data"))


def words(findings: Findings) -> str:
    return "\n".join(map(str, findings.problems))


def test_what_nobody_has_touched_is_good(archive: Archive, folder: Path) -> None:
    findings = archive.check()
    assert result_of(findings) == {
        "good": True,
        "records": (DAYS - 2) * EACH,
        "seals": 5,
        "dropped": 2 * EACH,
        "contents": 6,
        "nodes": 1,
        "problems": [],
        "problem_count": 0,
        "notes": [],
    }
    exported = check_files([folder / "export.jsonl"], archive.keys)
    assert exported.good
    assert (exported.records, exported.seals, exported.dropped) == (16, 5, 8)
    told = list[tuple[int, int]]()
    check_database(archive.evidence, archive.keys, (), lambda done, total: told.append((done, total)))
    assert told == [(16, 16)]


def flipped(column: Column[Any], value: Any, random_: random.Random) -> Any:
    """The value with one bit flipped, as the column can hold it."""
    if isinstance(column.type, Boolean):
        return not value
    if isinstance(column.type, BigInteger):
        return value ^ (1 << random_.randrange(62))
    if isinstance(column.type, Float):
        while True:
            [bits] = struct.unpack(">Q", struct.pack(">d", value))
            [other] = struct.unpack(">d", struct.pack(">Q", bits ^ (1 << random_.randrange(64))))
            if math.isfinite(other) and (other != value):
                return other
    data = bytearray(value if isinstance(column.type, LargeBinary) else value.encode())
    if not data:
        return "\x01"
    while True:
        at = random_.randrange(len(data) * 8)
        data[at // 8] ^= 1 << at % 8
        if isinstance(column.type, LargeBinary):
            return bytes(data)
        try:
            return data.decode()
        except UnicodeDecodeError:
            data[at // 8] ^= 1 << at % 8


@pytest.mark.parametrize("table", [RECORDS, SEALS, DAYS_DROPPED, CONTENTS], ids=lambda table: table.name)
def test_a_flipped_bit_in_any_column_is_found(archive: Archive, table: Table) -> None:
    for column in table.columns:
        # The handle that this one database has for a row; it is no part of the record, and goes into no export.
        if column.name != "sequence":
            flip(archive, table, column)
    assert archive.check().good


def flip(archive: Archive, table: Table, column: Column[Any]) -> None:
    random_ = random.Random(f"{table.name}.{column.name}")
    identity = list(table.primary_key.columns) if table is not RECORDS else [RECORDS.c.sequence]
    with archive.database.read() as connection:
        rows = connection.execute(select(*identity, column)).all()
    for row in random_.sample(rows, 2):
        where = [each == value for each, value in zip(identity, row, strict=False)]
        value = flipped(column, row[-1], random_)
        with archive.database.write() as connection:
            assert connection.execute(update(table).where(*where).values({column: value})).rowcount == 1
        assert not archive.check().good, f"{table.name}.{column.name}: {row[-1]!r} became {value!r}"
        changed = [value if each is column else old for each, old in zip(identity, row, strict=False)]
        where = [each == old for each, old in zip(identity, changed, strict=True)]
        with archive.database.write() as connection:
            connection.execute(update(table).where(*where).values({column: row[-1]}))


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_flipped_bit_anywhere_in_an_export_is_found(folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    export = bytearray((folder / "export.jsonl").read_bytes())
    at = data.draw(st.integers(0, len(export) * 8 - 1))
    export[at // 8] ^= 1 << at % 8
    (tmp_path / "x.jsonl").write_bytes(export)
    assert not check_files([tmp_path / "x.jsonl"], frozenset({AuditKey.of(folder).public})).good


@given(st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_lines_of_an_export_that_are_cut_swapped_or_put_in_are_found(
    folder: Path, tmp_path: Path, data: st.DataObject
) -> None:
    lines = (folder / "export.jsonl").read_bytes().splitlines(keepends=True)
    before = list(lines)
    # The last seal is the one thing that only somebody outside can know of.
    last = max(number for number, line in enumerate(lines) if line.startswith(b'{"seal"'))
    at = data.draw(st.integers(0, len(lines) - 1).filter(lambda number: number != last))
    how = data.draw(st.sampled_from(["delete", "swap", "double", "half"]))
    if how == "delete":
        del lines[at]
    elif how == "swap":
        records = [number for number, line in enumerate(lines) if line.startswith(b'{"id"')]
        first, second = data.draw(st.lists(st.sampled_from(records), min_size=2, max_size=2, unique=True))
        lines[first], lines[second] = lines[second], lines[first]
    elif how == "double":
        lines.insert(data.draw(st.integers(0, len(lines))), lines[at])
    else:
        lines = [*lines[:at], lines[at][: len(lines[at]) // 2]]
    if lines == before:
        return
    (tmp_path / "x.jsonl").write_bytes(b"".join(lines))
    assert not check_files([tmp_path / "x.jsonl"], frozenset({AuditKey.of(folder).public})).good


def test_an_edited_record_is_named_alone(archive: Archive) -> None:
    with archive.database.write() as connection:
        connection.execute(update(RECORDS).where(RECORDS.c.number == 12).values(outcome="refused"))
    findings = archive.check()
    assert [(problem.number, problem.what) for problem in findings.problems] == [
        (12, "req_12 is not what was written: its hash does not fit")
    ]


def test_a_record_written_anew_with_its_hash_breaks_the_next_one(archive: Archive) -> None:
    [eleven, twelve] = archive.evidence.page(archive.evidence.node, 10, 2)
    edited = record(12, outcome="refused")
    digest = link(bytes.fromhex(eleven.hash), archive.evidence.node, 12, edited).hex()
    with archive.database.write() as connection:
        changes = {name: getattr(edited, name) for name in edited.__struct_fields__} | {"hash": digest}
        connection.execute(update(RECORDS).where(RECORDS.c.number == 12).values(**changes))
        connection.execute(delete(CONTENTS).where(CONTENTS.c.id == "req_12"))
    assert twelve.hash != digest
    assert [problem.number for problem in archive.check().problems] == [13]


def rechain(archive: Archive, after: int) -> None:
    """What somebody does who can write the database, and knows how hashes are made, but has no key."""
    previous = bytes.fromhex(archive.evidence.before(archive.evidence.node, after + 1))
    [page] = archive.evidence.entries(archive.evidence.node, after)
    for number, entry in enumerate(page, after + 1):
        previous = link(previous, entry.node, number, entry.record)
        with archive.database.write() as connection:
            connection.execute(
                update(RECORDS).where(RECORDS.c.id == entry.record.id).values(number=number, hash=previous.hex())
            )


def test_a_chain_made_anew_after_an_edit_does_not_fit_the_seals(archive: Archive) -> None:
    with archive.database.write() as connection:
        connection.execute(update(RECORDS).where(RECORDS.c.number == 11).values(outcome="refused"))
    rechain(archive, 10)
    assert words(archive.check()) == "\n".join(
        f"node {archive.evidence.node}, record {number}: seal {ordinal} says that it had another hash"
        for number, ordinal in ((15, 3), (20, 4), (24, 5))
    )


def test_a_chain_closed_after_a_deletion_does_not_fit_the_seals(archive: Archive) -> None:
    with archive.database.write() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number == 11))
    assert "record 11: missing: 11" in words(archive.check())
    rechain(archive, 10)
    assert "the end is missing: it was sealed up to record 24" in words(archive.check())


def test_what_is_cut_off_at_the_end_is_found_as_far_as_the_last_seal_tells(archive: Archive) -> None:
    [last] = archive.evidence.page(archive.evidence.node, 23, 1)
    note = Expected(archive.evidence.node, 24, last.hash)
    with archive.database.write() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number > 20))
        connection.execute(delete(CONTENTS).where(CONTENTS.c.id.in_(["req_21", "req_24"])))
    assert "record 21: the end is missing: it was sealed up to record 24" in words(archive.check(note))
    with archive.database.write() as connection:
        connection.execute(delete(SEALS).where(SEALS.c.ordinal == 5))
    assert archive.check().good  # nothing here knows better: that is what notes outside are for
    assert "record 24: the note from outside names it, and it is not here" in words(archive.check(note))
    other = Expected("f" * 16, 1, last.hash)
    assert "there is nothing of this node" in words(archive.check(other))
    assert "the note from outside says that it had another hash" in words(
        archive.check(Expected(archive.evidence.node, 20, last.hash))
    )


def test_a_seal_of_another_key_and_a_missing_one_are_found(archive: Archive, tmp_path: Path) -> None:
    stranger = AuditKey.of(tmp_path / "stranger")
    [*_, last] = archive.evidence.seals(archive.evidence.node)
    signed = stranger.seal(last)
    with archive.database.write() as connection:
        where = SEALS.c.ordinal == last.ordinal
        connection.execute(update(SEALS).where(where).values(key=signed.key, signature=signed.signature))
    assert f"seal 5 was signed with another key, {stranger.public}" in words(archive.check())
    unasked = check_database(archive.evidence, frozenset())
    assert "signed with another key" in words(unasked)
    assert "no public key was given" in unasked.notes[0]
    with archive.database.write() as connection:
        connection.execute(delete(SEALS).where(SEALS.c.ordinal.in_([1, 3])))
    assert "seals before 2 are missing" in words(archive.check())
    assert "seal 4 follows seal 2: there are more or fewer" in words(archive.check())


def test_a_dropped_day_without_its_note_and_a_record_put_into_one_are_found(archive: Archive) -> None:
    [first, second] = archive.evidence.drops(archive.evidence.node)
    assert (first.first, first.last, second.first, second.last) == (1, 4, 5, 8)
    with archive.database.write() as connection:
        values = {name: getattr(record(3), name) for name in record(3).__struct_fields__}
        node = archive.evidence.node
        connection.execute(insert(RECORDS), {**values, "node": node, "number": 3, "hash": "0" * 64})
    assert "record 3: req_3 stands behind 8: doubled, moved or put in" in words(archive.check())
    with archive.database.write() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number == 3))
        connection.execute(delete(DAYS_DROPPED).where(DAYS_DROPPED.c.first == 1))
    assert "record 1: missing: 1 to 8" in words(archive.check())


def test_an_export_from_some_day_on_says_that_it_begins_there(archive: Archive, tmp_path: Path) -> None:
    file = tmp_path / "since.jsonl"
    file.write_text("".join(proof_lines(archive.evidence, 4 * DAY)), encoding="utf-8")
    findings = check_files([file], archive.keys)
    assert findings.good
    assert findings.records == 8
    assert findings.notes == [f"node {archive.evidence.node}: begins behind record 16; what was before is not in it"]


def test_an_export_in_several_files_is_one(archive: Archive, folder: Path, tmp_path: Path) -> None:
    lines = (folder / "export.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "a").write_bytes(b"".join(lines[:15]))
    (tmp_path / "b").write_bytes(b"".join(lines[15:]))
    assert check_files([tmp_path / "a", tmp_path / "b"], archive.keys).good
    assert not check_files([tmp_path / "b", tmp_path / "a"], archive.keys).good


def test_a_plain_export_is_held_to_its_own_chain(archive: Archive, tmp_path: Path) -> None:
    with closing(Database(tmp_path / "other")) as database:
        records = Records(database, linger=0.001)
        records.start()
        for number in range(1, 10):
            records.append(record(number))
        records.close()
        file = tmp_path / "plain.jsonl"
        file.write_text("".join(json_lines(records.entries(Wanted()))), encoding="utf-8")
    findings = check_files([file], frozenset())
    assert findings.good
    assert "nothing is sealed, so nothing is signed" in findings.notes[0]
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"status": 200', '"status": 201', 1), encoding="utf-8")
    assert "is not what was written" in words(check_files([file], frozenset()))


@pytest.mark.parametrize(
    "line",
    [
        b"[]\n",
        b'{"seal": 1}\n',
        b'{"other": {}}\n',
        b'{"seal": {}}\n',
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"id": 1}\n',
        b"\n",
    ],
)
def test_a_file_with_anything_else_in_it_is_no_export(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "x").write_bytes(line)
    findings = check_files([tmp_path / "x"], frozenset())
    assert str(findings.problems[0]).startswith("x, line 1: it")


def test_keys_and_notes_are_read_as_the_verbs_print_them(tmp_path: Path) -> None:
    key = "ab" * 32
    assert read_keys(f"0123456789abcdef {key}\n") == {key}
    with pytest.raises(ConfigError, match="no public key"):
        read_keys("nothing")
    assert read_expected([f"0123456789abcdef:7:{key}"]) == (Expected("0123456789abcdef", 7, key),)
    with pytest.raises(ConfigError, match="is not NODE:NUMBER:HASH"):
        read_expected(["x:7:y"])
    with pytest.raises(ConfigError, match="cannot be read"):
        check_files([tmp_path / "none"], frozenset())


def test_many_problems_are_counted_and_some_are_told(archive: Archive) -> None:
    assert isinstance(archive.evidence.seals(archive.evidence.node)[0], Seal)
    findings = Findings()
    for number in range(300):
        findings.add("n", number, "x")
    assert findings.count == 300
    assert len(findings.problems) == 100


def test_the_manual_s_own_program_verifies_an_export(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    program = manual.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "msgpack", SimpleNamespace(packb=msgspec.msgpack.encode))
    with closing(Database(tmp_path / "other")) as database:
        records = Records(database, linger=0.001)
        records.start()
        for number in range(1, 10):
            records.append(record(number, cost=1e-7, model="文"))
        records.close()
        text = "".join(proof_lines(Evidence(database, records.node)))
    (tmp_path / "export.jsonl").write_text(text, encoding="utf-8")
    exec(program, {})
    (tmp_path / "export.jsonl").write_text(text.replace("1e-07", "2e-07", 1), encoding="utf-8")
    with pytest.raises(AssertionError, match="1"):
        exec(program, {})


def test_after_kill_9_there_is_neither_a_gap_nor_a_double(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(tmp_path / "data"),
        "0.002",
        str(Path(__file__).parents[1] / "storage"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == b"1500\n":
                os.kill(process.pid, signal.SIGKILL)
                break
    with closing(Database(tmp_path / "data")) as database:
        records = Records(database, linger=0.001)
        records.start()
        records.append(record(9_999_999))
        records.close()
        evidence = Evidence(database, records.node)
        findings = check_database(evidence, frozenset())
        assert findings.good, words(findings)
        assert findings.records > 1500
        assert records.head is not None and records.head[0] == findings.records
