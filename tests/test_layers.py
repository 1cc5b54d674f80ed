"""Who may import whom, and how long a file or a function may grow: the architecture is a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sampan"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FILE_LIMIT = 600
FUNCTION_LIMIT = 60

NOUNS = {"core", "errors"}
CODECS = {"dialects", "config", "telemetry"}
STORES = {"storage"}
ROOMS = {"edge", "routing", "upstreams", "governance", "media", "knowledge", "releases"}

PARTS = {
    *("pipeline", "story", "replay", "memory", "batches", "network", "reloading", "console", "drill"),
    *("backing", "senses", "governing", "warming", "engine_room", "supervisor", "ports", "processes", "promoting"),
    *("watching", "operating"),
}

ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "errors": {"core"},
    **{room: NOUNS for room in CODECS},
    "storage": NOUNS | CODECS,
    **{room: NOUNS | CODECS | STORES for room in ROOMS},
    "batches": NOUNS | CODECS | STORES,
    "memory": NOUNS | CODECS | STORES,
    **{
        room: NOUNS | CODECS | STORES | (ROOMS - {"edge", "upstreams"}) | {"memory", "replay"}
        for room in ("story", "drill")
    },
    "console": NOUNS | CODECS | STORES | (ROOMS - {"edge", "upstreams"}) | {"drill"},
    "pipeline": NOUNS | CODECS | STORES | (ROOMS - {"edge", "upstreams"}) | {"memory", "replay", "story"},
    "replay": NOUNS | CODECS | STORES | {"routing"},
    "senses": NOUNS | CODECS,
    "governing": NOUNS | CODECS | STORES | ROOMS,
    "backing": NOUNS | CODECS | STORES,
    "warming": NOUNS | CODECS,
    "ports": NOUNS,
    "supervisor": NOUNS | CODECS | {"ports"},
    "processes": NOUNS | CODECS | {"releases", "supervisor"},
    "engine_room": NOUNS | CODECS | STORES | {"processes", "promoting", "releases", "routing", "supervisor"},
    "promoting": NOUNS | CODECS | STORES | {"routing", "supervisor"},
    "engines": NOUNS | CODECS,
    "reloading": NOUNS | CODECS | STORES,
    "watching": NOUNS | CODECS | STORES | ROOMS | {"console", "engine_room", "network", "supervisor"},
    "operating": NOUNS | CODECS | STORES | ROOMS | {"console", "engine_room"},
    "network": NOUNS | CODECS | STORES | ROOMS | {"supervisor"},
    "app": NOUNS | CODECS | STORES | ROOMS | PARTS,
    "cli": NOUNS | CODECS | STORES | ROOMS | PARTS | {"app"},
    "__main__": {"cli"},
}
NOT_OURS = {"core": {"msgspec"}, "errors": {"msgspec"}}  # beside the standard library


@dataclass(frozen=True)
class Import:
    """One imported module; `lazy` where it stands inside a function."""

    module: str
    line: int
    lazy: bool


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())
    lazy: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lazy |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            if node.module == "sampan":
                yield from (Import(f"sampan.{alias.name}", node.lineno, id(node) in lazy) for alias in node.names)
            elif node.module:
                yield Import(node.module, node.lineno, id(node) in lazy)


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_inwards(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    allowed = ALLOWED[here] | {here}
    for each in imports(path):
        if not each.module.startswith("sampan"):
            continue
        there = each.module.split(".")[1] if "." in each.module else "sampan"
        if there in ("__version__", "sampan"):
            continue
        assert there in allowed, f"{path}:{each.line}: {here} may not import {there}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_hides_in_a_function(path: Path) -> None:
    if room(path) == "engines":
        return
    assert not [each for each in imports(path) if each.lazy], path


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_the_nouns_need_nothing_but_the_standard_library(name: str) -> None:
    import_names = {each.module.split(".")[0] for each in imports(PACKAGE / f"{name}.py")}
    third = import_names - set(__import__("sys").stdlib_module_names) - {"sampan"}
    assert third <= NOT_OURS[name]


def test_nobody_imports_the_engines() -> None:
    for path in SOURCES:
        if room(path) != "engines":
            assert not [each for each in imports(path) if each.module.startswith("sampan.engines")], path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= FILE_LIMIT, f"{path}: split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_LIMIT, f"{path}:{node.lineno} {node.name}: {length} lines, split it"


def test_every_public_room_says_what_it_is() -> None:
    for path in SOURCES:
        if path.name == "__init__.py" or path.parent == PACKAGE:
            assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
