"""A TOML table becomes frozen values, each error with its line."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from sampan.errors import ConfigError

T = TypeVar("T")


class Source:
    """The file's text, to name the line of a value in an error."""

    def __init__(self, text: str, name: str) -> None:
        self._lines = text.splitlines()
        self._name = name

    def error(self, path: tuple[str, ...], message: str) -> ConfigError:
        line = self._line(path)
        where = f"{self._name}, line {line}" if line else self._name
        return ConfigError(f"{where}: {'.'.join(path)}: {message}")

    def _line(self, path: tuple[str, ...]) -> int:
        """The line where the longest known part of `path` stands; 0 where nothing of it is in the file."""
        table: tuple[str, ...] = ()
        seen: dict[str, int] = {}
        best, best_length = 0, 0
        for number, line in enumerate(self._lines, 1):
            header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line)
            if header:
                table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
                if header[1] == "[[":
                    seen[table[0]] = seen.get(table[0], -1) + 1
                    table = (*table, str(seen[table[0]]))
                here = table
            else:
                key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
                if not key:
                    continue
                here = (*table, *(part.strip("\"'") for part in key[1].split(".")))
            if here == path[: len(here)] and len(here) > best_length:
                best, best_length = number, len(here)
        return best


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) is UnionType and type(None) in get_args(kind)


class TableReader:
    """Turns a TOML table into the dataclasses above, one error at a time, each with its line."""

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self._source = source
        self._environ = environ

    def table(self, cls: type[T], raw: Any, path: tuple[str, ...]) -> T:
        if not isinstance(raw, dict):
            raise self._source.error(path, f"must be a table, not {type(raw).__name__}")
        fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        hints = get_type_hints(cls)
        for key in raw:
            if key not in fields:
                known = ", ".join(sorted(fields))
                raise self._source.error((*path, key), f"is no setting. Known here: {known}")
        values = {}
        for name, field in fields.items():
            if name in raw:
                values[name] = self.value(hints[name], raw[name], (*path, name), field.metadata.get("minimum"))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise self._source.error(path, f"needs `{name}`: {field.metadata['help']}")
        return cls(**values)

    def value(self, kind: Any, raw: Any, path: tuple[str, ...], minimum: float | None) -> Any:
        if isinstance(raw, str) and raw.startswith("env:"):
            raw = self._variable(raw[4:], kind, path)
        if _is_optional(kind):
            kind = next(part for part in get_args(kind) if part is not type(None))
        origin = get_origin(kind)
        if origin is list:
            if not isinstance(raw, list):
                raise self._source.error(path, "must be a list")
            item = get_args(kind)[0]
            return [self.value(item, each, (*path, str(index)), None) for index, each in enumerate(raw)]
        if origin is not None and issubclass(origin, Mapping):
            if not isinstance(raw, dict):
                raise self._source.error(path, "must be a table")
            item = get_args(kind)[1]
            return {key: self.value(item, each, (*path, key), None) for key, each in raw.items()}
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self.table(kind, raw, path)
        return self._scalar(kind, raw, path, minimum)

    def _scalar(self, kind: Any, raw: Any, path: tuple[str, ...], minimum: float | None) -> Any:
        if issubclass(kind, Enum):
            try:
                return kind(raw)
            except ValueError:
                known = ", ".join(f"`{member.value}`" for member in kind)
                raise self._source.error(path, f"{raw!r} is not one of {known}") from None
        if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
            try:
                raw = float(raw)
            except OverflowError:
                raise self._source.error(path, "must be a finite number") from None
        if not isinstance(raw, kind) or (kind is int and isinstance(raw, bool)):
            names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            raise self._source.error(path, f"must be {names[kind]}, not {raw!r}")
        if isinstance(raw, float) and not math.isfinite(raw):
            raise self._source.error(path, "must be a finite number")
        if minimum is not None and raw < minimum:
            raise self._source.error(path, f"must be at least {minimum:g}, not {raw!r}")
        return raw

    def _variable(self, name: str, kind: Any, path: tuple[str, ...]) -> Any:
        if name not in self._environ:
            raise self._source.error(path, f"the environment variable {name} is not set")
        raw = self._environ[name]
        if _is_optional(kind):
            kind = next(part for part in get_args(kind) if part is not type(None))
        try:
            if kind in (int, float):
                return kind(raw)
        except ValueError:
            raise self._source.error(path, f"the environment variable {name} must be a number") from None
        if kind is bool:
            return raw.lower() in ("1", "true", "yes", "on")
        return raw
