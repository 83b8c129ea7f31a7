"""Blocks add up, over parts of a batch and in any order, and survive being stored."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.aggregates.block import LATENCY_BOUNDS, Block, decode_block, fold, latency_histogram
from exporter.aggregates.timeline import Timeline
from exporter.errors import StoreError
from exporter.reference.binning import Binned
from exporter.reference.bins import BinLayout, Column
from exporter.settings import Settings
from exporter.typing import Floats, Ints

COLUMNS = (
    Column("age", "feature", "number", edges=np.array([18.0, 65.0])),
    Column("country", "feature", "category", categories=("DE", "FR")),
    Column("seen", "feature", "time", edges=np.array([0.0])),
)
LAYOUT = BinLayout(COLUMNS)


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
    timeline = Timeline(Settings(), {0: largest, 300: largest, 600: beyond})
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
