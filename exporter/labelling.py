"""Labels meet their predictions: what comes first waits, what comes again corrects.

What counts is a function of what is stored, not of the order in which it came: for each id with a label, and
for each version that scored the id, the latest prediction and the label are one pair. A commit that
changes a label or a prediction takes back the pairs that were and adds those that are now.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from exporter.fleet import Fleet
from exporter.identity import id_hashes
from exporter.label_samples import LabelBatch
from exporter.label_tables import LabelTables, StoredLabel
from exporter.pairs import Joined, StoredPrediction
from exporter.schema import DAY_SECONDS, LabelRow, PredictionRow


@dataclass(frozen=True)
class PreparedLabels:
    """A request's labels, ready to be committed; `at` is when each became known."""

    model: str
    hashes: list[bytes]
    labels: list[str]
    at: list[float]
    naive_timestamps: int
    key: bytes | None
    body: bytes

    @property
    def rows(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True)
class LabelAnswer:
    """What became of the labels of a request: each is in one of the four."""

    accepted: int
    unmatched: int
    corrections: int
    duplicates: int

    def to_json(self) -> dict[str, Any]:
        return vars(self).copy()


def prepare_labels(
    batch: LabelBatch, fleet: Fleet, now: float, body: bytes, idempotency_key: str = ""
) -> PreparedLabels:
    """Resolve times and hash ids.

    Raises:
        UnknownModelError: nobody monitors the model.
    """
    fleet.require_model(batch.model)
    known = np.minimum(np.where(np.isnan(batch.timestamps), now, batch.timestamps), now)
    key = None
    if idempotency_key:
        scoped = f"labels\0{batch.model}\0{idempotency_key}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(scoped, digest_size=16).digest()
    return PreparedLabels(
        model=batch.model,
        hashes=id_hashes(batch.model, batch.ids),
        labels=batch.labels,
        at=known.tolist(),
        naive_timestamps=batch.naive_timestamps,
        key=key,
        body=hashlib.blake2b(body, digest_size=16).digest(),
    )


class Joining:
    """The join of one commit: first its predictions, then its labels. `joined` is what it changes."""

    def __init__(self, tables: LabelTables, now: float) -> None:
        self._tables = tables
        self._now = now
        self._labelled: dict[bytes, StoredLabel] = {}
        self._before: dict[tuple[bytes, int], StoredPrediction] = {}
        self.joined = Joined()

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Say which ids the commit is about to write predictions of, before it does."""
        self._labelled = self._tables.find_labels(hashes)
        self._before = {row[:2]: row for row in self._tables.find_latest(list(self._labelled))}

    def meet_predictions(self) -> None:
        """The predictions are written: those whose label was there already are joined now."""
        met = dict[bytes, StoredLabel]()
        for row in self._tables.find_latest(list(self._labelled)):
            stored = met[row[0]] = self._labelled[row[0]]
            before = self._before.get(row[:2])
            if before == row:
                continue
            if before is not None:
                self.joined.removed.add(before, stored.row.label, stored.row.at)
            joined = self.joined.first if before is None else self.joined.added
            joined.add(row, stored.row.label, stored.row.at)
        now_matched = [stored for stored in met.values() if not stored.row.matched]
        self._tables.update([each._replace(row=each.row._replace(matched=True)) for each in now_matched])

    def add_anonymous(self, prediction: PredictionRow, label: str) -> None:
        """A row without an id that brought its label along."""
        self.joined.first.add(prediction.stored, label, prediction.at)

    def take(self, requests: Sequence[PreparedLabels]) -> list[LabelAnswer]:
        """Keep labels and join them with the predictions that are there."""
        hashes = [hashed for request in requests for hashed in request.hashes]
        place_of = dict(zip(hashes, range(len(hashes)), strict=True))  # of the last, where one comes again
        stored = self._tables.find_labels(list(place_of))
        predictions = self._tables.find_latest(list(place_of))
        if stored or len(place_of) < len(hashes):
            return self._take_known(requests, stored, predictions)
        return self._take_new(requests, place_of, predictions)

    def _take_new(
        self,
        requests: Sequence[PreparedLabels],
        place_of: Mapping[bytes, int],
        predictions: Sequence[StoredPrediction],
    ) -> list[LabelAnswer]:
        """Labels that all are the first of their ids, as nearly always."""
        labels = [label for request in requests for label in request.labels]
        at = [moment for request in requests for moment in request.at]
        places = [place_of[row[0]] for row in predictions]
        self.joined.first.extend(predictions, [labels[k] for k in places], [at[k] for k in places])
        matched = np.zeros(len(labels), np.bool_)
        matched[places] = True
        answers, rows, start = [], list[tuple[bytes, int, str, float, bool]](), 0
        for request in requests:
            own = matched[start : start + request.rows]
            met = int(own.sum())
            answers.append(LabelAnswer(met, request.rows - met, 0, 0))
            model_ids = repeat(self._tables.model_id(request.model), request.rows) if request.rows else ()
            rows += zip(request.hashes, model_ids, request.labels, request.at, own.tolist(), strict=True)
            start += request.rows
        self._insert(rows)
        return answers

    def _take_known(
        self,
        requests: Sequence[PreparedLabels],
        stored: Mapping[bytes, StoredLabel],
        predictions: Sequence[StoredPrediction],
    ) -> list[LabelAnswer]:
        """Labels of which some came before, or come twice."""
        by_id = defaultdict[bytes, list[StoredPrediction]](list)
        for row in predictions:
            by_id[row[0]].append(row)
        current = {hashed: label.row for hashed, label in stored.items()}
        answers = []
        for request in requests:
            model_id = self._tables.model_id(request.model) if request.rows else 0
            accepted = unmatched = corrections = duplicates = 0
            for hashed, label, at in zip(request.hashes, request.labels, request.at, strict=True):
                known = current.get(hashed)
                if known is None:
                    matched = hashed in by_id
                    current[hashed] = LabelRow(hashed, model_id, label, at, matched)
                    accepted += matched
                    unmatched += not matched
                elif known.label == label:
                    duplicates += 1
                else:
                    current[hashed] = known._replace(label=label)
                    corrections += 1
            answers.append(LabelAnswer(accepted, unmatched, corrections, duplicates))
        self._keep(stored, current, by_id)
        return answers

    def _keep(
        self,
        stored: Mapping[bytes, StoredLabel],
        current: Mapping[bytes, LabelRow],
        predictions: Mapping[bytes, Sequence[StoredPrediction]],
    ) -> None:
        new, changed = [], []
        for hashed, row in current.items():
            before = stored.get(hashed)
            if before is None:
                new.append(row)
                for prediction in predictions.get(hashed, ()):
                    self.joined.first.add(prediction, row.label, row.at)
            elif before.row != row:
                changed.append(before._replace(row=row))
                for prediction in predictions.get(hashed, ()):
                    self.joined.removed.add(prediction, before.row.label, before.row.at)
                    self.joined.added.add(prediction, row.label, row.at)
        self._insert(new)
        self._tables.update(changed)

    def _insert(self, rows: Sequence[tuple[bytes, int, str, float, bool]]) -> None:
        self._tables.insert(int(self._now // DAY_SECONDS), rows)
