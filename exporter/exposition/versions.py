"""What monitored versions show: their state -> families of samples. No I/O, no arithmetic of its own.

    mlflow_model_predictions_total{model="fraud",model_version="3"} 1204
    mlflow_model_drift_score{model="fraud",model_version="3",column="age",role="feature",window="1h"} 0.31
    mlflow_model_drift_detected{model="fraud",model_version="3",column="age",role="feature",window="1h"} 1
    mlflow_model_values_total{model="fraud",model_version="3",column="age",role="feature",bin="00 < 18"} 0

No data, no series: what is not known is absent, never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.aggregates.outcomes import LABEL_DELAY_BOUNDS
from exporter.evaluation.change import is_compared
from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.evaluation.segments import SegmentEvaluation
from exporter.exposition.catalog import BY_NAME, CATALOG
from exporter.exposition.quality import count_quality_series, quality_samples
from exporter.exposition.render import Family, histogram_prefixes, histogram_values, render_prefix
from exporter.exposition.segments import count_segment_series, segment_samples
from exporter.exposition.telemetry import Telemetry
from exporter.reference.bins import Column
from exporter.reference.profile import Reference, Segment
from exporter.settings import Settings
from exporter.typing import Bools, Floats, Ints

_MISSED_EVALUATIONS = 5
_ROLES = ("feature", "prediction", "score")
_VERDICTS = {"drifted": DRIFTED, "stable": STABLE, "undecided": UNDECIDED}
_FAMILIES_OF_BINS = 2  # the counter and the reference's share
_CHECKS_PER_COLUMN = 4


def _no_cells() -> Ints:
    return np.empty(0, np.int64)


def _no_latency() -> Ints:
    return np.zeros(len(LATENCY_BOUNDS) + 1, np.int64)


@dataclass(frozen=True)
class VersionView:
    """What one monitored version shows, at one moment.

    Counters are of this process since its start: `values` (cells,) in the layout of `reference` (empty
    without one), `latency` (len(LATENCY_BOUNDS) + 1,) not cumulative, `latency_sum` in seconds.
    `last_prediction` is in seconds since the epoch. `run_metrics` are those of the source run.

    Raises:
        ValueError: a counter does not have its layout's length.
    """

    model: str
    version: str
    aliases: tuple[str, ...] = ()
    team: str = ""
    run_id: str = ""
    task: str = ""
    reference: Reference | None = None
    reference_source: str = "none"
    evaluation: Evaluation | None = None
    run_metrics: Mapping[str, float] = field(default_factory=dict)
    predictions_total: int = 0
    values: Ints = field(default_factory=_no_cells)
    latency: Ints = field(default_factory=_no_latency)
    latency_sum: float = 0.0
    last_prediction: float | None = None
    quality: tuple[QualityEvaluation, ...] = ()
    maturation_seconds: float = 0.0
    labels_total: int = 0
    label_delay: Ints = field(default_factory=lambda: np.zeros(len(LABEL_DELAY_BOUNDS) + 1, np.int64))
    label_delay_sum: float = 0.0
    alias_changes: Mapping[str, float] = field(default_factory=dict)
    segments: tuple[SegmentEvaluation, ...] = ()

    def __post_init__(self) -> None:
        cells = self.reference.cells if self.reference is not None else 0
        if self.values.shape != (cells,) or self.latency.shape != (len(LATENCY_BOUNDS) + 1,):
            raise ValueError(
                f"{self.model} {self.version}: values {self.values.shape} for {cells} cells, "
                f"latency {self.latency.shape}"
            )


@dataclass(frozen=True)
class CutBins:
    """Columns of a version whose bins are left out, its segments that are, and how many series that saves."""

    model: str
    version: str
    columns: tuple[str, ...]
    series: int
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Collection:
    """All families, in the catalogue's order, and what the limit on series left out."""

    families: tuple[Family, ...]
    cut: tuple[CutBins, ...]


class SeriesCollector:
    """Turns views into families, and keeps the rendered labels of the versions that it saw last."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._prefixes: dict[tuple[str, str, str], _VersionPrefixes] = {}

    def collect(
        self, views: Sequence[VersionView], now: float, runs: Sequence[Family] | None = None
    ) -> Collection:
        """Everything that is shown at `now` (seconds since the epoch). Several threads may call it.

        `runs` are the families of MLflow's own runs, None where they are switched off.

        Measures of an evaluation that is more than five intervals old are left out: a hung monitor must not
        freeze them. Above `max_series` bins are left out, of whole columns, the last features first, so that
        every version shows those of equally many; then segments in the same way, the last ones first.
        """
        used: dict[tuple[str, str, str], _VersionPrefixes] = {}
        own = self._telemetry.families((view.model, view.version) for view in views)
        prefixes = [self._prefixes_of(view, view.reference, used) for view in views]
        set_aside = sum(len(family.prefixes) for family in own)
        if runs is not None:  # whatever they show now: bins must not come and go with them
            set_aside += self._settings.max_run_series + 1
            own += runs
        sliced, shown = self._count_shown(views, prefixes, set_aside)
        oldest = now - _MISSED_EVALUATIONS * self._settings.evaluation_interval_seconds

        samples = _Samples()
        for view, known in zip(views, prefixes, strict=True):
            _add_facts(samples, view)
            _add_counters(samples, view, known)
            _add_bins(samples, view, known, shown)
            if view.evaluation is not None and view.evaluation.at >= oldest:
                evaluated = self._prefixes_of(view, view.evaluation.reference, used)
                _add_evaluation(samples, view.evaluation, evaluated)
                _add_quality(samples, view, view.evaluation.reference)
                version, names = (view.model, view.version), self._settings.bin_names
                evaluations, reference = view.segments[:sliced], view.evaluation.reference
                for name, labels, value in segment_samples(version, reference, evaluations, names=names):
                    samples.add_one(name, labels, value)
        self._prefixes = used

        windows = len(self._settings.windows)
        cut = tuple(
            known.cut(shown, sliced, windows)
            for known in prefixes
            if len(known.columns) > shown or len(known.segments) > sliced
        )
        for name, interval in (
            ("mlflow_exporter_poll_interval_seconds", self._settings.mlflow_poll_interval_seconds),
            ("mlflow_exporter_evaluation_interval_seconds", self._settings.evaluation_interval_seconds),
        ):
            samples.add_one(name, (), interval)
        samples.add_one("mlflow_exporter_dropped_series", (), sum(bins.series for bins in cut))
        others = sum(len(family.prefixes) for family in (*samples.families(), *own))
        samples.add_one("mlflow_exporter_series", (), others + 1)
        families = {f.metric.name: f for f in (*samples.families(), *own) if f.prefixes}
        return Collection(tuple(families[m.name] for m in CATALOG if m.name in families), cut)

    def _prefixes_of(
        self,
        view: VersionView,
        reference: Reference | None,
        used: dict[tuple[str, str, str], _VersionPrefixes],
    ) -> _VersionPrefixes:
        key = (view.model, view.version, reference.digest if reference is not None else "")
        if key not in used:
            used[key] = self._prefixes.get(key) or _VersionPrefixes(
                view.model, view.version, reference, bin_names=self._settings.bin_names
            )
        return used[key]

    def _count_shown(
        self, views: Sequence[VersionView], prefixes: Sequence[_VersionPrefixes], own: int
    ) -> tuple[int, int]:
        """How many segments of each version may be shown, and how many columns may show their bins.

        `own` series are the exporter's.

        What else a version may ever show is set aside first, whether it is there or not: with what is
        there, a verdict that comes and goes would make counters come and go.
        """
        windows, distances = len(self._settings.windows), len(self._settings.drift_distances)
        compared = sum(is_compared(window) for window in self._settings.windows)
        by_column = windows * (4 + distances) + 4 * compared + 4 * _CHECKS_PER_COLUMN
        by_version = windows * (1 + len(_ROLES) * len(_VERDICTS)) + 4 + 4
        by_version += len(LATENCY_BOUNDS) + len(LABEL_DELAY_BOUNDS) + 4
        classes = (len(view.reference.classes) if view.reference is not None else 0 for view in views)
        budget_of_quality = sum(count_quality_series(windows, number) for number in classes)
        budget = self._settings.max_series - own - 4 - budget_of_quality
        budget -= sum(by_version + 3 * len(view.aliases) + len(view.run_metrics) for view in views)
        budget -= by_column * sum(len(known.columns) for known in prefixes)

        costs = np.zeros(max((len(known.segments) for known in prefixes), default=0), np.int64)
        for known in prefixes:
            if known.reference is not None:
                costs[: len(known.segments)] += count_segment_series(windows, known.reference)
        sliced = int(np.searchsorted(np.cumsum(costs), budget, side="right"))
        budget -= int(costs[:sliced].sum())

        costs = np.zeros(max((len(known.columns) for known in prefixes), default=0), np.int64)
        for known in prefixes:
            costs[known.ranks] += _FAMILIES_OF_BINS * known.sizes
        return sliced, int(np.searchsorted(np.cumsum(costs), budget, side="right"))


def _add_facts(samples: _Samples, view: VersionView) -> None:
    version = (view.model, view.version)
    reference = view.reference
    digest = reference.digest if reference is not None else ""
    variation = "unknown" if reference is None else "none" if reference.provisional else "reference"
    if variation == "none" and view.evaluation is not None and view.evaluation.reference is reference:
        variation = view.evaluation.variation
    info = (*version, view.run_id, view.task, view.reference_source, digest, variation)
    samples.add_one("mlflow_model_version_info", info, 1)
    if reference is not None:
        samples.add_one("mlflow_model_reference_rows", version, reference.rows)
    for alias in view.aliases:
        samples.add_one("mlflow_model_alias_info", (*version, alias, view.team), 1)
        if view.version.isdecimal():
            samples.add_one("mlflow_model_alias_version", (view.model, alias), int(view.version))
        if alias in view.alias_changes:
            at = view.alias_changes[alias]
            samples.add_one("mlflow_model_alias_changed_timestamp_seconds", (view.model, alias), at)
    for name, value in view.run_metrics.items():
        if not np.isnan(value):
            samples.add_one("mlflow_model_version_metric", (*version, name), value)
    if view.last_prediction is not None:
        samples.add_one("mlflow_model_last_prediction_timestamp_seconds", version, view.last_prediction)
    if view.evaluation is not None:
        # Also of an old evaluation: it is how one sees that it is old.
        at = view.evaluation.at
        samples.add_one("mlflow_exporter_last_evaluation_timestamp_seconds", version, at)


def _add_counters(samples: _Samples, view: VersionView, prefixes: _VersionPrefixes) -> None:
    name = "mlflow_model_predictions_total"
    samples.add(name, prefixes.of_version(name), [view.predictions_total])
    values = histogram_values(view.latency.tolist(), view.latency_sum)
    samples.add("mlflow_model_latency_seconds", prefixes.of_latency, values)
    name = "mlflow_model_labels_total"
    samples.add(name, prefixes.of_version(name), [view.labels_total])
    values = histogram_values(view.label_delay.tolist(), view.label_delay_sum)
    samples.add("mlflow_model_label_delay_seconds", prefixes.of_label_delay, values)


def _add_bins(samples: _Samples, view: VersionView, prefixes: _VersionPrefixes, shown: int) -> None:
    visible = np.repeat(prefixes.ranks < shown, prefixes.sizes)
    for name, values in (
        ("mlflow_model_values_total", view.values),
        ("mlflow_model_reference_ratio", prefixes.reference_ratios),
    ):
        samples.add_known(name, prefixes.of_bins(name), values, visible & np.isfinite(values))


def _add_evaluation(samples: _Samples, evaluation: Evaluation, prefixes: _VersionPrefixes) -> None:
    for found in evaluation.windows:
        window = found.window.name
        name = "mlflow_model_window_rows"
        samples.add(name, prefixes.of_version(name, window), [found.rows])
        for name, values in (
            ("mlflow_model_drift_score", found.drift_score),
            ("mlflow_model_drift_limit", found.drift_limit),
            ("mlflow_model_drift_significance", found.drift_significance),
        ):
            samples.add_known(name, prefixes.of_columns(name, window), values, np.isfinite(values))
        for method, values in found.distances.items():
            name = "mlflow_model_drift_distance"
            samples.add_known(name, prefixes.of_columns(name, window, method), values, np.isfinite(values))
        name = "mlflow_model_drift_detected"
        detected = (found.verdict == DRIFTED).astype(np.int64)
        samples.add_known(name, prefixes.of_columns(name, window), detected, found.verdict != UNDECIDED)
        name = "mlflow_model_columns"
        for role, judged in prefixes.judged_by_role.items():
            for verdict, code in _VERDICTS.items():
                count = int((found.verdict[judged] == code).sum())
                samples.add(name, prefixes.of_version(name, role, window, verdict), [count])
    for change in evaluation.changes:
        window = change.window.name
        for name, values in (
            ("mlflow_model_change_score", change.score),
            ("mlflow_model_change_limit", change.limit),
            ("mlflow_model_change_significance", change.significance),
        ):
            samples.add_known(name, prefixes.of_columns(name, window), values, np.isfinite(values))
        name = "mlflow_model_change_detected"
        detected = (change.verdict == DRIFTED).astype(np.int64)
        samples.add_known(name, prefixes.of_columns(name, window), detected, change.verdict != UNDECIDED)
    for check in evaluation.checks:
        for name, value in (
            ("mlflow_model_data_quality_ratio", check.ratio),
            ("mlflow_model_data_quality_reference_ratio", check.reference_ratio),
            ("mlflow_model_data_quality_degraded", check.degraded),
            ("mlflow_model_data_quality_window_seconds", check.window.seconds),
        ):
            if value is not None and np.isfinite(value):
                samples.add(name, [prefixes.of_columns(name, check.check)[check.column]], [value])


def _add_quality(samples: _Samples, view: VersionView, reference: Reference) -> None:
    version = (view.model, view.version)
    label = reference.labels.columns[0] if reference.labels is not None else None
    for name, labels, value in quality_samples(version, view.quality, label):
        samples.add_one(name, labels, value)
    if view.quality:
        samples.add_one("mlflow_model_label_maturation_seconds", version, view.maturation_seconds)


class _Samples:
    """Samples by metric."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[list[str], list[float]]] = {}

    def add(self, name: str, prefixes: Iterable[str], values: Iterable[float]) -> None:
        kept_prefixes, kept_values = self._samples.setdefault(name, ([], []))
        kept_prefixes.extend(prefixes)
        kept_values.extend(values)

    def add_one(self, name: str, labels: tuple[str, ...], value: float) -> None:
        self.add(name, [render_prefix(BY_NAME[name], labels)], [value])

    def add_known(self, name: str, prefixes: Sequence[str], values: Floats | Ints, known: Bools) -> None:
        """Those samples that are `known`."""
        if known.all():
            self.add(name, prefixes, values.tolist())
        else:
            self.add(name, compress(prefixes, known), values[known].tolist())

    def families(self) -> list[Family]:
        return [Family(BY_NAME[name], *samples) for name, samples in self._samples.items()]


class _VersionPrefixes:
    """Rendered prefixes of one version against one reference, each made when it is first asked for.

    `sizes`, `ranks` (columns,): cells of a column, and its place when bins are left out, the outputs first.
    """

    def __init__(self, model: str, version: str, reference: Reference | None, *, bin_names: bool) -> None:
        self._version = (model, version)
        self._bin_names = bin_names
        self._rendered: dict[tuple[str, ...], list[str]] = {}
        self.reference = reference
        self.segments: tuple[Segment, ...] = reference.segments if reference is not None else ()
        self.columns: tuple[Column, ...] = reference.columns if reference is not None else ()
        self.sizes = np.array([column.cells for column in self.columns], np.int64)
        order = sorted(range(len(self.columns)), key=lambda index: self.columns[index].role == "feature")
        self.ranks = np.argsort(np.array(order, np.int64))
        self.reference_ratios = np.empty(0)
        if reference is not None:
            totals = np.add.reduceat(reference.counts, reference.offsets[:-1])
            with np.errstate(invalid="ignore"):  # a column that the reference has no rows of has no shares
                self.reference_ratios = reference.counts / np.repeat(totals, self.sizes)
        self.judged_by_role = {
            role: np.array([c.role == role and not c.unjudged for c in self.columns])
            for role in _ROLES
            if any(c.role == role for c in self.columns)
        }

    def of_version(self, name: str, *labels: str) -> list[str]:
        """(1,), `labels` being those after model and version."""
        return self._render(name, [()], labels)

    def of_columns(self, name: str, *labels: str) -> list[str]:
        """(columns,), `labels` being those after column and role."""
        return self._render(name, [(column.name, column.role) for column in self.columns], labels)

    def of_bins(self, name: str) -> list[str]:
        """(cells,)"""
        return self._render(name, self._bins, ())

    @cached_property
    def of_latency(self) -> list[str]:
        """Of the latency histogram."""
        return histogram_prefixes(BY_NAME["mlflow_model_latency_seconds"], self._version, LATENCY_BOUNDS)

    @cached_property
    def of_label_delay(self) -> list[str]:
        """Of the histogram of label delays."""
        name = "mlflow_model_label_delay_seconds"
        return histogram_prefixes(BY_NAME[name], self._version, LABEL_DELAY_BOUNDS)

    @cached_property
    def _bins(self) -> list[tuple[str, ...]]:
        return [
            (column.name, column.role, name if self._bin_names else name.partition(" ")[0])
            for column in self.columns
            for name in column.cell_names
        ]

    def _render(self, name: str, middles: Sequence[tuple[str, ...]], labels: tuple[str, ...]) -> list[str]:
        key = (name, *labels)
        if key not in self._rendered:
            metric = BY_NAME[name]
            self._rendered[key] = [render_prefix(metric, (*self._version, *m, *labels)) for m in middles]
        return self._rendered[key]

    def cut(self, shown: int, sliced: int, windows: int) -> CutBins:
        """What is left out where only the first `shown` columns, by rank, show their bins, and only the first
        `sliced` segments are shown."""
        hidden = np.flatnonzero(self.ranks >= shown)
        names = tuple(self.columns[index].name for index in hidden)
        segments = tuple(segment.name for segment in self.segments[sliced:])
        series = _FAMILIES_OF_BINS * int(self.sizes[hidden].sum())
        if self.reference is not None:
            series += len(segments) * count_segment_series(windows, self.reference)
        return CutBins(*self._version, names, series, segments)
