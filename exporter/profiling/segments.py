"""Chooses the segments of a reference, and profiles each in the columns and bins of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from exporter.formats.columns import Values, take_rows
from exporter.profiling.counts import count_own
from exporter.profiling.outcomes import add_outcomes
from exporter.profiling.own_columns import OutputColumns
from exporter.reference.binning import category_cells
from exporter.reference.bins import segment_name
from exporter.reference.profile import Reference, Segment
from exporter.settings import Window
from exporter.typing import Floats

MAX_SEGMENTS_PER_COLUMN = 10
MAX_SEGMENTS_PER_VERSION = 30


def profile_segments(
    whole: Reference,
    names: tuple[str, ...],
    values: Mapping[tuple[str, str], Values],
    outputs: OutputColumns,
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> tuple[list[Segment], list[str]]:
    """Segments by the given columns, each with a profile of its rows, and notes on what is left out."""
    chosen, notes = _choose(whole, names)
    found = []
    for segment in chosen:
        column = whole.columns[segment.column]
        cells = category_cells(column, values["feature", column.name]) + whole.offsets[segment.column]
        rows = np.flatnonzero(cells == segment.cell)
        part = {key: take_rows(column_values, rows) for key, column_values in values.items()}
        times = timestamps[rows] if timestamps is not None else None
        found.append(replace(segment, reference=_profile(whole, part, outputs.take(rows), times, windows)))
    return found, notes


def _choose(reference: Reference, names: tuple[str, ...]) -> tuple[list[Segment], list[str]]:
    """Segments without profiles of their own, and notes."""
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


def _profile(
    whole: Reference,
    values: Mapping[tuple[str, str], Values],
    outputs: OutputColumns,
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> Reference:
    """Profile of some rows, in the columns and bins of the whole."""
    rows = len(next(iter(values.values())))
    own = count_own(whole, values, rows, timestamps, windows)._asdict()
    part = replace(whole, rows=rows, notes=(), **own)
    if whole.labels is not None and outputs.labels is not None:
        own = count_own(whole.labels, {("label", ""): outputs.labels}, rows, timestamps, windows)._asdict()
        part = replace(part, labels=replace(whole.labels, rows=rows, **own))
    return add_outcomes(part, outputs, timestamps, windows, estimates=False)
