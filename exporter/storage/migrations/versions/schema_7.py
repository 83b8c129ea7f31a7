"""Tables of sampled rows, of reports and of importances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "7", "6"
rewrites: tuple[str, ...] = ()


def upgrade() -> None:
    """Create the tables."""
    sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "sampled_rows",
        sa.Column("id", sequence, primary_key=True),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("priority", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("id_hash", sa.LargeBinary(16)),
        sa.Column("label", sa.String),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Index("sampled_rows_by_block", "version_id", "start", "priority", "size"),
    )
    op.create_table(
        "reference_rows",
        sa.Column("reference_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "importances",
        sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("shares", sa.String, nullable=False),
        sa.Column("problem", sa.String, nullable=False),
    )
    op.create_table(
        "reports",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("window", sa.String, nullable=False),
        sa.Column("start", sa.Float, nullable=False),
        sa.Column("end", sa.Float, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("action_id", sa.String, nullable=False),
        sa.Column("verdicts", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False, index=True),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("finished_at", sa.Float),
        sa.Column("problem", sa.String, nullable=False),
        sa.Column("notes", sa.String, nullable=False),
        sa.Column("reference_digest", sa.String, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("counted", sa.BigInteger, nullable=False),
        sa.Column("values", sa.String, nullable=False),
        sa.Column("mlflow_state", sa.String, nullable=False, index=True),
        sa.Column("mlflow_run_id", sa.String, nullable=False),
        sa.Column("evidently_state", sa.String, nullable=False, index=True),
        sa.Column("evidently_run_id", sa.String, nullable=False, server_default=""),
        sa.Column("send_attempts", sa.Integer, nullable=False),
        sa.Column("send_after", sa.Float),
        sa.Column("send_problem", sa.String, nullable=False, server_default=""),
        sa.Index("reports_by_version", "version_id", "created_at"),
    )
    op.create_table(
        "report_files",
        sa.Column("report_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
