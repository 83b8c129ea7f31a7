"""Labels and the predictions that they meet, by id."""

from __future__ import annotations

import pytest

from exporter.storage.labels import LabelTables, count_unmatched
from exporter.storage.rows import LABELS, PREDICTIONS, StoredLabel, StoredPrediction
from exporter.storage.store import Store
from exporter.storage.transaction import Transaction

DAY = 20_500


def hash_of(number: int) -> bytes:
    return number.to_bytes(16, "little")


def put_predictions(transaction: Transaction, day: int, *rows: tuple[int, int, str]) -> None:
    """Predictions of a day: number, version and value."""
    found = [
        StoredPrediction(hash_of(n), version, 0, day * 86400.0, value, 0.5) for n, version, value in rows
    ]
    transaction.predictions.put(day, PREDICTIONS.pack_rows(found))


def put_labels(tables: LabelTables, day: int, model: str, *numbers: int, matched: bool = False) -> None:
    model_id = tables.model_id(model)
    rows = [StoredLabel(hash_of(number), model_id, "1", 0.0, matched) for number in numbers]
    tables.insert(day, LABELS.pack_rows(rows))


def test_the_latest_prediction_of_each_version_is_found(store: Store) -> None:
    with store.begin() as transaction:
        put_predictions(transaction, DAY - 1, (1, 7, "older"), (1, 8, "other version"), (2, 7, "only"))
        put_predictions(transaction, DAY, (1, 7, "newer"))
        positions, found = LabelTables(transaction).find_latest([hash_of(n) for n in (3, 2, 1)])
    rows = PREDICTIONS.unpack(found)
    assert sorted((p, row.version_id, row.prediction) for p, row in zip(positions, rows, strict=True)) == [
        (1, 7, "only"),
        (2, 7, "newer"),
        (2, 8, "other version"),
    ]


@pytest.mark.parametrize("flushed", [False, True])
def test_labels_are_overwritten_on_the_day_on_which_they_came(store: Store, flushed: bool) -> None:
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        put_labels(tables, DAY - 40, "fraud", 1, 2)
        put_labels(tables, DAY, "fraud", 3)
        if flushed:
            transaction.labels.flush()
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        found = tables.find_labels([hash_of(n) for n in (1, 3, 4)])
        assert {each: label.day for each, label in found.items()} == {hash_of(1): DAY - 40, hash_of(3): DAY}
        changed = [label._replace(row=label.row._replace(label="0")) for label in found.values()]
        tables.update(changed)
    with store.begin() as transaction:
        again = LabelTables(transaction).find_labels([hash_of(n) for n in (1, 2, 3)])
        assert [again[hash_of(n)].row.label for n in (1, 2, 3)] == ["0", "1", "0"]
        assert transaction.labels.days() == [DAY - 40, DAY]


def test_labels_are_those_of_a_model(store: Store) -> None:
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        put_labels(tables, DAY, "fraud", 1, 2)
        put_labels(tables, DAY, "churn", 3)
        assert [row.id_hash for part in tables.all_labels("churn") for row in LABELS.unpack(part)] == [
            hash_of(3)
        ]
        assert not [*tables.all_labels("new")]


def test_labels_without_a_prediction_are_counted_by_model(store: Store) -> None:
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        put_labels(tables, DAY, "fraud", 1, 2)
        put_labels(tables, DAY, "churn", 3)
        put_labels(tables, DAY, "churn", 4, matched=True)
        put_labels(tables, DAY, "slow", 5, matched=True)
        assert count_unmatched(transaction, DAY) == {"fraud": 2, "churn": 1}
        assert count_unmatched(transaction, DAY + 1) == {}
