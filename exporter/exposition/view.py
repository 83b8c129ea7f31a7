"""Immutable snapshot of a version, from which its series are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.aggregates.outcomes import LABEL_DELAY_BOUNDS
from exporter.aggregates.state import VersionCounts
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.importance import AttributionDrift, Importance
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.evaluation.segments import SegmentEvaluation
from exporter.fleet import BadVerdict, Fleet, ReportedValues, Status, Version
from exporter.reference.profile import Reference
from exporter.serving_processes import ServingProcess
from exporter.storage.sampled_rows import SampleSize
from exporter.typing import Ints


@dataclass(frozen=True)
class VersionView:
    """State of one monitored version at one moment.

    Counters are of this process since its start: `values` (cells,) in the layout of `reference`, empty
    without one; `latency` (len(LATENCY_BOUNDS) + 1,) and `label_delay` (len(LABEL_DELAY_BOUNDS) + 1,) by
    bucket, not cumulative, their sums in seconds. `run_metrics` are the source run's. `created`,
    `last_prediction` and `alias_changes` are in seconds since the epoch.

    Raises:
        ValueError: a counter does not have the length of its layout.
    """

    model: str
    version: str
    aliases: tuple[str, ...] = ()
    team: str = ""
    run_id: str = ""
    created: float | None = None
    task: str = ""
    reference: Reference | None = None
    reference_source: str = "none"
    evaluation: Evaluation | None = None
    run_metrics: Mapping[str, float] = field(default_factory=dict)
    predictions_total: int = 0
    values: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    latency: Ints = field(default_factory=lambda: np.zeros(len(LATENCY_BOUNDS) + 1, np.int64))
    latency_sum: float = 0.0
    last_prediction: float | None = None
    first_prediction: float | None = None
    first_label: float | None = None
    quality: tuple[QualityEvaluation, ...] = ()
    maturation_seconds: float = 0.0
    labels_total: int = 0
    label_delay: Ints = field(default_factory=lambda: np.zeros(len(LABEL_DELAY_BOUNDS) + 1, np.int64))
    label_delay_sum: float = 0.0
    alias_changes: Mapping[str, float] = field(default_factory=dict)
    segments: tuple[SegmentEvaluation, ...] = ()
    bad: Mapping[tuple[str, str, str, str], BadVerdict] = field(default_factory=dict)
    importance: Importance | None = None
    drift_importance: Mapping[str, float] = field(default_factory=dict)
    attribution: AttributionDrift | None = None
    reported: ReportedValues | None = None
    sample: SampleSize | None = None
    processes: tuple[ServingProcess, ...] = ()
    missing_partitions: int | None = None

    def __post_init__(self) -> None:
        cells = self.reference.cells if self.reference is not None else 0
        if self.values.shape != (cells,) or self.latency.shape != (len(LATENCY_BOUNDS) + 1,):
            raise ValueError(
                f"{self.model} {self.version}: values {self.values.shape} for {cells} cells, "
                f"latency {self.latency.shape}"
            )

    @property
    def variation(self) -> str:
        """Source of natural variation: `reference`, `live`, `none` (provisional verdicts) or `unknown`."""
        if self.reference is None:
            return "unknown"
        if not self.reference.provisional:
            return "reference"
        current = self.evaluation is not None and self.evaluation.reference is self.reference
        return self.evaluation.variation if current and self.evaluation is not None else "none"


def _first(start: float) -> float | None:
    return start if start < inf else None


def _first_label(counts: VersionCounts) -> float | None:
    """Start of the first hour with labels; outcomes count predictions without labels as well."""
    layout, outcomes = counts.layout, dict(counts.outcomes)
    if layout is None:
        return None
    labelled = (hour for hour in sorted(outcomes) if outcomes[hour].counts[: layout.traffic_start].any())
    return next(labelled, None)


def version_view(version: Version, fleet: Fleet, processes: tuple[ServingProcess, ...] = ()) -> VersionView:
    """The state of a version at this moment, and the processes that serve it."""
    live, findings, missing = version.live, version.findings, version.missing_partitions
    counts = live.counts
    reference = counts.reference if counts is not None else None
    lack = "collecting" if version.status is Status.COLLECTING else "none"
    return VersionView(
        model=version.model,
        version=version.version,
        aliases=version.aliases,
        team=version.facts.team,
        run_id=version.facts.run_id,
        created=version.created_ms / 1000,
        task=reference.task if reference is not None else "",
        reference=reference,
        reference_source=reference.source if reference is not None else lack,
        evaluation=findings.evaluation if findings is not None else None,
        run_metrics=version.run_metrics,
        predictions_total=live.totals.predictions,
        values=live.totals.values,
        latency=live.totals.latency,
        latency_sum=live.totals.latency_sum,
        last_prediction=version.last_prediction,
        first_prediction=_first(counts.timeline.oldest()) if counts is not None else None,
        first_label=_first_label(counts) if counts is not None else None,
        quality=findings.quality if findings is not None else (),
        segments=findings.segments if findings is not None else (),
        bad=(findings.bad or {}) if findings is not None else {},
        maturation_seconds=version.facts.config.maturation,
        labels_total=live.totals.labels,
        label_delay=live.totals.label_delay,
        label_delay_sum=live.totals.label_delay_sum,
        alias_changes=fleet.alias_changes(version.model),
        importance=version.importance,
        drift_importance=findings.drift_importance if findings is not None else {},
        attribution=version.attribution,
        reported=version.reported,
        sample=fleet.sample_sizes.get(version.key),
        processes=processes,
        missing_partitions=len(missing) if missing is not None else None,
    )
