"""Reads a uniform sample of the rows of a window, with their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from exporter.config.sampling import SampleConfig
from exporter.sampling.rows import RowsToKeep, Sample, SampledRow
from exporter.sampling.selection import priorities_of
from exporter.settings import Settings
from exporter.storage.labels import LabelTables
from exporter.storage.sampled_rows import StoredRow, load_sampled_blocks, load_sampled_rows, sample_key
from exporter.storage.schema import COARSE, FINE
from exporter.storage.store import Store

MAX_BYTES = 32 * 2**20  # of the contents of a sample
LABELS_AT_ONCE = 250  # looked up in one job of the writer: a few milliseconds, which commits wait for
_UNUSED = np.random.default_rng(0)  # rows with ids get no random priorities


def rows_to_keep(store: Store, sample: SampleConfig) -> RowsToKeep | None:
    """Columns of reference rows to leave out and to hash; None if no rows are kept.

    Raises:
        StoreError: the store failed.
    """
    if not sample.rows:
        return None
    if not sample.hash:
        return RowsToKeep(sample, b"")
    with store.writing() as connection:
        return RowsToKeep(sample, sample_key(connection))


class SampleReader:
    """Reads samples; any thread but the writer's may.

    Args:
        store: where the rows are.
        settings: with the lengths of blocks.
        call: runs a job in the writer's thread, which is the one that finds labels.
    """

    def __init__(
        self, store: Store, settings: Settings, call: Callable[[Callable[[], None]], Future[None]]
    ) -> None:
        self._store = store
        self._settings = settings
        self._call = call

    def load(
        self, version_id: int, start: float, end: float, max_rows: int, maturation_seconds: float = 0.0
    ) -> Sample:
        """Sample of the blocks that overlap a window, whole.

        Blocks keep about the same number of rows each, whatever their traffic. So the rows are those whose
        priority is below the lowest threshold of all blocks: each row of the window is among them with the
        same probability. Of more than `max_rows`, or more than `MAX_BYTES`, the ones with the lowest
        priorities are taken.

        Args:
            version_id: key of the version.
            start: of the window, in seconds since the epoch.
            end: of the window.
            max_rows: limit on the rows of the sample.
            maturation_seconds: labels that came later after their prediction are left out; 0 takes all.

        Raises:
            StoreError: the store failed, or the service is stopping.
        """
        lengths = {FINE: self._settings.block_seconds, COARSE: self._settings.coarse_seconds}
        counted = [
            (first, first + lengths[family], rows)
            for family, first, rows in self._store.load_block_rows(version_id, start - lengths[COARSE], end)
            if first + lengths[family] > start
        ]
        if not counted:
            return Sample((), 0, 0)
        first, last = min(first for first, _, _ in counted), max(last for _, last, _ in counted)
        with self._store.reading() as connection:
            blocks = load_sampled_blocks(connection, version_id, first, last)
            below = min((block.threshold for block in blocks if block.threshold is not None), default=None)
            rows = load_sampled_rows(
                connection, version_id, first, last, below=below, limit=max_rows, max_bytes=MAX_BYTES
            )
        labels = self._labels(version_id, rows, maturation_seconds)
        hour = lengths[COARSE]  # blocks are merged at other times than their counts
        hours = {block.start // hour for block in blocks}
        return Sample(
            rows=tuple(
                SampledRow(row.at, row.content, label) for row, label in zip(rows, labels, strict=True)
            ),
            counted=sum(rows for _, _, rows in counted),
            covered=sum(rows for first, _, rows in counted if first // hour in hours),
        )

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
