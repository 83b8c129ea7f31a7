"""Takes the sample of the rows that are counted, in the writer's thread and in its transactions."""

from __future__ import annotations

import logging
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt

import numpy as np
import sqlalchemy as sa

from exporter.aggregates.timeline import Timeline
from exporter.config.sampling import SampleConfig
from exporter.formats.batch import Batch
from exporter.reference.profile import Reference
from exporter.sampling.content import Treatment, encode_row
from exporter.sampling.selection import ANY, NONE, BottomK, priorities_of
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.lsm.records import ID_BYTES, Records
from exporter.storage.sampled_rows import (
    SampleSize,
    StoredRow,
    delete_blocks,
    drop_from_block,
    insert_rows,
    load_block_priorities,
    load_sample_sizes,
    merge_blocks,
    sample_key,
)
from exporter.storage.store import Store
from exporter.typing import Floats, Ints

log = logging.getLogger(__name__)

MAX_KNOWN_BLOCKS = 2000  # in memory, of all versions; others are read from the store when a row is for them
MAX_AGED_AT_ONCE = 4  # versions: requests wait meanwhile
LIMIT_SHARE, STORE_SHARE = 0.25, 0.8  # of the store's limit: what the sample may take, and how full it may be
ROW_OVERHEAD_BYTES = 120  # beside its content, with its part of the index
_NO_ID = bytes(ID_BYTES)

_Key = tuple[int, int]  # of a block: version and start


@dataclass(frozen=True)
class LiveRows:
    """Rows of a batch for one version, of which the ones in `counted` are new.

    `numbers` (rows,) are their numbers in the batch, `times` (rows,) in seconds since the epoch. `records`
    (rows,) are as they are stored by id, with an id of zeros where there is none; None if none has an id.
    `labels` (rows,) came along, empty where none did.
    """

    batch: Batch
    numbers: Ints
    times: Floats
    records: Records | None
    labels: Sequence[str | None]
    counted: Ints

    def priorities(self, random: np.random.Generator) -> Ints:
        """(counted,) priority of each row."""
        found = priorities_of(self.records, len(self.times), random)
        return found if len(self.counted) == len(found) else found[self.counted]


@dataclass(frozen=True)
class SampledVersion:
    """Version that rows are of: its key, the configuration of its sample, and its reference."""

    version_id: int
    config: SampleConfig
    reference: Reference


class Sampler:
    """State of the sample between transactions: the blocks in use, and the size of each version's sample.

    Args:
        settings: with the lengths of blocks and the store's limit.
        random: source of the priorities of rows without an id.
        partitions: that share the rows of each block.
    """

    def __init__(self, settings: Settings, random: np.random.Generator, partitions: int = 1) -> None:
        self.settings = settings
        self.random = random
        self._partitions = partitions
        self.paused = False  # blocks without rows get none
        # By version; replaced, never changed in place. Empty until it is loaded, before the first ageing.
        self.sizes: Mapping[int, SampleSize] = {}
        self._loaded = False
        self._blocks: OrderedDict[_Key, BottomK] = OrderedDict()
        self._aged: dict[int, int] = {}  # time up to which the blocks of a version are merged

    def begin(self, connection: sa.Connection) -> Draw:
        """Sample of the rows of one transaction."""
        return Draw(self, connection)

    def retention_seconds(self, config: SampleConfig) -> float:
        """Time for which rows are kept: at most that of their ids, by which labels are found."""
        return min(config.retention, self.settings.prediction_retention_days * DAY_SECONDS)

    def limit(self, config: SampleConfig) -> int:
        """Rows to keep of a block: all of the configuration, or a partition's share.

        A sample of all partitions has the rows below the lowest of their thresholds in its blocks, so a share
        is larger by six standard deviations.
        """
        share = config.rows / self._partitions
        return config.rows if self._partitions == 1 else min(config.rows, ceil(share + 6 * sqrt(share)))

    def find_block(self, connection: sa.Connection, key: _Key) -> BottomK:
        """Chosen rows of a block, from memory or from the store."""
        block = self._blocks.get(key)
        if block is None:
            priorities, threshold = load_block_priorities(connection, *key)
            block = BottomK(np.array(priorities, np.int64), ANY if threshold is None else threshold)
            self._keep({key: block})
        else:
            self._blocks.move_to_end(key)
        return block

    def apply(self, blocks: Mapping[_Key, BottomK], grown: Mapping[int, SampleSize]) -> None:
        """Take over what a transaction has written."""
        self._keep(blocks)
        self._grow(grown)

    def _keep(self, blocks: Mapping[_Key, BottomK]) -> None:
        """Keep blocks in memory, and drop the longest unused beyond what may be known."""
        self._blocks |= blocks
        while len(self._blocks) > MAX_KNOWN_BLOCKS:
            self._blocks.popitem(last=False)

    def _grow(self, grown: Mapping[int, SampleSize]) -> None:
        if self._loaded and grown:
            sizes = dict(self.sizes)
            for key, size in grown.items():
                sizes[key] = sizes.get(key, SampleSize()) + size
            self.sizes = {key: size for key, size in sizes.items() if size.rows}

    def age(self, store: Store, versions: Mapping[int, SampleConfig], retained: float) -> None:
        """Merge fine blocks into coarse ones, and delete expired ones, of a few versions that are due.

        Args:
            store: with the sample.
            versions: configuration of the monitored versions; that of others is the default.
            retained: the time that retention has reached.
        """
        horizon = Timeline(self.settings).horizon(retained)
        if not self._loaded:
            with store.reading() as connection:
                self.sizes, self._loaded = load_sample_sizes(connection), True
        off = [key for key, config in versions.items() if not config.rows and key in self.sizes]
        due = [key for key in {**self.sizes, **versions} if self._aged.get(key) != horizon and key not in off]
        chosen = [*off, *due][:MAX_AGED_AT_ONCE]
        if not chosen:
            return
        deleted = {}
        with store.begin() as transaction:
            for key in chosen:
                config = versions.get(key, SampleConfig())
                deleted[key] = self._age(transaction.connection, key, config, horizon, retained)
        with store.applying():
            self._aged |= dict.fromkeys(chosen, horizon)
            for key, start in list(self._blocks):
                if key in deleted and (start < horizon or key in off):
                    del self._blocks[key, start]
            self._grow({key: SampleSize() - size for key, size in deleted.items() if size.rows})

    def _age(
        self, connection: sa.Connection, key: int, config: SampleConfig, horizon: int, retained: float
    ) -> SampleSize:
        """Age the sample of one version; returns what was deleted."""
        if not config.rows:
            return delete_blocks(connection, key)
        expired = delete_blocks(connection, key, retained - self.retention_seconds(config))
        first, length = self._aged.get(key, 0), self.settings.coarse_seconds
        return expired + merge_blocks(connection, key, first, horizon, length, self.limit(config))

    def watch(self, store_bytes: int) -> None:
        """Pause while the store is nearly full, or the sample has its part of it."""
        limit = self.settings.store_limit_bytes
        taken = sum(size.bytes + ROW_OVERHEAD_BYTES * size.rows for size in self.sizes.values())
        paused = store_bytes >= STORE_SHARE * limit or taken >= LIMIT_SHARE * limit
        if paused != self.paused:
            self.paused = paused
            log.warning(
                "the sample takes %d bytes, the store %d of %d: %s",
                *(taken, store_bytes, limit, "no further rows are sampled" if paused else "sampling goes on"),
            )


@dataclass
class _Changed:
    """Block of a transaction: as it is stored, as it will be, and its new rows by priority."""

    before: BottomK
    after: BottomK
    rows: dict[int, tuple[LiveRows, int, Treatment]] = field(default_factory=dict)


class Draw:
    """Sample of the rows of one transaction: collected, written with it, applied after its commit."""

    def __init__(self, sampler: Sampler, connection: sa.Connection) -> None:
        self._sampler = sampler
        self._connection = connection
        self._changed: dict[_Key, _Changed] = {}
        self._written: dict[_Key, BottomK] = {}
        self._grown: dict[int, SampleSize] = defaultdict(SampleSize)

    def take(self, source: SampledVersion, rows: LiveRows, starts: Ints, now: float) -> None:
        """Take rows that are counted.

        Args:
            source: version that they are of.
            rows: the rows.
            starts: (counted,) of their blocks.
            now: the clock's time.
        """
        if not source.config.rows:
            return
        priorities = rows.priorities(self._sampler.random)
        if (starts == starts[0]).all():
            keys, codes = [(source.version_id, int(starts[0]))], None
        else:
            distinct, codes = np.unique(starts, return_inverse=True)
            keys = [(source.version_id, start) for start in distinct.tolist()]
        oldest = now - self._sampler.retention_seconds(source.config)
        thresholds = np.array([NONE if key[1] < oldest else self._threshold(key) for key in keys], np.int64)
        # Nearly always none: most rows are in a block of which more rows came before than are chosen.
        passing = np.flatnonzero(priorities < (thresholds[0] if codes is None else thresholds[codes]))
        if not len(passing):
            return
        treatment, limit = self._treatment(source), self._sampler.limit(source.config)
        order = passing if codes is None else passing[np.argsort(codes[passing], kind="stable")]
        ends: Ints | list[int] = [] if codes is None else np.flatnonzero(np.diff(codes[order])) + 1
        for inside in np.split(order, ends):
            key = keys[0 if codes is None else codes[inside[0]]]
            changed = self._change(key)
            changed.after, places = changed.after.admit(priorities[inside], limit)
            for row in inside[places].tolist():
                changed.rows[int(priorities[row])] = (rows, int(rows.counted[row]), treatment)

    def _threshold(self, key: _Key) -> int:
        if key in self._changed:
            return self._changed[key].after.threshold
        block = self._sampler.find_block(self._connection, key)
        empty = not len(block.priorities) and block.threshold == ANY
        return NONE if self._sampler.paused and empty else block.threshold

    def _change(self, key: _Key) -> _Changed:
        if key not in self._changed:
            block = self._sampler.find_block(self._connection, key)
            self._changed[key] = _Changed(block, block)
        return self._changed[key]

    def _treatment(self, source: SampledVersion) -> Treatment:
        columns = [column.name for column in source.reference.columns if column.role == "feature"]
        key = sample_key(self._connection) if source.config.hash else b""
        return Treatment.of(source.config, columns, key)

    def write(self) -> None:
        """Write the chosen rows, and delete those that they replace."""
        rows: dict[_Key, list[StoredRow]] = {}
        marks: dict[_Key, int] = {}
        for key, changed in self._changed.items():
            threshold = changed.after.threshold
            if threshold != changed.before.threshold:
                marks[key] = threshold
                if changed.before.highest >= threshold:
                    self._grown[key[0]] -= drop_from_block(self._connection, *key, threshold)
            rows[key] = [
                _stored(priority, *row) for priority, row in changed.rows.items() if priority < threshold
            ]
            added = SampleSize(len(rows[key]), sum(len(row.content) for row in rows[key]))
            self._grown[key[0]] += added
            self._written[key] = changed.after
        insert_rows(self._connection, rows, marks)

    def apply(self) -> None:
        """Take over what was written into memory, after the commit."""
        self._sampler.apply(self._written, self._grown)


def _stored(priority: int, rows: LiveRows, row: int, treatment: Treatment) -> StoredRow:
    id_hash = _NO_ID if rows.records is None else rows.records.numbers["id_hash"][row].tobytes()
    label = rows.labels[row] if rows.labels and id_hash == _NO_ID else None
    return StoredRow(
        priority=priority,
        at=float(rows.times[row]),
        id_hash=None if id_hash == _NO_ID else id_hash,
        label=label,
        content=encode_row(rows.batch, int(rows.numbers[row]), treatment),
    )
