"""The pages of rules: what a console and a script may ask, and who."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from sampan.config.policy import RuleSettings
from sampan.core import Actor, Incoming, Permission
from sampan.edge.admin_rules import Bench, RulesPages
from sampan.errors import CallError, Forbidden, InvalidRequest, MethodNotAllowed, NotFound
from sampan.governance.policy import read_rule, tell_rule
from sampan.storage.db import Database
from sampan.storage.statutes import Statutes

ADMIN = Actor("key_a", "ann", "admin", permissions=frozenset(Permission))
MEMBER = Actor("key_m", "max", "member")
OWN = [tell_rule(RuleSettings(name="night", effect=read_rule("x", {"effect": "deny"}).effect, hours=["22:00-06:00"]))]


class House:
    def __init__(self, database: Database) -> None:
        self.renewed = 0
        self.statutes = Statutes(database, lambda: 100.0)
        self.asked: list[bytes] = []
        besides = {"policy": {"default": "deny"}}
        self.pages = RulesPages(
            Bench(self.statutes, lambda: OWN, self.check, self.explain, self.renew, self.notes, lambda: besides)
        )
        self.status = 0

    def check(self, name: str, body: Any) -> dict[str, Any]:
        told = tell_rule(read_rule(name, body))
        del told["name"]
        return told

    def explain(self, body: bytes) -> dict[str, Any]:
        self.asked.append(body)
        return {"decision": "allow"}

    def notes(self, name: str, body: Any) -> list[str]:
        return [f"{name} {each}" for each in body.get("departments", ()) if each != "放射科"]

    def renew(self) -> None:
        self.renewed += 1

    async def ask(self, method: str, path: str, body: Any = None, actor: Actor = ADMIN) -> Any:
        path, _, query = path.partition("?")
        sent = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        answer = await self.pages.handle(Incoming(method, unquote(path), query, {}, sent), actor)
        assert isinstance(answer.body, bytes) and answer.status in (200, 201)
        self.status = answer.status
        return msgspec.json.decode(answer.body)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(Database(tmp_path)) as database:
        yield House(database)


async def test_a_rule_is_put_read_listed_and_deleted(house: House) -> None:
    path = "/admin/v1/rules/放射科不出门"
    put = await house.ask("PUT", path, {"effect": "local", "departments": ["放射科"]})
    assert house.status == 201, "it was not there"
    assert put == {
        "id": "放射科不出门",
        "name": "放射科不出门",
        "effect": "local",
        "departments": ["放射科"],
        "source": "stored",
        "updated": 100.0,
    }
    assert await house.ask("PUT", path, {"effect": "local", "departments": ["放射科"]}) == put
    assert house.status == 200, "it takes the place of one"
    assert await house.ask("GET", path) == put
    listed = await house.ask("GET", "/admin/v1/rules")
    assert listed["has_more"] is False and listed["policy"] == {"default": "deny"}
    assert [(each["id"], each["source"]) for each in listed["data"]] == [
        ("configuration:night", "configuration"),
        ("放射科不出门", "stored"),
    ]
    first = await house.ask("GET", "/admin/v1/rules?limit=1")
    assert first["has_more"] is True
    rest = await house.ask("GET", f"/admin/v1/rules?after={first['data'][0]['id']}")
    assert [each["id"] for each in rest["data"]] == ["放射科不出门"]
    assert await house.ask("DELETE", path) == put
    assert house.renewed == 3
    with pytest.raises(NotFound):
        await house.ask("GET", path)


async def test_a_name_that_nobody_has_is_noted_once(house: House) -> None:
    put = await house.ask("PUT", "/admin/v1/rules/a", {"effect": "deny", "departments": ["radiolgy"]})
    assert put["notes"] == ["a radiolgy"]
    assert "notes" not in await house.ask("GET", "/admin/v1/rules/a")


async def test_the_configurations_rules_are_shown_and_left_alone(house: House) -> None:
    shown = await house.ask("GET", "/admin/v1/rules/night")
    assert (shown["effect"], shown["hours"], shown["source"]) == ("deny", ["22:00-06:00"], "configuration")
    for method in ("PUT", "DELETE"):
        with pytest.raises(InvalidRequest, match="only its file can change"):
            await house.ask(method, "/admin/v1/rules/night", {"effect": "allow"})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"effect": "no"}, "effect"),
        ({"effect": "deny", "hours": ["x"]}, "hours"),
        ({"effect": "deny", "name": "other"}, "name"),
        ({"effect": "deny", "who": []}, "who"),
        (b'{"effect": "deny", "over_megapixels": 1%b}' % (b"0" * 400), "over_megapixels"),
        ([], None),
    ],
)
async def test_a_bad_rule_is_refused_with_its_field(house: House, body: Any, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await house.ask("PUT", "/admin/v1/rules/a", body)
    assert refused.value.param == param
    assert house.statutes.list("rule") == ()


async def test_questions_are_handed_on(house: House) -> None:
    assert await house.ask("POST", "/admin/v1/explain", {"model": "m"}) == {"decision": "allow"}
    assert house.asked == [b'{"model":"m"}']


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("POST", "/admin/v1/rules", MethodNotAllowed),
        ("GET", "/admin/v1/explain", MethodNotAllowed),
        ("GET", "/admin/v1/rules/a/b", NotFound),
        ("GET", "/admin/v1/rules/", NotFound),
        ("DELETE", "/admin/v1/rules/none", NotFound),
        ("GET", "/admin/v1/rules/a%00", NotFound),
    ],
)
async def test_other_paths_and_methods_are_refused(
    house: House, method: str, path: str, error: type[CallError]
) -> None:
    with pytest.raises(error):
        await house.ask(method, path)


async def test_only_who_governs_may_ask(house: House) -> None:
    for method, path in (
        ("GET", "/admin/v1/rules"),
        ("GET", "/admin/v1/rules/night"),
        ("PUT", "/admin/v1/rules/a"),
        ("DELETE", "/admin/v1/rules/a"),
        ("POST", "/admin/v1/explain"),
    ):
        for actor in (
            MEMBER,
            Actor("k", "k", "auditor", permissions=frozenset({Permission.AUDIT, Permission.OPERATE})),
        ):
            with pytest.raises(Forbidden, match="govern"):
                await house.ask(method, path, {"effect": "deny"}, actor)
