"""Marks of what happened to a model, on every dashboard that shows one.

Where the time of an event is the value of a series, the mark is there, whatever the step of the query is.
"""

from __future__ import annotations

import look
from grafana_foundation_sdk.builders import dashboard as builders
from panels import DATASOURCE, query
from promql import gauge, matching, series

_MODEL = matching("model")


def of_model(page: builders.Dashboard) -> builders.Dashboard:
    """The dashboard with all marks of the chosen model."""
    for mark in (alias_moves, reference_changes, alerts, remediations, retrainings, reports):
        page = page.annotation(mark())
    return page


def alias_moves() -> builders.AnnotationQuery:
    """Moves of an alias; the version that it points to since is a label."""
    moved = gauge("mlflow_model_alias_changed_timestamp_seconds", _MODEL, "alias")
    version = gauge("mlflow_model_alias_version", _MODEL, "alias")
    return _at(
        "Alias moved",
        f"""{moved} * on (alias) group_right () count_values by (alias) ("to", {version})""",
        look.LIVE,
        title="Alias moved",
        text="{{alias}} now points to version {{to}}",
        tags="alias",
    )


def reference_changes() -> builders.AnnotationQuery:
    """Digests that were not there within the day before. A gap, as of a restart, is no change."""
    selector = f'{_MODEL}, reference_source!="none"'
    info = gauge("mlflow_model_version_info", selector, "model_version, reference_digest, reference_source")
    before = f"last_over_time({series('mlflow_model_version_info', selector)}[1d] offset 1m)"
    return _mark(
        "Reference changed",
        f"{info} unless on (model_version, reference_digest)"
        f" max by (model_version, reference_digest) ({before})",
        look.REFERENCE,
        title="Reference of version {{model_version}} changed",
        text="digest {{reference_digest}}, from {{reference_source}}",
        tags="model_version",
    )


def alerts() -> builders.AnnotationQuery:
    """Alerts about the model, for as long as they fire."""
    firing = f'{_MODEL}, alertstate="firing", severity=~"critical|warning"'
    return _mark(
        "Alert",
        f"max by (alertname, model_version, column, metric) ({series('ALERTS', firing)})",
        look.BAD,
        title="{{alertname}}",
        text="{{column}}{{metric}} version {{model_version}}",
        tags="alertname",
    )


def remediations(selector: str = _MODEL) -> builders.AnnotationQuery:
    """Actions of remediation on the selected models, but retrainings: each state at its time."""
    return _at(
        "Remediation",
        _states(f'{selector}, action!="retrain"'),
        look.OTHER,
        title="{{action}}: {{state}}",
        text="Remediation of {{model}}",
        tags="action,state",
    )


def retrainings(selector: str = _MODEL) -> builders.AnnotationQuery:
    """Retrainings of the selected models that remediation asked for: each state at its time."""
    return _at(
        "Retraining",
        _states(f'{selector}, action="retrain"'),
        look.OTHER,
        title="Retraining: {{state}}",
        text="Retraining of {{model}}",
        tags="state",
    )


def reports(selector: str = _MODEL) -> builders.AnnotationQuery:
    """Reports on versions of the selected models, when they were done."""
    return _at(
        "Report",
        gauge("mlflow_model_report_timestamp_seconds", selector, "model, model_version"),
        look.REFERENCE,
        title="Report",
        text="Report on version {{model_version}} of {{model}}",
        tags="model_version",
    )


def _states(selector: str) -> str:
    """Times of the states that say something."""
    states = f'{selector}, state!~"planned|verifying"'
    return gauge("mlflow_exporter_remediation_state_timestamp_seconds", states, "action, model, state")


def _at(name: str, seconds: str, color: str, *, title: str, text: str, tags: str) -> builders.AnnotationQuery:
    """Marks at the times that are the values of an expression; Grafana takes milliseconds."""
    return _mark(name, f"1000 * {seconds}", color, title=title, text=text, tags=tags).use_value_for_time(True)


def _mark(
    name: str, expression: str, color: str, *, title: str, text: str, tags: str
) -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(color)
        .target(query(expression, ref="Annotation"))
        .expr(expression)
        .step("60s")
        .title_format(title)
        .text_format(text)
        .tag_keys(tags)
    )
