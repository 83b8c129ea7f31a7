"""Reads a uniform sample of the rows of a window, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from exporter.config.sampling import SampleConfig
from exporter.sampling.rows import RowsToKeep, Sample, SampledRow
from exporter.settings import Settings
from exporter.storage.sampled_rows import SampledBlock, sample_key
from exporter.storage.schema import COARSE, FINE
from exporter.storage.store import Store

MAX_BYTES = 32 * 2**20  # of the contents of a sample


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


class SampleSource(Protocol):
    """Store of sampled rows and of counts of all rows; any thread but the writer's may read it."""

    def load_block_rows(self, version_id: int, first: float, end: float) -> Sequence[tuple[int, int, int]]:
        """(family, start, rows) of counted blocks with first <= start < end."""

    def load_rows(
        self,
        version_id: int,
        first: int,
        end: float,
        max_rows: int,
        max_bytes: int,
        maturation_seconds: float,
    ) -> tuple[Sequence[SampledBlock], Sequence[SampledRow]]:
        """Sampled blocks with first <= start < end, and rows of them, each with the same probability.

        Blocks keep about the same number of rows each, whatever their traffic. So the rows are those whose
        priority is below the lowest threshold of all blocks. Of more than `max_rows` or `max_bytes`, the
        ones with the lowest priorities are taken. Labels that came later than `maturation_seconds` after
        their prediction are left out; 0 takes all.
        """


class SampleReader:
    """Reads samples; any thread but the writer's may."""

    def __init__(self, source: SampleSource, settings: Settings) -> None:
        self._source = source
        self._settings = settings

    def load(
        self, version_id: int, start: float, end: float, max_rows: int, maturation_seconds: float = 0.0
    ) -> Sample:
        """Sample of the blocks that overlap a window, whole.

        Each row of the window is in it with the same probability, see `SampleSource.load_rows`.

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
            for family, first, rows in self._source.load_block_rows(version_id, start - lengths[COARSE], end)
            if first + lengths[family] > start
        ]
        if not counted:
            return Sample((), 0, 0)
        first, last = min(first for first, _, _ in counted), max(last for _, last, _ in counted)
        blocks, rows = self._source.load_rows(
            version_id, first, last, max_rows, MAX_BYTES, maturation_seconds
        )
        hour = lengths[COARSE]  # blocks are merged at other times than their counts
        hours = {block.start // hour for block in blocks}
        return Sample(
            rows=tuple(rows),
            counted=sum(rows for _, _, rows in counted),
            covered=sum(rows for first, _, rows in counted if first // hour in hours),
        )
