"""Joined rows -> outcomes of the hour in which each prediction was made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from exporter.arrays import Floats
from exporter.columns import encode_texts
from exporter.commit import Commit
from exporter.config import Settings
from exporter.fleet import Binning, Totals, Version
from exporter.labelled_rows import class_scores
from exporter.labelling import Outcome
from exporter.outcome_layout import OutcomeLayout
from exporter.outcomes import LABEL_DELAY_BOUNDS, Outcomes, fold_outcomes
from exporter.schema import LabelRow, PredictionRow
from exporter.scores import parse_scores
from exporter.segments import coarse_starts, split_by_segment


def count_outcomes(
    commit: Commit,
    outcomes: Iterable[Outcome],
    find_version: Callable[[int], Version | None],
    settings: Settings,
) -> None:
    """Add what a join changes to a commit; nothing of versions that are followed no more."""
    by_version: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_version[outcome.prediction.version_id].append(outcome)
    for key, changed in by_version.items():
        version = find_version(key)
        if version is None:
            continue
        new = [outcome for outcome in changed if outcome.first]
        delays = np.array([max(0.0, o.label.at - o.prediction.at) for o in new])
        buckets = np.bincount(
            np.searchsorted(LABEL_DELAY_BOUNDS, delays), minlength=len(LABEL_DELAY_BOUNDS) + 1
        )
        values = np.zeros(len(version.live.totals.values), np.int64)
        totals = Totals(
            values=values, labels=len(new), label_delay=buckets, label_delay_sum=float(delays.sum())
        )
        commit.add_totals(version, totals)
        binning = version.binning
        if binning is None:
            continue
        for sign in (-1, 1):
            pairs = [(o.prediction, o.label) for o in changed if o.sign == sign]
            for hour, counted in fold_pairs(binning, pairs, settings, sign).items():
                commit.add_outcomes(version, binning, hour, counted)
            for segment, inside in pairs_by_segment(binning, pairs).items():
                for hour, counted in fold_pairs(binning, inside, settings, sign).items():
                    commit.add_segment_outcomes(version, binning, segment, hour, counted)


def pairs_by_segment(
    binning: Binning, pairs: Sequence[tuple[PredictionRow, LabelRow]]
) -> dict[str, list[tuple[PredictionRow, LabelRow]]]:
    """The pairs of each segment that there is; a prediction says which it was in."""
    if not binning.slices:
        return {}
    return {name: some for name, some in split_by_segment(pairs).items() if name in binning.slices}


def fold_pairs(
    binning: Binning, pairs: Sequence[tuple[PredictionRow, LabelRow]], settings: Settings, sign: int = 1
) -> dict[int, Outcomes]:
    """Outcomes by the coarse block of the prediction, of pairs whose label came within the maturation."""
    maturation = binning.maturation_seconds or 0.0
    if maturation:
        pairs = [(p, label) for p, label in pairs if label.at - p.at <= maturation]
    if binning.layout is None or not pairs:
        return {}
    times = np.array([p.at for p, _ in pairs])
    return fold_outcomes(
        binning.layout,
        encode_texts([label.label for _, label in pairs]),
        encode_texts([p.prediction for p, _ in pairs]),
        _scores(binning.layout, [p for p, _ in pairs]),
        coarse_starts(times, settings.coarse_seconds),
        sign,
    )


def _scores(layout: OutcomeLayout, rows: Sequence[PredictionRow]) -> Floats | None:
    """The scores of predictions as `fold_outcomes` takes them."""
    single = np.array([np.nan if row.score is None else row.score for row in rows])
    several = [place for place, row in enumerate(rows) if row.scores is not None]
    if several and layout.classifies:
        found = class_scores([parse_scores(rows[place].scores or "") for place in several], layout.classes)
        if layout.task == "binary":
            single[several] = found[:, layout.positive]
        else:
            matrix = np.full((len(rows), len(layout.classes)), np.nan)
            matrix[several] = found
            for place in np.flatnonzero(~np.isnan(single)).tolist():  # of the predicted class alone
                index = layout.class_index.get(rows[place].prediction or "")
                if index is not None:
                    matrix[place, index] = single[place]
            return matrix
    return single if not np.isnan(single).all() else None
