import asyncio
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from sampan.core import Record
from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.records import Records, Wanted
from sampan.storage.spool import Spool
from sampan.storage.tables import RECORDS

NEVER = 3600.0
"""A linger that keeps the writer from draining until it is told to: what a death at the worst moment finds."""


def record(number: int, **changes: object) -> Record:
    made = Record(
        id=f"req_{number}",
        started=1_700_000_000.0 + number,
        key_id="key_1",
        key_name="团队",
        dialect="anthropic",
        operation="text",
        model="claude-sonnet-4-5",
        stream=number % 2 == 0,
        outcome="ok",
        status=200,
        error="",
        upstream="reader",
        tier="degraded",
        attempts="claude=refused,reader=ok",
        input_tokens=number,
        output_tokens=7,
        images=0,
        bytes_in=100,
        bytes_out=200,
        first_event_ms=1.5,
        total_ms=2.25,
    )
    return msgspec.structs.replace(made, **changes)


def ids(records: Records) -> list[str]:
    return [kept.id for kept in records.export()]


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    with closing(Database(tmp_path / "data", database_url, busy_seconds=0)) as made:
        yield made


@pytest.fixture
def records(database: Database) -> Iterator[Records]:
    made = Records(database, linger=0.001)
    made.start()
    with closing(made):
        yield made


def test_a_record_comes_back_as_it_went_in(records: Records) -> None:
    records.append(record(1))
    records.append(record(2, error="upstream said: 余额不足", first_event_ms=0.1))
    assert records.flush(10)
    assert records.find("req_1") == record(1)
    assert records.find("req_2") == record(2, error="upstream said: 余额不足", first_event_ms=0.1)
    assert records.find("req_3") is None


async def test_records_reach_the_database_without_being_asked_to(database: Database) -> None:
    records = Records(database, capacity=1024, linger=0.05)
    records.start()
    while records.has_room:
        records.append(record(0))
    await asyncio.wait_for(records.wait_for_room(), 10)
    assert records.find("req_0") == record(0)
    records.close()


def test_latest_gives_the_newest_first_and_only_since(records: Records) -> None:
    for number in (3, 1, 4, 2):
        records.append(record(number))
    records.flush()
    assert [kept.id for kept in records.latest(3)] == ["req_4", "req_3", "req_2"]
    assert [kept.id for kept in records.latest(9, since=record(3).started)] == ["req_4", "req_3"]


def test_export_gives_all_in_the_order_of_their_ends(records: Records) -> None:
    numbers = [*range(1500, 0, -1), *range(1501, 2500)]
    for number in numbers:
        records.append(record(number))
    records.flush()
    assert ids(records) == [f"req_{number}" for number in numbers]
    assert [kept.id for kept in records.export(since=record(2498).started)] == ["req_2498", "req_2499"]


def test_close_drains(database: Database) -> None:
    records = Records(database, linger=NEVER)
    records.start()
    records.append(record(1))
    records.close()
    assert ids(records) == ["req_1"]
    with pytest.raises(RuntimeError, match="between start and close"):
        records.append(record(2))
    assert records.flush()
    records.close()


def test_a_second_gateway_on_the_folder_is_refused(database: Database, records: Records) -> None:
    second = Records(database)
    with pytest.raises(ConfigError, match=rf"Another gateway \(process {os.getpid()}\).*\[server\] data"):
        second.start()
    records.append(record(1))
    records.flush()
    assert ids(second) == ["req_1"]
    records.close()
    second.start()
    second.close()


def test_the_same_record_twice_is_kept_once(database: Database, records: Records) -> None:
    records.append(record(1))
    records.flush()
    records.append(record(1, model="other"))
    records.append(record(2))
    records.flush()
    assert list(records.export()) == [record(1), record(2)]


STEPS = st.lists(st.sampled_from(["append", "append", "append", "flush", "die", "die_before_release"]), max_size=14)


@given(steps=STEPS)
@settings(max_examples=12, deadline=None)
def test_whenever_the_process_dies_every_record_is_kept_once(steps: list[str]) -> None:
    """A copy of the folder is what another process finds after a death: the writer is idle when it is made."""
    with tempfile.TemporaryDirectory() as folder:
        generation, kept = 0, list[str]()
        database = Database(Path(folder) / "0")
        records = Records(database, capacity=1 << 14, linger=NEVER)
        records.start()
        for step in [*steps, "die"]:
            if step == "append":
                records.append(record(len(kept)))
                kept.append(f"req_{len(kept)}")
            elif step == "flush":
                assert records.flush(10)
                assert ids(records) == kept
            else:
                generation += 1
                old, new = database.folder, Path(folder) / str(generation)
                spool = (old / "records.spool").read_bytes()
                if step == "die_before_release":
                    assert records.flush(10)
                shutil.copytree(old, new)
                (new / "records.spool").write_bytes(spool)
                records.close()
                database.close()
                database = Database(new)
                records = Records(database, capacity=1 << 14, linger=NEVER)
                records.start()
                assert ids(records) == kept
        records.close()
        database.close()


PROGRAM = """
import os, sys
from pathlib import Path
from sampan.storage.db import Database
from sampan.storage.records import Records
sys.path.insert(0, sys.argv[3])
from test_records import record
records = Records(Database(Path(sys.argv[1])), linger=float(sys.argv[2]))
records.start()
number = 0
while True:
    records.append(record(number))
    os.write(1, b"%d\\n" % number)
    number += 1
"""


@pytest.mark.parametrize("linger", [NEVER, 0.002], ids=["in the spool", "while draining"])
def test_records_survive_kill_9(tmp_path: Path, linger: float) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "data"), str(linger), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == b"2500\n":
                os.kill(process.pid, signal.SIGKILL)
                break
        told = 2500 + process.stdout.read().count(b"\n")
    assert process.returncode == -signal.SIGKILL
    database = Database(tmp_path / "data")
    records = Records(database)
    replayed = records.start()
    found = ids(records)
    assert found == [f"req_{number}" for number in range(len(found))]
    # One more may be there: appended, and killed before it could say so.
    assert told + 1 <= len(found) <= told + 2
    assert replayed == len(found) if linger == NEVER else replayed <= len(found)
    records.close()
    database.close()


def test_a_locked_database_delays_and_is_logged_once(
    database: Database, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sampan.storage")
    with database.write():
        records.append(record(1))
        assert not records.flush(0.05)
        records.append(record(2))
        assert not records.flush(0.05)
    assert records.flush(10)
    assert ids(records) == ["req_1", "req_2"]
    levels = [(entry.levelname, entry.message.split(",")[0].split(":")[0]) for entry in caplog.records]
    assert levels == [
        ("ERROR", "records cannot be written to the database"),
        ("INFO", "records are written to the database again"),
    ]


def test_closing_while_the_database_is_locked_leaves_the_records_in_the_spool(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(database, linger=0.001)
    records.start()
    with database.write():
        records.append(record(1))
        records.close(timeout=0.05)
    assert "stay in the spool" in caplog.text
    assert ids(records) == []
    again = Records(database)
    assert again.start() == 1
    assert ids(again) == ["req_1"]
    again.close()


async def test_calls_wait_while_the_spool_is_full_and_nothing_is_lost(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(database, capacity=4096, linger=0.001)
    records.start()
    await asyncio.wait_for(records.wait_for_room(), 1)
    number = 0
    with database.write():
        while records.has_room:
            records.append(record(number))
            number += 1
        accepted_before = number
        waiting = [asyncio.create_task(records.wait_for_room()) for _ in range(3)]
        await asyncio.sleep(0)
        for _ in range(30):
            records.append(record(number))
            number += 1
        assert not any(task.done() for task in waiting)
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert records.has_room
    assert await asyncio.to_thread(records.flush, 10)
    assert 10 < accepted_before < 30
    assert ids(records) == [f"req_{kept}" for kept in range(number)]
    assert caplog.text.count("the spool of records is full") == 1
    records.close()


async def test_waiting_ends_with_an_error_when_the_records_are_closed(database: Database) -> None:
    records = Records(database, capacity=1024, linger=0.001)
    records.start()
    with database.write():
        while records.has_room:
            records.append(record(0))
        waiting = asyncio.create_task(records.wait_for_room())
        await asyncio.sleep(0)
        await asyncio.to_thread(records.close, 0.01)
    with pytest.raises(RuntimeError, match="between start and close"):
        await asyncio.wait_for(waiting, 10)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"model": "m" * 100_000}, {"model": "m" * 200}),
        ({"model": "half \ud83d"}, {"model": "half ?"}),
        ({"total_ms": math.nan}, {"total_ms": 0.0}),
        ({"input_tokens": 1 << 63}, {"input_tokens": (1 << 63) - 1}),
        ({"input_tokens": 1 << 70}, {"input_tokens": (1 << 63) - 1}),
        ({"model": "nul \x00 in it"}, {"model": "nul \x00 in it"}),
    ],
    ids=["long", "surrogate", "nan", "63 bits", "70 bits", "nul"],
)
def test_whatever_a_caller_sends_its_record_is_kept(
    database: Database, records: Records, changes: dict[str, object], kept: dict[str, object]
) -> None:
    if database.dialect == "postgresql" and "\x00" in str(kept.get("model", "")):
        kept = {"model": "nul \ufffd in it"}
    records.append(record(1))
    records.append(record(2, **changes))
    records.append(record(3))
    assert records.flush(10)
    assert list(records.export()) == [record(1), record(2, **kept), record(3)]


def test_an_entry_that_is_no_record_is_set_aside(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(database.folder / "records.spool", 4096)
    spool.append(b"\xc1nonsense")
    spool.append(msgspec.msgpack.encode(record(1)))
    spool.close()
    records = Records(database)
    assert records.start() == 2
    assert ids(records) == ["req_1"]
    assert (database.folder / "records.unreadable").read_text() == b"\xc1nonsense".hex() + "\n"
    assert "set aside" in caplog.text
    records.close()


def test_a_database_that_breaks_is_no_reason_to_set_records_aside(database: Database, records: Records) -> None:
    with database.write() as connection:
        connection.execute(text("ALTER TABLE records RENAME TO elsewhere"))
    records.append(record(1))
    assert not records.flush(0.05)
    with database.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO records"))
    assert records.flush(10)
    assert ids(records) == ["req_1"]
    assert not (database.folder / "records.unreadable").exists()


def test_appending_from_several_threads_keeps_all(records: Records) -> None:
    def work(start: int) -> None:
        for number in range(start, start + 300):
            records.append(record(number))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 300, 600)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records.flush()
    assert sorted(ids(records)) == sorted(f"req_{number}" for number in range(900))


@pytest.mark.parametrize("wanted", ["department", "user", "rule", "outcome", "key"])
def test_what_is_rare_is_found_by_an_index(wanted: str, tmp_path: Path) -> None:
    conditions = Wanted(**{wanted: "key_7"}).conditions(sqlite=True)
    query = select(RECORDS.c.id).where(*conditions).order_by(RECORDS.c.started.desc(), RECORDS.c.sequence.desc())
    with closing(Database(tmp_path)) as database, database.read() as connection:
        statement = query.compile(database.engine)
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("key_7",)).all()
    assert len(rows) == 1, "nothing is sorted"
    assert f"USING INDEX records_{wanted}" in rows[0][3]


def test_the_manual_explains_every_column() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")
    table = manual.partition("| column | meaning |")[2].partition("\n\n")[0]
    explained = {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")
    }
    assert explained == set(Record.__struct_fields__)
