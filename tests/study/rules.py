"""Findings -> alerts -> pages: what prometheus/rules and prometheus/alertmanager.yml make of them.

The rules pass verdicts on, so their logic is short: which verdict is whose alert, no change alert beside a
drift verdict, drift at once if it is severe and else after half a day, `for` and `keep_firing_for`. All
versions of the study carry an alias. Durations are read from the rules; a test runs a sample through promtool
with the rules themselves and compares every alert at every moment.

A page is what wakes somebody: the first message of a group (alert, severity, model, version). Columns that
join a group that is firing already, and its repetition after a day, are not counted again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.drift import Evaluation
from exporter.fleet import Findings
from exporter.typing import Bools

RULES = Path(__file__).parents[2] / "prometheus" / "rules"
DRIFT = {
    "feature": "ModelFeatureDrift",
    "prediction": "ModelPredictionDrift",
    "score": "ModelPredictionDrift",
}
CHANGE = {
    "feature": "ModelFeatureChanged",
    "prediction": "ModelPredictionChanged",
    "score": "ModelPredictionChanged",
}
DATA_QUALITY, MANY = "ModelDataQualityDegraded", "ModelManyFeaturesDrifted"
ASKED = (  # of Prometheus itself, see `queries`, or of habits, see `traffic`
    "ModelQualityDegraded",
    "ModelEstimatedQualityDegraded",
    "ModelLabelDrift",
    "ModelLabelCoverageLow",
    "ModelLabelsStopped",
    "ModelChallengerBetter",
    "ModelSegmentDrift",
    "ModelSegmentQualityDegraded",
    "ModelNoTraffic",
    "ModelLatencyHigh",
)
STUDIED = {*DRIFT.values(), *CHANGE.values(), DATA_QUALITY, MANY}
EXPLAIN_DRIFT = ("unseen", "out_of_range")  # of the same column: alertmanager.yml inhibits drift and change
CAUSES = (
    ("ModelQualityDegraded", "ModelEstimatedQualityDegraded"),
    ("ModelLabelsStopped", "ModelLabelCoverageLow"),
    ("ModelLabelCoverageLow", "ModelLabelDrift"),
)
MANY_FEATURES = 3
LASTING_SECONDS = 12 * 3600  # after which drift that has never been severe is told


@dataclass(frozen=True, order=True)
class Alert:
    """One alert of a version; `check` is empty for drift, `column` for many of them."""

    name: str
    severity: str
    column: str = ""
    role: str = ""
    check: str = ""
    metric: str = ""
    segment: str = ""


@dataclass(frozen=True)
class Firing:
    """An alert from `start` to `end`, in seconds since the epoch."""

    alert: Alert
    start: float
    end: float


@dataclass(frozen=True)
class Page:
    """A group began to fire at `at` (seconds since the epoch); `columns` are those of its first message."""

    at: float
    alert: str
    columns: tuple[str, ...]


def told(found: Iterable[Findings]) -> Iterator[tuple[float, set[Alert]]]:
    """Alerts whose expression is true, for dated findings at several times."""
    for findings in found:
        yield findings.evaluation.at, conditions(findings)


def conditions(findings: Findings) -> set[Alert]:
    """The same at one moment."""
    evaluation = findings.evaluation
    columns = evaluation.reference.columns
    roles: dict[str, str] = {column.name: column.role for column in columns}
    found = set()
    for (measure, name, _, segment), bad in (findings.bad or {}).items():
        measure, _, check = measure.partition("/")
        lasting = evaluation.at - bad.since >= LASTING_SECONDS  # the next evaluation is half a minute later
        if measure == "drift" and not segment and (bad.severe or lasting):
            found.add(Alert(DRIFT[roles[name]], "warning", name, roles[name]))
        elif check:
            severities = ("warning", "critical") if bad.severe else ("warning",)
            found |= {Alert(DATA_QUALITY, severity, name, roles[name], check) for severity in severities}
    verdicts = np.stack([window.verdict for window in evaluation.windows])
    decided = (verdicts == DRIFTED).any(axis=0)
    if evaluation.variation != "none":
        decided |= (verdicts != UNDECIDED).any(axis=0)
    features = np.array([column.role == "feature" for column in columns])
    drifted, stable = ((verdicts[:, features] == v).sum(axis=1) for v in (DRIFTED, STABLE))
    if ((drifted >= MANY_FEATURES) & (drifted >= stable)).any():
        found.add(Alert(MANY, "warning"))
    for place in np.flatnonzero(_changed(evaluation) & ~decided).tolist():
        found.add(Alert(CHANGE[columns[place].role], "warning", columns[place].name, columns[place].role))
    return found


def _changed(evaluation: Evaluation) -> Bools:
    changed = np.zeros(len(evaluation.reference.columns), np.bool_)
    for change in evaluation.changes:
        changed |= change.verdict == DRIFTED
    return changed


@cache
def durations() -> dict[tuple[str, str], tuple[float, float]]:
    """`for` and `keep_firing_for` in seconds by alert and severity."""
    return {
        (rule["alert"], rule["labels"]["severity"]): (
            _seconds(rule.get("for", "0s")),
            _seconds(rule.get("keep_firing_for", "0s")),
        )
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if rule.get("alert") in {*STUDIED, *ASKED}
    }


def _seconds(text: str) -> float:
    return sum(
        int(n) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
        for n, unit in re.findall(r"(\d+)([smhd])", text)
    )


def firing(moments: Iterable[tuple[float, set[Alert]]], step_seconds: float) -> list[Firing]:
    """Times at which each alert fires; an expression is taken to be true for a step from each moment on."""
    runs: dict[Alert, list[list[float]]] = {}
    for now, met in moments:
        for alert in met:
            of_alert = runs.setdefault(alert, [])
            if of_alert and now <= of_alert[-1][1]:
                of_alert[-1][1] = now + step_seconds
            else:
                of_alert.append([now, now + step_seconds])
    found = []
    for alert, met_from_to in runs.items():
        wait, keep = durations()[alert.name, alert.severity]
        fires: list[list[float]] = []
        for start, end in met_from_to:
            if fires and start <= fires[-1][1]:
                fires[-1][1] = end + keep
            elif end - start >= wait:
                fires.append([start + wait, end + keep])
        found += [Firing(alert, start, end) for start, end in fires]
    return found


def pages(fired: list[Firing]) -> list[Page]:
    """The beginnings of groups, without what alertmanager.yml inhibits."""
    found: list[Page] = []
    before: set[tuple[str, str]] = set()
    for now in sorted({time for one in fired for time in (one.start, one.end)}):
        active = {one.alert for one in fired if one.start <= now < one.end}
        told: dict[tuple[str, str], set[str]] = {}
        for alert in active:
            if not any(_inhibits(other, alert) for other in active):
                told.setdefault((alert.name, alert.severity), set()).add(alert.column)
        found += [
            Page(now, group[0], tuple(sorted(told[group]))) for group in sorted(told) if group not in before
        ]
        before = set(told)
    return found


def _inhibits(source: Alert, target: Alert) -> bool:
    if (source.name, target.name) in CAUSES:
        return True
    if source.name == target.name in ASKED:
        return (source.severity, target.severity) == ("critical", "warning")
    if source.name == MANY:
        return target.name in (DRIFT["feature"], CHANGE["feature"])
    if (source.column, source.role) != (target.column, target.role):
        return False
    explained = source.check in EXPLAIN_DRIFT and not target.check
    return explained or (source.severity, target.severity) == ("critical", "warning")
