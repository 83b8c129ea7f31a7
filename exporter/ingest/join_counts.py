"""Count pairs of predictions and labels, in outcomes of the hour of the prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.aggregates.labelled_rows import choose_scores
from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import LABEL_DELAY_BOUNDS, Outcomes, fold_outcomes
from exporter.aggregates.segments import coarse_starts
from exporter.aggregates.state import Totals, VersionCounts
from exporter.fleet import Version
from exporter.formats.class_scores import parse_scores
from exporter.ingest.changes import Changes
from exporter.ingest.pairs import Joined, Pairs
from exporter.settings import Settings
from exporter.typing import Floats


def count_joined(
    changes: Changes, joined: Joined, find_version: Callable[[int], Version | None], settings: Settings
) -> None:
    """Add the changed pairs to the counts of their versions, except versions that are not followed any more.

    Those are counted anew when they are followed again, see `let_go`.
    """
    for changed, sign in ((joined.removed, -1), (joined.added, 1), (joined.first, 1)):
        for key, pairs in Pairs.join(changed).by_version() if changed else ():
            version = find_version(key)
            if version is None:
                continue
            if changed is joined.first:
                changes.add_totals(version, _delays(version, pairs))
            counts = version.counts
            if counts is None:
                continue
            for hour, counted in fold_pairs(counts, pairs, settings, sign).items():
                changes.add_outcomes(version, counts, hour, counted)
            for segment, inside in pairs_by_segment(counts, pairs).items():
                for hour, counted in fold_pairs(counts, inside, settings, sign).items():
                    changes.add_segment_outcomes(version, counts, segment, hour, counted)


def _delays(version: Version, pairs: Pairs) -> Totals:
    """Histogram of the delays of labels after their predictions."""
    delays = np.maximum(0.0, pairs.known_at - pairs.times)
    buckets = np.bincount(np.searchsorted(LABEL_DELAY_BOUNDS, delays), minlength=len(LABEL_DELAY_BOUNDS) + 1)
    return Totals(
        values=np.zeros(len(version.live.totals.values), np.int64),
        labels=len(pairs),
        label_delay=buckets,
        label_delay_sum=float(delays.sum()),
    )


def pairs_by_segment(counts: VersionCounts, pairs: Pairs) -> dict[str, Pairs]:
    """Pairs by segment of the version's reference."""
    if not counts.segments:
        return {}
    return {name: inside for name, inside in pairs.by_segment().items() if name in counts.segments}


def fold_pairs(counts: VersionCounts, pairs: Pairs, settings: Settings, sign: int = 1) -> dict[int, Outcomes]:
    """Outcomes of pairs whose label came within the maturation, by coarse block of the prediction."""
    if counts.layout is None or not pairs:
        return {}
    times = pairs.times
    if counts.maturation_seconds:
        inside = pairs.known_at - times <= counts.maturation_seconds
        if not inside.all():
            pairs, times = pairs.take(np.flatnonzero(inside)), times[inside]
            if not pairs:
                return {}
    return fold_outcomes(
        counts.layout,
        pairs.outcomes,
        pairs.outputs,
        _scores(counts.layout, pairs),
        coarse_starts(times, settings.coarse_seconds),
        sign,
    )


def _scores(layout: OutcomeLayout, pairs: Pairs) -> Floats | None:
    """Scores of predictions as `fold_outcomes` takes them."""
    texts = pairs.scores
    several = {
        row: parse_scores(texts.texts[code]) for row, code in enumerate(texts.codes.tolist()) if code >= 0
    }
    return choose_scores(layout, pairs.outputs, pairs.score, several)
