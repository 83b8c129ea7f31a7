"""Every metric, label and alert that the alerting files name exists: a misspelt one is silent for ever."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.config.delivered_alerts import DELIVERED_ALERTS, INPUT_ALERTS, LOOP_ALERTS
from exporter.config.remediation import LOOP_PREFIX
from exporter.exposition.catalog import CATALOG
from tests.prometheus.alerting import ALERTS, PROMETHEUS, RECORDED, RULE_FILES, RULES, RUNBOOKS, read_yaml

DASHBOARDS = PROMETHEUS.parent / "grafana" / "dashboards"
METRICS = {name: set(metric.labels) for metric in CATALOG for name in metric.series_names}
# From Prometheus, not from the exporter; `exported_shard` is its own label beside one of the target.
TARGET_LABELS = {"cluster", "instance", "job", "namespace", "pod", "exported_shard"}
ALERT_LABELS = {"alertname", "severity", "cluster"}
LABELS = set().union(
    *METRICS.values(), TARGET_LABELS, {"le"}, {"alertname", "alertstate", "severity"}
)  # of ALERTS

QUERIED = [*RULE_FILES, *RUNBOOKS]
each_file = pytest.mark.parametrize("path", QUERIED, ids=lambda path: path.stem)


def listed(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def selectors(text: str) -> Iterator[tuple[str, set[str]]]:
    for name, matchers in re.findall(r"\b((?:mlflow|process|python)_\w+)\{([^{}]*)\}", text):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def matchers_in(tree: Any) -> Iterator[tuple[str, str, str]]:
    """(label, operator, value) of every matcher in Alertmanager's configuration."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key.endswith("matchers"):
                for matcher in value:
                    parts = re.fullmatch(r'(\w+)\s*(=~|!~|!=|=)\s*"(.*)"', matcher)
                    assert parts is not None, matcher
                    yield parts[1], parts[2], parts[3]
            else:
                yield from matchers_in(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from matchers_in(item)


@each_file
def test_metrics_are_in_the_catalogue(path: Path) -> None:
    named = set(re.findall(r"(?<!:)\b(?:mlflow|process|python)_\w+", path.read_text()))
    assert named - METRICS.keys() == set()


@each_file
def test_what_is_queried_of_recordings_is_recorded(path: Path) -> None:
    assert set(re.findall(r"\b\w+:\w+:\w+", path.read_text())) - RECORDED.keys() == set()


def test_recordings_say_level_metric_and_operation() -> None:
    metrics = {re.sub("_(total|rows)$", "", name) for name in METRICS} | METRICS.keys()
    levels = {"job", "version", "policy", "cell", "source"} | LABELS
    for name in RECORDED:
        level, metric, operation = name.split(":")
        assert set(level.split("_")) <= levels
        assert metric in metrics or f"{metric}_ratio" in metrics
        assert re.fullmatch("[a-z]+([0-9]+[mhd])?", operation)


def test_recordings_belong_to_the_target_and_not_to_a_replica() -> None:
    for name, expr in RECORDED.items():
        for metric in re.findall(r"(?<!:)\bmlflow_\w+(?!\w*:)", expr):
            assert "without (instance, pod" in expr, (name, metric)


@each_file
def test_labels_of_selectors_are_those_of_the_metric(path: Path) -> None:
    for name, labels in selectors(path.read_text()):
        assert labels - METRICS[name] - TARGET_LABELS == set(), name


@each_file
def test_labels_of_aggregations_and_joins_exist(path: Path) -> None:
    text = path.read_text()
    for names in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", text):
        assert listed(names) - LABELS == set()
    assert set(re.findall(r"\$labels\.(\w+)", text)) - LABELS == set()


def test_labels_in_alertmanagers_configuration_exist() -> None:
    text = (PROMETHEUS / "alertmanager.yml").read_text()
    named = {
        label for names in re.findall(r"(?:group_by|equal): \[([^\]]*)\]", text) for label in listed(names)
    }
    named |= {label for label, _, _ in matchers_in(read_yaml(PROMETHEUS / "alertmanager.yml"))}
    assert named >= {"model", "alertname", "check"}
    assert named - LABELS - ALERT_LABELS == set()


def test_alerts_in_alertmanagers_configuration_exist() -> None:
    patterns = [
        alternative
        for label, _, value in matchers_in(read_yaml(PROMETHEUS / "alertmanager.yml"))
        if label == "alertname"
        for alternative in value.split("|")
    ]
    assert patterns
    for pattern in patterns:
        assert any(re.fullmatch(pattern, alert) for alert in ALERTS), pattern


def panel_ids(tree: dict[str, Any]) -> Iterator[int]:
    """Ids of the panels of a dashboard, those in collapsed rows included."""
    for panel in tree.get("panels", []):
        yield panel["id"]
        yield from panel_ids(panel)


def test_dashboards_variables_and_panels_that_alerts_link_to_exist() -> None:
    for rule in RULES:
        url = rule.annotations["dashboard_url"]
        (uid,) = re.findall(r"/d/([\w-]+)", url)
        dashboard = json.loads((DASHBOARDS / f"{uid}.json").read_text())
        assert dashboard["uid"] == uid
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", url)) <= variables
        assert {int(panel) for panel in re.findall(r"viewPanel=(\d+)", url)} <= set(panel_ids(dashboard))


def test_remediation_knows_every_alert_that_is_delivered_to_it() -> None:
    delivered = {
        (rule.alert, rule.severity)
        for rule in RULES
        if rule.alert.startswith("Model") and rule.severity != "none"
    }
    known = {(alert, each) for alert, severities in DELIVERED_ALERTS.items() for each in severities}
    assert known == delivered


def test_no_policy_may_match_an_alert_on_the_exporter_or_on_remediation() -> None:
    assert {alert for alert in ALERTS if alert.startswith(LOOP_PREFIX)} == set(LOOP_ALERTS)
    assert not [alert for alert in INPUT_ALERTS if alert not in ALERTS]
