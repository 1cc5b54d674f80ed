"""Every setting, fault, verb and endpoint has its place in docs/, and says there what the code says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.core import TyperGroup

from sampan import errors
from sampan.cli import cli
from sampan.config import SECTIONS, Config, default, parse
from sampan.core import Fault
from sampan.edge.door import CHAT, EMBEDDINGS, IMAGES, MESSAGES, RESPONSES
from sampan.routing.breaker import TRANSITIONS, UNCOUNTED

CALLS = (*MESSAGES, *CHAT, *RESPONSES, *EMBEDDINGS, *IMAGES)
DOCS = Path(__file__).parent.parent / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def headings(text: str) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def kind_name(kind: Any) -> str:
    """How docs call a type."""
    if get_origin(kind) is UnionType:
        return kind_name(next(part for part in get_args(kind) if part is not type(None)))
    if get_origin(kind) is list:
        return f"list of {kind_name(get_args(kind)[0])}"
    if get_origin(kind) is not None:
        return "table"
    if dataclasses.is_dataclass(kind):
        return "table"
    if issubclass(kind, Enum):
        return " or ".join(f"`{member.value}`" for member in kind)
    return {str: "text", int: "whole number", float: "number", bool: "yes or no"}[kind]


def default_name(field: dataclasses.Field[Any]) -> str:
    """How docs write a default."""
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return "required"
    if field.default is None:
        return "see help"
    if field.default is dataclasses.MISSING or dataclasses.is_dataclass(field.default):
        return "none"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:,}`".replace(",", "_").replace(".0`", "`")


def rows(cls: type[Any]) -> Iterator[str]:
    """The beginning of the table row of each setting; what follows is the 中文 column."""
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = kind_name(hints[field.name])
        minimum = field.metadata["minimum"]
        bound = "" if minimum is None else f", ≥ {minimum:g}"
        yield f"| `{field.name}` | {kind}{bound} | {default_name(field)} | {field.metadata['help']} | "


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_is_told_as_it_is_in_both_languages(name: str) -> None:
    told = section(page("configuration.md"), f"[{name}]" if name != "clocks" else "clocks")
    lines = [line for line in told.splitlines() if line.startswith("| `")]
    expected = list(rows(SECTIONS[name]))
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected
    for line, start in zip(lines, expected, strict=True):
        assert re.search("[一-鿿]", line[len(start) :]), f"no 中文: {line}"


def test_every_section_has_its_heading() -> None:
    told = headings(page("configuration.md"))
    for field in dataclasses.fields(Config):
        assert f"[{field.name}]" in told
        assert field.metadata["help"] in page("configuration.md")


def test_the_example_in_the_docs_is_a_configuration() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", section(page("configuration.md"), "A whole example"), re.DOTALL)
    config = parse(example, "example", {"ANTHROPIC_API_KEY": "sk-1", "OPENAI_API_KEY": "sk-2"})
    assert config.routes and config.upstreams and config.engines


def test_what_is_in_force_without_a_file_is_told() -> None:
    told = section(page("configuration.md"), "Without a file")
    for route in default({"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "b"}).routes:
        assert f"| `{route.model}` | {', '.join(route.operations)} | {' → '.join(route.targets)} |" in told


def test_every_fault_has_its_row() -> None:
    told = section(page("failover.md"), "Faults")
    lines = [line.split("|") for line in told.splitlines() if line.startswith("| `")]
    assert [line[1].strip() for line in lines] == [f"`{fault.value}`" for fault in Fault]
    for line in lines:
        fault = line[1].strip().strip("`")
        assert line[3].strip() == ("no" if Fault(fault) in UNCOUNTED else "yes"), fault
        assert re.search("[一-鿿]", line[4]), f"no 中文: {fault}"


def test_the_states_of_a_breaker_are_those_of_the_table() -> None:
    told = section(page("failover.md"), "Breaker")
    lines = [line for line in told.splitlines() if re.match(r"\| [A-Z_]+ \|", line)]
    drawn = [f"| {before.name} | {signal.value} | {after.name} |" for (before, signal), after in TRANSITIONS.items()]
    assert [line[: len(start)] for line, start in zip(lines, drawn, strict=True)] == drawn


def verbs(group: TyperGroup, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from verbs(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_every_verb_and_each_of_its_options_is_told() -> None:
    group = typer.main.get_command(cli)
    assert isinstance(group, TyperGroup)
    told = page("verbs.md")
    found = list(verbs(group))
    assert {"serve", "check", "engine", "key create", "key list", "key revoke", "audit export"} <= set(found)
    for verb in found:
        here = section(told, f"sampan {verb}")
        command: Any = group
        for word in verb.split():
            command = command.commands[word]
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}" in here, f"{verb} {parameter.opts[0]}"
            else:
                assert parameter.name.upper() in here, f"{verb} {parameter.name}"


@pytest.mark.parametrize(
    "path",
    [*CALLS, "/v1/models", "/v1/models/{id}", "/artifacts/{name}", "/health", "/ready", "/metrics", "/openapi.json"],
)
def test_every_endpoint_is_told(path: str) -> None:
    method = "POST" if path in CALLS else "GET"
    assert f"| `{method} {path}`" in section(page("api.md"), "Endpoints")


@pytest.mark.parametrize(
    "name",
    [
        "request-id",
        "x-sampan-upstream",
        "x-sampan-tier",
        "x-sampan-attempts",
        "x-sampan-count",
        "x-sampan-receipt",
        "x-should-retry",
        "retry-after",
    ],
)
def test_every_header_is_told(name: str) -> None:
    assert f"| `{name}` |" in section(page("api.md"), "What every answer says about itself")


def test_every_error_status_is_told() -> None:
    told = section(page("api.md"), "Errors")
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.CallError)]
    for each in classes:
        if each is not errors.CallError:
            assert re.search(rf"^\| {each.status} \|.*`{each.kind}`", told, re.MULTILINE), each.__name__


def links() -> Mapping[str, list[str]]:
    return {path.name: re.findall(r"\]\(([^)#:]+)[^):]*\)", path.read_text(encoding="utf-8")) for path in OURS}


OURS = [DOCS / name for name in ("configuration.md", "failover.md", "verbs.md", "api.md")]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_link_leads_nowhere(path: Path) -> None:
    for link in links()[path.name]:
        assert (path.parent / link).exists(), link
