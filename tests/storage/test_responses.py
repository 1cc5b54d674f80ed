from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.db import Database
from sampan.storage.responses import CHAIN_LIMIT, RETENTION, Kept, Responses
from sampan.storage.tables import RESPONSE_ITEMS

NOW = 1_700_000_000.0


@pytest.fixture
def responses(database: Database) -> Responses:
    return Responses(database, lambda: NOW)


def item(name: str) -> bytes:
    return json.dumps({"type": "message", "id": name, "said": "字"}).encode()


def kept(name: str, previous: str | None = None, *, inputs: int = 1, created: float = NOW) -> Kept:
    output = [json.loads(item(f"{name}_out{number}")) for number in range(2)]
    response = json.dumps({"id": name, "object": "response", "output": output}).encode()
    return Kept(name, response, tuple(item(f"{name}_in{n}") for n in range(inputs)), created, previous)


def ids(items: tuple[bytes, ...]) -> list[str]:
    return [json.loads(each)["id"] for each in items]


def test_a_response_is_found_by_its_owner_as_it_was(responses: Responses) -> None:
    responses.save("ann", kept("r1"))
    assert responses.find("ann", "r1") == kept("r1").response
    for owner, name in (("bob", "r1"), ("ann", "r2")):
        with pytest.raises(NotFound, match=name):
            responses.find(owner, name)


def test_a_chain_is_all_items_in_order(responses: Responses) -> None:
    responses.save("ann", kept("r1", inputs=2))
    responses.save("ann", kept("r2", "r1", inputs=0))
    responses.save("ann", kept("r3", "r2"))
    responses.save("ann", kept("fork", "r1"))
    first = ["r1_in0", "r1_in1", "r1_out0", "r1_out1"]
    assert ids(responses.chain("ann", "r1")) == first
    assert ids(responses.chain("ann", "r3")) == [*first, "r2_out0", "r2_out1", "r3_in0", "r3_out0", "r3_out1"]
    assert ids(responses.chain("ann", "fork")) == [*first, "fork_in0", "fork_out0", "fork_out1"]


def test_a_chain_that_is_not_the_callers_or_not_whole_is_refused(responses: Responses) -> None:
    responses.save("ann", kept("r1"))
    responses.save("ann", kept("r2", "r1"))
    responses.save("bob", kept("stolen", "r1"))
    for owner, name, words in (
        ("bob", "r2", "'r2' not found"),
        ("ann", "r9", "'r9' not found"),
        ("bob", "stolen", "was deleted"),
    ):
        with pytest.raises(InvalidRequest, match=words) as caught:
            responses.chain(owner, name)
        assert caught.value.param == "previous_response_id"
    responses.delete("ann", "r1")
    with pytest.raises(InvalidRequest, match="was deleted"):
        responses.chain("ann", "r2")


def test_a_chain_has_a_longest_length_and_no_circle(responses: Responses) -> None:
    for number in range(CHAIN_LIMIT + 1):
        responses.save("ann", kept(f"r{number}", f"r{number - 1}" if number else None, inputs=0))
    assert len(responses.chain("ann", f"r{CHAIN_LIMIT - 1}")) == 2 * CHAIN_LIMIT
    with pytest.raises(InvalidRequest, match="begin a new chain"):
        responses.chain("ann", f"r{CHAIN_LIMIT}")
    responses.save("ann", kept("self", "self"))
    with pytest.raises(InvalidRequest, match="begin a new chain"):
        responses.chain("ann", "self")


def test_items_by_their_ids(responses: Responses) -> None:
    responses.save("ann", kept("r1"))
    responses.save("bob", kept("r2"))
    again = Kept("r3", b'{"output":[]}', (b'{"id":"r1_in0","new":true}',), NOW + 1)
    responses.save("ann", again)
    found = responses.items("ann", ["r1_in0", "r1_out1", "r2_in0", "none", "r1_in0"])
    assert set(found) == {"r1_in0", "r1_out1"}
    assert json.loads(found["r1_in0"])["new"]
    assert responses.items("ann", ["none"] * 3 + [f"x{n}" for n in range(2000)]) == {}
    assert responses.items("ann", []) == {}


def test_pages_of_input_items(responses: Responses) -> None:
    responses.save("ann", kept("r1", inputs=5))
    page, more = responses.input_items("ann", "r1", limit=2)
    assert ([name for name, _ in page], more) == (["r1_in4", "r1_in3"], True)
    assert page[0][1] == item("r1_in4")
    page, more = responses.input_items("ann", "r1", "r1_in3", 3)
    assert ([name for name, _ in page], more) == (["r1_in2", "r1_in1", "r1_in0"], False)
    page, more = responses.input_items("ann", "r1", "r1_in1", 2, descending=False)
    assert ([name for name, _ in page], more) == (["r1_in2", "r1_in3"], True)
    with pytest.raises(NotFound):
        responses.input_items("bob", "r1")
    with pytest.raises(InvalidRequest) as caught:
        responses.input_items("ann", "r1", "r1_out0")
    assert caught.value.param == "after"


def test_what_is_deleted_is_gone(responses: Responses, database: Database) -> None:
    responses.save("ann", kept("r1"))
    with pytest.raises(NotFound):
        responses.delete("bob", "r1")
    responses.delete("ann", "r1")
    with pytest.raises(NotFound):
        responses.find("ann", "r1")
    with pytest.raises(NotFound):
        responses.delete("ann", "r1")
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(RESPONSE_ITEMS)).scalar_one() == 0


def test_a_sweep_keeps_what_is_young_and_what_the_young_continue(responses: Responses) -> None:
    old = NOW - RETENTION - 1
    responses.save("ann", kept("root", created=old - 1))
    responses.save("ann", kept("middle", "root", created=old))
    responses.save("ann", kept("young", "middle"))
    responses.save("ann", kept("dead", "root", created=old))
    responses.save("ann", kept("edge", created=NOW - RETENTION))
    assert responses.sweep() == 1
    assert len(responses.chain("ann", "young")) == 9
    assert responses.find("ann", "edge")
    with pytest.raises(NotFound):
        responses.find("ann", "dead")
    assert responses.items("ann", ["dead_in0"]) == {}
    assert responses.sweep(-1.0) == 4
    assert responses.sweep() == 0


@pytest.mark.parametrize(
    "bad", [Kept("r", b"{}", (), NOW), Kept("r", b"nonsense", (), NOW), Kept("r", b'{"output":[]}', (b"{}",), NOW)]
)
def test_what_cannot_be_read_again_is_not_kept(responses: Responses, bad: Kept) -> None:
    with pytest.raises(ValueError, match="not a response that can be kept"):
        responses.save("ann", bad)
    with pytest.raises(NotFound):
        responses.find("ann", "r")


def test_an_id_is_kept_once(responses: Responses) -> None:
    responses.save("ann", kept("r1"))
    with pytest.raises(ConfigError):
        responses.save("bob", kept("r1"))
    assert responses.find("ann", "r1")
