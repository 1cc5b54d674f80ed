"""Kinds of engines by name: the two that come with Sampan, and anybody's own as `module:attribute`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeAlias

from sampan.engines.contract import Engine, Painter, Talker
from sampan.errors import ConfigError

Build: TypeAlias = Callable[[int], Engine]
"""Makes an engine that is asked for so many calls at once. Slow and memory-hungry: called once, in a thread."""


def find(kind: str) -> Build:
    """How to build an engine of `kind`; nothing is imported before that. Raises `ConfigError` if there is none."""
    if kind == "reader":
        return _reader
    if kind == "sketcher":
        return _sketcher
    module, colon, attribute = kind.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(f"there is no engine kind {kind!r}: use reader, sketcher, or module:attribute for your own")
    return lambda threads: _foreign(module, attribute, threads)


def name(kind: str) -> str:
    """The model name that an engine of this kind goes by."""
    return kind.rpartition(":")[2].lower()


def _reader(threads: int) -> Engine:
    """Calls run side by side, each on one thread: measured, that is faster under load than splitting one page."""
    from sampan.engines.reader import Reader

    return Reader(threads=1)


def _sketcher(threads: int) -> Engine:
    from sampan.engines.sketcher import Sketcher

    return Sketcher()


def _foreign(module: str, attribute: str, threads: int) -> Engine:
    factory = getattr(importlib.import_module(module), attribute)
    engine: object = factory(threads=threads)
    if isinstance(engine, Talker):
        return engine
    if isinstance(engine, Painter):
        return engine
    raise ConfigError(
        f"{module}:{attribute} made neither a talker (answer, count) nor a painter (generate, edit, vary)"
    )
