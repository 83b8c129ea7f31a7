"""The exporter's own verdict on an alert."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from exporter.evaluation.comparison import DRIFTED, UNDECIDED
from exporter.fleet import Findings, Status
from exporter.reference.profile import Segment
from exporter.remediation.evidence import VERDICTS, judge, watch
from tests.prometheus.alerting import RECORDED, RULES
from tests.support.cases import bad_findings, good_findings, watched
from tests.support.rig import NOON, Rig, make_rows
from tests.support.views import make_segment_evaluation

SHIPPED = [*VERDICTS]


def verdict(findings: Findings, alertname: str, **labels: str) -> bool | None:
    return judge(watched("3", findings), {"alertname": alertname, **labels}, NOON, 30.0).bad


def with_everything(findings: Findings) -> Findings:
    """With a segment that has the figures of the whole."""
    reference = findings.evaluation.reference
    segment = replace(
        make_segment_evaluation(reference, Segment("country=DE", 1, 5, reference)),
        quality=findings.quality,
        drift=findings.evaluation.windows,
    )
    return replace(findings, segments=(segment,))


# Alerts of which the findings of `bad_findings` have something, with labels that say the same.
CONFIRMED: Mapping[str, Mapping[str, str]] = {
    "ModelQualityDegraded": {"metric": "recall"},
    "ModelEstimatedQualityDegraded": {"metric": "recall"},
    "ModelSegmentQualityDegraded": {"segment": "country=DE", "metric": "recall"},
    "ModelFeatureDrift": {"column": "age", "role": "feature"},
    "ModelLabelDrift": {"column": "is_fraud"},
    "ModelSegmentDrift": {"segment": "country=DE"},
    "ModelFeatureChanged": {"column": "age"},
    "ModelDataQualityDegraded": {"column": "age", "check": "missing"},
    "AnyOther": {"column": "something else"},
}


@pytest.mark.parametrize(("alertname", "labels"), CONFIRMED.items())
def test_what_is_found_bad_confirms_the_alert(alertname: str, labels: Mapping[str, str]) -> None:
    assert verdict(with_everything(bad_findings()), alertname, **labels) is True
    assert verdict(with_everything(bad_findings()), alertname) is True


@pytest.mark.parametrize("alertname", [name for name in CONFIRMED if name != "ModelLabelDrift"])
def test_what_is_found_good_does_not(alertname: str) -> None:
    assert verdict(with_everything(good_findings()), alertname, **CONFIRMED[alertname]) is False


@pytest.mark.parametrize(
    ("alertname", "labels"),
    [
        ("ModelQualityDegraded", {"metric": "precision"}),  # it has no baseline
        ("ModelQualityDegraded", {"metric": "mae"}),
        ("ModelFeatureDrift", {"column": "user_id"}),  # it is not judged
        ("ModelFeatureDrift", {"column": "gone"}),
        ("ModelPredictionDrift", {}),  # no row has a value
        ("ModelPredictionChanged", {}),
        ("ModelErrorRateHigh", {}),
        ("ModelSegmentDrift", {"segment": "country=FR"}),
        ("ModelDataQualityDegraded", {"column": "country", "check": "unseen"}),
        ("ModelLatencyHigh", {}),
        ("ModelServingSaturated", {}),
    ],
)
def test_without_a_verdict_it_is_inconclusive(alertname: str, labels: Mapping[str, str]) -> None:
    assert verdict(with_everything(bad_findings()), alertname, **labels) is None


@pytest.mark.parametrize("alertname", SHIPPED)
def test_nothing_is_confirmed_by_an_old_evaluation_or_by_none(alertname: str) -> None:
    old = watched("3", with_everything(bad_findings()))
    assert judge(old, {"alertname": alertname}, NOON + 61, 30.0).bad is None
    assert "the last evaluation of version 3 is 61 s old" in judge(old, {}, NOON + 61, 30.0).reason
    none = watched("3", None, status=Status.NO_REFERENCE)
    assert judge(none, {"alertname": alertname}, NOON, 30.0).reason == "version 3 is not judged: no reference"


def test_a_provisional_verdict_on_quality_confirms_nothing() -> None:
    findings = bad_findings()
    (quality,) = findings.quality
    provisional = tuple(replace(each, allowance=nan) for each in quality.metrics)
    estimates = tuple(replace(each, allowance=nan) for each in quality.estimates)
    changed = replace(findings, quality=(replace(quality, metrics=provisional, estimates=estimates),))
    assert verdict(changed, "ModelQualityDegraded", metric="recall") is None
    assert verdict(changed, "ModelEstimatedQualityDegraded") is None


def test_an_estimate_that_its_own_error_explains_confirms_nothing() -> None:
    findings = bad_findings()
    (quality,) = findings.quality
    # 0.78 is 0.12 too low, by labels: the estimate without its error is 0.9, the baseline
    biased = tuple(replace(each, error=-0.12) for each in quality.estimates)
    changed = replace(findings, quality=(replace(quality, estimates=biased),))
    assert verdict(changed, "ModelEstimatedQualityDegraded") is False


@pytest.mark.parametrize(("drifted", "found"), [(2, False), (3, True)])
def test_many_features_are_at_least_three_and_half(drifted: int, found: bool) -> None:
    findings = good_findings()
    evaluation = findings.evaluation
    columns = tuple(replace(column, role="feature", unjudged="") for column in evaluation.reference.columns)
    verdicts = np.array([DRIFTED] * drifted + [UNDECIDED] * (5 - drifted), np.int8)
    changed = replace(
        evaluation,
        reference=replace(evaluation.reference, columns=columns),
        windows=(replace(evaluation.windows[0], verdict=verdicts),),
    )
    assert verdict(replace(findings, evaluation=changed), "ModelManyFeaturesDrifted") is found


def test_a_missing_prediction_is_an_error_and_no_matter_of_data_quality() -> None:
    findings = bad_findings()
    (missing, *_) = findings.evaluation.checks
    prediction = [c.role for c in findings.evaluation.reference.columns].index("prediction")
    failing = replace(findings.evaluation, checks=(replace(missing, column=prediction),))
    changed = replace(findings, evaluation=failing)
    assert verdict(changed, "ModelErrorRateHigh") is True
    assert verdict(changed, "ModelDataQualityDegraded") is None


def test_the_shipped_alerts_with_verdicts_are_known() -> None:
    shown = ("_detected", "_degraded", "mlflow_model_columns:max")
    judged = {rule.alert for rule in RULES if any(name in written_out(rule.expr) for name in shown)}
    # in Alertmanager only
    assert judged - {"ModelDriftExplained"} == set(VERDICTS)


def written_out(expression: str) -> str:
    """The expression, followed by those of the recorded series that it reads."""
    read = [RECORDED[name] for name in re.findall(r"\w+:\w+:\w+", expression)]
    return " ".join([expression, *map(written_out, read)])


def test_a_version_is_judged_by_what_its_own_rows_show(start: Callable[..., Rig]) -> None:
    rig = start()
    rows = make_rows(400)
    for row in rows:
        row["features"]["age"] += 100
        row["prediction"] = None
    rig.post_rows(rows)
    rig.evaluate()
    found = watch(rig.version())
    labels = {"model": "fraud", "model_version": "1"}
    now, interval = rig.clock(), rig.settings.evaluation_interval_seconds
    assert judge(found, {"alertname": "ModelErrorRateHigh", **labels}, now, interval).bad is True
    assert judge(found, {"alertname": "ModelDataQualityDegraded", **labels}, now, interval).bad is True
    fine = {"alertname": "ModelDataQualityDegraded", "column": "country", "check": "missing"}
    assert judge(found, fine, now, interval).reason == (
        "by its own evaluation version 1 is not as ModelDataQualityDegraded says"
    )
