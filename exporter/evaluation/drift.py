"""Evaluation of a version: drift, change and data quality of every column in every window. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from exporter.aggregates.timeline import Timeline, WindowSum
from exporter.evaluation.change import ChangeEvaluation, RecentPast, find_past, judge_change
from exporter.evaluation.comparison import DRIFTED, UNDECIDED, compare, explain, judge
from exporter.evaluation.context import EvaluationContext, WindowSums
from exporter.evaluation.data_quality import QualityCheck, check_quality
from exporter.evaluation.live_variation import LiveVariation, allowed_drift, learn_variation
from exporter.measures import distances as distance
from exporter.measures.psi import shares
from exporter.measures.significance import adjusted_significance
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class WindowEvaluation:
    """One window. All arrays are (columns,), in the reference's order; NaN where there is no figure.

    `rows_by_column` are the rows with a value (neither missing nor mismatched), `effective_rows` are these
    divided by the design effect. `drift_limit` is threshold + sampling floor + natural variation. `verdict`
    is DRIFTED, STABLE or UNDECIDED; `undecided` is the reason, empty where there is a verdict, and
    `undecided_codes` are their codes as in `Undecided`. `distances` are by method.
    """

    window: Window
    rows: int
    rows_by_column: Ints
    effective_rows: Floats
    drift_score: Floats
    drift_limit: Floats
    drift_significance: Floats
    verdict: npt.NDArray[np.int8]
    undecided: tuple[str, ...]
    undecided_codes: tuple[str, ...] = ()
    distances: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Drift, change and data quality of one version at `at` (seconds since the epoch).

    `changes` are of the windows that can be compared with `past`, the weeks before them. `live` is natural
    variation learned from live rows, None if the reference has its own.
    """

    at: float
    reference: Reference
    windows: tuple[WindowEvaluation, ...]
    checks: tuple[QualityCheck, ...]
    changes: tuple[ChangeEvaluation, ...] = ()
    past: RecentPast | None = None
    live: LiveVariation | None = None

    @property
    def variation(self) -> str:
        """Source of natural variation: `reference`, `live`, or `none`, which makes verdicts provisional."""
        if not self.reference.provisional:
            return "reference"
        return "live" if self.live is not None and self.live.learned.any() else "none"


def evaluate(reference: Reference, timeline: Timeline, context: EvaluationContext) -> Evaluation:
    """Measure and judge every column in every window of the context.

    A window and the one before it, of the same length, are compared with the reference; drift that is not
    gross has to be in both. The time taken depends on the number of columns, bins and blocks, not on traffic.

    Args:
        reference: the version's.
        timeline: its blocks, a snapshot that no other thread writes to.
        context: with the effects that the timeline shows.
    """
    sums = WindowSums.of(reference, timeline, context)
    live = learn_variation(reference, timeline, context) if reference.provisional else None
    past = find_past(reference, timeline, context)
    windows = tuple(
        replace(each, distances=_distances(reference, counted, context.distances))
        for each, counted in zip(judge_drift(reference, sums, context, live), sums.current, strict=True)
    )
    checks = check_quality(reference, sums.current, context)
    changes = judge_change(past, timeline, sums, context)
    return Evaluation(context.now, reference, windows, checks, changes, past, live)


def judge_drift(
    reference: Reference, sums: WindowSums, context: EvaluationContext, live: LiveVariation | None = None
) -> tuple[WindowEvaluation, ...]:
    """Measure and judge the drift of each window, without distances.

    Args:
        reference: of all columns that are judged together.
        sums: counts in the windows of the context.
        context: see `EvaluationContext`.
        live: natural variation learned since, where the reference has none of its own.
    """
    windows, age = context.windows, sums.age_seconds
    threshold, effects = context.thresholds.by_column(reference), context.effects_of(reference)
    natural = np.stack([allowed_drift(reference, windows, w, age, live) for w in windows])
    then_natural = np.stack([allowed_drift(reference, windows, w, age - w.seconds, live) for w in windows])

    judged = np.array([not column.unjudged for column in reference.columns])
    now_drift = compare(reference.cell_layout, reference.counts, _counts(sums.current), effects)
    then_drift = compare(reference.cell_layout, reference.counts, _counts(sums.previous), effects)
    significance = adjusted_significance(np.where(judged, now_drift.p, np.nan))
    limit, then_limit = threshold + natural, threshold + then_natural
    held = _reported(reference, context)
    verdict = judge(now_drift, then_drift, limit, significance, then_limit, held)
    verdict[:, ~judged] = UNDECIDED
    unjudged = [column.unjudged for column in reference.columns]
    undecided = explain(now_drift, limit, significance, verdict, unjudged)

    return tuple(
        WindowEvaluation(
            window=window,
            rows=sums.current[i].rows,
            rows_by_column=now_drift.rows[i].astype(np.int64),
            effective_rows=now_drift.effective[i],
            drift_score=now_drift.score[i],
            drift_limit=limit[i] + now_drift.floor[i],
            drift_significance=significance[i],
            verdict=verdict[i],
            undecided=tuple(each.text for each in undecided[i]),
            undecided_codes=tuple(each.code for each in undecided[i]),
        )
        for i, window in enumerate(windows)
    )


def _reported(reference: Reference, context: EvaluationContext) -> Bools | None:
    """(windows, columns) drift that the evaluation before reported; None without one."""
    before = context.before
    if before is None or before.reference is not reference:
        return None
    if tuple(each.window for each in before.windows) != context.windows:
        return None
    return np.stack([each.verdict == DRIFTED for each in before.windows])


def _counts(sums: Sequence[WindowSum]) -> Ints:
    """(windows, cells)"""
    return np.stack([window.counts for window in sums])


def _distances(reference: Reference, window: WindowSum, names: tuple[str, ...]) -> dict[str, Floats]:
    if not names:
        return {}
    layout = reference.cell_layout
    q = shares(layout.pad(window.counts), layout.mask, pseudo_count=0.0)
    p = shares(layout.pad(reference.counts), layout.mask, pseudo_count=0.0)
    measures: dict[str, Callable[[], Floats]] = {
        "jensen_shannon": lambda: distance.jensen_shannon(q, p),
        "total_variation": lambda: distance.total_variation(q, p),
        "ks": lambda: distance.ks(q, p, layout.ordered),
        "mean_shift": lambda: distance.mean_shift(window.moments, reference.moments),
    }
    return {name: measures[name]() for name in names}
