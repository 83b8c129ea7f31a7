"""The state of a version in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exporter.aggregates.state import VersionCounts
from exporter.evaluation.comparison import UNDECIDED
from exporter.fleet import BadVerdict, Findings, Live, Status, Version
from exporter.monitoring.verdicts import Subject
from exporter.reference.profile import Segment
from exporter.storage.schema import StoredVersion
from exporter.web.states import ADVICE, Level, describe
from tests.support.cases import bad_findings, good_findings
from tests.support.rig import NOON
from tests.support.traffic import make_timeline
from tests.support.views import make_segment_evaluation

RUNBOOKS = {path.stem for path in (Path(__file__).parents[2] / "prometheus" / "runbooks").iterdir()}


def make_version(
    findings: Findings | None = None, status: Status = Status.READY, last: float | None = NOON - 60
) -> Version:
    version = Version(StoredVersion(1, "fraud", "3", 0, last, status, 0))
    version.findings = findings
    if status is Status.READY:
        reference = (findings or good_findings()).evaluation.reference
        version.live = Live(VersionCounts(1, reference, make_timeline(reference, {})))
    return version


def steady() -> Findings:
    """Nothing is bad, labels included."""
    good = good_findings()
    return replace(good, quality=tuple(replace(window, label_drift=None) for window in good.quality))


def test_every_runbook_that_a_reason_names_has_advice() -> None:
    assert ADVICE.keys() <= RUNBOOKS
    whole = bad_findings()
    reference = whole.evaluation.reference
    segment = make_segment_evaluation(reference, Segment("country=DE", 1, 5, reference))
    troubles = describe(make_version(replace(whole, segments=(segment,)))).troubles
    assert {"ModelQualityDegraded", "ModelFeatureDrift", "ModelSegmentDrift"} <= {t.runbook for t in troubles}
    assert all(trouble.advice for trouble in troubles)


def test_a_bad_version_is_told_in_a_sentence_that_names_what_is_bad() -> None:
    state = describe(make_version(bad_findings()))
    assert state.level is Level.BAD
    assert state.sentence == (
        "Quality worse than the baseline: recall; bad values in age; drift of age; drift of the labels."
    )


def test_bad_verdicts_with_one_remedy_are_told_together_since_the_first() -> None:
    bad = {
        Subject("drift", "age", "1h"): BadVerdict(NOON - 60),
        Subject("quality", "recall", "24h"): BadVerdict(NOON - 7200),
    }
    state = describe(make_version(replace(bad_findings(), bad=bad)))
    assert state.since == NOON - 7200
    assert len({trouble.runbook for trouble in state.troubles}) == len(state.troubles)
    since = {trouble.runbook: trouble.since for trouble in state.troubles}
    assert (since["ModelFeatureDrift"], since["ModelDataQualityDegraded"]) == (NOON - 60, None)


def test_a_version_without_a_bad_verdict_is_fine_and_says_what_was_judged() -> None:
    state = describe(make_version(steady()))
    assert (state.level, state.since, state.troubles) == (Level.GOOD, None, ())
    assert state.sentence == "Nothing is wrong with all 5 columns and its quality by labels."


def test_without_quality_a_fine_version_says_so() -> None:
    state = describe(make_version(replace(steady(), quality=())))
    assert state.sentence == "Nothing is wrong with all 5 columns; its quality is not judged."


def test_a_version_of_which_nothing_can_be_judged_is_not_fine() -> None:
    good = steady()
    none = np.full(5, UNDECIDED, np.int8)
    windows = tuple(replace(window, verdict=none) for window in good.evaluation.windows)
    state = describe(make_version(replace(good, evaluation=replace(good.evaluation, windows=windows))))
    assert state.level is Level.WARN
    assert state.sentence == "None of its 5 columns has enough predictions for a verdict yet."


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (Status.PENDING, "Its reference is being loaded: MLflow is slow."),
        (Status.NO_REFERENCE, "It has no reference, so predictions are only counted."),
        (Status.COLLECTING, "Its first predictions are becoming its reference."),
        (Status.BROKEN, "Its reference cannot be used: MLflow is slow."),
    ],
)
def test_a_version_without_a_reference_is_not_judged(status: Status, sentence: str) -> None:
    version = make_version(status=status)
    version.detail = "MLflow is slow"
    state = describe(version)
    assert (state.level, state.sentence) == (Level.WARN, sentence)


def test_a_version_that_fell_silent_is_not_fine() -> None:
    assert (
        "no predictions for more than a day" in describe(make_version(steady(), last=NOON - 90_000)).sentence
    )
    assert "no predictions yet" in describe(make_version(steady(), last=None)).sentence
    assert "was not evaluated yet" in describe(make_version()).sentence


def test_a_failed_evaluation_is_told() -> None:
    version = make_version(steady())
    version.failures = ("the evaluation failed: ValueError: x",)
    assert describe(version).sentence == "Its last evaluation failed: the evaluation failed: ValueError: x."


def test_levels_have_a_word_and_a_sign_each() -> None:
    assert len({level.word for level in Level}) == len({level.sign for level in Level}) == len(Level)
