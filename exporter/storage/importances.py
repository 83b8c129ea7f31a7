"""Importances of columns, one per version: as declared, or as measured against its reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from exporter.errors import decoding
from exporter.storage import schema


@dataclass(frozen=True)
class StoredImportance:
    """Weights by column, or the problem why there are none, as of `at` (seconds since the epoch)."""

    source: str
    at: float
    weights: Mapping[str, float]
    problem: str = ""


def load_importance(connection: sa.Connection, version_id: int, digest: str) -> StoredImportance | None:
    """Importance of a version with a reference of this digest, None if none is stored."""
    query = sa.select(schema.importances).filter_by(version_id=version_id, digest=digest)
    row = connection.execute(query).first()
    if row is None:
        return None
    with decoding("a stored importance"):
        weights = {str(column): float(value) for column, value in json.loads(row.shares).items()}
    return StoredImportance(row.source, row.at, weights, row.problem)


def save_importance(
    connection: sa.Connection, version_id: int, digest: str, found: StoredImportance | None
) -> None:
    """Store the importance of a version in place of an earlier one; None deletes it."""
    importances = schema.importances
    connection.execute(sa.delete(importances).where(importances.c.version_id == version_id))
    if found is not None:
        values = {"version_id": version_id, "digest": digest, "source": found.source, "at": found.at}
        values |= {"shares": json.dumps(dict(found.weights)), "problem": found.problem}
        connection.execute(importances.insert(), values)
