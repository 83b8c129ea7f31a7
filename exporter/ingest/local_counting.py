"""Counts of the fleet's versions in a store that this process alone writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from exporter.audit.record import Entry
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Fleet, Status, Version
from exporter.ingest import activation
from exporter.ingest.arrivals import Arrivals
from exporter.ingest.commit import GroupCommit
from exporter.ingest.recount import recount
from exporter.ingest.retention import UnmatchedLabels, tidy
from exporter.reference.profile import Reference
from exporter.sampling.sampler import Sampler
from exporter.settings import Settings
from exporter.storage.schema import RawRows
from exporter.storage.store import Store


class LocalCounting:
    """Commits samples to a store, and does all else that changes its counts.

    One thread uses it, that of the writer; any thread may read `arrivals`, and call `load_waiting` and
    `take_wanted`.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        settings: Settings,
        telemetry: Telemetry,
        clock: Callable[[], float],
        random: np.random.Generator,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._settings = settings
        self._telemetry = telemetry
        self._clock = clock
        self._unmatched = UnmatchedLabels(store)
        partitions = store.partition.count if store.partition is not None else 1
        self.sampler = Sampler(settings, random, partitions)
        self.arrivals = Arrivals()
        self.commit = GroupCommit(store, fleet, settings, self.sampler, self.arrivals, clock).commit

    def load(self) -> None:
        """Read what was recorded before this start.

        Raises:
            StoreError: the store cannot be read.
        """
        self.arrivals.load(self._store)

    def refresh(self) -> None:
        """Do nothing: the counts in memory are those of the store."""

    def activate(
        self,
        version: Version,
        reference: Reference,
        reference_id: int | None,
        entry: Entry | None = None,
        reference_rows: bytes = b"",
    ) -> None:
        """Give a version its reference, see `activation.activate`."""
        activation.activate(
            self._store,
            self._settings,
            self.sampler,
            version,
            reference,
            reference_id,
            self._clock(),
            entry,
            reference_rows,
        )

    def do_without(
        self, version: Version, status: Status, detail: str, entries: Sequence[Entry] = ()
    ) -> None:
        """Set why a version has no reference, see `activation.do_without`."""
        activation.do_without(self._store, version, status, detail, self._clock(), entries)

    def let_go(self, version: Version, entries: Sequence[Entry] = ()) -> None:
        """Delete the waiting rows of a version that is not monitored any more."""
        activation.let_go(self._store, version, self._clock(), entries)

    def recount(self, version: Version) -> None:
        """Count the outcomes of a version again, see `recount`."""
        recount(self._store, self._settings, version)

    def load_waiting(self, version: Version) -> Iterator[RawRows]:
        """Requests that wait for a version's reference, in order of arrival."""
        return self._store.load_waiting(version.key)

    def take_wanted(
        self, registered: Mapping[str, Collection[str]], asked_at: float
    ) -> frozenset[tuple[str, str]]:
        """(model, version) of the registered versions that traffic has asked for since the last call.

        Args:
            registered: versions by model, as MLflow answered.
            asked_at: when it was asked, in seconds since the epoch.
        """
        wanted = self._fleet.take_wanted()
        return frozenset((model, number) for model, number in wanted if number in registered.get(model, ()))

    def tidy(self, retained: float, now: float, coverages: Mapping[Version, float]) -> None:
        """Merge old blocks, delete what expired, and record arrivals.

        Args:
            retained: the time that retention has reached.
            now: the clock's time.
            coverages: share of predictions with labels, by version.
        """
        versions = self._fleet.versions.values()
        tidy(self._store, self._settings, self._tidied(retained), retained, now)
        self.sampler.age(self._store, {each.key: each.facts.config.sample for each in versions}, retained)
        self._fleet.sample_sizes = self.sampler.sizes
        for version, coverage in coverages.items():
            self.arrivals.record_coverage(version, coverage, now)
        self.arrivals.save(self._store, retained, now)
        for model, labels in self._unmatched.sweep(now).items():
            self._telemetry.count_unmatched_labels(model, labels)

    def _tidied(self, retained: float) -> Iterable[Version]:
        """Yield the versions whose blocks are merged and expire, all of them in memory."""
        return self._fleet.versions.values()

    def watch(self, store_bytes: int) -> None:
        """Stop sampling while the store is nearly full."""
        self.sampler.watch(store_bytes)
