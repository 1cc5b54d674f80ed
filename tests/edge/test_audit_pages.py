import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sampan.core import Actor, Incoming, Permission
from sampan.edge.admin_audit import Auditing, AuditPages
from sampan.errors import ConfigError
from sampan.governance.audit_export import as_dict, lines, story
from sampan.governance.audit_verify import check_database, result_of
from sampan.storage.chain import AuditKey
from sampan.storage.db import Database
from sampan.storage.evidence import Evidence
from sampan.storage.records import Records
from sampan.storage.tables import CONTENTS
from tests.edge.pages import ask
from tests.storage.test_records import record

AUDITOR = Actor("key_1", "eve", "auditor", permissions=frozenset({Permission.AUDIT}))
ADMIN = Actor("key_2", "root", "admin", permissions=frozenset(Permission))
MEMBER = Actor("key_3", "bob", "member")


@dataclass
class House:
    records: Records
    evidence: Evidence
    broken: list[str] = field(default_factory=list)

    def verify(self, told: Callable[[int, int], None]) -> Mapping[str, Any]:
        if self.broken:
            raise ConfigError(self.broken[0])
        return result_of(check_database(self.evidence, frozenset(), (), told))

    def pages(self) -> AuditPages:
        export = lambda form, wanted: lines(self.records, self.evidence, form, wanted)  # noqa: E731
        told = lambda entry: story(entry, "CNY")  # noqa: E731
        made = Auditing(self.records, self.evidence, as_dict, told, export, self.verify, lambda: 1_800_000_000.0)
        return AuditPages(made)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path)) as made:
        yield made


@pytest.fixture
def house(database: Database) -> Iterator[House]:
    records = Records(database, linger=0.001)
    records.start()
    with closing(records):
        for number in range(1, 6):
            records.append(record(number, department=f"d{number % 2}", peer="10.0.0.1"))
        assert records.flush(10)
        yield House(records, Evidence(database, records.node))


async def get(
    pages: AuditPages, path: str, query: str = "", method: str = "GET", body: bytes = b"", actor: Actor = ADMIN
) -> tuple[int, Any]:
    incoming = Incoming(method, path, query, {}, body)
    assert method in pages.methods(path)
    status, headers, content = await ask(pages.handle, incoming, actor)
    if headers.get("content-type") == "application/json":
        return status, json.loads(content)
    return status, content.decode()


async def test_records_are_listed_found_and_told(house: House) -> None:
    pages = house.pages()
    status, said = await get(pages, "/admin/v1/audit", "department=d1&limit=2", actor=AUDITOR)
    assert status == 200
    assert [each["id"] for each in said["data"]] == ["req_5", "req_3"]
    assert said["has_more"]
    _, said = await get(pages, "/admin/v1/audit", "department=d1&limit=2&after=req_3")
    assert [each["id"] for each in said["data"]] == ["req_1"]
    assert not said["has_more"]
    _, said = await get(pages, "/admin/v1/audit", "since=1700000002&until=1700000004.5&confined=false")
    assert [each["number"] for each in said["data"]] == [4, 3, 2]
    status, said = await get(pages, "/admin/v1/audit/req_2")
    assert (status, said["number"], said["node"]) == (200, 2, house.records.node)
    assert "Target 1:  claude: refused\nTarget 2:  reader: answered" in said["story"]


async def test_they_are_counted_up_to_a_bound(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = house.pages()
    assert await get(pages, "/admin/v1/audit/count", "department=d1") == (200, {"count": 3, "more": False})
    monkeypatch.setattr("sampan.edge.admin_audit.COUNTED", 4)
    assert await get(pages, "/admin/v1/audit/count", actor=AUDITOR) == (200, {"count": 4, "more": True})
    assert (await get(pages, "/admin/v1/audit/count", "limit=1"))[0] == 400


async def test_a_record_names_the_first_seal_that_binds_it(house: House, tmp_path: Path) -> None:
    house.evidence.seal(AuditKey.of(tmp_path), house.records.head)
    house.records.append(record(6))
    assert house.records.flush(10)
    pages = house.pages()
    seal = (await get(pages, "/admin/v1/audit/req_2"))[1]["seal"]
    assert (seal["ordinal"], seal["number"]) == (1, 5)
    assert (await get(pages, "/admin/v1/audit/req_6"))[1]["seal"] is None


async def test_masked_text_is_read_and_sealed_is_not(house: House, database: Database) -> None:
    kept = b'{"question":"a [mobile]","answer":"b","cut":[]}'
    for number, content in ((7, "redacted:00"), (8, "sealed:00"), (9, "redacted:lost")):
        house.records.append(record(number, content=content))
    assert house.records.flush(10)
    with database.write() as connection:
        connection.execute(CONTENTS.insert().values(id="req_7", data=kept))
    pages = house.pages()
    assert await get(pages, "/admin/v1/audit/req_7/content", actor=AUDITOR) == (200, json.loads(kept))
    for name, words in (("req_8", "is sealed"), ("req_9", "nothing was kept"), ("req_0", "no record")):
        status, said = await get(pages, f"/admin/v1/audit/{name}/content")
        assert (status, words in said["error"]["message"]) == (404, True), said
    assert (await get(pages, "/admin/v1/audit/req_7/content", actor=MEMBER))[0] == 403


@pytest.mark.parametrize(
    ("path", "query", "status", "words"),
    [
        ("/admin/v1/audit", "colour=red", 400, "colour: is no filter"),
        ("/admin/v1/audit", "confined=yes", 400, "confined: must be true or false"),
        ("/admin/v1/audit", "since=noon", 400, "since: must be Unix seconds"),
        ("/admin/v1/audit", "limit=0", 400, "limit: must be 1 to 200"),
        ("/admin/v1/audit", "after=req_9", 400, "no record 'req_9'"),
        ("/admin/v1/audit", "model=%00", 400, "holds a NUL"),
        ("/admin/v1/audit", "after=%00", 400, "holds a NUL"),
        ("/admin/v1/audit/req\0", "", 404, "there is nothing at"),
        ("/admin/v1/audit/req_9", "", 404, "no record 'req_9'"),
        ("/admin/v1/audit/export", "format=xml", 400, "must be one of jsonl, csv, proof"),
        ("/admin/v1/audit/export", "format=proof&model=x", 400, "proof goes with since alone"),
    ],
)
async def test_what_cannot_be_answered_is_said(house: House, path: str, query: str, status: int, words: str) -> None:
    found, said = await get(house.pages(), path, query)
    assert (found, words in said["error"]["message"]) == (status, True), said


@pytest.mark.parametrize(
    ("method", "path", "actor"),
    [
        ("GET", "/admin/v1/audit", MEMBER),
        ("GET", "/admin/v1/audit/export", MEMBER),
        ("POST", "/admin/v1/audit/verify", MEMBER),
        ("POST", "/admin/v1/audit/holds", AUDITOR),
        ("DELETE", "/admin/v1/audit/holds/x", AUDITOR),
    ],
)
async def test_who_may_not_is_refused(house: House, method: str, path: str, actor: Actor) -> None:
    status, said = await get(house.pages(), path, method=method, body=b'{"name": "x"}', actor=actor)
    assert status == 403
    assert "needs the permission" in said["error"]["message"]


async def test_exports_come_as_streams(house: House) -> None:
    pages = house.pages()
    status, text = await get(pages, "/admin/v1/audit/export", "department=d0", actor=AUDITOR)
    assert status == 200
    assert [json.loads(line)["id"] for line in text.splitlines()] == ["req_2", "req_4"]
    _, text = await get(pages, "/admin/v1/audit/export", "format=csv")
    assert len(text.splitlines()) == 6 and text.startswith("\ufeffid,started,")
    _, text = await get(pages, "/admin/v1/audit/export", "format=proof&since=1700000003")
    assert [next(iter(json.loads(line))) for line in text.splitlines()] == ["start", "id", "id", "id"]


async def test_a_check_runs_aside_and_tells_what_it_found(house: House) -> None:
    pages = house.pages()
    assert await get(pages, "/admin/v1/audit/verify") == (200, {"state": "never"})
    assert await get(pages, "/admin/v1/audit/verify", method="HEAD") == (200, {"state": "never"})
    assert pages._checking is None
    status, said = await get(pages, "/admin/v1/audit/verify", method="POST", actor=AUDITOR)
    assert (status, said["state"]) == (202, "running")
    assert pages._checking is not None
    await asyncio.wait_for(pages._checking, 20)
    _, said = await get(pages, "/admin/v1/audit/verify", actor=AUDITOR)
    assert (said["state"], said["done"], said["total"], said["result"]["good"]) == ("done", 5, 5, True)
    house.broken.append("the secret place of the database")
    await get(pages, "/admin/v1/audit/verify", method="POST")
    await asyncio.wait_for(pages._checking, 20)
    _, said = await get(pages, "/admin/v1/audit/verify")
    assert said["state"] == "failed" and "secret" not in str(said)


async def test_records_are_held_and_let_go(house: House) -> None:
    pages = house.pages()
    body = json.dumps({"name": "case 7", "department": "d1", "until": 1e9}).encode()
    status, said = await get(pages, "/admin/v1/audit/holds", method="POST", body=body)
    assert (status, said["name"], said["since"]) == (201, "case 7", None)
    for wrong in (
        '"name": "x", "colour": 1',
        '"name": "a/b"',
        '"name": "x", "since": -1e300',
        '"name": "x", "reason": "\\u0000"',
    ):
        status, said = await get(pages, "/admin/v1/audit/holds", method="POST", body=b"{%b}" % wrong.encode())
        assert status == 400, wrong
    _, said = await get(pages, "/admin/v1/audit/holds", actor=AUDITOR)
    assert [each["name"] for each in said["data"]] == ["case 7"]
    assert (await get(pages, "/admin/v1/audit/holds", method="HEAD", actor=AUDITOR))[0] == 200
    status, _ = await get(pages, "/admin/v1/audit/holds/case 7", method="DELETE")
    assert status == 204
    status, said = await get(pages, "/admin/v1/audit/holds/case 7", method="DELETE")
    assert status == 404


def test_only_these_are_its_pages(house: House) -> None:
    pages = house.pages()
    for path in (
        "/admin/v1/auditor",
        "/admin/v1/audit/",
        "/admin/v1/audit/a/b",
        "/v1/models",
        "/admin/v1/audit/holds/",
    ):
        assert pages.methods(path) == (), path


async def test_a_database_that_is_away_is_an_error_without_its_place(house: House, database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE records RENAME TO elsewhere")
    status, said = await get(house.pages(), "/admin/v1/audit")
    assert status == 500
    assert said["error"]["message"] == "the database cannot be read at the moment; the log says why"
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO records")
