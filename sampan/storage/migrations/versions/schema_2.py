"""Schema 2: files, batches and responses, and the receipts of records."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, LargeBinary, Text, inspect, text

from sampan.storage.migrations import SEQUENCE

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # The last programs of schema 1 may have made it already.
    if "receipt" not in {column["name"] for column in inspect(op.get_bind()).get_columns("records")}:
        op.add_column("records", Column("receipt", Text, nullable=False, server_default=""))
    op.create_table(
        "files",
        Column("sequence", SEQUENCE, primary_key=True),
        Column("id", Text, nullable=False, unique=True),
        *(Column(name, Text, nullable=False) for name in ("owner_key_id", "filename", "mime_type")),
        Column("size", BigInteger, nullable=False),
        Column("created", Float, nullable=False),
        Column("expires", Float),
        Column("purpose", Text, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("downloadable", Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("files_owner", "files", ["owner_key_id", "sequence"])
    _create_batches()
    op.create_table(
        "responses",
        Column("id", Text, primary_key=True),
        Column("owner_key_id", Text, nullable=False),
        Column("created", Float, nullable=False, index=True),
        Column("previous", Text),
        Column("response", LargeBinary, nullable=False),
    )
    op.create_table(
        "response_items",
        Column("sequence", SEQUENCE, primary_key=True),
        Column("response_id", Text, nullable=False),
        Column("side", Integer, nullable=False),
        Column("position", Integer, nullable=False),
        Column("id", Text, nullable=False, index=True),
        Column("item", LargeBinary, nullable=False),
    )
    op.create_index("response_items_place", "response_items", ["response_id", "side", "position"])


def _create_batches() -> None:
    op.create_table(
        "batches",
        Column("sequence", SEQUENCE, primary_key=True),
        Column("id", Text, nullable=False, unique=True),
        Column("owner_key_id", Text, nullable=False),
        Column("headers", Text, nullable=False),
        Column("created", Float, nullable=False),
        Column("expires", Float, nullable=False),
        *(Column(name, Float) for name in ("cancel_initiated", "ended", "archived")),
        *(Column(name, Integer, nullable=False) for name in ("total", "succeeded", "errored", "canceled", "expired")),
        sqlite_autoincrement=True,
    )
    op.create_index("batches_owner", "batches", ["owner_key_id", "sequence"])
    op.create_table(
        "batch_requests",
        Column("batch_sequence", SEQUENCE, primary_key=True, autoincrement=False),
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("custom_id", Text, nullable=False),
        Column("params", LargeBinary, nullable=False),
        Column("outcome", Text),
        Column("result", LargeBinary),
    )
    pending = text("outcome IS NULL")
    columns = ["batch_sequence", "position"]
    op.create_index("batch_requests_pending", "batch_requests", columns, sqlite_where=pending, postgresql_where=pending)


def downgrade() -> None:
    for table in ("response_items", "responses", "batch_requests", "batches", "files"):
        op.drop_table(table)
    op.drop_column("records", "receipt")
