"""Parts of a version's former reference that stay where a sample of live rows cannot replace them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from exporter.reference.profile import Reference, Variation
from exporter.typing import Floats, Ints


def with_former_columns(new: Reference, former: Reference, names: Collection[str]) -> Reference:
    """The new reference with some features of the former one: their bins, shares and natural variation.

    Their counts are scaled to the rows of the new reference; a natural variation that the former one does not
    have is unknown (NaN), which makes verdicts on these columns impossible in that window.
    """
    chosen = np.array(
        [i for i, column in enumerate(former.columns) if column.role == "feature" and column.name in names],
        np.int64,
    )
    if not len(chosen):
        return new
    columns = new.columns + tuple(former.columns[i] for i in chosen.tolist())
    parts = {segment.name: segment.reference for segment in former.segments}
    segments = tuple(
        replace(
            segment,
            reference=replace(
                _extended(segment.reference, parts.get(segment.name, former), former, chosen), columns=columns
            ),
        )
        for segment in new.segments
    )
    return replace(_extended(new, former, former, chosen), columns=columns, segments=segments)


def _extended(new: Reference, part: Reference, former: Reference, chosen: Ints) -> Reference:
    """A reference with the counts of further columns, still without the columns.

    `part` is the former reference or one of its segments, which has the layout of `former`.
    """
    cells = [part.counts[former.offsets[i] : former.offsets[i + 1]] for i in chosen.tolist()]
    counts = [new.counts, *(_scaled(each, new.rows) for each in cells)]
    moments = part.moments[chosen] * (new.rows / max(1, part.rows))
    return replace(
        new,
        counts=np.concatenate(counts),
        moments=np.concatenate([new.moments, moments]),
        variation={
            seconds: _joined(variation, part.variation.get(seconds), chosen)
            for seconds, variation in new.variation.items()
        },
    )


def _scaled(counts: Ints, rows: int) -> Ints:
    """Counts with the same shares that add up to the given rows, by the largest remainders."""
    exact = counts * (rows / max(1, counts.sum()))
    scaled = np.floor(exact).astype(np.int64)
    left = rows - int(scaled.sum())
    scaled[np.argsort(scaled - exact, kind="stable")[:left]] += 1
    return np.asarray(scaled, np.int64)


def _joined(new: Variation, former: Variation | None, chosen: Ints) -> Variation:
    def both(name: str) -> Floats:
        more = np.full(len(chosen), np.nan) if former is None else getattr(former, name)[chosen]
        return np.concatenate([getattr(new, name), more])

    names = ("drift", "missing", "unseen", "out_of_range", "type_mismatch")
    return Variation(new.chunks, *map(both, names))


def with_former_quality(new: Reference, former: Reference) -> Reference:
    """The new reference with what the former one says of labels; its bins of predictions and scores are those
    of the former one, in which outcomes were counted."""
    parts = {segment.name: segment.reference for segment in former.segments}
    unknown = replace(former, labels=None, outcomes=b"", quality_variation={}, estimate_variation={})
    segments = tuple(
        replace(segment, reference=_promising(segment.reference, parts.get(segment.name, unknown)))
        for segment in new.segments
    )
    return replace(_promising(new, former), segments=segments)


def _promising(new: Reference, former: Reference) -> Reference:
    return replace(
        new,
        task=former.task,
        target=former.target,
        split=former.split,
        classes=former.classes,
        positive_class=former.positive_class,
        class_order=former.class_order,
        score_edges=former.score_edges,
        labels=former.labels,
        outcomes=former.outcomes,
        quality_variation=former.quality_variation,
        estimate_variation=former.estimate_variation,
    )
