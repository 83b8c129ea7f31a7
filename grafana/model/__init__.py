"""The dashboard of one model: what a person who is paged opens first."""

from __future__ import annotations

from itertools import count

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard
from look import DATASOURCE, LIVE, query

from model import drift, overview, quality, service
from model import queries as q

UID = "mlflow-model"
# The first two need no heading.
SECTIONS = (
    ("", overview.verdicts),
    ("", overview.columns),
    ("Column $column", drift.column),
    ("Predictions and scores", drift.outputs),
    ("Data quality", quality.checks),
    ("Traffic", service.traffic),
    ("Alerts and aliases", service.alerts_and_aliases),
    ("Exporter", service.exporter),
    ("Version $model_version", service.version),
)


def build() -> dashboard.Dashboard:
    board = (
        builders.Dashboard("MLflow model")
        .uid(UID)
        .description(
            "Drift, data quality and traffic of one model version in MLflow, against its own reference."
        )
        .tags(["mlflow"])
        .readonly()
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time("now-24h", "now")
        .refresh("30s")
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_labels("model", "Model", "mlflow_model_version_info"))
        .with_variable(
            # The newest version first.
            _labels("model_version", "Version", 'mlflow_model_version_info{model="$model"}').sort(
                dashboard.VariableSort.NUMERICAL_DESC
            )
        )
        .with_variable(
            # Where a day is one of the windows, it is the one that verdicts are made for.
            _labels("window", "Window", f"mlflow_model_window_rows{{{q.VERSION}}}").current(
                dashboard.VariableOption(text="24h", value="24h", selected=True)
            )
        )
        .with_variable(_column())
        .annotation(_alias_moves())
    )
    ids = count(1)
    for title, panels in SECTIONS:
        if title:
            board = board.with_row(builders.Row(title).id(next(ids)))
        for panel in panels():
            board = board.with_panel(panel.id(next(ids)))
    return board.build()


def _labels(name: str, label: str, series: str) -> builders.QueryVariable:
    """A variable with the values that the label of the variable's own name has on the series."""
    return _variable(name, label, f"label_values({series}, {name})", kind=1).sort(
        dashboard.VariableSort.NATURAL_ASC
    )


def _column() -> builders.QueryVariable:
    """Every column that has bins, the one furthest beyond its limit first, so that the page opens with it."""
    ratio = f"max by (column) ({q.DRIFT_RATIO})"
    others = f"0 * max by (column) (mlflow_model_reference_ratio{{{q.VERSION}}}) - 1"
    return (
        _variable("column", "Column", f"query_result(sort_desc({ratio} or {others}))", kind=3)
        .regex('/column="(.*)"/')
        .sort(dashboard.VariableSort.DISABLED)
    )


def _variable(name: str, label: str, text: str, *, kind: int) -> builders.QueryVariable:
    """`kind` is Grafana's number for the form of the query: 1 a label's values, 3 a query's result."""
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .definition(text)
        .query({"qryType": kind, "query": text, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(False)
        .include_all(False)
    )


def _alias_moves() -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name("Alias moved")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(LIVE)
        .target(query(q.ALIAS_MOVES, ref="Annotation"))
        .expr(q.ALIAS_MOVES)
        .step("60s")
        .title_format("Alias moved")
        .text_format("{{alias}} now points to version {{to}}")
        .tag_keys("alias")
    )
