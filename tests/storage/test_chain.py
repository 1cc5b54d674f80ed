import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from postgres_process import PostgresProcess
from sqlalchemy import delete, insert, update

from sampan.core import Record
from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.chain import START, AuditKey, canonical, is_signed, link, node_of
from sampan.storage.db import Database
from sampan.storage.evidence import DAY, Evidence, Hold, Span
from sampan.storage.records import Records, Wanted
from sampan.storage.tables import CONTENTS, RECORDS, SEALS
from tests.storage.test_records import record

NODE = "0123456789abcdef"


@pytest.fixture
def records(database: Database) -> Iterator[Records]:
    made = Records(database, linger=0.001)
    made.start()
    with closing(made):
        yield made


@pytest.fixture
def evidence(database: Database, records: Records) -> Evidence:
    return Evidence(database, records.node, lambda: 1_800_000_000.0)


@pytest.fixture
def key(database: Database) -> AuditKey:
    return AuditKey.of(database.folder)


def keep(records: Records, *made: Record) -> None:
    for each in made:
        records.append(each)
    assert records.flush(10)


def chained(evidence: Evidence) -> list[tuple[int, str, str]]:
    return [(entry.number, entry.hash, entry.record.id) for page in evidence.entries(evidence.node) for entry in page]


def test_the_canonical_form_of_a_record_is_what_the_manual_says() -> None:
    """Written out by hand from the specification of MessagePack: nobody may change the form without noticing."""
    one = Record(
        *("req_1", 1.5, "k", "", "anthropic", "text", "m", True, "ok", 200, "", "up", "cloud", "up=ok"),
        *(1, 200, 70_000, -1, 1 << 33, 0.0, 2.25, "", "病案室", "", "", "", "", "", 0.5, "", "yes"),
    )

    def text(value: str) -> bytes:
        return bytes([0xA0 + len(value.encode())]) + value.encode()

    def real(value: float) -> bytes:
        return b"\xcb" + struct.pack(">d", value)

    expected = b"\x93" + text("sampan-record-1") + text(NODE) + b"\x07"
    expected += b"\xdc\x00\x1f" + text("req_1") + real(1.5) + text("k") + text("") + text("anthropic") + text("text")
    expected += text("m") + b"\xc3" + text("ok") + b"\xcc\xc8" + text("") + text("up") + text("cloud") + text("up=ok")
    expected += b"\x01" + b"\xcc\xc8" + b"\xce\x00\x01\x11\x70" + b"\xff" + b"\xcf\x00\x00\x00\x02\x00\x00\x00\x00"
    expected += real(0.0) + real(2.25) + text("") + text("病案室") + text("") * 5 + real(0.5) + text("") + text("yes")
    assert canonical(NODE, 7, one) == expected
    assert link(START, NODE, 7, one) == hashlib.sha256(bytes(32) + expected).digest()


def test_the_fields_of_the_first_form_stay_as_they_are() -> None:
    assert len(Record.__struct_fields__) == 31
    assert hashlib.sha256(",".join(Record.__struct_fields__).encode()).hexdigest()[:16] == "80d06ed063eb0cd6"


def test_records_are_numbered_without_a_gap_and_each_is_bound_to_the_one_before(
    records: Records, evidence: Evidence
) -> None:
    keep(records, *(record(number) for number in range(1, 100)))
    keep(records, record(100, model="文", first_event_ms=0.1, stream=True, cost=1e-9))
    previous = START
    for number, (at, digest, identifier) in enumerate(chained(evidence), 1):
        found = records.find(identifier)
        assert found is not None
        previous = link(previous, records.node, number, found)
        assert (at, digest) == (number, previous.hex())
    assert records.head == (100, previous.hex())


def test_a_nul_in_a_text_does_not_break_the_chain(records: Records, evidence: Evidence) -> None:
    keep(records, record(1, model="a\0b"), record(2))
    [first, second] = next(evidence.entries(records.node))
    assert first.hash == link(START, records.node, 1, first.record).hex()
    assert second.hash == link(bytes.fromhex(first.hash), records.node, 2, second.record).hex()


def test_a_value_that_cannot_be_kept_leaves_no_gap(records: Records, evidence: Evidence) -> None:
    keep(records, record(1), record(2, total_ms=float("nan")), record(3), record(1, model="again"))
    assert [(number, identifier) for number, _, identifier in chained(evidence)] == [
        (1, "req_1"),
        (2, "req_2"),
        (3, "req_3"),
    ]


def test_a_second_start_goes_on_where_the_first_ended(database: Database, records: Records, evidence: Evidence) -> None:
    keep(records, record(1))
    records.close()
    again = Records(database, linger=0.001)
    again.start()
    assert again.head == (1, chained(evidence)[0][1])
    keep(again, record(2))
    again.close()
    assert [number for number, _, _ in chained(evidence)] == [1, 2]


def test_two_nodes_write_one_table_with_a_chain_each(
    postgres: PostgresProcess, postgres_template: str, tmp_path: Path
) -> None:
    url = postgres.url(postgres.make(postgres_template))
    with ExitStack() as stack:
        nodes = []
        for name in ("a", "b"):
            database = stack.enter_context(closing(Database(tmp_path / name, url)))
            node = stack.enter_context(closing(Records(database, linger=0.001)))
            node.start()
            nodes.append((node, Evidence(database, node.node)))
        for number in range(0, 200, 2):
            nodes[0][0].append(record(number))
            nodes[1][0].append(record(number + 1))
        for first, (node, evidence) in enumerate(nodes):
            assert node.flush(20)
            expected = [(at, f"req_{2 * at - 2 + first}") for at in range(1, 101)]
            assert [(number, identifier) for number, _, identifier in chained(evidence)] == expected
        assert nodes[0][1].nodes() == tuple(sorted(node.node for node, _ in nodes))


def test_records_of_before_there_were_chains_are_taken_in_first(database: Database, evidence: Evidence) -> None:
    database_rows = [
        {**msgspec.structs.asdict(record(number)), "node": "", "number": number, "hash": ""} for number in (3, 1, 2)
    ]
    records = Records(database)
    with database.write() as connection:
        connection.execute(delete(RECORDS))
        connection.execute(insert(RECORDS), database_rows)
    evidence_before = Evidence(database, records.node)
    assert evidence_before.nodes() == ("",)
    records._writer._chain.adopt()
    assert [(number, identifier) for number, _, identifier in chained(evidence)] == [
        (1, "req_3"),
        (2, "req_1"),
        (3, "req_2"),
    ]


def test_a_node_has_one_id_and_one_key_that_nobody_else_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert node_of(folder) == node_of(folder)
    assert AuditKey.of(folder).public == AuditKey.of(folder).public
    for name in ("node", "audit-key.pem"):
        assert stat.S_IMODE(os.stat(folder / name).st_mode) == 0o600
    (folder / "node").write_text("nonsense")
    with pytest.raises(ConfigError, match="16 hexadecimal digits"):
        node_of(folder)
    (folder / "audit-key.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match="no Ed25519 private key"):
        AuditKey.of(folder)


def test_a_seal_is_made_once_for_each_end_of_the_chain(records: Records, evidence: Evidence, key: AuditKey) -> None:
    assert evidence.seal(key, records.head) is None
    keep(records, record(1), record(2))
    seal = evidence.seal(key, records.head)
    assert seal is not None
    assert (seal.ordinal, seal.number, seal.hash) == (1, 2, chained(evidence)[-1][1])
    assert is_signed(seal)
    assert evidence.seal(key, records.head) is None
    keep(records, record(3))
    second = evidence.seal(key, records.head)
    assert second is not None
    assert evidence.seals(records.node) == (seal, second)
    assert not is_signed(msgspec.structs.replace(seal, number=3))
    assert not is_signed(msgspec.structs.replace(seal, signature=second.signature))
    assert not is_signed(msgspec.structs.replace(seal, key="no key"))


def test_an_end_that_was_cut_off_is_said_and_not_written_over(
    database: Database, records: Records, evidence: Evidence, key: AuditKey, caplog: pytest.LogCaptureFixture
) -> None:
    keep(records, record(1), record(2), record(3))
    evidence.seal(key, records.head)
    records.close()
    with database.write() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number > 1))
    again = Records(database, linger=0.001)
    again.start()
    keep(again, record(4))
    again.close()
    assert [number for number, _, _ in chained(evidence)] == [1, 4]
    assert "records are missing at the end of the audit: it was sealed up to 3" in caplog.text


def test_a_day_is_dropped_in_pieces_and_leaves_one_signed_note(
    database: Database, records: Records, evidence: Evidence, key: AuditKey
) -> None:
    today = 20_000 * DAY
    kept = [record(number, started=today + number) for number in range(5)]
    kept += [record(5, started=today - 60, content="sealed:00"), record(6, started=today + DAY)]
    keep(records, *kept)
    with database.write() as connection:
        connection.execute(insert(CONTENTS), [{"id": "req_5", "data": b"x"}, {"id": "req_6", "data": b"y"}])
    before = chained(evidence)
    assert list(evidence.days_over(today + DAY)) == []  # not sealed yet
    evidence.seal(key, records.head)
    assert list(evidence.days_over(today)) == []  # not over yet
    [span] = evidence.days_over(today + DAY)
    assert span == Span("2024-10-04", 1, 6)
    assert evidence.drop(key, span, 4) == 4
    [first] = evidence.drops(records.node)
    assert (first.first, first.last, first.count, first.hash) == (1, 4, 4, before[3][1])
    [rest] = evidence.days_over(today + DAY)
    assert evidence.drop(key, rest, 4) == 2
    assert evidence.drop(key, rest, 4) == 0
    [whole] = evidence.drops(records.node)
    assert (whole.day, whole.first, whole.last, whole.count) == ("2024-10-04", 1, 6, 6)
    assert (whole.before, whole.hash) == (START.hex(), before[5][1])
    assert is_signed(whole)
    assert [number for number, _, _ in chained(evidence)] == [7]
    assert list(evidence.content_ids()) == ["req_6"]
    # The chain goes on behind what was dropped, even where nothing is left of it.
    with database.write() as connection:
        connection.execute(delete(RECORDS))
        connection.execute(delete(SEALS))
    records.close()
    again = Records(database)
    again.start()
    assert again.head == (6, before[5][1])
    again.close()


def test_what_is_held_stays_with_its_whole_day(records: Records, evidence: Evidence, key: AuditKey) -> None:
    keep(records, *(record(day, started=day * DAY + 1.0, department=f"d{day % 3}") for day in range(10, 17)))
    evidence.seal(key, records.head)
    evidence.hold(Hold("trial", "d0", until=14 * DAY))
    evidence.hold(Hold("week", since=14 * DAY, until=15 * DAY))
    assert [span.day for span in evidence.days_over(99 * DAY)] == [
        "1970-01-11",
        "1970-01-12",
        "1970-01-14",
        "1970-01-16",
    ]
    assert [hold.name for hold in evidence.holds()] == ["trial", "week"]
    with pytest.raises(InvalidRequest, match="there is a hold 'week' already"):
        evidence.hold(Hold("week"))
    with pytest.raises(InvalidRequest, match="later than since"):
        evidence.hold(Hold("odd", since=2.0, until=1.0))
    with pytest.raises(InvalidRequest, match="1 to 100 printable"):
        evidence.hold(Hold("  "))
    evidence.unhold("trial")
    assert len(list(evidence.days_over(99 * DAY))) == 5
    with pytest.raises(NotFound, match="no hold 'trial'"):
        evidence.unhold("trial")


def test_how_far_a_sink_is_survives(database: Database, evidence: Evidence) -> None:
    assert evidence.delivered("siem") == 0
    evidence.deliver("siem", 5)
    evidence.deliver("siem", 9)
    assert Evidence(database, evidence.node).delivered("siem") == 9
    assert Evidence(database, "another").delivered("siem") == 0


def test_the_end_that_is_sealed_is_what_was_written_not_what_lies_there(
    database: Database, records: Records, evidence: Evidence, key: AuditKey
) -> None:
    keep(records, record(1))
    changed = record(1, outcome="refused")
    with database.write() as connection:
        values = {"outcome": "refused", "hash": link(START, records.node, 1, changed).hex()}
        connection.execute(update(RECORDS).values(**values))
    seal = evidence.seal(key, records.head)
    assert seal is not None
    assert seal.hash == link(START, records.node, 1, record(1)).hex()


SEARCHES = (
    (Wanted(), [6, 5, 4, 3, 2, 1]),
    (Wanted(department="d1"), [4, 1]),
    (Wanted(user="u0", outcome="failed"), [6]),
    (Wanted(since=1_700_000_005.0), [6, 5]),
    (Wanted(since=1_700_000_002.0, until=1_700_000_004.0), [3, 2]),
    (Wanted(confined=True), [5]),
    (Wanted(confined=False, department="d2"), [2]),
    (Wanted(key="key_1", model="claude-sonnet-4-5", operation="text", tier="degraded", id="req_3"), [3]),
    (Wanted(key="团队", rule="no-night", upstream="reader"), [5]),
    (Wanted(id="req_"), [6, 5, 4, 3, 2, 1]),
    (Wanted(id="%"), []),
    (Wanted(node="0" * 16), []),
)


def test_records_are_found_by_what_is_known_of_them(records: Records) -> None:
    for number in range(1, 7):
        rule = {"rule": "no-night", "confined": "rule no-night"} if number == 5 else {}
        outcome = "failed" if number == 6 else "ok"
        records.append(record(number, department=f"d{number % 3}", user=f"u{number % 2}", outcome=outcome, **rule))
    assert records.flush(10)
    for wanted, numbers in SEARCHES:
        expected = [f"req_{number}" for number in numbers]
        found, more = records.search(wanted, 10)
        assert [entry.record.id for entry in found] == expected, wanted
        assert not more
        assert [entry.record.id for entry in records.entries(wanted)] == expected[::-1]


def test_pages_of_a_search_miss_nothing_where_times_are_equal(records: Records) -> None:
    keep(records, *(record(number, started=float(number // 3)) for number in range(10)))
    seen, after, more = list[str](), "", True
    while more:
        page, more = records.search(Wanted(), 4, after)
        seen += [entry.record.id for entry in page]
        after = seen[-1]
    assert seen == [f"req_{number}" for number in reversed(range(10))]
    with pytest.raises(InvalidRequest, match="no record 'req_x'"):
        records.search(Wanted(), 4, "req_x")


def test_the_place_of_one_record_is_told(records: Records, evidence: Evidence) -> None:
    keep(records, record(1), record(2))
    entry = records.entry("req_2")
    assert entry is not None
    assert (entry.node, entry.number, entry.record) == (records.node, 2, record(2))
    assert records.entry("req_3") is None
    assert evidence.place("req_2") == (records.node, 2)
    assert evidence.place("req_3") is None
    assert evidence.first_since(records.node, record(2).started) == 2
    assert evidence.first_since(records.node, record(3).started) == 0
    assert evidence.before(records.node, 1) == START.hex()
    assert evidence.before(records.node, 2) == next(evidence.entries(records.node))[0].hash
    assert evidence.before(records.node, 9) == ""
