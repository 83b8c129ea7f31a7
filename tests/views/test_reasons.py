"""Sentences that say why a version is in a bad state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from exporter.config.models import ModelConfig
from exporter.evaluation.comparison import DRIFTED
from exporter.fleet import BadVerdict, Facts, Findings, Version
from exporter.measures.intervals import Interval
from exporter.monitoring.verdicts import Subject
from exporter.reference.profile import Segment
from exporter.storage.schema import StoredVersion
from exporter.views.reasons import RUNBOOKS, find_reasons, runbook_url
from tests.support.cases import bad_findings, good_findings
from tests.support.rig import NOON
from tests.support.views import make_quality, make_segment_evaluation

RUNBOOK_FILES = {path.stem for path in (Path(__file__).parents[2] / "prometheus" / "runbooks").iterdir()}


def make_version(findings: Findings | None, config: ModelConfig | None = None) -> Version:
    version = Version(StoredVersion(1, "fraud", "3", 0, None, "", 0))
    version.findings = findings
    version.facts = Facts(config=config or ModelConfig())
    return version


def texts(version: Version) -> list[str]:
    return [reason.text for reason in find_reasons(version)]


def test_a_version_without_a_bad_verdict_has_no_reasons() -> None:
    good = good_findings()
    steady = tuple(replace(window, label_drift=None) for window in good.quality)
    assert find_reasons(make_version(replace(good, quality=steady))) == ()
    assert find_reasons(make_version(None)) == ()


def test_each_kind_of_bad_verdict_is_a_sentence_the_worst_first() -> None:
    assert texts(make_version(bad_findings())) == [
        "quality is degraded: recall is 0.76, its baseline is 0.9 (24h)",
        "quality seems degraded: recall is estimated at 0.78, its baseline is 0.9 (24h)",
        "the labels drifted from the reference's (24h)",
        "values are missing in age (60%) (1h)",
        "1 of 3 features drifted: age (1h)",
        "1 of 3 features changed against the weeks before: age (24h)",
    ]


def test_degraded_metrics_are_one_sentence_with_the_figure_of_the_worst() -> None:
    findings = bad_findings()
    (quality,) = findings.quality
    recall = next(each for each in quality.metrics if each.degraded)
    others = (
        replace(recall, metric="f1", figure=Interval(0.5, 0.4, 0.6), shortfall=0.4),
        replace(recall, metric="roc_auc", shortfall=0.1),
    )
    worse = replace(findings, quality=(replace(quality, metrics=(*quality.metrics, *others)),))
    first = texts(make_version(worse))[0]
    assert first == (
        "quality is degraded: f1 is 0.5, its baseline is 0.9; recall, roc_auc are worse too (24h)"
    )


def test_every_reason_names_a_runbook_that_there_is() -> None:
    findings = bad_findings()
    reference = findings.evaluation.reference
    segment = make_segment_evaluation(reference, Segment("country=DE", 1, 5, reference))
    every = np.full(len(reference.columns), DRIFTED, np.int8)
    changes = tuple(replace(change, verdict=every) for change in findings.evaluation.changes)
    windows = tuple(replace(window, verdict=every) for window in findings.evaluation.windows)
    evaluation = replace(findings.evaluation, windows=windows, changes=changes)
    uncovered = replace(make_quality(), coverage=0.4)
    config = ModelConfig.model_validate({"maturation": "1d"})
    version = make_version(Findings(evaluation, (uncovered,), (segment,)), config)
    runbooks = [reason.runbook for reason in find_reasons(version)]
    assert runbooks == [
        "ModelQualityDegraded",
        "ModelEstimatedQualityDegraded",
        "ModelLabelCoverageLow",
        "ModelLabelDrift",
        "ModelDataQualityDegraded",
        "ModelPredictionDrift",
        "ModelManyFeaturesDrifted",
        "ModelPredictionChanged",
        "ModelFeatureChanged",
        "ModelSegmentQualityDegraded",
        "ModelSegmentDrift",
    ]
    assert set(runbooks) <= RUNBOOK_FILES
    assert runbook_url("ModelLabelDrift") == f"{RUNBOOKS}/ModelLabelDrift.md"
    assert "40% of the predictions have labels, 80% are needed (24h)" in texts(version)
    assert "columns drifted in segment country=DE (1h, 24h)" in texts(version)


def test_it_says_since_when_the_first_of_its_verdicts_is_bad() -> None:
    bad = {
        Subject("drift", "age", "1h"): BadVerdict(NOON - 60),
        Subject("quality", "recall", "24h"): BadVerdict(NOON - 7200),
    }
    version = make_version(replace(bad_findings(), bad=bad))
    since = {reason.runbook: reason.since for reason in find_reasons(version)}
    assert since["ModelFeatureDrift"] == NOON - 60
    assert since["ModelQualityDegraded"] == NOON - 7200
    assert since["ModelLabelDrift"] is None


def test_names_are_shown_on_one_line() -> None:
    (reason,) = (r for r in find_reasons(make_version(hostile())) if r.runbook == "ModelFeatureDrift")
    assert reason.text == "1 of 3 features drifted: <b>\\nage (1h)"


def hostile() -> Findings:
    findings = bad_findings()
    reference = findings.evaluation.reference
    columns = tuple(
        replace(column, name="<b>\nage") if column.name == "age" else column for column in reference.columns
    )
    return replace(
        findings, evaluation=replace(findings.evaluation, reference=replace(reference, columns=columns))
    )
