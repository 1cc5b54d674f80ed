"""How a drill tells how far it is: lines for programs, a bar for people."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from scenery import DRAW, RULES, kept, scene

from sampan.drill.orders import Watching
from sampan.drill.progress import watching
from sampan.drill.promises import Promise
from sampan.drill.scorecard import judge, well_so_far

SCENES = (scene("500"), scene("content-cut", DRAW, number=2, route="gpt-image-1"))


def test_programs_are_told_all_scenes_and_then_each(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(Watching.JSON, Console(file=io.StringIO()), "title", SCENES) as watch:
        watch.begin(SCENES[1])
        watch.end(SCENES[1], False)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["event"] == "plan"
    second = {"number": 2, "fault": "content-cut", "route": "gpt-image-1", "operation": "generate", "stream": True}
    assert lines[0]["scenes"][1] == second
    assert lines[1:] == [{"event": "begin", "scene": 2}, {"event": "end", "scene": 2, "kept": False}]


def test_people_see_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    shown = io.StringIO()
    with watching(Watching.BAR, Console(file=shown, force_terminal=True, width=80), "Drill", SCENES) as watch:
        watch.begin(SCENES[0])
        watch.end(SCENES[0], True)
    assert "Drill" in shown.getvalue() and "1/2" in shown.getvalue()
    assert capsys.readouterr().out == ""


def test_what_records_will_say_is_not_known_yet() -> None:
    unread = replace(kept(), records={})
    assert Promise.RECORD in judge(unread, RULES).broken and well_so_far(unread, RULES)
    assert not well_so_far(replace(unread, recovery=None), RULES)
