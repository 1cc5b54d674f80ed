"""Schema 1: keys, artifacts and records."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float, Text

from sampan.storage.migrations import SEQUENCE

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("settings", Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
    op.create_table(
        "keys",
        Column("id", Text, primary_key=True),
        Column("digest", Text, nullable=False, unique=True),
        *(Column(name, Text, nullable=False) for name in ("prefix", "name", "role")),
        Column("created", Float, nullable=False),
        *(Column(name, Float) for name in ("expires", "revoked", "last_used")),
    )
    op.create_table(
        "artifacts",
        Column("sequence", SEQUENCE, primary_key=True),
        Column("sha256", Text, nullable=False, index=True),
        Column("media_type", Text, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("owner_key_id", Text, nullable=False),
        Column("created", Float, nullable=False, index=True),
        Column("provenance", Text, nullable=False),
    )
    op.create_table(
        "records",
        Column("sequence", SEQUENCE, primary_key=True),
        Column("id", Text, nullable=False, unique=True),
        Column("started", Float, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("key_id", "key_name", "dialect", "operation", "model")),
        Column("stream", Boolean, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("status", BigInteger, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("error", "upstream", "tier", "attempts")),
        *(
            Column(name, BigInteger, nullable=False)
            for name in ("input_tokens", "output_tokens", "images", "bytes_in", "bytes_out")
        ),
        *(Column(name, Float, nullable=False) for name in ("first_event_ms", "total_ms")),
    )
    op.create_index("records_started", "records", ["started"])


def downgrade() -> None:
    for table in ("records", "artifacts", "keys", "settings"):
        op.drop_table(table)
