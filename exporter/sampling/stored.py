"""The sample of one store: its rows with their labels, from a process that writes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

import numpy as np

from exporter.sampling.rows import SampledRow
from exporter.sampling.selection import priorities_of
from exporter.storage.labels import LabelTables
from exporter.storage.sampled_rows import SampledBlock, StoredRow, load_sampled_blocks, load_sampled_rows
from exporter.storage.store import Store

LABELS_AT_ONCE = 250  # looked up in one job of the writer: a few milliseconds, which commits wait for
_UNUSED = np.random.default_rng(0)  # rows with ids get no random priorities


class FoundLabel(NamedTuple):
    """Label of the prediction with a priority and a time, and the seconds that it took to come."""

    priority: int
    at: float
    label: str
    delay_seconds: float


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
        return blocks, with_labels(rows, maturation_seconds, partial(self._find, version_id))

    def _find(self, version_id: int, hashes: Sequence[bytes]) -> list[FoundLabel]:
        found: list[FoundLabel] = []

        def look_up() -> None:
            with self._store.begin() as transaction:
                found.extend(find_labels(LabelTables(transaction), version_id, hashes))

        self._call(look_up).result()
        return found


def with_labels(
    rows: Sequence[StoredRow],
    maturation_seconds: float,
    find: Callable[[Sequence[bytes]], Sequence[FoundLabel]],
) -> list[SampledRow]:
    """Sampled rows with their labels, None where they have none.

    Args:
        rows: as they are stored.
        maturation_seconds: labels that came later after their prediction are left out; 0 takes all.
        find: finds the labels of predictions of the version with distinct ids, as `find_labels`.
    """
    labels = [row.label for row in rows]
    place_of = {(row.priority, row.at): place for place, row in enumerate(rows)}
    hashes = list(dict.fromkeys(row.id_hash for row in rows if row.id_hash is not None))
    for first in range(0, len(hashes), LABELS_AT_ONCE):
        for found in find(hashes[first : first + LABELS_AT_ONCE]):
            place = place_of.get((found.priority, found.at))
            if place is not None and not 0 < maturation_seconds < found.delay_seconds:
                labels[place] = found.label
    return [SampledRow(row.at, row.content, label) for row, label in zip(rows, labels, strict=True)]


def find_labels(tables: LabelTables, version_id: int, hashes: Sequence[bytes]) -> list[FoundLabel]:
    """Labels of the predictions of a version with distinct ids, and of several with one id the latest."""
    labels = {id_hash: label.row for id_hash, label in tables.find_labels(hashes).items()}
    latest = tables.find_latest(list(labels))[1]
    own = latest.take(np.flatnonzero(latest.numbers["version_id"] == version_id))
    priorities = priorities_of(own, len(own), _UNUSED).tolist()
    return [
        FoundLabel(priority, at, labels[id_hash].label, labels[id_hash].at - at)
        for id_hash, priority, at in zip(own.ids, priorities, own.numbers["at"].tolist(), strict=True)
    ]
