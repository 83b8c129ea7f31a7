"""The first screen of the model dashboard: verdicts, columns, quality and its causes, what was done."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import reason
import tables
from alerts.remediation import STATES, named
from grafana_foundation_sdk.models import common

from model import quality_queries as qq
from model import queries as q
from model import verdict_queries as vq

_VERDICTS = {
    2: ("data degraded", look.BAD),
    1: ("bad", look.BAD),
    0: ("good", look.GOOD),
}
# By the whole number below a state, see `q.STATE`.
_STATES = (
    (3, "drifted", look.BAD),
    (2, "degraded", look.BAD),
    (1, "all missing", look.BEYOND),
    (0, "stable", look.GOOD),
    (-1, "undecided", look.UNKNOWN),
    (-2, "no score", look.UNKNOWN),
    (-3, "unknown", look.UNKNOWN),
)
_OPEN_COLUMN = tables.link(
    "Open this column", links.COLUMN, "model", "model_version", "window", column=links.VALUE
)


def verdicts() -> Iterator[panels.Panel]:
    """The reason strip, the verdicts in words, and alerts."""
    yield from reason.strip()
    said = panels.number(
        "In words, $window",
        "The verdicts on quality, drift and data quality: how many are bad, which most, and for how long. "
        "Orange: the estimate of quality falls, which labels do not show yet. Grey: unknown.",
        vq.QUALITY,
        unit="none",
        size=(19, 3),
        nothing="Prometheus does not answer",
        thresholds=look.steps(look.UNKNOWN, (0, look.GOOD), (0.5, look.BEYOND), (1, look.BAD)),
    )
    clauses = (("A", vq.QUALITY), ("B", vq.DRIFT), ("C", vq.DATA_QUALITY))
    yield (
        said.targets([panels.now(expression, vq.CLAUSE, ref) for ref, expression in clauses])
        .text_mode(common.BigValueTextMode.NAME)
        .orientation(common.VizOrientation.VERTICAL)
        .text(panels.written(16).title_size(16))
    )
    told = panels.numbers(
        "Alerts",
        "Alerts in Prometheus about this version or its model that fire, and those that are about to. "
        "Unknown without rules in Prometheus, or where the exporter is not scraped.",
        vq.ALERTS_BY_STATE,
        "{{alertstate}}",
        {
            "firing": [*panels.when_any(look.BAD), *look.mapped({0: ("None", look.GOOD)})],
            "pending": panels.when_any(look.NEAR),
        },
        size=(5, 3),
        nothing="Unknown",
    )
    yield told.text(panels.written(20))


def columns() -> Iterator[panels.Panel]:
    """Columns by trouble, with since when; verdicts over time beside them."""
    yield tables.of(
        "Columns, $window",
        "Drifted first, the furthest beyond its limit on top, then those with degraded data, those whose "
        "values are all missing, and at the end those without a score. Score / limit: at 1 the drift score "
        "is at its limit. Failing: checks that fail more often than in the reference, and the largest share "
        "of rows that fails one. Importance: its share in the model's answers, if known. Click a column.",
        tables.Key("column", "Column", [*_OPEN_COLUMN, look.both_ends(), look.at_least(170)]),
        tables.Column("State", q.STATE, look.ranged(_STATES)),
        tables.Column("Since", q.COLUMN_SINCE, look.measured("dateTimeFromNow", 115, 0)),
        tables.Column("Score / limit", q.DRIFT_RATIO, look.gauged(3)),
        tables.Column("Failing", q.FAILING, [look.of_field("custom.width", 105)], listed="check"),
        tables.Column("Rows failing", q.FAILING_ROWS, look.measured("percentunit", 100)),
        tables.Column("Importance", q.IMPORTANCE, look.measured("percentunit", 90, decimals=0)),
        order="State",
        descending=True,
        unit="none",
        size=(14, 9),
        nothing="No column is known: the strip on top says why.",
    ).id(links.MODEL.id("columns"))
    over_time = panels.timeline(
        "Verdicts over time, $window",
        "Quality, its estimate, data quality, and the ten worst columns that were bad within the time range: "
        "when each verdict turned bad, and good again. Gaps: there was no verdict.",
        vq.QUALITY_OVER_TIME,
        "Quality",
        unit="none",
        size=(10, 9),
        nothing="Nothing was judged.",
    ).mappings(look.texts(_VERDICTS))
    shown = (
        ("Quality", vq.QUALITY_OVER_TIME),
        ("Estimated quality", vq.ESTIMATE_OVER_TIME),
        ("Data quality", vq.DATA_OVER_TIME),
        ("{{column}}", vq.over_time(q.troubled(10))),
    )
    yield over_time.targets(
        [
            panels.query(expression, name, chr(ord("A") + index))
            for index, (name, expression) in enumerate(shown)
        ]
    ).show_value(common.VisibilityMode.AUTO)


def cause_and_effect() -> Iterator[panels.Panel]:
    """Quality beside the columns that may explain it, on one axis of time; what was done about it."""
    beside = (
        look.painted(look.CAUSE),
        look.of_field("custom.axisPlacement", "right"),
        look.of_field("custom.axisLabel", "Score / limit"),
        look.of_field("custom.axisSoftMin", 0),
        look.of_field("unit", look.TIMES),
        look.of_field("decimals", 1),
    )
    chart = panels.lines(
        "$metric beside the worst columns, $window",
        "Left: quality by labels with its 99 % interval, its estimate without labels, and dashed the "
        "baseline and the accepted distance from it. Right: the columns furthest beyond their limits, in "
        "multiples of the limit. Quality lags by the maturation of labels; drift and estimate do not. An "
        "estimate cannot see concept drift: only labels show that a case has another answer now.",
        *panels.band("Quality", lambda end: qq.of_metric(f"mlflow_model_quality{end}"), look.LIVE),
        *panels.band(
            "Estimate", lambda end: qq.of_metric(f"mlflow_model_estimated_quality{end}"), look.OTHER
        ),
        panels.guide("Baseline", qq.CHOSEN_BASELINE, look.REFERENCE),
        panels.guide("Limit", qq.CHOSEN_LIMIT, look.LIMIT),
        panels.Line("{{column}}", q.worst(5), beside),
        unit="none",
        decimals=3,
        size=(14, 8),
        nothing="No labels, no scores to estimate quality from, and no column with a drift score.",
        from_zero=False,
        filled=False,
    )
    yield chart.legend(panels.legend_below()).id(links.MODEL.id("quality"))
    yield tables.of(
        "What was done about it",
        "Actions of remediation on the model by present state, of the past week; the dashboard Alerts and "
        "remediation has the guards and what came of them.",
        tables.Key("action", "Action", [*tables.link("Open", links.ALERTS, "model"), look.at_least(90)]),
        tables.Key("state", "State", named(STATES)),
        tables.Column("When", vq.ACTIONS, look.measured("dateTimeFromNow", 120, 0)),
        order="When",
        descending=True,
        unit="none",
        size=(10, 8),
        nothing="Nothing: no policy matched an alert about this model within a week.",
    )
