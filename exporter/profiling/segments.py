"""Chooses the segments of a reference, and profiles each in the columns and bins of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from exporter.formats.columns import Values
from exporter.profiling.counts import count_own
from exporter.profiling.outcomes import OutputColumns, add_outcomes
from exporter.reference.bins import segment_name
from exporter.reference.profile import Reference, Segment
from exporter.settings import Window
from exporter.typing import Floats

MAX_SEGMENTS_PER_COLUMN = 10
MAX_SEGMENTS_PER_VERSION = 30


def choose_segments(reference: Reference, names: tuple[str, ...]) -> tuple[list[Segment], list[str]]:
    """The slices by the given columns, each without a profile of its own yet, and what is left out."""
    chosen: list[Segment] = []
    notes = []
    for name in names:
        index = next(
            (i for i, c in enumerate(reference.columns) if (c.role, c.name) == ("feature", name)), None
        )
        if index is None or reference.columns[index].numeric:
            notes.append(f"column {name} has no categories to slice by")
            continue
        column = reference.columns[index]
        first = int(reference.offsets[index])
        counts = reference.counts[first : first + len(column.categories)]
        filled = [place for place, rows in enumerate(counts.tolist()) if rows]
        taken = filled[: min(MAX_SEGMENTS_PER_COLUMN, MAX_SEGMENTS_PER_VERSION - len(chosen))]
        rarer = int(reference.counts[first + len(column.categories)])
        if len(taken) < len(filled) or rarer:
            notes.append(f"segments of column {name} are its {len(taken)} most frequent categories")
        for place in taken:
            segment = Segment(segment_name(column, place), index, first + place, reference)
            if any(each.name == segment.name for each in chosen):  # `a=b` is c, and a is `b=c`
                notes.append(f"a segment of column {name} is left out: another is called {segment.name}, too")
            else:
                chosen.append(segment)
    return chosen, notes


def profile_segment(
    whole: Reference,
    values: Mapping[tuple[str, str], Values],
    outputs: OutputColumns,
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> Reference:
    """The profile of some rows, in the columns and bins of the whole."""
    rows = len(next(iter(values.values())))
    own = count_own(whole, values, rows, timestamps, windows)._asdict()
    part = replace(whole, rows=rows, notes=(), **own)
    if whole.labels is not None and outputs.labels is not None:
        own = count_own(whole.labels, {("label", ""): outputs.labels}, rows, timestamps, windows)._asdict()
        part = replace(part, labels=replace(whole.labels, rows=rows, **own))
    return add_outcomes(part, outputs, timestamps, windows, estimates=False)
