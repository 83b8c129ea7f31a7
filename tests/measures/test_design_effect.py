import numpy as np
import pytest

from exporter.measures.design_effect import design_effect
from exporter.typing import Floats, Ints
from tests.measures.tables import layout_of

BLOCKS = 288  # a day of five minutes
HOURS = np.arange(BLOCKS) // 12
LAYOUT = layout_of(["number", "category"], 10)


def day(bursts: int, size: int, seed: int = 0, shares: Floats | None = None) -> Ints:
    """(blocks, cells): bursts of so many alike rows, at random times; `shares` (blocks, bins) by block."""
    draw = np.random.default_rng(seed)
    counts = np.zeros((BLOCKS, LAYOUT.offsets[-1]), np.int64)
    block = draw.integers(BLOCKS, size=bursts)
    for offset in LAYOUT.offsets[:-1]:
        if shares is None:
            value = draw.integers(10, size=bursts)
        else:
            value = (draw.uniform(size=(bursts, 1)) > np.cumsum(shares[block], axis=1)).sum(axis=1)
        np.add.at(counts, (block, offset + value), size)
    return counts


@pytest.mark.parametrize("rows", [100, 1000, 100_000])
def test_independent_rows_are_worth_what_they_are(rows: int) -> None:
    assert design_effect(day(rows, 1), HOURS, LAYOUT) == pytest.approx(np.ones(2), abs=0.15)


@pytest.mark.parametrize("bursts", [1000, 100_000])
def test_rows_in_bursts_of_ten_are_worth_a_tenth(bursts: int) -> None:
    assert design_effect(day(bursts, 10), HOURS, LAYOUT) == pytest.approx(np.full(2, 10.0), rel=0.15)


@pytest.mark.parametrize("bursts", [10, 30, 100])
def test_a_few_bursts_are_not_worth_more_than_they_are(bursts: int) -> None:
    effects = [design_effect(day(bursts, 10, seed), HOURS, LAYOUT) for seed in range(30)]

    assert np.median(effects) >= 10
    assert np.mean(effects) < 16


def test_a_day_that_changes_from_hour_to_hour_is_not_taken_for_bursts() -> None:
    tilt = np.sin(np.arange(24) / 24 * 2 * np.pi)[:, None] * np.linspace(-0.08, 0.08, 10)
    by_block = np.repeat(0.1 + tilt, 12, axis=0)

    assert design_effect(day(20_000, 1, shares=by_block), HOURS, LAYOUT) == pytest.approx(
        np.ones(2), abs=0.15
    )


def test_busy_blocks_keep_their_precision() -> None:
    draw = np.random.default_rng(2)
    counts = np.zeros((BLOCKS, LAYOUT.offsets[-1]), np.uint32)
    for offset in LAYOUT.offsets[:-1]:
        counts[:, offset : offset + 10] = draw.multinomial(1_000_000, np.full(10, 0.1), size=BLOCKS)

    assert design_effect(counts, HOURS, LAYOUT) == pytest.approx(np.ones(2), abs=0.15)


def test_a_flag_that_nobody_set_is_worth_what_the_other_columns_are() -> None:
    counts = day(100, 10)
    flag = slice(LAYOUT.offsets[1], LAYOUT.offsets[2])
    counts[:, flag] = counts[:, flag].sum(axis=1, keepdims=True) * (np.arange(12) == 0)

    effect = design_effect(counts, HOURS, LAYOUT)

    assert effect[1] == pytest.approx(effect[0], rel=0.1)
    assert effect[1] > 9


def test_missing_and_mismatched_rows_are_left_out() -> None:
    counts = day(1000, 1)
    counts[5, LAYOUT.offsets[1:] - 2] = 10_000
    counts[7, LAYOUT.offsets[1:] - 1] = 10_000

    assert design_effect(counts, HOURS, LAYOUT) == pytest.approx(np.ones(2), abs=0.15)


def test_a_single_batch_a_day_is_taken_as_independent() -> None:
    counts = day(1000, 10)
    counts[:] = counts.sum(axis=0) * (np.arange(BLOCKS) == 100)[:, None]

    assert design_effect(counts, HOURS, LAYOUT).tolist() == [1, 1]


def test_constant_columns_and_empty_windows_have_no_effect() -> None:
    constant = np.zeros((BLOCKS, LAYOUT.offsets[-1]), np.int64)
    constant[:, LAYOUT.offsets[:-1]] = 12_345

    assert design_effect(constant, HOURS, LAYOUT).tolist() == [1, 1]
    assert design_effect(np.zeros_like(constant), HOURS, LAYOUT).tolist() == [1, 1]
    assert design_effect(np.empty((0, 0), np.uint32), np.empty(0, np.int64), LAYOUT).tolist() == [1, 1]
