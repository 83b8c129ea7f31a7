import numpy as np
import pytest

from exporter.measures.natural_variation import natural_variation, quality_allowance
from exporter.measures.psi import psi, sampling_floor, shares
from exporter.typing import Floats, Ints
from tests.measures.tables import layout_of

LAYOUT = layout_of(["number"], 4)
EVEN = np.full(4, 0.25)
TAIL = np.log(20 * 91)


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

    assert drift_of(chunks) < 0.05


def excess_of(chunks: Ints) -> Floats:
    """(chunks,) of each against the others."""
    counts, mask = chunks[:, :4].astype(np.float64), np.ones(4, np.bool_)
    others = counts.sum(axis=0) - counts
    floor = sampling_floor(np.array(4), counts.sum(axis=1), others.sum(axis=1))
    return psi(shares(counts, mask), shares(others, mask)) - floor


BAD = np.array([0.1, -0.1, 0.05, -0.05])


def test_drift_is_a_tail_of_the_lesser_excess_of_two_adjacent_chunks() -> None:
    chunks = chunks_of(EVEN + (np.arange(140) % 20 < 6)[:, None] * BAD, 1000)
    excess = excess_of(chunks)
    lesser = np.append(np.minimum(excess[:-1], excess[1:]), excess[-1])

    assert drift_of(chunks) == pytest.approx(11.94 * lesser.mean(), rel=1e-3)


def test_what_chunks_do_alone_is_allowed_as_if_half_of_it_lasted() -> None:
    chunks = chunks_of(EVEN + (np.arange(140) % 20 < 1)[:, None] * BAD, 1000)

    assert drift_of(chunks) == pytest.approx(0.54 * 11.94 * excess_of(chunks).mean(), rel=1e-3)


def test_of_many_columns_each_is_allowed_more() -> None:
    chunks = chunks_of(EVEN + (np.arange(140) % 20 < 6)[:, None] * BAD, 1000)

    found = natural_variation(np.tile(chunks, (1, 200)), layout_of(["number"] * 200, 4))

    assert found is not None
    assert found[1]["drift"][0] == pytest.approx(16.27 / 11.94 * drift_of(chunks), rel=1e-3)


def test_blizzard_days_do_not_blind_a_column() -> None:
    days = np.random.default_rng(2).multinomial(1000, EVEN, size=90)
    days[[20, 50]] = np.random.default_rng(3).multinomial(1000, [0.05, 0.05, 0.1, 0.8], size=2)

    assert drift_of(np.pad(days, ((0, 0), (0, 2)))) < 0.25


def test_a_weekday_that_is_always_unlike_the_others_may_be_so_again() -> None:
    draw = np.random.default_rng(5)
    days = draw.multinomial(1000, EVEN, size=84)
    days[5::7], days[6::7] = draw.multinomial(1000, [0.1, 0.2, 0.3, 0.4], size=(2, 12))
    chunks = np.pad(days, ((0, 0), (0, 2)))

    assert drift_of(chunks) > excess_of(chunks)[5::7].mean()


def test_thin_chunks_tell_of_the_seasons_together() -> None:
    draw = np.random.default_rng(6)
    hours = draw.multinomial(10, np.tile([EVEN] * 16 + [[0.1, 0.2, 0.3, 0.4]] * 8, (60, 1)))
    found = natural_variation(np.pad(hours, ((0, 0), (0, 2))), LAYOUT, 3600)

    assert found is not None
    chunks, variation = found
    assert chunks == 0
    assert variation["drift"][0] >= 1.0  # single hours are not known


def test_nights_too_thin_to_tell_leave_the_hour_unknown() -> None:
    hours = np.tile([[250, 250, 250, 250, 0, 0]] * 8 + [[1, 0, 0, 0, 0, 0]] * 16, (30, 1))

    assert natural_variation(hours, LAYOUT, 3600) is None


def test_a_longer_window_may_not_vary_more() -> None:
    chunks = chunks_of(np.tile(EVEN, (20, 1)), 1000)
    longer = {
        name: np.array([0.7]) for name in ("drift", "missing", "unseen", "out_of_range", "type_mismatch")
    }

    found = natural_variation(chunks, LAYOUT, longer=longer)

    assert found is not None
    assert found[1]["drift"] == found[1]["missing"] == [0.7]


def test_a_column_that_is_another_in_every_chunk_cannot_be_told_from_drift() -> None:
    weekdays = np.eye(4)[np.arange(28) % 4]

    assert np.isnan(drift_of(chunks_of(weekdays, 1000)))


def test_chunks_too_small_for_drift_still_tell_about_quality() -> None:
    draw = np.random.default_rng(4)

    found = natural_variation(np.pad(draw.multinomial(50, EVEN, size=200), ((0, 0), (0, 2))), LAYOUT)

    assert found is not None
    assert found[1]["drift"].tolist() == [1.0]
    assert found[1]["missing"].tolist() == [0]


def test_a_column_that_came_late_allows_the_most() -> None:
    layout = layout_of(["number", "number"], 4)
    chunks = np.tile([250, 250, 250, 250, 0, 0, 250, 250, 250, 250, 0, 0], (20, 1))
    chunks[:10, 6:] = [0, 0, 0, 0, 1000, 0]

    found = natural_variation(chunks, layout)

    assert found is not None
    assert found[1]["drift"].tolist() == [0, 1.0]


def test_quality_shares_are_allowed_their_mean_deviation() -> None:
    layout = layout_of(["number", "category"], 4)
    number = np.tile([10, 490, 480, 20, 0, 0], (20, 1))
    category = np.tile([500, 300, 200, 0, 0, 0], (20, 1))
    number[::2] += [0, -50, 0, 0, 40, 10]  # half the chunks: 4 % missing, 1 % mismatched
    category[::2] += [-20, 0, 0, 20, 0, 0]  # half the chunks: 2 % unseen

    found = natural_variation(np.concatenate([number, category], axis=1), layout)

    assert found is not None
    assert found[1]["missing"] == pytest.approx([TAIL * 0.02, 0], rel=0.03)
    assert found[1]["type_mismatch"] == pytest.approx([TAIL * 0.005, 0], rel=0.1)
    assert found[1]["unseen"] == pytest.approx([0, TAIL * 0.01], rel=0.05)
    assert found[1]["out_of_range"].tolist() == [0, 0]  # 30 of 1000 and of 950 values


def test_shares_that_only_sample_the_same_are_allowed_next_to_nothing() -> None:
    hours = np.random.default_rng(8).multinomial(40, [0.24, 0.24, 0.25, 0.25, 0.02, 0], size=24 * 60)

    found = natural_variation(hours, LAYOUT, 3600)

    assert found is not None
    assert found[1]["missing"][0] < 0.05


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
    """A quantile of a few dozen chunks would."""
    worse = np.append(np.tile([0.02, -0.02], 30), 0.9)

    assert quality_allowance(worse, np.zeros(61)) < 0.15


def test_days_that_are_better_excuse_nothing() -> None:
    assert quality_allowance(np.append(np.zeros(30), -0.5), np.zeros(31)) == 0


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_the_allowance_of_quality_goes_with_the_size_of_the_figures(size: float) -> None:
    worse, errors = np.random.default_rng(0).normal(size=(2, 30))

    allowed = quality_allowance(size * worse, size * np.abs(errors) / 10)

    assert allowed == pytest.approx(size * quality_allowance(worse, np.abs(errors) / 10))
    assert quality_allowance(np.zeros(20), np.zeros(20)) == 0
