"""`sampan policy …`: rules, and what they say of a call. A running gateway follows within a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from sampan import config
from sampan.config.verbs import ConfigOption, JsonOption, as_options, day, load, print_table
from sampan.core import Call, Dialect, Operation, Target
from sampan.dialects import Limits
from sampan.errors import InvalidRequest
from sampan.governance.directory import Directory, directory_of, of_rule
from sampan.governance.explaining import Explainer, Question, in_words
from sampan.governance.judging import KIND, Code, PolicyJudge
from sampan.governance.policy import body_of, read_rule, tell_rule
from sampan.storage.db import Database
from sampan.storage.statutes import Statutes

PlanOf = Callable[[config.Config], Callable[[Call], Sequence[Target]]]
NameArgument = Annotated[str, typer.Argument(help="Its name.")]


@dataclass(frozen=True, slots=True)
class ExplainOrders:
    """Who would ask what."""

    key: Annotated[str, typer.Option(help="Who asks: a key, by its id or the beginning of it.")] = ""
    department: Annotated[str, typer.Option(help="Department of who asks, without a key. Default: the user's.")] = ""
    role: Annotated[str, typer.Option(help="Role of who asks, without a key. Default: the user's, or member.")] = ""
    user: Annotated[str, typer.Option(help="User who asks, without a key.")] = ""
    model: Annotated[str, typer.Option(help="Model that is asked.")] = ""
    operation: Annotated[Operation, typer.Option(help="What is asked.")] = Operation.TEXT
    dialect: Annotated[Dialect | None, typer.Option(help="Wire format. Default: the operation's own.")] = None
    tools: Annotated[str, typer.Option(help="Tools that are offered, with commas between.")] = ""
    size: Annotated[str, typer.Option(help="Size of the pictures, such as 1024x1024.")] = ""
    pictures: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 1
    tokens: Annotated[int, typer.Option(min=0, help="Longest answer; 0: none named.")] = 0
    collection: Annotated[str, typer.Option(help="Collection that is named.")] = ""
    residency: Annotated[str, typer.Option(help="Value of the header x-sampan-residency.")] = ""
    peer: Annotated[str, typer.Option(help="Address of who asks.")] = ""
    at: Annotated[
        str, typer.Option(help="When, such as 2026-11-22T20:30 where the policy counts hours. Default: now.")
    ] = ""
    body: Annotated[Path | None, typer.Option(help="File with the body of the call, JSON.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
    config: ConfigOption = None


def make_policy_cli(plan_of: PlanOf) -> typer.Typer:
    """The verbs; `plan_of` gives the routes of a configuration."""
    cli = typer.Typer(no_args_is_help=True, help="Lists and changes rules, and explains what they say of a call.")
    cli.command("list")(list_rules)
    cli.command("set")(set_rule)
    cli.command("remove")(remove_rule)

    @cli.command("explain")
    @as_options(ExplainOrders)
    def explain(orders: ExplainOrders) -> None:
        """Says which rules concern a call, what is decided, and where the call might go; asks nobody."""
        loaded = load(orders.config)
        database = _database(loaded)
        judge = PolicyJudge(_code(loaded), Statutes(database))
        limits = Limits(loaded.server.max_image, loaded.server.default_model, loaded.server.default_image_model)
        answered = Explainer(judge, _directory(database, loaded), plan_of(loaded), limits).answer(_question(orders))
        if orders.as_json:
            print(msgspec.json.encode(answered.told()).decode())
        else:
            print(in_words(answered))

    return cli


def list_rules(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists the rules in force: the configuration's, and the stored ones."""
    loaded = load(path)
    stored = Statutes(_database(loaded)).list(KIND)
    rules = [(tell_rule(rule), "configuration") for rule in loaded.rules]
    rules += [({"name": each.id, **each.body}, day(each.updated)) for each in stored]
    if as_json:
        for rule, where in rules:
            print(msgspec.json.encode({**rule, "stored": where != "configuration"}).decode())
        return
    rows = []
    for rule, where in rules:
        asks = [f"{name}: {_said(value)}" for name, value in rule.items() if name not in ("name", "effect")]
        rows.append((rule["name"], rule["effect"], "\n".join(asks) or "all calls", where))
    print_table(("name", "effect", "concerns", "since"), rows, whole=("name",), spare=("since",))


def set_rule(
    name: NameArgument,
    rule: Annotated[str, typer.Argument(help='The rule as JSON: {"effect": "deny", "roles": ["member"]}.')],
    path: ConfigOption = None,
) -> None:
    """Stores a rule, in the place of a stored one of the same name."""
    loaded = load(path)
    _check_own(loaded, name)
    try:
        body = msgspec.json.decode(rule, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The rule is no JSON object: {error}") from None
    database, read = _database(loaded), read_rule(name, body)
    Statutes(database).put(KIND, name, body_of(read))
    print(f"{name}: in force within a second")
    for note in _directory(database, loaded).strangers(of_rule(read)):
        print(f"{name}: {note}", file=sys.stderr)


def remove_rule(name: NameArgument, path: ConfigOption = None) -> None:
    """Takes a stored rule away."""
    loaded = load(path)
    _check_own(loaded, name)
    Statutes(_database(loaded)).remove(KIND, name)
    print(f"{name}: gone within a second")


def _database(loaded: config.Config) -> Database:
    return Database(Path(loaded.server.data), loaded.storage.database)


def _code(loaded: config.Config) -> Code:
    return Code(loaded.rules, loaded.policy, loaded.residency)


def _directory(database: Database, loaded: config.Config) -> Directory:
    return directory_of(database, {name: role.permissions for name, role in loaded.roles.items()})


def _question(orders: ExplainOrders) -> Question:
    body = None
    if orders.body is not None:
        try:
            body = msgspec.json.decode(orders.body.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            raise InvalidRequest(f"{orders.body}: cannot be read as a JSON object: {error}") from None
    return Question(
        key=orders.key,
        department=orders.department,
        role=orders.role,
        user=orders.user,
        model=orders.model,
        operation=orders.operation,
        dialect=orders.dialect,
        tools=[name.strip() for name in orders.tools.split(",") if name.strip()],
        size=orders.size,
        pictures=orders.pictures,
        answer_tokens=orders.tokens,
        collection=orders.collection,
        residency=orders.residency or None,
        peer=orders.peer,
        at=orders.at or None,
        body=body,
    )


def _check_own(loaded: config.Config, name: str) -> None:
    if any(rule.name == name for rule in loaded.rules):
        raise InvalidRequest(f"The configuration has a rule {name!r}, which only its file can change.")


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
