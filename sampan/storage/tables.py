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
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from sampan.core import Record

METADATA = MetaData()

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
)

ARTIFACTS = Table(
    "artifacts",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, index=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("owner_key_id", Text, nullable=False),
    Column("created", Float, nullable=False, index=True),
    Column("provenance", Text, nullable=False),
)

_COLUMN_TYPES: dict[object, type[TypeEngine[Any]]] = {str: Text, int: BigInteger, float: Float, bool: Boolean}

# The columns are the fields of `Record`, in its order: a field cannot be kept in the spool and forgotten in the table.
# `sequence` is the order of arrival, which times cannot give (a record's `started` lies before its end).
RECORDS = Table(
    "records",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    *(
        Column(field.name, _COLUMN_TYPES[field.type], nullable=False, unique=field.name == "id")
        for field in msgspec.structs.fields(Record)
    ),
    Index("records_started", "started"),
)


# Files and batches (schema 2). `sequence` is the order of arrival, which pages are cut by.
FILES = Table(
    "files",
    METADATA,
    Column("sequence", Integer, primary_key=True),
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
    Column("sequence", Integer, primary_key=True),
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
    Column("batch_sequence", Integer, primary_key=True),
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
    Column("sequence", Integer, primary_key=True),
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
    Column("id", Integer, primary_key=True),
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
