"""Values come back from the store, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np

from exporter.storage.schema import COARSE, FINE, AliasMove
from exporter.storage.store import Store
from tests.support.stored import (
    DAY,
    insert,
    make_aggregate,
    make_prediction,
    make_reference,
    make_waiting,
)


def test_what_is_committed_is_there_after_reopening(
    store_uri: str, open_store: Callable[[str], Store]
) -> None:
    store, reference = open_store(store_uri), make_reference()
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        reference_id = transaction.save_reference(version.key, reference, at=1.0)
        transaction.put_aggregates(reference_id, FINE, {300: make_aggregate(reference, 3)})
        transaction.add_waiting(version.key, make_waiting(2, b"waits"))
        transaction.put_state(version.key, {"last_prediction": 12.5})
    store.close()

    store = open_store(store_uri)
    (stored,) = store.load_versions()
    assert (stored.last_prediction, stored.waiting_rows) == (12.5, 2)
    loaded = store.load_reference(stored.key)
    assert loaded is not None
    assert loaded[0] == reference_id
    assert loaded[1].digest == reference.digest
    assert list(store.load_blocks(reference_id)[0]) == [300]
    assert [each.body for each in store.load_waiting(stored.key)] == [b"waits"]


def test_a_version_keeps_its_number(store: Store) -> None:
    first = store.ensure_version("fraud", "1", 0)
    other = store.ensure_version("fraud", "2", 0)
    assert store.ensure_version("fraud", "1", 0) == first
    assert first.key != other.key
    assert [version.version for version in store.load_versions()] == ["1", "2"]


def test_a_version_that_was_registered_again_is_another_one(store: Store) -> None:
    before, after = store.ensure_version("fraud", "1", 1000), store.ensure_version("fraud", "1", 2000)
    assert before.key != after.key
    assert store.load_versions()[-1] == after


def test_of_versions_with_the_same_names_the_one_followed_last_comes_last(store: Store) -> None:
    first, second = store.ensure_version("fraud", "1", 1000), store.ensure_version("fraud", "1", 2000)
    other = store.ensure_version("fraud", "2", 0)
    for followed in (first, second, first, first):
        assert store.ensure_version("fraud", "1", followed.created_ms) == followed
        stored = {(version.model, version.version): version for version in store.load_versions()}
        assert stored == {("fraud", "1"): followed, ("fraud", "2"): other}


def test_the_latest_reference_is_the_current_one(store: Store) -> None:
    reference = make_reference()
    with store.begin() as transaction:
        transaction.save_reference(1, reference, at=1.0)
        latest = transaction.save_reference(1, reference, at=2.0)
        transaction.save_reference(2, reference, at=3.0)
    loaded = store.load_reference(1)
    assert loaded is not None
    assert loaded[0] == latest
    assert store.load_reference(3) is None


def test_blocks_come_back_by_family_and_the_last_one_put_counts(store: Store) -> None:
    reference = make_reference()
    with store.begin() as transaction:
        transaction.put_aggregates(
            1, FINE, {0: make_aggregate(reference, 1), 300: make_aggregate(reference, 2)}
        )
        transaction.put_aggregates(1, FINE, {300: make_aggregate(reference, 5)})
        transaction.put_aggregates(1, COARSE, {0: make_aggregate(reference, 7)})
        transaction.put_aggregates(2, FINE, {0: make_aggregate(reference, 9)})
        transaction.put_aggregates(2, COARSE, {})
    fine, coarse = store.load_blocks(1)
    assert {start: block.rows for start, block in fine.items()} == {0: 1, 300: 5}
    assert {start: block.rows for start, block in coarse.items()} == {0: 7}
    kept, put = fine[300], make_aggregate(reference, 5)
    assert np.array_equal(kept.counts, put.counts)
    assert np.array_equal(kept.moments, put.moments)
    assert np.array_equal(kept.latency, put.latency)
    assert kept.latency_sum == put.latency_sum


def test_alias_moves_come_back_in_order(store: Store) -> None:
    seen = (("1", 9.0), ("", 3.0), ("2", 4.0))  # the clock was put back after the first
    moves = [AliasMove("fraud", "champion", version, since) for version, since in seen]
    store.add_alias_moves(moves[:1])
    store.add_alias_moves(moves[1:])
    assert store.load_alias_moves() == moves


def test_what_waits_comes_back_in_order_of_arrival(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        for number in range(3):
            transaction.add_waiting(version.key, make_waiting(number + 1, b"body %d" % number))
    waiting = [*store.load_waiting(version.key)]
    assert [each.body for each in waiting] == [b"body 0", b"body 1", b"body 2"]
    assert waiting[2].query == {"model": "fraud"}
    assert waiting[2].row_numbers.tolist() == [0, 1, 2]
    assert waiting[2].times.tolist() == [0.5, 1.5, 2.5]
    assert store.load_versions()[0].waiting_rows == 6
    with store.begin() as transaction:
        transaction.delete_waiting(version.key)
    assert not [*store.load_waiting(version.key)]


def test_one_request_that_waits_is_in_memory_at_a_time(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    for _ in range(20):
        with store.begin() as transaction:
            transaction.add_waiting(version.key, make_waiting(1, bytes(2**20)))
    tracemalloc.start()
    assert sum(len(each.body) for each in store.load_waiting(version.key)) == 20 * 2**20
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * 2**20


def test_requests_that_are_forgotten_while_others_are_read_end_the_reading(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        for _ in range(2):
            transaction.add_waiting(version.key, make_waiting(1, b"waits"))
    waiting = store.load_waiting(version.key)
    assert next(waiting).body == b"waits"
    with store.begin() as transaction:
        transaction.delete_waiting(version.key)
    assert not [*waiting]


def test_its_size_shrinks_when_something_is_forgotten(store: Store) -> None:
    empty = store.size_bytes()
    insert(store, *(make_prediction(number) for number in range(5000)))
    full = store.size_bytes()
    with store.begin() as transaction:
        transaction.expire(0.0, 0.0, 0.0, 0.0, 0.0, DAY + 1)
    assert full > empty + 5000 * 16
    assert store.size_bytes() < (empty + full) / 2
