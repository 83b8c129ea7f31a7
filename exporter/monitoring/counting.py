"""The port through which monitoring changes counts, and reads what is kept beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from exporter.aggregates.activity import Hours
from exporter.audit.record import Entry
from exporter.fleet import Status, Version
from exporter.reference.profile import Reference
from exporter.storage.schema import RawRows


class ArrivalRecord(Protocol):
    """Hours with arrivals that began until a time; any thread may read them."""

    def hours(self, until: float) -> dict[tuple[str, str], Hours]:
        """Hours of predictions and labels, by model and version."""

    def uptime(self, until: float) -> Hours:
        """Hours in which arrivals were recorded."""


class Counting(Protocol):
    """Owner of the counts of the fleet's versions.

    The writer's thread calls the methods, except `load_waiting` and `take_wanted`, which any thread may call.
    All raise StoreError where the store fails.
    """

    @property
    def arrivals(self) -> ArrivalRecord: ...

    def load(self) -> None:
        """Read what was recorded before this start."""

    def refresh(self) -> None:
        """Bring the versions' counts in memory up to date, before an evaluation."""

    def activate(
        self,
        version: Version,
        reference: Reference,
        reference_id: int | None,
        entry: Entry | None = None,
        reference_rows: bytes = b"",
    ) -> None:
        """Give a version its reference, and count the rows that waited for it.

        Args:
            version: the version.
            reference: its reference.
            reference_id: of a stored reference; None if it is to be stored.
            entry: for the audit trail, if the reference is a new one.
            reference_rows: of a new reference, as Parquet, to be stored with it.
        """

    def do_without(
        self, version: Version, status: Status, detail: str, entries: Sequence[Entry] = ()
    ) -> None:
        """Set why a version has no reference, and delete the waiting rows unless they are becoming one.

        Does nothing if the version was given a reference meanwhile. `entries` are for the audit trail.
        """

    def let_go(self, version: Version, entries: Sequence[Entry] = ()) -> None:
        """Delete the waiting rows of a version that is not monitored any more."""

    def recount(self, version: Version) -> None:
        """Count the outcomes of a version again, by the maturation of its configuration."""

    def load_waiting(self, version: Version) -> Iterator[RawRows]:
        """Requests that wait for a version's reference."""

    def take_wanted(
        self, registered: Mapping[str, Collection[str]], asked_at: float
    ) -> frozenset[tuple[str, str]]:
        """(model, version) of the registered versions that traffic has asked for since the last call.

        Args:
            registered: versions by model, as MLflow answered.
            asked_at: when it was asked, in seconds since the epoch.
        """

    def tidy(self, retained: float, now: float, coverages: Mapping[Version, float]) -> None:
        """Merge old blocks, delete what expired, and record arrivals.

        Args:
            retained: the time that retention has reached.
            now: the clock's time.
            coverages: share of predictions with labels, by version.
        """

    def watch(self, store_bytes: int) -> None:
        """Take note of the size of the store."""
