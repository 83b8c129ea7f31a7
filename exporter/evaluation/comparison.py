"""Comparison of windows with a base: score, noise, significance and verdict. Pure.

The base is a reference, or the counts of the weeks before; the rules are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.measures.layout import CellLayout
from exporter.measures.natural_variation import GROSS_DRIFT
from exporter.measures.psi import noise, pool_rare, psi, sampling_floor, shares, standard_error
from exporter.measures.significance import chi_square, p_value
from exporter.typing import Bools, Floats, Ints

DRIFTED, STABLE, UNDECIDED = 1, 0, -1

MIN_SIGNIFICANCE = 3.0  # -log10 of the adjusted p-value: p < 0.001


HELD = 0.75  # times the limit: where reported drift ends
STANDARD_ERRORS = 3  # above the limit, for drift on few rows
# Rows 1/(1/n + 1/M) below which there is never a verdict.
MIN_VERDICT_ROWS = 20
# Rows 1/(1/n + 1/M) needed for the ordinary verdict, at two values of the square root of B - 1.
MIN_ORDINARY_ROWS = ((9**0.5, 400.0), (31**0.5, 650.0))


class Undecided(NamedTuple):
    """Reason why a column has no verdict: a code for metrics, and a text for users; both empty with one.

    Codes: `unjudged` (never judged), `no_values` (in the window), `no_base` (in the reference or past),
    `variation` (unknown), `rows` (too few), `significance` (beyond the limit, but maybe by chance),
    `persistence` (beyond the limit, but not confirmed by the window before).
    """

    code: str = ""
    text: str = ""


@dataclass(frozen=True)
class Comparison:
    """Windows compared with their bases, (windows, columns) throughout.

    `size` is 1/(1/n_eff + 1/M), `bins` is the number of bins after pooling, `p` is not adjusted.
    """

    rows: Floats
    effective: Floats
    size: Floats
    bins: Ints
    score: Floats
    floor: Floats
    error: Floats
    p: Floats

    @property
    def excess(self) -> Floats:
        return self.score - self.floor

    @property
    def needed(self) -> Floats:
        """Size needed for the ordinary verdict: 400 rows at 10 bins, 650 at 32.

        Without drift the standard deviation of PSI is sqrt(2 (B - 1)) / rows. So the size is linear in the
        square root of B - 1, which keeps the same distance between noise and limit.
        """
        (low, low_rows), (high, high_rows) = MIN_ORDINARY_ROWS
        slope = (high_rows - low_rows) / (high - low)
        needed: Floats = low_rows + slope * (np.sqrt(np.maximum(self.bins - 1, 1)) - low)
        return needed

    @property
    def enough(self) -> Bools:
        """True where there are enough rows for the ordinary verdict."""
        enough: Bools = self.size >= self.needed
        return enough


def compare(
    layout: CellLayout,
    base: npt.NDArray[np.integer],
    windows: npt.NDArray[np.integer],
    effects: Floats,
    base_effects: Floats | float = 1.0,
) -> Comparison:
    """Measure the difference between windows and their base.

    Args:
        layout: of the cells.
        base: (cells,) or (windows, cells) counts of the base.
        windows: (windows, cells) counts of the windows.
        effects: (windows, columns) rows per independent row in the windows.
        base_effects: the same in the base.
    """
    counts = layout.pad(windows)
    padded = layout.pad(base)
    rows, base_rows = counts.sum(-1), padded.sum(-1) / base_effects
    effective = rows / effects
    pooled = pool_rare(counts, np.broadcast_to(padded, counts.shape), layout.mask, effective)
    q, p = shares(pooled.counts, pooled.mask), shares(pooled.reference, pooled.mask)
    bins = pooled.mask.sum(-1)
    independent = pooled.reference / np.expand_dims(base_effects, -1)
    return Comparison(
        rows=rows,
        effective=effective,
        size=1 / noise(effective, base_rows),
        bins=bins,
        score=psi(q, p),
        floor=sampling_floor(bins, effective, base_rows),
        error=standard_error(q, p, effective, base_rows),
        p=p_value(chi_square(pooled.counts, independent, pooled.mask, effective), bins),
    )


def judge(
    now: Comparison,
    then: Comparison,
    limit: Floats,
    significance: Floats,
    then_limit: Floats | None = None,
    held: Bools | None = None,
    *,
    confirmed: bool = False,
) -> npt.NDArray[np.int8]:
    """(windows, columns) verdicts: DRIFTED, STABLE or UNDECIDED.

    Drift is a significant excess (PSI - sampling floor) beyond three times the limit, or beyond the limit in
    this window and in the one before. If the window before is too small to confirm, the verdict is undecided.
    With few rows, the excess has to exceed the limit by three standard errors for drift, and otherwise there
    is no verdict. Without a limit there is none.

    Args:
        now: the windows.
        then: the windows before them, of the same length.
        limit: (windows, columns) threshold + natural variation, NaN where that is unknown.
        significance: (windows, columns) of `now`, adjusted.
        then_limit: the limit of the windows before, by default the same.
        held: (windows, columns) drift that the evaluation before reported. It lasts while the excess is
            beyond three quarters of the limit, so that an excess close to the limit is one alert and not
        twenty. confirmed: both windows have to be beyond the limit, however large the excess, however few the
        rows.
    """
    then_limit = limit if then_limit is None else then_limit
    enough, before_enough = now.enough, then.enough
    beyond, before_beyond = _is_beyond(now, limit, enough), _is_beyond(then, then_limit, before_enough)
    significant = significance > MIN_SIGNIFICANCE
    sufficient = before_beyond if confirmed else _is_beyond(now, GROSS_DRIFT * limit, enough) | before_beyond
    drifted = significant & beyond & sufficient
    if held is not None:
        drifted |= held & significant & _is_beyond(now, HELD * limit, enough)
    unconfirmed = significant & beyond & ~drifted & ~before_enough
    stable = enough & ~drifted & ~unconfirmed & np.isfinite(limit)
    return np.where(drifted, DRIFTED, np.where(stable, STABLE, UNDECIDED)).astype(np.int8)


def _is_beyond(drift: Comparison, limit: Floats, enough: Bools) -> Bools:
    surely = (drift.excess - STANDARD_ERRORS * drift.error > limit) & (drift.size >= MIN_VERDICT_ROWS)
    return np.where(enough, drift.excess > limit, surely)


def explain(
    now: Comparison,
    limit: Floats,
    significance: Floats,
    verdict: npt.NDArray[np.int8],
    unjudged: Sequence[str],
) -> list[tuple[Undecided, ...]]:
    """Reasons why columns have no verdict, by window and column; empty where there is one.

    Args:
        now: the windows.
        limit: (windows, columns) as for `judge`.
        significance: (windows, columns) as for `judge`.
        verdict: (windows, columns) from `judge`.
        unjudged: (columns,) reason why a column is never judged, empty where it is.
    """
    return [
        tuple(
            Undecided()
            if verdict[window, column] != UNDECIDED
            else Undecided("unjudged", unjudged[column])
            if unjudged[column]
            else _why_undecided(now, limit, significance, (window, column))
            for column in range(len(unjudged))
        )
        for window in range(len(verdict))
    ]


def _why_undecided(now: Comparison, limit: Floats, significance: Floats, place: tuple[int, int]) -> Undecided:
    size, needed = float(now.size[place]), float(now.needed[place])
    if not now.rows[place]:
        return Undecided("no_values", "no row has a value")
    if not np.isfinite(size):
        return Undecided("no_base", "there is no value to compare with")
    if not np.isfinite(limit[place]):
        return Undecided("variation", "its natural variation is unknown")
    rows = f"{size:.0f} effective rows, window and base combined"
    if size < MIN_VERDICT_ROWS:
        return Undecided("rows", f"{rows}; {MIN_VERDICT_ROWS} are needed for any verdict")
    if _is_beyond(now, limit, now.enough)[place]:
        if not significance[place] > MIN_SIGNIFICANCE:
            return Undecided("significance", "beyond the limit, but that is not significant")
        return Undecided("persistence", "beyond the limit, and the window before does not confirm it")
    return Undecided(
        "rows",
        f"{rows}; {needed:.0f} are needed, or a score {STANDARD_ERRORS} standard errors "
        f"({now.error[place]:.3g} each) beyond the limit",
    )
