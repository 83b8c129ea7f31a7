"""Labels in the store: what a commit reads and writes of them, and of the predictions that they meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from exporter.storage import schema
from exporter.storage.lsm.records import Records
from exporter.storage.lsm.tree import Found
from exporter.storage.rows import LABELS, StoredLabel
from exporter.storage.transaction import Transaction
from exporter.typing import Ints


class DatedLabel(NamedTuple):
    """A label, and where it was found: `place` is its number there."""

    row: StoredLabel
    found: Found
    place: int


class LabelTables:
    """Finds and keeps labels and predictions by id, within a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection
        self._predictions = transaction.predictions
        self._labels = transaction.labels
        self._model_ids: dict[str, int] = {}

    def find_labels(self, hashes: Sequence[bytes]) -> dict[bytes, DatedLabel]:
        """The labels of these ids, where there are any."""
        found = self._labels.find(self._connection, hashes)
        rows = LABELS.unpack(found.records)
        return {row.id_hash: DatedLabel(row, found, place) for place, row in enumerate(rows)}

    def find_latest(self, hashes: Sequence[bytes]) -> tuple[Ints, Records]:
        """Of each of these distinct ids, and of each version that scored it, the latest prediction.

        Returns:
            (predictions,) which of the ids each has, and the predictions.
        """
        found = self._predictions.find(self._connection, hashes)
        numbers, records = found.numbers, found.records
        if len(np.unique(numbers)) < len(numbers):  # scored by several versions, or on several days
            keys = np.stack([numbers, records.numbers["version_id"]])
            newest_first = np.argsort(-found.days, kind="stable")
            _, latest = np.unique(keys[:, newest_first], axis=1, return_index=True)
            numbers, records = numbers[newest_first[latest]], records.take(newest_first[latest])
        return numbers, records

    def all_labels(self, model: str) -> Iterator[Records]:
        """All labels of a model, some at a time."""
        model_id = self.model_id(model)
        for day in self._labels.days():
            for labels in self._labels.read(self._connection, day):
                inside = np.flatnonzero(labels.numbers["model_id"] == model_id)
                if len(inside):
                    yield labels.take(inside)

    def insert(self, day: int, labels: Records) -> None:
        """Keep labels of ids that had none."""
        self._labels.insert(self._connection, day, labels)

    def update(self, labels: Sequence[DatedLabel]) -> None:
        """Write labels that are there already anew: another value, or matched now."""
        together = defaultdict[int, list[DatedLabel]](list)
        for label in labels:
            together[id(label.found)].append(label)
        for some in together.values():
            found = some[0].found.take(np.array([label.place for label in some]))
            records = LABELS.pack_rows([label.row for label in some])
            self._labels.replace(self._connection, replace(found, records=records))

    def model_id(self, name: str) -> int:
        """The small number by which labels name their model."""
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
    """Labels of a day that met no prediction, by model."""
    counts = np.zeros(0, np.int64)
    for labels in transaction.labels.read(transaction.connection, day):
        unmatched = labels.numbers["model_id"][~labels.numbers["matched"]]
        more = np.bincount(unmatched, minlength=len(counts))
        more[: len(counts)] += counts
        counts = more
    rows = transaction.connection.execute(sa.select(schema.models.c.id, schema.models.c.name))
    names = {row.id: row.name for row in rows}
    return {names[int(model)]: int(counts[model]) for model in np.flatnonzero(counts)}
