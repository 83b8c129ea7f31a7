"""The dashboard of MLflow's own runs: metrics, status, age."""

from __future__ import annotations

import board
from board import Section
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard
from promql import or_named

from runs import experiments
from runs import queries as q

UID = "mlflow-runs"
SECTIONS: tuple[Section, ...] = (
    ("", experiments.summary),
    ("", experiments.newest),
    ("Every experiment", experiments.experiments),
)

_ALL = dashboard.VariableOption(text="All", value="$__all", selected=True)


def build() -> dashboard.Dashboard:
    columns = board.of_label("columns", "Columns", "mlflow_run_metric", q.EXPERIMENT, "metric")
    address = board.of_label("mlflow", "MLflow", "mlflow_exporter_address_info", 'program="mlflow"', "url")
    page = (
        board.begin(
            UID,
            "MLflow runs",
            "Experiments of MLflow: metrics of their newest runs, which is best, runs by status, age.",
        )
        .time("now-30d", "now")
        # The one with the newest run first.
        .with_variable(board.of_query("experiment", "Experiment", q.EXPERIMENTS))
        .with_variable(board.of_query("metric", "Metric", or_named(q.CHOICE, "metric", "metric")))
        .with_variable(
            builders.CustomVariable("less_is_better")
            .label("Best is")
            .values(f"by the metric's name : {q.LESS_IS_BETTER},highest : ^$,lowest : .+")
            .current(
                dashboard.VariableOption(text="by the metric's name", value=q.LESS_IS_BETTER, selected=True)
            )
        )
        .with_variable(columns.multi(True).include_all(True).all_value(".+").current(_ALL))
        .with_variable(address.hide(dashboard.VariableHide.HIDE_VARIABLE))
    )
    return board.finish(page, SECTIONS)
