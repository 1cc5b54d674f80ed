"""The page, the JSON and the table of a drill: what they say, and that they say it in the language asked for."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console
from scenery import DRAW, RULES, broken_off, kept, scene

from sampan.drill import page, table
from sampan.drill.phrases import PHRASES, PROMISES, phrases
from sampan.drill.promises import Promise
from sampan.drill.report import Report, encode
from sampan.drill.scorecard import judge
from sampan.drill.troubles import When
from sampan.errors import ConfigError

SETTINGS = {**RULES.clocks, "delay": 3.0, "recovery": 8.0, "failures": 3.0}


def report(*observed) -> Report:
    cards = [judge(each, RULES) for each in observed]
    return Report("1.0", "my <config>.toml", "2026-01-01 12:00", 12.3, cards, SETTINGS)


GREEN = report(kept(), broken_off())
RED = report(kept(), replace(kept(), recovery=None, scene=scene("500", DRAW)))


def test_the_page_needs_nothing_else_and_shows_each_scene() -> None:
    drawn = page.draw(GREEN, phrases("en"), "en")
    assert not re.search(r"https?://|<script|<link|@import|url\(", drawn), "it must be self-contained"
    assert "prefers-color-scheme: dark" in drawn and 'lang="en"' in drawn
    assert drawn.count('class="cell kept"') == 2 and 'class="cell broken"' not in drawn
    assert "Every promise was kept" in drawn and "my &lt;config&gt;.toml" in drawn


def test_a_broken_promise_is_told_by_name_and_reason() -> None:
    drawn = page.draw(RED, phrases("en"), "en")
    assert 'class="cell broken"' in drawn and "Promises were broken in 1 of 2 scenes" in drawn
    assert "recovery: the cloud did not answer again within 8.0 s" in drawn


def test_the_page_speaks_chinese() -> None:
    drawn = page.draw(RED, phrases("zh"), "zh")
    assert 'lang="zh-CN"' in drawn and "2 个场景中有 1 个未兑现承诺" in drawn and "熔断" in drawn


def test_both_languages_say_the_same_things() -> None:
    assert set(PHRASES["en"]) == set(PHRASES["zh"])
    assert {moment.value for moment in When} <= set(PHRASES["en"])
    assert all(set(each) == set(Promise) for each in PROMISES.values())
    with pytest.raises(ConfigError, match="klingon"):
        phrases("klingon")


def test_the_json_tells_every_call() -> None:
    told = json.loads(encode(RED))
    assert told["kept"] is False and told["settings"]["delay"] == 3.0
    good, bad = told["scenes"]
    assert good["kept"] and good["touched"] == [1, 1, 1, 0] and good["answered_by"] == "reader"
    assert [call["phase"] for call in good["calls"]] == ["well", "sick", "sick", "sick", "after", "back"]
    assert bad["promises"]["recovery"] is False and "did not answer" in bad["broken"]["recovery"]
    assert json.loads(encode(GREEN))["scenes"][1]["answered_by"] == "error event"


@pytest.mark.parametrize(("width", "told"), [(80, False), (160, True)])
def test_the_table_fits_its_terminal(width: int, told: bool) -> None:
    out = io.StringIO()
    table.show(Console(file=out, width=width), RED, phrases("en"), "en")
    said = out.getvalue()
    assert "✓" in said and "✗" in said and "did not answer again" in said
    assert ("1 1 1 0" in said) is told
    assert max(map(len, said.splitlines())) <= width
