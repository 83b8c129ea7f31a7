"""The dashboard of one model, which alerts link to."""

from __future__ import annotations

import annotations
import board
from board import Section
from grafana_foundation_sdk.models import dashboard

from model import data_quality, labels, overview, quality, segments, service
from model import quality_queries as qq
from model import queries as q

UID = "mlflow-model"
SECTIONS: tuple[Section, ...] = (
    ("", overview.verdicts),
    ("", overview.columns),
    ("", overview.cause_and_effect),
    ("Quality by metric and by class", quality.quality),
    ("Labels", labels.labels),
    ("Data quality", data_quality.checks),
    ("Segments", segments.segments),
    ("Traffic and latency", service.traffic),
    ("Alerts, aliases and the version's source", service.alerts_and_version),
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
            # Chosen in the table of metrics; where there is none it is a word that reads well in a title.
            board.of_query("metric", "Metric", qq.METRICS).hide(dashboard.VariableHide.HIDE_VARIABLE)
        )
    )
    return board.finish(annotations.of_model(page), SECTIONS)
