"""The table of arrivals by version and hour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from exporter.aggregates.activity import HOUR, Hours
from exporter.storage import schema

_FIELDS = HOUR.names or ()


def load_activity(connection: sa.Connection) -> dict[int, Hours]:
    """Hours of all versions, by version id."""
    activity = schema.activity.c
    query = sa.select(schema.activity).order_by(activity.version_id, activity.start)
    found: dict[int, list[tuple[float, ...]]] = {}
    for row in connection.execute(query):
        values = (np.nan if row._mapping[name] is None else row._mapping[name] for name in _FIELDS)
        found.setdefault(row.version_id, []).append(tuple(values))
    return {version_id: np.array(rows, HOUR) for version_id, rows in found.items()}


def put_activity(connection: sa.Connection, changed: Mapping[int, Hours]) -> None:
    """Insert or overwrite hours, by version id."""
    rows = [
        {"version_id": version_id}
        | {name: _known(value) for name, value in zip(_FIELDS, hour.tolist(), strict=True)}
        for version_id, hours in changed.items()
        for hour in hours
    ]
    if not rows:
        return
    table = schema.activity
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    put = statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: statement.excluded[name] for name in _FIELDS if name != "start"},
    )
    connection.execute(put, rows)


def expire_activity(connection: sa.Connection, before: float) -> None:
    """Delete hours that began before a time."""
    connection.execute(sa.delete(schema.activity).where(schema.activity.c.start < int(before)))


def _known(value: float) -> float | None:
    return None if value != value else value
