"""Inputs of an evaluation besides the version's counts and reference: time, windows, the owner's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from exporter.aggregates.timeline import Timeline, WindowSum
from exporter.config.models import ModelConfig
from exporter.measures.design_effect import design_effect
from exporter.reference.bins import BinLayout
from exporter.settings import Window
from exporter.typing import Floats

if TYPE_CHECKING:
    from exporter.evaluation.drift import Evaluation


@dataclass(frozen=True)
class Thresholds:
    """PSI beyond limit that counts as drift, for all columns and by column name."""

    drift: float = 0.1
    drift_by_column: Mapping[str, float] = field(default_factory=dict)

    def by_column(self, layout: BinLayout) -> Floats:
        """(columns,) threshold of each column."""
        return np.array([self.drift_by_column.get(c.name, self.drift) for c in layout.columns])


@dataclass(frozen=True)
class QualityRules:
    """Rules of a model's owner for model quality.

    `maturation_seconds`: how long labels take; 0 counts what has come. There is no verdict on less than
    `min_labels`, `min_positives` or the coverage `min_coverage`. `tolerances` and `baselines` by metric, in
    its own unit. `prevalence`: the true share of positives, where the reference was resampled.
    """

    maturation_seconds: float = 0.0
    min_labels: int = 200
    min_positives: int = 30
    min_coverage: float = 0.8
    tolerances: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    prevalence: float | None = None

    @classmethod
    def of(cls, config: ModelConfig) -> QualityRules:
        """Rules of a model's configuration."""
        return cls(
            maturation_seconds=config.maturation,
            min_labels=config.minimums.labels,
            min_positives=config.minimums.positives,
            min_coverage=config.minimums.coverage,
            tolerances={str(metric): value for metric, value in config.tolerances.items()},
            baselines={str(metric): value for metric, value in config.baselines.items()},
            prevalence=config.prevalence,
        )


@dataclass(frozen=True)
class EvaluationContext:
    """Inputs of one evaluation of a version, shared by its drift, quality and segments.

    `windows` end at `now` (seconds since the epoch), the shortest comes first. `distances` are optional ones
    to compute, by name. `effects` are rows per independent row, at least 1, for all windows and columns or as
    (windows, columns). `before` is the version's last evaluation: drift that it reported ends later than it
    began, and what it learned of the past is taken over while it is valid.
    """

    windows: tuple[Window, ...]
    now: float
    thresholds: Thresholds = field(default_factory=Thresholds)
    rules: QualityRules = field(default_factory=QualityRules)
    distances: tuple[str, ...] = ()
    effects: Floats | float = 1.0
    before: Evaluation | None = None

    def effects_of(self, layout: BinLayout) -> Floats:
        """(windows, columns) rows per independent row."""
        return np.broadcast_to(self.effects, (len(self.windows), len(layout.columns)))

    def with_effects(self, layout: BinLayout, timeline: Timeline) -> EvaluationContext:
        """The context with the effects that each window's fine blocks show.

        Windows longer than fine blocks are kept take the effects of the next shorter one.
        """
        settings = timeline.settings
        effects: list[Floats] = []
        for window in self.windows:
            if effects and window.seconds > settings.fine_retention_seconds:
                effects.append(effects[-1])
                continue
            starts, counts = timeline.fine_counts(self.now - window.seconds, inf)
            effects.append(design_effect(counts, starts // settings.coarse_seconds, layout.cell_layout))
        return replace(self, effects=np.stack(effects))


@dataclass(frozen=True)
class WindowSums:
    """Counts in each window (`current`) and in the one before it, of the same length (`previous`).

    `age_seconds` is the age of the oldest row: a version that is younger than a window fills a part of it.
    """

    current: tuple[WindowSum, ...]
    previous: tuple[WindowSum, ...]
    age_seconds: float = inf

    @classmethod
    def of(cls, layout: BinLayout, timeline: Timeline, context: EvaluationContext) -> WindowSums:
        """Sums of a timeline's blocks; the timeline is a snapshot, which no other thread writes to."""
        size, now = (layout.cells, len(layout.columns)), context.now
        return cls(
            current=tuple(timeline.sum(*size, now - w.seconds, inf) for w in context.windows),
            previous=tuple(
                timeline.sum(*size, now - 2 * w.seconds, now - w.seconds) for w in context.windows
            ),
            age_seconds=now - timeline.oldest(),
        )
