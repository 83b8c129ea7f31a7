"""A reference from recent counts of a version in the bins that it has: present traffic becomes normal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from exporter.aggregates.chunks import MAX_CHUNK_CELLS, sum_blocks
from exporter.aggregates.timeline import Timeline
from exporter.errors import ReferenceInvalidError
from exporter.measures.natural_variation import MIN_CHUNKS, natural_variation
from exporter.reference.profile import Reference, Variation
from exporter.settings import DAY_SECONDS, Window
from exporter.typing import Floats

MIN_ROWS = 1000  # with fewer, what chance did to the reference is taken for drift later
# Seven days hold one weekend: they cannot tell how far a weekend may be from the next.
MIN_VARIATION_SECONDS = 14 * DAY_SECONDS
CROWDED = 0.5


def recent_reference(
    reference: Reference,
    timeline: Timeline,
    slices: Mapping[str, Timeline],
    period: Window,
    windows: tuple[Window, ...],
    now: float,
) -> Reference:
    """The reference with the counts of the last `period` in place of its own.

    Rows are not kept, so the bins stay. What the reference says of labels stays too, because the promised
    quality does not change with the inputs. Natural variation is that of the period if it is at least two
    weeks long; otherwise verdicts are provisional.

    Args:
        reference: the previous one.
        timeline: counts in its bins.
        slices: counts of each of its segments, by name.
        period: length of the stretch of time that ends at `now`.
        windows: lengths to measure the variation for.
        now: seconds since the epoch.

    Raises:
        ReferenceInvalidError: too few rows.
    """
    start = now - period.seconds
    whole = _recount(reference, timeline, start, now, windows)
    if whole.rows < MIN_ROWS:
        raise ReferenceInvalidError(
            f"{whole.rows:,} rows came in the last {period.name}, a reference needs {MIN_ROWS:,}"
        )
    parts = [
        replace(segment, reference=_recount(segment.reference, slices[segment.name], start, now, windows))
        for segment in reference.segments
    ]
    notes = [
        f"the live rows of the last {period.name} in the bins of the reference before: "
        "what was wrong with them is taken as normal"
    ]
    if whole.provisional:
        notes.append("no natural variation: it takes two weeks to see some")
    if crowded := _crowded(whole):
        notes.append(
            f"most values are beyond the bins of {', '.join(crowded)}, where little drift can be seen: "
            "a file would give them bins of their own"
        )
    if gone := [part.name for part in parts if not part.reference.rows]:
        notes.append(f"segments without a row are left out: {', '.join(gone)}")
    segments = tuple(part for part in parts if part.reference.rows)
    return replace(whole, segments=segments, notes=tuple(notes))


def _recount(
    reference: Reference, timeline: Timeline, start: float, now: float, windows: tuple[Window, ...]
) -> Reference:
    found = timeline.sum(reference.cells, len(reference.columns), start, np.inf)
    long = now - start >= MIN_VARIATION_SECONDS
    return replace(
        reference,
        counts=found.counts,
        moments=found.moments,
        rows=found.rows,
        source="live",
        variation=_variation(reference, timeline, start, windows) if long else {},
        notes=(),
    )


def _variation(
    reference: Reference, timeline: Timeline, start: float, windows: tuple[Window, ...]
) -> dict[int, Variation]:
    coarse = timeline.settings.coarse_seconds
    blocks = {s: block.counts for s, _, block in timeline.blocks()}
    inside = sorted(s for s in blocks if s >= start)
    variation: dict[int, Variation] = {}
    longer: dict[str, Floats] | None = None
    for window in sorted(windows, reverse=True):
        if window.seconds < coarse:  # a coarse block cannot be cut
            continue
        place = np.array([(s - start) // window.seconds for s in inside], np.int64)
        limit = max(MIN_CHUNKS, MAX_CHUNK_CELLS // reference.cells)
        chunks, counts = sum_blocks(blocks, inside, place, reference.cells, limit)
        measured = natural_variation(counts, reference.cell_layout, window.seconds, chunks, longer)
        if measured is not None:
            variation[window.seconds] = Variation(chunks=measured[0], **measured[1])
            longer = measured[1]
    return dict(sorted(variation.items()))


def _crowded(reference: Reference) -> list[str]:
    """Numeric columns that have most of their values below the lowest edge or above the highest."""
    names = []
    for column, start in zip(reference.columns, reference.offsets.tolist(), strict=False):
        counts = reference.counts[start : start + column.bins]
        if column.numeric and column.bins > 2 and max(counts[0], counts[-1]) > CROWDED * counts.sum():
            names.append(column.name)
    return names
