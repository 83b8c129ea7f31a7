"""Columns for what `meta` held as texts, and the field's word for SSTables.

`versions.run_id`, `team` and `tags` were JSON under `facts <id>`, `reference_profiles.maturation_seconds` a
number under `maturation <id>`.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision, down_revision = "5", "4"
rewrites: tuple[str, ...] = ("versions", "reference_profiles")

_META = sa.table("meta", sa.column("key", sa.String), sa.column("value", sa.String))


def upgrade() -> None:
    """Move the values of `meta` into columns, and rename `sealed_tables`."""
    for name, default in (("run_id", ""), ("team", ""), ("tags", "{}")):
        op.add_column("versions", sa.Column(name, sa.String, nullable=False, server_default=default))
    for number, text in _take("facts "):
        said = json.loads(text)
        values = {"run_id": said["run_id"], "team": said["team"], "tags": json.dumps(said["tags"])}
        op.get_bind().execute(_update("versions", number, values))
    op.add_column("reference_profiles", sa.Column("maturation_seconds", sa.Float))
    for number, text in _take("maturation "):
        op.get_bind().execute(_update("reference_profiles", number, {"maturation_seconds": float(text)}))
    op.rename_table("sealed_tables", "sstables")
    op.execute("ALTER TABLE sstables RENAME COLUMN ids TO bloom")


def _take(prefix: str) -> list[tuple[int, str]]:
    """Remove the entries of `meta` with a prefix; returns their ids and values."""
    entries = _META.c.key.startswith(prefix, autoescape=True)
    rows = op.get_bind().execute(sa.select(_META.c.key, _META.c.value).where(entries)).all()
    op.get_bind().execute(sa.delete(_META).where(entries))
    return [(int(row.key.removeprefix(prefix)), row.value) for row in rows]


def _update(name: str, number: int, values: dict[str, str] | dict[str, float]) -> sa.Update:
    table = sa.table(name, sa.column("id"), *map(sa.column, values))
    return sa.update(table).where(table.c.id == number).values(values)
