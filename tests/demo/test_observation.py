from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from exporter.demo import observation
from exporter.demo.observation import (
    Alert,
    Figure,
    Finding,
    Quality,
    Remediation,
    Report,
    fetch,
    follow,
    read_alerts,
    read_quality,
    read_remediations,
    read_reports,
    read_samples,
)
from exporter.exposition.catalog import CATALOG
from tests.support.web_server import Answer, WebServer

ALIASES = """\
mlflow_model_alias_info{model="m",model_version="1",alias="champion",team=""} 1
mlflow_model_alias_info{model="m",model_version="2",alias="challenger",team=""} 1
"""


def read_findings(metrics: str) -> list[Finding]:
    return observation.read_findings(read_samples(ALIASES + metrics))


def drift(column: str, window: str, score: float, limit: float, detected: int | None) -> str:
    labels = f'{{model="m",model_version="1",column="{column}",role="feature",window="{window}"}}'
    lines = [f"mlflow_model_drift_score{labels} {score}", f"mlflow_model_drift_limit{labels} {limit}"]
    if detected is not None:
        lines.append(f"mlflow_model_drift_detected{labels} {detected}")
    return "\n".join(lines) + "\n"


def data_quality(column: str, check: str, ratio: float, reference: float, degraded: int | None) -> str:
    labels = f'{{model="m",model_version="1",column="{column}",role="feature",check="{check}"}}'
    lines = [
        f"mlflow_model_data_quality_ratio{labels} {ratio}",
        f"mlflow_model_data_quality_reference_ratio{labels} {reference}",
    ]
    if degraded is not None:
        lines.append(f"mlflow_model_data_quality_degraded{labels} {degraded}")
    return "\n".join(lines) + "\n"


def alert(name: str, state: str, **labels: str) -> dict[str, object]:
    return {"labels": {"alertname": name, "severity": "warning", **labels}, "state": state, "annotations": {}}


def answer(*alerts: dict[str, object]) -> str:
    return json.dumps({"status": "success", "data": {"alerts": alerts}})


def test_the_metrics_that_are_read_are_in_the_catalogue() -> None:
    names = (
        "SCORE", "LIMIT", "DETECTED", "DATA_QUALITY", "DATA_QUALITY_REFERENCE", "DATA_DEGRADED", "ALIAS",
        "REAL", "ESTIMATED", "BASELINE", "COVERAGE",
    )  # fmt: skip
    read = {getattr(observation, name) for name in names}
    verdicts = {f"{name}_degraded" for name in (observation.REAL, observation.ESTIMATED)}
    assert read | verdicts <= {metric.name for metric in CATALOG}


def test_nothing_is_found_in_metrics_without_a_model() -> None:
    assert read_findings("mlflow_up 1\n") == []


@pytest.mark.parametrize(("detected", "verdict"), [(1, True), (0, False), (None, None)])
def test_drift_comes_with_its_verdict(detected: int | None, verdict: bool | None) -> None:
    [finding] = read_findings(drift("distance", "15s", 1.2, 0.1, detected))
    assert finding == Finding("distance", "PSI", "15s", 1.2, 0.1, verdict)


def test_of_several_windows_one_that_drifted_is_shown_first_then_one_with_a_verdict() -> None:
    drifted, stable, undecided = ("1h", 0.2, 0.1, 1), ("6h", 0.01, 0.1, 0), ("24h", 9.0, 0.1, None)
    assert read_findings(drift("a", *drifted) + drift("a", *stable) + drift("a", *undecided))[0].over == "1h"
    assert read_findings(drift("a", *undecided) + drift("a", *stable))[0].over == "6h"


def test_of_two_windows_that_drifted_the_worse_is_shown() -> None:
    assert read_findings(drift("a", "1h", 0.5, 0.2, 1) + drift("a", "24h", 0.4, 0.1, 1))[0].over == "24h"


def test_the_findings_are_the_champions() -> None:
    assert read_findings(drift("a", "15s", 0.2, 0.1, 0).replace('version="1"', 'version="2"')) == []


@pytest.mark.parametrize(("degraded", "verdict"), [(1, True), (0, False), (None, None)])
def test_data_quality_is_found(degraded: int | None, verdict: bool | None) -> None:
    [finding] = read_findings(data_quality("seats", "missing", 1.0, 0.15, degraded))
    assert finding == Finding("seats", "missing", "", 1.0, 0.15, verdict)


def figure(name: str, version: str, value: float, metric: str = "accuracy", window: str = "30s") -> str:
    return f'{name}{{model="m",model_version="{version}",metric="{metric}",window="{window}"}} {value}\n'


def test_quality_is_found_by_version_estimated_and_real() -> None:
    real, estimated = "mlflow_model_quality", "mlflow_model_estimated_quality"
    first, second = read_quality(
        read_samples(
            ALIASES
            + figure(estimated, "1", 0.78)
            + figure(f"{estimated}_degraded", "1", 1)
            + figure(real, "1", 0.9)
            + figure(f"{real}_degraded", "1", 0)
            + 'mlflow_model_quality_baseline{model="m",model_version="1",metric="accuracy"} 0.91\n'
            + 'mlflow_model_label_coverage_ratio{model="m",model_version="1",window="30s"} 0.95\n'
            + figure(real, "2", 0.8)
        )
    )
    assert first == Quality(
        "1", "champion", "accuracy", "30s", Figure(0.78, True), Figure(0.9, False), 0.91, 0.95
    )
    assert (second.version, second.alias, second.real) == ("2", "challenger", Figure(0.8, None))
    assert math.isnan(second.estimated.value)
    assert math.isnan(second.baseline)


def test_quality_is_that_of_the_longest_window_and_of_the_metrics_that_are_shown() -> None:
    (found,) = read_quality(
        read_samples(
            ALIASES
            + figure("mlflow_model_quality", "1", 0.9, window="1m")
            + figure("mlflow_model_quality", "1", 0.8, window="30s")
            + figure("mlflow_model_quality", "1", 0.2, metric="brier", window="1m")
        )
    )
    assert (found.over, found.real.value) == ("1m", 0.9)


def test_alerts_on_models_are_shown_pending_and_firing() -> None:
    found = read_alerts(
        answer(
            alert("ModelFeatureDrift", "pending", model="m", model_version="2", column="distance"),
            alert(
                "ModelDataQualityDegraded",
                "firing",
                model="m",
                model_version="1",
                column="seats",
                check="missing",
            ),
        )
    )
    assert found == [
        Alert("ModelDataQualityDegraded", "v1 seats missing", "warning", "firing"),
        Alert("ModelFeatureDrift", "v2 distance", "warning", "pending"),
    ]


def test_alerts_on_the_monitoring_itself_are_shown_only_when_they_fire() -> None:
    found = read_alerts(
        answer(
            alert("MLflowUnreachable", "firing"),
            alert("MLflowExporterDown", "pending"),
        )
    )
    assert found == [Alert("MLflowUnreachable", "", "warning", "firing")]


def test_an_alert_on_quality_says_which_metric_is_meant() -> None:
    better = [
        alert("ModelChallengerBetter", "firing", model="m", model_version="2", metric=metric, severity="info")
        for metric in ("roc_auc", "accuracy")
    ]
    assert read_alerts(answer(*better)) == [
        Alert("ModelChallengerBetter", "v2 accuracy", "info", "firing"),
        Alert("ModelChallengerBetter", "v2 roc_auc", "info", "firing"),
    ]


def test_an_alert_that_is_there_twice_comes_with_both_severities() -> None:
    labels = {"model": "m", "model_version": "1", "column": "seats", "check": "missing"}
    twice = [
        alert("ModelDataQualityDegraded", "firing", severity=severity, **labels)
        for severity in ("warning", "critical")
    ]
    assert [found.severity for found in read_alerts(answer(*twice))] == ["critical", "warning"]


def test_alerts_that_nobody_is_told_of_are_not_shown() -> None:
    silent = {"severity": "none"}
    found = read_alerts(
        answer(
            alert("Watchdog", "firing", **silent), alert("ModelDriftExplained", "firing", model="m", **silent)
        )
    )
    assert found == []


def test_a_remediation_says_what_it_moves() -> None:
    found = {
        "id": "ab12",
        "action": "rollback",
        "alias": "champion",
        "model_version": "2",
        "state": "dry_run",
    }
    moves = {**found, "target_version": "1", "reason": "version 1 drifts as well"}
    trains = {**found, "action": "retrain", "target_version": "", "reason": ""}
    assert read_remediations(json.dumps({"remediations": [moves, trains]})) == [
        Remediation("ab12", "rollback", "champion to v1", "dry_run", "version 1 drifts as well"),
        Remediation("ab12", "retrain", "for v2", "dry_run", ""),
    ]


def test_nobody_there_is_nothing_to_see(free_port: int) -> None:
    assert fetch(f"http://127.0.0.1:{free_port}/metrics") is None


def test_reports_on_bad_verdicts_say_where_they_are() -> None:
    def report(number: int, trigger: str, state: str, mlflow: str, evidently: str) -> dict[str, str]:
        return {
            "id": str(number), "version": "2", "trigger": trigger, "reason": "drift of distance",
            "state": state, "mlflow_state": mlflow, "evidently_state": evidently,
        }  # fmt: skip

    answer = json.dumps(
        {
            "reports": [
                report(3, "verdict", "running", "", ""),
                report(2, "schedule", "done", "sent", "sent"),
                report(1, "verdict", "done", "sent", "waiting"),
            ]
        }
    )
    assert read_reports(answer) == [
        Report("3", "2", "drift of distance", "running"),
        Report("1", "2", "drift of distance", "done", ("the exporter", "MLflow")),
    ]


def test_the_address_that_a_link_leads_to_is_known(web_server: Callable[[Answer], WebServer]) -> None:
    report = web_server(Answer(200, b"drawn"))
    link = web_server(Answer(302, b"", {"Location": f"{report.uri}/7"}))
    assert follow(f"{link.uri}/latest") == follow(f"{report.uri}/7") == f"{report.uri}/7"
    assert follow(f"{web_server(Answer(404, b'')).uri}/latest") == ""
