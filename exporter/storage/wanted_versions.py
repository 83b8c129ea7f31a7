"""Versions that rows were for and that are not monitored: workers name them, discovery takes them.

Those that MLflow does not have stay here, so that workers know: rows for a deleted version wait for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from exporter.settings import DAY_SECONDS
from exporter.storage.schema import wanted_versions

MAX_ABSENT = 1000  # that are kept, the newest


def add_wanted(connection: sa.Connection, names: Iterable[tuple[str, str]], at: float) -> None:
    """Name versions, as (model, version), at a time in seconds since the epoch; some may be named already."""
    rows = [{"model": model, "version": version, "at": at} for model, version in sorted(set(names))]
    if rows:
        connection.execute(insert(wanted_versions).on_conflict_do_nothing(), rows)


def take_wanted(
    connection: sa.Connection, registered: Mapping[str, Collection[str]], asked_at: float
) -> frozenset[tuple[str, str]]:
    """Named versions, as (model, version), that are registered, and are not named any more.

    Args:
        connection: in whose transaction the others are noted as absent, for a day.
        registered: versions by model, as MLflow answered.
        asked_at: when it was asked, in seconds since the epoch.
    """
    columns = wanted_versions.c
    rows = connection.execute(sa.select(wanted_versions).order_by(columns.at.desc())).all()
    found = {(row.model, row.version) for row in rows if row.version in registered.get(row.model, ())}
    lacking = [row for row in rows if (row.model, row.version) not in found and row.at < asked_at]
    kept = [row for row in lacking[:MAX_ABSENT] if row.at >= asked_at - DAY_SECONDS]
    gone = {(row.model, row.version) for row in lacking} - {(row.model, row.version) for row in kept}
    this = sa.and_(columns.model == sa.bindparam("of"), columns.version == sa.bindparam("number"))
    for statement, names in (
        (sa.delete(wanted_versions).where(this), sorted(found | gone)),
        (
            sa.update(wanted_versions).where(this).values(absent=True),
            [(row.model, row.version) for row in kept if not row.absent],
        ),
    ):
        if names:
            connection.execute(statement, [{"of": model, "number": version} for model, version in names])
    return frozenset(found)


def load_absent(connection: sa.Connection) -> frozenset[tuple[str, str]]:
    """Versions, as (model, version), that rows were for and that MLflow does not have."""
    columns = wanted_versions.c
    query = sa.select(columns.model, columns.version).where(columns.absent)
    return frozenset((row.model, row.version) for row in connection.execute(query))
