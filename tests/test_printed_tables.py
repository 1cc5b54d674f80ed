"""Tables of verbs: nothing is cut, whatever they are printed on."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from sampan.config import verbs
from sampan.config.verbs import print_table

COLUMNS = ("when", "id", "who", "model", "outcome", "ms")
ROW = (
    "2026-11-22 15:01:24",
    "req_1a203c589ce2c646c7b00000001",
    "李伟 of radiology",
    "claude-sonnet-5-5",
    "ok",
    "1,234",
)
NOTE = "The terminal is too narrow for: "


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    """The lines of the last table, and what standard error said."""
    print_table(COLUMNS, [ROW, ("", "[bold]", "", "", "", "")], whole=("id",), spare=("ms", "model"), title="Calls")
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def test_a_pipe_has_everything_a_row_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    lines, note = printed(capsys)
    [row] = [line for line in lines if "req_" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == list(ROW)
    assert lines[0].strip() == "Calls" and any("[bold]" in line for line in lines)
    assert not note


@pytest.mark.parametrize(
    ("room", "wide", "left_out"),
    [
        *((200, 121, ""), (100, 100, ""), (83, 83, ""), (82, 82, "ms"), (76, 76, "ms")),
        *((64, 64, "model, ms"), (50, 64, "model, ms")),  # there the terminal folds, and what is copied is whole
    ],
)
def test_a_terminal_folds_and_leaves_out_but_cuts_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, room: int, wide: int, left_out: str
) -> None:
    monkeypatch.setattr(verbs, "terminal_width", lambda: room)
    lines, note = printed(capsys)
    assert any(ROW[1] in line for line in lines)
    assert not any("…" in line for line in lines)
    assert max(map(cell_len, lines)) <= wide
    assert (note == f"{NOTE}{left_out}\n") if left_out else not note
    assert any("1,234" in line for line in lines) == (not left_out)
