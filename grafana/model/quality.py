"""Panels on quality: by labels, and estimated without them."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables

from model import quality_queries as q

_WORDS = {
    1: ("degraded", look.BAD),
    0: ("holds", look.GOOD),
    -1: ("undecided", look.UNKNOWN),
    -2: ("no labels", look.UNKNOWN),
}
_ESTIMATED = {1: ("falls", look.BEYOND), 0: ("holds", look.GOOD), -1: ("undecided", look.UNKNOWN)}
_NO_CONFUSION = "There are no labels, no classes, or more than ten."
_NO_FIGURE = "This version has no labels, and no scores from which its quality could be estimated."
_BLIND = (
    "**An estimate cannot see concept drift.** It is computed from scores alone: it shows that the model "
    "now receives cases that it is less sure of, not that a case has another answer. Only labels show that."
)
_CHOOSE_METRIC = tables.link(
    "Show this metric", links.MODEL, "model", "model_version", "window", "segment", metric=links.VALUE
)


def quality() -> Iterator[panels.Panel]:
    """Every metric, how good the estimate is, and quality by class."""
    yield tables.of(
        "Quality by metric, $window",
        "Shortfall: how much worse than the baseline, whatever the metric's direction; at 1 it equals the "
        "tolerance plus natural variation. Degraded: the 99 % interval lies beyond that, in two windows "
        "or by twice as much. Estimate: the same figure without labels. Click a metric to see it over "
        "time.",
        tables.Key("metric", "Metric", [*_CHOOSE_METRIC, look.at_least(125)]),
        tables.Column("Verdict", q.VERDICT, look.worded(_WORDS)),
        tables.Column("Since", q.SINCE, look.measured("dateTimeFromNow", 115, 0)),
        tables.Column("Shortfall / limit", q.RELATIVE_SHORTFALL, look.gauged(3)),
        tables.Column("Shortfall", q.SHORTFALL, look.column(78)),
        tables.Column("Quality", q.QUALITY, look.column(65)),
        tables.Column("Lower", q.by_metric("mlflow_model_quality_lower"), look.column(65)),
        tables.Column("Upper", q.by_metric("mlflow_model_quality_upper"), look.column(65)),
        tables.Column("Baseline", q.BASELINE, look.column(75)),
        tables.Column("Estimate", q.ESTIMATE, look.column(75)),
        tables.Column("Estimated", q.ESTIMATED_VERDICT, look.worded(_ESTIMATED)),
        order="Shortfall / limit",
        descending=True,
        unit="none",
        decimals=3,
        size=(24, 9),
        nothing=_NO_FIGURE,
    ).id(links.MODEL.id("metrics"))
    yield panels.note(_BLIND, height=2)
    yield tables.matrix(
        "Quality by class, $window",
        "For each class: the share of its predictions that are right (precision), the share of its rows "
        "that are found (recall), and their harmonic mean (f1).",
        q.CLASSES,
        row=tables.Key("class", "Class"),
        column="metric",
        unit="none",
        decimals=3,
        size=(6, 8),
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
        size=(6, 8),
        nothing=_NO_CONFUSION,
    )
    yield panels.lines(
        "Confusion over time, $window",
        "The same counts over time; every point is of the whole window that ends there.",
        panels.Line("{{actual}} predicted as {{predicted}}", q.CONFUSION),
        unit="short",
        size=(6, 8),
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
        size=(6, 8),
        nothing="There is no window with both labels and an estimate.",
        from_zero=False,
        filled=False,
    )
