"""Panels on labels: rate, delay, coverage, drift."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels

from model import quality_queries as q

_NO_LABELS = "No labels have arrived."


def labels() -> Iterator[panels.Panel]:
    yield panels.number(
        "Coverage, $window",
        "Share of the predictions in the matured window that have a label. Below 80 % the labelled part "
        "may differ from the rest, and there is no verdict.",
        q.CHOSEN_COVERAGE,
        unit="percentunit",
        decimals=1,
        thresholds=look.steps("transparent", (0, look.BEYOND), (0.8, "transparent")),
        size=(4, 3),
    )
    yield panels.number(
        "Labelled, $window",
        "Labelled predictions that the quality is based on. Below 200 there is no verdict.",
        q.LABELS,
        unit="short",
        size=(4, 3),
    )
    yield panels.number(
        "Labels",
        "Labels per second that were joined with a prediction, all replicas together.",
        q.LABEL_RATE,
        unit="rowsps",
        size=(4, 3),
    )
    yield panels.number(
        "Median delay",
        "Half of the current labels arrive sooner after their prediction than this.",
        q.delay(0.5),
        unit="s",
        size=(4, 3),
    )
    yield panels.number(
        "Maturation",
        "Time that labels are given to arrive. Windows of quality end this long before now, so that late "
        "labels do not distort them. Not set: labels that have arrived count, and late ones are missing "
        "until they arrive.",
        q.MATURATION,
        unit="s",
        words={0: ("Not set", "transparent")},
        size=(4, 3),
    )
    yield panels.number(
        "Unmatched",
        "Labels of this model without a prediction at the end of the day after their arrival, in the "
        "dashboard's time range: wrong ids, or predictions that never arrived.",
        q.UNMATCHED,
        unit="short",
        decimals=0,
        size=(4, 3),
    )
    yield panels.lines(
        "Label delay",
        "Time from a prediction to its label, by arrival of the labels: median, p90 and p99.",
        *panels.quantiles(q.delay),
        unit="s",
        size=(8, 8),
        nothing=_NO_LABELS,
    )
    yield panels.limited(
        panels.lines(
            "Label coverage by window",
            "Share of the predictions in each matured window that have a label. Below the dashed line "
            "there is no verdict.",
            panels.Line("{{window}}", q.COVERAGE),
            unit="percentunit",
            size=(8, 8),
            nothing=_NO_LABELS,
            filled=False,
        ).max(1),
        0.8,
    ).id(links.MODEL.id("label coverage"))
    yield panels.against_limit(
        "Label drift, $window",
        "Drift score of the labels themselves. Labels that drift while inputs do not are a "
        "sign of concept drift.",
        q.label_drift("score"),
        q.label_drift("limit"),
        size=(8, 8),
        nothing="Labels have no score in this window.",
    )
