"""Arrivals of a Kafka group: the hours of all partitions, added up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sqlalchemy as sa

from exporter.aggregates.activity import ACTIVITY_HOURS, HOUR, Hours, no_hours
from exporter.fleet import Version
from exporter.ingest.arrivals import EXPORTER, Arrivals
from exporter.settings import HOUR_SECONDS
from exporter.storage import schema
from exporter.storage.partition import Partitions, find_partitions, schema_name
from exporter.storage.store import Store

READ_AGAIN_HOURS = 2  # partitions write the hour that ends and the next one
# Of the hours of several partitions; a stretch of uptime is one in which all of them had a worker.
_ADD_UP = """
SELECT version_id, start, sum(predictions)::bigint, bit_or(stretches), max(last_prediction),
       sum(labels)::bigint, max(last_label), sum(label_delay_seconds), max(coverage),
       bit_and(stretches), count(*)
FROM ({hours}) AS hours GROUP BY version_id, start ORDER BY version_id, start
"""


class PartitionedArrivals:
    """Arrivals that partitions have recorded, and the coverage of labels, which the evaluator finds.

    The writer's thread calls all but `hours` and `uptime`, which any thread may call.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._own = Arrivals()  # with coverages alone
        self._by_id: Mapping[int, Hours] = {}
        self._names: Mapping[int, tuple[str, str]] = {}
        self._oldest_unread = 0

    def load(self) -> None:
        """Read what was recorded before this start."""
        self._own.load(self._store)

    def refresh(self, now: float) -> None:
        """Read the hours that partitions have written since the last call."""
        with self._store.reading() as connection:
            partitions = find_partitions(connection)
            versions = schema.versions.c
            found = connection.execute(
                sa.select(versions.id, versions.model, versions.version).order_by(
                    versions.followed, versions.id
                )
            )
            newest = {(row.model, row.version): row.id for row in found}
            recent = _load(connection, partitions, self._oldest_unread) if partitions is not None else {}
        expired = now - ACTIVITY_HOURS * HOUR_SECONDS
        self._by_id = {
            key: self._join(key, recent.get(key, no_hours()), expired)
            for key in self._by_id.keys() | recent.keys()
        }
        self._names = {key: names for names, key in newest.items()}
        self._oldest_unread = (int(now // HOUR_SECONDS) - READ_AGAIN_HOURS) * HOUR_SECONDS

    def _join(self, key: int, recent: Hours, expired: float) -> Hours:
        known = self._by_id.get(key, no_hours())
        kept = (known["start"] >= expired) & (known["start"] < self._oldest_unread)
        return np.concatenate([known[kept], recent])

    def hours(self, until: float) -> dict[tuple[str, str], Hours]:
        """Hours with arrivals that began until then, by model and version."""
        by_id, names = self._by_id, self._names
        return {names[key]: _until(hours, until) for key, hours in by_id.items() if key in names}

    def uptime(self, until: float) -> Hours:
        """Hours that began until then, with the stretches in which all partitions had a worker."""
        return _until(self._by_id.get(EXPORTER, no_hours()), until)

    def record_coverage(self, version: Version, ratio: float, now: float) -> None:
        self._own.record_coverage(version, ratio, now)

    def save(self, retained: float, now: float) -> None:
        """Write coverages, and drop what expired."""
        self._own.save(self._store, retained, now)


def _load(connection: sa.Connection, partitions: Partitions, oldest: int) -> dict[int, Hours]:
    """Hours from `oldest` on of all partitions together, by version id."""
    names = ", ".join(column.name for column in schema.activity.columns)
    tables = [f"{schema_name(number)}.activity" for number in partitions.numbers]
    parts = [f"SELECT {names} FROM {table} WHERE start >= {oldest}" for table in tables]  # noqa: S608
    # Beside coverages the exporter's own table has arrivals from before there was a group.
    parts.append(f"SELECT {names} FROM activity WHERE start >= {oldest} AND version_id <> {EXPORTER}")  # noqa: S608
    found: dict[int, list[tuple[float, ...]]] = {}
    for key, *values, always, recorded in connection.exec_driver_sql(
        _ADD_UP.format(hours=" UNION ALL ".join(parts))
    ):
        if key == EXPORTER:
            values[2] = always if recorded == partitions.count else 0
        hour = tuple(np.nan if value is None else value for value in values)
        found.setdefault(key, []).append(hour)
    return {key: np.array(rows, HOUR) for key, rows in found.items()}


def _until(hours: Hours, until: float) -> Hours:
    return hours[hours["start"] <= until]
