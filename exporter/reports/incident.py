"""Finds the report of an incident among a version's reports. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.storage.reports import ReportState, StoredReport

# An alert starts after its verdict, by the `for` of its rule and its evaluation's interval, and the verdict's
# report may be of an earlier bad verdict within the pause between reports.
BEFORE_SECONDS = 3 * 3600.0
AFTER_SECONDS = 3600.0  # until a report that was asked for later is of something else


def find_incident_report(reports: Sequence[StoredReport], at: float) -> StoredReport | None:
    """Return the report to show for an alert that started at a time, in seconds since the epoch.

    Reports that were asked for around that time are of the incident: the one for a verdict or an action that
    is nearest, else the nearest. Without these, one whose period contains the time. Failed reports are the
    last choice.

    Args:
        reports: of the version.
        at: start of the alert.

    Returns:
        A report in any state; None if none is of that time.
    """
    ranked = [(rank, report.id, report) for report in reports if (rank := _rank(report, at)) is not None]
    return min(ranked)[2] if ranked else None


def _rank(report: StoredReport, at: float) -> tuple[int, ...] | None:
    """Sorts reports, the best first; None for one that has nothing to do with the time."""
    distance = int(abs(report.created_at - at))
    around = at - BEFORE_SECONDS <= report.created_at <= at + AFTER_SECONDS
    if not around and not report.start <= at <= report.end:
        return None
    failed = report.state is ReportState.FAILED
    asked_for = report.trigger in ("verdict", "action")
    return (failed, not around, not asked_for, distance)
