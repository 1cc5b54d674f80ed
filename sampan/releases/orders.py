"""What the callers of `sampan models fetch` and `sampan models bundle` ask for: options, each declared once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from sampan.config.verbs import ConfigOption, JsonOption
from sampan.releases.wheels import TORCH

Orders = TypeVar("Orders")
JobsOption = Annotated[int, typer.Option(min=1, max=32, help="Files at once.")]


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, **more)


@dataclass(frozen=True, slots=True)
class FetchOrders:
    """What to fetch, and how."""

    name: Annotated[str, typer.Argument(help="Model, OWNER/NAME.", show_default=False)]
    source: Annotated[str, _option("--from", help="`huggingface`, `modelscope` or a folder.")] = "huggingface"
    revision: Annotated[str, _option(help="Commit, tag or branch. Default: the newest of the default branch.")] = ""
    include: Annotated[list[str], _option(help="Only paths like this, such as `*.json`; may be given again.")] = field(
        default_factory=list
    )
    exclude: Annotated[list[str], _option(help="No paths like this; may be given again.")] = field(default_factory=list)
    jobs: JobsOption = 4
    allow_pickle: Annotated[
        bool, _option("--allow-pickle", help="Also take weights in formats that run code when they are loaded.")
    ] = False
    as_json: JsonOption = False
    config: ConfigOption = None


@dataclass(frozen=True, slots=True)
class BundleOrders:
    """What to put into a bundle, and how to sign it."""

    into: Annotated[Path, _option(help="File to write.")]
    names: Annotated[
        list[str], typer.Argument(help="Models, OWNER/NAME or OWNER/NAME@REVISION.", show_default=False)
    ] = field(default_factory=list)
    wheels: Annotated[
        bool, _option("--wheels", help="Sampan itself too, with all it needs, for machines like this one.")
    ] = False
    qwen: Annotated[bool, _option("--qwen", help="With --wheels: what the Qwen engines need, torch too.")] = False
    torch: Annotated[str, _option(help="With --qwen: the torch to take.")] = TORCH
    source: Annotated[Path | None, _option(help="With --wheels: Sampan's source folder, if this is none.")] = None
    key: Annotated[
        Path | None, _option(help="Ed25519 key in PEM to sign with. Default: bundle-key.pem in the data folder.")
    ] = None
    config: ConfigOption = None
