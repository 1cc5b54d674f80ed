"""`/admin/v1/departments`, `…/users`, `…/keys`, `…/roles` and `…/me`: who may come in, for whoever has `govern`.

Nobody gives what they have not: a key, a user or a role that would allow more than the caller may is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.admin_pages import changes, check_time, page, read, reply, require
from sampan.edge.paging import query_of
from sampan.edge.sign_in import describe
from sampan.errors import Forbidden, InvalidRequest, MethodNotAllowed, NotFound
from sampan.storage.keys import Belonging, KeyInfo, Keys
from sampan.storage.people import Department, People, User, check_name
from sampan.storage.statutes import Statutes

_PATH = re.compile(r"/admin/v1/(departments|users|keys|roles)(?:/([^/]+)(?:/(rotate))?)?")
_ME = "/admin/v1/me"
OVERLAP = 3600.0


class NewDepartment(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    title: str = ""
    confined: bool = False


class DepartmentPatch(msgspec.Struct, forbid_unknown_fields=True):
    title: str | UnsetType = UNSET
    confined: bool | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    department: str = ""
    role: str = "member"
    email: str = ""


class UserPatch(msgspec.Struct, forbid_unknown_fields=True):
    department: str | UnsetType = UNSET
    role: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """`role` None: the user's, or `member`. `expires` is in Unix seconds."""

    name: str
    role: str | None = None
    department: str = ""
    user: str = ""
    service: bool = False
    networks: list[str] = []
    confined: bool = False
    expires: float | None = None


class KeyPatch(msgspec.Struct, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    role: str | UnsetType = UNSET
    networks: list[str] | UnsetType = UNSET
    confined: bool | UnsetType = UNSET
    expires: float | UnsetType | None = UNSET


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    overlap: float = OVERLAP


class NewRole(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    permissions: list[Permission]


class RolePatch(msgspec.Struct, forbid_unknown_fields=True):
    permissions: list[Permission]


@dataclass(frozen=True, slots=True)
class Registry:
    """What the pages need. `roles` and `permissions` are Identity's, `renew` has it look at the database now;
    `configured` names the roles that stand in the configuration."""

    keys: Keys
    people: People
    statutes: Statutes
    roles: Callable[[], Mapping[str, frozenset[Permission]]]
    permissions: Callable[[str, str], frozenset[Permission]]
    renew: Callable[[], object]
    configured: Collection[str]
    wall: Callable[[], float]


_Page = Callable[[Incoming, Actor, str], Awaitable[Answer]]


class PeoplePages:
    """Built anew when the configuration changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pages: Mapping[tuple[str, str], _Page] = {
            ("GET", "departments"): self._departments,
            ("POST", "departments"): self._add_department,
            ("GET", "departments/"): self._department,
            ("PATCH", "departments/"): self._change_department,
            ("DELETE", "departments/"): self._remove_department,
            ("GET", "users"): self._users,
            ("POST", "users"): self._add_user,
            ("GET", "users/"): self._user,
            ("PATCH", "users/"): self._change_user,
            ("DELETE", "users/"): self._remove_user,
            ("GET", "keys"): self._keys,
            ("POST", "keys"): self._add_key,
            ("GET", "keys/"): self._key,
            ("PATCH", "keys/"): self._change_key,
            ("DELETE", "keys/"): self._revoke_key,
            ("POST", "keys/rotate"): self._rotate_key,
            ("GET", "roles"): self._roles,
            ("POST", "roles"): self._add_role,
            ("GET", "roles/"): self._role,
            ("PATCH", "roles/"): self._change_role,
            ("DELETE", "roles/"): self._remove_role,
        }

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        if path == _ME:
            return ("GET", "HEAD")
        kind, _ = _kind(path)
        found = tuple(method for method, known in self._pages if known == kind)
        return ("HEAD", *found) if "GET" in found else found

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """Raises `CallError`."""
        if incoming.path == _ME:
            return reply(describe(actor))
        kind, name = _kind(incoming.path)
        if not kind:
            raise NotFound(f"there is nothing at {incoming.path[:200]}")
        answer = self._pages.get(("GET" if incoming.method == "HEAD" else incoming.method, kind))
        if answer is None:
            raise MethodNotAllowed(f"this path takes {', '.join(self.methods(incoming.path))} only")
        require(actor, Permission.GOVERN)
        return await answer(incoming, actor, name)

    # Departments.

    async def _departments(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        departments, shape = await asyncio.to_thread(self._all_departments)
        return page(incoming, departments, lambda each: each.name, shape)

    async def _department(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        await asyncio.to_thread(self._registry.people.department, name)
        departments, shape = await asyncio.to_thread(self._all_departments)
        return reply(next(shape(each) for each in departments if each.name == name))

    def _all_departments(self) -> tuple[tuple[Department, ...], Callable[[Department], dict[str, Any]]]:
        """All of them, and how one is told: with how many users and usable keys it has."""
        registry = self._registry
        users = Counter(user.department for user in registry.people.users())
        now = registry.wall()
        keys = Counter(info.department for info in registry.keys.list() if info.usable(now))
        return registry.people.departments(), lambda each: {
            **asdict(each),
            "users": users[each.name],
            "keys": keys[each.name],
        }

    async def _add_department(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        new = read(incoming, NewDepartment)
        department = Department(new.name, new.title, new.confined)
        return reply(await self._write(lambda: self._registry.people.add_department(department)), 201)

    async def _change_department(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        sent = changes(read(incoming, DepartmentPatch))
        return reply(await self._write(lambda: self._registry.people.change_department(name, **sent)))

    async def _remove_department(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        return reply(await self._write(lambda: self._registry.people.remove_department(name)))

    # Users.

    async def _users(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        users = await asyncio.to_thread(self._registry.people.users)
        department = query_of(incoming).get("department")
        fit = [each for each in users if department in (None, each.department)]
        return page(incoming, fit, lambda each: each.name, asdict)

    async def _user(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        return reply(asdict(await asyncio.to_thread(self._registry.people.user, name)))

    async def _add_user(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        new = read(incoming, NewUser)
        self._grant_role(actor, new.role)
        user = User(new.name, new.department, new.role, new.email)
        return reply(await self._write(lambda: self._registry.people.add_user(user)), 201)

    async def _change_user(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        sent = changes(read(incoming, UserPatch))
        if "role" in sent:
            self._grant_role(actor, sent["role"])
        return reply(await self._write(lambda: self._registry.people.change_user(name, **sent)))

    async def _remove_user(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        return reply(await self._write(lambda: self._registry.people.remove_user(name)))

    # Keys.

    async def _keys(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        infos = await asyncio.to_thread(self._registry.keys.list)
        query = query_of(incoming)
        fit = [
            each
            for each in reversed(infos)
            if query.get("department") in (None, each.department) and query.get("user") in (None, each.user)
        ]
        return page(incoming, fit, lambda each: each.id, self._tell)

    async def _key(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        return reply(self._tell(await self._exactly(name)))

    async def _add_key(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        new = read(incoming, NewKey)
        check_time("expires", new.expires)
        role = new.role if new.role is not None else "" if new.user else "member"
        self._grant(actor, self._registry.permissions(role, new.user))
        belonging = Belonging(new.department, new.user, new.service, new.networks, new.confined)
        roles = tuple(self._registry.roles())
        info, secret = await self._write(
            lambda: self._registry.keys.create(new.name, role, new.expires, None, belonging, roles)
        )
        return reply({**self._tell(info), "key": secret}, 201)

    async def _change_key(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        sent = changes(read(incoming, KeyPatch))
        check_time("expires", sent.get("expires"))
        before = await self._mine(actor, name)
        self._grant(actor, self._registry.permissions(sent.get("role", before.role), before.user))
        if sent.get("expires") is not None and sent["expires"] <= self._registry.wall():
            raise InvalidRequest("expires: must lie in the future; DELETE revokes a key", param="expires")
        roles = tuple(self._registry.roles())
        info: KeyInfo = await self._write(lambda: self._registry.keys.change(before.id, roles, **sent))
        return reply(self._tell(info))

    async def _revoke_key(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        info = await self._exactly(name)
        return reply(self._tell(await self._write(lambda: self._registry.keys.revoke(info.id))))

    async def _rotate_key(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        overlap = read(incoming, Rotation).overlap
        before = await self._mine(actor, name)
        info, secret = await self._write(lambda: self._registry.keys.rotate(before.id, overlap))
        return reply({**self._tell(info), "key": secret})

    async def _mine(self, actor: Actor, name: str) -> KeyInfo:
        """A key that allows no more than its changer may: the new secret of an admin's key is an admin's key."""
        info = await self._exactly(name)
        self._grant(actor, self._registry.permissions(info.role, info.user))
        return info

    async def _exactly(self, name: str) -> KeyInfo:
        """The key of this id. A beginning will do for people at a terminal; here it might revoke somebody else's."""
        info = await asyncio.to_thread(self._registry.keys.find, name)
        if info.id != name:
            raise NotFound("No key has this id. Give all of it.")
        return info

    def _tell(self, info: KeyInfo) -> dict[str, Any]:
        state = "revoked" if info.revoked is not None else "valid" if info.usable(self._registry.wall()) else "expired"
        return {
            **asdict(info),
            "state": state,
            "permissions": sorted(self._registry.permissions(info.role, info.user)),
        }

    # Roles.

    async def _roles(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        roles = await asyncio.to_thread(self._all_roles)
        return page(incoming, roles, lambda each: str(each["name"]), lambda each: each)

    async def _role(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        roles = await asyncio.to_thread(self._all_roles)
        for each in roles:
            if each["name"] == name:
                return reply(each)
        raise NotFound(f"There is no role {name[:100]!r}.")

    def _all_roles(self) -> list[dict[str, Any]]:
        registry = self._registry
        stored = {each.id for each in registry.statutes.list("role")}
        users = Counter(user.role for user in registry.people.users())
        keys = Counter(info.role for info in registry.keys.list() if info.revoked is None)
        origins = {**dict.fromkeys(stored, "database"), **dict.fromkeys(registry.configured, "configuration")}
        return [
            {
                "name": name,
                "permissions": sorted(allowed),
                "from": origins.get(name, "built in"),
                "users": users[name],
                "keys": keys[name],
            }
            for name, allowed in sorted(registry.roles().items())
        ]

    async def _add_role(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        new = read(incoming, NewRole)
        check_name("role", new.name)
        if new.name in self._registry.roles():
            raise InvalidRequest(f"name: there is a role {new.name!r} already", param="name")
        return await self._put_role(actor, new.name, new.permissions, 201)

    async def _change_role(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        await self._check_stored(name)
        return await self._put_role(actor, name, read(incoming, RolePatch).permissions)

    async def _put_role(self, actor: Actor, name: str, permissions: list[Permission], status: int = 200) -> Answer:
        self._grant(actor, frozenset(permissions))
        body = {"permissions": sorted(set(permissions))}
        await self._write(lambda: self._registry.statutes.put("role", name, body))
        return reply({"name": name, **body, "from": "database"}, status)

    async def _remove_role(self, incoming: Incoming, actor: Actor, name: str) -> Answer:
        await self._check_stored(name)
        statute = await self._write(lambda: self._registry.statutes.remove("role", name))
        return reply({"name": statute.id, **statute.body})

    async def _check_stored(self, name: str) -> None:
        """Raises `NotFound`, or `Forbidden` for a role that stands elsewhere."""
        if name not in self._registry.roles():
            raise NotFound(f"There is no role {name[:100]!r}.")
        stored = await asyncio.to_thread(self._registry.statutes.list, "role")
        if name in self._registry.configured or name not in {each.id for each in stored}:
            raise Forbidden("A role that is built in, or stands in the configuration, cannot be changed from here.")

    # What all of them need.

    async def _write(self, act: Callable[[], Any]) -> Any:
        """What is written is in force on this node when it is answered, and on the others within a second."""
        done = await asyncio.to_thread(act)
        await asyncio.to_thread(self._registry.renew)
        return done

    def _grant_role(self, actor: Actor, role: str) -> None:
        roles = self._registry.roles()
        if role not in roles:
            raise InvalidRequest(f"role: is one of {', '.join(roles)}", param="role")
        self._grant(actor, roles[role])

    def _grant(self, actor: Actor, permissions: frozenset[Permission]) -> None:
        missing = permissions - actor.permissions
        if missing:
            raise Forbidden(f"Nobody gives what they have not: {', '.join(sorted(missing))}.")


def _kind(path: str) -> tuple[str, str]:
    """Which page: `users` is the list, `users/` one of them, with its name."""
    found = _PATH.fullmatch(path)
    if found is None or (found[3] and found[1] != "keys"):
        return "", ""
    if found[2] is None:
        return found[1], ""
    return f"{found[1]}/{found[3] or ''}", found[2]
