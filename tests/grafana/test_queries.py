"""Dashboards query what is exported, of the chosen data source, in a form that is right for replicas."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from exporter.exposition.catalog import CATALOG
from tests.grafana.dashboards import charts, each_dashboard, expressions, load, panels

# What Prometheus itself adds: series of alerts and of targets, and labels of targets and of histograms.
TARGET = {"cluster", "namespace", "job", "instance"}
PROMETHEUS_METRICS = {
    "ALERTS": {
        *("alertname", "alertstate", "severity", "team"),
        *("model", "model_version", "alias", "column", "role", "check", "metric", "segment", "window"),
    },
    "up": set(),
}
EXPORTED = {name: {*metric.labels} for metric in CATALOG for name in metric.series_names}
# A process is a target's.
EXPORTED |= {name: labels | {"le"} for name, labels in EXPORTED.items() if name.endswith("_bucket")}
KNOWN = {name: labels | TARGET for name, labels in (EXPORTED | PROMETHEUS_METRICS).items()}

# Values that the variables may have, to make of each expression what Grafana would send.
VALUES = {
    "model_version": "3",
    "model": 'fraud "eu"',
    "team": "growth",
    "worst": "fraud",
    "alias": "champion",
    "severity": "1",
    "cluster": ".*",
    "namespace": ".*",
    "job": ".*",
    "window": "24h",
    "champion": "champion",
    "challenger": "challenger",
    "metric": "accuracy",
    "experiment": "training",
    "column": "age",
    "segment": "country=DE",
    "ago": "1d",
    "__rate_interval": "1m",
    "__interval": "1m",
    "__interval_ms": "60000",
    "__range": "24h",
    "__to": "1800000000000",
    "columns": "auc|f1",
    "less_is_better": ".*loss.*",
}


@each_dashboard
def test_only_metrics_that_are_exported_are_queried(path: Path) -> None:
    for place, expression in expressions(load(path)):
        used = set(
            re.findall(r"\b(?:mlflow|process|python)_\w+|\b[A-Z][A-Z_]+\b|\bup\b", unquoted(expression))
        )
        assert used, place
        assert used <= set(KNOWN), place


@each_dashboard
def test_only_labels_that_the_metric_has_are_selected(path: Path) -> None:
    for place, expression in expressions(load(path)):
        selectors = re.findall(r"\b(\w+)\{((?:[^}\"]|\"[^\"]*\")*)\}", flat(substituted(expression)))
        for metric, selector in selectors:
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", unquoted(selector)))
            assert labels <= KNOWN[metric], f"{place}: {metric}"


@each_dashboard
def test_only_labels_of_the_queried_metrics_are_grouped_by_or_shown(path: Path) -> None:
    dashboard = load(path)
    for place, expression in expressions(dashboard):
        grouped = labels_of(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^()]*)\)", expression)
        assert grouped <= available(expression) | made(expression), place
    for panel in charts(dashboard):
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            grouped = labels_of(r"\bby\s*\(([^()]*)\)", target["expr"])
            assert shown <= grouped | made(target["expr"]), panel["title"]


def made(expression: str) -> set[str]:
    """Labels that `label_replace` and `count_values` make."""
    replaced = re.findall(r', "(\w+)", "[^"]*", "\w*", "[^"]*"\)', expression)
    return {*replaced, *re.findall(r'count_values[^"]*"(\w+)"', expression)}


def flat(expression: str) -> str:
    """Without quotes in strings."""
    return expression.replace(r"\"", "")


def labels_of(pattern: str, expression: str) -> set[str]:
    return {label.strip() for group in re.findall(pattern, expression) for label in group.split(",")} - {""}


def available(expression: str) -> set[str]:
    return {
        label for name, labels in KNOWN.items() if re.search(rf"\b{name}\b", expression) for label in labels
    }


def unquoted(expression: str) -> str:
    return re.sub(r'"[^"]*"', '""', expression)


@each_dashboard
def test_counters_are_queried_as_rates_summed_over_replicas(path: Path) -> None:
    """Counters of serving processes are no sums: their reports go to any replica."""
    own = {metric.name for metric in CATALOG if metric.type == "counter" and "process" not in metric.labels}
    own |= {name for metric in CATALOG if metric.type == "histogram" for name in metric.series_names}
    told = {metric.name for metric in CATALOG if metric.type == "counter"} - own
    for place, expression in expressions(load(path)):
        for name in (own | told) & set(re.findall(r"\w+", expression)):
            by = r"sum (?:by \([\w, ]+\) )?" if name in own else r"max by \(host, process[\w, ]*\) "
            rates = rf"{by}\((?:rate|increase)\({name}\b"
            assert len(re.findall(rates, expression)) == len(re.findall(rf"\b{name}\b", expression)), place


@each_dashboard
def test_gauges_are_aggregated_over_replicas(path: Path) -> None:
    gauges = {metric.name for metric in CATALOG if metric.type == "gauge"}
    for place, expression in expressions(load(path)):
        if place.startswith("label of"):
            continue  # values of a label on any series
        for name in gauges & set(re.findall(r"\w+", expression)):
            one = rf"(?:max|min|sum) (?:by \([\w, ]+\) )?\((?:last_over_time\()?{name}\b"
            assert len(re.findall(one, expression)) == len(re.findall(rf"\b{name}\b", expression)), place


@each_dashboard
@pytest.mark.needs("promtool")
def test_prometheus_can_read_every_expression(
    path: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    rules = [
        {"record": "dashboard:expression", "labels": {"place": place}, "expr": substituted(expression)}
        for place, expression in expressions(load(path))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    command = [program("promtool"), "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def substituted(expression: str) -> str:
    for name, value in VALUES.items():
        quoted = '"' + value.replace('"', r"\"") + '"'
        expression = expression.replace(f"${{{name}:doublequote}}", quoted)
        expression = expression.replace(f"${{{name}:regex}}", re.escape(value))
        expression = re.sub(rf"\$({name}\b|{{{name}}})", value, expression)
    assert not re.search(r"\$(?!\d)", expression)  # `$1` is a group of a regular expression
    return expression


@each_dashboard
def test_every_query_asks_the_data_source_that_was_chosen(path: Path) -> None:
    dashboard = load(path)
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in charts(dashboard):
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [chosen] * (
            1 + len(panel["targets"])
        )
    assert all(annotation["datasource"] == chosen for annotation in dashboard["annotations"].get("list", ()))


@each_dashboard
def test_where_quality_is_estimated_it_says_what_an_estimate_cannot_see(path: Path) -> None:
    dashboard = load(path)
    estimated = any(
        "mlflow_model_estimated_quality" in expression for _, expression in expressions(dashboard)
    )
    told = any("cannot see concept drift" in json.dumps(panel) for panel in panels(dashboard))
    assert told is estimated


MARKS = {"Alias moved", "Reference changed", "Alert", "Remediation", "Retraining", "Report"}
# On all models: of what was done, beside a panel of what fired.
MARKS_OF_ALL = {"Remediation", "Retraining", "Report"}


@each_dashboard
def test_what_happened_to_a_model_is_marked_wherever_it_is_shown(path: Path) -> None:
    dashboard = load(path)
    chosen = {variable["name"]: variable for variable in dashboard["templating"]["list"]}.get("model")
    marks = {each["name"] for each in dashboard["annotations"].get("list", ())}
    of_all = path.stem == "mlflow-fleet" or (chosen and chosen["includeAll"])
    assert marks == (MARKS_OF_ALL if of_all else MARKS if chosen else set())


@each_dashboard
def test_events_are_marked_at_the_time_at_which_they_happened(path: Path) -> None:
    for mark in load(path)["annotations"].get("list", ()):
        assert mark.get("useValueForTime", False) is ("_timestamp_seconds" in mark["expr"])
        # Grafana takes milliseconds.
        assert mark["expr"].startswith("1000 * ") is ("_timestamp_seconds" in mark["expr"])


@each_dashboard
def test_every_query_is_of_the_chosen_cluster_namespace_and_job(path: Path) -> None:
    for place, expression in expressions(load(path)):
        if place in ("label of cluster", "label of namespace", "label of job"):
            continue
        flattened = re.sub(r"\$\{(\w+):\w+\}", r"$\1", expression)
        used = [
            selector
            for name, selector in re.findall(r"\b(\w+)\b(?:\{([^}]*)\})?", flattened)
            if name in KNOWN and 'alertname="Watchdog"' not in selector  # of Prometheus itself
        ]
        assert used, place
        assert all(selector.endswith('job=~"$job"') for selector in used), place


@each_dashboard
def test_values_of_variables_are_quoted_by_grafana(path: Path) -> None:
    """A name may hold a quote, which ends the string in a selector that the dashboard quotes itself."""
    for place, expression in expressions(load(path)):
        quoted = set(re.findall(r'[=!]~?"[^"]*\$\{?(\w+)', expression))
        assert quoted <= {"cluster", "namespace", "job", "model_version", "columns", "less_is_better"}, place
