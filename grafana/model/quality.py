"""How good the model is: by its labels, and by estimate before they come."""

from __future__ import annotations

from collections.abc import Iterator

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
_NO_FIGURE = "This version has no labels, and no scores to estimate its quality from."
_BLIND = (
    "**An estimate cannot see concept drift.** It is made of scores alone: it tells that the model now meets "
    "cases it is less sure of, not that the same case has another answer by now. Only labels tell that."
)
_CHOOSE_METRIC = tables.link(
    "Show this metric", "mlflow-model", "metric", "model", "model_version", "window", "column"
)


def quality() -> Iterator[panels.Panel]:
    yield tables.of(
        "Quality by metric, $window",
        "Shortfall: how much worse than the baseline, whatever the metric's direction; at 1 it is all "
        "that is tolerated, natural variation included. Degraded: beyond that even at the better end of "
        "the 99 % interval, in two windows or by twice as much. Estimate: the same figure without "
        "labels. Click a metric to see it over time.",
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
    )
    yield panels.lines(
        "$metric: real and estimated, $window",
        "What labels say, with its 99 % interval, and what is estimated without them, with its band; "
        "dashed are the baseline and how far from it is tolerated. The real line is late by the "
        "time that labels may take; the estimate is not.",
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
    )
    yield panels.note(_BLIND, height=2)
