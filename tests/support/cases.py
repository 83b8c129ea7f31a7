"""Cases for the guards: a rollback that all of them let pass, and what a test changes about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from exporter.config.models import ModelConfig
from exporter.config.remediation import RemediationConfig
from exporter.errors import RegistryError
from exporter.evaluation.comparison import STABLE
from exporter.fleet import Findings, Status
from exporter.measures.intervals import Interval
from exporter.registry.client_errors import MissingError
from exporter.remediation.action import Action
from exporter.remediation.case import Case, Sources
from exporter.remediation.evidence import Watched
from exporter.remediation.holds import Hold
from exporter.settings import DAY_SECONDS
from exporter.storage.schema import AliasMove
from tests.support.actions import ACTION
from tests.support.rig import NOON
from tests.support.views import make_evaluation, make_quality, make_reference

_T = TypeVar("_T")

POLICY: dict[str, Any] = {
    "name": "champion-rollback",
    "match": {"alertname": "ModelQualityDegraded|ModelErrorRateHigh"},
    "model": "fraud.*",
    "action": "rollback",
}
PROMOTION: dict[str, Any] = {
    "name": "promote",
    "match": {"alertname": "ModelChallengerBetter"},
    "model": "fraud",
    "action": "promote",
}
# 2 has had the alias, then 3, since two days.
MOVES = (
    AliasMove("fraud", "champion", "1", NOON - 90 * DAY_SECONDS),
    AliasMove("fraud", "champion", "2", NOON - 60 * DAY_SECONDS),
    AliasMove("fraud", "champion", "3", NOON - 2 * DAY_SECONDS),
)


@dataclass
class FakeSources(Sources):
    """Answers that a test gives; those that are a `RegistryError` are raised."""

    holder: str | RegistryError = "3"
    tags: Mapping[str, str] | RegistryError = field(default_factory=dict)
    loads: str | RegistryError = ""
    bad: tuple[str, ...] = ()
    stored: Sequence[Action] = ()
    held: Sequence[Hold] = ()

    def alias_version(self, model: str, alias: str) -> str:
        return _answer(self.holder)

    def version_tags(self, model: str, version: str) -> Mapping[str, str]:
        return _answer(self.tags)

    def why_not_loaded(self, model: str, version: str) -> str:
        return _answer(self.loads)

    def bad_verdicts(self, model: str, version: str, until: float) -> tuple[str, ...]:
        return self.bad

    def actions(self, model: str) -> Sequence[Action]:
        return [action for action in self.stored if action.model == model]

    def actions_of_day(self, now: float) -> Sequence[Action]:
        return self.stored

    def holds(self, model: str, alias: str, policy: str) -> Sequence[Hold]:
        return self.held


def _answer(given: _T | RegistryError) -> _T:
    if isinstance(given, RegistryError):
        raise given
    return given


MISSING = MissingError("MLflow has no such thing")


def make_config(*policies: Mapping[str, Any], **section: Any) -> RemediationConfig:
    return RemediationConfig.model_validate(
        {"mode": "auto", "policies": list(policies or (POLICY, PROMOTION)), **section}
    )


def bad_findings(at: float = NOON) -> Findings:
    """Recall is degraded, a feature has drifted, and half of another is missing."""
    return Findings(make_evaluation(make_reference(), at), (make_quality(),))


def good_findings(at: float = NOON) -> Findings:
    """Nothing is bad."""
    evaluation, quality = make_evaluation(make_reference(), at), make_quality()
    stable = np.full(len(evaluation.reference.columns), STABLE, np.int8)
    windows = tuple(replace(window, verdict=stable) for window in evaluation.windows)
    checks = tuple(replace(check, degraded=False) for check in evaluation.checks)
    return Findings(
        replace(
            evaluation,
            windows=windows,
            checks=checks,
            changes=tuple(replace(change, verdict=stable) for change in evaluation.changes),
        ),
        (
            replace(
                quality,
                metrics=tuple(replace(metric, degraded=False) for metric in quality.metrics),
                estimates=tuple(replace(estimate, degraded=False) for estimate in quality.estimates),
            ),
        ),
    )


def measured(metrics: Mapping[str, tuple[float, float]], at: float = NOON, **window: Any) -> Findings:
    """Good findings with 99 % intervals of metrics by labels, and other fields of the window."""
    (quality,) = good_findings(at).quality
    known = {metric.metric: metric for metric in quality.metrics}
    changed = tuple(
        replace(known["recall"], metric=name, figure=Interval((low + high) / 2, low, high))
        for name, (low, high) in metrics.items()
    )
    return replace(good_findings(at), quality=(replace(quality, metrics=changed, **window),))


def watched(version: str, findings: Findings | None, **own: Any) -> Watched:
    values: dict[str, Any] = {"status": Status.READY, "config": ModelConfig(), "counts": None}
    return Watched(version, findings=findings, **{**values, **own})


def make_case(action: Action = ACTION, **changes: Any) -> Case:
    """The case of a rollback of version 3 to version 2 of `fraud`, that nothing stops."""
    config = changes.pop("config", None) or make_config()
    known = {
        "action": action,
        "policy": config.find(action.policy),
        "config": config,
        "now": NOON + 10,
        "sources": FakeSources(),
        "evaluation_interval": 30.0,
        "versions": {"2": watched("2", good_findings()), "3": watched("3", bad_findings())},
        "known": frozenset({"1", "2", "3"}),
        "moves": MOVES,
    }
    return Case(**{**known, **changes})


PROMOTE = replace(
    ACTION,
    policy="promote",
    action="promote",
    model_version="4",
    target_version="4",
    alert={"labels": {"alertname": "ModelChallengerBetter", "metric": "recall"}},
)


def make_promotion(**changes: Any) -> Case:
    """The case of a promotion of version 4, whose recall is better than that of version 3."""
    versions = {
        "3": watched("3", measured({"recall": (0.70, 0.75), "precision": (0.6, 0.7)})),
        "4": watched("4", measured({"recall": (0.80, 0.85), "precision": (0.6, 0.7)})),
    }
    known = frozenset({"1", "2", "3", "4"})
    return make_case(**{"action": PROMOTE, "versions": versions, "known": known, **changes})
