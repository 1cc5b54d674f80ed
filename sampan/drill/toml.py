"""Writes a configuration as the TOML that `config.parse` reads back as the same values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from sampan.config import Config


def write(config: Config) -> str:
    """The whole configuration, secrets and all: for a file that only its owner reads."""
    lines: list[str] = []
    for name, value in _fields(config):
        if dataclasses.is_dataclass(value):
            lines += [f"[{name}]", *_settings(value)]
        elif isinstance(value, Mapping):
            for key, each in value.items():
                lines += [f"[{name}.{json.dumps(key)}]", *_settings(each)]
        else:
            for each in value:
                lines += [f"[[{name}]]", *_settings(each)]
    return "\n".join(lines) + "\n"


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        yield field.name, getattr(value, field.name)


def _settings(value: Any) -> list[str]:
    return [f"{name} = {_literal(each)}" for name, each in _fields(value) if each is not None]


def _literal(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's but for two: TOML has no surrogates, and wants DEL escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        pairs = value.items() if isinstance(value, Mapping) else _fields(value)
        inner = (f"{json.dumps(str(key))} = {_literal(each)}" for key, each in pairs if each is not None)
        return f"{{ {', '.join(inner)} }}"
    return f"[{', '.join(_literal(each) for each in value)}]"
