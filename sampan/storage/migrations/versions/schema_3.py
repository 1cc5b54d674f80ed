"""Schema 3: which release of a model is in force, and the promotions that led there."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Float, Text

from sampan.storage.migrations import SEQUENCE

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "pins",
        Column("engine", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("revision", "previous", "configured")),
        Column("since", Float, nullable=False),
    )
    op.create_table(
        "promotions",
        Column("id", SEQUENCE, primary_key=True),
        Column("engine", Text, nullable=False, index=True),
        *(Column(name, Text, nullable=False) for name in ("revision", "kind", "stage")),
        Column("share", Float, nullable=False),
        Column("detail", Text, nullable=False),
        Column("asked", Float, nullable=False),
        Column("ended", Float),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("promotions")
    op.drop_table("pins")
