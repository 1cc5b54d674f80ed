"""The pages of models: who may ask, what is handed on, and one look at disk and database for all who watch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.core import Actor, Incoming, Permission
from sampan.edge.admin_models import LATELY, ModelsPages, Yard
from sampan.errors import ConfigError
from tests.edge.pages import ask

OPERATOR = Actor("key_1", "ops", "operator", user="wang", permissions=frozenset({Permission.OPERATE}))
MEMBER = Actor("key_2", "bob", "member")
ROOT = "/admin/v1/models"


class House:
    def __init__(self) -> None:
        self.done: list[Any] = []
        self.looks = 0
        self.now = 0.0
        self.broken = False
        yard = Yard(
            told=self.told,
            promote=self.keeping("promote"),
            rollback=self.keeping("rollback"),
            history=self.history,
            remove=self.keeping("remove"),
            fetches=lambda: [{"id": "fetch_1"}],
            fetch=self.keeping("fetch"),
            stop=lambda identifier: self.note("stop", identifier),
            check=lambda: {"state": "never"},
            verify=self.keeping("verify"),
            clock=lambda: self.now,
        )
        self.pages = ModelsPages(yard)

    async def told(self) -> dict[str, Any]:
        if self.broken:
            raise ConfigError("/srv/sampan/gateway.db: disk I/O error")
        self.looks += 1
        return {"engines": [], "check": {}}

    async def history(self, engine: str) -> list[dict[str, Any]]:
        return [{"engine": engine}]

    def note(self, *what: Any) -> dict[str, Any]:
        self.done.append(what)
        return {"done": what[0]}

    def keeping(self, name: str) -> Any:
        async def keep(*what: Any) -> dict[str, Any]:
            return self.note(name, *what)

        return keep

    async def ask(self, method: str, path: str, body: Any = None, actor: Actor = OPERATOR) -> tuple[int, Any]:
        assert method in self.pages.methods(ROOT + path), path
        data = b"" if body is None else json.dumps(body).encode()
        status, _, content = await ask(self.pages.handle, Incoming(method, ROOT + path, "", {}, data), actor)
        return status, json.loads(content)


@pytest.fixture
def house() -> House:
    return House()


async def test_what_is_asked_for_is_handed_on(house: House) -> None:
    assert await house.ask("POST", "/engines/chat/promote", {"revision": "v2"}) == (202, {"done": "promote"})
    assert (await house.ask("POST", "/engines/chat/rollback"))[0] == 202
    assert (await house.ask("POST", "/fetch", {"name": "Qwen/Tiny", "source": "modelscope"}))[0] == 202
    assert (await house.ask("DELETE", "/fetches/fetch_1"))[0] == 200
    assert (await house.ask("DELETE", "/releases/Qwen--Tiny@c0ffee"))[0] == 200
    assert (await house.ask("POST", "/verify", {"release": "Qwen--Tiny@c0ffee"}))[0] == 202
    wanted = {"name": "Qwen/Tiny", "revision": "", "source": "modelscope", "include": [], "exclude": []}
    assert house.done == [
        ("promote", "chat", "v2"),
        ("rollback", "chat"),
        ("fetch", wanted, "wang"),
        ("stop", "fetch_1"),
        ("remove", "Qwen--Tiny@c0ffee"),
        ("verify", "Qwen--Tiny@c0ffee"),
    ]
    assert await house.ask("GET", "/engines/chat/history") == (200, {"data": [{"engine": "chat"}]})
    assert await house.ask("GET", "/fetches") == (200, {"data": [{"id": "fetch_1"}]})
    assert await house.ask("GET", "/verify") == (200, {"state": "never"})


async def test_one_look_does_for_all_who_watch_until_something_is_changed(house: House) -> None:
    for _ in range(20):
        status, said = await house.ask("GET", "")
    assert (status, house.looks, said["fetches"]) == (200, 1, [{"id": "fetch_1"}])
    house.now += LATELY * 1.1
    await house.ask("GET", "")
    assert house.looks == 2
    await house.ask("POST", "/engines/chat/rollback")
    await house.ask("GET", "")
    assert house.looks == 3, "who changed something sees it"


async def test_a_disk_that_cannot_be_read_is_no_stack_trace_and_no_path(house: House) -> None:
    house.broken = True
    status, said = await house.ask("GET", "")
    assert status == 500 and "/srv" not in json.dumps(said)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/fetch"), ("POST", "/engines/chat/promote"), ("DELETE", "/releases/a@b")],
)
async def test_who_may_not_operate_is_refused(house: House, method: str, path: str) -> None:
    status, said = await house.ask(method, path, actor=MEMBER)
    assert status == 403 and "`operate`" in said["error"]["message"] and not house.done


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/engines/chat/promote", {}, "revision"),
        ("/engines/chat/promote", {"revision": 1}, "revision"),
        ("/fetch", {"name": "a/b", "folder": "/etc"}, "folder"),
        ("/fetch", {"name": "a/b", "include": "*"}, "include"),
        ("/verify", {"release": 1}, "release"),
    ],
)
async def test_a_bad_body_names_its_field(house: House, path: str, body: Any, field: str) -> None:
    status, said = await house.ask("POST", path, body)
    assert status == 400 and field in said["error"]["message"] and not house.done


@pytest.mark.parametrize(
    "path", ["/", "/x", "/engines", "/engines/chat", "/engines/chat/paint", "/engines//promote", "/fetches/a/b", "x"]
)
def test_what_is_no_page_takes_nothing(house: House, path: str) -> None:
    assert house.pages.methods(ROOT + path) == ()
