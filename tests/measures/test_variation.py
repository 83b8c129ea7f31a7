import numpy as np
import pytest

from exporter.arrays import Floats, Ints
from exporter.measures.psi import psi, sampling_floor, shares
from exporter.measures.variation import natural_variation, quality_allowance
from tests.measures.tables import layout_of

LAYOUT = layout_of(["number"], 4)
EVEN = np.full(4, 0.25)


def chunks_of(shares: Floats, rows: int) -> Ints:
    """(chunks, cells) with exactly these shares (chunks, bins), nothing missing."""
    return np.pad(np.round(shares * rows).astype(np.int64), ((0, 0), (0, 2)))


def drift_of(chunks: Ints) -> float:
    found = natural_variation(chunks, LAYOUT)
    assert found is not None
    return float(found[1]["drift"][0])


def test_fourteen_chunks_are_needed() -> None:
    assert natural_variation(chunks_of(np.tile(EVEN, (13, 1)), 1000), LAYOUT) is None

    found = natural_variation(chunks_of(np.tile(EVEN, (14, 1)), 1000), LAYOUT)

    assert found is not None
    assert found[0] == 14


def test_chunks_of_fewer_than_thirty_rows_are_not_used() -> None:
    rows = np.array([20] * 10 + [1000] * 20)

    found = natural_variation(chunks_of(np.tile(EVEN, (30, 1)) * rows[:, None], 1), LAYOUT)

    assert found is not None
    assert found[0] == 20


def test_a_reference_that_only_samples_the_same_allows_next_to_nothing() -> None:
    draw = np.random.default_rng(1)

    chunks = np.pad(draw.multinomial(500, EVEN, size=90), ((0, 0), (0, 2)))

    assert drift_of(chunks) < 0.01


def test_drift_is_the_mean_excess_of_each_chunk_against_the_others() -> None:
    tilt = np.array([0.05, -0.05, 0.02, -0.02])
    chunks = chunks_of(EVEN + np.where(np.arange(20) % 2, 1, -1)[:, None] * tilt, 1000)
    counts = chunks[:, :4].astype(np.float64)
    mask = np.ones(4, np.bool_)

    excess = [
        psi(shares(counts[k], mask), shares(np.delete(counts, k, axis=0).sum(axis=0), mask))
        - sampling_floor(np.array(4), np.array(1000), np.array(19_000))
        for k in range(20)
    ]

    assert drift_of(chunks) == pytest.approx(4.6 * np.mean(excess))


def test_two_blizzard_days_do_not_blind_a_column() -> None:
    quiet = np.random.default_rng(2).multinomial(1000, EVEN, size=88)
    storm = np.random.default_rng(3).multinomial(1000, [0.05, 0.05, 0.1, 0.8], size=2)

    assert drift_of(np.pad(np.concatenate([quiet, storm]), ((0, 0), (0, 2)))) < 0.2


def test_drift_is_at_most_a_half() -> None:
    heavy = np.where(np.arange(20) % 2, 1, -1)[:, None] * np.array([0.15, -0.15, 0.1, -0.1])

    assert drift_of(chunks_of(EVEN + heavy, 1000)) == 0.5


def test_a_column_that_is_another_in_every_chunk_cannot_be_told_from_drift() -> None:
    weekdays = np.eye(4)[np.arange(28) % 4]

    assert np.isnan(drift_of(chunks_of(weekdays, 1000)))


def test_chunks_too_small_for_drift_still_tell_about_quality() -> None:
    draw = np.random.default_rng(4)

    found = natural_variation(np.pad(draw.multinomial(50, EVEN, size=200), ((0, 0), (0, 2))), LAYOUT)

    assert found is not None
    assert found[1]["drift"].tolist() == [0.5]
    assert found[1]["missing"].tolist() == [0]


def test_a_column_that_came_late_allows_the_most() -> None:
    layout = layout_of(["number", "number"], 4)
    chunks = np.tile([250, 250, 250, 250, 0, 0, 250, 250, 250, 250, 0, 0], (20, 1))
    chunks[:10, 6:] = [0, 0, 0, 0, 1000, 0]

    found = natural_variation(chunks, layout)

    assert found is not None
    assert found[1]["drift"].tolist() == [0, 0.5]


def test_quality_shares_are_allowed_their_mean_deviation() -> None:
    layout = layout_of(["number", "category"], 4)
    number = np.tile([10, 490, 480, 20, 0, 0], (20, 1))
    category = np.tile([500, 300, 200, 0, 0, 0], (20, 1))
    number[::2] += [0, -50, 0, 0, 40, 10]  # half the chunks: 4 % missing, 1 % mismatched
    category[::2] += [-20, 0, 0, 20, 0, 0]  # half the chunks: 2 % unseen

    found = natural_variation(np.concatenate([number, category], axis=1), layout)

    assert found is not None
    assert found[1]["missing"] == pytest.approx([4.6 * 0.02, 0])
    assert found[1]["type_mismatch"] == pytest.approx([4.6 * 0.005, 0])
    assert found[1]["unseen"] == pytest.approx([0, 4.6 * 0.01])
    # 30 of 1000 and 30 of 950 values
    assert found[1]["out_of_range"] == pytest.approx([4.6 * 0.00079, 0], abs=1e-4)


def test_a_long_reference_is_thinned_evenly() -> None:
    found = natural_variation(chunks_of(np.tile(EVEN, (2500, 1)), 100), LAYOUT)

    assert found is not None
    assert found[0] == 834


# -- quality ------------------------------------------------------------------------------------------------


def test_quality_that_only_samples_the_same_is_allowed_next_to_nothing() -> None:
    draw = np.random.default_rng(1)

    allowed = [quality_allowance(draw.normal(0, 0.02, 40), np.full(40, 0.02)) for _ in range(200)]

    assert np.median(allowed) == 0
    assert np.mean(allowed) < 0.2 * 0.02


def test_quality_that_varies_by_nature_is_allowed_a_tail_of_it() -> None:
    natural, chance = 0.05, 0.02
    draw = np.random.default_rng(1)
    worse = draw.normal(0, natural, 5000) + draw.normal(0, chance, 5000)

    allowed = quality_allowance(worse, np.full(5000, chance))

    assert allowed == pytest.approx(4.6 * natural / np.sqrt(2 * np.pi), rel=0.05)


def test_a_catastrophe_does_not_excuse_all_others() -> None:
    """As a quantile of a few dozen chunks would."""
    worse = np.append(np.tile([0.02, -0.02], 30), 0.9)

    assert quality_allowance(worse, np.zeros(61)) < 0.15


def test_days_that_are_better_excuse_nothing() -> None:
    assert quality_allowance(np.append(np.zeros(30), -0.5), np.zeros(31)) == 0
