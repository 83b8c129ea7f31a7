"""Data quality: shares of missing, mismatched, unseen and out-of-range values compared with the reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from exporter.measures.layout import CellLayout
from exporter.typing import Bools, Floats

DATA_QUALITY_CHECKS = ("missing", "type_mismatch", "unseen", "out_of_range")
BOTH_DIRECTIONS = ("missing",)  # a feed that fills its gaps overnight is as suspicious as one that goes null
DEGRADED_SHARE = 0.05
MAX_P_VALUE = 0.001
# With fewer rows there is no verdict: two odd values among a dozen are a sixth of the window, by chance.
MIN_CHECK_ROWS = 30


def applicable(layout: CellLayout) -> dict[str, Bools]:
    """(columns,) by check: True for the columns that the check applies to."""
    every = np.ones(len(layout.mask), np.bool_)
    return {"missing": every, "type_mismatch": every, "unseen": layout.listed, "out_of_range": layout.bounded}


def hits(cells: npt.NDArray[np.number], layout: CellLayout) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Rows that fail a check, and the rows that they are a share of, both (..., columns) by check.

    Missing and mismatched values are shares of all rows; unseen and out-of-range ones are shares of the rows
    with a value, so that nulls do not dilute them. Zero where a check does not apply.
    """
    counts = cells.astype(np.float64)
    rows = layout.rows(counts)
    missing, mismatch = counts[..., layout.offsets[1:] - 2], counts[..., layout.offsets[1:] - 1]
    values = rows - missing - mismatch
    first, last = counts[..., layout.offsets[:-1]], counts[..., layout.offsets[1:] - 3]
    single = np.diff(layout.offsets) == 3  # one bin only: there is no range
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
    """p-value of the share found / rows being higher than the other share by chance.

    The exact conditional test of two Poisson rates (Przyborowski and Wilenski 1940): given the total found in
    both samples, the number in the first is binomial with probability n / (n + M), whose upper tail is an
    incomplete beta function. Unlike a chi-square test it is valid for a handful of rare values; it takes
    fractional counts, which effective rows need; and for frequent values it is conservative. NaN without rows
    on either side.

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
    """Judge one check: (..., columns) True where it is degraded, and True where there is a verdict.

    A share is degraded if it differs from the reference's significantly (p < 0.001, on effective rows) by
    more than 0.05 + the allowance for the reference's own variation. The test is against that limit and not
    against zero: otherwise two odd values in an hour of forty rows would be degraded wherever the reference
    has none. There is no verdict below 30 effective rows.

    Args:
        check: one of `DATA_QUALITY_CHECKS`; for `missing` a fall counts as much as a rise.
        found, rows: (..., columns) failed rows of the window, and the rows that they are a share of.
        reference_found, reference_rows: (columns,) the same in the reference.
        allowance: (columns,) natural variation of the share (`natural_variation`); NaN gives no verdict.
        design_effect: (..., columns) rows per independent row, at least 1.
    """
    effective = rows / design_effect
    effective_found = found / design_effect
    base = ratio(reference_found, reference_rows)
    limit = DEGRADED_SHARE + allowance
    beyond = (
        more_p_value(effective_found, effective, (base + limit) * reference_rows, reference_rows)
        < MAX_P_VALUE
    )
    if check in BOTH_DIRECTIONS:
        p = more_p_value((base - limit) * reference_rows, reference_rows, effective_found, effective)
        beyond |= (base > limit) & (p < MAX_P_VALUE)
    known = (effective >= MIN_CHECK_ROWS) & (reference_rows > 0) & np.isfinite(allowance)
    return known & beyond, known
