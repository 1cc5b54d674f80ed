"""The pages of the drill: who may ask, what is handed on, and a report that can do nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.core import Actor, Incoming, Permission
from sampan.edge.admin_drill import DrillPages, Theatre
from sampan.errors import NotFound
from tests.edge.pages import ask

OPERATOR = Actor("key_1", "ops", "operator", permissions=frozenset({Permission.OPERATE}))
MEMBER = Actor("key_2", "bob", "member")
ROOT = "/admin/v1/drill"


class House:
    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.files: list[Any] = []
        self.looks = 0
        self.now = 0.0
        theatre = Theatre(
            told=self.told,
            begin=self.begin,
            stop=lambda: {"state": "stopped"},
            kept=lambda: [({"by": "wang"}, {"kept": True})],
            file=self.file,
            catalogue=lambda: {"faults": []},
            clock=lambda: self.now,
        )
        self.pages = DrillPages(theatre)

    def told(self) -> dict[str, Any]:
        self.looks += 1
        return {"state": "never"}

    def begin(self, *asked: Any) -> dict[str, Any]:
        self.begun.append(asked)
        return {"state": "running"}

    def file(self, *asked: Any) -> bytes:
        if asked[1] == "before":
            raise NotFound("no drill has come to its end here yet")
        self.files.append(asked)
        return b"<!doctype html>" if asked[0] == "drill.html" else b"{}"

    async def ask(
        self, method: str, path: str, query: str = "", body: bytes = b"", actor: Actor = OPERATOR
    ) -> tuple[int, dict[str, str], bytes]:
        assert method in self.pages.methods(ROOT + path), path
        return await ask(self.pages.handle, Incoming(method, ROOT + path, query, {}, body), actor)


@pytest.fixture
def house() -> House:
    return House()


async def test_a_drill_is_begun_told_and_stopped(house: House) -> None:
    body = json.dumps({"only": ["500"], "operation": "text", "language": "zh"}).encode()
    status, _, said = await house.ask("POST", "", body=body)
    assert (status, json.loads(said)) == (202, {"state": "running"})
    assert (await house.ask("POST", ""))[0] == 202, "without a body it is everything"
    assert house.begun == [(["500"], "text", "zh", "ops"), ([], "", "en", "ops")]
    for method, state in (("GET", "never"), ("DELETE", "stopped")):
        status, _, said = await house.ask(method, "")
        assert (status, json.loads(said)["state"]) == (200, state)


async def test_one_look_does_for_all_who_watch(house: House) -> None:
    for _ in range(20):
        await house.ask("GET", "")
    assert house.looks == 1
    await house.ask("DELETE", "")
    await house.ask("GET", "")
    house.now += 1.0
    await house.ask("GET", "")
    assert house.looks == 3


async def test_what_can_be_rehearsed_and_what_came_of_it(house: House) -> None:
    assert json.loads((await house.ask("GET", "/faults"))[2]) == {"faults": []}
    told = json.loads((await house.ask("GET", "/scorecard"))[2])
    assert told == {"data": [{"by": "wang", "card": {"kept": True}}]}


async def test_the_report_may_do_nothing(house: House) -> None:
    status, headers, page = await house.ask("GET", "/report")
    assert (status, page) == (200, b"<!doctype html>")
    policy = headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy and "sandbox" in policy and "frame-ancestors 'none'" in policy
    assert not any(each.startswith("script-src") for each in policy)
    status, headers, _ = await house.ask("GET", "/report", "format=json&which=last")
    assert headers["content-disposition"] == 'attachment; filename="drill.json"'
    assert house.files == [("drill.html", "last"), ("drill.json", "last")]
    assert (await house.ask("GET", "/report", "which=before"))[0] == 404


@pytest.mark.parametrize(
    ("path", "query", "body", "field"),
    [
        ("/report", "format=pdf", b"", "format"),
        ("/report", "which=../../etc", b"", "which"),
        ("", "", b'{"only": "500"}', "only"),
        ("", "", json.dumps({"only": ["x"] * 101}).encode(), "only"),
        ("", "", b'{"url": "http://10.0.0.1"}', "url"),
    ],
)
async def test_what_cannot_be_answered_names_its_field(
    house: House, path: str, query: str, body: bytes, field: str
) -> None:
    status, _, said = await house.ask("GET" if query else "POST", path, query, body)
    assert status == 400 and field in json.loads(said)["error"]["message"] and not house.begun


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/report")])
async def test_who_may_not_operate_is_refused(house: House, method: str, path: str) -> None:
    status, _, said = await house.ask(method, path, actor=MEMBER)
    assert status == 403 and b"`operate`" in said and not house.begun
