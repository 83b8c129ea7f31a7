"""Arrivals of a model whose labels come -> how long it may be without them, and how few it may have."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from exporter.aggregates.activity import Activity
from exporter.config.calendar import Calendar
from exporter.evaluation.habits.labels import (
    MIN_PREDICTIONS,
    VersionLabels,
    judge_label_silence,
    usual_coverage,
)
from exporter.evaluation.habits.limits import Habits
from exporter.evaluation.habits.local_time import LocalTime
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.settings import HOUR_SECONDS
from exporter.typing import Floats, Ints

_NEVER_DOWN = np.zeros(0, np.int64)


class LabelHabits:
    """Habits of one version, as `monitoring.habits` has them; those of the model with its champion alone."""

    def __init__(self, model: str, version: str, alias: str) -> None:
        self._names = model, version
        self._of_model = alias == "champion"
        self._activity = Activity()
        self._local = LocalTime(Calendar())

    def add(self, predictions: Floats, labels: Floats, delays: Floats) -> None:
        """Count arrivals since the last call: their times, and the delay of each label, in seconds."""
        for chosen in _by_hour(predictions):
            self._activity.add_predictions(len(chosen), float(predictions[chosen].max()))
        for chosen in _by_hour(labels):
            self._activity.add_labels(len(chosen), float(delays[chosen].sum()), float(labels[chosen].max()))

    def judge(self, quality: Sequence[QualityEvaluation], now: float) -> Habits:
        known = [found for found in quality if found.coverage == found.coverage]
        widest = max(known, key=lambda found: (found.labels, found.coverage), default=None)
        if widest is not None:
            self._activity.set_coverage(widest.coverage, now)
        hours = self._activity.hours()
        limit = usual_coverage(hours, now)
        coverages = {}
        if widest is not None and limit is not None and widest.predictions >= MIN_PREDICTIONS:
            coverages[(*self._names, widest.window.name)] = limit
        silences = {}
        if self._of_model and len(hours):
            versions = [VersionLabels(hours, True)]
            silences[self._names[0]] = judge_label_silence(versions, -inf, _NEVER_DOWN, self._local, now)
        return Habits(now, label_silences=silences, coverages=coverages)


def _by_hour(times: Floats) -> list[Ints]:
    """Places of the times of each hour, in order of the hours."""
    hours = times // HOUR_SECONDS
    return [np.flatnonzero(hours == hour) for hour in np.unique(hours)]
