"""Tables of the audit trail's chain, and of remediation.

The rows of the table `audit`, replaced references, become the first records of the chain. Its format is
repeated here, since a later one would not change what was written.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from hashlib import sha256

import rfc8785
import sqlalchemy as sa
from alembic import op

from exporter import __version__

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
        sa.Column("action_id", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("body_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Index("audit_records_by_model", "model", "seq"),
        sa.Index("audit_records_by_kind", "kind", "seq"),
        sa.Index("audit_records_by_action", "action_id", "seq"),
    )
    op.create_table(
        "verdict_states",
        sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("verdicts", sa.String, nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
    )
    _move_records()
    op.drop_table("audit")
    op.create_table(
        "audit_segments",
        sa.Column("first_seq", sequence, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("last_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("first_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("pruned_at", sa.Float, nullable=False),
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


def _move_records() -> None:
    connection = op.get_bind()
    tables = sa.MetaData()
    old, records, head = (
        sa.Table(name, tables, autoload_with=connection) for name in ("audit", "audit_records", "audit_head")
    )
    digest = bytes(32)
    rows = connection.execute(sa.select(old).order_by(old.c.id)).all()
    for seq, row in enumerate(rows, 1):
        columns = {
            "kind": "reference_replaced",
            "actor": row.by,
            "action_id": "",
            "model": row.model,
            "model_version": row.version,
        }
        body = rfc8785.dumps(
            {
                **columns,
                "v": 1,
                "seq": seq,
                "at": datetime.fromtimestamp(row.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "subject": "",
                "data": {
                    "old_digest": row.old_digest,
                    "new_digest": row.new_digest,
                    "reason": row.reason,
                    "recorded_before_the_chain": True,
                },
                "reference_digest": row.new_digest,
                "config_digest": "",
                "exporter": __version__,
                "salt": os.urandom(16).hex(),
            }
        )
        body_digest = sha256(body).digest()
        digest = sha256(b"\x01" + digest + body_digest).digest()
        stored = {"seq": seq, "at": row.at, "body": body, "body_digest": body_digest, "digest": digest}
        connection.execute(sa.insert(records).values(**stored, **columns))
    connection.execute(sa.insert(head).values(id=1, seq=len(rows), digest=digest))
