"""Labels in the store: what a commit reads and writes of them, and of the predictions that they meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from exporter import schema
from exporter.id_filters import IdDays
from exporter.schema import LABELS, PREDICTIONS, PredictionRow, label_table
from exporter.transaction import Transaction, stored_days

LABELS_AT_ONCE = 5_000
LOOKUP_IDS = 500  # bounded: databases limit the variables of a statement


class LabelRow(NamedTuple):
    """A label as it is kept. The fields are the table's columns.

    `at` is when its first value became known: a correction mends what was counted then. `matched` is whether
    a prediction with its id was there.
    """

    id_hash: bytes
    model_id: int
    label: str
    at: float
    matched: bool


class StoredLabel(NamedTuple):
    """A label and the day of the table that it is in."""

    day: int
    row: LabelRow


class LabelTables:
    """Finds and keeps labels and predictions by id, within a transaction.

    `predictions` and `labels` know which days may have an id; they are told of what is written here.
    """

    def __init__(self, transaction: Transaction, predictions: IdDays, labels: IdDays) -> None:
        self._connection = transaction.connection
        self._predictions = predictions
        self._labels = labels

    def find_labels(self, hashes: Sequence[bytes]) -> dict[bytes, StoredLabel]:
        """The labels of these ids, where there are any."""
        found = {}
        for day, ids in self._labels.candidates(hashes).items():
            for hashed, model_id, label, at, matched in self._select(f"{LABELS}{day}", ids):
                found[hashed] = StoredLabel(day, LabelRow(hashed, model_id, label, at, bool(matched)))
        return found

    def find_latest(self, hashes: Sequence[bytes]) -> dict[bytes, dict[int, PredictionRow]]:
        """Of each id, and of each version that scored it, the latest prediction."""
        found: dict[bytes, dict[int, PredictionRow]] = {}
        for day, ids in self._predictions.candidates(hashes).items():  # newest first
            for row in map(PredictionRow._make, self._select(f"{PREDICTIONS}{day}", ids)):
                if row.id_hash in found:
                    found[row.id_hash].setdefault(row.version_id, row)
                else:
                    found[row.id_hash] = {row.version_id: row}
        return found

    def all_labels(self, model: str) -> Iterator[list[LabelRow]]:
        """All labels of a model, some at a time."""
        model_id = self.model_id(model)
        for day in stored_days(self._connection, LABELS):
            table = label_table(day)
            query = sa.select(table).where(table.c.model_id == model_id)
            rows = self._connection.execute(query, execution_options={"stream_results": True})
            for part in rows.partitions(LABELS_AT_ONCE):
                yield [LabelRow(bytes(row[0]), row[1], row[2], row[3], bool(row[4])) for row in part]

    def insert(self, day: int, rows: Sequence[LabelRow]) -> None:
        """Keep labels of ids that had none."""
        if not rows:
            return
        table = label_table(day)
        self._connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
        places = ", ".join([self._place] * len(LabelRow._fields))
        self._connection.exec_driver_sql(
            f"INSERT INTO {table.name} VALUES ({places})",  # noqa: S608 - the name is our own
            list(rows),
        )
        self._labels.add(day, [row.id_hash for row in rows])

    def update(self, rows: Iterable[StoredLabel]) -> None:
        """Write labels that are there already anew: another value, or matched now."""
        days: dict[int, list[tuple[object, ...]]] = {}
        for day, row in rows:
            days.setdefault(day, []).append((row.label, row.matched, row.id_hash))
        for day, values in days.items():
            place = self._place
            self._connection.exec_driver_sql(
                f"UPDATE {LABELS}{day} SET label = {place}, matched = {place} WHERE id_hash = {place}",  # noqa: S608
                values,
            )

    def model_id(self, name: str) -> int:
        """The small number by which labels name their model."""
        models = schema.models.c
        found = self._connection.scalar(sa.select(models.id).where(models.name == name))
        if found is None:
            result = self._connection.execute(schema.models.insert(), {"name": name})
            assert result.inserted_primary_key is not None
            found = result.inserted_primary_key[0]
        return int(found)

    @property
    def _place(self) -> str:
        return "?" if self._connection.dialect.name == "sqlite" else "%s"

    def _select(self, table: str, ids: Sequence[bytes]) -> Iterator[Sequence[Any]]:
        ordered = sorted(ids)  # neighbours share pages
        for start in range(0, len(ordered), LOOKUP_IDS):
            part = tuple(ordered[start : start + LOOKUP_IDS])
            places = ", ".join([self._place] * len(part))
            query = f"SELECT * FROM {table} WHERE id_hash IN ({places})"  # noqa: S608 - the name is our own
            yield from self._connection.exec_driver_sql(query, part).fetchall()


def count_unmatched(connection: sa.Connection, day: int) -> dict[str, int]:
    """Labels of a day that met no prediction, by model."""
    table, models = label_table(day), schema.models
    query = (
        sa.select(models.c.name, sa.func.count())
        .join_from(table, models, table.c.model_id == models.c.id)
        .where(~table.c.matched)
        .group_by(models.c.name)
    )
    return {name: int(count) for name, count in connection.execute(query)}
