import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field

import pytest

from sampan.config import AuditSettings
from sampan.governance.audit_keeping import Custodian
from sampan.governance.audit_verify import check_database
from sampan.storage.chain import AuditKey, Seal
from sampan.storage.db import Database
from sampan.storage.evidence import DAY, Evidence, Hold
from sampan.storage.records import Records
from tests.storage.test_records import record

NOW = 1000 * DAY + 100.0


@dataclass
class House:
    records: Records
    evidence: Evidence
    key: AuditKey
    settings: AuditSettings = field(default_factory=AuditSettings)
    delivered: int | None = None

    def custodian(self) -> Custodian:
        return Custodian(
            self.evidence,
            self.key,
            lambda: self.records.head,
            lambda: self.settings,
            delivered=lambda: self.delivered,
            wall=lambda: NOW,
            pause=0.0,
        )

    @property
    def good(self) -> bool:
        return check_database(self.evidence, frozenset({self.key.public})).good

    def numbers(self) -> list[int]:
        return [entry.number for page in self.evidence.entries(self.evidence.node) for entry in page]


@pytest.fixture
def house(database: Database) -> Iterator[House]:
    records = Records(database, linger=0.001)
    records.start()
    with closing(records):
        for number, day in enumerate((995, 995, 997, 998, 999, 1000), 1):
            records.append(record(number, started=day * DAY + number, department=f"d{number}"))
        assert records.flush(10)
        yield House(records, Evidence(database, records.node, lambda: NOW), AuditKey.of(database.folder))


async def test_it_seals_at_once_and_again_when_there_is_more(house: House) -> None:
    house.settings = AuditSettings(seal_every=0.01)
    loop, sealed = asyncio.get_running_loop(), asyncio.Queue[Seal]()

    class Watched(Evidence):
        def seal(self, key: AuditKey, head: tuple[int, str] | None) -> Seal | None:
            seal = super().seal(key, head)
            if seal is not None:
                loop.call_soon_threadsafe(sealed.put_nowait, seal)
            return seal

    house.evidence.__class__ = Watched
    work = asyncio.create_task(house.custodian().run())
    try:
        async with asyncio.timeout(20):
            assert (await sealed.get()).number == 6
            house.records.append(record(7, started=NOW))
            assert (await sealed.get()).number == 7
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


def test_a_clean_stop_is_sealed(house: House) -> None:
    custodian = house.custodian()
    house.records.append(record(7, started=NOW))
    house.records.close()
    seal = custodian.seal()
    assert seal is not None and seal.number == 7
    assert house.good


def test_nothing_is_dropped_where_records_are_kept_for_ever(house: House) -> None:
    house.custodian().seal()
    assert house.custodian().sweep() == 0
    assert house.numbers() == [1, 2, 3, 4, 5, 6]


def test_days_are_dropped_once_they_are_over_and_sealed(house: House) -> None:
    house.settings = AuditSettings(days=2)
    assert house.custodian().sweep() == 0  # nothing is sealed yet
    house.custodian().seal()
    assert house.custodian().sweep() == 3
    assert house.numbers() == [4, 5, 6]
    assert house.custodian().sweep() == 0
    assert house.good
    assert [(drop.day, drop.first, drop.last) for drop in house.evidence.drops(house.evidence.node)] == [
        ("1972-09-22", 1, 2),
        ("1972-09-24", 3, 3),
    ]


def test_what_is_held_and_what_a_sink_has_not_had_stays(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.settings = AuditSettings(days=1)
    house.custodian().seal()
    house.evidence.hold(Hold("case", "d2"))
    house.delivered = 3
    assert house.custodian().sweep() == 1
    assert house.numbers() == [1, 2, 4, 5, 6]
    assert "a sink has not had them all" in caplog.text
    assert house.good
    house.evidence.unhold("case")
    house.delivered = 6
    assert house.custodian().sweep() == 3
    assert house.numbers() == [5, 6]
    assert house.good


def test_a_database_that_is_away_is_a_line_in_the_log(
    house: House, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    house.settings = AuditSettings(days=1)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE seals RENAME TO elsewhere")
    assert house.custodian().seal() is None
    assert house.custodian().sweep() == 0
    assert "the audit could not be sealed" in caplog.text
    assert "could not be dropped" in caplog.text
