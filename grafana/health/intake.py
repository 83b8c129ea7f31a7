"""What became of the rows that were sent."""

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
        "Rows received per second by what became of them, all models together; what none had is left out. "
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
            "Share of the rows received that were malformed and refused, and that were taken but dropped "
            "because of their time. More than one in a hundred, the dashed line, is too much.",
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
        "Time from the receipt of a batch to its commit, after which the client is answered: the median, and "
        "what the slowest tenth and hundredth exceed.",
        *panels.quantiles(q.commit),
        unit="s",
        size=(7, 8),
        nothing="Nothing was committed.",
    )
