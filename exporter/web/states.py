"""The state of a version in one sentence, with a sign for how urgent it is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from exporter.evaluation.comparison import UNDECIDED
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.fleet import Status, Version
from exporter.formats.texts import capitalized, listed, printable
from exporter.monitoring.verdicts import Subject, bad_subjects
from exporter.settings import DAY_SECONDS
from exporter.views.reasons import Reason, find_reasons

# What to do first, by the alert whose runbook has the rest.
ADVICE = {
    "ModelQualityDegraded": "Compare with the version before, and roll back or retrain.",
    "ModelEstimatedQualityDegraded": "Look for drift of inputs below, and send labels of recent predictions.",
    "ModelLabelCoverageLow": "See whether the job that sends labels still runs.",
    "ModelLabelDrift": "See whether labels are made as before; if the world has changed, retrain.",
    "ModelDataQualityDegraded": "Repair the feed of these columns at its source.",
    "ModelPredictionDrift": "Look at drift of inputs and at quality; without either, the service changed.",
    "ModelManyFeaturesDrifted": "See what changed upstream at that time, or who else calls the model now.",
    "ModelFeatureDrift": "See what changed upstream at that time: a unit, a default value, a join.",
    "ModelPredictionChanged": "Look for changes of inputs and of the service at that time.",
    "ModelFeatureChanged": "See what changed upstream at that time: a unit, a default value, a join.",
    "ModelSegmentQualityDegraded": "Compare the segment with the whole, and retrain on more rows of it.",
    "ModelSegmentDrift": "See what changed for the segment's rows at that time.",
}


MAX_NAMES = 4  # of columns or metrics in a sentence


class Level(IntEnum):
    """Urgency of a state; the most urgent is the lowest."""

    BAD = 0  # a verdict is bad
    WARN = 1  # something keeps verdicts from being given
    GOOD = 2

    @property
    def word(self) -> str:
        return ("Needs attention", "Not judged", "Fine")[self]

    @property
    def sign(self) -> str:
        """Shape that stands beside the word, for those who do not see its colour."""
        return ("\N{BLACK UP-POINTING TRIANGLE}", "\N{WHITE DIAMOND}", "\N{CHECK MARK}")[self]

    @property
    def css(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Trouble:
    """Bad verdicts with the same remedy: their texts, the first thing to do, and the runbook that has more.

    `since` is in seconds since the epoch, None if it is not known.
    """

    texts: tuple[str, ...]
    since: float | None
    advice: str
    runbook: str


@dataclass(frozen=True)
class State:
    """State of a version in a sentence; `reasons` are its bad verdicts, the worst first."""

    level: Level
    sentence: str
    reasons: tuple[Reason, ...] = ()

    @property
    def since(self) -> float | None:
        """Start of the oldest bad verdict, in seconds since the epoch; None if it is not known."""
        return _first(self.reasons)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Reasons by their remedy, the worst first."""
        by_runbook: dict[str, list[Reason]] = {}
        for reason in self.reasons:
            by_runbook.setdefault(reason.runbook, []).append(reason)
        return tuple(
            Trouble(tuple(each.text for each in alike), _first(alike), ADVICE[runbook], runbook)
            for runbook, alike in by_runbook.items()
        )


def _first(reasons: Sequence[Reason]) -> float | None:
    return min((each.since for each in reasons if each.since is not None), default=None)


def describe(version: Version) -> State:
    """Return the state of a version."""
    if reasons := find_reasons(version):
        assert version.findings is not None
        bad = bad_subjects(version.findings, version.facts.config)
        return State(Level.BAD, f"{capitalized('; '.join(_summary(bad)))}.", reasons)
    return State(*_without_troubles(version))


def _summary(bad: Collection[Subject]) -> Iterator[str]:
    """Parts of a sentence that names what is bad, by its measure."""

    def names(*measures: str) -> list[str]:
        found = (each for each in bad if not each.segment and each.measure.partition("/")[0] in measures)
        return sorted({printable(each.name) for each in found})

    quality, drifted = names("quality"), names("drift")
    if quality:
        yield f"quality worse than the baseline: {listed(quality, MAX_NAMES)}"
    elif estimated := names("estimated_quality"):
        yield f"quality estimated to be worse than the baseline: {listed(estimated, MAX_NAMES)}"
    if failing := names("data_quality"):
        yield f"bad values in {listed(failing, MAX_NAMES)}"
    if drifted:
        yield f"drift of {listed(drifted, MAX_NAMES)}"
    if changed := [name for name in names("change") if name not in drifted]:
        yield f"sudden change of {listed(changed, MAX_NAMES)}"
    if names("label_drift"):
        yield "drift of the labels"
    if names("coverage"):
        yield "too few labels"
    if segments := sorted({printable(each.segment) for each in bad if each.segment}):
        yield f"bad verdicts in {listed(segments, MAX_NAMES)}"


def _without_troubles(version: Version) -> tuple[Level, str]:
    evaluation, detail = version.evaluation, f": {version.detail}" if version.detail else ""
    if version.counts is None:
        return Level.WARN, {
            Status.NO_REFERENCE: "It has no reference, so predictions are only counted.",
            Status.COLLECTING: "Its first predictions are becoming its reference.",
            Status.BROKEN: f"Its reference cannot be used{detail}.",
        }.get(version.status, f"Its reference is being loaded{detail}.")
    if version.failures:
        return Level.WARN, f"Its last evaluation failed: {version.failures[0]}."
    if version.last_prediction is None:
        return Level.WARN, "It has a reference, and no predictions yet."
    if evaluation is None:
        return Level.WARN, "It was not evaluated yet."
    if evaluation.at - version.last_prediction > max(DAY_SECONDS, evaluation.windows[0].window.seconds):
        return Level.WARN, "It has had no predictions for more than a day."
    judged, columns = _judged(evaluation), len(evaluation.reference.columns)
    if not judged:
        return Level.WARN, f"None of its {columns} columns has enough predictions for a verdict yet."
    labelled = any(m.degraded is not None for w in _quality(version) for m in w.metrics)
    quality = "its quality by labels" if labelled else ""
    estimated = any(e.degraded is not None for w in _quality(version) for e in w.estimates)
    quality = quality or ("its estimated quality" if estimated else "")
    columns_text = f"{judged} of {columns} columns" if judged < columns else f"all {columns} columns"
    also = f" and {quality}" if quality else "; its quality is not judged"
    return Level.GOOD, f"Nothing is wrong with {columns_text}{also}."


def _quality(version: Version) -> tuple[QualityEvaluation, ...]:
    return version.findings.quality if version.findings is not None else ()


def _judged(evaluation: Evaluation) -> int:
    """Number of columns with a verdict on drift in some window."""
    decided = [window.verdict != UNDECIDED for window in evaluation.windows]
    return int(np.any(decided, axis=0).sum())
