"""What the admin pages and those of sign-in take and answer, as JSON Schema: as strict as the pages are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from sampan.config.policy import DAYS, Action, Effect
from sampan.config.quota import MOST, Measure, Period
from sampan.core import Dialect, Location, Operation, Permission, Record
from sampan.edge.openapi_requests import (
    FILLED,
    FLAG,
    OBJECT,
    TEXT,
    WORDS,
    Schema,
    either,
    fields,
    maybe,
    ref,
    some,
    texts,
    whole,
)
from sampan.storage.keys import MAX_NETWORKS, MAX_OVERLAP
from sampan.storage.people import MAX_NAME, MAX_TITLE

NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "minimum": 0}
NAME: Schema = {
    "type": "string",
    "maxLength": MAX_NAME,
    "pattern": r"^[^/\s]([^/]*[^/\s])?$",
    "description": "Printable characters.",
}
TIME: Schema = {"type": "number", "description": "Unix seconds."}
PERMISSIONS = some(texts(*Permission))


def closed(schema: Schema) -> Schema:
    """The same with no other field."""
    return {**schema, "additionalProperties": False}


def change(**properties: Schema) -> Schema:
    """The body of a PATCH: some of these fields, and at least one."""
    return {**closed(fields("", **properties)), "minProperties": 1}


def listing(item: str) -> Schema:
    """A page of a list."""
    return fields("data has_more", data=some(ref(item)), has_more=FLAG)


# Who may come in.

_ACTOR: Mapping[str, Schema] = {
    "key_id": TEXT,
    "name": TEXT,
    "role": TEXT,
    "department": TEXT,
    "user": TEXT,
    "permissions": PERMISSIONS,
    "confined": {**TEXT, "description": "Why what it asks stays in the house; empty where it may leave."},
}
_KEY: Mapping[str, Schema] = {
    "id": {"type": "string", "pattern": "^key_"},
    "prefix": {**TEXT, "description": "The part of the secret that may be shown."},
    "name": TEXT,
    "role": {**TEXT, "description": "Empty: the user's."},
    "created": TIME,
    "expires": maybe(TIME),
    "revoked": maybe(TIME),
    "last_used": maybe(TIME),
    "kind": texts("key", "service"),
    "department": TEXT,
    "user": TEXT,
    "networks": some(TEXT),
    "confined": FLAG,
    "rotated": maybe(TIME),
    "overlap": {**maybe(TIME), "description": "Until when the secret before the last rotation is good."},
    "state": texts("valid", "expired", "revoked"),
    "permissions": PERMISSIONS,
}
_SECRET: Schema = {**TEXT, "description": "The secret; it is not kept and cannot be shown again."}
_NETWORKS = {**some(TEXT, most=MAX_NETWORKS), "description": "Where it may be used from, as CIDR. None: anywhere."}
_PEOPLE: Mapping[str, Schema] = {
    "Actor": fields(" ".join(_ACTOR), **_ACTOR),
    "Department": fields(
        "name title confined active created",
        name=TEXT,
        title=TEXT,
        confined={**FLAG, "description": "Whether what it asks stays in the house."},
        active=FLAG,
        created=TIME,
        users=whole(0),
        keys={**whole(0), "description": "Those that can be used."},
    ),
    "DepartmentList": listing("Department"),
    "DepartmentNew": closed(fields("name", name=NAME, title={**TEXT, "maxLength": MAX_TITLE}, confined=FLAG)),
    "DepartmentChange": change(title={**TEXT, "maxLength": MAX_TITLE}, confined=FLAG, active=FLAG),
    "User": fields(
        "name department role email active created",
        name=TEXT,
        department=TEXT,
        role=TEXT,
        email=TEXT,
        active=FLAG,
        created=TIME,
    ),
    "UserList": listing("User"),
    "UserNew": closed(fields("name", name=NAME, department=TEXT, role=TEXT, email=TEXT)),
    "UserChange": change(department=TEXT, role=TEXT, email=TEXT, active=FLAG),
    "Key": fields(" ".join(_KEY), **_KEY),
    "KeyShown": fields(" ".join((*_KEY, "key")), **_KEY, key=_SECRET),
    "KeyList": listing("Key"),
    "KeyNew": closed(
        fields(
            "name",
            name={**WORDS, "maxLength": MAX_NAME},
            role={**maybe(TEXT), "description": "Left out: the user's, or `member`."},
            department={**TEXT, "description": "Not beside `user`, whose department it is."},
            user=TEXT,
            service={**FLAG, "description": "Whether a program holds it."},
            networks=_NETWORKS,
            confined=FLAG,
            expires=maybe(TIME),
        )
    ),
    "KeyChange": change(
        name={**WORDS, "maxLength": MAX_NAME}, role=TEXT, networks=_NETWORKS, confined=FLAG, expires=maybe(TIME)
    ),
    "KeyRotation": closed(
        fields(
            overlap={
                "type": "number",
                "minimum": 0,
                "maximum": MAX_OVERLAP,
                "description": "Seconds for which the old secret stays good; an hour where it is left out.",
            }
        )
    ),
    "Role": fields(
        "name permissions",
        name=TEXT,
        permissions=PERMISSIONS,
        **{"from": texts("built in", "configuration", "database")},
        users=whole(0),
        keys=whole(0),
    ),
    "RoleList": listing("Role"),
    "RoleNew": closed(fields("name permissions", name=NAME, permissions=PERMISSIONS)),
    "RoleChange": closed(fields("permissions", permissions=PERMISSIONS)),
    "SignIn": {
        **fields("key", key=WORDS),
        "additionalProperties": TEXT,
        "description": "A key of the gateway; no token.",
    },
    "SignedIn": fields(
        " ".join(("signed_in", "csrf", *_ACTOR)),
        signed_in={"type": "boolean", "const": True},
        csrf={**TEXT, "description": "For `x-sampan-csrf`; empty for who came by a key."},
        **_ACTOR,
    ),
    "SignedOut": fields("signed_in", signed_in={"type": "boolean", "const": False}),
    "SignInWays": fields("key provider", key=FLAG, provider=FLAG),
}

# Rules.

_PATTERNS: Schema = some({**FILLED, "maxLength": 200})
_MORE: Schema = {"type": "number", "minimum": 0}
_NOTES = some({**TEXT, "description": "After PUT: a name in it that nobody here has, which a token may still bring."})
_CONDITIONS: Mapping[str, Schema] = {
    "departments": _PATTERNS,
    "roles": _PATTERNS,
    "users": _PATTERNS,
    "keys": _PATTERNS,
    "models": _PATTERNS,
    "operations": some(texts(*Operation)),
    "dialects": some(texts(*Dialect)),
    "tools": _PATTERNS,
    "collections": _PATTERNS,
    "over_megapixels": _MORE,
    "over_pictures": whole(0),
    "over_tokens": whole(0),
    "hours": some(
        {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"}
    ),
    "days": some(texts(*DAYS)),
    "time_zone": {**TEXT, "description": "A name such as `Asia/Shanghai`, or `+08:00`. Empty: that of `[policy]`."},
    "networks": some({**TEXT, "description": "CIDR; with `!` before it, where it must not be."}),
}
_RULES: Mapping[str, Schema] = {
    "Rule": {
        **fields(
            "id name effect source updated",
            id={**TEXT, "description": "`configuration:NAME` for one of the configuration."},
            name=TEXT,
            effect=texts(*Effect),
            source=texts("configuration", "stored"),
            updated=maybe(TIME),
            notes=_NOTES,
            **_CONDITIONS,
        ),
        "description": "It concerns a call if all of its conditions hold; one that is not told holds.",
    },
    "RuleList": fields(
        "data has_more policy residency",
        data=some(ref("Rule")),
        has_more=FLAG,
        policy=fields("default time_zone", default=texts("allow", "deny"), time_zone=TEXT),
        residency={
            **fields(
                "departments models detect",
                departments=some(TEXT),
                models=some(TEXT),
                detect={"type": "object", "additionalProperties": texts(*Action)},
            ),
            "description": "What may not leave whatever rules say; it stands in the configuration.",
        },
    ),
    "RuleBody": {
        **closed(fields("effect", name=TEXT, effect=texts(*Effect), **_CONDITIONS)),
        "description": "`name` is that of the path, or left out. Others may be patterns, and have `!` before them.",
    },
    "Question": {
        **closed(
            fields(
                key={
                    **TEXT,
                    "description": "Who asks: a key by its id or the beginning of it, and then no other word.",
                },
                department=TEXT,
                role=TEXT,
                user=TEXT,
                model=TEXT,
                operation=texts(*Operation),
                dialect=maybe(texts(*Dialect)),
                tools=some(TEXT),
                size={**TEXT, "examples": ["1024x1024"]},
                pictures=whole(),
                answer_tokens=whole(),
                collection=TEXT,
                residency=maybe(texts("local")),
                peer={**TEXT, "description": "The caller's address."},
                at=either(TIME, {**TEXT, "examples": ["2026-11-22T20:30"]}, {"type": "null"}),
                body={**maybe(OBJECT), "description": "The call itself, in the wire format of `dialect`."},
            )
        ),
        "description": "Who would ask what: a `model`, or a `body` that names one.",
    },
    "Explanation": fields(
        "decision rule message confined masked unseen rules targets limits notes",
        decision=texts("allow", "deny"),
        rule={**TEXT, "description": "Which decided."},
        message={**TEXT, "description": "What a caller would be told."},
        confined={**TEXT, "description": "Why it may not leave the house; empty where it may."},
        masked={**FLAG, "description": "Whether identifiers are masked if it leaves."},
        unseen={**FLAG, "description": "Whether what it holds has to be read first."},
        rules=some(
            fields(
                "name effect stored concerns why",
                name=TEXT,
                effect=texts(*Effect),
                stored=FLAG,
                concerns=FLAG,
                why=TEXT,
            )
        ),
        targets=some(fields("upstream model location", upstream=TEXT, model=TEXT, location=texts(*Location))),
        limits={
            **some(fields("name pot", name=TEXT, pot=TEXT)),
            "description": "Which limits it would spend, each with the pot of it.",
        },
        notes=some({**TEXT, "description": "On who would ask, such as a department that nobody here knows."}),
    ),
}

# Limits and usage.

_SCOPES: Mapping[str, Schema] = {
    **dict.fromkeys(("department", "role", "user", "key", "model"), TEXT),
    "operation": texts("", "*", *Operation),
}
_LIMITS: Mapping[str, Schema] = {
    "Limit": fields(
        "name what most per scope soft stored pots",
        name=TEXT,
        what=texts(*Measure),
        most=SHARE,
        per=maybe(texts(*(each for each in Period if each))),
        scope={"type": "object", "additionalProperties": TEXT},
        soft=SHARE,
        stored={**FLAG, "description": "Whether it can be changed here; else it stands in the configuration."},
        pots=some(
            fields(
                "pot spent reserved left share since resets",
                pot={**TEXT, "description": "Whose: `department=icu`; empty where all share one."},
                spent=SHARE,
                reserved=SHARE,
                left=SHARE,
                share={**NUMBER, "description": "How much of it is spent or reserved; 1 is all."},
                since=maybe(TIME),
                resets=maybe(TIME),
            )
        ),
        notes=_NOTES,
    ),
    "LimitList": fields(
        "data has_more currency time_zone",
        data=some(ref("Limit")),
        has_more=FLAG,
        currency={**TEXT, "description": "What `money` is counted in."},
        time_zone={**TEXT, "description": "Whose days and months are meant."},
    ),
    "LimitBody": {
        **closed(
            fields(
                "what most",
                name=TEXT,
                what=texts(*Measure),
                most={"type": "number", "minimum": 0, "maximum": MOST},
                per=texts(*Period),
                soft=SHARE,
                **_SCOPES,
            )
        ),
        "description": "`name` is that of the path, or left out. `concurrency` has no `per`, all others have.",
    },
    "LimitDeleted": fields("name deleted", name=TEXT, deleted={"type": "boolean", "const": True}),
    "Usage": fields(
        "month since until currency by data has_more",
        month={"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
        since=TIME,
        until=TIME,
        currency=TEXT,
        by=TEXT,
        data=some(
            fields(
                "name label calls not_answered input_tokens output_tokens pictures cost",
                name=TEXT,
                label={**TEXT, "description": "A key's name, where it is by keys."},
                **dict.fromkeys(("calls", "input_tokens", "output_tokens", "pictures"), whole(0)),
                not_answered={**whole(0), "description": "Refused, rejected, failed, broken off or left."},
                cost=NUMBER,
            )
        ),
        has_more=FLAG,
    ),
}

# The audit.

_KINDS: Mapping[Any, Schema] = {str: TEXT, int: whole(), float: NUMBER, bool: FLAG}
_RECORD: Mapping[str, Schema] = {
    **{name: _KINDS[kind] for name, kind in get_type_hints(Record).items() if name in Record.__struct_fields__},
    "node": TEXT,
    "number": whole(1),
    "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}
_HOLD: Mapping[str, Schema] = {
    "name": NAME,
    "department": {**TEXT, "description": "Whose records; empty: all."},
    "since": maybe(TIME),
    "until": maybe(TIME),
    "reason": TEXT,
}
_AUDIT: Mapping[str, Schema] = {
    "Record": fields(" ".join(_RECORD), **_RECORD),
    "RecordList": fields(
        "data has_more currency",
        data=some(ref("Record")),
        has_more=FLAG,
        currency={**TEXT, "description": "Of costs."},
    ),
    "RecordTold": fields(
        " ".join((*_RECORD, "story", "currency", "seal")),
        **_RECORD,
        story={**TEXT, "description": "The same in words, a line to a thing."},
        currency=TEXT,
        seal=maybe(fields("ordinal number time", ordinal=whole(1), number=whole(1), time=TIME)),
    ),
    "RecordCount": fields("count more", count=whole(0), more={**FLAG, "description": "There are more than `count`."}),
    "RecordContent": fields("question answer cut", question=TEXT, answer=TEXT, cut=some(texts("question", "answer"))),
    "Check": fields(
        "state",
        state=texts("never", "running", "done", "failed"),
        started=TIME,
        ended=TIME,
        done={**whole(0), "description": "Records that were looked at so far."},
        total=whole(0),
        result=fields(
            "good nodes records seals dropped contents problems problem_count notes",
            good=FLAG,
            **dict.fromkeys(("nodes", "records", "seals", "dropped", "contents", "problem_count"), whole(0)),
            problems=some(fields("node number what", node=TEXT, number=whole(0), what=TEXT)),
            notes=some(TEXT),
        ),
    ),
    "Hold": fields(" ".join((*_HOLD, "made")), **_HOLD, made=TIME),
    "HoldList": listing("Hold"),
    "HoldNew": closed(fields("name", **_HOLD)),
}

ADMIN: Mapping[str, Schema] = {**_PEOPLE, **_RULES, **_LIMITS, **_AUDIT}
