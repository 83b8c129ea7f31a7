"""Bad verdicts of an evaluation, and those that are severe."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from exporter.config.models import ModelConfig
from exporter.fleet import Findings
from exporter.monitoring.verdicts import Subject, bad_subjects
from tests.support.cases import bad_findings, good_findings


def severe(findings: Findings, subject: Subject) -> bool:
    return bad_subjects(findings, ModelConfig())[subject]


def test_good_verdicts_are_not_listed() -> None:
    found = bad_subjects(good_findings(), ModelConfig())
    assert found.keys() == {Subject("label_drift", "label", "24h")}


@pytest.mark.parametrize(("score", "expected"), [(0.329, False), (0.331, True)])
def test_drift_is_severe_from_three_times_the_limit(score: float, expected: bool) -> None:
    findings = bad_findings()
    hour, day = findings.evaluation.windows
    limit = np.full_like(hour.drift_limit, 0.11)
    hour = replace(hour, drift_score=np.full_like(hour.drift_score, score), drift_limit=limit)
    findings = replace(findings, evaluation=replace(findings.evaluation, windows=(hour, day)))
    assert severe(findings, Subject("drift", "age", "1h")) is expected


@pytest.mark.parametrize(("ratio", "expected"), [(0.59, False), (0.61, True)])
def test_data_quality_is_severe_with_more_than_half_of_the_rows_beyond_the_reference(
    ratio: float, expected: bool
) -> None:
    findings = bad_findings()
    missing, *others = findings.evaluation.checks
    assert missing.reference_ratio == 0.1
    checks = (replace(missing, ratio=ratio), *others)
    findings = replace(findings, evaluation=replace(findings.evaluation, checks=checks))
    assert severe(findings, Subject("data_quality/missing", "age")) is expected


@pytest.mark.parametrize(
    ("shortfall", "allowance", "expected"),
    [(0.2, 0.02, False), (0.22, 0.02, True), (0.5, nan, False)],
    ids=["below", "above", "of unknown variation"],
)
def test_quality_is_severe_beyond_three_times_tolerance_and_allowance(
    shortfall: float, allowance: float, expected: bool
) -> None:
    findings = bad_findings()
    (day,) = findings.quality
    precision, recall = day.metrics
    assert recall.tolerance == 0.05
    recall = replace(recall, shortfall=shortfall, allowance=allowance)
    findings = replace(findings, quality=(replace(day, metrics=(precision, recall)),))
    assert severe(findings, Subject("quality", "recall", "24h")) is expected


def test_estimates_and_changes_are_never_severe() -> None:
    found = bad_subjects(bad_findings(), ModelConfig())
    assert not any(found[each] for each in found if each.measure in ("change", "estimated_quality"))
    assert {"change", "estimated_quality"} <= {each.measure for each in found}
