from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from sampan.errors import CallError, InvalidRequest, NotFound
from sampan.storage import papers as module
from sampan.storage.db import Database
from sampan.storage.papers import MAX_BODY, MAX_TITLE, MOST, Draft, Heading, Papers


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def papers(database: Database, clock: Clock) -> Papers:
    return Papers(database, clock)


def draft(title: str = "合同", **body: Any) -> Draft:
    return Draft(title, body)


def test_a_paper_is_found_as_it_was_kept(papers: Papers) -> None:
    body = {"messages": [{"role": "user", "text": "签订日期?\0\n"}], "n": 1.5, "none": None}
    kept = papers.add("user:ann", "conversation", Draft("合同", body))
    found, text = papers.find("user:ann", kept.id)
    assert found == kept == Heading(kept.id, "conversation", "合同", 1_700_000_000.25, 1_700_000_000.25)
    assert msgspec.json.decode(text) == body


def test_nobody_sees_or_changes_anothers(papers: Papers) -> None:
    kept = papers.add("user:ann", "drawing", draft())
    acts: tuple[Callable[[], object], ...] = (
        lambda: papers.find("user:bob", kept.id),
        lambda: papers.change("user:bob", kept.id, draft(), kept.updated),
        lambda: papers.remove("user:bob", kept.id),
    )
    for act in acts:
        with pytest.raises(NotFound):
            act()
    assert papers.list("user:bob", "drawing", 10) == ((), False)
    with pytest.raises(InvalidRequest, match="after"):
        papers.list("user:bob", "drawing", 10, kept.id)
    assert papers.find("user:ann", kept.id)[0] == kept


def test_those_written_last_come_first_page_by_page(papers: Papers, clock: Clock) -> None:
    kept = []
    for number in range(5):
        clock.now += number % 2  # some at the same moment
        kept.append(papers.add("key:a", "conversation", draft(str(number))))
    papers.add("key:a", "drawing", draft("another kind"))
    clock.now += 1
    kept[0] = papers.change("key:a", kept[0].id, draft("first again"), kept[0].updated)
    expected = sorted(kept, key=lambda each: (each.updated, each.id), reverse=True)
    assert expected[0].title == "first again"
    assert papers.list("key:a", "conversation", 10) == (tuple(expected), False)
    first, more = papers.list("key:a", "conversation", 3)
    rest, no_more = papers.list("key:a", "conversation", 3, first[-1].id)
    assert (first + rest, more, no_more) == (tuple(expected), True, False)


def test_nobody_writes_over_what_they_have_not_seen(papers: Papers) -> None:
    """Also within one tick of the clock, which stands still here."""
    kept = papers.add("key:a", "conversation", draft(n=0))

    def write(number: int) -> bool:
        try:
            papers.change("key:a", kept.id, draft(n=number), kept.updated)
        except InvalidRequest as error:
            assert error.param == "updated"
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(write, range(1, 9)))
    assert outcomes.count(True) == 1
    found, text = papers.find("key:a", kept.id)
    assert found.updated > kept.updated and found.created == kept.created
    assert msgspec.json.decode(text) == {"n": outcomes.index(True) + 1}


def test_what_is_removed_is_gone(papers: Papers) -> None:
    kept = papers.add("key:a", "conversation", draft())
    papers.remove("key:a", kept.id)
    for act in (papers.find, papers.remove):
        with pytest.raises(NotFound):
            act("key:a", kept.id)


@pytest.mark.parametrize(
    ("kind", "made", "param"),
    [
        ("poem", draft(), "kind"),
        ("drawing", draft(""), "title"),
        ("drawing", draft(" "), "title"),
        ("drawing", draft("a\nb"), "title"),
        ("drawing", draft("a\0b"), "title"),
        ("drawing", draft("题" * (MAX_TITLE + 1)), "title"),
        ("drawing", draft(text="x" * MAX_BODY), "body"),
    ],
)
def test_bad_papers_are_refused_by_name(papers: Papers, kind: str, made: Draft, param: str) -> None:
    with pytest.raises(CallError) as refused:
        papers.add("key:a", kind, made)
    assert refused.value.param == param
    longest = papers.add("key:a", "drawing", draft("题" * MAX_TITLE, text="x" * (MAX_BODY - 11)))
    with pytest.raises(InvalidRequest, match="body"):
        papers.change("key:a", longest.id, draft(text="x" * MAX_BODY), longest.updated)


def test_so_many_and_no_more_are_kept(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 500
    monkeypatch.setattr(module, "MOST", 2)
    first = papers.add("key:a", "conversation", draft())
    papers.add("key:a", "conversation", draft())
    with pytest.raises(InvalidRequest, match="at most 2 of a kind"):
        papers.add("key:a", "conversation", draft())
    papers.add("key:a", "drawing", draft())
    papers.add("key:b", "conversation", draft())
    papers.remove("key:a", first.id)
    papers.add("key:a", "conversation", draft())
