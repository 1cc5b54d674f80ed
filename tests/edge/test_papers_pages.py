from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sampan.core import Actor, Incoming, Permission
from sampan.edge.console_papers import PapersPages
from sampan.storage.db import Database
from sampan.storage.files import Files, Upload
from sampan.storage.objects import Objects
from sampan.storage.papers import Papers
from tests.edge.pages import ANN, BOB, ask

PATH = "/console/v1/papers"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(5_000)


class House:
    def __init__(self, database: Database) -> None:
        self.files = Files(database, Objects(database, lambda: 1.0), lambda: 1.0)
        self.papers = Papers(database)
        self.pages = PapersPages(self.papers, self.files, lambda: {"default": "claude"})

    async def ask(
        self, method: str, path: str, body: Any = None, actor: Actor = ANN, query: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        assert method in self.pages.methods(path)
        data = b"" if body is None else json.dumps(body).encode()
        return await ask(self.pages.handle, Incoming(method, path, query, {}, data), actor)

    async def json(
        self, method: str, path: str, body: Any = None, actor: Actor = ANN, query: str = ""
    ) -> tuple[int, Any]:
        status, headers, content = await self.ask(method, path, body, actor, query)
        assert status >= 400 or headers["cache-control"] == "no-store"
        return status, json.loads(content) if content else None


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(Database(tmp_path)) as database:
        yield House(database)


async def test_a_paper_is_made_read_changed_listed_and_removed(house: House) -> None:
    status, made = await house.json("POST", PATH, {"kind": "conversation", "title": "合同", "body": {"n": 1}})
    assert status == 201 and set(made) == {"id", "kind", "title", "created", "updated"}
    one = f"{PATH}/{made['id']}"
    assert await house.json("GET", one) == (200, {**made, "body": {"n": 1}})
    status, changed = await house.json("PUT", one, {"title": "租约", "body": {"n": 2}, "updated": made["updated"]})
    assert status == 200 and changed["title"] == "租约" and changed["updated"] > made["updated"]
    status, refused = await house.json("PUT", one, {"title": "x", "body": {}, "updated": made["updated"]})
    assert status == 400 and refused["error"]["param"] == "updated"
    _, listed = await house.json("GET", PATH, query="kind=conversation&limit=1")
    assert listed == {"data": [changed], "has_more": False}
    assert (await house.json("DELETE", one))[0] == 204
    assert (await house.json("GET", one))[0] == 404


async def test_papers_are_the_users_by_any_key_and_else_the_keys(house: House) -> None:
    here = Actor("key_1", "a", "member", user="wang")
    there = Actor("key_2", "b", "member", user="wang")
    _, made = await house.json("POST", PATH, {"kind": "drawing", "title": "t", "body": {}}, here)
    one = f"{PATH}/{made['id']}"
    assert (await house.json("GET", one, actor=there))[0] == 200
    for other in (BOB, Actor("wang", "c", "admin", permissions=frozenset(Permission)), Actor("key_1", "a", "member")):
        assert (await house.json("GET", one, actor=other))[0] == 404
        assert (await house.json("DELETE", one, actor=other))[0] == 404
        assert (await house.json("GET", PATH, actor=other, query="kind=drawing"))[1]["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "param"),
    [
        ("GET", PATH, None, "", "kind"),
        ("GET", PATH, None, "kind=conversation&limit=0", "limit"),
        ("GET", PATH, None, "kind=conversation&after=paper_1", "after"),
        ("GET", PATH, None, "kind=conversation&after=%00", "after"),
        ("POST", PATH, {"kind": "conversation", "title": "", "body": {}}, "", "title"),
        ("POST", PATH, {"kind": "conversation", "title": "t", "body": []}, "", "body"),
        ("POST", PATH, {"kind": "conversation", "title": "t", "body": {}, "x": 1}, "", None),
    ],
)
async def test_what_is_wrong_is_named(
    house: House, method: str, path: str, body: Any, query: str, param: str | None
) -> None:
    status, said = await house.json(method, path, body, query=query)
    assert status == 400 and said["error"]["param"] == param


async def test_those_who_may_not_call_keep_nothing(house: House) -> None:
    nobody = Actor("key_9", "n", "none", permissions=frozenset())
    assert (await house.json("GET", PATH, actor=nobody, query="kind=drawing"))[0] == 403


async def test_ones_own_files_come_back_and_nobody_elses(house: House) -> None:
    picture = await house.files.keep(ANN.key_id, Upload("图 1.png", "image/png", PNG, "user_data", False))
    status, headers, content = await house.ask("GET", f"/console/v1/files/{picture.id}")
    assert (status, content, headers["content-type"]) == (200, PNG, "image/png")
    assert headers["content-disposition"] == "inline; filename*=UTF-8''%E5%9B%BE%201.png"
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert (await house.ask("GET", f"/console/v1/files/{picture.id}", actor=BOB))[0] == 404
    assert (await house.ask("GET", "/console/v1/files/file_none"))[0] == 404


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/pdf"])
async def test_what_could_run_in_a_browser_is_saved_and_not_shown(house: House, kind: str) -> None:
    file = await house.files.keep(ANN.key_id, Upload("a", kind, b"<script>", "user_data", False))
    _, headers, _ = await house.ask("GET", f"/console/v1/files/{file.id}")
    assert headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in headers["content-security-policy"]


async def test_whom_one_can_talk_to_is_told(house: House) -> None:
    status, _, content = await house.ask("GET", "/console/v1/models")
    assert (status, json.loads(content)) == (200, {"default": "claude"})


def test_only_these_paths_are_its_own(house: House) -> None:
    for path in ("/console/v1", f"{PATH}/", f"{PATH}/a/b", "/console/v1/files", "/console/v1/files/a/content"):
        assert house.pages.methods(path) == ()
