"""Every table, once. Those who read and write them are the modules of this room; `db` opens the database.

Times are Unix seconds. Tables of `schema N` came with that version of the schema; how a database gets from one to the
next stands in `migrations`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    literal_column,
)
from sqlalchemy.types import TypeEngine

from sampan.core import Record

METADATA = MetaData()

# What counts rows up by itself: SQLite does so for this type alone, where it has 64 bits anyway.
SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

SETTINGS = Table(
    "settings",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("last_used", Float),
    # Schema 4. `networks` are CIDRs with blanks between; `previous` is the digest before the last rotation, good until
    # `overlap`.
    Column("kind", Text, nullable=False, default=""),
    Column("department", Text, nullable=False, default=""),
    Column("user", Text, nullable=False, default=""),
    Column("networks", Text, nullable=False, default=""),
    Column("confined", Boolean, nullable=False, default=False),
    Column("rotated", Float),
    Column("previous", Text, nullable=False, default=""),
    Column("overlap", Float),
)

ARTIFACTS = Table(
    "artifacts",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("sha256", Text, nullable=False, index=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("owner_key_id", Text, nullable=False),
    Column("created", Float, nullable=False, index=True),
    Column("provenance", Text, nullable=False),
)

_COLUMN_TYPES: dict[object, type[TypeEngine[Any]]] = {str: Text, int: BigInteger, float: Float, bool: Boolean}

# The columns are the fields of `Record`, in its order: a field cannot be kept in the spool and forgotten in the table.
# `sequence` is the order of arrival, which times cannot give (a record's `started` lies before its end). The last three
# are the record's place in the chain of its node (schema 4): see `storage.chain`.
RECORDS = Table(
    "records",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    *(
        Column(field.name, _COLUMN_TYPES[field.type], nullable=False, unique=field.name == "id")
        for field in msgspec.structs.fields(Record)
    ),
    Column("node", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Index("records_chain", "node", "number", unique=True),
    Index("records_key", "key_id", "started"),
    Index("records_started", "started"),
)

# What most records have in common nobody looks for by an index: these leave it out (schema 5), and cost only the calls
# that have something else. `is_value` is how they are asked.
_COMMON = {"department": "", "user": "", "rule": "", "outcome": "ok"}


def _is_rare(name: str) -> ColumnElement[bool]:
    # Literally, for databases find out that an index serves a question before they are told the values in it.
    return RECORDS.c[name] != literal_column(f"'{_COMMON[name]}'")


def is_value(name: str, value: str) -> ColumnElement[bool]:
    """Whether a text of a record is `value`, asked so that an index can answer."""
    same = RECORDS.c[name] == value
    return and_(same, _is_rare(name)) if name in _COMMON and value != _COMMON[name] else same


for _name in _COMMON:
    Index(
        f"records_{_name}",
        RECORDS.c[_name],
        RECORDS.c.started,
        sqlite_where=_is_rare(_name),
        postgresql_where=_is_rare(_name),
    )


# Files and batches (schema 2). `sequence` is the order of arrival, which pages are cut by.
FILES = Table(
    "files",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner_key_id", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("purpose", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("downloadable", Boolean, nullable=False),
    Index("files_owner", "owner_key_id", "sequence"),
    sqlite_autoincrement=True,
)

# The four counts are those of an ended batch: until then the wire wants zeros, and nobody has to keep them.
BATCHES = Table(
    "batches",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner_key_id", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("cancel_initiated", Float),
    Column("ended", Float),
    Column("archived", Float),
    Column("total", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, default=0),
    Column("errored", Integer, nullable=False, default=0),
    Column("canceled", Integer, nullable=False, default=0),
    Column("expired", Integer, nullable=False, default=0),
    Index("batches_owner", "owner_key_id", "sequence"),
    sqlite_autoincrement=True,
)

BATCH_REQUESTS = Table(
    "batch_requests",
    METADATA,
    Column("batch_sequence", SEQUENCE, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("custom_id", Text, nullable=False),
    Column("params", LargeBinary, nullable=False),
    Column("outcome", Text),
    Column("result", LargeBinary),
)
Index(
    "batch_requests_pending",
    BATCH_REQUESTS.c.batch_sequence,
    BATCH_REQUESTS.c.position,
    sqlite_where=BATCH_REQUESTS.c.outcome.is_(None),
    postgresql_where=BATCH_REQUESTS.c.outcome.is_(None),
)


# The answers of the Responses wire: see `storage.responses`.
RESPONSES = Table(
    "responses",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("owner_key_id", Text, nullable=False),
    Column("created", Float, nullable=False, index=True),
    Column("previous", Text),
    Column("response", LargeBinary, nullable=False),
)

# `side` is 0 for the input and 1 for the output; an item's own id may come back in many inputs and is no key.
RESPONSE_ITEMS = Table(
    "response_items",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("response_id", Text, nullable=False),
    Column("side", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("id", Text, nullable=False, index=True),
    Column("item", LargeBinary, nullable=False),
    Index("response_items_place", "response_id", "side", "position"),
)

# Releases of models (schema 3): see `storage.releases`. `configured` is the revision that the configuration named then.
PINS = Table(
    "pins",
    METADATA,
    Column("engine", Text, primary_key=True),
    Column("revision", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("configured", Text, nullable=False),
    Column("since", Float, nullable=False),
)

PROMOTIONS = Table(
    "promotions",
    METADATA,
    Column("id", SEQUENCE, primary_key=True),
    Column("engine", Text, nullable=False, index=True),
    Column("revision", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("share", Float, nullable=False),
    Column("detail", Text, nullable=False),
    Column("asked", Float, nullable=False),
    Column("ended", Float),
    sqlite_autoincrement=True,
)

# Rules, limits and roles of one's own (schema 4): see `storage.statutes`. `body` is a JSON object.
STATUTES = Table(
    "statutes",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("updated", Float, nullable=False),
)

# The audit (schema 4): what holds the chains of records together, see `storage.chain` and `storage.evidence`.
SEALS = Table(
    "seals",
    METADATA,
    Column("node", Text, primary_key=True),
    Column("ordinal", BigInteger, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("key", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

DAYS_DROPPED = Table(
    "days_dropped",
    METADATA,
    Column("node", Text, primary_key=True),
    Column("day", Text, nullable=False),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("before", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("time", Float, nullable=False),
    Column("key", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

CONTENTS = Table(
    "contents",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

HOLDS = Table(
    "holds",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("department", Text, nullable=False),
    Column("since", Float),
    Column("until", Float),
    Column("reason", Text, nullable=False),
    Column("made", Float, nullable=False),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("sink", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("time", Float, nullable=False),
)

# Who is who (schema 4): see `storage.people` and `storage.sessions`. Names are what everything else refers to.
DEPARTMENTS = Table(
    "departments",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("confined", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created", Float, nullable=False),
)

USERS = Table(
    "users",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("department", Text, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created", Float, nullable=False),
)

# `id` is the SHA-256 of what the browser holds, `credential` that of the key it signed in with. `subject` is the JSON
# of who signed in at a provider.
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("credential", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False, index=True),
    Column("revoked", Float),
)

# Those whose tokens came in: what they asked to be done later is done in their name. `subject` is JSON, as above.
SUBJECTS = Table(
    "subjects",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("seen", Float, nullable=False, index=True),
)

# Quota (schema 4): see `storage.ledger`. What each node has charged to a pot, in the pot's unit, over its window; and
# how far into its journal that goes.
QUOTA_SPENT = Table(
    "quota_spent",
    METADATA,
    Column("node", Text, primary_key=True),
    Column("meter", Text, primary_key=True),
    Column("pot", Text, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("until", BigInteger, nullable=False, index=True),
    Column("spent", BigInteger, nullable=False),
)

QUOTA_JOURNALS = Table(
    "quota_journals",
    METADATA,
    Column("node", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# Objects that nobody has a row of any more (schema 4): see `storage.objects`. Until `until` somebody is removing it.
CONDEMNED = Table(
    "condemned",
    METADATA,
    Column("sha256", Text, primary_key=True),
    Column("until", Float, nullable=False),
)

# What people keep in the console (schema 5): see `storage.papers`. `body` is a JSON object.
PAPERS = Table(
    "papers",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    Column("body", Text, nullable=False),
    Index("papers_owner", "owner", "kind", "updated"),
)
