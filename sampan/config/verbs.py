"""What verbs share: where the configuration is, tables, and options that a function should not write out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from sampan import config

Orders = TypeVar("Orders")
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="SAMPAN_CONFIG", help="Configuration file. Default: ./sampan.toml if it is there."
    ),
]
LEAST = 10
"""Columns of a terminal that folded text needs to be readable."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def find(path: Path | None) -> Path | None:
    """The file that was named, or the one of the current folder; None for the embedded defaults."""
    if path is None and Path("sampan.toml").is_file():
        return Path("sampan.toml")
    return path


def day(seconds: float | None) -> str:
    """A moment as tables show it, in the time zone of this machine; a dash for none."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M") if seconds else "–"


def load(path: Path | None) -> config.Config:
    """The configuration there. Raises `ConfigError`."""
    return config.load(find(path))


def as_options(kind: type[Orders]) -> Callable[[Callable[[Orders], None]], Callable[..., None]]:
    """Makes a function of orders, a dataclass, a verb whose options are their fields."""

    def decorate(act: Callable[[Orders], None]) -> Callable[..., None]:
        hints = get_type_hints(kind, include_extras=True)
        parameters = []
        for each in fields(kind):  # type: ignore[arg-type]
            default = each.default if each.default_factory is MISSING else each.default_factory()
            default = Parameter.empty if default is MISSING else default
            parameters.append(
                Parameter(each.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[each.name])
            )

        def verb(**given: Any) -> None:
            act(kind(**given))

        verb.__doc__ = act.__doc__
        verb.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return verb

    return decorate


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    whole: Sequence[str] = (),
    spare: Sequence[str] = (),
    title: str | None = None,
) -> None:
    """Prints a table on standard output of which nothing is cut; columns in `whole` are not folded either.

    Where a terminal is too narrow, those of `spare` are left out, the first of them first, and standard error says so.
    A file or a pipe has everything, each row as long as it comes.
    """
    found = [tuple(row) for row in rows]
    cells = list(zip(columns, *found, strict=True))
    natural = {name: max(map(_width, each)) for name, each in zip(columns, cells, strict=True)}
    room = terminal_width()
    if room is None:
        shown, needed, boxed = list(columns), sum(natural.values()) + 3 * len(columns) + 1, True
    else:
        least = {name: wide if name in whole else min(wide, LEAST) for name, wide in natural.items()}
        shown, needed, boxed = _fitting(least, spare, room)
    table = Table(
        *(Column(name, no_wrap=name in whole, overflow="fold") for name in shown),
        box=HEAVY_HEAD if boxed else SIMPLE_HEAD,
        show_edge=boxed,
        pad_edge=boxed,
        padding=(0, 1) if boxed else (0, 1, 0, 0),
        title=title,
        title_justify="left",
    )
    for row in found:
        table.add_row(*(Text(cell) for name, cell in zip(columns, row, strict=True) if name in shown))
    Console(width=max(room or 0, needed, _width(title or ""))).print(table)
    left_out = [name for name in columns if name not in shown]
    if left_out:
        print(f"The terminal is too narrow for: {', '.join(left_out)}", file=sys.stderr)


def terminal_width() -> int | None:
    """How wide the terminal is that standard output goes to; None where it is a file or a pipe."""
    return Console().width if sys.stdout.isatty() else None


def _fitting(least: Mapping[str, int], spare: Sequence[str], room: int) -> tuple[list[str], int, bool]:
    """The columns that fit, how wide they are at the least, and whether there is room for lines around them."""
    needed = sum(least.values()) + 3 * len(least) + 1
    if needed <= room:
        return list(least), needed, True
    for gone in range(len(spare) + 1):
        shown = [name for name in least if name not in spare[:gone]]
        needed = sum(least[name] for name in shown) + 2 * (len(shown) - 1)
        if needed <= room:
            break
    return shown, needed, False


def _width(cell: str) -> int:
    return max(map(cell_len, cell.split("\n")))
