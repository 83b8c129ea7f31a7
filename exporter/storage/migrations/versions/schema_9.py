"""States of versions and references apart from them, numbered changes of counts, leases, sources of counts.

`version_states.last_prediction` was a column of `versions`, `reference_states.maturation_seconds` one of
`reference_profiles`: partitions have states of their own of versions and references that they share.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "9", "8"
rewrites: tuple[str, ...] = ("versions", "reference_profiles")


def upgrade() -> None:
    """Move the states, and create the tables."""
    op.create_table(
        "reference_states",
        sa.Column("reference_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("maturation_seconds", sa.Float, nullable=False),
    )
    op.execute(
        "INSERT INTO reference_states (reference_id, maturation_seconds) "
        "SELECT id, maturation_seconds FROM reference_profiles WHERE maturation_seconds IS NOT NULL"
    )
    op.drop_column("reference_profiles", "maturation_seconds")
    op.create_table(
        "version_states",
        sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("reference_id", sa.Integer),
        sa.Column("last_prediction", sa.Float),
        sa.Column("waiting_rows", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("unknown_columns", sa.String, nullable=False, server_default="[]"),
        sa.Column("totals", sa.LargeBinary),
        sa.Column("changed", sa.BigInteger),
    )
    op.execute(
        "INSERT INTO version_states (version_id, last_prediction) "
        "SELECT id, last_prediction FROM versions WHERE last_prediction IS NOT NULL"
    )
    op.drop_column("versions", "last_prediction")
    for name in ("aggregates", "outcomes"):
        op.add_column(name, sa.Column("changed", sa.BigInteger))
        where = sa.text("changed IS NOT NULL")
        op.create_index(f"{name}_by_change", name, ["changed"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "aggregate_sources",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary(16), nullable=False),
        sa.Column("at", sa.Float, nullable=False, index=True),
    )
    op.create_table(
        "wanted_versions",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("absent", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transitions", sa.Integer, nullable=False),
        if_not_exists=True,  # it is needed before the store is opened
    )
