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

_VERDICTS = {1: ("bad", look.BAD), 0: ("good", look.GOOD), -1: ("undecided", look.UNKNOWN)}
# By the lowest value of a state, see `q.STATE`.
_STATES = (
    (3, "drifted", look.BAD),
    (2, "degraded", look.BAD),
    (1, "all missing", look.BAD),
    (0, "stable", look.GOOD),
    (-1, "undecided", look.UNKNOWN),
    (-2, "no score", look.UNKNOWN),
)
_NO_FIGURE = "No labels, no scores to estimate quality from, and no column with a drift score."
_OPEN_COLUMN = tables.link(
    "Open this column", links.COLUMN, "model", "model_version", "window", column=links.VALUE
)


def verdicts() -> Iterator[panels.Panel]:
    """Whether verdicts can be trusted, what they say, and since when."""
    yield from reason.strip()
    yield (
        panels.number(
            "In words, $window",
            "Columns that drifted, the one furthest beyond its limit, checks of data quality and metrics of "
            "quality that are degraded. A count is unknown where nothing is judged.",
            q.SENTENCE,
            unit="none",
            size=(15, 3),
            nothing="Nothing is judged yet.",
        )
        .targets(
            [
                panels.now(
                    q.SENTENCE,
                    "Drifted columns: {{drifted}} (worst: {{column}}). Failing checks: {{checks}}. "
                    "Degraded metrics: {{metrics}}.",
                )
            ]
        )
        .text_mode(common.BigValueTextMode.NAME)
        .text(panels.written(20))
    )
    yield panels.number(
        "Bad since",
        "Start of the oldest verdict that is still bad, as the audit trail has it.",
        q.SINCE,
        unit="dateTimeFromNow",
        size=(4, 3),
        nothing="Nothing is bad",
    ).text(panels.written(20))
    alerts = panels.numbers(
        "Alerts",
        "Alerts about this version or its model that fire, and those that are about to. Without rules in "
        "Prometheus there are none, and the panel says so.",
        q.ALERTS_BY_STATE,
        "{{alertstate}}",
        {"firing": panels.when_any(look.BAD), "pending": panels.when_any(look.NEAR)},
        size=(5, 3),
        nothing="No rules",
    )
    yield alerts.text(panels.written(20))


def columns() -> Iterator[panels.Panel]:
    """Columns by trouble, with since when; verdicts over time beside them."""
    yield tables.of(
        "Columns, $window",
        "Drifted first, the furthest beyond its limit on top, then those with degraded data, those whose "
        "values are all missing, and at the end those without a score. Score / limit: at 1 the drift score "
        "is at its limit. Failing: checks that fail more often than in the reference, and the largest share "
        "of rows that fails one. Importance: its share in the model's answers, if known. Click a column.",
        tables.Key("column", "Column", [*_OPEN_COLUMN, look.at_least(150)]),
        tables.Column("State", q.STATE, look.ranged(_STATES)),
        tables.Column("Since", q.COLUMN_SINCE, look.measured("dateTimeFromNow", 120, 0)),
        tables.Column("Score / limit", q.COLUMN_RATIO, look.gauged(3)),
        tables.Column("Failing", q.FAILING, [look.of_field("custom.width", 110)], listed="check"),
        tables.Column("Rows failing", q.FAILING_ROWS, look.measured("percentunit", 95)),
        tables.Column("Importance", q.IMPORTANCE, look.measured("percentunit", 90, decimals=0)),
        order="State",
        descending=True,
        unit="none",
        size=(15, 9),
        nothing="The version has no reference, or was not evaluated yet.",
    ).id(links.MODEL.id("columns"))
    yield panels.timeline(
        "Verdicts over time, $window",
        "Quality, its estimate, data quality, and every column that drifted within the time range: when "
        "each verdict turned bad and good again.",
        q.VERDICTS_OVER_TIME,
        "{{verdict}}",
        unit="none",
        size=(9, 9),
        nothing="Nothing is judged yet.",
    ).mappings(look.texts(_VERDICTS))


def cause_and_effect() -> Iterator[panels.Panel]:
    """Quality beside the columns that may explain it, on one axis of time; what was done about it."""
    band = panels.band("$metric", lambda end: qq.of_metric(f"mlflow_model_quality{end}"), look.LIVE)
    right = look.of_field("custom.axisPlacement", "right")
    chart = panels.lines(
        "$metric and the five worst columns, $window",
        "Left: quality by labels with its 99 % interval, its estimate without labels, and dashed the baseline "
        "and the accepted distance from it. Right: the five columns furthest beyond their limits, in "
        "multiples of the limit. Quality lags by the maturation of labels; drift and estimate do not.",
        *band,
        panels.line("Estimate", qq.of_metric("mlflow_model_estimated_quality"), look.OTHER),
        panels.guide("Baseline", qq.CHOSEN_BASELINE, look.REFERENCE),
        panels.guide("Limit", qq.CHOSEN_LIMIT, look.LIMIT),
        panels.Line(
            "{{column}}", q.worst(5), (right, look.of_field("unit", look.TIMES), look.of_field("decimals", 1))
        ),
        unit="none",
        decimals=3,
        size=(15, 9),
        nothing=_NO_FIGURE,
        from_zero=False,
        filled=False,
    )
    yield chart.id(links.MODEL.id("quality"))
    yield tables.of(
        "What was done about it",
        "Actions of remediation on the model by present state, of the past week; the dashboard Alerts and "
        "remediation has the guards and what came of them.",
        tables.Key(
            "action", "Action", [*tables.link("Open", links.ALERTS, "model"), look.at_least(90)]
        ),
        tables.Key("state", "State", named(STATES)),
        tables.Column("When", q.ACTIONS, look.measured("dateTimeFromNow", 120, 0)),
        order="When",
        descending=True,
        unit="none",
        size=(9, 9),
        nothing="Nothing was done: no policy matched an alert about this model.",
    )
