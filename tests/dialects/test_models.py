from __future__ import annotations

import json

import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from sampan.core import Operation
from sampan.dialects import models
from sampan.errors import InvalidRequest, NotFound

ALL = {f"m{number:02}": (Operation.TEXT,) for number in range(25)}


def page(**query: str) -> tuple[list[str], bool]:
    said = json.loads(models.listing(ALL, query, anthropic=True))
    names = [ModelInfo.model_validate(each, strict=False).id for each in said["data"]]
    assert (said["first_id"], said["last_id"]) == ((names[0], names[-1]) if names else (None, None))
    return names, said["has_more"]


def test_pages_go_forwards_and_backwards_over_everything() -> None:
    first, more = page()
    assert (first, more) == (list(ALL)[:20], True)
    assert page(after_id=first[-1]) == (list(ALL)[20:], False)
    assert page(after_id="m24") == ([], False)
    assert page(before_id="m20", limit="20") == (list(ALL)[:20], False)
    assert page(before_id="m20", limit="3") == (["m17", "m18", "m19"], True)
    assert page(limit="1000") == (list(ALL), False)
    walked: list[str] = []
    more = True
    while more:
        names, more = page(limit="7", **({"after_id": walked[-1]} if walked else {}))
        walked += names
    assert walked == list(ALL)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": ""}, "limit"),
        ({"after_id": "other"}, "after_id"),
        ({"before_id": "other"}, "before_id"),
    ],
)
def test_a_bad_query_is_named(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        models.listing(ALL, query, anthropic=True)
    assert raised.value.param == param


def test_the_other_dialect_lists_everything_at_once() -> None:
    said = json.loads(models.listing(ALL, {"limit": "x"}, anthropic=False))
    assert said["object"] == "list"
    assert [Model.model_validate(each).id for each in said["data"]] == list(ALL)


@pytest.mark.parametrize("anthropic", [True, False])
def test_one_model(anthropic: bool) -> None:
    said = json.loads(models.one("m", (Operation.TEXT,), anthropic=anthropic))
    assert (ModelInfo if anthropic else Model).model_validate(said).id == "m"
    with pytest.raises(NotFound):
        models.one("m", (), anthropic=anthropic)
