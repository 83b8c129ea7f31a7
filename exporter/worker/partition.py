"""A partition that this worker has: its store, and the versions with the partition's own counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from sqlalchemy.exc import DBAPIError

from exporter.errors import (
    KafkaError,
    MalformedError,
    RequestError,
    StoreError,
    UnavailableError,
    UnknownModelError,
)
from exporter.exposition.group import DeadReason, GroupTelemetry
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Facts, Fleet, Status, Version
from exporter.ingest.answers import count_answers
from exporter.ingest.commit import Answer
from exporter.ingest.join import PreparedLabels
from exporter.ingest.retention import RetentionClock
from exporter.kafka.dead_letters import DeadLetters
from exporter.settings import Settings
from exporter.storage.store import Store
from exporter.storage.wanted_versions import add_wanted
from exporter.worker.entries import Entry, of_one_commit, poisoned, reason_of
from exporter.worker.patience import Patience
from exporter.worker.resident import PartitionCounting
from exporter.worker.shared import Shared, SharedVersion

DISCOVERY_SECONDS = 5.0  # for the evaluator to apply an answer of MLflow, and for this worker to see it

log = logging.getLogger(__name__)


class WaitingError(Exception):
    """A message cannot be committed yet; `before` are the entries before it."""

    def __init__(self, before: Sequence[Entry], reason: RequestError) -> None:
        super().__init__(str(reason))
        self.before = before


class _Possible(frozenset[str]):
    """Versions that a model may have in MLflow: all but these; the evaluator looks for those named."""

    def __contains__(self, version: object) -> bool:
        return not super().__contains__(version)


class OwnedPartition:
    """A partition with its store. One thread uses it.

    Args:
        number: of the partition.
        store: opened for it.
        settings: of the worker.
        telemetry: counts rows.
        group: counts messages.
        dead_letters: takes messages that cannot be committed.
        clock, monotonic: times in seconds.
        random: source of the priorities of sampled rows.

    Raises:
        StoreError: the store cannot be read.
    """

    def __init__(
        self,
        number: int,
        store: Store,
        settings: Settings,
        telemetry: Telemetry,
        group: GroupTelemetry,
        dead_letters: DeadLetters,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        random: np.random.Generator,
    ) -> None:
        self.number = number
        self.store = store
        self.next_offset = store.load_offset()
        self.committed_at = clock()  # timestamp of the last committed message
        self._settings = settings
        self._telemetry = telemetry
        self._group = group
        self._dead_letters = dead_letters
        self._clock = clock
        self._monotonic = monotonic
        self._fleet = Fleet(settings)
        self._counting = PartitionCounting(store, self._fleet, settings, telemetry, clock, random)
        self._counting.load()
        self._retention = RetentionClock(store, monotonic)
        self._retained = self._retention.advance(clock())
        self._patience = Patience(settings.mlflow_poll_interval_seconds + DISCOVERY_SECONDS)
        self._followed: Shared | None = None
        self._moves = 0
        self.looked_at = monotonic()  # when the shared tables were read that it follows

    def close(self) -> None:
        """Close the store; what is not committed is read again by the partition's next owner."""
        with suppress(StoreError):  # the record of arrivals alone is lost
            self._counting.arrivals.save(self.store, self._retained, self._clock())
        self.store.close()

    # -- following the shared tables ------------------------------------------------------------------------

    def follow(self, shared: Shared, read_at: float) -> None:
        """Bring the versions in step with the shared tables, which were read at a time (monotonic).

        Raises:
            StoreError: the store failed; the next call goes on.
        """
        self.looked_at = read_at
        if shared is self._followed:
            return
        for names, version in self._fleet.versions.items():
            said = shared.versions.get(names)
            if said is None or said.key != version.key:
                self._counting.let_go(version)
                self._fleet.remove([names])
        self._fleet.record(shared.moves[self._moves :])
        self._moves = len(shared.moves)
        if new := shared.versions.keys() - self._fleet.versions.keys():
            keys = {shared.versions[names].key for names in new}
            for stored in self.store.load_versions():
                if stored.key in keys:
                    self._fleet.add(Version(stored))
        # None until the evaluator has monitored any: everything waits for it.
        models = {model for model, _ in shared.versions}
        self._fleet.known = {
            model: _Possible(number for name, number in shared.absent if name == model) for model in models
        } or None
        for names, version in self._fleet.versions.items():
            try:
                self._update(version, shared.versions[names], shared)
            except StoreError:
                raise
            except Exception:  # of this version alone; its rows wait
                log.exception("partition %d: %s version %s cannot be followed", self.number, *names)
        self._followed = shared

    def _update(self, version: Version, said: SharedVersion, shared: Shared) -> None:
        if version.facts.config != said.config:
            version.facts = Facts(config=said.config)
        if said.reference_id is not None:
            if version.counts is None or version.counts.reference_id != said.reference_id:
                reference = shared.references[said.reference_id]
                self._counting.activate(version, reference, said.reference_id)
                self._counting.thin(version)
            if version.counts is not None and version.counts.maturation_seconds != said.config.maturation:
                self._counting.recount(version)
        elif version.counts is None and said.status and version.status != said.status:
            self._counting.do_without(version, Status(said.status), "")

    # -- committing -----------------------------------------------------------------------------------------

    def commit(self, entries: Sequence[Entry]) -> None:
        """Commit entries with the offset after them, in as many commits as it takes.

        Raises:
            WaitingError: one cannot be committed yet.
            KafkaError: a dead letter was not delivered.
            StoreError: the store failed.
        """
        while entries:
            some = of_one_commit(entries)
            self._commit_or_split(some)
            entries = entries[len(some) :]

    def _commit_or_split(self, entries: Sequence[Entry]) -> None:
        try:
            self._commit(entries)
        except WaitingError as waiting:
            if waiting.before:
                self._commit_or_split(waiting.before)
            raise
        except (StoreError, KafkaError):
            raise
        except Exception as error:
            if len(entries) > 1:  # only the message at fault is to fail
                half = len(entries) // 2
                self._commit_or_split(entries[:half])
                self._commit_or_split(entries[half:])
                return
            [entry] = entries
            log.exception("partition %d, offset %d: it could not be committed", self.number, entry.offset)
            if isinstance(error, DBAPIError):
                refused = MalformedError(f"the store does not take it: {error.orig}")
                self._commit([poisoned(entry, refused, "refused")])
            else:
                refused = MalformedError(f"internal error: {type(error).__name__}")
                self._commit([poisoned(entry, refused, "internal")])

    def _commit(self, entries: Sequence[Entry]) -> None:
        """Commit all entries, or none where it raises."""
        outcomes: list[Answer | RequestError | None] = [self._refuse(entry) for entry in entries]
        taken = [number for number, outcome in enumerate(outcomes) if outcome is None]
        requests = [request for number in taken if (request := entries[number].request) is not None]

        def settle(answers: Sequence[Answer | RequestError]) -> None:
            """Deliver dead letters, before the offset moves beyond their messages."""
            for number, answer in zip(taken, answers, strict=True):
                outcomes[number] = answer
            errors = [
                (number, outcome)
                for number, outcome in enumerate(outcomes)
                if isinstance(outcome, RequestError)
            ]
            for number, error in errors:
                if self._is_early(entries[number], error):
                    raise WaitingError(entries[:number], error)
            for number, error in errors:
                self._dead_letters.send(
                    entries[number].message, _reason(entries[number], error), error.located
                )
            self._dead_letters.flush()

        offset = entries[-1].offset + 1
        self._counting.commit(requests, offset=offset, before_commit=settle)
        self.next_offset, self.committed_at = offset, entries[-1].at
        self._count(entries, outcomes)

    def _refuse(self, entry: Entry) -> RequestError | None:
        """Error for which a message is in no commit; labels are for models that are monitored."""
        if isinstance(entry.request, PreparedLabels):
            try:
                self._fleet.require_model(entry.request.model)
            except RequestError as error:
                return error
        return entry.error

    def _is_early(self, entry: Entry, error: RequestError) -> bool:
        """Return true if the message may be taken later, and is to be waited for."""
        if entry.error is not None:
            return False
        if self._fleet.known is None:
            return True
        if isinstance(error, UnknownModelError):  # until the shared tables were read once more
            return self.looked_at < entry.read_at
        return isinstance(error, UnavailableError) and self._patience.waits(entry.model, self._monotonic())

    def _count(self, entries: Sequence[Entry], outcomes: Sequence[Answer | RequestError | None]) -> None:
        self._group.count_commit()
        taken = 0
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, RequestError):
                self._group.count_dead_letter(_reason(entry, outcome))
            else:
                taken += 1
                if self._patience:
                    self._patience.end(entry.model)
        self._group.count_messages("taken", taken)
        count_answers(
            self._telemetry,
            [
                (entry.request, outcome)
                for entry, outcome in zip(entries, outcomes, strict=True)
                if entry.request is not None and outcome is not None
            ],
        )

    def name_wanted(self) -> None:
        """Tell the evaluator of versions that rows were for and that are not monitored yet.

        Raises:
            StoreError: the store failed.
        """
        if wanted := self._fleet.take_wanted():
            with self.store.writing() as connection:
                add_wanted(connection, wanted, self._clock())

    # -- upkeep ---------------------------------------------------------------------------------------------

    def tidy(self) -> int:
        """Merge old blocks and delete what expired; return the bytes of the database.

        Raises:
            StoreError: the store failed.
        """
        now = self._clock()
        self._retained = self._retention.advance(now)
        self._counting.tidy(self._retained, now, {})
        size = self.store.size_bytes()
        self._counting.watch(size)
        return size


def _reason(entry: Entry, error: RequestError) -> DeadReason:
    return entry.reason if entry.error is not None else reason_of(error)
