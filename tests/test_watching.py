"""What the overview looks at beside the board: the last drill on the disk, and memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sampan.console.rehearsing import CARD, FACTS
from sampan.core import Fault, Operation
from sampan.supervisor import EngineState, Phase
from sampan.watching import Watched, _Around, _house_memory, _last_drill, _memory
from tests.storage.test_records import record


def drilled(folder: Path, *kept: bool) -> None:
    (folder / FACTS).write_text(json.dumps({"started": 1.0, "ended": 9.0, "by": "ann"}))
    scenes = [{"kept": each, "calls": [{"much": "more"}]} for each in kept]
    (folder / CARD).write_text(json.dumps({"scenes": scenes, "other": 1}))


def test_the_last_drill_is_told_in_a_few_figures_and_read_once(tmp_path: Path) -> None:
    drilled(tmp_path, True, True, False)
    told, written = _last_drill(tmp_path, _Around())
    assert told == {"ended": 9.0, "by": "ann", "kept": 2, "total": 3}
    (tmp_path / CARD).write_text("gone")
    assert _last_drill(tmp_path, _Around(drill=told, drilled=written)) == (told, written)


@pytest.mark.parametrize("broken", ["", "{", '{"scenes": [1]}'])
def test_a_drill_that_cannot_be_read_is_none(tmp_path: Path, broken: str) -> None:
    assert _last_drill(tmp_path, _Around()) == (None, 0.0)
    drilled(tmp_path, True)
    (tmp_path / CARD).write_text(broken)
    assert _last_drill(tmp_path, _Around()) == (None, 0.0)


def test_memory_is_told_in_bytes_and_of_nobody_as_none() -> None:
    total, free = _house_memory()
    assert 1_000_000 < _memory(os.getpid()) < total
    assert 0 < free <= total
    assert _memory(2**22 + 1) == 0  # beyond any process id


def test_metrics_tell_the_board_what_they_hear() -> None:
    metrics = Watched(lambda: 1_700_000_000.0)
    metrics.breaker("claude", Operation.TEXT, "closed")
    metrics.breaker("claude", Operation.TEXT, "open")
    metrics.probed("claude", Fault.DNS)
    metrics.moved(EngineState("reader", "", Phase.WARM, 0.0))
    metrics.opened()
    metrics.closed(record(1))
    assert [each.kind.value for each in metrics.board.timeline.moments] == ["gateway", "breaker", "probe", "engine"]
    assert metrics.board.told()["now"] is not None
    assert b'sampan_breaker_state{operation="text",state="open",upstream="claude"} 1.0' in metrics.exposition()
