"""Tables of the audit trail's chain, and of remediation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "6", "5"
rewrites: tuple[str, ...] = ("audit",)


def upgrade() -> None:
    """Create the tables."""
    op.add_column("versions", sa.Column("config_digest", sa.String, nullable=False, server_default=""))
    sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "audit_records",
        sa.Column("seq", sequence, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False, index=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action_id", sa.String, nullable=False, index=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("body_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Index("audit_records_by_model", "model", "seq"),
    )
    op.create_table(
        "verdict_states",
        sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("verdicts", sa.String, nullable=False),
    )
    op.create_table(
        "audit_segments",
        sa.Column("first_seq", sequence, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("last_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("pruned_at", sa.Float),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("seq", sequence, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("note", sa.String, nullable=False),
    )
    op.create_table(
        "alert_deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False, index=True),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("receiver", sa.String, nullable=False),
        sa.Column("group_key", sa.String, nullable=False),
        sa.Column("alerts", sa.Integer, nullable=False),
        sa.Column("truncated", sa.Integer, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("delivery_id", sa.Integer, nullable=False, index=True),
        sa.Column("at", sa.Float, nullable=False, index=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("alertname", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("labels", sa.String, nullable=False),
        sa.Column("annotations", sa.String, nullable=False),
        sa.Column("starts_at", sa.Float),
        sa.Column("ends_at", sa.Float),
        sa.Column("fingerprint", sa.String, nullable=False),
    )
    op.create_table(
        "remediations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False, index=True),
        sa.Column("alias", sa.String, nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("target_version", sa.String, nullable=False),
        sa.Column("tenure", sa.Integer, nullable=False),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("guard", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.String, nullable=False),
        sa.Column("lease_until", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False, index=True),
        sa.Column("executed_at", sa.Float),
        sa.Column("approved_by", sa.String, nullable=False),
        sa.Column("alert", sa.String, nullable=False),
        sa.Column("data", sa.String, nullable=False),
    )
    op.create_table(
        "remediation_holds",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("alias", sa.String, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("lifted_at", sa.Float),
        sa.Column("lifted_by", sa.String, nullable=False, server_default=""),
    )
