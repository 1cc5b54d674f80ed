"""What the Responses wire remembers."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from sampan.core import Actor, Call, Dialect, Operation
from sampan.errors import ConfigError
from sampan.memory import Memory
from sampan.storage.responses import Kept

ASKED = b'{"model": "m", "input": "hello"}'
ECHO = {"id": "resp_1", "created_at": 7}
ACTOR = Actor("key_1", "ann", "member")


class Shelf:
    """Responses on a database that can be locked."""

    def __init__(self) -> None:
        self.locked = False
        self.kept: list[Kept] = []

    def save(self, owner: str, kept: Kept) -> None:
        if self.locked:
            raise ConfigError("database is locked")
        self.kept.append(kept)

    def chain(self, owner: str, identifier: str) -> tuple[bytes, ...]:
        raise AssertionError

    def items(self, owner: str, identifiers: Sequence[str]) -> dict[str, bytes]:
        raise AssertionError


async def test_an_answer_that_cannot_be_kept_is_an_answer_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    memory = Memory(shelf, lambda: 7.0)  # type: ignore[arg-type]
    call = Call(Dialect.OPENAI_RESPONSES, Operation.TEXT, "m", "/v1/responses", ASKED, "application/json", echo=ECHO)
    await memory.keep(ASKED, call, ACTOR, b"{}")
    assert [kept.id for kept in shelf.kept] == ["resp_1"]
    shelf.locked = True
    with caplog.at_level(logging.ERROR, "sampan.memory"):
        await memory.keep(ASKED, call, ACTOR, b"{}")
    assert "locked" in caplog.text and len(shelf.kept) == 1
