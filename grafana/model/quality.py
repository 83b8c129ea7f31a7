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
_NO_FIGURE = "This version has no labels, and no scores from which its quality could be estimated."
_BLIND = (
    "**An estimate cannot see concept drift.** It is computed from scores alone: it shows that the model "
    "now receives cases that it is less sure of, not that a case has another answer. Only labels show that."
)
_CHOOSE_METRIC = tables.link(
    "Show this metric", links.MODEL, "model", "model_version", "window", "column", metric=links.VALUE
)


def quality() -> Iterator[panels.Panel]:
    yield tables.of(
        "Quality by metric, $window",
        "Shortfall: how much worse than the baseline, whatever the metric's direction; at 1 it equals the "
        "tolerance plus natural variation. Degraded: the 99 % interval lies beyond that, in two windows "
        "or by twice as much. Estimate: the same figure without labels. Click a metric to see it over "
        "time.",
        tables.Key("metric", "Metric", [*_CHOOSE_METRIC, look.at_least(125)]),
        tables.Column("Verdict", q.VERDICT, look.worded(_WORDS)),
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
        size=(17, 11),
        nothing=_NO_FIGURE,
    ).id(links.MODEL.id("metrics"))
    yield panels.lines(
        "$metric: real and estimated, $window",
        "Quality by labels, with its 99 % interval, and estimated without labels, with its band; dashed: "
        "the baseline and the accepted distance from it. The real quality lags by the maturation of "
        "labels; the estimate does not.",
        *panels.band("Real", lambda end: q.of_metric(f"mlflow_model_quality{end}"), look.LIVE),
        *panels.band("Estimate", lambda end: q.of_metric(f"mlflow_model_estimated_quality{end}"), look.OTHER),
        panels.guide("Baseline", q.CHOSEN_BASELINE, look.REFERENCE),
        panels.guide("Limit", q.CHOSEN_LIMIT, look.LIMIT),
        unit="none",
        decimals=3,
        size=(7, 11),
        nothing=_NO_FIGURE,
        from_zero=False,
        filled=False,
    ).id(links.MODEL.id("quality"))
    yield panels.note(_BLIND, height=2)
