from __future__ import annotations

import json

import pytest

from exporter.catalog import CATALOG
from exporter.demo import observation
from exporter.demo.observation import Alert, Finding, fetch, read_alerts, read_findings


def drift(column: str, window: str, score: float, limit: float, detected: int | None) -> str:
    labels = f'{{model="m",model_version="1",column="{column}",role="feature",window="{window}"}}'
    lines = [f"mlflow_model_drift_score{labels} {score}", f"mlflow_model_drift_limit{labels} {limit}"]
    if detected is not None:
        lines.append(f"mlflow_model_drift_detected{labels} {detected}")
    return "\n".join(lines) + "\n"


def quality(column: str, check: str, ratio: float, reference: float, degraded: int | None) -> str:
    labels = f'{{model="m",model_version="1",column="{column}",role="feature",check="{check}"}}'
    lines = [
        f"mlflow_model_data_quality_ratio{labels} {ratio}",
        f"mlflow_model_data_quality_reference_ratio{labels} {reference}",
    ]
    if degraded is not None:
        lines.append(f"mlflow_model_data_quality_degraded{labels} {degraded}")
    return "\n".join(lines) + "\n"


def alert(name: str, state: str, **labels: str) -> dict[str, object]:
    return {"labels": {"alertname": name, **labels}, "state": state, "annotations": {}}


def answer(*alerts: dict[str, object]) -> str:
    return json.dumps({"status": "success", "data": {"alerts": alerts}})


def test_the_metrics_that_are_read_are_in_the_catalogue() -> None:
    read = {getattr(observation, name) for name in ("SCORE", "LIMIT", "DETECTED", "QUALITY", "DEGRADED")}
    assert read | {observation.QUALITY_REFERENCE} <= {metric.name for metric in CATALOG}


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


@pytest.mark.parametrize(("degraded", "verdict"), [(1, True), (0, False), (None, None)])
def test_data_quality_is_found(degraded: int | None, verdict: bool | None) -> None:
    [finding] = read_findings(quality("seats", "missing", 1.0, 0.15, degraded))
    assert finding == Finding("seats", "missing", "", 1.0, 0.15, verdict)


def test_alerts_on_models_are_shown_pending_and_firing() -> None:
    found = read_alerts(
        answer(
            alert("ModelFeatureDrift", "pending", model="m", column="distance"),
            alert("ModelDataQualityDegraded", "firing", model="m", column="seats", check="missing"),
        )
    )
    assert found == [
        Alert("ModelDataQualityDegraded", "seats missing", "firing"),
        Alert("ModelFeatureDrift", "distance", "pending"),
    ]


def test_alerts_on_the_monitoring_itself_are_shown_only_when_they_fire() -> None:
    found = read_alerts(
        answer(
            alert("MLflowUnreachable", "firing"),
            alert("MLflowExporterDown", "pending"),
            alert("Watchdog", "firing"),
        )
    )
    assert found == [Alert("MLflowUnreachable", "", "firing")]


def test_nobody_there_is_nothing_to_see(free_port: int) -> None:
    assert fetch(f"http://127.0.0.1:{free_port}/metrics") is None
