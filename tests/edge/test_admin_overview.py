"""The overview's pages: who may, the snapshot, the stream of changes and its end, and targets by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from sampan.console.broadcast import Broadcast, Sight
from sampan.core import Actor, Incoming, Permission
from sampan.edge.admin_overview import EVENTS, ROOT, TARGETS, Overlook, OverviewPages
from sampan.errors import CallError, NotFound, Unauthenticated
from tests.edge.pages import ask

OPERATOR = Actor("key_1", "ann", "operator", permissions=frozenset({Permission.OPERATE}))
MEMBER = Actor("key_2", "bob", "member")


@dataclass
class House:
    """Something to see that changes with every look, and sessions that end."""

    now: float = 0.0
    looks: int = 0
    known: bool = True
    role: Actor = OPERATOR
    turned: list[tuple[str, str, bool, str]] = field(default_factory=list)
    passed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.cast = Broadcast(self.look, clock=lambda: self.now, sleep=self.sleep)
        self.pages = OverviewPages(Overlook(self.cast.snapshot, self.cast.watch, self.isolate, self.identify))

    async def look(self, mark: int) -> Sight:
        self.looks += 1
        return Sight(self.now, {"windows": b"%d" % self.looks}, mark=self.looks)

    async def sleep(self, seconds: float) -> None:
        await self.passed.wait()
        self.passed.clear()
        self.now += seconds

    def isolate(self, upstream: str, operation: str, away: bool, actor: Actor) -> str:
        if upstream != "claude":
            raise NotFound("there is no such target")
        self.turned.append((upstream, operation, away, actor.name))
        return "isolated" if away else "closed"

    def identify(self, incoming: Incoming) -> Actor:
        if not self.known:
            raise Unauthenticated("the session is over")
        return self.role

    async def events(self) -> AsyncGenerator[bytes, None]:
        answer = await self.pages.handle(incoming("GET", EVENTS), OPERATOR)
        headers = dict(answer.headers)
        assert headers["content-type"].startswith("text/event-stream") and headers["cache-control"] == "no-store"
        assert not isinstance(answer.body, bytes)
        return answer.body


def incoming(method: str, path: str, body: bytes = b"") -> Incoming:
    return Incoming(method, path, "", {}, body)


@pytest.fixture
def house() -> House:
    return House()


async def test_it_is_for_those_who_operate(house: House) -> None:
    for method, path in (("GET", ROOT), ("GET", EVENTS), ("POST", f"{TARGETS}/claude/text")):
        status, _, body = await ask(house.pages.handle, incoming(method, path, b'{"state":"isolated"}'), MEMBER)
        assert status == 403 and b"operate" in body
    assert house.looks == 0 and not house.turned


def test_only_its_own_paths_are_its(house: House) -> None:
    methods = house.pages.methods
    assert methods(ROOT) == ("GET", "HEAD") and methods(EVENTS) == ("GET",)
    assert methods(f"{TARGETS}/claude/text") == ("POST",)
    for path in (f"{ROOT}/more", f"{TARGETS}/claude", f"{TARGETS}//text", f"{TARGETS}/a/b/c", "/admin/v1/overviews"):
        assert methods(path) == ()


async def test_the_snapshot_is_everything_and_a_second_old_at_most(house: House) -> None:
    for _ in range(3):
        status, _, body = await ask(house.pages.handle, incoming("GET", ROOT), OPERATOR)
        assert status == 200 and json.loads(body) == {"at": 0.0, "windows": 1, "moments": []}
    house.now += 1.0
    assert json.loads((await ask(house.pages.handle, incoming("GET", ROOT), OPERATOR))[2])["windows"] == 2


async def test_the_stream_begins_with_everything_and_tells_changes(house: House) -> None:
    async with aclosing(await house.events()) as events:
        assert (await anext(events)).startswith(b"event: snapshot\ndata: {")
        house.passed.set()
        assert await anext(events) == b'event: change\ndata: {"at":1.000,"windows":2}\n\n'
    assert not house.cast.busy, "the viewer left, and nobody looks any more"


async def test_a_silence_is_filled_with_a_comment() -> None:
    house = House()

    async def silent() -> AsyncGenerator[bytes, None]:
        yield b"event: snapshot\ndata: {}\n\n"
        yield b""

    pages = OverviewPages(Overlook(house.cast.snapshot, silent, house.isolate, house.identify))
    answer = await pages.handle(incoming("GET", EVENTS), OPERATOR)
    assert not isinstance(answer.body, bytes)
    assert [each async for each in answer.body][1].startswith(b":")


@pytest.mark.parametrize("why", ["session", "permission"])
async def test_the_stream_ends_when_the_viewer_may_not_see_it_any_more(house: House, why: str) -> None:
    async with aclosing(await house.events()) as events:
        await anext(events)
        if why == "session":
            house.known = False
        else:
            house.role = MEMBER
        house.passed.set()
        assert await anext(events, b"end") == b"end"
    assert not house.cast.busy


async def test_a_target_is_isolated_and_let_go(house: House) -> None:
    for state, said in (("isolated", "isolated"), ("auto", "closed")):
        body = json.dumps({"state": state}).encode()
        status, _, told = await ask(house.pages.handle, incoming("POST", f"{TARGETS}/claude/text", body), OPERATOR)
        assert status == 200 and json.loads(told) == {"upstream": "claude", "operation": "text", "state": said}
    assert house.turned == [("claude", "text", True, "ann"), ("claude", "text", False, "ann")]


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        (f"{TARGETS}/nobody/text", b'{"state":"auto"}', 404, b"target"),
        (f"{TARGETS}/claude/text", b'{"state":"broken"}', 400, b"state"),
        (f"{TARGETS}/claude/text", b'{"state":"auto","more":1}', 400, b"more"),
        (f"{TARGETS}/claude/text", b"", 400, b"state"),
        (f"{TARGETS}/claude/text", b"{", 400, b"JSON"),
        (f"{TARGETS}/cl\0ude/text", b'{"state":"auto"}', 404, b"nothing"),
    ],
)
async def test_mistakes_are_named(house: House, path: str, body: bytes, status: int, named: bytes) -> None:
    got, _, told = await ask(house.pages.handle, incoming("POST", path, body), OPERATOR)
    assert got == status and named in told and not house.turned
    assert issubclass(NotFound, CallError)
