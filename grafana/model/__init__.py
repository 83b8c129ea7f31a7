"""The dashboard of one model, which alerts link to."""

from __future__ import annotations

import annotations
import board
import links
from board import Section
from grafana_foundation_sdk.models import dashboard

from model import data_quality, labels, overview, quality, resources, segments, service
from model import quality_queries as qq
from model import queries as q
from model import segment_queries as sq

SECTIONS: tuple[Section, ...] = (
    ("", overview.verdicts),
    ("", overview.columns),
    ("", overview.cause_and_effect),
    ("Model quality", quality.quality),
    ("Labels", labels.labels),
    ("Segments", segments.segments),
    ("Data quality", data_quality.checks),
    ("Traffic and latency", service.traffic),
    ("Serving processes", resources.resources),
    ("Alerts and aliases", service.alerts_and_aliases),
    ("Version $model_version", service.version),
)


def build() -> dashboard.Dashboard:
    page = (
        board.begin(
            links.MODEL.uid,
            "MLflow model",
            "Quality, drift, data quality and traffic of one model version in MLflow, against its own "
            "reference.",
        )
        .with_variable(board.model())
        .with_variable(board.model_version())
        .with_variable(board.window(q.VERSION))
        # Chosen in tables; where there is none it is a word that reads well in a title.
        .with_variable(
            board.of_query("metric", "Metric", qq.METRICS).hide(dashboard.VariableHide.HIDE_VARIABLE)
        )
        .with_variable(
            board.of_query("segment", "Segment", sq.SEGMENTS).hide(dashboard.VariableHide.HIDE_VARIABLE)
        )
    )
    return board.finish(annotations.of_model(page), SECTIONS)
