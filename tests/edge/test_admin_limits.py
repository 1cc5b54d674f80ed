"""`/admin/v1/limits` and `/admin/v1/usage` over a real ledger and a real database."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pages import ask

from sampan.core import Actor, Incoming, Permission, Record
from sampan.edge.admin_limits import LimitPages, Till
from sampan.governance.quota import Quota
from sampan.governance.quota_desk import Desk
from sampan.storage.db import Database
from sampan.storage.ledger import Books
from sampan.storage.records import Records
from sampan.storage.statutes import Statutes
from tests.governance.quota_house import LI, PLAN, Hands, call, limit, settings, took

BOSS = Actor("key_boss", "boss", "admin", permissions=frozenset(Permission))
AUDITOR = Actor("key_aud", "auditor", "auditor", permissions=frozenset({Permission.AUDIT}))
MEMBER = Actor("key_m", "m", "member")


class Office:
    def __init__(self, database: Database) -> None:
        self.hands = Hands()
        self.statutes = Statutes(database)
        configured = limit("house", "tokens", 1000, "month", department="*")
        self.quota = Quota(
            Books(database, capacity=1 << 14),
            self.statutes,
            settings(configured),
            wall=lambda: self.hands.wall,
            steady=lambda: self.hands.steady,
        )
        self.quota.start()
        desk = Desk(self.quota, self.statutes, database, lambda: self.hands.wall)
        self.pages = LimitPages(
            Till(
                desk.limits,
                desk.put,
                desk.remove,
                self.quota.renew,
                desk.configured,
                desk.report,
                self.notes,
                desk.besides,
            )
        )
        self.desk = desk

    @staticmethod
    def notes(scope: Mapping[str, str]) -> list[str]:
        return [f"no {what} {name}" for what, name in scope.items() if name == "radiolgy"]

    async def ask(
        self, method: str, path: str, body: Any = None, actor: Actor = BOSS, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        path, _, query = path.partition("?")
        sent = b"" if body is None else json.dumps(body).encode()
        status, told, data = await ask(self.pages.handle, Incoming(method, path, query, headers, sent), actor)
        return status, told, json.loads(data) if "json" in told["content-type"] else data.decode("utf-8-sig")


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    found = Office(database)
    yield found
    found.quota.close()


async def test_limits_are_made_changed_told_and_removed(office: Office) -> None:
    lease = office.quota.reserve(call(answer=50), LI, PLAN)
    assert lease is not None
    lease.settle(took(100, 50))
    wanted = {"what": "calls", "most": 4, "per": "day", "user": "*"}
    status, _, made = await office.ask("PUT", "/admin/v1/limits/calls of each", wanted)
    assert status == 201 and made["scope"] == {"user": "*"} and made["stored"] is True
    assert office.quota.reserve(call(), LI, PLAN) is not None
    status, _, told = await office.ask("GET", "/admin/v1/limits")
    assert [each["name"] for each in told["data"]] == ["calls of each", "house"] and not told["has_more"]
    assert (told["currency"], told["time_zone"]) == ("CNY", "Asia/Shanghai"), "what they are counted in"
    assert office.desk.concerning(call(), LI) == [
        ("house", f"department={LI.department}"),
        ("calls of each", "user=li"),
    ]
    [pot] = told["data"][0]["pots"]
    assert (pot["pot"], pot["spent"], pot["reserved"], pot["left"], pot["share"]) == ("user=li", 0, 1, 3, 0.25)
    assert pot["resets"] - pot["since"] == 86_400
    house = told["data"][1]
    assert house["stored"] is False and house["pots"][0]["spent"] == 150
    assert (await office.ask("PUT", "/admin/v1/limits/calls of each", wanted | {"most": 5}))[0] == 200
    assert (await office.ask("GET", "/admin/v1/limits/calls of each"))[2]["most"] == 5
    assert (await office.ask("DELETE", "/admin/v1/limits/calls of each"))[2]["deleted"] is True
    for method in ("GET", "DELETE"):
        assert (await office.ask(method, "/admin/v1/limits/calls of each"))[0] == 404


async def test_a_name_that_nobody_has_is_noted_once(office: Office) -> None:
    wanted = {"what": "calls", "most": 4, "per": "day", "department": "radiolgy"}
    assert (await office.ask("PUT", "/admin/v1/limits/x", wanted))[2]["notes"] == ["no department radiolgy"]
    assert "notes" not in (await office.ask("GET", "/admin/v1/limits/x"))[2]
    assert "notes" not in (await office.ask("PUT", "/admin/v1/limits/x", wanted | {"department": "*"}))[2]


async def test_what_is_wrong_is_named(office: Office) -> None:
    for name, body, field in (
        ("house", {"what": "calls", "most": 1, "per": "day"}, "name"),
        ("x", {"what": "calls", "most": 1}, "per"),
        ("x", {"what": "calls", "most": 1, "per": "day", "name": "y"}, "name"),
        ("x", {"what": "calls", "most": 1, "per": "day", "hue": 1}, "hue"),
        ("a;b", {"what": "calls", "most": 1, "per": "day"}, "name"),
    ):
        status, _, said = await office.ask("PUT", f"/admin/v1/limits/{name}", body)
        assert status == 400 and said["error"]["param"] == field, said
    assert (await office.ask("DELETE", "/admin/v1/limits/house"))[0] == 400
    assert (await office.ask("POST", "/admin/v1/limits"))[0] == 405
    assert (await office.ask("GET", "/admin/v1/usage?by=hair"))[0] == 400
    assert (await office.ask("GET", "/admin/v1/usage?month=November"))[0] == 400
    assert (await office.ask("GET", "/admin/v1/usage?colour=red"))[0] == 400
    assert (await office.ask("GET", "/admin/v1/usage?department=%00"))[0] == 400
    assert (await office.ask("DELETE", "/admin/v1/limits/a\0"))[0] == 404


async def test_who_may_ask(office: Office) -> None:
    body = {"what": "calls", "most": 1, "per": "day"}
    for method, path, actor, status in (
        ("PUT", "/admin/v1/limits/x", AUDITOR, 403),
        ("DELETE", "/admin/v1/limits/x", AUDITOR, 403),
        ("GET", "/admin/v1/limits", AUDITOR, 200),
        ("GET", "/admin/v1/usage", AUDITOR, 200),
        ("GET", "/admin/v1/limits", MEMBER, 403),
        ("GET", "/admin/v1/usage", MEMBER, 403),
    ):
        found, _, said = await office.ask(method, path, body if method == "PUT" else None, actor)
        assert found == status, said
    assert office.pages.methods("/admin/v1/limits/a/b") == ()


def _record(number: int, **fields: Any) -> Record:
    at = datetime(2026, 11, 3, tzinfo=UTC).timestamp() + number
    shape: dict[str, Any] = {
        **{"id": f"req_{number}", "started": at, "key_id": "key_1", "key_name": "one", "dialect": "anthropic"},
        **{"operation": "text", "model": "m", "stream": False, "outcome": "ok", "status": 200, "error": ""},
        **{"upstream": "claude", "tier": "cloud", "attempts": "", "input_tokens": 10, "output_tokens": 5, "images": 0},
        **{"bytes_in": 1, "bytes_out": 1, "first_event_ms": 1.0, "total_ms": 2.0, "department": "radiology"},
        **{"user": "li", "cost": 0.25},
    }
    return Record(**(shape | fields))


async def test_usage_is_summed_from_the_records(office: Office, database: Database) -> None:
    records = Records(database)
    records.start()
    for number in range(3):
        records.append(_record(number))
    records.append(_record(3, outcome="failed", department="=surgery", user="zhao", cost=2.0, images=4))
    records.append(_record(4, started=datetime(2026, 12, 1, tzinfo=UTC).timestamp()))
    records.close()
    status, _, told = await office.ask("GET", "/admin/v1/usage?month=2026-11")
    assert status == 200 and (told["month"], told["currency"], told["by"]) == ("2026-11", "CNY", "department")
    assert [(line["name"], line["calls"], line["not_answered"], line["cost"]) for line in told["data"]] == [
        ("=surgery", 1, 1, 2.0),
        ("radiology", 3, 0, 0.75),
    ]
    _, headers, table = await office.ask("GET", "/admin/v1/usage?month=2026-11", accept="text/csv")
    assert headers["content-disposition"] == 'attachment; filename="usage-2026-11.csv"'
    rows = list(csv.reader(io.StringIO(table)))
    assert rows[0] == ["department", "calls", "not_answered", "input_tokens", "output_tokens", "pictures", "cost_cny"]
    assert rows[1] == ["'=surgery", "1", "1", "10", "5", "4", "2.000000"]
    records = Records(database)
    records.start()
    # The last second of the month and the first of its last day, by the house's clock (+08:00), are both its 30th.
    for number, moment in enumerate((datetime(2026, 11, 30, 15, 59, 59), datetime(2026, 11, 29, 16)), 10):
        records.append(_record(number, started=moment.replace(tzinfo=UTC).timestamp(), user="wang"))
    records.append(_record(12, started=datetime(2026, 10, 31, 16, tzinfo=UTC).timestamp(), user="wang", outcome="left"))
    records.close()
    told = (await office.ask("GET", "/admin/v1/usage?month=2026-11&by=day&user=wang"))[2]
    assert [(line["name"], line["label"], line["calls"], line["not_answered"]) for line in told["data"]] == [
        ("2026-11-01", "2026-11-01", 1, 1),
        ("2026-11-30", "2026-11-30", 2, 0),
    ]
    told = (await office.ask("GET", "/admin/v1/usage?month=2026-11&by=key&user=li"))[2]
    assert [(line["name"], line["label"], line["calls"]) for line in told["data"]] == [("key_1", "one", 3)]
