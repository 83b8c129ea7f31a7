"""Links of alerts, tables and dashboards lead to what they promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.dashboards import FILES, ROOT, by_uid, charts, each_dashboard, load
from tests.prometheus.alerting import RULES, Rule


def test_links_in_alerts_lead_to_a_dashboard_and_preset_variables_that_it_has() -> None:
    rules = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "prometheus" / "rules").glob("*.yml")
    )
    links = re.findall(r"/d/([\w-]+)(\S*\?.*)?", rules)
    assert {uid for uid, _ in links} == {
        "mlflow-model",
        "mlflow-column",
        "mlflow-versions",
        "mlflow-alerts",
        "mlflow-exporter",
    }
    for uid, query in links:
        variables = {variable["name"] for variable in by_uid(uid)["templating"]["list"]}
        assert set(re.findall(r"[?&]var-(\w+)=", query)) <= variables


# What an alert speaks of.
SHOWN = {
    "ModelFeatureDrift": "$column: reference, an hour $ago ago, and live in $window",
    "ModelFeatureChanged": "Change within a day",
    "ModelPredictionDrift": "$column: reference, an hour $ago ago, and live in $window",
    "ModelPredictionChanged": "Change within a day",
    "ModelLabelDrift": "$column: reference, an hour $ago ago, and live in $window",
    "ModelManyFeaturesDrifted": "Columns, $window",
    "ModelDriftExplained": "Missing, unseen and out of range",
    "ModelDataQualityDegraded": "Missing, unseen and out of range",
    "ModelErrorRateHigh": "Missing, unseen and out of range",
    "ModelSegmentDrift": "By segment, $window",
    "ModelSegmentQualityDegraded": "Segments, $window",
    "ModelQualityDegraded": "$metric beside the worst columns, $window",
    "ModelEstimatedQualityDegraded": "$metric beside the worst columns, $window",
    "ModelChallengerBetter": "Challenger against champion",
    "ModelLabelsStopped": "Label coverage by window",
    "ModelLabelCoverageLow": "Label coverage by window",
    "ModelNoTraffic": "Last prediction",
    "ModelLatencyHigh": "Latency of the model",
    "ModelServingSaturated": "Traffic, latency and CPU",
    "ModelAliasChanged": "$champion moved",
    "ModelReferenceMissing": "Reference",
    "MLflowExporterDown": "Replicas up",
    "MLflowExporterNoLeader": "Leader",
    "MLflowExporterShardMissing": "Shards missing",
    "MLflowExporterKafkaLag": "Behind, by partition",
    "MLflowExporterDeadLetters": "Dead letters",
    "MLflowExporterEvaluationStale": "Evaluation's lag",
    "MLflowExporterEvaluationFailing": "Failures by version",
    "MLflowExporterIngestRejecting": "Rows refused or dropped",
    "MLflowExporterRowsDropped": "Rows refused or dropped",
    "MLflowExporterClientRowsDropped": "Rows lost by clients",
    "MLflowExporterStoreDamaged": "Failures of the store",
    "MLflowExporterStoreNearLimit": "Size of the store",
    "MLflowExporterConfigReloadFailed": "Configuration",
    "MLflowExporterVersionsUnmonitored": "Versions left out",
    "MLflowExporterPartitionsMissing": "Partitions that are missing",
    "MLflowUnreachable": "MLflow",
    "MLflowExporterRemediationFailed": "What was decided and done",
    "MLflowExporterRemediationConflict": "What was decided and done",
    "MLflowExporterRemediationInterrupted": "What was decided and done",
    "MLflowExporterRemediationNotRecovered": "What was decided and done",
    "MLflowExporterRemediationApprovalWaiting": "What was decided and done",
    "MLflowExporterRemediationBreakerOpen": "What guards refused",
    "MLflowExporterRemediationDeaf": "Since the last delivery and checkpoint",
    "MLflowExporterAuditCheckpointOverdue": "Since the last delivery and checkpoint",
    "Watchdog": "Replicas up",
}
TWO_SCREENS = 52


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.alert}-{rule.severity}")
def test_the_link_of_an_alert_opens_what_it_speaks_of(rule: Rule) -> None:
    url = rule.annotations["dashboard_url"]
    (uid,) = re.findall(r"/d/([\w-]+)", url)
    (panel,) = (panel for panel in charts(by_uid(uid)) if panel["title"] == SHOWN[rule.alert])
    alone = re.findall(r"[?&]viewPanel=(\d+)$", url)
    assert alone in ([], [str(panel["id"])])
    needed = set(re.findall(r"\$(column|metric)", panel["title"]))
    assert needed <= set(re.findall(r"var-(\w+)=", url)) | {"window"}


@each_dashboard
def test_it_links_to_the_other_dashboards_and_takes_model_and_time_along(path: Path) -> None:
    dashboard = load(path)
    (link,) = dashboard["links"]
    assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
    assert all(set(link["tags"]) <= set(load(other)["tags"]) for other in FILES)


@each_dashboard
def test_links_lead_to_a_panel_that_exists_and_preset_variables_that_it_has(
    path: Path,
) -> None:
    dashboard = load(path)
    own = {variable["name"] for variable in dashboard["templating"]["list"]}
    for url in urls(dashboard):
        uid, query = re.fullmatch(r"/d/([\w-]+)\?(.*)", url).groups()  # type: ignore[union-attr]
        target = {variable["name"] for variable in by_uid(uid)["templating"]["list"]}
        assert set(re.findall(r"\bvar-(\w+)=", query)) <= target, url
        assert set(re.findall(r"\$\{(\w+):queryparam\}", query)) <= target & own, url
        assert set(re.findall(r"viewPanel=(\d+)", query)) <= {
            str(each["id"]) for each in charts(by_uid(uid))
        }, url


@each_dashboard
def test_links_keep_where_the_data_is_and_the_time(path: Path) -> None:
    for url in urls(load(path)):
        kept = re.findall(r"\$\{(\w+):queryparam\}", url)
        assert kept[:4] == ["datasource", "cluster", "namespace", "job"]
        assert "${__url_time_range}" in url


@each_dashboard
def test_links_from_a_line_of_a_table_name_columns_that_it_has(path: Path) -> None:
    for panel in charts(load(path)):
        titles = {
            title
            for each in panel.get("transformations", [])
            if each["id"] == "organize"
            for title in each["options"]["renameByName"].values()
        }
        for url in urls(panel):
            assert set(re.findall(r'__data\.fields\["([^"]+)"\]', url)) <= titles, url


def urls(node: Any) -> Iterator[str]:
    """Links to dashboards anywhere below a part of a dashboard."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "url" and isinstance(value, str) and value.startswith("/d/"):
                yield value
            else:
                yield from urls(value)
    elif isinstance(node, list):
        for value in node:
            yield from urls(value)


def test_the_fleet_leads_from_every_cell_to_what_explains_it() -> None:
    (table,) = (panel for panel in charts(by_uid("mlflow-fleet")) if panel["id"] == 1)
    (shown,) = (each for each in table["transformations"] if each["id"] == "organize")
    linked = {each["matcher"]["options"] for each in table["fieldConfig"]["overrides"] if list(urls(each))}
    assert linked == set(shown["options"]["renameByName"].values())
