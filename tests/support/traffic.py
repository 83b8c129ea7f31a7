"""References with given shares, and timelines with given rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.context import EvaluationContext, Thresholds
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.reference.bins import Column, ColumnKind
from exporter.reference.profile import Reference, Variation
from exporter.settings import Settings, Window
from exporter.typing import Floats, Ints

NOW = 1_800_000_000.0  # on the edge of a block, of an hour and of nothing else
HOUR, DAY, WEEK = Window(3600, "1h"), Window(86400, "24h"), Window(604800, "7d")
EVEN = np.full(10, 0.1)
BROKEN = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1.0])
SETTINGS = Settings()


def make_column(name: str, bins: int = 10, kind: ColumnKind = "number", **changes: Any) -> Column:
    """A column with so many bins, the outer ones and `(other)` and `(unseen)` included."""
    if kind in ("number", "time"):
        return Column(name, "feature", kind, edges=np.arange(bins - 1, dtype=np.float64), **changes)
    return Column(name, "feature", kind, categories=tuple(str(k) for k in range(bins - 2)), **changes)


def cells_of(shares: Sequence[Sequence[float] | Floats], rows: int) -> Ints:
    """Flat counts of so many rows from the shares of each column's bins; what is left of one is missing."""
    columns = []
    for share in shares:
        counts = np.diff(np.round(np.cumsum(share) * rows), prepend=0).astype(np.int64)
        columns.append(np.append(counts, [rows - counts.sum(), 0]))
    return np.concatenate(columns)


def make_reference(
    columns: Sequence[Column],
    shares: Sequence[Sequence[float] | Floats],
    rows: int = 100_000,
    **changes: Any,
) -> Reference:
    """A reference without natural variation, unless `changes` say more."""
    return Reference(
        columns=tuple(columns),
        counts=cells_of(shares, rows),
        moments=np.zeros((len(columns), 3)),
        rows=rows,
        task="",
        source="tests",
        **changes,
    )


def variation_of(drift: float, columns: int = 1, share: float = 0.0) -> Variation:
    shares = np.full(columns, share)
    return Variation(30, np.full(columns, drift), shares, shares, shares, shares)


def make_timeline(reference: Reference, days: Mapping[int, Ints], seed: int = 0) -> Timeline:
    """Blocks with these rows, flat counts by how many days ago, each row at a random time of the day.

    Today's are in fine blocks, earlier ones in coarse blocks.
    """
    draw = np.random.default_rng(seed)
    fine: dict[int, Block] = {}
    coarse: dict[int, Block] = {}
    for ago, cells in days.items():
        blocks, length = (fine, SETTINGS.block_seconds) if ago == 0 else (coarse, SETTINGS.coarse_seconds)
        count = 86400 // length
        counts = np.zeros((count, reference.cells), np.uint32)
        rows = int(cells[: reference.offsets[1]].sum())
        place = draw.integers(count, size=rows)
        for start, end in zip(reference.offsets, reference.offsets[1:], strict=False):
            values = np.repeat(np.arange(start, end), cells[start:end])
            np.add.at(counts, (place, draw.permutation(values)), 1)
        first = int(NOW) - 86400 * (ago + 1)
        for block in range(count):
            blocks[first + block * length] = make_aggregate(counts[block], len(reference.columns))
    return Timeline(SETTINGS, fine, coarse)


def make_aggregate(counts: Ints, columns: int) -> Block:
    return Block(
        rows=int(counts.sum() // columns),
        counts=counts.astype(np.uint32),
        moments=np.zeros((columns, 3)),
        latency=np.zeros(len(LATENCY_BOUNDS) + 1, np.int64),
        latency_sum=0.0,
    )


def judge(
    reference: Reference,
    timeline: Timeline,
    windows: tuple[Window, ...] = (DAY,),
    thresholds: Thresholds | None = None,
    distances: tuple[str, ...] = (),
    before: Evaluation | None = None,
) -> Evaluation:
    context = EvaluationContext(windows, NOW, thresholds or Thresholds(), distances=distances, before=before)
    return evaluate(reference, timeline, context.with_effects(reference, timeline))


def make_steady_reference(
    columns: Sequence[Column], shares: Sequence[Floats], rows: int = 100_000
) -> Reference:
    """A reference without variation between days."""
    return make_reference(columns, shares, rows, variation={DAY.seconds: variation_of(0.0, len(columns))})
