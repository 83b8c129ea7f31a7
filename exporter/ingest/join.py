"""Join labels with predictions, in whatever order they come.

The pairs are a function of the stored rows, not of the order in which they came: the label of an id is paired
with the latest prediction of each version that scored the id. A commit that changes a label or a prediction
removes the old pairs and adds the new ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exporter.formats.hashing import id_hashes
from exporter.formats.labels import DecodedLabels
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.pairs import Joined, Pairs
from exporter.settings import DAY_SECONDS
from exporter.storage.labels import DatedLabel, LabelTables
from exporter.storage.lsm.records import Records
from exporter.storage.rows import LABELS, PREDICTIONS, StoredLabel, StoredPrediction
from exporter.typing import Ints


@dataclass(frozen=True)
class PreparedLabels:
    """Labels of a request, ready to be committed; `at` (labels,) are the times at which they became known.

    `decoded` are the same with their ids; None for labels that came along with predictions.
    """

    model: str
    hashes: list[bytes]
    labels: list[str]
    at: list[float]
    naive_timestamps: int
    key: IdempotencyKey | None = None
    decoded: DecodedLabels | None = None

    @property
    def rows(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True)
class LabelAnswer:
    """Numbers of labels of a request by what became of them; each is in one of the four."""

    accepted: int
    unmatched: int
    corrections: int
    duplicates: int

    def to_json(self) -> dict[str, Any]:
        return vars(self).copy()


def prepare_labels(batch: DecodedLabels, now: float, key: IdempotencyKey | None = None) -> PreparedLabels:
    """Resolve times and hash ids."""
    known = np.minimum(np.where(np.isnan(batch.timestamps), now, batch.timestamps), now)
    return PreparedLabels(
        model=batch.model,
        hashes=id_hashes(batch.model, batch.ids),
        labels=batch.labels,
        at=known.tolist(),
        naive_timestamps=batch.naive_timestamps,
        key=key,
        decoded=batch,
    )


class Joining:
    """The join of one commit: first its predictions, then its labels. `joined` are the changed pairs."""

    def __init__(self, tables: LabelTables, now: float) -> None:
        self._tables = tables
        self._day = int(now // DAY_SECONDS)
        self._labelled: dict[bytes, DatedLabel] = {}
        self._before: dict[tuple[bytes, int], StoredPrediction] = {}
        self.joined = Joined()

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Look up the labels of predictions that are about to be written."""
        self._labelled = self._tables.find_labels(hashes)
        self._before = {row[:2]: row for row in self._find_latest()}

    def meet_predictions(self) -> None:
        """Join the predictions, now written, whose label was there already."""
        pairs, met = _RowPairs(), dict[bytes, DatedLabel]()
        for row in self._find_latest():
            stored = met[row.id_hash] = self._labelled[row.id_hash]
            before = self._before.get(row[:2])
            if before is None:
                pairs.first.append((row, stored.row))
            elif _joined_part(before) != _joined_part(row):
                pairs.removed.append((before, stored.row))
                pairs.added.append((row, stored.row))
        pairs.add_to(self.joined)
        now_matched = [stored for stored in met.values() if not stored.row.matched]
        self._tables.update([each._replace(row=each.row._replace(matched=True)) for each in now_matched])

    def add_anonymous(self, predictions: Records, labels: Sequence[str]) -> None:
        """Join rows without an id that brought their labels along."""
        if len(predictions):
            count, at = len(predictions), predictions.numbers["at"]
            joined = LABELS.pack(
                id_hash=predictions.ids, model_id=[0] * count, label=labels, at=at, matched=[True] * count
            )
            self.joined.first.append(Pairs(predictions, joined))

    def take(self, requests: Sequence[PreparedLabels]) -> list[LabelAnswer]:
        """Store labels and join them with stored predictions."""
        hashes = [hashed for request in requests for hashed in request.hashes]
        distinct = list(dict.fromkeys(hashes))
        stored = self._tables.find_labels(distinct)
        positions, predictions = self._tables.find_latest(distinct)
        if stored or len(distinct) < len(hashes):
            rows = zip(positions.tolist(), PREDICTIONS.unpack(predictions), strict=True)
            by_id = defaultdict[bytes, list[StoredPrediction]](list)
            for position, row in rows:
                by_id[distinct[position]].append(row)
            return self._take_known(requests, stored, by_id)
        return self._take_new(requests, positions, predictions)

    def _take_new(
        self, requests: Sequence[PreparedLabels], positions: Ints, predictions: Records
    ) -> list[LabelAnswer]:
        """Take labels that all are the first of their ids, as nearly always.

        `positions` (predictions,) are those of the labels of `predictions`, among all labels.
        """
        rows = [request.rows for request in requests]
        matched = np.zeros(sum(rows), np.bool_)
        matched[positions] = True
        labels = LABELS.pack(
            id_hash=[hashed for request in requests for hashed in request.hashes],
            model_id=np.repeat([self._model_id(request) for request in requests], rows),
            label=[label for request in requests for label in request.labels],
            at=[moment for request in requests for moment in request.at],
            matched=matched,
        )
        self._tables.insert(self._day, labels)
        if len(positions):
            self.joined.first.append(Pairs(predictions, labels.take(positions)))
        ends = np.cumsum(rows).tolist()
        met = [int(matched[end - count : end].sum()) for count, end in zip(rows, ends, strict=True)]
        return [LabelAnswer(some, count - some, 0, 0) for some, count in zip(met, rows, strict=True)]

    def _take_known(
        self,
        requests: Sequence[PreparedLabels],
        stored: Mapping[bytes, DatedLabel],
        predictions: Mapping[bytes, Sequence[StoredPrediction]],
    ) -> list[LabelAnswer]:
        """Take labels of which some came before, or come twice."""
        current = {hashed: label.row for hashed, label in stored.items()}
        answers = []
        for request in requests:
            model_id = self._model_id(request)
            accepted = unmatched = corrections = duplicates = 0
            for hashed, label, at in zip(request.hashes, request.labels, request.at, strict=True):
                known = current.get(hashed)
                if known is None:
                    matched = hashed in predictions
                    current[hashed] = StoredLabel(hashed, model_id, label, at, matched)
                    accepted += matched
                    unmatched += not matched
                elif known.label == label:
                    duplicates += 1
                else:
                    current[hashed] = known._replace(label=label)
                    corrections += 1
            answers.append(LabelAnswer(accepted, unmatched, corrections, duplicates))
        self._keep(stored, current, predictions)
        return answers

    def _keep(
        self,
        stored: Mapping[bytes, DatedLabel],
        current: Mapping[bytes, StoredLabel],
        predictions: Mapping[bytes, Sequence[StoredPrediction]],
    ) -> None:
        pairs, new, changed = _RowPairs(), [], []
        for hashed, row in current.items():
            before = stored.get(hashed)
            if before is None:
                new.append(row)
                pairs.first += [(prediction, row) for prediction in predictions.get(hashed, ())]
            elif before.row != row:
                changed.append(before._replace(row=row))
                for prediction in predictions.get(hashed, ()):
                    pairs.removed.append((prediction, before.row))
                    pairs.added.append((prediction, row))
        pairs.add_to(self.joined)
        self._tables.insert(self._day, LABELS.pack_rows(new))
        self._tables.update(changed)

    def _find_latest(self) -> list[StoredPrediction]:
        """Latest predictions of the ids whose label was there already."""
        return PREDICTIONS.unpack(self._tables.find_latest(list(self._labelled))[1])

    def _model_id(self, request: PreparedLabels) -> int:
        return self._tables.model_id(request.model) if request.rows else 0


@dataclass
class _RowPairs:
    """Pairs of rows, before they are put in columns."""

    first: list[tuple[StoredPrediction, StoredLabel]] = field(default_factory=list)
    added: list[tuple[StoredPrediction, StoredLabel]] = field(default_factory=list)
    removed: list[tuple[StoredPrediction, StoredLabel]] = field(default_factory=list)

    def add_to(self, joined: Joined) -> None:
        for rows, pairs in (
            (self.first, joined.first),
            (self.added, joined.added),
            (self.removed, joined.removed),
        ):
            if rows:
                predictions, labels = zip(*rows, strict=True)
                pairs.append(Pairs(PREDICTIONS.pack_rows(predictions), LABELS.pack_rows(labels)))


def _joined_part(row: StoredPrediction) -> StoredPrediction:
    """The prediction without its payload hash, which outcomes do not depend on."""
    return row._replace(payload=0)
