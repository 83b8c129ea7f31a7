"""Panels on received rows, by outcome."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels

from health import queries as q

_OUTCOMES = {
    ".*accepted": look.LIVE,
    ".*duplicate": look.REFERENCE,
    ".*conflict": look.NEAR,
    ".*correction": look.OTHER,
    ".*unmatched": look.LIMIT,
    ".*rejected": look.BEYOND,
    "dropped .*": look.BAD,
}


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
    )
    yield panels.lines(
        "Time to commit",
        "Time from the receipt of a batch to its commit, after which the client is answered: median, p90 "
        "and p99.",
        *panels.quantiles(q.commit),
        unit="s",
        size=(7, 8),
        nothing="Nothing was committed.",
    )
