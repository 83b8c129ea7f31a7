"""Rows and blocks are cut into chunks by time."""

from __future__ import annotations

import numpy as np

from exporter.aggregates.chunks import cut_rows, sum_blocks

DAY = 86400


def test_rows_are_cut_by_time_from_the_first_one_on() -> None:
    times = np.array([5.0, 100.0, 3.0, 25.0])

    chunks = cut_rows(times, 10, limit=100)

    assert chunks.numbers.tolist() == [0, 2, 9]
    assert chunks.place.tolist() == [0, 2, 0, 1]


def test_of_too_many_chunks_evenly_spread_ones_are_used() -> None:
    chunks = cut_rows(np.arange(100.0), 1, limit=5)

    assert chunks.numbers.tolist() == [0, 24, 49, 74, 99]
    assert np.flatnonzero(chunks.place >= 0).tolist() == chunks.numbers.tolist()


def test_chunks_can_be_spread_in_adjacent_pairs() -> None:
    numbers = cut_rows(np.arange(100.0), 1, limit=6, pairs=True).numbers

    assert numbers.tolist() == [0, 1, 49, 50, 98, 99]


def test_blocks_are_summed_by_chunk() -> None:
    blocks = {start: np.array([1, start], np.uint32) for start in (0, 5, 10, 30)}

    numbers, counts = sum_blocks(blocks, [0, 5, 30], np.array([0, 0, 3]), 2, limit=10)

    assert numbers.tolist() == [0, 3]
    assert counts.tolist() == [[2, 5], [1, 30]]


def test_of_too_many_chunks_of_blocks_adjacent_pairs_are_summed() -> None:
    blocks = {start: np.ones(1, np.uint32) for start in range(10)}

    numbers, counts = sum_blocks(blocks, list(range(10)), np.arange(10), 1, limit=4)

    assert numbers.tolist() == [0, 1, 8, 9]
    assert counts.tolist() == [[1]] * 4
