"""The state of a version in one sentence, with a sign for how urgent it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from exporter.evaluation.comparison import UNDECIDED
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.fleet import Status, Version
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
class State:
    """State of a version; `reasons` are the bad verdicts, the worst first."""

    level: Level
    sentence: str
    reasons: tuple[Reason, ...] = ()

    @property
    def since(self) -> float | None:
        """When the first verdict that is bad now became so; None if it is not known."""
        return min((each.since for each in self.reasons if each.since is not None), default=None)

    @property
    def advice(self) -> str:
        """What to do first; empty if nothing is bad."""
        return ADVICE[self.reasons[0].runbook] if self.reasons else ""


def describe(version: Version) -> State:
    """Return the state of a version."""
    if reasons := find_reasons(version):
        return State(Level.BAD, f"{_sentence(reasons[0].text)}{_more(len(reasons) - 1)}", reasons)
    return State(*_without_reasons(version))


def _without_reasons(version: Version) -> tuple[Level, str]:
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


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _more(count: int) -> str:
    return f"; {count} more" if count else "."
