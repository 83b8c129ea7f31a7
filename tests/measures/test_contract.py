"""Properties of all measures of the difference between a window and the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest

from exporter.measures.distances import jensen_shannon, ks, mean_shift, total_variation
from exporter.measures.psi import pool_rare, psi, sampling_floor, shares
from exporter.measures.significance import adjusted_significance, chi_square, p_value
from exporter.typing import Bools, Floats
from tests.measures.tables import every

Measure: TypeAlias = Callable[[Floats, Floats, Bools], Floats]
REFERENCE = np.array([[4000.0, 3000, 2000, 700, 300]])


def pooled_psi(counts: Floats, reference: Floats, mask: Bools) -> Floats:
    pooled = pool_rare(counts, reference, mask)
    return psi(shares(pooled.counts, pooled.mask), shares(pooled.reference, pooled.mask))


def excess(counts: Floats, reference: Floats, mask: Bools) -> Floats:
    bins = pool_rare(counts, reference, mask).mask.sum(-1)
    floor = sampling_floor(bins, counts.sum(-1), reference.sum(-1))
    return pooled_psi(counts, reference, mask) - floor


def significance(counts: Floats, reference: Floats, mask: Bools) -> Floats:
    p = p_value(chi_square(counts, reference, mask), mask.sum(-1))
    return adjusted_significance(p[:, None])[:, 0]  # each column on its own


def of_shares(distance: Callable[[Floats, Floats], Floats]) -> Measure:
    return lambda counts, reference, mask: distance(shares(counts, mask, 0.0), shares(reference, mask, 0.0))


def binned_mean_shift(counts: Floats, reference: Floats, mask: Bools) -> Floats:
    """Mean shift of the values 0, 1, 2, ..., with a bin each."""
    value = np.arange(counts.shape[-1])
    powers = np.stack([value**0, value, value**2]).astype(np.float64)
    return mean_shift(counts @ powers.T, reference @ powers.T)


MEASURES: dict[str, Measure] = {
    "psi": pooled_psi,
    "excess": excess,
    "chi_square": chi_square,
    "significance": significance,
    "jensen_shannon": of_shares(jensen_shannon),
    "total_variation": of_shares(total_variation),
    "ks": of_shares(lambda q, p: ks(q, p, np.array(True))),
    "mean_shift": binned_mean_shift,
}
ORDERED = ("ks", "mean_shift")  # they look at the order of values


def each(*, without: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    names = [name for name in MEASURES if name not in without]
    return pytest.mark.parametrize("measure", [MEASURES[name] for name in names], ids=names)


def shifted(step: float, rows: float = 2000) -> Floats:
    """Rows of the reference's shares, of which so many parts moved from the first bin to the last."""
    share = REFERENCE / REFERENCE.sum()
    return rows * (share + step * np.array([[-1, 0, 0, 0, 1]]))


@each()
def test_identical_counts_are_no_drift(measure: Measure) -> None:
    assert measure(REFERENCE, REFERENCE, every(REFERENCE))[0] == pytest.approx(0, abs=0.002)


@each()
def test_the_same_shares_are_no_drift(measure: Measure) -> None:
    assert measure(shifted(0), REFERENCE, every(REFERENCE))[0] == pytest.approx(0, abs=0.003)


@each()
def test_empty_bins_leave_it_finite(measure: Measure) -> None:
    window = np.array([[0.0, 0, 0, 0, 500]])

    assert np.isfinite(measure(window, REFERENCE, every(window))).all()
    assert np.isfinite(measure(REFERENCE, np.array([[0.0, 400, 0, 100, 0]]), every(window))).all()


@each()
def test_one_row_is_enough_for_a_figure(measure: Measure) -> None:
    window = np.array([[1.0, 0, 0, 0, 0]])

    assert np.isfinite(measure(window, REFERENCE, every(window))).all()


@each()
def test_no_rows_are_no_figure(measure: Measure) -> None:
    nothing = np.zeros((1, 5))

    assert np.isnan(measure(nothing, REFERENCE, every(nothing))).all()
    assert np.isnan(measure(REFERENCE, nothing, every(nothing))).all()


@each(without=ORDERED)
def test_the_order_of_bins_does_not_matter(measure: Measure) -> None:
    draw = np.random.default_rng(1)
    window = draw.multinomial(300, [0.5, 0.2, 0.2, 0.05, 0.05])[None, :].astype(np.float64)
    order = draw.permutation(5)

    reordered = measure(window[:, order], REFERENCE[:, order], every(window))

    assert reordered == pytest.approx(measure(window, REFERENCE, every(window)))


@each()
def test_a_larger_shift_is_never_less(measure: Measure) -> None:
    figures = [measure(shifted(step), REFERENCE, every(REFERENCE))[0] for step in np.linspace(0, 0.39, 14)]

    assert (np.diff(figures) >= 0).all()
    assert figures[-1] > 0.1


@each()
def test_a_column_is_measured_alike_alone_and_among_others(measure: Measure) -> None:
    windows = np.concatenate([shifted(step) for step in (0.0, 0.1, 0.2)])
    reference = np.repeat(REFERENCE, 3, axis=0)

    together = measure(windows, reference, every(windows))

    alone = [measure(windows[[k]], REFERENCE, every(REFERENCE))[0] for k in range(3)]
    assert together == pytest.approx(alone)


@each(without=("mean_shift",))
def test_padding_does_not_matter(measure: Measure) -> None:
    window = shifted(0.1)
    wide, wide_reference, wide_mask = (
        np.pad(array, ((0, 0), (0, 3))) for array in (window, REFERENCE, every(window))
    )

    assert measure(wide, wide_reference, wide_mask) == pytest.approx(
        measure(window, REFERENCE, every(window))
    )
