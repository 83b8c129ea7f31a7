"""Panels on received rows, by outcome."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
from links import EXPORTER

from health import queries as q

_OUTCOMES = {
    "prediction accepted": look.LIVE,
    "label accepted": look.OTHER,
    ".*duplicate": look.REFERENCE,
    ".*conflict": look.NEAR,
    ".*correction": look.REFERENCE,
    ".*unmatched": look.LIMIT,
    ".*rejected": look.BEYOND,
    "dropped .*": look.BAD,
}
_SHADES = (look.shaded(look.LIVE),)


def rows() -> Iterator[panels.Panel]:
    outcomes = panels.lines(
        "Rows by outcome",
        "Rows received per second by outcome, all models together; outcomes without rows are left out. "
        "Dropped rows were received and not counted.",
        panels.Line("{{kind}} {{outcome}}", q.INGESTED),
        panels.Line("dropped {{reason}}", q.DROPPED),
        unit="rowsps",
        size=(10, 8),
        nothing="No rows were received.",
    )
    for name, color in _OUTCOMES.items():
        outcomes = outcomes.override_by_regexp(name, [look.painted(color)])
    yield outcomes
    yield panels.limited(
        panels.lines(
            "Rows refused or dropped",
            "Share of the received rows that were malformed and refused, and of those that were accepted "
            "but dropped because of their time. More than 1 %, the dashed line, is too much.",
            panels.line("rejected", q.REJECTED_SHARE, look.BEYOND),
            panels.line("dropped", q.DROPPED_SHARE, look.BAD),
            unit="percentunit",
            decimals=1,
            size=(7, 8),
            nothing="No rows were received.",
        ).axis_soft_max(0.012),
        0.01,
    ).id(EXPORTER.id("rows refused"))
    yield panels.lines(
        "Time to commit",
        "Time from the receipt of a batch to its commit, after which the client is answered: median, p90 "
        "and p99.",
        *panels.quantiles(q.commit),
        unit="s",
        size=(7, 8),
        nothing="Nothing was committed.",
    )


def requests() -> Iterator[panels.Panel]:
    yield panels.lines(
        "Requests refused",
        "Requests with predictions or labels that were not answered with 202, per second by status.",
        panels.Line("{{kind}} {{status}}", q.REFUSED_REQUESTS, _SHADES),
        unit="reqps",
        size=(8, 7),
        nothing="No request was refused.",
    )
    yield panels.lines(
        "Events of inference loggers",
        "Requests and responses from inference loggers, per second by what became of them; while one "
        "waits for its other half it is not counted.",
        panels.Line("{{kind}} {{outcome}}", q.EVENTS, _SHADES),
        unit="reqps",
        size=(8, 7),
        nothing="No events came.",
    )
    yield panels.lines(
        "Connections closed",
        "Connections that the exporter closed per step of the chart, by reason: the client stalled "
        "(timeout), too many were open (limit), the head of a request was too large (head).",
        panels.Line("{{reason}}", q.CLOSED, _SHADES),
        unit="short",
        decimals=0,
        size=(8, 7),
        nothing="The exporter is not scraped.",
    ).axis_soft_max(3)
