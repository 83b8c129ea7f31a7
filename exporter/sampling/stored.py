"""The sample of one store: its rows with their labels, from a process that writes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from exporter.sampling.rows import SampledRow
from exporter.sampling.selection import priorities_of
from exporter.storage.labels import LabelTables
from exporter.storage.sampled_rows import SampledBlock, StoredRow, load_sampled_blocks, load_sampled_rows
from exporter.storage.store import Store

LABELS_AT_ONCE = 250  # looked up in one job of the writer: a few milliseconds, which commits wait for
_UNUSED = np.random.default_rng(0)  # rows with ids get no random priorities


class StoredSample:
    """Sampled rows of a store.

    Args:
        store: where the rows are.
        call: runs a job in the writer's thread, which is the one that finds labels.
    """

    def __init__(self, store: Store, call: Callable[[Callable[[], None]], Future[None]]) -> None:
        self._store = store
        self._call = call
        self.load_block_rows = store.load_block_rows

    def load_rows(
        self,
        version_id: int,
        first: int,
        end: float,
        max_rows: int,
        max_bytes: int,
        maturation_seconds: float,
    ) -> tuple[list[SampledBlock], list[SampledRow]]:
        """Blocks and rows, see `SampleSource`."""
        with self._store.reading() as connection:
            blocks = load_sampled_blocks(connection, version_id, first, end)
            below = min((block.threshold for block in blocks if block.threshold is not None), default=None)
            rows = load_sampled_rows(
                connection, version_id, first, end, below=below, limit=max_rows, max_bytes=max_bytes
            )
        labels = self._labels(version_id, rows, maturation_seconds)
        return blocks, [
            SampledRow(row.at, row.content, label) for row, label in zip(rows, labels, strict=True)
        ]

    def _labels(
        self, version_id: int, rows: Sequence[StoredRow], maturation_seconds: float
    ) -> list[str | None]:
        """(rows,) label of each, None where it has none."""
        labels = [row.label for row in rows]
        place_of = {(row.priority, row.at): place for place, row in enumerate(rows)}
        hashes = list(dict.fromkeys(row.id_hash for row in rows if row.id_hash is not None))
        for first in range(0, len(hashes), LABELS_AT_ONCE):
            for identity, label, delay in self._find(version_id, hashes[first : first + LABELS_AT_ONCE]):
                place = place_of.get(identity)
                if place is not None and not 0 < maturation_seconds < delay:
                    labels[place] = label
        return labels

    def _find(self, version_id: int, hashes: Sequence[bytes]) -> list[tuple[tuple[int, float], str, float]]:
        """Labels of the predictions of a version with distinct ids, and of several with one id the latest.

        Returns:
            Priority and time of each prediction, its label, and the seconds that this took.
        """
        found: list[tuple[tuple[int, float], str, float]] = []

        def look_up() -> None:
            with self._store.begin() as transaction:
                tables = LabelTables(transaction)
                labels = {id_hash: label.row for id_hash, label in tables.find_labels(hashes).items()}
                latest = tables.find_latest(list(labels))[1]
            own = latest.take(np.flatnonzero(latest.numbers["version_id"] == version_id))
            priorities = priorities_of(own, len(own), _UNUSED).tolist()
            times = own.numbers["at"].tolist()
            for id_hash, priority, at in zip(own.ids, priorities, times, strict=True):
                label = labels[id_hash]
                found.append(((priority, at), label.label, label.at - at))

        self._call(look_up).result()
        return found
