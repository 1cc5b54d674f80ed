"""The admin pages of people, asked as a console asks them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sampan.core import Actor, Incoming, Permission
from sampan.edge.admin_people import PeoplePages, Registry
from sampan.errors import CallError, Forbidden, InvalidRequest, MethodNotAllowed, NotFound, Unauthenticated
from sampan.governance.identity import Beside, Identity
from sampan.storage.db import Database
from sampan.storage.keys import Keys
from sampan.storage.people import People
from sampan.storage.statutes import Statutes
from tests.edge.house import House as Door
from tests.edge.house import ask, opened

NOW = 1_700_000_000.0
ADMIN = Actor("key_a", "ann", "admin", permissions=frozenset(Permission))
GOVERNOR = Actor("key_g", "gus", "governor", permissions=frozenset({Permission.GOVERN, Permission.CALL}))


@dataclass
class House:
    pages: PeoplePages
    identity: Identity

    async def ask(self, method: str, path: str, body: Any = None, *, actor: Actor = ADMIN, query: str = "") -> Any:
        """The answer's JSON, and its status where that is not 200."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.pages.handle(Incoming(method, f"/admin/v1/{path}", query, {}, data), actor)
        assert isinstance(answer.body, bytes)
        found = json.loads(answer.body)
        return found if answer.status == 200 else (answer.status, found)

    async def refused(self, method: str, path: str, body: Any = None, actor: Actor = ADMIN, query: str = "") -> Any:
        with pytest.raises(CallError) as caught:
            await self.ask(method, path, body, actor=actor, query=query)
        return caught.value


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(Database(tmp_path)) as database:
        keys, people, statutes = Keys(database, lambda: NOW), People(database, lambda: NOW), Statutes(database)
        configured = {"librarian": [Permission.AUDIT]}
        identity = Identity(Keys(database, lambda: NOW), lambda: NOW, Beside(configured, statutes=statutes))
        registry = Registry(
            keys,
            people,
            statutes,
            lambda: identity.roles,
            identity.permissions,
            identity.refresh,
            configured,
            lambda: NOW,
        )
        yield House(PeoplePages(registry), identity)
        identity.close()


async def test_from_a_department_to_a_key_that_works(house: House) -> None:
    sent = {"name": "重症监护", "title": "Intensive care", "confined": True}
    status, department = await house.ask("POST", "departments", sent)
    assert status == 201 and department == {**sent, "active": True, "created": NOW}
    status, user = await house.ask("POST", "users", {"name": "li.wei", "department": "重症监护", "email": "li@h.cn"})
    assert status == 201 and (user["role"], user["active"]) == ("member", True)
    status, key = await house.ask("POST", "keys", {"name": "laptop", "user": "li.wei", "networks": ["10.0.0.0/8"]})
    assert status == 201
    assert (key["role"], key["department"], key["permissions"], key["state"]) == ("", "重症监护", ["call"], "valid")
    actor = house.identity.authenticate(key["key"], "10.1.1.1")  # at once: nobody waits for the next look
    assert (actor.department, actor.confined) == ("重症监护", "department 重症监护")
    told = await house.ask("GET", f"keys/{key['id']}")
    assert "key" not in told and told["prefix"] == key["key"][:16]
    listed = (await house.ask("GET", "departments"))["data"]
    assert [(each["users"], each["keys"]) for each in listed] == [(1, 1)]
    assert (await house.ask("GET", "departments/重症监护"))["users"] == 1
    await house.ask("PATCH", "departments/重症监护", {"active": False})
    with pytest.raises(Unauthenticated):
        house.identity.authenticate(key["key"], "10.1.1.1")


async def test_the_life_of_a_key(house: House) -> None:
    _, made = await house.ask("POST", "keys", {"name": "robot", "role": "operator", "service": True})
    assert (made["kind"], made["permissions"]) == ("service", ["call", "operate"])
    changed = await house.ask("PATCH", f"keys/{made['id']}", {"networks": ["10.0.0.1"], "expires": NOW + 60})
    assert (changed["networks"], changed["expires"]) == (["10.0.0.1/32"], NOW + 60)
    assert (await house.ask("PATCH", f"keys/{made['id']}", {"expires": None, "networks": []}))["expires"] is None
    rotated = await house.ask("POST", f"keys/{made['id']}/rotate", {"overlap": 30})
    assert (rotated["id"], rotated["overlap"]) == (made["id"], NOW + 30) and rotated["key"] != made["key"]
    for secret in (made["key"], rotated["key"]):
        assert house.identity.authenticate(secret).key_id == made["id"]
    assert (await house.ask("POST", f"keys/{made['id']}/rotate"))["overlap"] == NOW + 3600
    assert (await house.refused("PATCH", f"keys/{made['id']}", {"expires": 1e300})).param == "expires"
    for method in ("GET", "DELETE"):  # the beginning of an id might be another's tomorrow
        assert isinstance(await house.refused(method, f"keys/{made['id'][:-1]}"), NotFound)
    assert (await house.ask("DELETE", f"keys/{made['id']}"))["state"] == "revoked"
    with pytest.raises(Unauthenticated):
        house.identity.authenticate(rotated["key"])
    assert "cannot be rotated" in (await house.refused("POST", f"keys/{made['id']}/rotate")).message


async def test_nobody_gives_what_they_have_not(house: House) -> None:
    _, admin = await house.ask("POST", "keys", {"name": "a", "role": "admin"})
    _, member = await house.ask("POST", "keys", {"name": "m"})
    await house.ask("POST", "users", {"name": "boss", "role": "admin"})
    await house.ask("POST", "roles", {"name": "watcher", "permissions": ["audit"]})
    for method, path, body in (
        ("POST", "keys", {"name": "x", "role": "admin"}),
        ("POST", "keys", {"name": "x", "role": "librarian"}),
        ("POST", "keys", {"name": "x", "user": "boss"}),
        ("PATCH", f"keys/{member['id']}", {"role": "operator"}),
        ("PATCH", f"keys/{admin['id']}", {"networks": []}),
        ("POST", f"keys/{admin['id']}/rotate", {}),
        ("POST", "users", {"name": "x", "role": "auditor"}),
        ("PATCH", "users/boss", {"role": "admin"}),
        ("POST", "roles", {"name": "x", "permissions": ["govern", "operate"]}),
        ("PATCH", "roles/watcher", {"permissions": ["audit", "call"]}),
    ):
        error = await house.refused(method, path, body, actor=GOVERNOR)
        assert isinstance(error, Forbidden) and "Nobody gives" in error.message, path
    assert (await house.ask("POST", "keys", {"name": "x", "role": "member"}, actor=GOVERNOR))[0] == 201
    assert (await house.ask("POST", f"keys/{member['id']}/rotate", {}, actor=GOVERNOR))["id"] == member["id"]


async def test_pages_are_for_those_who_govern(house: House) -> None:
    for role in ("member", "auditor", "operator"):
        actor = Actor("k", "n", role, permissions=house.identity.roles[role])
        for method, path in (("GET", "keys"), ("POST", "users"), ("DELETE", "departments/x"), ("GET", "roles")):
            error = await house.refused(method, path, actor=actor)
            assert isinstance(error, Forbidden) and "`govern`" in error.message
        told = await house.ask("GET", "me", actor=actor)
        assert (told["role"], told["permissions"]) == (role, sorted(actor.permissions))


async def test_lists_come_in_pages(house: House) -> None:
    for number in range(5):
        await house.ask("POST", "departments", {"name": f"d{number}"})
        await house.ask("POST", "users", {"name": f"u{number}", "department": f"d{number % 2}"})
        await house.ask("POST", "keys", {"name": f"k{number}", "department": f"d{number % 2}"})
    first = await house.ask("GET", "departments", query="limit=3")
    assert ([each["name"] for each in first["data"]], first["has_more"]) == (["d0", "d1", "d2"], True)
    rest = await house.ask("GET", "departments", query="limit=3&after=d2")
    assert ([each["name"] for each in rest["data"]], rest["has_more"]) == (["d3", "d4"], False)
    users = await house.ask("GET", "users", query="department=d1")
    assert [each["name"] for each in users["data"]] == ["u1", "u3"]
    assert len((await house.ask("GET", "keys", query="department=d0"))["data"]) == 3
    for query in ("limit=0", "limit=201", "limit=x", "after=nobody"):
        assert isinstance(await house.refused("GET", "users", query=query), InvalidRequest)


async def test_roles_are_told_with_where_they_come_from(house: House) -> None:
    assert (await house.ask("POST", "roles", {"name": "nurse", "permissions": ["call"]}))[0] == 201
    await house.ask("POST", "users", {"name": "li", "role": "nurse"})
    found = {each["name"]: each for each in (await house.ask("GET", "roles"))["data"]}
    assert {name: each["from"] for name, each in found.items()} == {
        "admin": "built in",
        "auditor": "built in",
        "librarian": "configuration",
        "member": "built in",
        "nurse": "database",
        "operator": "built in",
    }
    assert (found["nurse"]["users"], found["librarian"]["permissions"]) == (1, ["audit"])
    await house.ask("PATCH", "roles/nurse", {"permissions": ["call", "audit"]})
    assert (await house.ask("GET", "roles/nurse"))["permissions"] == ["audit", "call"]
    assert house.identity.roles["nurse"] == {Permission.CALL, Permission.AUDIT}
    for name in ("admin", "librarian"):
        assert isinstance(await house.refused("DELETE", f"roles/{name}"), Forbidden)
        assert isinstance(await house.refused("PATCH", f"roles/{name}", {"permissions": []}), Forbidden)
    await house.ask("DELETE", "roles/nurse")
    assert isinstance(await house.refused("GET", "roles/nurse"), NotFound)


@pytest.mark.parametrize(
    ("method", "path", "body", "param"),
    [
        ("POST", "departments", {}, None),
        ("POST", "departments", {"name": 5}, "name"),
        ("POST", "departments", {"name": "a/b"}, "name"),
        ("POST", "departments", {"name": "x" * 101}, "name"),
        ("POST", "departments", {"name": "a", "colour": "red"}, None),
        ("POST", "departments", {"name": "a", "title": "x" * 201}, "title"),
        ("POST", "departments", b"{", None),
        ("POST", "departments", b"[]", None),
        ("POST", "departments", b"[" * 5000, None),
        ("POST", "users", {"name": "a", "department": "none"}, "department"),
        ("POST", "users", {"name": "a", "role": "none"}, "role"),
        ("POST", "users", {"name": "a", "email": "nobody"}, "email"),
        ("POST", "keys", {"name": "a", "role": "none"}, "role"),
        ("POST", "keys", {"name": "a", "role": ""}, "role"),
        ("POST", "keys", {"name": "a", "networks": ["10.0.0.1/8"]}, "networks.0"),
        ("POST", "keys", {"name": "a", "networks": [5]}, "networks[0]"),
        ("POST", "keys", {"name": "a", "networks": ["::/0"] * 101}, "networks"),
        ("POST", "keys", {"name": "a", "expires": NOW}, "expires"),
        ("POST", "keys", {"name": "a", "expires": 1e300}, "expires"),
        ("POST", "keys", {"name": "", "role": "member"}, "name"),
        ("POST", "roles", {"name": "a", "permissions": ["fly"]}, "permissions[0]"),
        ("POST", "roles", {"name": "admin", "permissions": []}, "name"),
    ],
)
async def test_what_is_wrong_is_named(house: House, method: str, path: str, body: Any, param: str | None) -> None:
    error = await house.refused(method, path, body)
    assert isinstance(error, InvalidRequest)
    assert error.param == param, error.message


async def test_what_is_in_use_is_not_removed(house: House) -> None:
    await house.ask("POST", "departments", {"name": "d"})
    await house.ask("POST", "users", {"name": "u", "department": "d"})
    await house.ask("POST", "keys", {"name": "k", "user": "u"})
    assert "Switch it off" in (await house.refused("DELETE", "departments/d")).message
    assert "Switch the user off" in (await house.refused("DELETE", "users/u")).message
    error = await house.refused("POST", "keys", {"name": "k", "user": "u", "department": "d"})
    assert error.param == "department"
    await house.ask("POST", "users", {"name": "v"})
    assert (await house.ask("DELETE", "users/v"))["name"] == "v"
    await house.ask("POST", "departments", {"name": "e"})
    await house.ask("DELETE", "departments/e")
    for path in ("departments/e", "users/v", "keys/key_none"):
        assert isinstance(await house.refused("GET", path), NotFound)
    for path in ("departments/e", "users/v"):
        assert isinstance(await house.refused("PATCH", path, {"active": True}), NotFound)
        assert isinstance(await house.refused("PATCH", path, {}), InvalidRequest)
    assert isinstance(await house.refused("PATCH", "keys/key_none", {"name": "n"}), NotFound)


async def test_through_the_door(house: House, tmp_path: Path) -> None:
    """Paths with percent-encoding, other methods, and pages that there are not."""
    await house.ask("POST", "departments", {"name": "重症 监护"})
    door = Door(tmp_path / "door", shelves=((_Opened(house.pages), 65_536),))
    async with opened(door) as port:
        key = {"x-api-key": "good"}
        found = await ask(port, "GET", f"/admin/v1/departments/{quote('重症 监护')}", key)
        assert found.status == 200 and json.loads(found.body)["name"] == "重症 监护"
        refused = await ask(port, "PUT", "/admin/v1/departments", key, b"{}")
        assert refused.status == 405 and refused.headers["allow"] == "HEAD, GET, POST"
        for path in ("departments/a/b", "users/u/rotate", "others", "", "keys/k/rotate/x"):
            assert (await ask(port, "GET", f"/admin/v1/{path}", key)).status in (404, 405)
        assert (await ask(port, "GET", "/admin/v1/keys")).status == 401
    with pytest.raises(MethodNotAllowed):
        await house.ask("GET", "keys/key_1/rotate")


class _Opened:
    """The pages as an admin sees them: the door of the tests knows members only."""

    def __init__(self, pages: PeoplePages) -> None:
        self._pages = pages
        self.methods = pages.methods

    async def handle(self, incoming: Incoming, actor: Actor) -> Any:
        return await self._pages.handle(incoming, ADMIN)
