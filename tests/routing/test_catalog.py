from __future__ import annotations

import pytest
from fake_upstreams import call, target

from sampan.core import Operation
from sampan.errors import NotFound
from sampan.routing.catalog import CACHED_NAME, ROUTE_CACHE, Catalog, Route

TALK = (Operation.TEXT, Operation.VISION)
A, B, C = target("a"), target("b"), target("c")


def test_an_exact_name_comes_before_patterns_and_patterns_in_their_order() -> None:
    routes = [
        Route("claude-*", TALK, (A,)),
        Route("claude-opus-*", TALK, (B,)),
        Route("claude-opus-4", TALK, (C,)),
    ]
    catalog = Catalog(routes)
    assert catalog.plan(call("claude-opus-4")) == (C,)
    assert catalog.plan(call("claude-opus-5")) == (A,)
    assert Catalog([routes[1], routes[0]]).plan(call("claude-opus-5")) == (B,)


def test_only_star_and_question_mark_are_patterns() -> None:
    catalog = Catalog([Route("qwen[awq]", TALK, (A,)), Route("g?t-[x]*", TALK, (B,))])
    assert catalog.plan(call("qwen[awq]")) == (A,)
    assert catalog.plan(call("gpt-[x]-1")) == (B,)
    for name in ("qwena", "gpt-x1"):
        with pytest.raises(NotFound):
            catalog.plan(call(name))


def test_a_route_serves_its_operations_only() -> None:
    catalog = Catalog([Route("m", (Operation.TEXT,), (A,)), Route("m*", (Operation.VISION,), (B,))])
    assert catalog.plan(call("m", Operation.TEXT)) == (A,)
    assert catalog.plan(call("m", Operation.VISION)) == (B,)
    assert catalog.operations("m") == (Operation.TEXT, Operation.VISION)
    assert catalog.operations("mm") == (Operation.VISION,)
    assert catalog.operations("other") == ()
    with pytest.raises(NotFound, match="no route serves generate here"):
        catalog.plan(call("m", Operation.GENERATE))


def test_an_unknown_model_is_told_what_there_is() -> None:
    catalog = Catalog([Route("claude-*", TALK, (A,)), Route("reader", TALK, (B,))])
    with pytest.raises(NotFound) as missing:
        catalog.plan(call("gpt-4" + "x" * 10_000))
    assert "claude-*, reader" in missing.value.message
    assert len(missing.value.message) < 300
    assert missing.value.param == "model"


def test_the_memory_of_routes_is_bounded_in_number_and_length() -> None:
    catalog = Catalog([Route("*", TALK, (A,))])
    for number in range(ROUTE_CACHE + 10):
        assert catalog.plan(call(f"m{number}")) == (A,)
    assert catalog.plan(call("m" * (CACHED_NAME + 1))) == (A,)
    assert len(catalog._found) <= ROUTE_CACHE
    assert max(len(name) for name, _ in catalog._found) <= CACHED_NAME


def test_a_pattern_lists_the_names_that_its_upstreams_know() -> None:
    catalog = Catalog([Route("claude-*", TALK, (A, B)), Route("reader", (Operation.TEXT,), (B,))], ["claude-well"])
    found = catalog.models({"a": ["claude-1", "other-1"], "c": ["claude-3"]})
    assert found == {"claude-1": TALK, "claude-well": TALK, "reader": (Operation.TEXT,)}
