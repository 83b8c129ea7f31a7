"""Data quality checks of windows against the reference. Pure.

A check is judged in the shortest window whose natural variation is known from the reference. Many references
have too few rows for windows of an hour, and in a window of a day it takes half a day until a column that has
lost half of its values is detected. So gross failures are detected in the shortest window, and each check
names its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from exporter.aggregates.timeline import WindowSum
from exporter.evaluation.context import EvaluationContext
from exporter.measures import data_quality as quality
from exporter.measures.natural_variation import MIN_CHUNKS
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Bools, Floats

# Gross difference from the reference's share, as a share of the rows.
GROSS_SHARE = 0.5


@dataclass(frozen=True)
class QualityCheck:
    """The share of a column's rows that fails a check in `window`, against the reference's own.

    `reference_ratio` is NaN if the reference has no value. `degraded` is None without a verdict, for the
    reason in `undecided`.
    """

    column: int
    check: str
    ratio: float
    reference_ratio: float
    degraded: bool | None
    window: Window
    undecided: str = ""


# From `quality.hits`: failed rows and all rows by check, both (columns,).
_Hits: TypeAlias = tuple[dict[str, Floats], dict[str, Floats]]


@dataclass(frozen=True)
class _Shares:
    """Result of one check in one window, (columns,) each; `allowance` is NaN where it is unknown."""

    rows: Floats
    effective: Floats
    ratio: Floats
    base_ratio: Floats
    allowance: Floats
    degraded: Bools
    known: Bools


def check_quality(
    reference: Reference, sums: Sequence[WindowSum], context: EvaluationContext
) -> tuple[QualityCheck, ...]:
    """Measure and judge every check that applies to a column with rows.

    Args:
        reference: the version's.
        sums: counts in each window of the context.
        context: see `EvaluationContext`.
    """
    windows, effects = context.windows, context.effects_of(reference)
    index = _judged_window(reference, windows)
    unjudged = np.array([bool(column.unjudged) for column in reference.columns])
    base_hits = quality.hits(reference.counts, reference.cell_layout)
    hits, shortest_hits = (quality.hits(sums[place].counts, reference.cell_layout) for place in (index, 0))
    checks = []
    for check, applies in quality.applicable(reference.cell_layout).items():
        # Ids and times always have new values.
        by_nature = unjudged if check in ("unseen", "out_of_range") else np.zeros(len(unjudged), np.bool_)
        allowance = _allowance(reference, windows[index], check, base_hits)
        judged = _judge(check, hits, base_hits, allowance, effects[index])
        allowance = _allowance(reference, windows[0], check, base_hits, row_by_row=True)
        shortest = _judge(check, shortest_hits, base_hits, allowance, effects[0])
        gross = ~by_nature & shortest.degraded & (np.abs(shortest.ratio - shortest.base_ratio) >= GROSS_SHARE)
        for column in np.flatnonzero(applies & (judged.rows > 0)).tolist():
            found, window = (shortest, windows[0]) if gross[column] else (judged, windows[index])
            name = reference.columns[column].unjudged if by_nature[column] else ""
            undecided = name or _undecided(found, column, window)
            checks.append(
                QualityCheck(
                    column=column,
                    check=check,
                    ratio=float(found.ratio[column]),
                    reference_ratio=float(found.base_ratio[column]),
                    degraded=None if undecided else bool(found.degraded[column]),
                    window=window,
                    undecided=undecided,
                )
            )
    return tuple(checks)


def _judged_window(reference: Reference, windows: Sequence[Window]) -> int:
    """Index of the shortest window whose natural variation is known from enough chunks of the reference.

    A reference is often a sample with too few rows per hour. Lost values are then detected in a day's window.
    """
    known = {seconds for seconds, variation in reference.variation.items() if variation.chunks >= MIN_CHUNKS}
    otherwise = 0 if reference.provisional else len(windows) - 1
    return next((i for i, window in enumerate(windows) if window.seconds in known), otherwise)


def _allowance(
    reference: Reference, window: Window, check: str, base: _Hits, *, row_by_row: bool = False
) -> Floats:
    """(columns,) natural variation of a share around the reference's, NaN where it is unknown.

    For a reference without timestamps, a share p may vary by sqrt(p (1 - p)), the standard deviation of a
    single row. With `row_by_row` this holds for any window whose variation is unknown.
    """
    shorter = [seconds for seconds in reference.variation if seconds <= window.seconds]
    if shorter:  # shorter stretches vary more
        allowance: Floats = getattr(reference.variation[max(shorter)], check)
    elif reference.provisional or row_by_row:
        ratio = quality.ratio(base[0][check], base[1][check])
        allowance = np.nan_to_num(np.sqrt(ratio * (1 - ratio)))
    else:
        allowance = np.full(len(reference.columns), np.nan)
    return allowance


def _judge(check: str, hits: _Hits, base: _Hits, allowance: Floats, effect: Floats) -> _Shares:
    (found, rows), (base_found, base_rows) = ([each[check] for each in of] for of in (hits, base))
    degraded, known = quality.degraded(check, found, rows, base_found, base_rows, allowance, effect)
    ratio, base_ratio = quality.ratio(found, rows), quality.ratio(base_found, base_rows)
    return _Shares(rows, rows / effect, ratio, base_ratio, allowance, degraded, known)


def _undecided(found: _Shares, column: int, window: Window) -> str:
    """Reason why a column has no verdict; empty if it has one."""
    if found.known[column]:
        return ""
    if np.isnan(found.base_ratio[column]):
        return "the reference has no value in it"
    if not np.isfinite(found.allowance[column]):
        return f"its natural variation within {window.name} is unknown"
    return f"{found.effective[column]:.0f} effective rows, {quality.MIN_CHECK_ROWS} are needed"
