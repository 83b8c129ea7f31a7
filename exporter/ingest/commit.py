"""Group commit: one transaction for many requests, each with an answer or an error of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.aggregates.block import latency_histogram
from exporter.aggregates.counting import count_rows
from exporter.aggregates.state import Totals
from exporter.errors import MalformedError, RequestError
from exporter.exposition.telemetry import DropReason, RowKind
from exporter.fleet import Fleet, Status
from exporter.ingest.aggregates import take_aggregates
from exporter.ingest.aggregates_body import AggregatesRequest
from exporter.ingest.arrivals import Arrivals
from exporter.ingest.batching import Group, PredictionRequest, group_alike
from exporter.ingest.changes import Changes
from exporter.ingest.deduplication import Identity, identify
from exporter.ingest.join import Joining, LabelAnswer, PreparedLabels
from exporter.ingest.join_counts import count_joined
from exporter.ingest.prepare import Part, Prepared, prepare
from exporter.sampling.sampler import Draw, LiveRows, SampledVersion, Sampler
from exporter.settings import Settings
from exporter.storage.labels import LabelTables
from exporter.storage.schema import RawRows
from exporter.storage.store import Store
from exporter.storage.transaction import Transaction
from exporter.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class PredictionAnswer:
    """Rows of a request by what became of them."""

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


@dataclass(frozen=True)
class ProducedAnswer:
    """Rows that the brokers of Kafka have; a worker tells new ones from repeated ones when it takes them."""

    kind: RowKind
    accepted: int

    def to_json(self) -> dict[str, Any]:
        labels = ("unmatched", "corrections", "duplicates")
        later = labels if self.kind == "label" else ("duplicates", "conflicts")
        return {"accepted": self.accepted, **dict.fromkeys(later)}


Answer = PredictionAnswer | LabelAnswer | ProducedAnswer
IngestRequest = PredictionRequest | PreparedLabels | AggregatesRequest
_NO_ROWS: Ints = np.zeros(0, np.int64)
_Outcomes = dict[PredictionRequest, PredictionAnswer | RequestError]


class GroupCommit:
    """Commits groups of requests, in the writer's thread."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        settings: Settings,
        sampler: Sampler,
        arrivals: Arrivals,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._settings = settings
        self._sampler = sampler
        self._arrivals = arrivals
        self._clock = clock

    def commit(
        self,
        requests: Sequence[IngestRequest],
        offset: int | None = None,
        before_commit: Callable[[Sequence[Answer | RequestError]], None] = lambda _: None,
    ) -> list[Answer | RequestError]:
        """Commit all requests, or none where it raises; return their outcomes in order.

        Args:
            requests: with distinct idempotency keys, where they have any.
            offset: of the partition's next message, if they came in messages.
            before_commit: called with the outcomes within the transaction, which ends if it raises.
        """
        changes = Changes()
        self._store.flush()
        with self._store.begin() as transaction:
            now = self._clock()
            draw = self._sampler.begin(transaction.connection)
            joining = Joining(LabelTables(transaction), now)
            repeated = [_answer_repeated(transaction, request, now) for request in requests]
            fresh = [r for r, answer in zip(requests, repeated, strict=True) if answer is None]
            predictions = [request for request in fresh if isinstance(request, PredictionRequest)]
            outcomes = self._take_predictions(transaction, changes, joining, draw, predictions, now)
            answers = iter(joining.take([r for r in fresh if isinstance(r, PreparedLabels)]))
            every: list[Answer | RequestError] = []
            for request, answer in zip(requests, repeated, strict=True):
                if isinstance(request, AggregatesRequest):
                    answer = self._take_aggregates(transaction, changes, request, now)
                elif answer is None:
                    answer = outcomes[request] if isinstance(request, PredictionRequest) else next(answers)
                    if request.key is not None and not isinstance(answer, RequestError):
                        transaction.remember_key(request.key.key, request.key.body, now)
                every.append(answer)
            count_joined(changes, joining.joined, self._fleet.by_key, self._settings)
            changes.write(transaction)
            draw.write()
            before_commit(every)
            if offset is not None:
                transaction.set_offset(offset)
        with self._store.applying():
            self._arrivals.record(changes.lives, now)
            changes.apply()
            draw.apply()
            self._fleet.sample_sizes = self._sampler.sizes
        return every

    def _take_aggregates(
        self, transaction: Transaction, changes: Changes, request: AggregatesRequest, now: float
    ) -> PredictionAnswer | RequestError:
        try:
            prepared = request.prepare(self._fleet, self._settings)
            taken = take_aggregates(transaction, changes, self._settings, prepared, now)
        except RequestError as error:
            return error
        return PredictionAnswer(taken.accepted, taken.repeated, 0, taken.dropped)

    def _take_predictions(
        self,
        transaction: Transaction,
        changes: Changes,
        joining: Joining,
        draw: Draw,
        requests: Sequence[PredictionRequest],
        now: float,
    ) -> _Outcomes:
        """Store and count predictions, and join labels that came before them or with them."""
        outcomes: _Outcomes = {}
        groups = [each for group in group_alike(requests) for each in self._prepare(group, outcomes, now)]
        parts = [part for _, prepared in groups for part in prepared.parts]
        joining.expect([each for part in parts for each in part.ids])
        places = _places(requests, groups)
        identities = identify(transaction, parts, places, self._settings)
        left = iter(identities)
        for group, prepared in groups:
            found = [next(left) for _ in prepared.parts]
            for part, identity in zip(prepared.parts, found, strict=True):
                self._count(transaction, changes, draw, group, part, identity.keep, now)
            outcomes.update(zip(group.requests, _answers(group, prepared, found), strict=True))
        joining.meet_predictions()
        labels = [
            _labels_of(part, identity, place, joining)
            for part, identity, place in zip(parts, identities, places, strict=True)
        ]
        joining.take(_in_order(labels))
        return outcomes

    def _prepare(self, group: Group, outcomes: _Outcomes, now: float) -> Iterator[tuple[Group, Prepared]]:
        """Prepare a group, or its requests one by one if it cannot be as a whole; errors are outcomes."""
        try:
            prepared = prepare(group.batch, group.received_at, self._fleet, self._settings, now)
        except RequestError as error:
            if len(group.requests) == 1:
                outcomes[group.requests[0]] = error
                return
        else:
            # With rows of no version only, an alias that was removed is an error of the request.
            if len(group.requests) == 1 or "no_version" not in prepared.lost:
                yield group, prepared
                return
        for request in group.requests:
            yield from self._prepare(Group.of([request]), outcomes, now)

    def _count(
        self,
        transaction: Transaction,
        changes: Changes,
        draw: Draw,
        group: Group,
        part: Part,
        keep: Bools,
        now: float,
    ) -> None:
        """Count and sample the rows to be kept; store them while the version has no reference yet."""
        kept = np.flatnonzero(keep)
        if not len(kept):
            return
        version, version_counts, times = part.version, part.version.counts, part.times[kept]
        changes.add_sighting(version, float(times.max()), now, part.unknown_columns)
        if version_counts is None or part.placed is None:
            latency, latency_sum = latency_histogram(part.latency[kept] if part.latency is not None else None)
            changes.add_totals(version, Totals(len(kept), np.zeros(0, np.int64), latency, latency_sum))
            if version.status in (Status.PENDING, Status.COLLECTING):
                for raw, numbers, inside in group.split(part.row_numbers[kept]):
                    waiting = RawRows(raw.content_type, raw.query, raw.body, numbers, times[inside])
                    transaction.add_waiting(version.key, waiting)
                changes.add_waiting(version, len(kept))
            return
        placed = part.placed if len(kept) == part.rows else part.placed.take(kept)
        counts = count_rows(version_counts, placed, times, now, self._settings)
        changes.add_counts(version, version_counts, counts, now)
        for block in counts.blocks.values():
            values = block.counts.astype(np.int64)
            changes.add_totals(version, Totals(block.rows, values, block.latency, block.latency_sum))
        source = SampledVersion(version.key, version.facts.config.sample, version_counts.reference)
        rows = LiveRows(group.batch, part.row_numbers, part.times, part.records, part.labels, kept)
        draw.take(source, rows, counts.starts, now)


def _places(requests: Sequence[PredictionRequest], groups: Sequence[tuple[Group, Prepared]]) -> list[Ints]:
    """(parts,) (rows,) number of each row's request, by which rows of other groups are before or after it."""
    numbers = {request: number for number, request in enumerate(requests)}
    places = list[Ints]()
    for group, prepared in groups:
        of_group = np.array([numbers[request] for request in group.requests], np.int64)
        rows = [np.searchsorted(group.ends, part.row_numbers, side="right") for part in prepared.parts]
        places += [of_group[found] for found in rows]
    return places


@dataclass(frozen=True)
class _BroughtLabels:
    """Labels that came along with the rows of a part; `places` (labels,) are numbers of their requests."""

    model: str
    hashes: list[bytes]
    labels: list[str]
    times: Floats
    places: Ints


def _labels_of(part: Part, identity: Identity, places: Ints, joining: Joining) -> _BroughtLabels:
    """Labels in the same request as their rows; rows without an id are joined at once.

    A repeated row can bring its label only now.
    """
    labelled = np.flatnonzero([label is not None for label in part.labels])
    named, hashes = _NO_ROWS, list[bytes]()
    if part.records is not None and len(labelled):
        is_named = np.isin(labelled, part.identified)
        anonymous, named = labelled[~is_named & identity.keep[labelled]], labelled[is_named]
        joining.add_anonymous(part.records.take(anonymous), [part.labels[row] or "" for row in anonymous])
        hashes = part.records.numbers["id_hash"][named].tolist()
    labels = [part.labels[row] or "" for row in named]
    return _BroughtLabels(part.version.model, hashes, labels, part.times[named], places[named])


def _in_order(brought: Sequence[_BroughtLabels]) -> list[PreparedLabels]:
    """Labels of each model in the order of their requests, since the last one of an id stays."""
    by_model: dict[str, list[_BroughtLabels]] = {}
    for each in brought:
        if each.hashes:
            by_model.setdefault(each.model, []).append(each)
    found = []
    for model, several in by_model.items():
        hashes = [hashed for each in several for hashed in each.hashes]
        labels = [label for each in several for label in each.labels]
        order = np.argsort(np.concatenate([each.places for each in several]), kind="stable")
        found.append(
            PreparedLabels(
                model=model,
                hashes=[hashes[place] for place in order],
                labels=[labels[place] for place in order],
                at=np.concatenate([each.times for each in several])[order].tolist(),
                naive_timestamps=0,
            )
        )
    return found


def _answers(group: Group, prepared: Prepared, found: Iterable[Identity]) -> list[PredictionAnswer]:
    """Answer to each request of a group; `found` (parts,) are the identities of its rows."""
    repeated, conflicting = [_NO_ROWS], [_NO_ROWS]
    for part, identity in zip(prepared.parts, found, strict=True):
        repeated.append(part.row_numbers[~identity.keep])
        conflicting.append(part.row_numbers[identity.conflicts])
    duplicates = group.count(np.concatenate(repeated))
    conflicts = group.count(np.concatenate(conflicting))
    lost = {reason: group.count(np.flatnonzero(mask)) for reason, mask in prepared.lost.items()}
    answers = []
    for number, request in enumerate(group.requests):
        dropped = {reason: counts[number] for reason, counts in lost.items() if counts[number]}
        accepted = request.rows - sum(dropped.values()) - duplicates[number] - conflicts[number]
        answers.append(PredictionAnswer(accepted, duplicates[number], conflicts[number], dropped))
    return answers


def _answer_repeated(
    transaction: Transaction, request: IngestRequest, now: float
) -> Answer | RequestError | None:
    """Answer to a request whose idempotency key was committed before, None for all others."""
    body = transaction.find_key(request.key.key, now) if request.key is not None else None
    if request.key is None or body is None:
        return None
    if body != request.key.body:
        return MalformedError("this key came with another body before; nothing was taken", "Idempotency-Key")
    if isinstance(request, PreparedLabels):
        return LabelAnswer(0, 0, 0, request.rows)
    return PredictionAnswer(0, request.rows, 0, {})
