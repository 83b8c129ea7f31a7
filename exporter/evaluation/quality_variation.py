"""Natural variation of quality between chunks of the reference. Pure.

Some days, such as days of snow, are hard to predict without any fault of the model. The variation between
chunks of the reference is added to the tolerance of later windows of their length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Outcomes, tally
from exporter.evaluation.baselines import shortfall
from exporter.evaluation.estimation import MULTICLASS_METRICS
from exporter.evaluation.figures import measure
from exporter.evaluation.weighting import plain_tables
from exporter.measures.cbpe import ESTIMATED_METRICS, calibrate, expect
from exporter.measures.intervals import Interval, Z, difference
from exporter.measures.natural_variation import MIN_CHUNKS, quality_allowance
from exporter.typing import Ints

# Least labels of a chunk.
MIN_LABELS = 100
# Each takes a millisecond, for every segment, too; more hardly improve a mean.
MAX_QUALITY_CHUNKS = 60
_DRAWS = 50
_SEED = 0


def quality_variation(layout: OutcomeLayout, chunks: Mapping[int, Outcomes]) -> dict[str, float]:
    """Allowances by metric for windows as long as the chunks, in the metric's unit.

    Args:
        layout: of the outcomes.
        chunks: labelled rows of each chunk; at most 60 are used.

    Returns:
        See `quality_allowance`; without metrics that fewer than 14 chunks of 100 labels have.
    """
    listed = _usable(chunks)
    whole = Outcomes.empty(layout)
    for chunk in listed:
        whole += chunk
    found: dict[str, list[Interval]] = defaultdict(list)
    for chunk in listed:
        own = _figures(layout, chunk)
        others = _figures(layout, Outcomes(whole.counts - chunk.counts, whole.sums - chunk.sums))
        for metric in own.keys() & others.keys():
            found[metric].append(_worse(metric, own[metric], others[metric]))
    variation = {}
    for metric, each in sorted(found.items()):
        if len(each) < MIN_CHUNKS:
            continue
        values = np.array([worse.value for worse in each])
        errors = np.array([(worse.upper - worse.lower) / (2 * Z) for worse in each])
        variation[metric] = quality_allowance(values, errors)
        if metric == "bias":  # both directions are bad
            variation[metric] = max(variation[metric], quality_allowance(-values, errors))
    return variation


def estimate_variation(layout: OutcomeLayout, chunks: Mapping[int, Outcomes]) -> dict[str, float]:
    """Allowances by metric for estimates without labels, which vary with the scores alone."""
    listed = _usable(chunks)
    if not listed or not layout.classifies:
        return {}
    tables = np.stack([_histogram(layout, chunk) for chunk in listed]).astype(np.float64)
    calibration = calibrate(tables.sum(axis=0))
    if calibration is None:
        return {}
    rows = tables.sum(axis=1)
    own, others = expect(calibration, rows), expect(calibration, rows.sum(axis=0) - rows)
    noise = np.random.default_rng(_SEED).poisson(rows, (_DRAWS, *rows.shape)).astype(np.float64)
    drawn = expect(calibration, noise)
    variation = {}
    for metric in sorted(ESTIMATED_METRICS if layout.task == "binary" else MULTICLASS_METRICS):
        known = (
            np.isfinite(own[metric]) & np.isfinite(others[metric]) & np.isfinite(drawn[metric]).all(axis=0)
        )
        if known.sum() >= MIN_CHUNKS:
            worse, errors = (others[metric] - own[metric])[known], drawn[metric][:, known].std(axis=0)
            variation[metric] = quality_allowance(worse, errors)
    return variation


def _usable(chunks: Mapping[int, Outcomes]) -> list[Outcomes]:
    """Chunks with enough labels, at most 60 evenly spread ones; none if there are fewer than 14."""
    listed = [chunk for chunk in chunks.values() if int(chunk.counts[0]) >= MIN_LABELS]
    if len(listed) < MIN_CHUNKS:
        return []
    return [
        listed[k] for k in np.unique(np.linspace(0, len(listed) - 1, MAX_QUALITY_CHUNKS).astype(np.int64))
    ]


def _histogram(layout: OutcomeLayout, chunk: Outcomes) -> Ints:
    """(2, 2, bins) labelled rows by label, prediction and score."""
    return tally(layout, [chunk]).histogram


def _worse(metric: str, own: Interval, others: Interval) -> Interval:
    """Interval of how much worse a chunk is than all others, around 0 if they differ by chance only."""
    if metric == "bias":
        return difference(own, others)
    worse = shortfall(metric, own, others)
    if metric == "calibration_error":
        # Corrects for noise, which increases the error by about the width of the upper half interval.
        return worse._replace(value=worse.value - (own.upper - own.value))
    return worse


def _figures(layout: OutcomeLayout, outcomes: Outcomes) -> dict[str, Interval]:
    found = tally(layout, [outcomes])
    return measure(layout, found, plain_tables(found))
