"""Reads drift and quality from the exporter's /metrics, and alerts from Prometheus."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from exporter.settings import parse_window

QUERY_SECONDS = 2.0
CHAMPION_ALIAS, CHALLENGER_ALIAS = "champion", "challenger"
SCORE, LIMIT, DETECTED = "mlflow_model_drift_score", "mlflow_model_drift_limit", "mlflow_model_drift_detected"
DATA_QUALITY, DATA_QUALITY_REFERENCE, DATA_DEGRADED = (
    "mlflow_model_data_quality_ratio",
    "mlflow_model_data_quality_reference_ratio",
    "mlflow_model_data_quality_degraded",
)
ALIAS = "mlflow_model_alias_info"
REAL, ESTIMATED = "mlflow_model_quality", "mlflow_model_estimated_quality"
BASELINE, COVERAGE = "mlflow_model_quality_baseline", "mlflow_model_label_coverage_ratio"
# Shown of quality; more would not fit.
SHOWN_METRICS = ("accuracy", "precision", "roc_auc")


@dataclass(frozen=True)
class Finding:
    """One measure of a column: the value `measured` in the window `over`, its `limit` and the `verdict`.

    `measure` is `PSI`, or the name of a data-quality check, which has no window and whose `limit` is the
    share in the reference. `verdict` is None while undecided.
    """

    column: str
    measure: str
    over: str
    measured: float
    limit: float
    verdict: bool | None


@dataclass(frozen=True)
class Figure:
    """A measured or estimated value, NaN if unknown; `degraded` is None while undecided."""

    value: float
    degraded: bool | None


@dataclass(frozen=True)
class Quality:
    """One metric of one version, with its baseline.

    `estimated` is for the latest predictions, `real` for matured ones by their labels; `coverage` is the
    share of matured predictions with a label.
    """

    version: str
    alias: str
    metric: str
    over: str
    estimated: Figure
    real: Figure
    baseline: float
    coverage: float


@dataclass(frozen=True, order=True)
class Alert:
    """An alert in Prometheus; `state` is `pending` or `firing`.

    Two alerts may have the same `name` and `subject`, with different `severity`.
    """

    name: str
    subject: str
    severity: str
    state: str


@dataclass(frozen=True)
class Remediation:
    """An action of remediation; `about` says what it moves, `reason` why it is in its `state`."""

    id: str
    action: str
    about: str
    state: str
    reason: str


@dataclass(frozen=True)
class Report:
    """A report by Evidently on a version; `places` are where it is, empty until it is done."""

    id: str
    version: str
    reason: str
    state: str
    places: tuple[str, ...] = ()


def read_samples(metrics: str) -> list[Sample]:
    """Return all samples of an exposition."""
    return [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]


def read_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Return the drift of each column, in its most urgent window, then all data-quality checks.

    Only the champion's, since all versions have the same input.
    """
    champions = {version for version, alias in read_aliases(samples).items() if alias == CHAMPION_ALIAS}
    series: dict[str, dict[tuple[str, str], float]] = {}
    for sample in samples:
        if "column" in sample.labels and sample.labels["model_version"] in champions:
            measured_over = sample.labels.get("window") or sample.labels.get("check", "")
            series.setdefault(sample.name, {})[sample.labels["column"], measured_over] = sample.value
    worst: dict[str, Finding] = {}
    for key, score in series.get(SCORE, {}).items():
        column, window = key
        limit = series.get(LIMIT, {}).get(key, math.nan)
        finding = Finding(column, "PSI", window, score, limit, _verdict(series.get(DETECTED, {}).get(key)))
        if column not in worst or _urgency(finding) > _urgency(worst[column]):
            worst[column] = finding
    checks = []
    for key, ratio in series.get(DATA_QUALITY, {}).items():
        column, check = key
        usual = series.get(DATA_QUALITY_REFERENCE, {}).get(key, math.nan)
        degraded = _verdict(series.get(DATA_DEGRADED, {}).get(key))
        checks.append(Finding(column, check, "", ratio, usual, degraded))
    return [*worst.values(), *checks]


def read_quality(samples: Sequence[Sample]) -> list[Quality]:
    """Return the quality of every version with an alias over the longest window, by metric, then version."""
    values: dict[tuple[str, ...], float] = {}
    for sample in samples:
        labels = (sample.labels.get(name, "") for name in ("model_version", "metric", "window"))
        values[sample.name, *labels] = sample.value
    windows = {window for name, _, _, window in values if name in (REAL, ESTIMATED)}
    over = max(windows, key=lambda window: parse_window(window).seconds, default="")
    found = []
    for metric in SHOWN_METRICS:
        for version, alias in sorted(read_aliases(samples).items()):
            estimated, real = (
                Figure(
                    values.get((name, version, metric, over), math.nan),
                    _verdict(values.get((f"{name}_degraded", version, metric, over))),
                )
                for name in (ESTIMATED, REAL)
            )
            baseline = values.get((BASELINE, version, metric, ""), math.nan)
            coverage = values.get((COVERAGE, version, "", over), math.nan)
            if not (math.isnan(estimated.value) and math.isnan(real.value)):
                found.append(Quality(version, alias, metric, over, estimated, real, baseline, coverage))
    return found


def read_aliases(samples: Sequence[Sample]) -> dict[str, str]:
    """Return aliases by version."""
    return {s.labels["model_version"]: s.labels["alias"] for s in samples if s.name == ALIAS}


def _verdict(value: float | None) -> bool | None:
    return None if value is None else value == 1


def _urgency(finding: Finding) -> tuple[bool, bool, float]:
    return finding.verdict is True, finding.verdict is not None, finding.measured / finding.limit


def read_alerts(answer: str) -> list[Alert]:
    """Return the alerts on models, and firing ones on the monitoring, from Prometheus' `/api/v1/alerts`.

    Those on the monitoring are pending until the first scrape. Alerts that are not routed to people, such as
    the Watchdog and those that only inhibit others, are left out.
    """
    alerts = json.loads(answer)["data"]["alerts"]
    found = {
        Alert(
            labels["alertname"],
            _subject(labels),
            labels["severity"],
            alert["state"],
        )
        for alert in alerts
        if (labels := alert["labels"])["severity"] != "none"
        if "model" in labels or alert["state"] == "firing"
    }
    return sorted(found)


def _subject(labels: Mapping[str, str]) -> str:
    version = [f"v{labels['model_version']}"] if "model_version" in labels else []
    return " ".join([*version, *(labels[name] for name in ("column", "check", "metric") if name in labels)])


def read_remediations(answer: str) -> list[Remediation]:
    """Return the actions, newest first, from the exporter's `/v1/remediations`."""
    return [
        Remediation(
            id=found["id"],
            action=found["action"],
            about=" ".join(_about_action(found)),
            state=found["state"],
            reason=found["reason"],
        )
        for found in json.loads(answer)["remediations"]
    ]


def _about_action(found: Mapping[str, str]) -> list[str]:
    if found["target_version"]:
        return [found["alias"], "to", f"v{found['target_version']}"]
    return ["for", f"v{found['model_version']}"]


def read_reports(answer: str) -> list[Report]:
    """Return the reports that a bad verdict led to, newest first, from the exporter's list of a version's."""
    return [
        Report(
            id=found["id"],
            version=found["version"],
            reason=found["reason"],
            state=found["state"],
            places=tuple(
                place
                for place, state in (
                    ("the exporter", found["state"]),
                    ("MLflow", found["mlflow_state"]),
                    ("Evidently", found["evidently_state"]),
                )
                if state in ("done", "sent")
            ),
        )
        for found in json.loads(answer)["reports"]
        if found["trigger"] == "verdict"
    ]


def fetch(url: str, token: str = "") -> str | None:
    """Return the text at `url`, or None if there is no answer."""
    return _get(url, token)[0]


def follow(url: str, token: str = "") -> str:
    """Return the address at which `url` ends after redirects; empty if there is no answer."""
    return _get(url, token)[1]


def _get(url: str, token: str) -> tuple[str | None, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - an address of our own
    try:
        with urllib.request.urlopen(request, timeout=QUERY_SECONDS) as answer:  # noqa: S310
            return answer.read().decode(), answer.url
    except OSError:
        return None, ""
