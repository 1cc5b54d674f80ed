"""The table that stands other gateways beside ours: what a scene of the drill's JSON becomes."""

from __future__ import annotations

from itertools import count
from typing import Any

from bench.drill import table
from bench.drill.__main__ import cut, fill


def call(phase: str, ending: str = "whole", source: str = "other", touched: int = 1) -> dict[str, Any]:
    return {"phase": phase, "ending": ending, "answered_by": source, "touched": touched}


def scene(*calls: dict[str, Any], fault: str = "500", when: str = "head", stream: bool = False) -> dict[str, Any]:
    return {
        "dialect": "anthropic",
        "fault": fault,
        "when": when,
        "stream": stream,
        "touched": [each["touched"] for each in calls if each["phase"] in ("sick", "after")],
        "detect_s": 0.25,
        "recovery_s": 3.01,
        "promises": {"answered": True, "breaker": False},
        "calls": list(calls),
    }


SICK = (call("sick"), call("sick"), call("sick"), call("after", touched=0))


def test_a_scene_that_the_fallback_answered_says_so_with_its_figures() -> None:
    found = table.cell(scene(call("well", source="cloud"), *SICK, call("back", source="cloud")))
    assert str(found) == "answered; 1 1 1 0; 0.2 s; back 3.0 s"


def test_a_scene_is_as_bad_as_its_worst_call_and_calls_while_well_do_not_count() -> None:
    assert table.cell(scene(call("sick"), call("sick", "error", "nobody"), call("after"))).outcome == "error"
    assert table.cell(scene(call("sick", "error", "nobody"), call("after", "hung", "nobody"))).outcome == "hung"
    assert table.cell(scene(call("well", "broken", "nobody"), *SICK)).outcome == "answered"


def test_a_clean_end_of_half_an_answer_is_no_answer() -> None:
    half = scene(call("sick", "whole", "cloud"), call("after", touched=0), when="content", stream=True)
    assert table.cell(half).outcome == "half"
    assert table.cell(scene(call("sick", "half", "cloud"), call("after"))).outcome == "half"
    assert table.cell(scene(call("sick", "whole", "cloud"), call("after"))).outcome == "answered"
    assert table.cell(scene(call("sick", "whole", "nobody"), call("after"))).outcome == "empty"


def test_an_answer_that_went_on_elsewhere_is_told_as_continued() -> None:
    went_on = scene(call("sick", source="both"), call("after", touched=0), when="content", stream=True)
    assert str(table.cell(went_on)).startswith("continued; 1 0;")


def test_the_summary_counts_scenes_and_promises_for_each_gateway() -> None:
    good = table.cells([scene(*SICK), scene(*SICK, fault="503")])
    bad = fill([scene(call("sick", "error", "nobody")), {"dialect": "anthropic", "fault": "503", "unended": True}], {})
    rows = {row[0]: row[1:] for row in table.summary({"ours": good, "theirs": bad})}
    assert rows["scenes"] == ["2", "2"]
    assert rows["answered in full"] == ["2", "0"]
    assert (rows["honest error"], rows["hung"]) == (["0", "1"], ["0", "1"])
    assert rows["promise `answered` kept"] == ["2 of 2", "1 of 1"]
    assert rows["calls to the sick upstream, of four in a row (mean)"] == ["3.0", "1.0"]
    assert rows["recovery (median, worst)"] == ["3.0 s, 3.0 s", "3.0 s, 3.0 s"]


def test_the_details_have_a_row_for_each_form_and_a_dot_where_nothing_was_rehearsed() -> None:
    grid = {"ours": table.cells([scene(*SICK), scene(*SICK, stream=True)]), "theirs": table.cells([scene(*SICK)])}
    rows = table.details(grid, ["429", "500"], "anthropic")
    assert [row[:2] for row in rows] == [["fault", "form"], ["500", "whole"], ["500", "stream"]]
    assert rows[2][3] == "·"
    assert table.markdown(rows).splitlines()[1] == "|---|---|---|---|"
    assert "<td>500</td>" in table.page("t", [("x", rows)])


def test_a_page_escapes_what_gateways_say() -> None:
    assert "&lt;b&gt;" in table.page("t", [("x", [["<b>"]])])


def test_every_fault_is_in_one_slice_of_each_dialect_and_those_that_hang_begin_first() -> None:
    slices = cut(["500", "content-drip", "503", "silence"], ["anthropic"], count(1))
    assert sorted(name for each in slices for name in each.faults) == ["500", "503", "content-drip", "silence"]
    assert slices[0].faults == ("content-drip",)
    ports = [port for each in slices for port in (each.standin, each.front)]
    assert len(set(ports)) == len(ports)
