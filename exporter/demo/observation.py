"""What there is to see: drift and data quality from the exporter's /metrics, alerts from Prometheus."""

from __future__ import annotations

import json
import math
import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_SECONDS = 2.0
SCORE, LIMIT, DETECTED = "mlflow_model_drift_score", "mlflow_model_drift_limit", "mlflow_model_drift_detected"
QUALITY, QUALITY_REFERENCE, DEGRADED = (
    "mlflow_model_data_quality_ratio",
    "mlflow_model_data_quality_reference_ratio",
    "mlflow_model_data_quality_degraded",
)


@dataclass(frozen=True)
class Finding:
    """One measure of a column: what was `measured`, in the window `over`, its `limit` and the `verdict`.

    `measure` is `PSI` or the name of a data-quality check, whose `limit` is the reference's own share and
    which has no window. `verdict` is None where there is too little to judge.
    """

    column: str
    measure: str
    over: str
    measured: float
    limit: float
    verdict: bool | None


@dataclass(frozen=True, order=True)
class Alert:
    """An alert as Prometheus has it; `state` is `pending` or `firing`."""

    name: str
    subject: str
    state: str


def read_findings(metrics: str) -> list[Finding]:
    """Per column its drift, in the window that says most about it, then all data-quality checks."""
    series: dict[str, dict[tuple[str, str], float]] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if "column" in sample.labels:
                measured_over = sample.labels.get("window") or sample.labels.get("check", "")
                series.setdefault(sample.name, {})[sample.labels["column"], measured_over] = sample.value
    worst: dict[str, Finding] = {}
    for key, score in series.get(SCORE, {}).items():
        column, window = key
        verdict = series.get(DETECTED, {}).get(key)
        limit = series.get(LIMIT, {}).get(key, math.nan)
        finding = Finding(column, "PSI", window, score, limit, None if verdict is None else verdict == 1)
        if column not in worst or _urgency(finding) > _urgency(worst[column]):
            worst[column] = finding
    checks = []
    for key, ratio in series.get(QUALITY, {}).items():
        column, check = key
        verdict = series.get(DEGRADED, {}).get(key)
        usual = series.get(QUALITY_REFERENCE, {}).get(key, math.nan)
        checks.append(Finding(column, check, "", ratio, usual, None if verdict is None else verdict == 1))
    return [*worst.values(), *checks]


def _urgency(finding: Finding) -> tuple[bool, bool, float]:
    return finding.verdict is True, finding.verdict is not None, finding.measured / finding.limit


def read_alerts(answer: str) -> list[Alert]:
    """Alerts on models in Prometheus' answer to `/api/v1/alerts`.

    Of those on the monitoring itself the firing ones, since some are pending until the first scrape, without
    the Watchdog, which always fires.
    """
    alerts = json.loads(answer)["data"]["alerts"]
    found = {
        Alert(
            labels["alertname"],
            " ".join(labels[name] for name in ("column", "check") if name in labels),
            alert["state"],
        )
        for alert in alerts
        if (labels := alert["labels"])["alertname"] != "Watchdog"
        if "model" in labels or alert["state"] == "firing"
    }
    return sorted(found)


def fetch(url: str) -> str | None:
    """The text at `url`, or None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - an address of our own
            text: str = answer.read().decode()
    except OSError:
        return None
    return text
