"""Labels in the store: what a commit reads and writes of them, and of the predictions that they meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import sqlalchemy as sa

from exporter import schema
from exporter.id_tables import Found
from exporter.pairs import JOINED_COLUMNS, StoredPrediction
from exporter.schema import LabelRow
from exporter.transaction import Transaction

LABELS_AT_ONCE = 5_000

StoredLabel: TypeAlias = Found[LabelRow]


class LabelTables:
    """Finds and keeps labels and predictions by id, within a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection
        self._predictions = transaction.predictions
        self._labels = transaction.labels
        self._model_ids: dict[str, int] = {}

    def find_labels(self, hashes: Sequence[bytes]) -> dict[bytes, StoredLabel]:
        """The labels of these ids, where there are any."""
        return {found.row.id_hash: found for found in self._labels.find(self._connection, hashes)}

    def find_latest(self, hashes: Sequence[bytes]) -> list[StoredPrediction]:
        """Of each id, and of each version that scored it, the latest prediction."""
        rows = self._predictions.find_rows(self._connection, hashes, JOINED_COLUMNS)  # newest day first
        distinct = {row[0] for row in rows}
        if len(distinct) < len(rows):  # several versions scored an id, or it came on several days
            rows = list({row[:2]: row for row in reversed(rows)}.values())
        return rows

    def all_labels(self, model: str) -> Iterator[list[LabelRow]]:
        """All labels of a model, some at a time."""
        model_id = self.model_id(model)
        for day in self._labels.days():
            for name in self._labels.names(day):
                query = f"SELECT {', '.join(LabelRow._fields)} FROM {name} WHERE model_id = {model_id}"  # noqa: S608
                rows = self._connection.exec_driver_sql(query, execution_options={"stream_results": True})
                for part in rows.partitions(LABELS_AT_ONCE):
                    yield [LabelRow(bytes(row[0]), row[1], row[2], row[3], bool(row[4])) for row in part]

    def insert(self, day: int, rows: Sequence[tuple[bytes, int, str, float, bool]]) -> None:
        """Keep labels, as in a `LabelRow`, of ids that had none."""
        self._labels.insert(self._connection, day, rows)

    def update(self, labels: Sequence[StoredLabel]) -> None:
        """Write labels that are there already anew: another value, or matched now."""
        self._labels.replace(self._connection, labels)

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
    models, counts = schema.models, Counter[str]()
    for name in transaction.labels.names(day):
        table = sa.table(name, sa.column("model_id"), sa.column("matched", sa.Boolean))
        query = (
            sa.select(models.c.name, sa.func.count())
            .join_from(table, models, table.c.model_id == models.c.id)
            .where(~table.c.matched)
            .group_by(models.c.name)
        )
        for model, count in transaction.connection.execute(query):
            counts[model] += int(count)
    return dict(counts)
