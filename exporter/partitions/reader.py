"""Reads the tables of a partition, which a worker writes in another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from exporter.storage.labels import LabelTables
from exporter.storage.lsm.pages import PageReader
from exporter.storage.lsm.tree import LsmTree
from exporter.storage.partition import find_partitions, schema_name
from exporter.storage.reads import StoreReads
from exporter.storage.rows import LABELS, PREDICTIONS
from exporter.storage.store import Store
from exporter.storage.transaction import Transaction

_SEARCH = sa.text("SELECT set_config('search_path', :name || ', ' || current_setting('search_path'), true)")
# A worker writes to this table before it drops any other one, and waits until the reader has ended.
_KEEP_TABLES = sa.text("LOCK TABLE sstables IN SHARE MODE")


class PartitionReader(StoreReads):
    """Reads of a partition through the connections of the evaluator's store; any thread may use it."""

    def __init__(self, store: Store, number: int) -> None:
        super().__init__(self._reading)
        self._store = store
        self._schema_name = schema_name(number)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._store.reading() as connection:
            connection.execute(_SEARCH, {"name": self._schema_name})  # for this transaction
            yield connection

    @contextmanager
    def reading_labels(self) -> Iterator[LabelTables]:
        """Labels and predictions as they are now; merges of the partition's tables wait meanwhile."""
        with self.reading() as connection:
            connection.execute(_KEEP_TABLES)
            pages = PageReader(connection.engine)
            predictions = LsmTree(PREDICTIONS, pages, self._schema_name)
            labels = LsmTree(LABELS, pages, self._schema_name)
            predictions.begin(connection)
            labels.begin(connection)
            yield LabelTables(Transaction(connection, predictions, labels, partitioned=True))


def count_partitions(store: Store) -> int | None:
    """Number of partitions of the group's topic; None if no worker has opened one yet."""
    with store.reading() as connection:
        found = find_partitions(connection)
    return found.count if found is not None else None


def partition_readers(store: Store) -> list[PartitionReader]:
    """Readers of all partitions that have a store, by number."""
    with store.reading() as connection:
        found = find_partitions(connection)
    return [PartitionReader(store, number) for number in (found.numbers if found is not None else ())]
