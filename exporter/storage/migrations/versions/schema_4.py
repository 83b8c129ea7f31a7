"""`versions.followed`: which of several versions with the same names was followed last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "4", "3"
rewrites: tuple[str, ...] = ("versions",)


def upgrade() -> None:
    """Mark the newest as followed last, as the program assumed before."""
    op.add_column("versions", sa.Column("followed", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE versions SET followed = id")
