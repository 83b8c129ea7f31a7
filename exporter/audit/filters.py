"""Searches the audit trail, newest records first."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from exporter.audit.record import StoredRecord
from exporter.audit.trail import decode_row, select_newest
from exporter.storage.schema import audit_records

_RECORDS = audit_records.c


@dataclass(frozen=True)
class Filters:
    """Conditions that a record has to fulfil; empty ones say nothing.

    Attributes:
        start: in seconds since the epoch, inclusive.
        end: likewise, exclusive.
        after: sequence number below those that are found.
    """

    model: str = ""
    version: str = ""
    kind: str = ""
    actor: str = ""
    action_id: str = ""
    start: float | None = None
    end: float | None = None
    after: int = 0


def find(
    connection: sa.Connection, filters: Filters, limit: int, before: int | None = None
) -> tuple[list[StoredRecord], int | None]:
    """Find the newest records.

    Args:
        limit: of the number of records.
        before: sequence number above those that are found; None: the newest.

    Returns:
        The records, newest first, and `before` for the next ones, None if there are none. Records that are
        appended meanwhile do not change what is found with it.
    """
    conditions = _conditions(connection, filters)
    if before is not None:
        conditions.append(_RECORDS.seq < before)
    query = select_newest().where(*conditions).limit(limit + 1)  # one more tells whether there is a next page
    rows = connection.execute(query).all()
    found = [decode_row(row) for row in rows[:limit]]
    return found, found[-1].seq if len(rows) > limit else None


def sequence_range(connection: sa.Connection, start: float | None, end: float | None) -> tuple[int, int]:
    """First and last sequence number of the records of a period; (0, -1) if it has none.

    Clocks may step back, so records outside of the period may stand in between.
    """
    lowest, highest = connection.execute(
        sa.select(sa.func.min(_RECORDS.seq), sa.func.max(_RECORDS.seq)).where(*in_period(start, end))
    ).one()
    return (0, -1) if lowest is None else (int(lowest), int(highest))


def _conditions(connection: sa.Connection, filters: Filters) -> list[sa.ColumnElement[bool]]:
    columns = {
        _RECORDS.model: filters.model,
        _RECORDS.model_version: filters.version,
        _RECORDS.kind: filters.kind,
        _RECORDS.actor: filters.actor,
        _RECORDS.action_id: filters.action_id,
    }
    conditions = [column == value for column, value in columns.items() if value]
    if filters.after:
        conditions.append(_RECORDS.seq > filters.after)
    if filters.start is not None or filters.end is not None:
        # As a range of the primary key, by which the newest of an old period are found at once.
        first, last = sequence_range(connection, filters.start, filters.end)
        conditions += [_RECORDS.seq.between(first, last), *in_period(filters.start, filters.end)]
    return conditions


def in_period(start: float | None, end: float | None) -> list[sa.ColumnElement[bool]]:
    """Conditions on the time of a record."""
    bounds = []
    if start is not None:
        bounds.append(_RECORDS.at >= start)
    if end is not None:
        bounds.append(_RECORDS.at < end)
    return bounds
