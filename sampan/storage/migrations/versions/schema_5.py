"""Schema 5: indexes of records leave out what most of them have in common; what people keep in the console."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Float, Text, column, literal_column

revision = "0005"
down_revision = "0004"

COMMON = {"department": "", "user": "", "rule": "", "outcome": "ok"}


def upgrade() -> None:
    for name, value in COMMON.items():
        rare = column(name) != literal_column(f"'{value}'")
        op.drop_index(f"records_{name}", "records")
        op.create_index(f"records_{name}", "records", [name, "started"], sqlite_where=rare, postgresql_where=rare)
    op.create_table(
        "papers",
        Column("id", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("owner", "kind", "title")),
        *(Column(name, Float, nullable=False) for name in ("created", "updated")),
        Column("body", Text, nullable=False),
    )
    op.create_index("papers_owner", "papers", ["owner", "kind", "updated"])


def downgrade() -> None:
    op.drop_table("papers")
    for name in COMMON:
        op.drop_index(f"records_{name}", "records")
        op.create_index(f"records_{name}", "records", [name, "started"])
