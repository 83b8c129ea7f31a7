"""Collects the series of a page, within the limit on their number."""

from __future__ import annotations

import logging
from collections.abc import Collection as Names
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from prometheus_client import Metric as ClientMetric

from exporter.evaluation.habits.limits import Habits
from exporter.exposition.bad_verdicts import add_bad, count_bad_series
from exporter.exposition.columns import BINS, add_bins, add_evaluation, count_column_series
from exporter.exposition.evidently_values import add_evidently_values, count_evidently_series
from exporter.exposition.habits import add_habits, count_habit_series
from exporter.exposition.importance import add_importance, count_importance_series
from exporter.exposition.metric import Metric
from exporter.exposition.negotiation import check_groups, is_wanted
from exporter.exposition.prefixes import VersionPrefixes
from exporter.exposition.quality import add_quality, count_quality_series
from exporter.exposition.render import Family, Format, render
from exporter.exposition.samples import Samples
from exporter.exposition.segments import add_segments, count_segment_series
from exporter.exposition.serving import add_serving, count_serving_series
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.versions import add_version, count_version_series
from exporter.exposition.view import VersionView
from exporter.reference.profile import Reference
from exporter.settings import Settings

log = logging.getLogger(__name__)

_MISSED_EVALUATIONS = 5

POLL_INTERVAL = Metric(
    "mlflow_exporter_poll_interval_seconds",
    "gauge",
    "Configured interval between polls of MLflow, in seconds.",
)
EVALUATION_INTERVAL = Metric(
    "mlflow_exporter_evaluation_interval_seconds",
    "gauge",
    "Configured interval between evaluations of a version, in seconds.",
)
WINDOW = Metric(
    "mlflow_exporter_window_seconds", "gauge", "Length of a configured window, in seconds.", ("window",)
)
SERIES = Metric("mlflow_exporter_series", "gauge", "Series of this page, before any filter.")
DROPPED_SERIES = Metric(
    "mlflow_exporter_dropped_series",
    "gauge",
    "Series of bins and segments that are left out because of the limit on series.",
)
PAGE_CATALOG = (POLL_INTERVAL, EVALUATION_INTERVAL, WINDOW, SERIES, DROPPED_SERIES)


@dataclass(frozen=True)
class DroppedSeries:
    """Series of a version beyond the limit: the bins of `columns`, and whole segments."""

    model: str
    version: str
    columns: tuple[str, ...]
    series: int
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricsPage:
    """All samples of a page: `families` to be rendered by prefix, `own` by prometheus-client."""

    families: tuple[Family, ...]
    own: tuple[tuple[Metric, ClientMetric], ...]
    dropped: tuple[DroppedSeries, ...]

    @property
    def series(self) -> int:
        return sum(len(f.prefixes) for f in self.families) + sum(len(m.samples) for _, m in self.own)

    def select(self, names: Names[str] = (), groups: Names[str] = ()) -> MetricsPage:
        """The metrics that `name[]` and `collect[]` ask for.

        Raises:
            MalformedError: unknown group.
        """
        check_groups(groups)
        return MetricsPage(
            tuple(family for family in self.families if is_wanted(family.metric, names, groups)),
            tuple((metric, found) for metric, found in self.own if is_wanted(metric, names, groups)),
            self.dropped,
        )

    def render(self, form: Format) -> bytes:
        return render(self.families, form, [found for _, found in self.own])


class SeriesCollector:
    """Makes pages from views, and keeps the rendered labels of the versions of the last one."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._prefixes: dict[tuple[str, str, str], VersionPrefixes] = {}

    def collect(
        self,
        views: Sequence[VersionView],
        now: float,
        runs: Sequence[Family] | None = None,
        habits: Habits | None = None,
    ) -> MetricsPage:
        """All series at `now` (seconds since the epoch). Several threads may call it.

        `runs` are the families of MLflow's own runs, None where they are switched off. `habits` are those of
        the fleet, None before they are known.

        Habits, and measures of an evaluation, that are more than five intervals old are left out: a hung
        monitor must not freeze them. Above `max_series` bins are left out, of whole columns, the last
        features first, so that every version shows those of equally many; then segments in the same way, the
        last ones first. A version that fails is left out, logged and counted.
        """
        used: dict[tuple[str, str, str], VersionPrefixes] = {}
        own = self._telemetry.families()
        prefixes = [self._prefixes_of(view, view.reference, used) for view in views]
        set_aside = sum(len(metric.samples) for _, metric in own)
        if runs is not None:  # whatever they show now: bins must not come and go with them
            set_aside += self._settings.max_run_series + 1
        sliced, shown = self._fit(views, prefixes, set_aside)

        samples = Samples()
        for view, known in zip(views, prefixes, strict=True):
            try:
                with samples.all_or_none():
                    self._add(samples, view, known, used, now, sliced, shown)
            except Exception:
                log.exception("%s version %s is left out", view.model, view.version)
                self._telemetry.count_evaluation_error(view.model, view.version, "evaluation")
        self._prefixes = used
        if habits is not None and habits.at >= self._oldest(now):
            add_habits(samples, habits, {(view.model, view.version) for view in views})

        dropped = tuple(
            self._drop(known, shown, sliced)
            for known in prefixes
            if len(known.columns) > shown or len(known.segments) > sliced
        )
        samples.add_one(POLL_INTERVAL, (), self._settings.mlflow_poll_interval_seconds)
        samples.add_one(EVALUATION_INTERVAL, (), self._settings.evaluation_interval_seconds)
        for window in self._settings.windows:
            samples.add_one(WINDOW, (window.name,), window.seconds)
        samples.add_one(DROPPED_SERIES, (), sum(each.series for each in dropped))
        others = MetricsPage((*samples.families(), *(runs or ())), tuple(own), dropped)
        samples.add_one(SERIES, (), others.series + 1)
        return MetricsPage((*samples.families(), *(runs or ())), tuple(own), dropped)

    def _add(
        self,
        samples: Samples,
        view: VersionView,
        prefixes: VersionPrefixes,
        used: dict[tuple[str, str, str], VersionPrefixes],
        now: float,
        sliced: int,
        shown: int,
    ) -> None:
        add_version(samples, view, prefixes)
        add_serving(samples, view)
        add_evidently_values(samples, view)
        add_bins(samples, view, prefixes, shown)
        evaluation = view.evaluation
        if evaluation is not None and evaluation.at >= self._oldest(now):
            reference, names = evaluation.reference, self._settings.bin_names
            known = self._prefixes_of(view, reference, used)
            add_evaluation(samples, evaluation, known)
            add_importance(samples, view, known, now)
            add_quality(samples, view, reference)
            add_bad(samples, view, reference)
            version = (view.model, view.version)
            add_segments(samples, version, reference, view.segments[:sliced], names=names)

    def _oldest(self, now: float) -> float:
        return now - _MISSED_EVALUATIONS * self._settings.evaluation_interval_seconds

    def _prefixes_of(
        self,
        view: VersionView,
        reference: Reference | None,
        used: dict[tuple[str, str, str], VersionPrefixes],
    ) -> VersionPrefixes:
        key = (view.model, view.version, reference.digest if reference is not None else "")
        if key not in used:
            used[key] = self._prefixes.get(key) or VersionPrefixes(
                view.model, view.version, reference, bin_names=self._settings.bin_names
            )
        return used[key]

    def _fit(
        self, views: Sequence[VersionView], prefixes: Sequence[VersionPrefixes], own: int
    ) -> tuple[int, int]:
        """Numbers of segments of each version, and of columns with bins, that fit into the limit.

        `own` series are the exporter's. All other series that a version may ever have are set aside first,
        present or not: else counters would come and go with verdicts.
        """
        settings = self._settings
        windows, distances = tuple(settings.windows), len(settings.drift_distances)
        budget = settings.max_series - own - len(PAGE_CATALOG)
        for view, known in zip(views, prefixes, strict=True):
            classes = len(known.reference.classes) if known.reference is not None else 0
            budget -= count_version_series(len(view.aliases), len(view.run_metrics))
            budget -= count_habit_series(len(view.aliases))
            budget -= count_evidently_series(view)
            budget -= count_serving_series(view.processes)
            budget -= count_column_series(len(known.columns), windows, distances)
            budget -= count_importance_series(len(known.columns), len(windows))
            budget -= count_quality_series(len(windows), classes)
            budget -= count_bad_series(len(known.columns), windows)

        costs = np.zeros(max((len(known.segments) for known in prefixes), default=0), np.int64)
        for known in prefixes:
            costs[: len(known.segments)] += count_segment_series(len(windows), len(known.columns))
        sliced = int(np.searchsorted(np.cumsum(costs), budget, side="right"))
        budget -= int(costs[:sliced].sum())

        costs = np.zeros(max((len(known.columns) for known in prefixes), default=0), np.int64)
        for known in prefixes:
            costs[known.ranks] += len(BINS) * known.sizes
        return sliced, int(np.searchsorted(np.cumsum(costs), budget, side="right"))

    def _drop(self, prefixes: VersionPrefixes, shown: int, sliced: int) -> DroppedSeries:
        """Series that are left out where `shown` columns, by rank, show bins, and `sliced` segments do."""
        hidden = np.flatnonzero(prefixes.ranks >= shown)
        segments = tuple(segment.name for segment in prefixes.segments[sliced:])
        of_segment = count_segment_series(len(self._settings.windows), len(prefixes.columns))
        return DroppedSeries(
            *prefixes.version,
            columns=tuple(prefixes.columns[index].name for index in hidden),
            series=len(BINS) * int(prefixes.sizes[hidden].sum()) + len(segments) * of_segment,
            segments=segments,
        )
