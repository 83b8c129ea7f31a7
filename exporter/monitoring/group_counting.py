"""Counts that the partitions of a Kafka group own: shared tables say what is to be, and partitions follow.

A reference is stored under a new id, the generation. Every partition takes it, counts its own waiting rows,
and acknowledges the id in its `version_states`; then sums in its bins are shown, and those of the former
reference until then. Partitions read maturations and samples from the configuration themselves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.errors import MisdirectedError, RequestError
from exporter.fleet import Fleet, Status, Version
from exporter.ingest.commit import Answer, IngestRequest
from exporter.ingest.retention import tidy
from exporter.partitions.arrivals import PartitionedArrivals
from exporter.partitions.rows import PartitionedRows
from exporter.partitions.sums import PartitionSums
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage.schema import RawRows
from exporter.storage.store import Store
from exporter.storage.wanted_versions import take_wanted

log = logging.getLogger(__name__)

COUNTING_PAUSE = 20.0  # between two counts of all sampled rows, times the duration of one

REFUSAL = (
    "this exporter evaluates what workers of a Kafka group have counted, and takes no rows: send messages "
    "to the topic, post to a worker with EXPORTER_INGEST=kafka, or set it here"
)


class GroupCounting:
    """Shows the sums of all partitions, and writes what they follow; see `Counting`.

    A partition that has not taken a version's newest reference, or that no worker has opened yet, is in
    `Version.missing_partitions`.
    """

    def __init__(self, store: Store, fleet: Fleet, settings: Settings, clock: Callable[[], float]) -> None:
        self._store = store
        self._fleet = fleet
        self._settings = settings
        self._clock = clock
        self._sums = PartitionSums(store, settings, fleet)
        self.rows = PartitionedRows(store)
        self.arrivals = PartitionedArrivals(store)
        self._sizes_due = 0.0  # by the monotonic clock

    def load(self) -> None:
        """Read what the partitions have counted so far."""
        self.arrivals.load()
        self.refresh()
        for version in self._fleet.versions.values():
            version.earlier_predictions = version.live.totals.predictions

    def refresh(self) -> None:
        """Bring the sums of all partitions up to date."""
        now = self._clock()
        self._sums.refresh(now)
        self.arrivals.refresh(now)
        for version in self._fleet.versions.values():
            missing = self._sums.missing(version)
            if missing and not version.missing_partitions:
                log.info("%s version %s waits for partitions %s", *version.names, list(missing))
            version.missing_partitions = missing

    def activate(
        self,
        version: Version,
        reference: Reference,
        reference_id: int | None,
        entry: Entry | None = None,
        reference_rows: bytes = b"",
    ) -> None:
        """Have the partitions take a reference, which is stored first if it is new."""
        now = self._clock()
        with self._store.begin() as transaction:
            if reference_id is None:
                reference_id = transaction.save_reference(version.key, reference, now, reference_rows)
            if entry is not None:
                append(transaction.connection, [entry], now)
            transaction.set_status(version.key, "")  # rows wait until their partition has taken it
        with self._store.applying():
            if version.counts is None:
                version.status, version.detail = Status.PENDING, "its partitions have to take its reference"
            self._sums.expect(version, reference_id, reference)

    def do_without(
        self, version: Version, status: Status, detail: str, entries: Sequence[Entry] = ()
    ) -> None:
        """Set why a version has no reference, by which the partitions keep or delete its waiting rows."""
        if version.counts is not None or self._sums.expected(version) is not None:
            return
        with self._store.begin() as transaction:
            append(transaction.connection, entries, self._clock())
            transaction.set_status(version.key, status)
        with self._store.applying():
            version.status, version.detail = status, detail

    def let_go(self, version: Version, entries: Sequence[Entry] = ()) -> None:
        """Say that a version is not monitored any more: the partitions delete its waiting rows."""
        with self._store.begin() as transaction:
            append(transaction.connection, entries, self._clock())
            transaction.forget_recorded(version.key)
        with self._store.applying():
            self._sums.forget(version)

    def recount(self, version: Version) -> None:
        """Do nothing: each partition counts outcomes again when the configuration says so."""

    def load_waiting(self, version: Version) -> Iterator[RawRows]:
        """Requests that wait in all partitions for a version's reference."""
        return self.rows.load_waiting(version.key)

    def take_wanted(
        self, registered: Mapping[str, Collection[str]], asked_at: float
    ) -> frozenset[tuple[str, str]]:
        """(model, version) of the registered versions that partitions have messages of and are not monitored.

        Args:
            registered: versions by model, as MLflow answered; partitions are told which it lacks.
            asked_at: when it was asked, in seconds since the epoch.
        """
        with self._store.writing() as connection:
            return take_wanted(connection, registered, asked_at)

    def tidy(self, retained: float, now: float, coverages: Mapping[Version, float]) -> None:
        """Delete what expired of shared tables, and record coverages."""
        tidy(self._store, self._settings, (), retained, now)
        for version, coverage in coverages.items():
            self.arrivals.record_coverage(version, coverage, now)
        self.arrivals.save(retained, now)
        started = time.monotonic()
        if started >= self._sizes_due:
            self._fleet.sample_sizes = self.rows.load_sample_sizes()
            ended = time.monotonic()
            self._sizes_due = ended + COUNTING_PAUSE * (ended - started)

    def watch(self, store_bytes: int) -> None:
        """Do nothing: workers pause while the store is full."""


def refuse(requests: Sequence[IngestRequest]) -> list[Answer | RequestError]:
    """Refusals of requests to an exporter that counts none itself."""
    return [MisdirectedError(REFUSAL)] * len(requests)
