"""Kinds of engines by name: those that come with Sampan, and anybody's own as `module:attribute`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from sampan.engines.contract import Converser, Engine, Painter, Talker
from sampan.engines.options import Options
from sampan.errors import ConfigError

Build: TypeAlias = Callable[[Options], Engine]
"""Makes an engine from what its process was told. Slow and memory-hungry: called once, in a thread."""


def find(kind: str) -> Build:
    """How to build an engine of `kind`; nothing is imported before that. Raises `ConfigError` if there is none."""
    if kind in _OWN:
        return _OWN[kind]
    module, colon, attribute = kind.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(f"there is no engine kind {kind!r}: use {', '.join(_OWN)}, or module:attribute for your own")
    return lambda options: _foreign(module, attribute, options.threads)


def name(kind: str, options: Options) -> str:
    """The model name that an engine goes by."""
    return options.name or kind.rpartition(":")[2].lower()


def _reader(options: Options) -> Engine:
    """Calls run side by side, each on one thread: measured, that is faster under load than splitting one page."""
    from sampan.engines.reader import Reader

    return Reader(threads=1)


def _sketcher(options: Options) -> Engine:
    from sampan.engines.sketcher import Sketcher

    return Sketcher()


def _qwen_vl(options: Options) -> Engine:
    from sampan.engines.qwen_vl import QwenVL

    return QwenVL(options)


def _qwen_image(options: Options) -> Engine:
    from sampan.engines.qwen_image import QwenImage

    return QwenImage(options)


_OWN: Mapping[str, Build] = {
    "reader": _reader,
    "sketcher": _sketcher,
    "qwen_vl": _qwen_vl,
    "qwen_image": _qwen_image,
}


def _foreign(module: str, attribute: str, threads: int) -> Engine:
    factory = getattr(importlib.import_module(module), attribute)
    engine: object = factory(threads=threads)
    if isinstance(engine, Talker):
        return engine
    if isinstance(engine, Painter):
        return engine
    if isinstance(engine, Converser):
        return engine
    raise ConfigError(
        f"{module}:{attribute} made neither a talker (answer, count), nor a painter (generate, edit, vary), "
        "nor a converser (hear)"
    )
