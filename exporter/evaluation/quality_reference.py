"""Baselines, tolerances and estimators of a version's quality, from reference, run and owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout, OutputCells, outcome_layout
from exporter.aggregates.outcomes import Tally, decode_outcomes, tally
from exporter.aggregates.state import VersionCounts
from exporter.errors import StoreError
from exporter.evaluation.baselines import TRAINING_SPLITS, Baseline, choose_baselines, tolerance
from exporter.evaluation.context import QualityRules
from exporter.evaluation.estimation import Estimator, learn
from exporter.evaluation.figures import label_deviation, measure
from exporter.evaluation.weighting import binary_tables, plain_tables
from exporter.measures.intervals import Interval
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Floats

# In default tolerances. If the reference itself varies by more, there is no verdict.
MAX_ALLOWANCE = 10


@dataclass(frozen=True)
class QualityReference:
    """Baselines of a version's quality, and the layouts and the estimator to measure it with.

    `baselines`, `tolerances` and `limits` are by metric, for metrics with a baseline; an allowance beyond its
    limit gives no verdict. `declared` are the metrics whose tolerance the owner set. `estimator` is None if
    quality cannot be estimated without labels, for the reason in `no_estimate`.
    """

    reference: Reference
    layout: OutcomeLayout
    outputs: OutputCells
    baselines: Mapping[str, Baseline]
    tolerances: Mapping[str, float]
    limits: Mapping[str, float]
    declared: frozenset[str]
    estimator: Estimator | None
    no_estimate: str

    def allowance(self, metric: str, window: Window) -> float:
        """Allowance for natural variation, NaN if it is unknown, which makes verdicts provisional.

        It is that of the window, or of the longest shorter window with a known one, since shorter windows
        vary more. An unknown one is 0 for a declared tolerance, which is taken to include natural variation.
        """
        return self._allowance(self.reference.quality_variation, metric, window)

    def estimate_allowance(self, metric: str, window: Window) -> float:
        """Allowance for natural variation of an estimate, as in `allowance`."""
        return self._allowance(self.reference.estimate_variation, metric, window)

    def _allowance(self, variation: Mapping[int, Mapping[str, float]], metric: str, window: Window) -> float:
        known = [s for s, found in variation.items() if s <= window.seconds and metric in found]
        if known:
            return variation[max(known)][metric]
        return 0.0 if metric in self.declared else nan


def quality_reference(
    reference: Reference, rules: QualityRules, run_metrics: Mapping[str, float]
) -> QualityReference | None:
    """Quality reference of a version.

    Args:
        reference: the version's.
        rules: of its owner.
        run_metrics: of its source run, by the run's own names.

    Returns:
        The quality reference; None if the reference has no outcome layout, see `outcome_layout`.
    """
    layout = outcome_layout(reference)
    if layout is None:
        return None
    own = _own_outcomes(reference, layout)
    figures: dict[str, Interval] = {}
    estimator, no_estimate = None, "the reference has no labels that the model was not trained on"
    deviation = nan if layout.classifies else label_deviation(layout, own)
    if own is not None:
        weights = _prevalence_weights(layout, own, rules.prevalence)
        tables = plain_tables(own) if weights is None else binary_tables(layout, own, weights)
        figures = measure(layout, own, tables)
        estimator, no_estimate = learn(layout, tables.histogram)
    baselines = choose_baselines(layout.task, figures, run_metrics, rules.baselines)
    usual = {
        metric: tolerance(metric, baseline.figure.value, deviation) for metric, baseline in baselines.items()
    }
    return QualityReference(
        reference=reference,
        layout=layout,
        outputs=OutputCells.of(layout, reference),
        baselines=baselines,
        tolerances={metric: rules.tolerances.get(metric, usual[metric]) for metric in baselines},
        limits={metric: MAX_ALLOWANCE * usual[metric] for metric in baselines},
        declared=frozenset(rules.tolerances),
        estimator=estimator,
        no_estimate=no_estimate,
    )


def segment_references(reference: Reference, rules: QualityRules) -> dict[str, QualityReference]:
    """Quality references of the segments, by segment name.

    Each is made of the reference's own rows of the segment alone: metrics of a run or of the configuration
    are of all rows. Where they are too few to tell how much their quality varies, it is taken to vary as that
    of all rows. Quality without labels is not estimated for segments.
    """
    own = replace(rules, baselines={})
    reason = "it is not estimated for segments"
    found = {}
    for segment in reference.segments:
        part = segment.reference
        if not part.quality_variation:
            part = replace(part, quality_variation=reference.quality_variation)
        against = quality_reference(part, own, {})
        if against is not None:
            found[segment.name] = replace(against, estimator=None, no_estimate=reason)
    return found


@dataclass(frozen=True)
class VersionQuality:
    """Quality references of a version: of all rows, None if it has none, and of segments by name."""

    whole: QualityReference | None
    segments: Mapping[str, QualityReference]


class QualityReferences:
    """Quality references by version, each kept until an input changes: to calibrate takes milliseconds."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[tuple[object, ...], VersionQuality]] = {}

    def find(
        self,
        version: tuple[str, str],
        counts: VersionCounts,
        rules: QualityRules,
        run_metrics: Mapping[str, float],
    ) -> VersionQuality:
        """Quality references of a version, which is named by its model and number."""
        inputs = (counts.reference_id, rules, run_metrics)
        known, quality = self._kept.get(version, ((), None))
        if quality is None or known != inputs:
            whole = quality_reference(counts.reference, rules, run_metrics)
            quality = VersionQuality(whole, segment_references(counts.reference, rules))
            self._kept[version] = inputs, quality
        return quality

    def keep_only(self, versions: Collection[tuple[str, str]]) -> None:
        """Forget all other versions."""
        self._kept = {version: kept for version, kept in self._kept.items() if version in versions}


def _own_outcomes(reference: Reference, layout: OutcomeLayout) -> Tally | None:
    """Outcomes of the reference's own rows; None if the model was trained on them."""
    if not reference.outcomes or reference.split in TRAINING_SPLITS:
        return None
    try:
        own = tally(layout, [decode_outcomes(layout, reference.outcomes)])
    except StoreError:  # written by another version of the codec
        return None
    return own if own.rows else None


def _prevalence_weights(layout: OutcomeLayout, own: Tally, prevalence: float | None) -> Floats | None:
    """(2, 1, 1) weights by label that change the share of positives to the declared prevalence."""
    positives = int(own.confusion[layout.positive].sum()) if layout.task == "binary" else 0
    if prevalence is None or not 0 < positives < own.rows:
        return None
    share = positives / own.rows
    return np.array([(1 - prevalence) / (1 - share), prevalence / share])[:, None, None]
