"""Bottom-k selection is exact, whatever the order, and uniform."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from exporter.formats.hashing import id_hashes
from exporter.sampling.selection import ANY, NONE, BottomK, priorities_of
from exporter.storage.lsm.records import Records
from exporter.storage.rows import PREDICTIONS
from exporter.typing import Ints

BLOCK_ROWS, KEPT, BLOCKS = 1000, 50, 200


def admit(block: BottomK, priorities: Ints, limit: int) -> BottomK:
    """As the sampler does: rows below the threshold only."""
    return block.admit(priorities[priorities < block.threshold], limit)[0]


@given(st.lists(st.lists(st.integers(-40, 40), max_size=12), max_size=8), st.integers(1, 10))
def test_the_lowest_distinct_priorities_are_chosen_whatever_the_order(
    batches: list[list[int]], limit: int
) -> None:
    block = BottomK(np.empty(0, np.int64))
    for batch in batches:
        block = admit(block, np.array(batch, np.int64), limit)
    every = sorted({priority for batch in batches for priority in batch})
    assert block.priorities.tolist() == every[:limit]
    assert block.threshold == (every[limit] if len(every) > limit else ANY)


@given(st.lists(st.tuples(st.lists(st.integers(-40, 40), max_size=12), st.integers(1, 10)), max_size=8))
def test_every_row_below_the_threshold_is_there_however_the_limit_changes(
    steps: list[tuple[list[int], int]],
) -> None:
    block, seen = BottomK(np.empty(0, np.int64)), set[int]()
    for priorities, limit in steps:
        block = admit(block, np.array(priorities, np.int64), limit)
        seen |= {*priorities}
        assert block.priorities.tolist() == sorted(each for each in seen if each < block.threshold)
        assert len(block.priorities) <= limit


def rows_of(ids: list[str], payloads: Ints) -> Records:
    count, nothing = len(ids), [None] * len(ids)
    hashes = [hashed or bytes(16) for hashed in id_hashes("fraud", [each or None for each in ids])]
    return PREDICTIONS.pack(
        id_hash=hashes,
        version_id=np.zeros(count),
        payload=payloads,
        at=np.zeros(count),
        prediction=nothing,
        score=np.zeros(count),
        scores=nothing,
        segments=nothing,
    )


def test_the_sample_is_uniform_over_rows_with_and_without_ids() -> None:
    """Chosen rows by their place in the block, and by parity: alternate rows have an id."""
    random = np.random.default_rng(5)
    places: list[int] = []
    for number in range(BLOCKS):
        ids = [f"{number}-{row}" if row % 2 else "" for row in range(BLOCK_ROWS)]
        records = rows_of(ids, random.integers(-(2**62), 2**62, BLOCK_ROWS))
        priorities = priorities_of(records, BLOCK_ROWS, random)
        block = BottomK(np.empty(0, np.int64))
        for some in np.array_split(priorities, 7):
            block = admit(block, some, KEPT)
        places += np.flatnonzero(np.isin(priorities, block.priorities)).tolist()
    assert len(places) == BLOCKS * KEPT
    assert chisquare(np.bincount(np.array(places) // 50)).pvalue > 0.01
    assert chisquare(np.bincount(np.array(places) % 2)).pvalue > 0.01


def test_priorities_are_spread_evenly() -> None:
    ids, random = [f"customer {number}" for number in range(5000)], np.random.default_rng(2)
    for records in (rows_of(ids, np.full(5000, 7)), None):
        shares = (priorities_of(records, 5000, random).astype(float) - NONE) / 2.0**64
        assert kstest(shares, "uniform").pvalue > 0.01


def test_one_id_with_many_contents_neither_fills_a_block_nor_empties_it() -> None:
    random = np.random.default_rng(3)
    payloads = random.integers(-(2**62), 2**62, BLOCK_ROWS)
    ids = ["the busiest customer" if row % 2 else f"{row}" for row in range(BLOCK_ROWS)]
    block = admit(
        BottomK(np.empty(0, np.int64)), priorities_of(rows_of(ids, payloads), BLOCK_ROWS, random), 100
    )
    chosen = np.isin(priorities_of(rows_of(ids, payloads), BLOCK_ROWS, random), block.priorities)
    assert 35 <= chosen[1::2].sum() <= 65
