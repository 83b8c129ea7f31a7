"""Versions that rows were for and that are not monitored yet: workers name them, discovery takes them."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from exporter.storage.schema import wanted_versions


def add_wanted(connection: sa.Connection, names: Iterable[tuple[str, str]], at: float) -> None:
    """Name versions, as (model, version), at a time in seconds since the epoch; some may be named already."""
    rows = [{"model": model, "version": version, "at": at} for model, version in sorted(set(names))]
    if rows:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(insert(wanted_versions).on_conflict_do_nothing(), rows)


def take_wanted(connection: sa.Connection) -> frozenset[tuple[str, str]]:
    """Named versions, as (model, version), which are deleted."""
    columns = wanted_versions.c
    taken = sa.delete(wanted_versions).returning(columns.model, columns.version)
    return frozenset((row.model, row.version) for row in connection.execute(taken))
