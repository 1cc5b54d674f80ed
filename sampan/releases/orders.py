"""What the callers of `sampan models fetch` and `sampan models bundle` ask for: options, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from sampan.releases.wheels import TORCH

Orders = TypeVar("Orders")
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="SAMPAN_CONFIG", help="Configuration file. Default: ./sampan.toml if it is there."
    ),
]
JobsOption = Annotated[int, typer.Option(min=1, max=32, help="Files at once.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


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


def as_options(kind: type[Orders]) -> Callable[[Callable[[Orders], None]], Callable[..., None]]:
    """Makes a function of orders a verb whose parameters are their fields: more than a function should write out."""

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
