"""Hourly summaries of monitored versions, for the audit trail.

A summary is of one version, hour, reference and configuration. It is made at the end of the hour, also if
there was no traffic, so an hour without one is a gap: the exporter was not running, or it hung. Until then
figures are in memory. A stop ends the hour early, a kill loses what it had; `from` and `to` say which part of
the hour was watched, and `partial` that it is not all of it.

200 versions of 20 columns write 6 MB of records a day, so figures are short: scores are in thousandths, and
three figures that are the same are one.

The hours are those of the clock. If it is put back, the current hour ends, and hours that come again get
further summaries; if it jumps ahead, the hours between have none, since nothing was seen in them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exporter.audit.record import Entry
from exporter.evaluation.drift import Evaluation
from exporter.fleet import Findings, Status, Version
from exporter.monitoring.entries import omitted
from exporter.monitoring.verdicts import all_verdicts
from exporter.settings import DAY_SECONDS, HOUR_SECONDS, Window
from exporter.typing import Floats

MAX_COLUMNS = 25  # with the highest scores
MAX_METRICS = 12
_NO_SCORES: Floats = np.empty(0)


def summarized_window(windows: Sequence[Window]) -> Window:
    """Window whose figures are summarized: the shortest of a day or more, else the longest.

    Scores in shorter ones go up and down with the hours of the day, and say little about a day's end.
    """
    return next((window for window in windows if window.seconds >= DAY_SECONDS), windows[-1])


@dataclass
class _Watch:
    """Figures of a version since `since`, under one reference and configuration."""

    reference_digest: str
    config_digest: str
    since: float
    first_rows: int
    evaluations: int = 0
    failed: int = 0
    findings: Findings | None = None
    lowest: Floats = field(default_factory=lambda: _NO_SCORES)
    highest: Floats = field(default_factory=lambda: _NO_SCORES)
    last: Floats = field(default_factory=lambda: _NO_SCORES)
    quality: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def add(self, findings: Findings, window: Window) -> None:
        """Add the figures of an evaluation."""
        self.findings = findings
        self.evaluations += 1
        scores = _scores(findings.evaluation, window)
        self.last = scores
        if len(self.lowest) != len(scores):
            self.lowest = self.highest = scores
        else:
            self.lowest = np.fmin(self.lowest, scores)
            self.highest = np.fmax(self.highest, scores)
        for found in findings.quality:
            if found.window == window:
                for metric in found.metrics[:MAX_METRICS]:
                    value = metric.figure.value
                    low, high, _ = self.quality.get(metric.metric, (value, value, value))
                    self.quality[metric.metric] = (min(low, value), max(high, value), value)


class HourlySummaries:
    """Collects figures of evaluations, and makes the summaries that are due. One thread uses it.

    Args:
        windows: of the evaluations.
        pause_seconds: between two observations within which the exporter counts as running.
    """

    def __init__(self, windows: Sequence[Window], pause_seconds: float) -> None:
        self._window = summarized_window(windows)
        self._pause_seconds = pause_seconds
        self._watches: dict[Version, _Watch] = {}
        self._seen: dict[Version, Findings | None] = {}
        self._hour = 0.0
        self._last = 0.0

    def observe(self, versions: Collection[Version], now: float) -> list[Entry]:
        """Take over the last evaluation of each version; returns the summaries that are due."""
        ended = self._turn(now)
        for version in self._watches.keys() - set(versions):
            ended.append(self._end(version, self._watches.pop(version), now))
            del self._seen[version]
        for version in versions:
            reference = version.counts.reference.digest if version.counts is not None else ""
            digests = reference, version.facts.config_digest
            watch = self._watches.get(version)
            if watch is not None and (watch.reference_digest, watch.config_digest) != digests:
                ended.append(self._end(version, watch, now))
                watch = self._watches[version] = _Watch(*digests, now, version.live.totals.predictions)
            if watch is None:
                watch = self._watches[version] = _Watch(*digests, now, version.earlier_predictions)
            watch.failed += bool(version.failures)
            findings, known = version.findings, self._seen.get(version)
            self._seen[version] = findings
            # Of the reference before, if that was replaced since the evaluation.
            if findings is None or findings is known:
                continue
            if findings.evaluation.reference.digest == reference:
                watch.add(findings, self._window)
        return ended

    def close(self, now: float) -> list[Entry]:
        """Summaries of the hour so far."""
        ended = self._turn(now)
        ended += [self._end(version, watch, now) for version, watch in self._watches.items()]
        self._watches = {}
        return ended

    def _turn(self, now: float) -> list[Entry]:
        """Summaries of the hour before, if another one has begun."""
        hour, before = now // HOUR_SECONDS * HOUR_SECONDS, self._hour
        running = 0 <= now - self._last <= self._pause_seconds
        self._last, last, self._hour = now, self._last, hour
        if hour == before or not self._watches:
            return []
        whole = running and hour == before + HOUR_SECONDS
        ended = []
        for version, watch in list(self._watches.items()):
            ended.append(self._end(version, watch, hour if whole else last))
            self._watches[version] = _Watch(
                watch.reference_digest,
                watch.config_digest,
                since=hour if whole else now,
                first_rows=version.live.totals.predictions,
            )
        return ended

    def _end(self, version: Version, watch: _Watch, until: float) -> Entry:
        hour = watch.since // HOUR_SECONDS * HOUR_SECONDS
        until = min(max(until, watch.since), hour + HOUR_SECONDS)
        whole = (watch.since, until) == (hour, hour + HOUR_SECONDS)
        data: dict[str, Any] = {
            "hour": hour,
            "from": watch.since,
            "to": until,
            "evaluations": watch.evaluations,
            "rows": version.live.totals.predictions - watch.first_rows,
        }
        if watch.failed:
            data["failed"] = watch.failed
        if not whole:
            data["partial"] = True
        if version.status is not Status.READY:
            data["status"] = str(version.status)
        if watch.findings is not None:
            data["window"] = self._window.name
            data |= _shown_scores(watch)
            data["quality"] = {
                metric: _merged([float(f"{value:.3g}") for value in values])
                for metric, values in watch.quality.items()
            }
            data["verdicts"] = _count_verdicts(watch.findings, version)
        return Entry(
            kind="summary",
            actor="monitor",
            model=version.model,
            model_version=version.version,
            data=data,
            reference_digest=watch.reference_digest,
            config_digest=watch.config_digest,
        )


def _scores(evaluation: Evaluation, window: Window) -> Floats:
    """(columns,) drift scores in a window."""
    return next((each.drift_score for each in evaluation.windows if each.window == window), _NO_SCORES)


def _shown_scores(watch: _Watch) -> dict[str, Any]:
    """Lowest, highest and last score by column, of those with the highest ones."""
    assert watch.findings is not None
    columns = watch.findings.evaluation.reference.columns
    known = [place for place, score in enumerate(watch.highest.tolist()) if score == score]
    chosen = sorted(known, key=lambda place: -watch.highest[place])[:MAX_COLUMNS]
    scores = {
        columns[place].name: _merged(
            [_thousandths(of[place]) for of in (watch.lowest, watch.highest, watch.last)]
        )
        for place in sorted(chosen)
    }
    return {"score_thousandths": scores} | omitted(len(known) - MAX_COLUMNS)


def _thousandths(score: float) -> int | None:
    """A score in whole thousandths; that of the last evaluation may be missing."""
    return round(1000 * float(score)) if np.isfinite(score) else None


def _merged(figures: list[Any]) -> list[Any]:
    """Lowest, highest and last figure; one if they are the same."""
    return figures[:1] if len(set(figures)) == 1 else figures


def _count_verdicts(findings: Findings, version: Version) -> Mapping[str, int]:
    counts = {"bad": 0, "good": 0, "undecided": 0}
    for verdict in all_verdicts(findings, version.facts.config).values():
        name = "bad" if verdict.bad else "undecided" if verdict.verdict == "undecided" else "good"
        counts[name] += 1
    return counts
