"""The oldest schema that is upgraded."""

from __future__ import annotations

revision, down_revision = "3", None
rewrites: tuple[str, ...] = ()


def upgrade() -> None:
    """Do nothing: stores were made with it."""
