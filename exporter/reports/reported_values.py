"""Keeps the values of configured metrics of Evidently in memory, for /metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from exporter.fleet import MAX_REPORTED_VALUES, Fleet, ReportedValues
from exporter.formats.texts import cut
from exporter.storage.reports import load_report_values, newest_done
from exporter.storage.store import Store

MAX_LABEL = 256  # characters


def refresh_reported_values(store: Store, fleet: Fleet) -> None:
    """Have each version show the values of its newest report that is done, by whichever exporter.

    Raises:
        StoreError: the store cannot be read.
    """
    with store.reading() as connection:
        newest = {report.version_id: report.id for report in newest_done(connection)}
        for version in fleet.versions.values():
            report_id = newest.get(version.key)
            if report_id is None:
                version.reported = None
            elif version.reported is None or version.reported.report_id != report_id:
                version.reported = select_values(report_id, load_report_values(connection, report_id))


def select_values(report_id: str, values: Collection[Mapping[str, Any]]) -> ReportedValues:
    """The values of configured metrics, each with the fields of `EvidentlyValue`, within the limit."""
    named = {
        (cut(each["metric"], MAX_LABEL), cut(each["column"], MAX_LABEL), cut(each["part"], MAX_LABEL)): float(
            each["value"]
        )
        for each in values
        if each["named"]
    }
    shown = dict(list(named.items())[:MAX_REPORTED_VALUES])
    return ReportedValues(report_id, shown, len(named) - len(shown))
