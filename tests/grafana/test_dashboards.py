"""Every dashboard is what its generator writes, queries only what is exported, and explains itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.exposition.catalog import CATALOG
from tests.prometheus.alerting import RULES, Rule

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))

# What Prometheus itself adds: series of alerts and of targets, and labels of targets and of histograms.
PROMETHEUS_METRICS = {
    "ALERTS": {"alertname", "alertstate", "severity", "model", "model_version", "column", "check"},
    "up": {"job"},
}
EXPORTED = {name: {*metric.labels} for metric in CATALOG for name in metric.series_names}
# A process is a target's.
EXPORTED |= {
    name: labels | {"job", "instance"} for name, labels in EXPORTED.items() if name.startswith("process_")
}
EXPORTED |= {name: labels | {"le"} for name, labels in EXPORTED.items() if name.endswith("_bucket")}
KNOWN = EXPORTED | PROMETHEUS_METRICS

# Values that the variables may have, to make of each expression what Grafana would send.
VALUES = {
    "model_version": "3",
    "model": "fraud",
    "window": "24h",
    "champion": "champion",
    "challenger": "challenger",
    "metric": "accuracy",
    "experiment": "training",
    "column": "age",
    "__rate_interval": "1m",
    "__interval": "1m",
    "__range": "24h",
}

LABEL_VARIABLES = {f"variable {name}" for name in ("model", "model_version", "window", "champion", "metric")}

each_dashboard = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def by_uid(uid: str) -> dict[str, Any]:
    (path,) = (path for path in FILES if path.stem == uid)
    return load(path)


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels in a row that is collapsed included."""
    return [each for panel in dashboard["panels"] for each in (panel, *panel.get("panels", ()))]


def charts(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in panels(dashboard) if panel["type"] not in ("row", "text")]


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Expressions of panels, annotations and variables, each with its place."""
    for panel in charts(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"].get("list", ()):
        yield annotation["name"], annotation["target"]["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            text = variable["query"]["query"]
            inner = re.fullmatch(r"query_result\((.*)\)|label_values\((.*), \w+\)", text)
            assert inner, f"{variable['name']}: {text}"
            yield f"variable {variable['name']}", inner[1] or inner[2]


def test_links_in_alerts_lead_to_a_dashboard_and_preset_variables_that_it_has() -> None:
    rules = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "prometheus" / "rules").glob("*.yml")
    )
    links = re.findall(r"/d/([\w-]+)(\S*\?.*)?", rules)
    assert {uid for uid, _ in links} == {"mlflow-model", "mlflow-versions", "mlflow-exporter"}
    for uid, query in links:
        variables = {variable["name"] for variable in by_uid(uid)["templating"]["list"]}
        assert set(re.findall(r"[?&]var-(\w+)=", query)) <= variables


# What an alert speaks of.
SHOWN = {
    "ModelFeatureDrift": "$column: score and limit, $window",
    "ModelFeatureChanged": "$column: a day against the past weeks",
    "ModelPredictionDrift": "$column: score and limit, $window",
    "ModelPredictionChanged": "$column: a day against the past weeks",
    "ModelLabelDrift": "$column: score and limit, $window",
    "ModelManyFeaturesDrifted": "Columns by drift, $window",
    "ModelDriftExplained": "$column: reference and live, $window",
    "ModelDataQualityDegraded": "$column: reference and live, $window",
    "ModelErrorRateHigh": "$column: reference and live, $window",
    "ModelSegmentDrift": "Segments, $window",
    "ModelSegmentQualityDegraded": "Segments, $window",
    "ModelQualityDegraded": "$metric: real and estimated, $window",
    "ModelEstimatedQualityDegraded": "$metric: real and estimated, $window",
    "ModelChallengerBetter": "$challenger against $champion, $window",
    "ModelLabelsStopped": "Label coverage by window",
    "ModelLabelCoverageLow": "Label coverage by window",
    "ModelNoTraffic": "Last prediction",
    "ModelLatencyHigh": "Latency of the model",
    "ModelAliasChanged": "Alias $champion moved",
    "ModelReferenceMissing": "Reference",
    "MLflowExporterDown": "Replicas up",
    "MLflowExporterEvaluationStale": "Evaluated",
    "MLflowExporterEvaluationFailing": "Failures by version",
    "MLflowExporterIngestRejecting": "Rows refused or dropped",
    "MLflowExporterRowsDropped": "Rows refused or dropped",
    "MLflowExporterStoreDamaged": "Failures of the store",
    "MLflowExporterStoreNearLimit": "Size of the store",
    "MLflowExporterConfigReloadFailed": "Configuration",
    "MLflowExporterVersionsUnmonitored": "Versions left out",
    "MLflowUnreachable": "MLflow",
    "MLflowExporterRemediationFailed": "Actions of remediation",
    "MLflowExporterRemediationConflict": "Actions of remediation",
    "MLflowExporterRemediationInterrupted": "Actions of remediation",
    "MLflowExporterRemediationNotRecovered": "Actions of remediation",
    "MLflowExporterRemediationApprovalWaiting": "Actions of remediation",
    "MLflowExporterRemediationBreakerOpen": "Refused by guards",
    "MLflowExporterRemediationDeaf": "Since the last delivery and checkpoint",
    "MLflowExporterAuditCheckpointOverdue": "Since the last delivery and checkpoint",
    "Watchdog": "Replicas up",
}
# Lines of the grid on two screens of 1920 x 1080.
TWO_SCREENS = 52


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.alert}-{rule.severity}")
def test_the_link_of_an_alert_opens_what_it_speaks_of(rule: Rule) -> None:
    """On the first two screens, or alone, with a way back to the page."""
    url = rule.annotations["dashboard_url"]
    (uid,) = re.findall(r"/d/([\w-]+)", url)
    (panel,) = (panel for panel in charts(by_uid(uid)) if panel["title"] == SHOWN[rule.alert])
    alone = re.findall(r"&viewPanel=(\d+)$", url)
    assert alone == [str(panel["id"])] or (not alone and panel["gridPos"]["y"] < TWO_SCREENS)
    needed = set(re.findall(r"\$(column|metric)", panel["title"]))
    assert needed <= set(re.findall(r"var-(\w+)=", url)) | {"window"}


@each_dashboard
def test_its_uid_is_the_name_of_its_file(path: Path) -> None:
    assert load(path)["uid"] == path.stem


def test_the_committed_files_are_what_the_generator_writes() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_the_check_tells_a_file_that_was_edited(tmp_path: Path) -> None:
    assert generate("--output", str(tmp_path)).returncode == 0
    edited = tmp_path / "mlflow-model.json"
    edited.write_text(
        edited.read_text(encoding="utf-8").replace("MLflow model", "My model"), encoding="utf-8"
    )
    done = generate("--check", "--output", str(tmp_path))
    assert done.returncode == 1
    assert "mlflow-model.json differs from its generator" in done.stderr
    assert "My model" in edited.read_text(encoding="utf-8")


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "grafana" / "build.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
        for metric, selector in re.findall(r"\b(\w+)\{((?:[^}\"]|\"[^\"]*\")*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", unquoted(selector)))
            assert labels <= KNOWN[metric], f"{place}: {metric}"


@each_dashboard
def test_only_labels_of_the_queried_metrics_are_grouped_by_or_shown(path: Path) -> None:
    dashboard = load(path)
    for place, expression in expressions(dashboard):
        grouped = labels_of(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^()]*)\)", expression)
        assert grouped <= available(expression), place
    for panel in charts(dashboard):
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            made = set(re.findall(r'label_replace\(.*?, "(\w+)", "\w+", "", ""\)', target["expr"]))
            grouped = labels_of(r"\bby\s*\(([^()]*)\)", target["expr"])
            assert shown <= grouped | made, panel["title"]


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
    counters = {metric.name for metric in CATALOG if metric.type == "counter"}
    counters |= {name for metric in CATALOG if metric.type == "histogram" for name in metric.series_names}
    for place, expression in expressions(load(path)):
        for name in counters & set(re.findall(r"\w+", expression)):
            summed = rf"sum (?:by \([\w, ]+\) )?\((?:rate|increase)\({name}\b"
            assert len(re.findall(summed, expression)) == len(re.findall(rf"\b{name}\b", expression)), place


@each_dashboard
def test_gauges_are_aggregated_over_replicas(path: Path) -> None:
    gauges = {metric.name for metric in CATALOG if metric.type == "gauge"}
    for place, expression in expressions(load(path)):
        if place in LABEL_VARIABLES:
            continue  # values of a label, whoever has it
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
        expression = re.sub(rf"\$({name}\b|{{{name}}})", value, expression)
    assert not re.search(r"\$(?!\d)", expression)  # `$1` is a group of a regular expression
    return expression


@each_dashboard
def test_every_panel_has_an_id_of_its_own(path: Path) -> None:
    ids = [panel["id"] for panel in panels(load(path))]
    assert all(isinstance(each, int) and each > 0 for each in ids)
    assert len(set(ids)) == len(ids)


@each_dashboard
def test_every_panel_has_a_title_a_unit_and_says_how_to_read_it(path: Path) -> None:
    for panel in charts(load(path)):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert re.fullmatch(r"[A-Z].{20,}\.", panel["description"]), panel["title"]


@each_dashboard
def test_every_panel_says_in_words_that_there_is_nothing_to_show(path: Path) -> None:
    for panel in charts(load(path)):
        assert panel["fieldConfig"]["defaults"].get("noValue"), panel["title"]


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
def test_panels_fill_lines_of_one_height_without_overlap(path: Path) -> None:
    lines: dict[int, list[dict[str, int]]] = {}
    for panel in load(path)["panels"]:
        lines.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    top = 0
    for y, places in sorted(lines.items()):
        assert y == top
        assert len({place["h"] for place in places}) == 1
        edges = [0, *(place["x"] + place["w"] for place in places)]
        assert edges[:-1] == [place["x"] for place in places]
        assert edges[-1] == 24
        top = y + places[0]["h"]


@each_dashboard
def test_it_links_to_the_other_dashboards_and_takes_model_and_time_along(path: Path) -> None:
    dashboard = load(path)
    (link,) = dashboard["links"]
    assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
    assert all(set(link["tags"]) <= set(load(other)["tags"]) for other in FILES)


@each_dashboard
def test_links_in_tables_lead_to_a_dashboard_and_preset_variables_that_it_has(path: Path) -> None:
    for uid, query in re.findall(r'"/d/([\w-]+)\?([^"]*)"', path.read_text(encoding="utf-8")):
        target = {variable["name"] for variable in by_uid(uid)["templating"]["list"]}
        own = {variable["name"] for variable in load(path)["templating"]["list"]}
        assert set(re.findall(r"\bvar-(\w+)=", query)) <= target
        assert set(re.findall(r"\$\{(\w+):queryparam\}", query)) <= target & own


@each_dashboard
def test_where_quality_is_estimated_it_says_what_an_estimate_cannot_see(path: Path) -> None:
    dashboard = load(path)
    estimated = any(
        "mlflow_model_estimated_quality" in expression for _, expression in expressions(dashboard)
    )
    told = any("cannot see concept drift" in json.dumps(panel) for panel in panels(dashboard))
    assert told is estimated


@pytest.mark.parametrize("uid", ["mlflow-model", "mlflow-versions"])
def test_moves_of_aliases_are_marked_at_the_time_at_which_they_happened(uid: str) -> None:
    marks, _ = by_uid(uid)["annotations"]["list"]
    assert marks["useValueForTime"] is True
    # Grafana takes milliseconds.
    assert marks["expr"].startswith("1000 * max by (alias) (mlflow_model_alias_changed_timestamp_seconds{")


@each_dashboard
def test_the_browser_cannot_change_it(path: Path) -> None:
    assert load(path)["editable"] is False
