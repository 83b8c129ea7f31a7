"""Panels on labels: rate, delay, coverage, drift."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables

from model import quality_queries as q

_NO_LABELS = "No labels have arrived."
_NO_CONFUSION = "There are no labels, no classes, or more than ten."


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
    yield tables.matrix(
        "Quality by class, $window",
        "For each class: the share of its predictions that are right (precision), the share of its rows "
        "that are found (recall), and their harmonic mean (f1).",
        q.CLASSES,
        row=tables.Key("class", "Class"),
        column="metric",
        unit="none",
        decimals=3,
        size=(12, 8),
        nothing="There are no labels, or no classes.",
    )
    yield tables.matrix(
        "Confusion, $window",
        "Labelled predictions: a row for each actual class, a column for each predicted one.",
        q.CONFUSION,
        row=tables.Key("actual", "Actual"),
        column="predicted",
        unit="short",
        decimals=0,
        size=(12, 8),
        nothing=_NO_CONFUSION,
    )
    yield panels.lines(
        "Confusion over time, $window",
        "The same counts over time; every point is of the whole window that ends there.",
        panels.Line("{{actual}} predicted as {{predicted}}", q.CONFUSION),
        unit="short",
        size=(12, 8),
        nothing=_NO_CONFUSION,
        filled=False,
    )
    yield panels.lines(
        "Estimate minus real quality, $window",
        "Error of the estimate where labels have arrived since. Near zero it can be trusted while inputs "
        "change; a lasting distance means concept drift, or scores that are not calibrated.",
        panels.Line("{{metric}}", q.ESTIMATE_ERROR),
        unit="none",
        decimals=3,
        size=(12, 8),
        nothing="There is no window with both labels and an estimate.",
        from_zero=False,
        filled=False,
    )
