"""How a column differs from the reference, and what the model makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.builders import barchart
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.models import common

from model import queries as q


def column() -> Iterator[look.Panel]:
    """The chosen column: which of its values became more or less frequent, and since when."""
    yield _distribution(
        "$column: reference and live, $window",
        "Share of rows in each bin. Bins were fixed from the reference; live are the rows that arrived "
        "within the window, at all replicas. Where both bars are of one height, nothing changed.",
        'column="$column"',
        width=14,
        height=9,
    ).no_value("This column has no bins.")
    yield (
        look.lines(
            "$column: score and limit, $window",
            "The column counts as drifted when its score stays beyond the dashed limit and is significant.",
            unit="none",
            width=10,
            height=9,
        )
        .override_by_name("Score", [look.painted(look.LIVE)])
        .override_by_name("Limit", [look.painted(look.LIMIT), look.dashed(), look.unfilled()])
        .no_value("This column has no score in this window yet.")
        .with_target(look.query(q.column_gauge("mlflow_model_drift_score"), "Score", "score"))
        .with_target(look.query(q.column_gauge("mlflow_model_drift_limit"), "Limit", "limit"))
    )
    yield (
        look.lines(
            "$column: a day against the weeks before",
            "The score of the last 24 hours against the four weeks that end five days ago, whatever the "
            "reference says. The column counts as changed when two days in a row are beyond the dashed "
            "limit, which is what the days of those weeks differ by. After a change it is higher, or absent.",
            unit="none",
            width=24,
            height=6,
        )
        .override_by_name("Score", [look.painted(look.OTHER)])
        .override_by_name("Limit", [look.painted(look.LIMIT), look.dashed(), look.unfilled()])
        .no_value("It takes nineteen days of traffic, and a window of 24h, until a day can be compared.")
        .with_target(look.query(q.day_gauge("mlflow_model_change_score"), "Score", "score"))
        .with_target(look.query(q.day_gauge("mlflow_model_change_limit"), "Limit", "limit"))
    )


def outputs() -> Iterator[look.Panel]:
    """What the model puts out."""
    yield (
        look.lines(
            "Prediction and score drift, $window",
            "Drift score of what the model puts out, in multiples of its limit, which is dashed. Inputs that "
            "drift without moving the output may be harmless.",
            unit=look.TIMES,
            width=8,
            height=8,
        )
        .decimals(2)
        .axis_soft_max(1.2)
        .thresholds(look.steps("transparent", (1, look.LIMIT)))
        .thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
        .override_by_name("prediction", [look.painted(look.LIVE)])
        .override_by_name("score", [look.painted(look.OTHER)])
        .no_value("The output has no score in this window yet.")
        .with_target(look.query(q.output_ratio("prediction"), "prediction", "prediction"))
        .with_target(look.query(q.output_ratio("score"), "score", "score"))
    )
    yield _distribution(
        "Predictions: reference and live, $window",
        "Share of rows with each predicted value, in the reference and in the window.",
        'role="prediction"',
        width=8,
        height=8,
    ).no_value("The reference holds no predictions.")
    yield _distribution(
        "Scores: reference and live, $window",
        "Share of rows in each bin of the model's score, in the reference and in the window.",
        'role="score"',
        width=8,
        height=8,
    ).no_value("This model sends no scores, or its reference holds none.")


def _distribution(title: str, description: str, selector: str, *, width: int, height: int) -> barchart.Panel:
    """Bars of the reference beside those of the live rows, in the order of the bins' index."""
    return (
        look.bars(title, description, unit="percentunit", width=width, height=height)
        .x_field("bin")
        .with_target(look.rows(q.reference_shares(selector), "reference"))
        .with_target(look.rows(q.live_shares(selector), "live"))
        .with_transformation(look.transformation("merge"))
        .with_transformation(look.sorted_by("bin"))
        .with_transformation(
            look.arranged({"bin": "bin", "Value #reference": "Reference", "Value #live": "Live"}, "Time")
        )
        .override_by_name("Reference", [look.painted(look.REFERENCE)])
        .override_by_name("Live", [look.painted(look.LIVE)])
    )
