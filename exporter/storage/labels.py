"""Labels, and the predictions that they meet, as one commit reads and writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from exporter.storage import schema
from exporter.storage.lsm.records import Records
from exporter.storage.rows import LABELS, StoredLabel
from exporter.storage.transaction import Transaction
from exporter.typing import Ints


class DatedLabel(NamedTuple):
    """A stored label with the day on which it came, under which it is kept."""

    row: StoredLabel
    day: int


class LabelTables:
    """Finds and keeps labels and predictions by id, within a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection
        self._predictions = transaction.predictions
        self._labels = transaction.labels
        self._model_ids: dict[str, int] = {}

    def find_labels(self, hashes: Sequence[bytes]) -> dict[bytes, DatedLabel]:
        """Labels by id, of the ids that have one."""
        found = self._labels.get_many(hashes)
        rows = zip(LABELS.unpack(found.records), found.days.tolist(), strict=True)
        return {row.id_hash: DatedLabel(row, day) for row, day in rows}

    def find_latest(self, hashes: Sequence[bytes]) -> tuple[Ints, Records]:
        """The latest prediction of each version for distinct ids.

        Returns:
            (predictions,) positions of their ids in `hashes`, and the predictions.
        """
        found = self._predictions.get_many(hashes)
        if len(np.unique(found.positions)) < len(found.positions):  # several versions, or days
            keys = np.stack([found.positions, found.records.numbers["version_id"]])
            newest_first = np.argsort(-found.days, kind="stable")
            _, first = np.unique(keys[:, newest_first], axis=1, return_index=True)
            found = found.take(newest_first[first])
        return found.positions, found.records

    def all_labels(self, model: str) -> Iterator[Records]:
        """All labels of a model, in parts."""
        model_id = self.model_id(model)
        for day in self._labels.days():
            for labels in self._labels.scan(day):
                inside = np.flatnonzero(labels.numbers["model_id"] == model_id)
                if len(inside):
                    yield labels.take(inside)

    def insert(self, day: int, labels: Records) -> None:
        """Keep labels of ids that had none."""
        self._labels.put(day, labels)

    def update(self, labels: Sequence[DatedLabel]) -> None:
        """Overwrite labels that have another value, or are matched now."""
        by_day = defaultdict[int, list[StoredLabel]](list)
        for label in labels:
            by_day[label.day].append(label.row)
        for day, rows in by_day.items():
            self._labels.replace(day, LABELS.pack_rows(rows))

    def model_id(self, name: str) -> int:
        """Number by which labels name their model."""
        if name not in self._model_ids:
            self._model_ids[name] = self._find_model(name)
        return self._model_ids[name]

    def _find_model(self, name: str) -> int:
        models = schema.models.c
        found = self._connection.scalar(sa.select(models.id).where(models.name == name))
        if found is None:
            result = self._connection.execute(schema.models.insert(), {"name": name})
            assert result.inserted_primary_key is not None
            found = result.inserted_primary_key[0]
        return int(found)


def count_unmatched(transaction: Transaction, day: int) -> dict[str, int]:
    """Number of a day's labels without a prediction, by model."""
    counts = np.zeros(0, np.int64)
    for labels in transaction.labels.scan(day):
        unmatched = labels.numbers["model_id"][~labels.numbers["matched"]]
        more = np.bincount(unmatched, minlength=len(counts))
        more[: len(counts)] += counts
        counts = more
    rows = transaction.connection.execute(sa.select(schema.models.c.id, schema.models.c.name))
    names = {row.id: row.name for row in rows}
    return {names[int(model)]: int(counts[model]) for model in np.flatnonzero(counts)}
