"""The head of the model dashboard: verdicts, their grounds, columns by drift."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import reason
import tables
from grafana_foundation_sdk.models import common
from promql import gauge, rate

from model import quality_queries as qq
from model import queries as q

_WORDS = {1: ("drifted", look.BAD), 0: ("stable", look.GOOD), -1: ("undecided", look.UNKNOWN)}
_NO_SCORE = "No column has a score in this window yet."
# Makes the name of a column in a table choose that column.
CHOOSE_COLUMN = tables.link(
    "Show this column", links.MODEL, "model", "model_version", "window", "metric", column=links.VALUE
)


def verdicts() -> Iterator[panels.Panel]:
    """Whether they can be trusted, and verdicts."""
    yield from reason.strip()
    yield panels.verdict(
        "Quality, $window",
        "Metrics of quality that are worse than the version's baseline by significantly more than the "
        "tolerance. Orange: labels do not show it yet, but the estimate without labels has fallen. Grey: "
        "no labels, or too few for a verdict.",
        reason.known(qq.STATE),
        unit="suffix: degraded",
        words={
            0: ("Quality holds", look.GOOD),
            -1: ("Estimate falls", look.BEYOND),
            -2: ("Estimate holds", look.GOOD),
            -3: ("No verdict yet", look.UNKNOWN),
        },
        nothing="No labels",
        size=(5, 4),
    )
    yield panels.verdict(
        "Drift, $window",
        "Columns, prediction and score included, that differ from the reference: beyond their limit, "
        "significantly and persistently. Grey: too few rows for a verdict, which does not mean no drift.",
        reason.known(q.COLUMNS_DRIFTED),
        unit="suffix: drifted",
        words={0: ("Nothing drifts", look.GOOD), -1: ("No verdict yet", look.UNKNOWN)},
        nothing="Not evaluated",
        size=(5, 4),
    )
    yield panels.numbers(
        "Columns by verdict",
        "Every column of the version has one of three verdicts; GET /v1/models/{model}/versions/{version} "
        "says why a column is undecided.",
        q.COLUMNS_BY_VERDICT,
        "{{verdict}}",
        {"drifted": panels.when_any(look.BAD), "stable": panels.when_any(look.GOOD)},
        size=(5, 4),
    )
    yield panels.verdict(
        "Data quality",
        "Checks that fail significantly more often than in the reference: values that are missing, "
        "unseen, out of range or of another type. The section on data quality lists them. Grey: too few "
        "rows for a verdict.",
        reason.known(q.CHECKS_DEGRADED),
        unit="suffix: degraded",
        words={0: ("Data is fine", look.GOOD)},
        nothing="No verdict yet",
        size=(5, 4),
    )
    yield panels.verdict(
        "Alerts",
        "Alerts in Prometheus that fire for this version, for its model, or for the exporter itself. They "
        "are listed further down, with their runbooks.",
        q.ALERTS_FIRING,
        unit="suffix: firing",
        words={0: ("None firing", look.GOOD)},
        nothing="Unknown",
        size=(4, 4),
    )


def grounds() -> Iterator[panels.Panel]:
    """The data that the verdicts are based on."""
    yield (
        panels.number(
            "Version $model_version",
            "Aliases of this version in MLflow, which deployments load. A version without an alias is no "
            "longer served; it is monitored for another day, so that a rollback can be judged.",
            q.ALIASES,
            unit="none",
            size=(4, 3),
        )
        .targets([panels.now(q.ALIASES, "{{alias}}")])
        .text_mode(common.BigValueTextMode.NAME)
    )
    yield panels.number(
        "Last prediction",
        "Age of the newest prediction. If it is old, the figures here do not describe the present.",
        q.SINCE_PREDICTION,
        unit="s",
        size=(4, 3),
    )
    yield panels.number(
        "Predictions",
        "Predictions received per second, all replicas together.",
        rate("mlflow_model_predictions_total", q.VERSION),
        unit="rowsps",
        size=(4, 3),
    )
    yield panels.number(
        "Rows, $window",
        "Predictions that the verdicts are based on. With fewer than some hundreds only gross drift can "
        "be detected.",
        gauge("mlflow_model_window_rows", q.WINDOW),
        unit="short",
        size=(4, 3),
    )
    yield panels.number(
        "Reference",
        "The data that live data is compared with. Provisional: the reference has no timestamps, so the "
        "limits on drift are wide until two weeks of traffic have shown how much days differ (Learned); a "
        "column timestamp in the reference avoids that.",
        q.REFERENCE_STATE,
        unit="none",
        words={
            2: ("Complete", look.GOOD),
            1: ("Learned", look.GOOD),
            0: ("Provisional", look.NEAR),
            -1: ("No reference", look.BEYOND),
        },
        size=(4, 3),
    )
    yield panels.number(
        "Evaluated",
        "Age of the last evaluation of this version, which happens every 30 seconds by default. If it grows, "
        "the figures on this page are old.",
        q.SINCE_EVALUATION,
        unit="s",
        size=(4, 3),
    )


def columns() -> Iterator[panels.Panel]:
    """Columns by drift, now and over time."""
    yield tables.of(
        "Columns by drift, $window",
        "Score: population stability index against the reference. Limit: threshold, sampling noise and "
        "natural variation of this column; at 1 the score is at its limit. Significance: -log10 p, "
        "significant above 3. A drifted column exceeds both, for long enough. A column without a value in "
        "the window has no score. Importance: its share in the model's answers, if it is known; click the "
        "title to sort by it. Click a column to see its distribution below.",
        tables.Key("column", "Column", CHOOSE_COLUMN),
        tables.Column("Verdict", q.DRIFT_VERDICT, look.worded(_WORDS)),
        tables.Column("Score / limit", q.DRIFT_RATIO, look.gauged(3)),
        tables.Column("Importance", q.IMPORTANCE, look.measured("percentunit", 90, decimals=0)),
        tables.Column("Score", q.DRIFT_SCORE, look.column(70)),
        tables.Column("Limit", q.DRIFT_LIMIT, look.column(70)),
        tables.Column("Significance", q.DRIFT_SIGNIFICANCE, look.column(105, decimals=0)),
        order="Score / limit",
        descending=True,
        unit="none",
        size=(13, 11),
        nothing=_NO_SCORE,
    ).id(links.MODEL.id("columns"))
    yield (
        panels.timeline(
            "Score in multiples of the limit, $window, worst 20",
            "Each row is a column, its colour the score divided by the column's own limit: when drift "
            "began, how fast it grew, and which columns moved together.",
            q.worst(20),
            "{{column}}",
            unit=look.TIMES,
            size=(11, 11),
            nothing=_NO_SCORE,
        )
        .merge_values(False)
        .color_scheme(look.by_threshold())
        .thresholds(
            look.steps(
                look.GOOD,
                (0.75, look.NEAR),
                (1, look.BEYOND),
            )
        )
        .decimals(2)
    )
