"""Schema 4: departments and users, rules and limits, quota, and the chain of the audit."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float, LargeBinary, Text, false

revision = "0004"
down_revision = "0003"

KEYS = ("kind", "department", "user", "networks", "previous")
RECORDS = ("department", "user", "peer", "rule", "confined", "cache", "content", "masked", "node", "hash")
INDEXES = {
    "records_department": "department",
    "records_user": "user",
    "records_key": "key_id",
    "records_outcome": "outcome",
    "records_rule": "rule",
}
TABLES = (
    *("statutes", "seals", "days_dropped", "contents", "holds", "deliveries"),
    *("departments", "users", "sessions", "subjects", "quota_spent", "quota_journals", "condemned"),
)


def upgrade() -> None:
    for name in KEYS:
        op.add_column("keys", Column(name, Text, nullable=False, server_default=""))
    op.add_column("keys", Column("confined", Boolean, nullable=False, server_default=false()))
    op.add_column("keys", Column("rotated", Float))
    op.add_column("keys", Column("overlap", Float))
    for name in RECORDS:
        op.add_column("records", Column(name, Text, nullable=False, server_default=""))
    op.add_column("records", Column("cost", Float, nullable=False, server_default="0"))
    op.add_column("records", Column("number", BigInteger, nullable=False, server_default="0"))
    # Those of before stand in no chain yet (`storage.chain_writer` takes them in); each has a number all the same.
    op.execute("UPDATE records SET number = sequence")
    op.create_index("records_chain", "records", ["node", "number"], unique=True)
    for name, column in INDEXES.items():
        op.create_index(name, "records", [column, "started"])
    _create_statutes()
    _create_audit()
    _create_people()
    _create_quota()
    # Objects that nobody has a row of any more, and until when somebody is removing them.
    op.create_table("condemned", Column("sha256", Text, primary_key=True), Column("until", Float, nullable=False))


def _create_statutes() -> None:
    op.create_table(
        "statutes",
        Column("kind", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("body", Text, nullable=False),
        Column("updated", Float, nullable=False),
    )


def _create_audit() -> None:
    op.create_table(
        "seals",
        Column("node", Text, primary_key=True),
        Column("ordinal", BigInteger, primary_key=True, autoincrement=False),
        Column("number", BigInteger, nullable=False),
        Column("hash", Text, nullable=False),
        Column("time", Float, nullable=False),
        Column("key", Text, nullable=False),
        Column("signature", Text, nullable=False),
    )
    op.create_table(
        "days_dropped",
        Column("node", Text, primary_key=True),
        Column("day", Text, nullable=False),
        Column("first", BigInteger, primary_key=True, autoincrement=False),
        Column("last", BigInteger, nullable=False),
        Column("before", Text, nullable=False),
        Column("hash", Text, nullable=False),
        Column("count", BigInteger, nullable=False),
        Column("time", Float, nullable=False),
        Column("key", Text, nullable=False),
        Column("signature", Text, nullable=False),
    )
    op.create_table("contents", Column("id", Text, primary_key=True), Column("data", LargeBinary, nullable=False))
    op.create_table(
        "holds",
        Column("name", Text, primary_key=True),
        Column("department", Text, nullable=False),
        Column("since", Float),
        Column("until", Float),
        Column("reason", Text, nullable=False),
        Column("made", Float, nullable=False),
    )
    op.create_table(
        "deliveries",
        Column("sink", Text, primary_key=True),
        Column("node", Text, primary_key=True),
        Column("number", BigInteger, nullable=False),
        Column("time", Float, nullable=False),
    )


def _create_people() -> None:
    op.create_table(
        "departments",
        Column("name", Text, primary_key=True),
        Column("title", Text, nullable=False),
        Column("confined", Boolean, nullable=False),
        Column("active", Boolean, nullable=False),
        Column("created", Float, nullable=False),
    )
    op.create_table(
        "users",
        Column("name", Text, primary_key=True),
        Column("department", Text, nullable=False, index=True),
        Column("role", Text, nullable=False),
        Column("email", Text, nullable=False),
        Column("active", Boolean, nullable=False),
        Column("created", Float, nullable=False),
    )
    op.create_table(
        "sessions",
        Column("id", Text, primary_key=True),
        Column("credential", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("created", Float, nullable=False),
        Column("expires", Float, nullable=False, index=True),
        Column("revoked", Float),
    )
    op.create_table(
        "subjects",
        Column("id", Text, primary_key=True),
        Column("subject", Text, nullable=False),
        Column("seen", Float, nullable=False, index=True),
    )


def _create_quota() -> None:
    op.create_table(
        "quota_spent",
        *(Column(name, Text, primary_key=True) for name in ("node", "meter", "pot")),
        Column("since", BigInteger, primary_key=True, autoincrement=False),
        Column("until", BigInteger, nullable=False, index=True),
        Column("spent", BigInteger, nullable=False),
    )
    op.create_table(
        "quota_journals", Column("node", Text, primary_key=True), Column("position", BigInteger, nullable=False)
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    for name in ("records_chain", *INDEXES):
        op.drop_index(name, "records")
    for name in (*RECORDS, "cost", "number"):
        op.drop_column("records", name)
    for name in (*KEYS, "confined", "rotated", "overlap"):
        op.drop_column("keys", name)
