"""Aggregates add up: over parts, blocks, windows and replicas, in any order."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.aggregates.block import LATENCY_BOUNDS, Block, decode_block, fold, latency_histogram
from exporter.aggregates.timeline import Timeline
from exporter.errors import StoreError
from exporter.reference.binning import Binned
from exporter.reference.bins import BinLayout, Column
from exporter.settings import COARSE_BLOCKS, FINE_BLOCKS, Settings
from exporter.typing import Floats, Ints

COLUMNS = (
    Column("age", "feature", "number", edges=np.array([18.0, 65.0])),
    Column("country", "feature", "category", categories=("DE", "FR")),
    Column("seen", "feature", "time", edges=np.array([0.0])),
)
LAYOUT = BinLayout(COLUMNS)
SETTINGS = Settings()
HOUR = SETTINGS.coarse_seconds
NOW = 500_000 * HOUR + 1234.5


@st.composite
def binned_rows(draw: st.DrawFn) -> tuple[Binned, Ints, Floats]:
    """Rows in cells of the reference, with their blocks and latencies."""
    rows = draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    cells = np.stack(
        [
            random.integers(low, high, rows)
            for low, high in zip(LAYOUT.offsets, LAYOUT.offsets[1:], strict=False)
        ]
    )
    present = random.random((2, rows)) < 0.8
    # halves, whose sums are exact in any order
    standard = np.where(present, random.integers(-20, 20, (2, rows)) / 2, 0.0)
    latency = np.where(random.random(rows) < 0.8, random.integers(0, 64, rows) / 4, np.nan)
    return Binned(cells.astype(np.int32), standard, present), random.integers(0, 4, rows) * 300, latency


def assert_same(one: Block, other: Block) -> None:
    assert (one.rows, one.latency_sum) == (other.rows, other.latency_sum)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.moments, other.moments)
    np.testing.assert_array_equal(one.latency, other.latency)


def add_up(parts: list[dict[int, Block]]) -> dict[int, Block]:
    total: dict[int, Block] = {}
    for part in parts:
        for start, block in part.items():
            total[start] = total[start] + block if start in total else block
    return total


# -- folding ------------------------------------------------------------------------------------------------


def test_rows_are_counted_by_block() -> None:
    cells = np.array([[0, 1, 1], [5, 5, 7], [10, 11, 12]], np.int32)
    binned = Binned(cells, np.array([[1.0, -2.0, 0.0], [0.5, 0.5, 0.0]]), np.array([[True, True, False]] * 2))
    folded = fold(LAYOUT, binned, np.array([600, 300, 600]), np.array([0.003, np.nan, 20.0]))

    assert sorted(folded) == [300, 600]
    block = folded[600]
    assert block.rows == 2
    assert np.flatnonzero(block.counts).tolist() == [0, 1, 5, 7, 10, 12]
    assert block.moments.tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.5, 0.25]]
    assert block.latency.sum() == 2
    assert block.latency_sum == 20.003
    assert folded[300].latency.sum() == 0


@given(binned_rows(), st.data())
def test_a_batch_folds_like_its_parts_in_any_order(
    rows: tuple[Binned, Ints, Floats], data: st.DataObject
) -> None:
    binned, starts, latency = rows
    part = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(starts), max_size=len(starts))))
    order = data.draw(st.permutations(range(4)))
    whole = fold(LAYOUT, binned, starts, latency)
    parts = [
        fold(LAYOUT, binned.take(chosen), starts[chosen], latency[chosen])
        for chosen in (data.draw(st.permutations(np.flatnonzero(part == k).tolist())) for k in order)
        if chosen
    ]

    total = add_up(parts)
    assert total.keys() == whole.keys()
    for start, block in whole.items():
        assert_same(total[start], block)


@given(binned_rows())
def test_every_column_of_a_block_counts_every_row(rows: tuple[Binned, Ints, Floats]) -> None:
    for block in fold(LAYOUT, rows[0], rows[1], None).values():
        assert np.add.reduceat(block.counts, LAYOUT.offsets[:-1]).tolist() == [block.rows] * 3


def test_no_rows_make_no_block() -> None:
    empty = Binned(np.empty((3, 0), np.int32), np.empty((2, 0)), np.empty((2, 0), np.bool_))

    assert fold(LAYOUT, empty, np.empty(0, np.int64), None) == {}


def test_a_latency_is_counted_under_the_first_bound_that_it_does_not_exceed() -> None:
    counts, total = latency_histogram(np.array([0.0, 0.001, 0.0011, 10.0, 10.1, math.nan]))

    assert counts[0] == 2
    assert counts[1] == 1
    assert counts[len(LATENCY_BOUNDS) - 1] == 1
    assert counts[-1] == 1
    assert counts.sum() == 5
    assert total == pytest.approx(20.1021)


# -- adding -------------------------------------------------------------------------------------------------


def block_of(rows: int, **changes: object) -> Block:
    """Rows that are all alike."""
    counts = np.zeros(LAYOUT.cells, np.uint64 if rows >= 2**32 else np.uint32)
    counts[[0, 5, 10]] = rows
    empty = Block(rows, counts, np.zeros((3, 3)), np.zeros(len(LATENCY_BOUNDS) + 1, np.int64), 0.0)
    return replace(empty, **changes)  # type: ignore[arg-type]


@given(st.permutations([block_of(k + 1) for k in range(5)]))
def test_the_order_of_adding_does_not_matter(blocks: list[Block]) -> None:
    total = blocks[0]
    for block in blocks[1:]:
        total = total + block

    assert_same(total, block_of(15))


def test_adding_leaves_what_is_added_as_it_was() -> None:
    one, other = block_of(1), block_of(2)
    assert (one + other).rows == 3

    assert_same(one, block_of(1))
    assert_same(other, block_of(2))


def test_counts_do_not_overflow() -> None:
    largest = block_of(2**32 - 1)
    assert largest.counts.dtype == np.uint32

    beyond = largest + block_of(1)
    assert beyond.counts[0] == 2**32
    assert (beyond + beyond).counts[0] == 2**33
    assert_same(decode_block(beyond.encode()), beyond)
    timeline = Timeline(SETTINGS, {0: largest, 300: largest, 600: beyond})
    assert timeline.sum(LAYOUT.cells, 3, -math.inf, math.inf).counts[0] == 3 * 2**32 - 2
    assert timeline.fine_counts(-math.inf, math.inf)[1][:, 0].tolist() == [2**32 - 1, 2**32 - 1, 2**32]


# -- bytes --------------------------------------------------------------------------------------------------


@given(binned_rows())
def test_an_aggregate_comes_back_from_its_bytes(rows: tuple[Binned, Ints, Floats]) -> None:
    for block in fold(LAYOUT, *rows).values():
        back = decode_block(block.encode())
        assert_same(back, block)
        assert (back.counts.dtype, back.moments.dtype, back.latency.dtype) == (
            np.uint32,
            np.float64,
            np.int64,
        )
        assert_same(back + back, block + block)


def test_figures_that_are_no_numbers_come_back_as_well() -> None:
    odd = block_of(1, moments=np.array([[1.0, math.inf, math.nan]] * 3), latency_sum=math.inf)

    assert_same(decode_block(odd.encode()), odd)


ENCODED = next(iter(fold(
    LAYOUT, Binned(np.array([[1], [6], [11]], np.int32), np.ones((2, 1)), np.ones((2, 1), np.bool_)),
    np.zeros(1, np.int64), np.array([0.5]),
).values())).encode()  # fmt: skip


@given(st.integers(0, 8 * len(ENCODED) - 1))
def test_a_flipped_bit_never_gives_another_aggregate(bit: int) -> None:
    damaged = bytearray(ENCODED)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        back = decode_block(bytes(damaged))
    except StoreError:
        return
    assert_same(back, decode_block(ENCODED))  # a bit that means nothing


@given(st.integers(0, len(ENCODED) - 1))
def test_an_aggregate_cut_short_is_an_error(length: int) -> None:
    with pytest.raises(StoreError):
        decode_block(ENCODED[:length])


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01x", b"\xff" * 100, b"\x02" + ENCODED[1:]], ids=repr)
def test_bytes_of_something_else_are_an_error(data: bytes) -> None:
    with pytest.raises(StoreError, match="stored aggregate"):
        decode_block(data)


# -- time ---------------------------------------------------------------------------------------------------


def test_a_time_falls_into_the_fine_block_that_starts_at_or_before_it() -> None:
    block = NOW // 300 * 300
    times = np.array([block, block + 299.999, block + 300, block - 0.001])

    assert Timeline(SETTINGS).block_starts(times, NOW).tolist() == [block, block, block + 300, block - 300]


def test_beyond_the_horizon_blocks_are_coarse() -> None:
    timeline = Timeline(SETTINGS)
    horizon = timeline.horizon(NOW)

    assert horizon % HOUR == 0
    assert NOW - FINE_BLOCKS * 300 < horizon <= NOW - FINE_BLOCKS * 300 + HOUR
    starts = timeline.block_starts(np.array([horizon, horizon + 3599, horizon - 0.5, horizon - 3599]), NOW)
    assert starts.tolist() == [horizon, horizon + 3300, horizon - HOUR, horizon - HOUR]


def test_times_before_1970_have_blocks_as_well() -> None:
    assert Timeline(SETTINGS).block_starts(np.array([-1.0, -301.0]), 0.0).tolist() == [-300, -600]


def make_timeline(times: list[float]) -> Timeline:
    """A row at each time, in the block where it belongs now."""
    timeline = Timeline(SETTINGS)
    horizon = timeline.horizon(NOW)
    for start in timeline.block_starts(np.array(times), NOW).tolist():
        blocks = timeline.coarse if start < horizon else timeline.fine
        blocks[start] = blocks[start] + block_of(1) if start in blocks else block_of(1)
    return timeline


AGES = st.floats(0, COARSE_BLOCKS * HOUR / 2) | st.floats(25 * HOUR, 28 * HOUR) | st.floats(0, 2 * HOUR)


@given(st.lists(AGES, max_size=20), st.lists(st.floats(1, COARSE_BLOCKS * HOUR), max_size=4))
def test_adjacent_windows_hold_every_row_once(ages: list[float], cuts: list[float]) -> None:
    timeline = make_timeline([NOW - age for age in ages]) if ages else Timeline(SETTINGS)
    borders = [-math.inf, *sorted(NOW - cut for cut in cuts), math.inf]
    windows = [timeline.sum(LAYOUT.cells, 3, start, end) for start, end in pairwise(borders)]

    assert sum(window.rows for window in windows) == len(ages)
    total = np.sum([window.counts for window in windows], axis=0)
    assert total[[0, 5, 10]].tolist() == [len(ages)] * 3


@given(st.lists(AGES, min_size=1, max_size=20), st.integers(300, COARSE_BLOCKS * HOUR // 2))
def test_a_window_holds_what_is_younger_and_nothing_older_than_a_block(
    ages: list[float], seconds: int
) -> None:
    window = make_timeline([NOW - age for age in ages]).sum(LAYOUT.cells, 3, NOW - seconds, math.inf)

    assert window.rows >= sum(age < seconds for age in ages)
    assert window.rows <= sum(age < seconds + HOUR for age in ages)


def test_a_window_without_blocks_is_empty() -> None:
    window = Timeline(SETTINGS).sum(LAYOUT.cells, 3, NOW - 3600, math.inf)

    assert window.rows == 0
    assert window.counts.tolist() == [0] * LAYOUT.cells
    assert window.moments.shape == (3, 3)
    starts, counts = Timeline(SETTINGS).fine_counts(NOW - 3600, math.inf)
    assert (len(starts), len(counts)) == (0, 0)


def test_fine_blocks_of_a_window_come_in_order_of_time() -> None:
    block = int(NOW // 300 * 300)
    timeline = Timeline(SETTINGS, {block - 300: block_of(2), block: block_of(1), block - 900: block_of(3)})
    starts, counts = timeline.fine_counts(NOW - 600, math.inf)

    assert starts.tolist() == [block - 300, block]
    assert counts[:, 0].tolist() == [2, 1]


def test_a_snapshot_does_not_see_what_comes_later() -> None:
    timeline = Timeline(SETTINGS, {0: block_of(1)}, {-HOUR: block_of(2)})
    snapshot = timeline.snapshot(np.inf)
    timeline.fine[300] = block_of(4)
    timeline.coarse.clear()

    assert snapshot.sum(LAYOUT.cells, 3, -math.inf, math.inf).rows == 3
    assert snapshot.settings is SETTINGS
