"""How good the model is: by its labels, and by estimate before they come."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.models import dashboard

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


def quality() -> Iterator[look.Panel]:
    yield (
        look.listing(
            "Quality by metric, $window",
            "Shortfall: how much worse than the baseline, whatever the metric's direction; at 1 it is all "
            "that is tolerated, natural variation included. Degraded: beyond that even at the better end of "
            "the 99 % interval, in two windows or by twice as much. Estimate: the same figure without "
            "labels. Click a metric to see it over time.",
            unit="none",
            width=16,
            height=11,
        )
        .decimals(3)
        .with_target(look.rows(q.VERDICT, "verdict"))
        .with_target(look.rows(q.RELATIVE_SHORTFALL, "relative"))
        .with_target(look.rows(q.SHORTFALL, "shortfall"))
        .with_target(look.rows(q.QUALITY, "quality"))
        .with_target(look.rows(q.by_metric("mlflow_model_quality_lower"), "lower"))
        .with_target(look.rows(q.by_metric("mlflow_model_quality_upper"), "upper"))
        .with_target(look.rows(q.BASELINE, "baseline"))
        .with_target(look.rows(q.ESTIMATE, "estimate"))
        .with_target(look.rows(q.ESTIMATED_VERDICT, "estimated"))
        .transformations(
            look.merged(
                ("metric",),
                {
                    "metric": "Metric",
                    "verdict": "Verdict",
                    "relative": "Shortfall / limit",
                    "shortfall": "Shortfall",
                    "quality": "Quality",
                    "lower": "Lower",
                    "upper": "Upper",
                    "baseline": "Baseline",
                    "estimate": "Estimate",
                    "estimated": "Estimated",
                },
            )
        )
        .with_transformation(look.sorted_by("Shortfall / limit", descending=True))
        .no_value(_NO_FIGURE)
        .override_by_name("Metric", _metric_link())
        .override_by_name("Verdict", look.worded(_WORDS))
        .override_by_name("Shortfall / limit", look.gauged(3))
        .override_by_name("Shortfall", look.column(78))
        .override_by_name("Quality", look.column(70))
        .override_by_name("Lower", look.column(70))
        .override_by_name("Upper", look.column(70))
        .override_by_name("Baseline", look.column(75))
        .override_by_name("Estimate", look.column(75))
        .override_by_name("Estimated", look.worded(_ESTIMATED))
    )
    yield _over_time()
    yield look.note(_BLIND, height=2)


def _over_time() -> look.Panel:
    panel = (
        look.lines(
            "$metric: real and estimated, $window",
            "What labels say, with its 99 % interval, and what is estimated without them, with its band; "
            "dashed are the baseline and how far from it is tolerated. The real line is late by the "
            "time that labels may take; the estimate is not.",
            unit="none",
            width=8,
            height=11,
            from_zero=False,
        )
        .decimals(3)
        .fill_opacity(0)
        .no_value(_NO_FIGURE)
    )
    for name, metric, color in (
        ("Real", "mlflow_model_quality", look.LIVE),
        ("Estimate", "mlflow_model_estimated_quality", look.OTHER),
    ):
        for end in ("lower", "upper"):
            bound = f"{name}, {end}"
            panel = panel.with_target(look.query(q.of_metric(f"{metric}_{end}"), bound, bound))
        panel = panel.with_target(look.query(q.of_metric(metric), name, name))
        panel = panel.override_by_name(name, [look.painted(color)])
        for bound, properties in look.bounds(f"{name}, upper", f"{name}, lower", color).items():
            panel = panel.override_by_name(bound, properties)
    for name, expression, color in (
        ("Baseline", q.CHOSEN_BASELINE, look.REFERENCE),
        ("Limit", q.CHOSEN_LIMIT, look.LIMIT),
    ):
        panel = panel.with_target(look.query(expression, name, name))
        panel = panel.override_by_name(name, [look.painted(color), look.dashed()])
    return panel


def _metric_link() -> list[dashboard.DynamicConfigValue]:
    """Makes the name of a metric in a table choose that metric."""
    url = (
        "/d/mlflow-model?${datasource:queryparam}&${model:queryparam}&${model_version:queryparam}"
        "&${window:queryparam}&${column:queryparam}&var-metric=${__value.text:percentencode}&${__url_time_range}"
    )
    return [look.of_field("links", [{"title": "Show this metric", "url": url}])]
