"""What the caller of `sampan drill` asked for: the verb's options, and how they reach the process that does it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

VARIABLE = "SAMPAN_DRILL_ORDERS"
"""The environment variable that carries the orders: unlike arguments, other users cannot read it."""


class Handover(StrEnum):
    """What a text stream that breaks after its first content must do."""

    EITHER = "either"
    CONTINUE = "continue"
    ERROR = "error"


class Watching(StrEnum):
    """How whoever waits is told how far it is."""

    BAR = "bar"
    JSON = "json"


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, **more)


@dataclass(frozen=True, slots=True)
class Orders:
    """Every option of the verb, declared once: name, type, default and help."""

    config: Annotated[
        str,
        _option("--config", "-c", envvar="SAMPAN_CONFIG", help="Configuration file. Default: ./sampan.toml if there."),
    ] = ""
    only: Annotated[list[str], _option(help="A fault to rehearse; may be given again.")] = field(default_factory=list)
    operation: Annotated[list[str], _option(help="An operation to rehearse; may be given again.")] = field(
        default_factory=list
    )
    model: Annotated[list[str], _option(help="ROUTE=NAME, or DIALECT=NAME at --url: the model to ask for.")] = field(
        default_factory=list
    )
    out: Annotated[str, _option(help="Folder for drill.html and drill.json.")] = ""
    lang: Annotated[str, _option(help="en or zh")] = "en"
    handover: Annotated[Handover, _option(help="What a text stream that breaks in its content must do.")] = (
        Handover.EITHER
    )
    delay: Annotated[float, _option(min=0, help="Seconds an open breaker waits. 0: 3 at most, at --url 30.")] = 0.0
    together: Annotated[int, _option(min=1, help="Scenes to play at once.")] = 24
    url: Annotated[str, _option(help="Rehearse the gateway at this URL instead of your configuration.")] = ""
    key: Annotated[str, _option(envvar="SAMPAN_DRILL_KEY", help="Key for --url.")] = ""
    listen: Annotated[str, _option(help="Where the stand-in listens for the gateway at --url.")] = "127.0.0.1:9900"
    real: Annotated[bool, _option("--real", help="Ask the real clouds while they are to be well: it costs.")] = False
    progress: Annotated[
        Watching, _option(help="`bar`, or `json`: a line for each step on standard output, all else on standard error.")
    ] = Watching.BAR
    listing: Annotated[bool, _option("--list", help="Names all faults and starts nothing.")] = False


def send(orders: Orders) -> NoReturn:
    """Becomes the process of the drill: nobody else pays for loading the official SDKs."""
    if not orders.config and Path("sampan.toml").is_file():
        orders = msgspec.convert(msgspec.to_builtins(orders) | {"config": "sampan.toml"}, Orders)
    command = [sys.executable, "-m", "sampan.drill"]
    os.execve(sys.executable, command, {**os.environ, VARIABLE: msgspec.json.encode(orders).decode()})


def received(environ: Mapping[str, str]) -> Orders:
    """What was sent."""
    return msgspec.json.decode(environ.get(VARIABLE, "{}"), type=Orders)
