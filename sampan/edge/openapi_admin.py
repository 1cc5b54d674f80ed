"""The admin pages below `/admin/v1/` and those of sign-in below `/auth/`, as operations of our OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sampan.edge.admin_pages import LONGEST_PAGE
from sampan.edge.openapi_answers import PAGE_HEADERS
from sampan.edge.openapi_operations import AWAY, JSON, Operation, asked, links, made, page
from sampan.edge.openapi_requests import TEXT, Schema, place, query, ref, texts, whole

Paths = dict[str, dict[str, Operation]]
ROOT = "/admin/v1"
USED_BY = ("department", "user", "key", "model", "upstream")

_NAMED = "^[^/]{1,100}$"
_NAME = place("name", _NAMED, "As it was given, percent-encoded.")
_LIST = (
    query("limit", whole(1, LONGEST_PAGE), "How many; 50 where it is left out."),
    query("after", TEXT, "The last one of the page before: its name, or its id where it has one."),
)
_LATER = {"429": {"$ref": "#/components/responses/ConnectionError429"}}
_GOVERNS = "For whoever has `govern`."


def _admin(name: str, tag: str, summary: str, answer: str, *statuses: int) -> Operation:
    """A page for whoever's role has the permission."""
    return replace(page(name, tag, summary, answer, *statuses), besides=_LATER)


def _stored(name: str, tag: str, summary: str, answer: str, body: str, *statuses: int) -> Operation:
    """A page that takes JSON."""
    return made(_admin(name, tag, summary, answer, 400, *statuses), {JSON: ref(body)}, {})


def _new(name: str, tag: str, summary: str, answer: str, body: str, after: Mapping[str, Schema]) -> Operation:
    """A page that makes something."""
    return replace(_stored(name, tag, summary, answer, body), success=(201,), links=after)


def _listed(operation: Operation, *filters: Schema) -> Operation:
    return asked(replace(operation, statuses=(400, *operation.statuses)), *_LIST, *filters)


def admin_operations() -> Paths:
    """All that stands below `/admin/v1/`."""
    return _people() | _keys() | _roles() | _rules() | _limits() | _audit() | _holds()


# Who may come in.


def _people() -> Paths:
    tag = "People"
    after = links("name", "getDepartment", "updateDepartment", "deleteDepartment", field="name")
    joined = links("name", "getUser", "updateUser", "deleteUser", field="name")
    department = query("department", TEXT, "Only those of this one.")
    change = _stored(
        "updateDepartment", tag, "Changes a department, or switches it off.", "Department", "DepartmentChange", 404
    )
    moved = _stored("updateUser", tag, "Changes a user, or switches it off.", "User", "UserChange", 404)
    left = _admin("deleteUser", tag, "Removes a user who never had a key.", "User", 400, 404)
    unused = _admin("deleteDepartment", tag, "Removes a department that nobody is in.", "Department", 400, 404)
    return {
        f"{ROOT}/me": {"get": replace(page("getMe", tag, "Who asks, and what they may.", "Actor"), besides=_LATER)},
        f"{ROOT}/departments": {
            "get": _listed(_admin("listDepartments", tag, "All departments, by name.", "DepartmentList")),
            "post": _new("createDepartment", tag, "Adds a department.", "Department", "DepartmentNew", after),
        },
        f"{ROOT}/departments/{{name}}": {
            "get": asked(_admin("getDepartment", tag, "One department.", "Department", 404), _NAME),
            "patch": asked(change, _NAME),
            "delete": asked(unused, _NAME),
        },
        f"{ROOT}/users": {
            "get": _listed(_admin("listUsers", tag, "All users, by name.", "UserList"), department),
            "post": _new("createUser", tag, "Adds a user.", "User", "UserNew", joined),
        },
        f"{ROOT}/users/{{name}}": {
            "get": asked(_admin("getUser", tag, "One user.", "User", 404), _NAME),
            "patch": asked(moved, _NAME),
            "delete": asked(left, _NAME),
        },
    }


def _keys() -> Paths:
    tag = "People"
    one = place("key_id", "^key_[0-9a-f]{16}$", "As the key was given it.")
    after = links("key_id", "getKey", "updateKey", "revokeKey", "rotateKey")
    filters = (query("department", TEXT, "Only those of this one."), query("user", TEXT, "Only those of this one."))
    new = _new("createKey", tag, "Makes a key; its secret is told here and never again.", "KeyShown", "KeyNew", after)
    rotate = _stored("rotateKey", tag, "Gives a key another secret.", "KeyShown", "KeyRotation", 404)
    change = _stored("updateKey", tag, "Changes a key.", "Key", "KeyChange", 404)
    return {
        f"{ROOT}/keys": {
            "get": _listed(_admin("listKeys", tag, "All keys, the newest first.", "KeyList"), *filters),
            "post": replace(new, statuses=(*new.statuses, 404)),
        },
        f"{ROOT}/keys/{{key_id}}": {
            "get": asked(_admin("getKey", tag, "One key, without its secret.", "Key", 400, 404), one),
            "patch": asked(change, one),
            "delete": asked(_admin("revokeKey", tag, "Revokes a key; it stays in the list.", "Key", 400, 404), one),
        },
        f"{ROOT}/keys/{{key_id}}/rotate": {"post": asked(replace(rotate, optional=True), one)},
    }


def _roles() -> Paths:
    tag = "People"
    after = links("name", "getRole", "updateRole", "deleteRole", field="name")
    return {
        f"{ROOT}/roles": {
            "get": _listed(_admin("listRoles", tag, "All roles, by name.", "RoleList")),
            "post": _new("createRole", tag, "Adds a role.", "Role", "RoleNew", after),
        },
        f"{ROOT}/roles/{{name}}": {
            "get": asked(_admin("getRole", tag, "One role.", "Role", 404), _NAME),
            "patch": asked(_stored("updateRole", tag, "Changes a stored role.", "Role", "RoleChange", 404), _NAME),
            "delete": asked(_admin("deleteRole", tag, "Removes a stored role.", "Role", 404), _NAME),
        },
    }


# What is allowed, how much of it, and what was used.


def _rules() -> Paths:
    tag = "Rules"
    put = _stored("putRule", tag, "Stores a rule, in the place of one of this name.", "Rule", "RuleBody")
    explain = _stored("explainCall", tag, "What would be said of a call, and why.", "Explanation", "Question", 404)
    return {
        f"{ROOT}/rules": {"get": _listed(_admin("listRules", tag, "The rules in force, by id.", "RuleList"))},
        f"{ROOT}/rules/{{name}}": {
            "get": asked(_admin("getRule", tag, "One rule.", "Rule", 404), _NAME),
            "put": asked(replace(put, success=(200, 201)), _NAME),
            "delete": asked(_admin("deleteRule", tag, "Removes a stored rule.", "Rule", 400, 404), _NAME),
        },
        f"{ROOT}/explain": {"post": explain},
    }


def _limits() -> Paths:
    tag = "Limits"
    put = _stored("putLimit", tag, "Stores a limit, in the place of one of this name.", "Limit", "LimitBody", *AWAY)
    removed = _admin("deleteLimit", tag, "Removes a stored limit.", "LimitDeleted", 400, 404)
    usage = _admin("getUsage", tag, "What was used in a month. For whoever has `audit`.", "Usage", 400)
    table: Schema = {"type": "string", "description": "The same as a table (RFC 4180)."}
    filters = [query(name, TEXT, "Only what was used by it.") for name in USED_BY]
    headers = {**PAGE_HEADERS, "content-disposition": {"schema": TEXT, "description": "On a table."}}
    return {
        f"{ROOT}/limits": {
            "get": _listed(_admin("listLimits", tag, "The limits in force, and what is spent.", "LimitList", *AWAY))
        },
        f"{ROOT}/limits/{{name}}": {
            "get": asked(_admin("getLimit", tag, "One limit.", "Limit", 404, *AWAY), _NAME),
            "put": asked(replace(put, success=(200, 201)), _NAME),
            "delete": asked(removed, _NAME),
        },
        f"{ROOT}/usage": {
            "get": asked(
                replace(usage, answers={**usage.answers, "text/csv": table}, headers=headers),
                query("by", texts(*USED_BY, "day"), "What a line is; `department` where it is left out."),
                query(
                    "month", {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"}, "`2026-11`; else this one."
                ),
                query("format", texts("json", "csv"), "Else `accept` says it."),
                *filters,
            )
        },
    }


# What was done.

_FILTERS: tuple[Schema, ...] = (
    query("since", {"type": "number"}, "Begun then or later, in Unix seconds."),
    query("until", {"type": "number"}, "Begun before."),
    query("id", TEXT, "How the request id begins."),
    query("key", TEXT, "A key's id or name."),
    query("confined", texts("true", "false"), "Whether it could not leave the house."),
    *(
        query(name, TEXT)
        for name in ("department", "user", "model", "upstream", "outcome", "operation", "tier", "rule", "node")
    ),
    query("dialect", TEXT),
    query("cache", TEXT, "`hit`, `shared` or `miss`."),
)


def _audit() -> Paths:
    tag, path = "Audit", f"{ROOT}/audit"
    one = place("request_id", "^[A-Za-z0-9_-]{1,100}$", "The `request-id` of the call.")
    lines: Mapping[str, Schema] = {
        "application/x-ndjson": {"type": "string", "description": "A line of JSON for each record."},
        "text/csv": {"type": "string", "description": "A line for each record, and a heading (RFC 4180)."},
    }
    headers: Mapping[str, Any] = {**PAGE_HEADERS, "content-disposition": {"required": True, "schema": TEXT}}
    forms = query(
        "format", texts("jsonl", "csv", "proof"), "`proof` can be verified by itself, and takes `since` alone."
    )
    export = _admin("exportRecords", tag, "All records that are looked for, as a file.", "Record", 400)
    return {
        path: {
            "get": _listed(_admin("listRecords", tag, "Records of calls, the newest first.", "RecordList"), *_FILTERS)
        },
        path + "/{request_id}": {
            "get": asked(_admin("getRecord", tag, "One record, and the same in words.", "RecordTold", 404), one)
        },
        path + "/{request_id}/content": {
            "get": asked(
                _admin("getRecordContent", tag, "Question and answer, where text is kept.", "RecordContent", 404),
                one,
            )
        },
        path + "/count": {
            "get": asked(
                _admin("countRecords", tag, "How many records are looked for, 10,000 at most.", "RecordCount", 400),
                *_FILTERS,
            )
        },
        path + "/export": {"get": asked(replace(export, answers=lines, headers=headers), forms, *_FILTERS)},
        path + "/verify": {
            "get": _admin("getVerification", tag, "How far the check is, or what it found.", "Check"),
            "post": replace(
                _admin("verifyRecords", tag, "Begins a check of everything, one at a time.", "Check"), success=(202,)
            ),
        },
    }


def _holds() -> Paths:
    tag, path = "Audit", f"{ROOT}/audit/holds"
    after = links("name", "deleteHold", field="name")
    removed = replace(_admin("deleteHold", tag, f"Lets them go. {_GOVERNS}", "Hold", 404), answers={}, success=(204,))
    return {
        path: {
            "get": _listed(_admin("listHolds", tag, "What may not be dropped, by name.", "HoldList")),
            "post": _new("createHold", tag, f"Keeps records from being dropped. {_GOVERNS}", "Hold", "HoldNew", after),
        },
        path + "/{name}": {"delete": asked(removed, _NAME)},
    }


# Sign-in.


def _entry(name: str, summary: str, answer: str, *statuses: int) -> Operation:
    return replace(page(name, "Sign-in", summary, answer, *statuses), besides=_LATER)


def _cookie(headers: Mapping[str, Any]) -> dict[str, Any]:
    told = {"required": True, "description": "The session of this browser.", "schema": TEXT}
    return {**headers, "set-cookie": told}


def _sent(operation: Operation) -> Operation:
    """One that sends a browser elsewhere."""
    told = {"location": {"required": True, "schema": TEXT}}
    headers = _cookie({**PAGE_HEADERS, **told})
    return replace(operation, answers={}, success=(302,), headers=headers, keyed=False)


def sign_in_operations() -> Paths:
    """All that stands below `/auth/`. None of them needs to be known, but who asks who they are."""
    path = "/auth"
    begin = _entry("beginSignIn", "Sends a browser to the provider.", "SignedIn", 404, *AWAY)
    finish = _entry("finishSignIn", "Where the provider sends a browser back to.", "SignedIn", 400, 404, *AWAY)
    enter = made(_entry("signIn", "Sign-in by a key.", "SignedIn", 400), {JSON: ref("SignIn")}, {})
    ways = _entry("getSignInWays", "How one can sign in here.", "SignInWays")
    leave = _entry("signOut", "Ends the session.", "SignedOut")
    back = query("back", TEXT, "The page of ours to end at.")
    answered = [query(name, TEXT, "Of the provider.") for name in ("code", "state", "iss", "error")]
    return {
        f"{path}/login": {
            "get": asked(_sent(begin), back),
            "post": replace(enter, headers=_cookie(PAGE_HEADERS), keyed=False),
        },
        f"{path}/callback": {"get": asked(_sent(finish), *answered)},
        f"{path}/logout": {"post": replace(leave, headers=_cookie(PAGE_HEADERS))},
        f"{path}/me": {"get": _entry("getSignIn", "Who is signed in, and the word for changes.", "SignedIn")},
        f"{path}/ways": {"get": replace(ways, keyed=False)},
    }
