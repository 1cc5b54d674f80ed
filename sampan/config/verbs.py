"""What verbs share: where the configuration is, and verbs with more options than a function should write out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from sampan import config

Orders = TypeVar("Orders")
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="SAMPAN_CONFIG", help="Configuration file. Default: ./sampan.toml if it is there."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def find(path: Path | None) -> Path | None:
    """The file that was named, or the one of the current folder; None for the embedded defaults."""
    if path is None and Path("sampan.toml").is_file():
        return Path("sampan.toml")
    return path


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
