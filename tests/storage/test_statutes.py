from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.db import Database
from sampan.storage.statutes import MAX_BODY, Statute, Statutes
from sampan.storage.tables import STATUTES


@pytest.fixture
def statutes(database: Database) -> Statutes:
    return Statutes(database, lambda: 100.0)


def test_a_document_is_found_as_it_was_put(statutes: Statutes) -> None:
    put = statutes.put("rule", "夜间", {"effect": "deny", "hours": ["22:00-06:00"], "most": 3, "x": None})
    assert put == Statute("rule", "夜间", {"effect": "deny", "hours": ["22:00-06:00"], "most": 3, "x": None}, 100.0)
    assert statutes.find("rule", "夜间") == put
    assert statutes.list("rule") == (put,)
    assert statutes.list("limit") == ()


def test_a_second_one_of_the_same_name_takes_the_place_of_the_first(statutes: Statutes) -> None:
    statutes.put("role", "nurse", {"a": 1, "b": 2})
    statutes.put("role", "nurse", {"a": 3})
    assert [statute.body for statute in statutes.list("role")] == [{"a": 3}]


def test_lists_are_in_the_order_of_names(statutes: Statutes) -> None:
    for name in ("乙", "b", "甲", "B", "a"):
        statutes.put("limit", name, {})
    assert [statute.id for statute in statutes.list("limit")] == sorted(("乙", "b", "甲", "B", "a"))


def test_what_is_removed_is_gone_and_returned(statutes: Statutes) -> None:
    put = statutes.put("limit", "month", {"calls": 10})
    assert statutes.remove("limit", "month") == put
    for act in (statutes.find, statutes.remove):
        with pytest.raises(NotFound, match="There is no stored limit 'month'"):
            act("limit", "month")


def test_the_version_of_a_kind_changes_with_its_documents_only(statutes: Statutes) -> None:
    assert statutes.version("rule") == ""
    seen = {""}
    for act in (
        lambda: statutes.put("rule", "a", {}),
        lambda: statutes.put("rule", "a", {"b": 1}),
        lambda: statutes.remove("rule", "a"),
    ):
        act()
        assert statutes.version("rule") not in seen
        seen.add(statutes.version("rule"))
    before = statutes.version("rule")
    statutes.put("role", "a", {})
    with pytest.raises(NotFound):
        statutes.remove("rule", "a")
    assert statutes.version("rule") == before == statutes.snapshot("rule")[0]


@pytest.mark.parametrize(
    ("kind", "id", "body", "param"),
    [
        ("law", "a", {}, "kind"),
        ("rule", "", {}, "id"),
        ("rule", " a", {}, "id"),
        ("rule", "a/b", {}, "id"),
        ("rule", "a\nb", {}, "id"),
        ("rule", "n" * 101, {}, "id"),
        ("rule", "a", {"text": "x" * MAX_BODY}, "body"),
    ],
)
def test_bad_names_and_bodies_are_refused(
    statutes: Statutes, kind: str, id: str, body: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        statutes.put(kind, id, body)
    assert refused.value.param == param


def test_those_who_write_at_once_do_not_disturb_each_other(statutes: Statutes) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: statutes.put("limit", f"l{number % 4}", {"n": number}), range(32)))
    assert [statute.id for statute in statutes.list("limit")] == ["l0", "l1", "l2", "l3"]


def test_a_document_that_somebody_spoiled_is_named(database: Database, statutes: Statutes) -> None:
    with database.write() as connection:
        connection.execute(insert(STATUTES).values(kind="rule", id="a", body="[1]", updated=1.0))
    with pytest.raises(ConfigError, match="The stored rule 'a' is no JSON object"):
        statutes.list("rule")
