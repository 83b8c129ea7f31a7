"""Writes of a transaction, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from contextlib import suppress

from exporter.storage.rows import PREDICTIONS
from exporter.storage.schema import COARSE, FINE
from exporter.storage.store import Store
from tests.support.stored import (
    DAY,
    day_tables,
    insert,
    make_aggregate,
    make_prediction,
    make_reference,
)


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with suppress(ZeroDivisionError), store.begin() as transaction:
        transaction.insert_predictions(DAY, PREDICTIONS.pack_rows([make_prediction(1)]))
        transaction.remember_key(b"k" * 16, b"b" * 16, 1.0)
        raise ZeroDivisionError
    assert insert(store, make_prediction(1)) == {}, "the day's table was undone as well, and comes again"
    with store.begin() as transaction:
        assert transaction.find_key(b"k" * 16, 1.0) is None


def test_it_can_be_read_within_a_transaction(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        transaction.set_status(version.key, "broken reference")
        assert store.load_versions()[0].status == "", "what is not committed yet is not seen"
    assert store.load_versions()[0].status == "broken reference"


def test_blocks_can_be_deleted_one_by_one(store: Store) -> None:
    reference = make_reference()
    blocks = {start: make_aggregate(reference, 1) for start in (0, 300, 600)}
    with store.begin() as transaction:
        transaction.put_aggregates(1, FINE, blocks)
        transaction.put_aggregates(1, COARSE, blocks)
        transaction.delete_aggregates(1, FINE, [0, 600])
    fine, coarse = store.load_blocks(1)
    assert list(fine) == [300]
    assert list(coarse) == [0, 300, 600]


def test_rows_that_are_new_are_inserted(store: Store) -> None:
    assert insert(store, make_prediction(1), make_prediction(2)) == {}
    assert insert(store) == {}


def test_rows_that_are_there_are_told_with_their_payload_and_left_alone(store: Store) -> None:
    insert(store, make_prediction(1, payload=-7))
    known = insert(store, make_prediction(1, payload=8), make_prediction(2))
    assert known == {(make_prediction(1).id_hash, 1): -7}
    assert insert(store, make_prediction(1), make_prediction(2)) == {
        (make_prediction(1).id_hash, 1): -7,
        (make_prediction(2).id_hash, 1): 1,
    }


def test_the_same_id_of_another_version_or_day_is_new(store: Store) -> None:
    insert(store, make_prediction(1))
    assert insert(store, make_prediction(1, version_id=2)) == {}
    assert insert(store, make_prediction(1), day=DAY + 1) == {}


def test_ids_are_found_however_many_are_asked_for(store: Store) -> None:
    rows = [make_prediction(number, payload=number) for number in range(1200)]
    insert(store, *rows)
    with store.begin() as transaction:
        found = transaction.find_predictions(DAY, [row.id_hash for row in rows])
        assert found == {(row.id_hash, 1): row.payload for row in rows}
        assert transaction.find_predictions(DAY - 1, [row.id_hash for row in rows]) == {}


def test_a_replaced_row_is_the_one_that_is_kept(store: Store) -> None:
    insert(store, make_prediction(1))
    with store.begin() as transaction:
        transaction.replace_predictions(
            DAY, PREDICTIONS.pack_rows([make_prediction(1, payload=2), make_prediction(2, payload=3)])
        )
        transaction.replace_predictions(DAY, PREDICTIONS.pack_rows([]))
    assert insert(store, make_prediction(1), make_prediction(2)) == {
        (make_prediction(1).id_hash, 1): 2,
        (make_prediction(2).id_hash, 1): 3,
    }


def test_every_64_bit_payload_and_odd_texts_are_kept(store: Store) -> None:
    odd = [
        make_prediction(number, payload)._replace(prediction=text, score=score)
        for number, (payload, text, score) in enumerate(
            [(2**63 - 1, "", 0.0), (-(2**63), "é\n'\";--", 1e308), (0, None, None)]
        )
    ]
    insert(store, *odd)
    assert insert(store, *odd) == {(row.id_hash, 1): row.payload for row in odd}


def test_a_key_is_found_with_the_body_it_came_with(store: Store) -> None:
    with store.begin() as transaction:
        transaction.remember_key(b"k" * 16, b"b" * 16, 1.0)
        assert transaction.find_key(b"k" * 16, 1.0) == b"b" * 16
        assert transaction.find_key(b"x" * 16, 1.0) is None


def test_what_is_past_its_retention_is_forgotten(store: Store) -> None:
    reference = make_reference()
    with store.begin() as transaction:
        transaction.remember_key(b"old".ljust(16), b"b" * 16, 99.0)
        transaction.remember_key(b"new".ljust(16), b"b" * 16, 100.0)
        for day in (9, 10):
            transaction.insert_predictions(day, PREDICTIONS.pack_rows([make_prediction(1)]))
        reference_id = transaction.save_reference(1, reference, at=1.0)
        blocks = {start: make_aggregate(reference, 1) for start in (600, 900)}
        transaction.put_aggregates(reference_id, COARSE, blocks)
    with store.begin() as transaction:
        transaction.expire(
            keys_before=100.0,
            blocks_before=900.0,
            outcomes_before=900.0,
            alerts_before=0.0,
            sources_before=0.0,
            days_before=10,
        )
    with store.begin() as transaction:
        assert transaction.find_key(b"old".ljust(16), 100.0) is None
        assert transaction.find_key(b"new".ljust(16), 100.0) is not None
    assert day_tables(store) == ["predictions_10"]
    assert list(store.load_blocks(reference_id)[1]) == [900]
    assert insert(store, make_prediction(1), day=9) == {}, "the table of a forgotten day comes again"
