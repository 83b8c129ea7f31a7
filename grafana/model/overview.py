"""The ten-second answer: is anything wrong, in which columns, since when."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.models import common, dashboard
from promql import gauge, rate

from model import quality_queries as qq
from model import queries as q

_WORDS = {1: ("drifted", look.BAD), 0: ("stable", look.GOOD), -1: ("undecided", look.UNKNOWN)}
_NO_SCORE = "No column has a score in this window yet."


def column_link() -> list[dashboard.DynamicConfigValue]:
    """Makes the name of a column in a table choose that column."""
    url = (
        "/d/mlflow-model?${datasource:queryparam}&${model:queryparam}&${model_version:queryparam}"
        "&${window:queryparam}&var-column=${__value.text:percentencode}&${__url_time_range}"
    )
    return [look.of_field("links", [{"title": "Show this column", "url": url}])]


def verdicts() -> Iterator[look.Panel]:
    """Two lines: what was judged, and what the judgement rests on."""
    yield (
        look.statement(
            "Quality, $window",
            "Metrics of quality that are worse than the version promised by more than is tolerated, beyond "
            "chance. Orange: labels do not show it yet, but the estimate that needs none has fallen. Grey: "
            "there are no labels, or too few to tell.",
            unit="suffix: degraded",
            width=5,
        )
        .mappings(
            look.texts(
                {
                    0: ("Quality holds", look.GOOD),
                    -1: ("Estimate falls", look.BEYOND),
                    -2: ("Estimate holds", look.CALM),
                    -3: ("No verdict yet", look.UNKNOWN),
                }
            )
        )
        .thresholds(look.steps(look.UNKNOWN, (0, look.GOOD), (1, look.BAD)))
        .no_value("No labels")
        .with_target(look.now(qq.STATE))
    )
    yield (
        look.statement(
            "Drift, $window",
            "Columns, prediction and score included, that differ from the reference: beyond their limit, "
            "significantly and persistently. Grey: too few rows to tell, which is not a no.",
            unit="suffix: drifted",
            width=5,
        )
        .mappings(look.texts({0: ("Nothing drifts", look.GOOD), -1: ("No verdict yet", look.UNKNOWN)}))
        .thresholds(look.steps(look.UNKNOWN, (0, look.GOOD), (1, look.BAD)))
        .no_value("Not evaluated")
        .with_target(look.now(q.COLUMNS_DRIFTED))
    )
    yield (
        look.number(
            "Columns by verdict",
            "Every column of the version has one of three verdicts; undecided ones have too few rows.",
            unit="none",
            width=5,
        )
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .color_scheme(look.by_threshold())
        .thresholds(look.steps(look.UNKNOWN))
        .override_by_name("drifted", [look.stepped(look.steps(look.UNKNOWN, (1, look.BAD)))])
        .override_by_name("stable", [look.stepped(look.steps(look.UNKNOWN, (1, look.GOOD)))])
        .with_target(look.now(q.COLUMNS_BY_VERDICT, "{{verdict}}"))
    )
    yield (
        look.statement(
            "Data quality",
            "Checks that fail clearly more often in the shortest window than in the reference: values that "
            "are missing, unseen, out of range or of another type. The section on data quality lists them. "
            "Grey: too few rows to tell.",
            unit="suffix: degraded",
            width=5,
        )
        .mappings(look.texts({0: ("Data is fine", look.GOOD)}))
        .thresholds(look.steps(look.UNKNOWN, (0, look.GOOD), (1, look.BAD)))
        .no_value("No verdict yet")
        .with_target(look.now(q.CHECKS_DEGRADED))
    )
    yield (
        look.statement(
            "Alerts",
            "Alerts in Prometheus that fire for this version, for its model, or for the exporter itself.",
            unit="suffix: firing",
            width=4,
        )
        .mappings(look.texts({0: ("None firing", look.GOOD)}))
        .thresholds(look.steps(look.UNKNOWN, (0, look.GOOD), (1, look.BAD)))
        .no_value("Unknown")
        .with_target(look.now(q.ALERTS_FIRING))
    )
    yield (
        look.number(
            "Version $model_version",
            "Aliases of this version in MLflow, by which deployments name it. A version without an alias is "
            "not served any more; it is kept for a day, so that a rollback can be judged.",
            unit="none",
            width=4,
            height=3,
        )
        .text_mode(common.BigValueTextMode.NAME)
        .with_target(look.now(q.ALIASES, "{{alias}}"))
    )
    yield look.number(
        "Last prediction",
        "Age of the newest prediction. If it is old, nothing here says how the model does now.",
        unit="s",
        width=4,
        height=3,
    ).with_target(look.now(q.SINCE_PREDICTION))
    yield (
        look.number(
            "Predictions",
            "Predictions taken per second, all replicas together.",
            unit="rowsps",
            width=4,
            height=3,
        ).with_target(look.now(rate("mlflow_model_predictions_total", q.VERSION)))
    )
    yield look.number(
        "Rows, $window",
        "Predictions that the verdicts rest on. Below some hundreds only a gross change can be told.",
        unit="short",
        width=4,
        height=3,
    ).with_target(look.now(gauge("mlflow_model_window_rows", q.WINDOW)))
    yield (
        look.number(
            "Reference",
            "What live data is compared with. Provisional: the reference has no timestamps, so how much it "
            "varies by nature is unknown; its drift is shown, but no alert fires.",
            unit="none",
            width=4,
            height=3,
        )
        .mappings(
            look.texts(
                {
                    1: ("Complete", look.GOOD),
                    0: ("Provisional", look.NEAR),
                    -1: ("No reference", look.BEYOND),
                }
            )
        )
        .with_target(look.now(q.REFERENCE_STATE))
    )
    yield look.number(
        "Last evaluation",
        "Age of the last evaluation of this version, which happens every 30 seconds by default. If it grows, "
        "the figures on this page are old.",
        unit="s",
        width=4,
        height=3,
    ).with_target(look.now(q.SINCE_EVALUATION))


def columns() -> Iterator[look.Panel]:
    """Which columns, and since when."""
    yield (
        look.listing(
            "Columns by drift, $window",
            "Score: population stability index against the reference. Limit: threshold, sampling noise and "
            "natural variation of this very column; at 1 the score is at its limit. Significance: -log10 "
            "p, above 3 is beyond chance. Drifted needs all of it, for long enough. A column without "
            "a value in the window has no score. Click one to see its distribution below.",
            unit="none",
            width=13,
            height=11,
        )
        .with_target(look.rows(q.DRIFT_RATIO, "ratio"))
        .with_target(look.rows(q.DRIFT_VERDICT, "verdict"))
        .with_target(look.rows(q.DRIFT_SCORE, "score"))
        .with_target(look.rows(q.DRIFT_LIMIT, "limit"))
        .with_target(look.rows(q.DRIFT_SIGNIFICANCE, "significance"))
        .transformations(
            look.merged(
                ("column",),
                {
                    "column": "Column",
                    "verdict": "Verdict",
                    "ratio": "Score / limit",
                    "score": "Score",
                    "limit": "Limit",
                    "significance": "Significance",
                },
            )
        )
        .with_transformation(look.sorted_by("Score / limit", descending=True))
        .no_value(_NO_SCORE)
        .override_by_name("Column", column_link())
        .override_by_name("Verdict", look.worded(_WORDS))
        .override_by_name("Score / limit", look.gauged(3))
        .override_by_name("Score", look.column(80))
        .override_by_name("Limit", look.column(80))
        .override_by_name("Significance", look.column(110, decimals=0))
    )
    yield (
        look.timeline(
            "Score in multiples of the limit, $window, worst 20",
            "Each row is a column, its colour the score divided by the column's own limit: when drift began, "
            "how fast it grew, what moved together.",
            unit=look.TIMES,
            width=11,
            height=11,
        )
        .merge_values(False)
        .color_scheme(look.by_threshold())
        .thresholds(
            look.steps(
                look.CALM,
                (0.5, look.GOOD),
                (0.75, look.NEAR),
                (1, look.BEYOND),
                (2, look.BAD),
                (4, "dark-red"),
            )
        )
        .decimals(2)
        .no_value(_NO_SCORE)
        .with_target(look.query(q.worst(20), "{{column}}"))
    )
