"""`sampan key …`, `department …`, `user …`, `role …`: who may come in. A running gateway follows within a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from sampan.config.verbs import ConfigOption, JsonOption, as_options, day, load, print_table
from sampan.core import Permission
from sampan.errors import ConfigError, InvalidRequest
from sampan.governance.roles import BUILT_IN, union
from sampan.storage.db import Database
from sampan.storage.keys import Belonging, KeyInfo, Keys
from sampan.storage.people import Department, People, User, check_name
from sampan.storage.statutes import Statutes

keys_cli = typer.Typer(no_args_is_help=True, help="Makes, lists, rotates and revokes API keys.")
departments_cli = typer.Typer(no_args_is_help=True, help="Adds departments, and switches them off and on.")
users_cli = typer.Typer(no_args_is_help=True, help="Adds users, and switches them off and on.")
roles_cli = typer.Typer(no_args_is_help=True, help="Lists roles, and makes some of one's own.")

KeyArgument = Annotated[str, typer.Argument(help="Its id, or the beginning of the key as `list` shows it.")]


@dataclass(frozen=True, slots=True)
class Register:
    """What the verbs write to. `configured` are the configuration's roles."""

    keys: Keys
    people: People
    statutes: Statutes
    configured: dict[str, list[Permission]]

    def roles(self) -> dict[str, frozenset[Permission]]:
        stored = ((each.id, each.body) for each in self.statutes.list("role"))
        return union(self.configured, stored)

    def check_role(self, role: str) -> str:
        """Raises `InvalidRequest` for a role that there is not."""
        roles = self.roles()
        if role not in roles:
            raise InvalidRequest(f"A role is one of: {', '.join(roles)}.", param="role")
        return role


def _open(path: Path | None) -> Register:
    loaded = load(path)
    database = Database(Path(loaded.server.data), loaded.storage.database)
    configured = {name: role.permissions for name, role in loaded.roles.items()}
    return Register(Keys(database), People(database), Statutes(database), configured)


# Keys.


@dataclass(frozen=True, slots=True)
class KeyOrders:
    """Which key to make."""

    name: Annotated[str, typer.Argument(help="Whose key it is.", show_default=False)]
    role: Annotated[str, typer.Option(help="What it allows. Default: the user's, or member.")] = ""
    days: Annotated[float | None, typer.Option(min=0, help="Days until it expires; never by default.")] = None
    department: Annotated[str, typer.Option(help="Department that it belongs to.")] = ""
    user: Annotated[str, typer.Option(help="User that it belongs to.")] = ""
    network: Annotated[list[str], typer.Option(help="Only from there, such as 10.1.0.0/16; may be given again.")] = (
        field(default_factory=list)
    )
    service: Annotated[bool, typer.Option("--service", help="For a program: a service account.")] = False
    confined: Annotated[bool, typer.Option("--confined", help="What is asked with it stays in the house.")] = False
    config: ConfigOption = None


@keys_cli.command("create")
@as_options(KeyOrders)
def key_create(orders: KeyOrders) -> None:
    """Makes a key and prints it once, alone on standard output."""
    register = _open(orders.config)
    role = orders.role or ("" if orders.user else "member")
    expires = None if orders.days is None else time.time() + orders.days * 86400
    belonging = Belonging(orders.department, orders.user, orders.service, orders.network, orders.confined)
    info, secret = register.keys.create(orders.name, role, expires, None, belonging, tuple(register.roles()))
    print(secret)
    print(f"{info.id} for {info.name} ({info.role or 'as the user'}). It is shown only now.", file=sys.stderr)


@keys_cli.command("list")
def key_list(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists keys; secrets are kept only as hashes."""
    infos = _open(path).keys.list()
    if as_json:
        _print_json(infos)
        return
    columns = ("id", "key", "name", "role", "of", "last used", "state")
    rows = (
        (
            *(info.id, f"{info.prefix}…", info.name, info.role or "(user's)"),
            *(info.user or info.department, day(info.last_used), _state(info)),
        )
        for info in infos
    )
    print_table(columns, rows, whole=("id", "key"), spare=("key", "of"))


@keys_cli.command("revoke")
def key_revoke(key: KeyArgument, path: ConfigOption = None) -> None:
    """Revokes a key; a running gateway refuses it within a second."""
    info = _open(path).keys.revoke(key)
    print(f"{info.id} of {info.name} is revoked")


@keys_cli.command("rotate")
def key_rotate(
    key: KeyArgument,
    overlap: Annotated[float, typer.Option(min=0, help="Seconds that the old secret is good still.")] = 3600.0,
    path: ConfigOption = None,
) -> None:
    """Gives a key another secret, printed once; whatever belongs to the key stays with it."""
    info, secret = _open(path).keys.rotate(key, overlap)
    print(secret)
    end = f"until {day(info.overlap)}" if info.overlap else "no more"
    print(f"{info.id} for {info.name}. It is shown only now. The old one is good {end}.", file=sys.stderr)


# Departments and users.


@departments_cli.command("add")
def department_add(
    name: Annotated[str, typer.Argument(help="Its name, as rules and records call it.")],
    title: Annotated[str, typer.Option(help="Its name in words.")] = "",
    confined: Annotated[bool, typer.Option("--confined", help="Whatever it asks stays in the house.")] = False,
    path: ConfigOption = None,
) -> None:
    """Adds a department."""
    department = _open(path).people.add_department(Department(name, title, confined))
    print(f"{department.name} is here" + (", and what it asks stays in the house" if confined else ""))


@departments_cli.command("list")
def department_list(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists departments."""
    found = _open(path).people.departments()
    if as_json:
        _print_json(found)
        return
    rows = ((each.name, each.title, _yes(each.confined), _on(each.active), day(each.created)) for each in found)
    print_table(("name", "title", "confined", "state", "added"), rows, whole=("name",), spare=("added", "title"))


@departments_cli.command("off")
def department_off(name: Annotated[str, typer.Argument(help="Its name.")], path: ConfigOption = None) -> None:
    """Switches a department off: all its keys, and those of its users, stop within a second."""
    _open(path).people.change_department(name, active=False)
    print(f"{name} is switched off")


@departments_cli.command("on")
def department_on(name: Annotated[str, typer.Argument(help="Its name.")], path: ConfigOption = None) -> None:
    """Switches a department on again; keys that were revoked stay so."""
    _open(path).people.change_department(name, active=True)
    print(f"{name} is switched on")


@users_cli.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="The user's name, as rules and records call it.")],
    department: Annotated[str, typer.Option(help="Department that the user is in.")] = "",
    role: Annotated[str, typer.Option(help="The most that any key of the user's allows.")] = "member",
    email: Annotated[str, typer.Option(help="E-mail address.")] = "",
    path: ConfigOption = None,
) -> None:
    """Adds a user."""
    register = _open(path)
    user = register.people.add_user(User(name, department, register.check_role(role), email))
    print(f"{user.name} is here ({user.role})")


@users_cli.command("list")
def user_list(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists users."""
    found = _open(path).people.users()
    if as_json:
        _print_json(found)
        return
    rows = ((each.name, each.department, each.role, each.email, _on(each.active), day(each.created)) for each in found)
    columns = ("name", "department", "role", "e-mail", "state", "added")
    print_table(columns, rows, whole=("name",), spare=("added", "e-mail"))


@users_cli.command("off")
def user_off(name: Annotated[str, typer.Argument(help="The user's name.")], path: ConfigOption = None) -> None:
    """Switches a user off: all the user's keys, tokens and sign-ins stop within a second."""
    _open(path).people.change_user(name, active=False)
    print(f"{name} is switched off")


@users_cli.command("on")
def user_on(name: Annotated[str, typer.Argument(help="The user's name.")], path: ConfigOption = None) -> None:
    """Switches a user on again; keys that were revoked stay so."""
    _open(path).people.change_user(name, active=True)
    print(f"{name} is switched on")


# Roles.


@roles_cli.command("list")
def role_list(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists roles with what they allow, and where they come from."""
    register = _open(path)
    found = [(name, sorted(allowed), _origin(name, register.configured)) for name, allowed in register.roles().items()]
    if as_json:
        _print_json({"name": name, "permissions": allowed, "from": origin} for name, allowed, origin in found)
        return
    rows = ((name, ", ".join(allowed), origin) for name, allowed, origin in found)
    print_table(("name", "allows", "from"), rows, whole=("name",))


@roles_cli.command("set")
def role_set(
    name: Annotated[str, typer.Argument(help="The role's name.")],
    permission: Annotated[list[Permission], typer.Option(help="What it allows; may be given again.")],
    path: ConfigOption = None,
) -> None:
    """Makes a role, or has it allow something else; those who have it follow within a second."""
    register = _open(path)
    _check_own(name, register.configured)
    check_name("role", name)
    register.statutes.put("role", name, {"permissions": sorted(set(permission))})
    print(f"{name} allows {', '.join(sorted(set(permission)))}")


@roles_cli.command("remove")
def role_remove(name: Annotated[str, typer.Argument(help="The role's name.")], path: ConfigOption = None) -> None:
    """Takes a role away; whoever has it is allowed nothing from then on."""
    register = _open(path)
    _check_own(name, register.configured)
    register.statutes.remove("role", name)
    left = [info.id for info in register.keys.list() if info.role == name and info.revoked is None]
    left += [user.name for user in register.people.users() if user.role == name]
    print(f"{name} is removed" + (f"; allowed nothing any more: {', '.join(left)}" if left else ""))


def _check_own(name: str, configured: Mapping[str, object]) -> None:
    """Raises `ConfigError` for a role that is not stored here."""
    if name in BUILT_IN:
        raise ConfigError(f"The role {name} is built in, and means what it means.")
    if name in configured:
        raise ConfigError(f"The role {name} stands in the configuration: change it there.")


def _origin(name: str, configured: Mapping[str, object]) -> str:
    return "built in" if name in BUILT_IN else "configuration" if name in configured else "database"


# How it is shown.


def _print_json(found: Iterable[Any]) -> None:
    for each in found:
        print(msgspec.json.encode(each).decode())


def _yes(said: bool) -> str:
    return "yes" if said else "no"


def _on(active: bool) -> str:
    return "on" if active else "switched off"


def _state(info: KeyInfo) -> str:
    if info.revoked is not None:
        return "revoked"
    return "valid" if info.usable(time.time()) else "expired"
