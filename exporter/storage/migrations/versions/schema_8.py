"""Table of arrivals by version and hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "8", "7"
rewrites: tuple[str, ...] = ()


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "activity",
        sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("predictions", sa.BigInteger, nullable=False),
        sa.Column("stretches", sa.Integer, nullable=False),
        sa.Column("last_prediction", sa.Float),
        sa.Column("labels", sa.BigInteger, nullable=False),
        sa.Column("last_label", sa.Float),
        sa.Column("label_delay_seconds", sa.Float, nullable=False),
        sa.Column("coverage", sa.Float),
        sa.Index("activity_by_start", "start"),
        sqlite_with_rowid=False,
    )
