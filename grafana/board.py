"""Parts that all dashboards share: head, variables, annotations, order of panels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard
from look import LIVE, REFERENCE
from panels import DATASOURCE, Panel, query
from promql import gauge

TAG = "mlflow"
# Title of the row, empty where it needs none, and what makes its panels.
Section = tuple[str, Callable[[], Iterable[Panel]]]

# The time of a move is a value and so stays exact; the version that the alias points to since is a label.
ALIAS_MOVES = (
    f"""1000 * {gauge("mlflow_model_alias_changed_timestamp_seconds", 'model="$model"', "alias")}"""
    " * on (alias) group_right () "
    f"""count_values by (alias) ("to", {gauge("mlflow_model_alias_version", 'model="$model"', "alias")})"""
)
# A digest that was not there within the day before. A gap, as of a restart, is no change.
_DIGEST = 'model="$model", reference_source!="none"'
REFERENCE_CHANGES = (
    f"""{gauge("mlflow_model_version_info", _DIGEST, "model_version, reference_digest, reference_source")}"""
    " unless on (model_version, reference_digest)"
    " max by (model_version, reference_digest)"
    f" (last_over_time(mlflow_model_version_info{{{_DIGEST}}}[1d] offset 1m))"
)


def begin(uid: str, title: str, description: str) -> builders.Dashboard:
    """A new dashboard, with links to the others and a choice of the data source."""
    return (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time("now-24h", "now")
        .refresh("30s")
        .link(
            builders.DashboardLink("Dashboards")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )


def finish(board: builders.Dashboard, sections: Iterable[Section]) -> dashboard.Dashboard:
    ids = count(1)
    for title, panels in sections:
        if title:
            board = board.with_row(builders.Row(title).id(next(ids)))
        for panel in panels():
            board = board.with_panel(panel.id(next(ids)))
    built = board.build()
    for link in built.links or ():
        # Else they are hidden in a menu, which is what the SDK asks for whether one wants it or not.
        link.placement = None  # type: ignore[assignment]
    return built


def of_label(name: str, label: str, series: str, key: str = "") -> builders.QueryVariable:
    """A variable with the values of the label `key` (by default the variable's name) on the series."""
    return _variable(name, label, f"label_values({series}, {key or name})", kind=1).sort(
        dashboard.VariableSort.NATURAL_ASC
    )


def of_query(name: str, label: str, expression: str, key: str = "") -> builders.QueryVariable:
    """A variable with the label's values in the result of an expression, in the order of the result."""
    return (
        _variable(name, label, f"query_result({expression})", kind=3)
        .regex(f'/{key or name}="(.*?)"/')
        .sort(dashboard.VariableSort.DISABLED)
    )


def model() -> builders.QueryVariable:
    return of_label("model", "Model", "mlflow_model_version_info")


def window(selector: str) -> builders.QueryVariable:
    """The choice of a window, by default 24h where it exists, since verdicts are made for it."""
    return of_label("window", "Window", f"mlflow_model_window_rows{{{selector}}}").current(chosen("24h"))


def chosen(value: str) -> dashboard.VariableOption:
    """The default of a variable, if it is among its values."""
    return dashboard.VariableOption(text=value, value=value, selected=True)


def alias_moves() -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name("Alias moved")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(LIVE)
        .target(query(ALIAS_MOVES, ref="Annotation"))
        .expr(ALIAS_MOVES)
        .step("60s")
        .use_value_for_time(True)
        .title_format("Alias moved")
        .text_format("{{alias}} now points to version {{to}}")
        .tag_keys("alias")
    )


def reference_changes() -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name("Reference changed")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(REFERENCE)
        .target(query(REFERENCE_CHANGES, ref="Annotation"))
        .expr(REFERENCE_CHANGES)
        .step("60s")
        .title_format("Reference of version {{model_version}} changed")
        .text_format("digest {{reference_digest}}, from {{reference_source}}")
        .tag_keys("model_version")
    )


def _variable(name: str, label: str, text: str, *, kind: int) -> builders.QueryVariable:
    """`kind` is Grafana's number for the form of the query: 1 values of a label, 3 result of a query."""
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
