"""Data quality: shares of missing, mismatched, unseen and out-of-range values, against the reference's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from exporter.arrays import Bools, Floats
from exporter.measures.layout import Layout

CHECKS = ("missing", "type_mismatch", "unseen", "out_of_range")
BOTH_DIRECTIONS = ("missing",)  # a feed that fills its gaps overnight is as suspicious as one that goes null
LIMIT = 0.05
SIGNIFICANCE = 0.001
# Below it there is no verdict: two odd values among a dozen are a sixth of the window and mean nothing.
MIN_ROWS = 30


def applicable(layout: Layout) -> dict[str, Bools]:
    """Which columns each check applies to, (columns,) by check."""
    every = np.ones(len(layout.mask), np.bool_)
    return {"missing": every, "type_mismatch": every, "unseen": layout.listed, "out_of_range": layout.bounded}


def hits(cells: npt.NDArray[np.number], layout: Layout) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Rows that a check finds, and the rows that they are a share of, both (..., columns) by check.

    Missing and mismatched values are shares of all rows; unseen and out-of-range ones of the rows with a
    value, so that a column that is half null does not look half as bad. Zero where a check does not apply.
    """
    counts = cells.astype(np.float64)
    rows = layout.rows(counts)
    missing, mismatch = counts[..., layout.offsets[1:] - 2], counts[..., layout.offsets[1:] - 1]
    values = rows - missing - mismatch
    first, last = counts[..., layout.offsets[:-1]], counts[..., layout.offsets[1:] - 3]
    single = np.diff(layout.offsets) == 3  # one bin only: there is no range to be outside of
    found = {
        "missing": missing,
        "type_mismatch": mismatch,
        "unseen": np.where(layout.listed, last, 0.0),
        "out_of_range": np.where(layout.bounded & ~single, first + last, 0.0),
    }
    return found, {"missing": rows, "type_mismatch": rows, "unseen": values, "out_of_range": values}


def ratio(found: Floats, rows: Floats) -> Floats:
    """Share of the rows, NaN without any."""
    share: Floats = np.divide(found, rows, out=np.full(np.shape(found), np.nan), where=rows > 0)
    return share


def change_p_value(found: Floats, rows: Floats, reference_found: Floats, reference_rows: Floats) -> Floats:
    """Two-sided p-value of the difference between two shares.

    The exact conditional test of two Poisson rates (Przyborowski and Wilenski 1940): given all that was
    found, the window's part is binomial with the chance n / (n + M). It stays right where a chi-square does
    not, at a handful of rare values; it takes fractional counts, which effective rows need; and for frequent
    values it is conservative. NaN without rows on either side.

    >>> round(float(change_p_value(np.array(2.0), np.array(20.0), np.array(1e4), np.array(1e6))), 3)
    0.035
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = rows / (rows + reference_rows)
    # P(X >= c) and P(X <= c) as incomplete beta functions; with c = 0 or r = 0 one of them is certain.
    above = np.where(found > 0, betainc(np.maximum(found, 1e-12), reference_found + 1, chance), 1.0)
    below = np.where(
        reference_found > 0, betainc(np.maximum(reference_found, 1e-12), found + 1, 1 - chance), 1.0
    )
    p = np.minimum(1.0, 2 * np.minimum(above, below))
    return np.where((rows > 0) & (reference_rows > 0), p, np.nan)


def degraded(
    check: str,
    found: Floats,
    rows: Floats,
    reference_found: Floats,
    reference_rows: Floats,
    allowance: Floats,
    design_effect: Floats,
) -> tuple[Bools, Bools]:
    """The verdict of one check, and whether there is one, both (..., columns).

    A share is degraded if it changed by more than 0.05 + the allowance for the reference's own variation, and
    the change is significant at 0.001 on effective rows. There is no verdict without a reference or below 30
    effective rows.

    Args:
        check: one of `CHECKS`; for `missing` a fall counts as much as a rise.
        found, rows: (..., columns) what the check found in the window, of so many rows.
        reference_found, reference_rows: (columns,) the same in the reference.
        allowance: (columns,) 4.6 x mean deviation of the reference's chunks; NaN gives no verdict.
        design_effect: (..., columns) rows per independent row, at least 1.
    """
    change = ratio(found, rows) - ratio(reference_found, reference_rows)
    if check in BOTH_DIRECTIONS:
        change = np.abs(change)
    effective = rows / design_effect
    p = change_p_value(found / design_effect, effective, reference_found, reference_rows)
    known = (effective >= MIN_ROWS) & (reference_rows > 0) & np.isfinite(allowance)
    return known & (change > LIMIT + allowance) & (p < SIGNIFICANCE), known
