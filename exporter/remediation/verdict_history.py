"""Verdicts of a version in the past, from the audit trail."""

from __future__ import annotations

import json

import sqlalchemy as sa

from exporter.errors import decoding
from exporter.storage.schema import audit_records

# Drift is left out: the version before gets the same inputs.
MEASURES = ("quality", "estimated_quality", "data_quality")
MAX_RECORDS = 10_000


def bad_verdicts(connection: sa.Connection, model: str, version: str, until: float) -> tuple[str, ...]:
    """Verdicts on quality and data quality of a version that were bad at a time, as texts for people.

    Changes are read in their order, and begin anew where the version was monitored anew. Those in records
    whose bodies were erased are unknown. Segments are left out: of their many verdicts some are wrong.

    Args:
        connection: to read from.
        model: the model.
        version: its version.
        until: seconds since the epoch.
    """
    columns = audit_records.c
    query = (
        sa.select(columns.kind, columns.body)
        .where(
            columns.model == model,
            columns.model_version == version,
            columns.kind.in_(("verdict_changed", "version_monitored")),
            columns.at <= until,
            columns.body.is_not(None),
        )
        .order_by(columns.seq.desc())
        .limit(MAX_RECORDS)
    )
    bad: dict[tuple[str, ...], str] = {}
    with decoding("an audit record"):
        for kind, body in reversed(connection.execute(query).all()):
            if kind == "version_monitored":
                bad.clear()
                continue
            for change in json.loads(bytes(body))["data"]["changes"]:
                if change["measure"] not in MEASURES or change.get("segment"):
                    continue
                where = tuple(str(change.get(name, "")) for name in _PLACE)
                if change["after"] == "degraded":
                    bad[where] = f"{change['subject']} ({change['measure'].replace('_', ' ')})"
                else:
                    bad.pop(where, None)
    return tuple(dict.fromkeys(bad.values()))


_PLACE = ("measure", "subject", "window", "check")
