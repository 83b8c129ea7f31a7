"""Judges the habits of the fleet: reads what arrived, and has `evaluation.habits` say what is unusual."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from exporter.aggregates.activity import STRETCHES, Hours
from exporter.config.calendar import Calendar
from exporter.evaluation.habits.labels import (
    MIN_PREDICTIONS,
    VersionLabels,
    judge_label_silence,
    usual_coverage,
)
from exporter.evaluation.habits.latency import judge_latency
from exporter.evaluation.habits.limits import Habit, Habits
from exporter.evaluation.habits.local_time import LocalTime
from exporter.evaluation.habits.traffic import Observed, VersionTraffic, judge_silence
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Fleet, Version
from exporter.monitoring.counting import ArrivalRecord
from exporter.monitoring.earlier_activity import EarlierActivity
from exporter.settings import HOUR_SECONDS
from exporter.typing import Ints

log = logging.getLogger(__name__)


class HabitWatch:
    """Judges the habits of all versions, aliases and models, in the evaluation's thread."""

    def __init__(self, fleet: Fleet, arrivals: ArrivalRecord, telemetry: Telemetry) -> None:
        self._fleet = fleet
        self._arrivals = arrivals
        self._telemetry = telemetry
        self._earlier = EarlierActivity()
        self._local = LocalTime(Calendar())

    def use(self, calendar: Calendar) -> None:
        """Use another calendar from the next evaluation on. Any thread may call it."""
        self._local = LocalTime(calendar)

    def judge(self, now: float) -> Habits:
        """Habits of the fleet; those of a model that fail are left out, logged and counted."""
        local, hours, uptime = self._local, self._arrivals.hours(now), self._arrivals.uptime(now)
        versions = tuple(self._fleet.versions.values())
        since = float(uptime["start"][0]) if len(uptime) else now
        observed, down = Observed.of(uptime, now), _down_hours(uptime, now)
        by_model = _by_model(hours)
        silences: dict[tuple[str, str], Habit] = {}
        label_silences: dict[str, Habit] = {}
        latencies: dict[tuple[str, str], Habit] = {}
        coverages: dict[tuple[str, str, str], float] = {}
        for model in sorted({version.model for version in versions}):
            own, known = [version for version in versions if version.model == model], by_model[model]
            try:
                # Before those from blocks, which do not say when labels came.
                label_silences[model] = self._judge_labels(model, own, known, down, local, now)
                for version in own:
                    added = self._earlier.add_to(known.get(version.version), version, since, now)
                    if len(added):
                        known[version.version] = added
                silences |= self._judge_silences(model, known, observed, local, now)
                for version in own:
                    latencies[version.names] = _judge_latency(version, now)
                    if (found := widest_labelled(version)) and version.version in known:
                        limit = usual_coverage(known[version.version], now)
                        if limit is not None and found.predictions >= MIN_PREDICTIONS:
                            coverages[*version.names, found.window.name] = limit
            except Exception:  # others go on
                log.exception("%s: its habits could not be judged", model)
                for version in own:
                    self._telemetry.count_evaluation_error(*version.names, "evaluation")
        return Habits(now, silences, label_silences, latencies, coverages)

    def _judge_silences(
        self, model: str, hours: Mapping[str, Hours], observed: Observed, local: LocalTime, now: float
    ) -> dict[tuple[str, str], Habit]:
        found = {number: VersionTraffic.of(known) for number, known in hours.items()}
        traffic = {number: known for number, known in found.items() if known is not None}
        return {
            (model, alias): judge_silence(self._fleet.history(model, alias), traffic, observed, local, now)
            for named, alias in self._fleet.current_aliases()
            if named == model
        }

    def _judge_labels(
        self,
        model: str,
        versions: list[Version],
        hours: Mapping[str, Hours],
        down: Ints,
        local: LocalTime,
        now: float,
    ) -> Habit:
        monitored = {version.version for version in versions}
        known = [VersionLabels(own, number in monitored) for number, own in hours.items()]
        aliases = {alias for version in versions for alias in version.aliases}
        if not known or not aliases:
            return Habit()
        changes = self._fleet.alias_changes(model)
        moved = max((changes[alias] for alias in aliases if alias in changes), default=-np.inf)
        return judge_label_silence(known, moved, down, local, now)


def _by_model(hours: Mapping[tuple[str, str], Hours]) -> dict[str, dict[str, Hours]]:
    """Hours of versions that have any, by model."""
    found: dict[str, dict[str, Hours]] = defaultdict(dict)
    for (model, number), known in hours.items():
        if len(known):
            found[model][number] = known
    return found


def _judge_latency(version: Version, now: float) -> Habit:
    counts = version.counts
    return judge_latency(counts.timeline.snapshot(now), now) if counts is not None else Habit()


def widest_labelled(version: Version) -> QualityEvaluation | None:
    """The version's window with the most labels, of several the one with the highest coverage."""
    found = version.findings.quality if version.findings is not None else ()
    known = [quality for quality in found if quality.coverage == quality.coverage]
    return max(known, key=lambda quality: (quality.labels, quality.coverage), default=None)


def _down_hours(uptime: Hours, now: float) -> Ints:
    """Starts of the hours of which the exporter did not run for half."""
    if not len(uptime):
        return np.zeros(0, np.int64)
    bits = ((uptime["stretches"][:, None] >> np.arange(STRETCHES)) & 1).sum(axis=1)
    first, end = int(uptime["start"][0]), int(now // HOUR_SECONDS) * HOUR_SECONDS
    return np.setdiff1d(np.arange(first, end, HOUR_SECONDS), uptime["start"][bits > STRETCHES // 2])
