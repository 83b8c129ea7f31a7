"""Parts that all dashboards share: head, variables, order of panels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

import links
import trouble
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard
from panels import DATASOURCE, Panel
from promql import gauge, or_named, series

TAG = "mlflow"
# Title of the row, empty where it needs none, and what makes its panels.
Section = tuple[str, Callable[[], Iterable[Panel]]]


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
        .refresh("1m")
        .link(
            builders.DashboardLink("Dashboards")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(
            builders.DatasourceVariable("datasource")
            .label("Data source")
            .type("prometheus")
            # The one that Grafana has as its default, and not the alphabetically first.
            .current(chosen("default"))
        )
        .with_variable(_scope("cluster", "Cluster", ""))
        .with_variable(_scope("namespace", "Namespace", 'cluster=~"$cluster"'))
        .with_variable(_scope("job", "Job", 'cluster=~"$cluster", namespace=~"$namespace"'))
    )


def finish(board: builders.Dashboard, sections: Iterable[Section]) -> dashboard.Dashboard:
    """The dashboard with the panels of its sections, in lines of 24; those with a heading are collapsed.

    A panel that links name has its id from `links`, the others are numbered.
    """
    ids = count(links.FIRST_FREE_ID)
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    y = 0
    for title, panels in sections:
        arranged, end = _arranged([panel.build() for panel in panels()], y + bool(title))
        for panel in arranged:
            panel.id_val = panel.id_val or next(ids)
        if title:
            row = builders.Row(title).id(next(ids)).collapsed(True).build()
            row.grid_pos = dashboard.GridPos(x=0, y=y, w=24, h=1)
            row.panels = arranged
            placed.append(row)
            y += 1
        else:
            placed.extend(arranged)
            y = end
    built = board.build()
    built.panels = placed
    for link in built.links or ():
        # Else they are hidden in a menu, which is what the SDK asks for whether one wants it or not.
        link.placement = None  # type: ignore[assignment]
    return built


def _arranged(panels: list[dashboard.Panel], y: int) -> tuple[list[dashboard.Panel], int]:
    """The panels from left to right in lines of 24 from `y` on, and where the next line begins."""
    x = height = 0
    for panel in panels:
        place = panel.grid_pos
        assert place is not None
        if x + place.w > 24:
            x, y, height = 0, y + height, 0
        place.x, place.y = x, y
        x, height = x + place.w, max(height, place.h)
    return panels, y + height


def of_label(name: str, label: str, metric: str, selector: str = "", key: str = "") -> builders.QueryVariable:
    """A variable with the values of the label `key` (by default the variable's name) on the series."""
    return _variable(name, label, f"label_values({series(metric, selector)}, {key or name})", kind=1).sort(
        dashboard.VariableSort.NATURAL_ASC
    )


def of_query(name: str, label: str, expression: str, key: str = "") -> builders.QueryVariable:
    """A variable with the values of a label in the result of an expression, in the order of the result.

    The result has this label alone. Grafana does not escape quotes in it.
    """
    return (
        _variable(name, label, f"query_result({expression})", kind=3)
        .regex(f'/^{{{key or name}="(.*)"}} /')
        .sort(dashboard.VariableSort.DISABLED)
    )


def model() -> builders.QueryVariable:
    """The choice of a model, by default the one with most trouble."""
    return of_query("model", "Model", or_named(trouble.MODELS, "model", "no model"))


def models() -> builders.QueryVariable:
    """The choice of a model or of all models, see `promql.among`."""
    every = of_label("model", "Model", "mlflow_model_version_info")
    return every.include_all(True).all_value(".*").current(everything())


def model_version() -> builders.QueryVariable:
    """The choice of a version of the model, by default the champion."""
    return of_query("model_version", "Version", or_named(trouble.VERSIONS, "model_version", "none"))


def window(selector: str = "") -> builders.QueryVariable:
    """The choice of a window; 24h by default, for which verdicts are made, and where there is none."""
    windows = or_named(f"0 * {gauge('mlflow_model_window_rows', selector, 'window')}", "window", "24h")
    return (
        of_query("window", "Window", windows).sort(dashboard.VariableSort.NATURAL_ASC).current(chosen("24h"))
    )


def chosen(value: str) -> dashboard.VariableOption:
    """The default of a variable, if it is among its values."""
    return dashboard.VariableOption(text=value, value=value, selected=True)


def everything() -> dashboard.VariableOption:
    """The default of a variable that includes All."""
    return dashboard.VariableOption(text="All", value="$__all", selected=True)


def _scope(name: str, label: str, selector: str) -> builders.QueryVariable:
    """The choice of a label that Prometheus gives to the exporter's series; All, where they lack it."""
    matched = f"{{{selector}}}" if selector else ""
    values = _variable(name, label, f"label_values(mlflow_up{matched}, {name})", kind=1)
    return with_all(values.sort(dashboard.VariableSort.NATURAL_ASC))


def with_all(variable: builders.QueryVariable) -> builders.QueryVariable:
    """The variable with All, which is the default and matches series without the label."""
    return variable.include_all(True).all_value(".*").current(everything())


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
