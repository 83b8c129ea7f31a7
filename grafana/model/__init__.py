"""The dashboard of one model, which alerts link to."""

from __future__ import annotations

import annotations
import board
from board import Section
from grafana_foundation_sdk.models import dashboard

from model import data_quality, drift, labels, overview, quality, segments, service
from model import quality_queries as qq
from model import queries as q

UID = "mlflow-model"
# The first three need no heading.
SECTIONS: tuple[Section, ...] = (
    ("", overview.verdicts),
    ("", overview.grounds),
    ("", overview.columns),
    ("Column $column", drift.column),
    ("Model quality", quality.quality),
    ("Traffic", service.traffic),
    ("Labels", labels.labels),
    ("Predictions and scores", drift.outputs),
    ("Data quality", data_quality.checks),
    ("Segments", segments.segments),
    ("Alerts and aliases", service.alerts_and_aliases),
    ("Version $model_version", service.version),
)


def build() -> dashboard.Dashboard:
    page = (
        board.begin(
            UID,
            "MLflow model",
            "Quality, drift, data quality and traffic of one model version in MLflow, against its own "
            "reference.",
        )
        .with_variable(board.model())
        .with_variable(board.model_version())
        .with_variable(board.window(q.VERSION))
        .with_variable(
            # The one furthest beyond its limit first, so that the page opens with it.
            board.of_query("column", "Column", q.COLUMNS)
        )
        .with_variable(
            # Chosen in the table of metrics; where there is none it is a word that reads well in a title.
            board.of_query("metric", "Metric", qq.METRICS).hide(dashboard.VariableHide.HIDE_VARIABLE)
        )
    )
    return board.finish(annotations.of_model(page), SECTIONS)
