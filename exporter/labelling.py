"""Labels meet their predictions: what comes first waits, what comes again corrects.

What counts is a function of what is stored, not of the order in which it came: for each id with a label, and
for each version that scored the id, the latest prediction and the label are one outcome. A commit that
changes a label or a prediction takes back the outcomes that were and adds those that are now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from exporter.fleet import Fleet
from exporter.identity import id_hash
from exporter.label_samples import LabelBatch
from exporter.label_tables import LabelTables, StoredLabel
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


class Outcome(NamedTuple):
    """A labelled prediction, added (`sign` 1) or taken back (-1). `first`: its label was not known before."""

    prediction: PredictionRow
    label: LabelRow
    sign: int
    first: bool


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
        hashes=[id_hash(batch.model, row_id) for row_id in batch.ids],
        labels=batch.labels,
        at=known.tolist(),
        naive_timestamps=batch.naive_timestamps,
        key=key,
        body=hashlib.blake2b(body, digest_size=16).digest(),
    )


class Joining:
    """The join of one commit: first its predictions, then its labels. `outcomes` is what it changes."""

    def __init__(self, tables: LabelTables, now: float) -> None:
        self._tables = tables
        self._now = now
        self._labelled: dict[bytes, StoredLabel] = {}
        self._before: dict[bytes, dict[int, PredictionRow]] = {}
        self.outcomes: list[Outcome] = []

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Say which ids the commit is about to write predictions of, before it does."""
        self._labelled = self._tables.find_labels(hashes)
        self._before = self._tables.find_latest(list(self._labelled))

    def meet_predictions(self) -> None:
        """The predictions are written: those whose label was there already are outcomes now."""
        after = self._tables.find_latest(list(self._labelled))
        changed = []
        for hashed, stored in self._labelled.items():
            before, now = self._before.get(hashed, {}), after.get(hashed, {})
            for version, prediction in now.items():
                if prediction == before.get(version):
                    continue
                if version in before:
                    self.outcomes.append(Outcome(before[version], stored.row, -1, first=False))
                self.outcomes.append(Outcome(prediction, stored.row, 1, first=version not in before))
            if now and not stored.row.matched:
                changed.append(stored._replace(row=stored.row._replace(matched=True)))
        self._tables.update(changed)

    def add_anonymous(self, prediction: PredictionRow, label: str) -> None:
        """A row without an id that brought its label along."""
        row = LabelRow(b"", 0, label, prediction.at, matched=True)
        self.outcomes.append(Outcome(prediction, row, 1, first=True))

    def take(self, requests: Sequence[PreparedLabels]) -> list[LabelAnswer]:
        """Keep labels and join them with the predictions that are there."""
        if not any(request.rows for request in requests):
            return [LabelAnswer(0, 0, 0, 0)] * len(requests)
        hashes = [hashed for request in requests for hashed in request.hashes]
        distinct = list(dict.fromkeys(hashes))
        stored = self._tables.find_labels(distinct)
        predictions = self._tables.find_latest(distinct)
        if not stored and len(distinct) == len(hashes):  # as nearly always
            return self._take_new(requests, predictions)
        current = {hashed: label.row for hashed, label in stored.items()}
        answers = []
        for request in requests:
            model_id = self._tables.model_id(request.model)
            accepted = unmatched = corrections = duplicates = 0
            for hashed, label, at in zip(request.hashes, request.labels, request.at, strict=True):
                known = current.get(hashed)
                if known is None:
                    matched = hashed in predictions
                    current[hashed] = LabelRow(hashed, model_id, label, at, matched)
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

    def _take_new(
        self,
        requests: Sequence[PreparedLabels],
        predictions: Mapping[bytes, Mapping[int, PredictionRow]],
    ) -> list[LabelAnswer]:
        """Labels that all are the first of their ids: the same in bulk, twice as fast."""
        answers, rows = [], list[LabelRow]()
        for request in requests:
            matched = [hashed in predictions for hashed in request.hashes]
            model_ids = repeat(self._tables.model_id(request.model))
            values = zip(request.hashes, model_ids, request.labels, request.at, matched, strict=False)
            rows += map(LabelRow._make, values)
            answers.append(LabelAnswer(sum(matched), len(matched) - sum(matched), 0, 0))
        self._add_new(rows, predictions)
        return answers

    def _add_new(
        self, rows: Sequence[LabelRow], predictions: Mapping[bytes, Mapping[int, PredictionRow]]
    ) -> None:
        self._tables.insert(int(self._now // DAY_SECONDS), rows)
        self.outcomes += [
            Outcome(prediction, row, 1, first=True)
            for row in rows
            if row[0] in predictions
            for prediction in predictions[row[0]].values()
        ]

    def _keep(
        self,
        stored: Mapping[bytes, StoredLabel],
        current: Mapping[bytes, LabelRow],
        predictions: Mapping[bytes, Mapping[int, PredictionRow]],
    ) -> None:
        new, changed = [], []
        for hashed, row in current.items():
            before = stored.get(hashed)
            if before is None:
                new.append(row)
            elif before.row != row:
                changed.append(before._replace(row=row))
                for prediction in predictions.get(hashed, {}).values():
                    self.outcomes.append(Outcome(prediction, before.row, -1, first=False))
                    self.outcomes.append(Outcome(prediction, row, 1, first=False))
        self._add_new(new, predictions)
        self._tables.update(changed)
