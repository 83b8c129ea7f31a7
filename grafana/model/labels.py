"""Whether labels come, how late, for which part of the traffic, and whether they are as they were."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import tables

from model import quality_queries as q

_NO_LABELS = "No labels have come."


def labels() -> Iterator[panels.Panel]:
    yield panels.number(
        "Coverage, $window",
        "Share of the predictions in the matured window that have a label. Below 80 % labels may come "
        "from a part that is unlike the rest, and verdicts are held back.",
        q.CHOSEN_COVERAGE,
        unit="percentunit",
        decimals=1,
        thresholds=look.steps(look.PLAIN, (0, look.BEYOND), (0.8, look.PLAIN)),
        size=(4, 3),
    )
    yield panels.number(
        "Labelled, $window",
        "Labelled predictions that the figures of quality rest on. Below 200 there is no verdict.",
        q.LABELS,
        unit="short",
        size=(4, 3),
    )
    yield panels.number(
        "Labels",
        "Labels per second that met their prediction, all replicas together.",
        q.LABEL_RATE,
        unit="rowsps",
        size=(4, 3),
    )
    yield panels.number(
        "Median delay",
        "Half of the labels that come now come sooner after their prediction than this.",
        q.delay(0.5),
        unit="s",
        size=(4, 3),
    )
    yield panels.number(
        "Maturation",
        "How long labels may take. Windows of quality end this long before now, so that late labels do not "
        "distort them. Not set: what has come counts, and what comes late is missing until it does.",
        q.MATURATION,
        unit="s",
        words={0: ("Not set", look.PLAIN)},
        size=(4, 3),
    )
    yield panels.number(
        "Unmatched",
        "Labels of this model that met no prediction within a day after the one on which they came, in "
        "the dashboard's time range: wrong ids, or predictions that never arrived.",
        q.UNMATCHED,
        unit="short",
        decimals=0,
        size=(4, 3),
    )
    yield panels.lines(
        "Label delay",
        "Time from a prediction to its label, of labels as they come: the median, and what the slowest "
        "tenth and hundredth exceed.",
        *panels.quantiles(q.delay),
        unit="s",
        size=(8, 8),
        nothing=_NO_LABELS,
    )
    yield panels.limited(
        panels.lines(
            "Label coverage by window",
            "Share of the predictions in each matured window that have a label. Below the dashed line "
            "verdicts are held back.",
            panels.Line("{{window}}", q.COVERAGE),
            unit="percentunit",
            size=(8, 8),
            nothing=_NO_LABELS,
            filled=False,
        ).max(1),
        0.8,
    )
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
        "Of each class: the share of its predictions that are right (precision), the share of its rows "
        "that are found (recall), and the harmonic mean of both (f1).",
        q.CLASSES,
        row=tables.Key("class", "Class"),
        column="metric",
        unit="none",
        decimals=3,
        size=(12, 8),
        nothing="There are no labels, or no classes.",
    )
    yield panels.lines(
        "Estimate minus real quality, $window",
        "How far the estimate was off where labels have come since. Near zero it may be trusted while "
        "inputs change; a lasting distance is concept drift, or scores that are not calibrated.",
        panels.Line("{{metric}}", q.ESTIMATE_ERROR),
        unit="none",
        decimals=3,
        size=(12, 8),
        nothing="There is no window with both labels and an estimate.",
        from_zero=False,
        filled=False,
    )
