"""One transaction for a group of requests: tell new rows from repeated ones, count, join labels, keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.aggregates.block import latency_histogram
from exporter.aggregates.counting import BatchCounts, count_rows
from exporter.aggregates.state import Totals, VersionCounts
from exporter.errors import MalformedError, RequestError
from exporter.exposition.telemetry import DropReason
from exporter.fleet import Fleet, Status, Version
from exporter.ingest.changes import Changes
from exporter.ingest.deduplication import Identity, find_repeated, identify
from exporter.ingest.join import Joining, LabelAnswer, PreparedLabels
from exporter.ingest.join_counts import count_joined
from exporter.ingest.prepare import Part, Prepared, count_raw_rows
from exporter.settings import Settings
from exporter.storage.labels import LabelTables
from exporter.storage.store import Store
from exporter.storage.transaction import Transaction
from exporter.typing import Bools


@dataclass(frozen=True)
class PredictionAnswer:
    """What became of the rows of a request."""

    accepted: int
    duplicates: int
    conflicts: int
    dropped: dict[DropReason, int]

    def to_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
        }
        return answer | ({"dropped": self.dropped} if self.dropped else {})


Answer = PredictionAnswer | LabelAnswer
Request = Prepared | PreparedLabels


class GroupCommit:
    """Commits groups of requests; the writer's thread alone calls it."""

    def __init__(self, store: Store, fleet: Fleet, settings: Settings, clock: Callable[[], float]) -> None:
        self._store = store
        self._fleet = fleet
        self._settings = settings
        self._clock = clock

    def commit(self, requests: Sequence[Request]) -> Sequence[Answer | RequestError]:
        """Make all of it durable, or nothing; the outcomes are in the requests' order."""
        changes = Changes()
        outcomes: list[Answer | RequestError] = []
        self._store.seal_ids()
        with self._store.begin() as transaction:
            now = self._clock()
            joining = Joining(LabelTables(transaction), now)
            bodies = find_repeated(transaction, requests, now)
            fresh = [request for request, body in zip(requests, bodies, strict=True) if body is None]
            predictions = [request for request in fresh if isinstance(request, Prepared)]
            identities = iter(self._add_predictions(transaction, changes, joining, predictions, now))
            labels = [request for request in fresh if isinstance(request, PreparedLabels)]
            answers = iter(joining.take(labels))
            for request, body in zip(requests, bodies, strict=True):
                if body is not None:
                    outcomes.append(_answer_repeated(request, body))
                    continue
                if isinstance(request, PreparedLabels):
                    outcomes.append(next(answers))
                else:
                    outcomes.append(_answer(request, [next(identities) for _ in request.parts]))
                if request.key is not None:
                    transaction.remember_key(request.key, request.body, now)
            count_joined(changes, joining.joined, self._fleet.by_key, self._settings)
            changes.write(transaction)
        with self._store.applying():
            changes.apply()
        return outcomes

    def _add_predictions(
        self,
        transaction: Transaction,
        changes: Changes,
        joining: Joining,
        requests: Sequence[Prepared],
        now: float,
    ) -> list[Identity]:
        """Keep and count the rows of predictions; their labels may have come before, or with them."""
        parts = [part for request in requests for part in request.parts]
        joining.expect([row.id_hash for part in parts for row in part.predictions])
        identities = identify(transaction, parts, self._settings)
        for part, identity in zip(parts, identities, strict=True):
            self._count(transaction, changes, part, identity.keep, now)
        joining.meet_predictions()
        joining.take(
            [_labels_of(part, identity, joining) for part, identity in zip(parts, identities, strict=True)]
        )
        return identities

    def _count(self, transaction: Transaction, changes: Changes, part: Part, keep: Bools, now: float) -> None:
        """Add the rows of a part that count to what the commit will make true."""
        version, rows = part.version, int(keep.sum())
        if not rows:
            return
        changes.add_sighting(version, float(part.times[keep].max()), now, part.unknown_columns)
        version_counts = version.counts
        if version_counts is None:
            latency, latency_sum = latency_histogram(part.latency[keep] if part.latency is not None else None)
            changes.add_totals(version, Totals(rows, np.zeros(0, np.int64), latency, latency_sum))
            if version.status in (Status.PENDING, Status.COLLECTING):
                for waiting in part.raw_rows(keep):
                    transaction.add_waiting(version.key, waiting)
                changes.add_waiting(version, rows)
            return
        for counts in self._counts_of(part, version_counts, keep, now):
            self._add_counts(changes, version, version_counts, counts, now)

    def _counts_of(self, part: Part, counts: VersionCounts, keep: Bools, now: float) -> Iterator[BatchCounts]:
        """Counts of the rows of a part that are kept, in the bins that the version has now."""
        if part.counts is None or part.counts.reference_id != counts.reference_id:
            for waiting in part.raw_rows(keep):  # the reference came after the request was prepared
                yield count_raw_rows(waiting, counts, now, self._settings)
        elif keep.all():
            yield part.counts
        else:  # only rows with an id can be repeated, and those were placed
            assert part.placed is not None
            kept = np.flatnonzero(keep)
            yield count_rows(counts, part.placed.take(kept), part.times[kept], now, self._settings)

    @staticmethod
    def _add_counts(
        changes: Changes, version: Version, version_counts: VersionCounts, counts: BatchCounts, now: float
    ) -> None:
        changes.add_counts(version, version_counts, counts, now)
        for block in counts.blocks.values():
            values = block.counts.astype(np.int64)
            changes.add_totals(version, Totals(block.rows, values, block.latency, block.latency_sum))


def _labels_of(part: Part, identity: Identity, joining: Joining) -> PreparedLabels:
    """The labels that came along with rows; those of rows without an id are joined at once.

    A row that came before may bring its label only now.
    """
    joining.add_anonymous(
        [
            (row.prediction, row.label)
            for row in part.labelled
            if not row.prediction.id_hash and identity.keep[row.place]
        ]
    )
    named = [row for row in part.labelled if row.prediction.id_hash]
    return PreparedLabels(
        model=part.version.model,
        hashes=[row.prediction.id_hash for row in named],
        labels=[row.label for row in named],
        at=[row.prediction.at for row in named],
        naive_timestamps=0,
        key=None,
        body=b"",
    )


def _answer(request: Prepared, found: Iterable[Identity]) -> PredictionAnswer:
    found = list(found)
    duplicates, conflicts = sum(f.duplicates for f in found), sum(f.conflicts for f in found)
    accepted = sum(part.rows for part in request.parts) - duplicates - conflicts
    return PredictionAnswer(accepted, duplicates, conflicts, request.dropped)


def split_answer(request: Prepared) -> list[PredictionAnswer]:
    """The answer to each of several requests that were committed as one: they have no ids."""
    starts, ends = request.source.starts, request.source.ends
    lost = {reason: np.add.reduceat(mask, starts, dtype=np.int64) for reason, mask in request.lost.items()}
    answers = []
    for number, rows in enumerate((ends - starts).tolist()):
        dropped = {reason: int(counts[number]) for reason, counts in lost.items() if counts[number]}
        answers.append(PredictionAnswer(rows - sum(dropped.values()), 0, 0, dropped))
    return answers


def _answer_repeated(request: Request, body: bytes) -> Answer | RequestError:
    if body != request.body:
        return MalformedError("this key came with another body before; nothing was taken", "Idempotency-Key")
    if isinstance(request, PreparedLabels):
        return LabelAnswer(0, 0, 0, request.rows)
    return PredictionAnswer(0, request.rows, 0, {})
