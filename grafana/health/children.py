"""Panels on what runs in child processes: reports, and the reading of references and models."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels

from health import queries as q

_SHADES = (look.shaded(look.OTHER),)


def reports() -> Iterator[panels.Panel]:
    yield panels.lines(
        "Reports that wait",
        "Reports that wait to be made or are being made, and those that wait to be sent, by destination.",
        panels.line("to be made", q.REPORTS_WAITING, look.LIVE),
        panels.Line("to {{destination}}", q.REPORTS_UNSENT, _SHADES),
        unit="short",
        decimals=0,
        size=(6, 7),
        nothing="The exporter exports no figures of reports.",
    ).axis_soft_max(3)
    yield panels.lines(
        "Reports by outcome",
        "Attempts to make a report in a child process, and to send one, per step of the chart by outcome; "
        "those that succeeded are left out. Repeated and refused ones are tried again.",
        panels.Line("made: {{outcome}}", q.REPORTS_FAILED, _SHADES),
        panels.Line("sent to {{destination}}: {{outcome}}", q.SENDINGS_FAILED, _SHADES),
        unit="short",
        decimals=0,
        size=(6, 7),
        nothing="No attempt failed.",
    ).axis_soft_max(3)
    yield panels.lines(
        "Time to make a report",
        "Duration of an attempt, in a child process that is ended after ten minutes: median, p90 and p99.",
        *panels.quantiles(q.report),
        unit="s",
        size=(6, 7),
        nothing="No report was made.",
    )
    yield panels.lines(
        "Failures by stage",
        "Failures of all versions per step of the chart. References are read, and models run for importance, "
        "in child processes with limits on memory and time.",
        panels.Line("{{stage}}", q.FAILURES_BY_STAGE, _SHADES),
        unit="short",
        decimals=0,
        size=(6, 7),
        nothing="No version is monitored.",
    ).axis_soft_max(3)
