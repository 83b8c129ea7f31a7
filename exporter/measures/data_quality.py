"""Data quality: shares of missing, mismatched, unseen and out-of-range values, against the reference's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from exporter.measures.layout import Layout
from exporter.typing import Bools, Floats

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


def more_p_value(found: Floats, rows: Floats, other_found: Floats, other_rows: Floats) -> Floats:
    """p-value of the share found / rows being higher than the other one by chance.

    The exact conditional test of two Poisson rates (Przyborowski and Wilenski 1940): given all that was
    found, the part of the first sample is binomial with the chance n / (n + M), whose upper tail is an
    incomplete beta function. It stays right where a chi-square does not, at a handful of rare values; it
    takes fractional counts, which effective rows need; and for frequent values it is conservative. NaN
    without rows on either side.

    >>> round(float(more_p_value(np.array(2.0), np.array(20.0), np.array(1e4), np.array(1e6))), 3)
    0.018
    """
    known = (rows > 0) & (other_rows > 0) & np.isfinite(other_found)
    chance = np.divide(rows, rows + other_rows, out=np.zeros(known.shape), where=known)
    tail = betainc(np.maximum(found, 1e-9), np.maximum(other_found, 0.0) + 1, chance)
    return np.where(known, np.where(found > 0, tail, 1.0), np.nan)


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

    A share is degraded if it is significantly (0.001, on effective rows) more than 0.05 + the allowance for
    the reference's own variation away from the reference's. The difference is tested against that limit and
    not against zero, or two odd values in an hour of forty rows would do, wherever the reference had none.
    There is no verdict below 30 effective rows.

    Args:
        check: one of `CHECKS`; for `missing` a fall counts as much as a rise.
        found, rows: (..., columns) what the check found in the window, of so many rows.
        reference_found, reference_rows: (columns,) the same in the reference.
        allowance: (columns,) what a share may be away by nature (`natural_variation`); NaN gives no verdict.
        design_effect: (..., columns) rows per independent row, at least 1.
    """
    effective = rows / design_effect
    effective_found = found / design_effect
    base = ratio(reference_found, reference_rows)
    limit = LIMIT + allowance
    beyond = (
        more_p_value(effective_found, effective, (base + limit) * reference_rows, reference_rows)
        < SIGNIFICANCE
    )
    if check in BOTH_DIRECTIONS:
        p = more_p_value((base - limit) * reference_rows, reference_rows, effective_found, effective)
        beyond |= (base > limit) & (p < SIGNIFICANCE)
    known = (effective >= MIN_ROWS) & (reference_rows > 0) & np.isfinite(allowance)
    return known & beyond, known
