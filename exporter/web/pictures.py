"""Figures of a version with their sparklines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np
from markupsafe import Markup

from exporter.aggregates.state import VersionCounts
from exporter.evaluation.comparison import DRIFTED
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.fleet import Findings
from exporter.formats.texts import printable
from exporter.web.history import History, find_history
from exporter.web.sparkline import sparkline

MAX_BAD = 4  # figures of each kind, the worst ones
# Metrics that are shown of a version whose quality is fine, the first that there is.
HEADLINES = ("f1", "f1_macro", "accuracy", "mae", "roc_auc")


@dataclass(frozen=True)
class Figure:
    """A figure over time; `against` is the name of its limit or baseline, empty where there is none."""

    name: str
    value: float
    against: str
    limit: float
    picture: Markup


def drift_trend(history: History, place: int, name: str, limit: float) -> Markup:
    """Picture of the drift of a column over time, beside its limit; NaN: none is drawn."""
    label = f"Drift of {name} per {history.period} in the last {history.span}"
    return sparkline(history.drift[:, place].tolist(), label, ("limit", limit))


def quality_trend(history: History, quality: MetricQuality) -> Markup:
    """Picture of a metric over time, beside its baseline."""
    label = f"{quality.metric} per {history.labelled_period} in the last {history.labelled_span}"
    values = history.quality.get(quality.metric, ())
    return sparkline(values, label, ("baseline", quality.baseline), from_zero=False)


class Pictures:
    """Figures of a version after an evaluation; `findings` are None before the first."""

    def __init__(self, findings: Findings | None, history: History, columns: tuple[str, ...]) -> None:
        self._findings = findings
        self.history = history
        self._columns = columns

    @classmethod
    def of(
        cls, findings: Findings | None, counts: VersionCounts, now: float, before: History | None = None
    ) -> Pictures:
        """Return the figures of a version.

        Args:
            findings: of the last evaluation.
            counts: of the version.
            now: in seconds since the epoch.
            before: history of the same reference, which saves most of the work.
        """
        if findings is not None and findings.evaluation.reference is not counts.reference:
            findings = None  # of the reference before
        quality = findings.quality if findings is not None else ()
        bad = {m.metric for window in quality for m in window.metrics if m.degraded}
        known = [m.metric for window in quality for m in window.metrics]
        headline = next((name for name in HEADLINES if name in known), "")
        metrics = sorted(bad | ({headline} - {""}))
        columns = tuple(printable(column.name) for column in counts.reference.columns)
        return cls(findings, find_history(counts, metrics, now, before), columns)

    def traffic(self) -> Figure | None:
        """Predictions; None if there were none."""
        history = self.history
        if not history.rows.any():
            return None
        label = f"Predictions per {history.period} in the last {history.span}"
        whole = history.rows.tolist()[:-1]  # the last period is not over: it would look like a fall
        name = f"predictions in {history.span}"
        return Figure(name, float(history.rows.sum()), "", np.nan, sparkline(whole, label))

    def drift(self) -> Figure | None:
        """Drift of the column that is nearest to its limit, or furthest beyond; None if none was judged."""
        if self._findings is None:
            return None
        evaluation = self._findings.evaluation
        places = [k for k, column in enumerate(evaluation.reference.columns) if not column.unjudged]
        ranked = [(found, place) for place in places if isfinite(found := _worst(evaluation, place)[0])]
        return self._drift(evaluation, max(ranked)[1]) if ranked else None

    def quality(self) -> Figure | None:
        """The metric that is worst against its baseline if one is degraded, else the usual one."""
        found = self._degraded()
        if not found:
            known = {m.metric: m for window in self._quality() for m in window.metrics}
            found = [known[name] for name in HEADLINES if name in known]
        return self._metric(found[0]) if found else None

    def bad(self) -> tuple[Figure, ...]:
        """Figures whose verdict is bad, the worst first."""
        return tuple(self._bad())

    def _bad(self) -> Iterator[Figure]:
        if self._findings is None:
            return
        yield from map(self._metric, self._degraded()[:MAX_BAD])
        evaluation = self._findings.evaluation
        failed = [check for check in evaluation.checks if check.degraded]
        for check in sorted(failed, key=lambda each: -each.ratio)[:MAX_BAD]:
            name = f"{self._columns[check.column]}: {check.check.replace('_', ' ')}"
            label = f"Share of {name} per {self.history.period} in the last {self.history.span}"
            values = self.history.check(check.check)[:, check.column]
            line = ("reference", check.reference_ratio)
            picture = sparkline(values.tolist(), label, line)
            yield Figure(name, check.ratio, *line, picture)
        verdicts = [window.verdict for window in evaluation.windows]
        verdicts += [change.verdict for change in evaluation.changes]
        drifted = np.flatnonzero(np.any(np.stack(verdicts) == DRIFTED, axis=0)).tolist()
        for place in sorted(drifted, key=lambda each: -_worst(evaluation, each)[0])[:MAX_BAD]:
            yield self._drift(evaluation, place)

    def _drift(self, evaluation: Evaluation, place: int) -> Figure:
        _, window = _worst(evaluation, place)
        found, name = evaluation.windows[window], self._columns[place]
        limit = float(found.drift_limit[place])
        picture = drift_trend(self.history, place, name, limit)
        score = float(found.drift_score[place])
        return Figure(f"{name} ({found.window.name})", score, "limit", limit, picture)

    def _quality(self) -> tuple[QualityEvaluation, ...]:
        return self._findings.quality if self._findings is not None else ()

    def _degraded(self) -> list[MetricQuality]:
        found = [m for window in self._quality() for m in window.metrics if m.degraded]
        found.sort(key=lambda each: -each.shortfall / (each.limit or 1.0))
        return list({each.metric: each for each in reversed(found)}.values())[::-1]

    def _metric(self, found: MetricQuality) -> Figure:
        picture = quality_trend(self.history, found)
        return Figure(found.metric, found.figure.value, "baseline", found.baseline, picture)


def _worst(evaluation: Evaluation, place: int) -> tuple[float, int]:
    """Highest score of a column as a share of its limit, and the index of its window; drifted ones first."""
    ranked = []
    for index, window in enumerate(evaluation.windows):
        score, limit = float(window.drift_score[place]), float(window.drift_limit[place])
        if isfinite(score) and limit > 0:
            ranked.append((bool(window.verdict[place] == DRIFTED), score / limit, index))
    _, ratio, index = max(ranked, default=(False, -np.inf, 0))
    return ratio, index
