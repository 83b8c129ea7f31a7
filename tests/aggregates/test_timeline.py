"""Rows fall into blocks by time, and windows are sums of blocks."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.aggregates.timeline import Timeline
from exporter.reference.bins import BinLayout, Column
from exporter.settings import COARSE_BLOCKS, FINE_BLOCKS, Settings

COLUMNS = (
    Column("age", "feature", "number", edges=np.array([18.0, 65.0])),
    Column("country", "feature", "category", categories=("DE", "FR")),
    Column("seen", "feature", "time", edges=np.array([0.0])),
)
LAYOUT = BinLayout(COLUMNS)
SETTINGS = Settings()
HOUR = SETTINGS.coarse_seconds
NOW = 500_000 * HOUR + 1234.5


def block_of(rows: int) -> Block:
    counts = np.zeros(LAYOUT.cells, np.uint32)
    counts[LAYOUT.offsets[:-1]] = rows
    return Block(rows, counts, np.zeros((3, 3)), np.zeros(len(LATENCY_BOUNDS) + 1, np.int64), 0.0)


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
    assert total[LAYOUT.offsets[:-1]].tolist() == [len(ages)] * 3


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
