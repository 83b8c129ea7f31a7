"""Rows of the sample in the store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from exporter.storage.sampled_rows import (
    SampledBlock,
    SampleSize,
    StoredRow,
    delete_blocks,
    drop_from_block,
    insert_rows,
    load_block_priorities,
    load_sample_sizes,
    load_sampled_blocks,
    load_sampled_rows,
    merge_blocks,
    sample_key,
)
from exporter.storage.store import Store

HOUR, FINE = 3600, 300
OpenStore = Callable[[str], Store]


def row(priority: int, content: bytes = b"{}") -> StoredRow:
    return StoredRow(priority, 7.5, bytes(15) + b"a" if priority % 2 else None, None, content)


@pytest.fixture
def store(store_uri: str, open_store: OpenStore) -> Store:
    return open_store(store_uri)


def test_rows_are_found_by_block_and_priority_within_limits(store: Store) -> None:
    with store.begin() as transaction:
        rows = {(1, 0): [row(5), row(-(2**63))], (1, FINE): [row(3, b"x" * 9)], (2, 0): [row(1)]}
        insert_rows(transaction.connection, rows, {(1, FINE): 4})
    with store.reading() as connection:
        assert load_sampled_blocks(connection, 1, 0, HOUR) == [
            SampledBlock(0, 2, None),
            SampledBlock(FINE, 1, 4),
        ]
        assert load_block_priorities(connection, 1, FINE) == ([3], 4)

        def found(first: int = 0, end: float = HOUR, **options: int) -> list[int]:
            limits = {"limit": 10, "max_bytes": 100} | options
            return [each.priority for each in load_sampled_rows(connection, 1, first, end, **limits)]

        assert found() == [-(2**63), 3, 5]
        assert found(below=5) == [-(2**63), 3]
        assert found(first=1) == [3]
        assert found(end=FINE) == [-(2**63), 5]
        assert found(limit=2) == [-(2**63), 3]
        assert found(max_bytes=12) == [-(2**63), 3]
        assert load_sampled_rows(connection, 1, FINE, HOUR, limit=1, max_bytes=9) == [row(3, b"x" * 9)]
        assert load_sample_sizes(connection) == {1: SampleSize(3, 13), 2: SampleSize(1, 2)}


def test_rows_from_a_priority_on_are_dropped_with_the_mark(store: Store) -> None:
    with store.begin() as transaction:
        insert_rows(transaction.connection, {(1, 0): [row(1), row(5), row(8)]}, {(1, 0): 9})
        assert drop_from_block(transaction.connection, 1, 0, 5) == SampleSize(2, 4)
        assert load_block_priorities(transaction.connection, 1, 0) == ([1], None)


def test_merged_blocks_have_the_lowest_threshold_of_all(store: Store) -> None:
    with store.begin() as transaction:
        rows = {
            (1, 0): [row(1), row(7)],
            (1, FINE): [row(2), row(7), row(9)],
            (1, 2 * FINE): [row(4)],
            (1, HOUR + FINE): [row(6)],
            (1, 5 * HOUR + FINE): [row(6)],
        }
        insert_rows(transaction.connection, rows, {(1, 2 * FINE): 8})
        assert merge_blocks(transaction.connection, 1, 0, 2 * HOUR, HOUR, 10) == SampleSize(2, 4)
        assert load_sampled_blocks(transaction.connection, 1, 0, 2**40) == [
            SampledBlock(0, 4, 8),
            SampledBlock(HOUR, 1, None),
            SampledBlock(5 * HOUR + FINE, 1, None),
        ]
        insert_rows(transaction.connection, {(1, FINE): [row(3)]}, {})
        assert merge_blocks(transaction.connection, 1, 0, 2 * HOUR, HOUR, 3) == SampleSize(2, 4)
        assert load_block_priorities(transaction.connection, 1, 0) == ([1, 2, 3], 4)
        assert delete_blocks(transaction.connection, 1, HOUR) == SampleSize(3, 6)
        assert delete_blocks(transaction.connection, 1) == SampleSize(2, 4)
        assert load_sample_sizes(transaction.connection) == {}


def test_the_key_of_hashes_is_made_once(store: Store) -> None:
    with store.begin() as transaction:
        key = sample_key(transaction.connection)
    with store.begin() as transaction:
        assert sample_key(transaction.connection) == key
    assert len(set(key)) > 8
