"""Panels on drift of columns, predictions and scores."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import tables
from grafana_foundation_sdk.builders import barchart

from model import queries as q


def column() -> Iterator[panels.Panel]:
    """The chosen column: which of its values became more or less frequent, and since when."""
    yield _distribution(
        "$column: reference and live, $window",
        "Share of rows in each bin. Bins are frozen from the reference; live rows are those that arrived "
        "within the window, at all replicas. If both bars have the same height, nothing changed.",
        "column=${column:doublequote}",
        size=(10, 9),
        nothing="This column has no bins: it is the label, or there is no reference.",
    )
    yield panels.against_limit(
        "$column: score and limit, $window",
        "The column counts as drifted when its score stays beyond the dashed limit and is significant.",
        q.column_gauge("mlflow_model_drift_score"),
        q.column_gauge("mlflow_model_drift_limit"),
        size=(7, 9),
        nothing="This column has no score in this window yet.",
    )
    yield panels.against_limit(
        "$column: a day against the past weeks",
        "The score of the last 24 hours against the four weeks that end five days ago, independent of the "
        "reference. The column counts as changed when two days in a row are beyond the dashed limit, "
        "which follows from the differences between the days of those weeks. After a change the limit is "
        "higher, or absent.",
        q.day_gauge("mlflow_model_change_score"),
        q.day_gauge("mlflow_model_change_limit"),
        size=(7, 9),
        nothing=(
            "Available from the 19th day of traffic on, with a window of 24h, and not for weeks after a "
            "gross change."
        ),
    )


def outputs() -> Iterator[panels.Panel]:
    """Panels on predictions and scores."""
    yield panels.in_limits(
        panels.lines(
            "Prediction and score drift, $window",
            "Drift score of the model's output in multiples of its limit, which is dashed. Inputs that "
            "drift without moving the output may be harmless.",
            panels.line("prediction", q.output_ratio("prediction"), look.LIVE),
            panels.line("score", q.output_ratio("score"), look.OTHER),
            unit=look.TIMES,
            size=(8, 8),
            nothing="The output has no score in this window yet.",
        )
    )
    yield _distribution(
        "Predictions: reference and live, $window",
        "Share of rows with each predicted value, in the reference and in the window.",
        'role="prediction"',
        size=(8, 8),
        nothing="The reference holds no predictions.",
    )
    yield _distribution(
        "Scores: reference and live, $window",
        "Share of rows in each bin of the model's score, in the reference and in the window.",
        'role="score"',
        size=(8, 8),
        nothing="This model sends no scores, or its reference holds none.",
    )


def _distribution(
    title: str, description: str, selector: str, *, size: panels.Size, nothing: str
) -> barchart.Panel:
    """Bars of the reference beside those of the live rows, in the order of the bins' index."""
    panel = panels.bars(title, description, unit="percentunit", size=size, nothing=nothing).x_field("bin")
    titles = {"bin": "bin"}
    for ref, name, shares, color in (
        ("reference", "Reference", q.reference_shares, look.REFERENCE),
        ("live", "Live", q.live_shares, look.LIVE),
    ):
        panel = panel.with_target(tables.rows(shares(selector), ref))
        panel = panel.override_by_name(name, [look.painted(color)])
        titles[f"Value #{ref}"] = name
    return (
        panel.with_transformation(tables.transformation("merge"))
        .with_transformation(tables.sorted_by("bin"))
        .with_transformation(tables.arranged(titles, "Time"))
        # Else names that have no room are written as what the panel says without data.
        .override_by_name("bin", [look.of_field("noValue", " ")])
    )
