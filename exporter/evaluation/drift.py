"""(reference, blocks, now) -> Evaluation: the verdict on every column and window. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import numpy as np
import numpy.typing as npt

from exporter.aggregates.timeline import Timeline, WindowSum
from exporter.evaluation.change import ChangeEvaluation, RecentPast, judge_change, recall
from exporter.evaluation.comparison import DRIFTED, UNDECIDED, compare, explain, judge
from exporter.evaluation.data_quality import QualityCheck, check_quality
from exporter.evaluation.live_variation import LiveVariation, allowed_drift, learn_variation
from exporter.measures import distances as distance
from exporter.measures.design_effect import design_effect
from exporter.measures.psi import shares
from exporter.measures.significance import adjusted_significance
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class Thresholds:
    """What the owner of a model may set: PSI beyond limit that counts, for all columns and by column name."""

    drift: float = 0.1
    drift_by_column: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowEvaluation:
    """One window. All arrays are (columns,), in the reference's order; NaN where there is no figure.

    `rows_by_column` are the rows with a value (neither missing nor mismatched), `effective_rows` those
    divided by the design effect. `drift_limit` is threshold + sampling floor + natural variation. `verdict`
    is DRIFTED, STABLE or UNDECIDED, and `undecided` says why it is that, empty where it is not. `distances`
    by method, only those asked for.
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
    distances: dict[str, Floats]


@dataclass(frozen=True)
class Evaluation:
    """All measures of one version at `at` (seconds since the epoch).

    `changes` are of the windows that can be compared with `past`, the weeks before them. `live` is what these
    taught of natural variation, None where the reference tells it.
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
        """Where natural variation is from: `reference`, `live`, or `none` of them (a provisional verdict)."""
        if not self.reference.provisional:
            return "reference"
        return "live" if self.live is not None and self.live.learned.any() else "none"


def evaluate(
    reference: Reference,
    timeline: Timeline,
    windows: tuple[Window, ...],
    thresholds: Thresholds,
    distances: tuple[str, ...],
    now: float,
    before: Evaluation | None = None,
) -> Evaluation:
    """Measure and judge every column in every window that ends at `now` (seconds since the epoch).

    A window is compared with the reference, and so is the one before it, of the same length, which has to
    confirm what is not gross. All windows go through the measures at once. The work depends on the number of
    columns, bins and blocks, not on traffic.

    Args:
        reference: the version's.
        timeline: its blocks, a snapshot that nobody writes to.
        windows: to evaluate.
        thresholds: of the version's owner.
        distances: optional ones to compute, by name.
        now: the end of the windows.
        before: the version's last evaluation, which may know its past already, and what it has told.
    """
    windows = tuple(sorted(windows))
    size = (reference.cells, len(reference.columns))
    current = [timeline.sum(*size, now - w.seconds, float("inf")) for w in windows]
    previous = [timeline.sum(*size, now - 2 * w.seconds, now - w.seconds) for w in windows]
    effects = _design_effects(reference, timeline, windows, now)
    age = now - timeline.oldest()
    held = _told(reference, windows, before)
    threshold = _thresholds(reference, thresholds)
    live = None
    if reference.provisional:
        known = before.live if before is not None else None
        live = learn_variation(reference, timeline, windows, threshold, now, known)
    evaluations = judge_drift(
        reference, windows, current, previous, effects, thresholds, distances, age, held, live
    )
    checks = check_quality(reference, windows, current, effects)
    past = recall(reference, timeline, windows, effects, now, before.past if before is not None else None)
    changes = judge_change(past, timeline, windows, current, previous, effects, threshold, now)
    return Evaluation(now, reference, evaluations, checks, changes, past, live)


# -- drift --------------------------------------------------------------------------------------------------


def judge_drift(
    reference: Reference,
    windows: tuple[Window, ...],
    current: list[WindowSum],
    previous: list[WindowSum],
    effects: Floats,
    thresholds: Thresholds,
    distances: tuple[str, ...] = (),
    age_seconds: float = inf,
    held: Bools | None = None,
    live: LiveVariation | None = None,
) -> tuple[WindowEvaluation, ...]:
    """Measure and judge what was counted in windows.

    Args:
        reference: of all columns that are judged together.
        windows: their lengths.
        current: what was counted in each.
        previous: the same of the windows before them, which have to confirm what is not gross.
        effects: (windows, columns) rows per independent row.
        thresholds: of the version's owner.
        distances: optional ones to compute, by name.
        age_seconds: of the oldest row. A version that is younger than a window fills a part of it.
        held: (windows, columns) what was called drift at the evaluation before.
        live: natural variation learned since, where the reference has none of its own.
    """
    threshold = _thresholds(reference, thresholds)
    natural = np.stack([allowed_drift(reference, windows, w, age_seconds, live) for w in windows])
    then_natural = np.stack(
        [allowed_drift(reference, windows, w, age_seconds - w.seconds, live) for w in windows]
    )

    judged = np.array([not column.unjudged for column in reference.columns])
    now_drift = compare(reference.layout, reference.counts, _counts(current), effects)
    then_drift = compare(reference.layout, reference.counts, _counts(previous), effects)
    significance = adjusted_significance(np.where(judged, now_drift.p, np.nan))
    limit = threshold + natural
    verdict = judge(now_drift, then_drift, limit, significance, threshold + then_natural, held)
    verdict[:, ~judged] = UNDECIDED
    undecided = explain(now_drift, limit, verdict, [column.unjudged for column in reference.columns])

    return tuple(
        WindowEvaluation(
            window=window,
            rows=current[i].rows,
            rows_by_column=now_drift.rows[i].astype(np.int64),
            effective_rows=now_drift.effective[i],
            drift_score=now_drift.score[i],
            drift_limit=limit[i] + now_drift.floor[i],
            drift_significance=significance[i],
            verdict=verdict[i],
            undecided=undecided[i],
            distances=_distances(reference, current[i], distances),
        )
        for i, window in enumerate(windows)
    )


def _thresholds(reference: Reference, thresholds: Thresholds) -> Floats:
    """(columns,)"""
    return np.array([thresholds.drift_by_column.get(c.name, thresholds.drift) for c in reference.columns])


def _told(reference: Reference, windows: tuple[Window, ...], before: Evaluation | None) -> Bools | None:
    """(windows, columns) what an earlier evaluation called drift, None without one."""
    if before is None or before.reference is not reference:
        return None
    if tuple(each.window for each in before.windows) != windows:
        return None
    return np.stack([each.verdict == DRIFTED for each in before.windows])


def _counts(sums: list[WindowSum]) -> Ints:
    """(windows, cells)"""
    return np.stack([window.counts for window in sums])


def _design_effects(
    reference: Reference, timeline: Timeline, windows: tuple[Window, ...], now: float
) -> Floats:
    """(windows, columns), from each window's fine blocks; longer windows than those take the last."""
    hour = timeline.settings.coarse_seconds
    effects: list[Floats] = []
    for window in windows:
        if effects and window.seconds > timeline.settings.fine_retention_seconds:
            effects.append(effects[-1])
            continue
        starts, counts = timeline.fine_counts(now - window.seconds, float("inf"))
        effects.append(design_effect(counts, starts // hour, reference.layout))
    return np.stack(effects)


def _distances(reference: Reference, window: WindowSum, names: tuple[str, ...]) -> dict[str, Floats]:
    if not names:
        return {}
    layout = reference.layout
    q = shares(layout.pad(window.counts), layout.mask, pseudo_count=0.0)
    p = shares(layout.pad(reference.counts), layout.mask, pseudo_count=0.0)
    measures: dict[str, Callable[[], Floats]] = {
        "jensen_shannon": lambda: distance.jensen_shannon(q, p),
        "total_variation": lambda: distance.total_variation(q, p),
        "ks": lambda: distance.ks(q, p, layout.ordered),
        "mean_shift": lambda: distance.mean_shift(window.moments, reference.moments),
    }
    return {name: measures[name]() for name in names}
