"""The oldest schema that is upgraded."""

from __future__ import annotations

revision, down_revision = "3", None
rewrites: tuple[str, ...] = ()


def upgrade() -> None:
    """Nothing: a store that has it was made with it."""
