"""Rows that the partitions of a Kafka group keep: sampled ones, and those that wait for a reference."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator

from exporter.partitions.reader import PartitionReader, partition_readers
from exporter.sampling.rows import SampledRow
from exporter.sampling.stored import find_labels, with_labels
from exporter.storage.sampled_rows import (
    SampledBlock,
    SampleSize,
    StoredRow,
    load_sample_sizes,
    load_sampled_blocks,
    load_sampled_rows,
)
from exporter.storage.schema import RawRows
from exporter.storage.store import Store


class PartitionedRows:
    """Reads rows of all partitions, see `SampleSource`; any thread may use it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load_block_rows(self, version_id: int, first: float, end: float) -> list[tuple[int, int, int]]:
        """(family, start, rows) of the blocks of each partition with first <= start < end."""
        return [
            block
            for reader in partition_readers(self._store)
            for block in reader.load_block_rows(version_id, first, end)
        ]

    def load_rows(
        self,
        version_id: int,
        first: int,
        end: float,
        max_rows: int,
        max_bytes: int,
        maturation_seconds: float,
    ) -> tuple[list[SampledBlock], list[SampledRow]]:
        """Blocks of each partition, and rows below the lowest threshold of all of them."""
        readers = partition_readers(self._store)
        blocks = []
        for reader in readers:
            with reader.reading() as connection:
                blocks += load_sampled_blocks(connection, version_id, first, end)
        below = min((block.threshold for block in blocks if block.threshold is not None), default=None)
        chosen: list[tuple[StoredRow, int]] = []
        for place, reader in enumerate(readers):
            with reader.reading() as connection:
                rows = load_sampled_rows(
                    connection, version_id, first, end, below=below, limit=max_rows, max_bytes=max_bytes
                )
            of_reader = [(row, place) for row in rows]
            found = list(heapq.merge(chosen, of_reader, key=lambda each: each[0].priority))
            chosen = _within(found, max_rows, max_bytes)
            if len(chosen) < len(found):
                below = found[len(chosen)][0].priority
        by_reader: dict[int, list[StoredRow]] = defaultdict(list)
        for row, place in chosen:
            by_reader[place].append(row)
        labelled = {
            place: iter(_label(readers[place], version_id, rows, maturation_seconds))
            for place, rows in by_reader.items()
        }
        return blocks, [next(labelled[place]) for _, place in chosen]

    def load_waiting(self, version_id: int) -> Iterator[RawRows]:
        """Requests that wait for a version's reference, of the partitions in turn."""
        waiting = deque(reader.load_waiting(version_id) for reader in partition_readers(self._store))
        while waiting:
            requests = waiting.popleft()
            request = next(requests, None)
            if request is not None:
                yield request
                waiting.append(requests)

    def load_sample_sizes(self) -> dict[int, SampleSize]:
        """Size of each version's sample."""
        sizes: dict[int, SampleSize] = {}
        for reader in partition_readers(self._store):
            with reader.reading() as connection:
                for key, size in load_sample_sizes(connection).items():
                    sizes[key] = sizes.get(key, SampleSize()) + size
        return sizes


def _within(rows: list[tuple[StoredRow, int]], max_rows: int, max_bytes: int) -> list[tuple[StoredRow, int]]:
    """The first rows, up to the limits."""
    taken = 0
    for number, (row, _) in enumerate(rows[:max_rows]):
        taken += len(row.content)
        if taken > max_bytes:
            return rows[:number]
    return rows[:max_rows]


def _label(
    reader: PartitionReader, version_id: int, rows: list[StoredRow], maturation_seconds: float
) -> list[SampledRow]:
    with reader.reading_labels() as tables:
        return with_labels(rows, maturation_seconds, lambda hashes: find_labels(tables, version_id, hashes))
