"""Rows that are found by id, whatever was appended, sealed, rolled back or reopened in between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter import id_tables, schema
from exporter.id_filters import IdFilter, Probes
from exporter.id_tables import IdTables
from exporter.schema import PREDICTIONS, PredictionRow
from exporter.store import Store

DAY = 20_500


def hash_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * 2


def make_row(number: int, version: int = 1, payload: int = 0, day: int = DAY) -> PredictionRow:
    return PredictionRow(hash_of(number), version, payload, day * 86400.0, "1", 0.5)


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a few rows fill them."""
    monkeypatch.setattr(id_tables, "HEAP_ROWS", 5)
    monkeypatch.setattr(id_tables, "TABLE_ROWS", 8)
    monkeypatch.setattr(id_tables, "INSERT_ROWS", 2)


def tables_of(store: Store) -> list[str]:
    with store.begin() as transaction:
        names = sa.inspect(transaction.connection).get_table_names()
    return sorted(name for name in names if name.startswith(PREDICTIONS.prefix))


def insert(store: Store, *rows: PredictionRow, day: int = DAY) -> None:
    store.seal_ids()
    with store.begin() as transaction:
        transaction.insert_predictions(day, rows)


def find(store: Store, numbers: list[int], days: list[int] | None = None) -> set[tuple[int, int, int, int]]:
    """Day, number, version and payload of what is there."""
    with store.begin() as transaction:
        found = transaction.predictions.find(transaction.connection, [hash_of(n) for n in numbers], days)
        return {
            (f.day, int.from_bytes(f.row.id_hash[:8], "little"), f.row.version_id, f.row.payload)
            for f in found
        }


def test_rows_are_found_before_and_after_they_are_sealed(store: Store) -> None:
    insert(store, *(make_row(n) for n in range(5)))
    assert tables_of(store) == [f"predictions_{DAY}"]
    assert find(store, [3, 4, 5]) == {(DAY, 3, 1, 0), (DAY, 4, 1, 0)}
    insert(store, make_row(5))
    assert tables_of(store) == [f"predictions_{DAY}", f"predictions_{DAY}_0"]
    assert find(store, [3, 4, 5, 6]) == {(DAY, 3, 1, 0), (DAY, 4, 1, 0), (DAY, 5, 1, 0)}


def test_a_sealed_table_takes_more_until_it_is_full(store: Store) -> None:
    for first in (0, 5, 10):
        insert(store, *(make_row(n) for n in range(first, first + 5)))
    store.seal_ids()
    assert tables_of(store) == [f"predictions_{DAY}_{number}" for number in range(3)]
    insert(store, make_row(20), day=DAY + 1)
    insert(store, *(make_row(n) for n in range(21, 26)), day=DAY + 1)
    insert(store, make_row(26), make_row(27), day=DAY + 1)
    store.seal_ids()
    assert f"predictions_{DAY + 1}_1" not in tables_of(store)
    assert len(find(store, list(range(30)))) == 15 + 8


def test_what_is_open_at_the_end_is_sealed_at_the_start(
    store_uri: str, open_store: Callable[[str], Store]
) -> None:
    store = open_store(store_uri)
    insert(store, make_row(1), make_row(2))
    store.close()
    again = open_store(store_uri)
    assert tables_of(again) == [f"predictions_{DAY}_0"]
    assert find(again, [1, 2, 3]) == {(DAY, 1, 1, 0), (DAY, 2, 1, 0)}


def test_a_filter_that_is_not_there_is_made(store_uri: str, open_store: Callable[[str], Store]) -> None:
    store = open_store(store_uri)
    insert(store, make_row(1))
    store.close()
    open_store(store_uri).close()  # seals
    store = open_store(store_uri)
    with store.begin() as transaction:
        transaction.connection.execute(sa.delete(schema.id_filters))
    store.close()
    assert find(open_store(store_uri), [1]) == {(DAY, 1, 1, 0)}


def test_a_table_that_was_not_committed_is_not_looked_into(store: Store) -> None:
    with suppress(ZeroDivisionError), store.begin() as transaction:
        transaction.insert_predictions(DAY, [make_row(1)])
        raise ZeroDivisionError
    assert find(store, [1]) == set()
    insert(store, make_row(1))
    assert find(store, [1]) == {(DAY, 1, 1, 0)}


def test_a_seal_that_fails_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *(make_row(n) for n in range(6)))
    with monkeypatch.context() as patch:
        patch.setattr(IdTables, "_save_filter", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.seal_ids()
    assert len(find(store, list(range(6)))) == 6
    store.seal_ids()
    assert tables_of(store) == [f"predictions_{DAY}_0"]
    assert len(find(store, list(range(6)))) == 6


def test_days_that_are_forgotten_are_gone_with_their_filters(store: Store) -> None:
    for day in (DAY, DAY + 1):
        insert(store, *(make_row(n) for n in range(6)), day=day)
    with store.begin() as transaction:
        transaction.predictions.forget(transaction.connection, DAY + 1)
        filters = transaction.connection.scalars(sa.select(schema.id_filters.c.name)).all()
    assert {day for day, *_ in find(store, list(range(6)))} == {DAY + 1}
    assert not [name for name in filters if str(DAY) in name]


@given(st.lists(st.integers(0, 2**64 - 1), unique=True), st.lists(st.integers(0, 2**64 - 1)))
def test_a_filter_never_denies_an_id_of_its_own(known: list[int], others: list[int]) -> None:
    ids = IdFilter.decode(IdFilter.of([hash_of(n) for n in known]).encode())
    if known:
        assert ids.find(Probes.of([hash_of(n) for n in known])) == list(range(len(known)))
    if not known and others:
        assert ids.find(Probes.of([hash_of(n) for n in others])) == []


numbers = st.integers(0, 15)
some = st.sets(numbers, min_size=1, max_size=6)
steps = st.tuples(
    st.sampled_from(["insert", "insert", "replace", "fail"]), st.integers(0, 2), st.integers(1, 2), some
)
reopenings = st.just(("reopen", 0, 0, frozenset[int]()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps | steps | steps | reopenings, max_size=20))
def test_whatever_happened_a_day_has_each_id_of_a_version_once(
    tmp_path_factory: pytest.TempPathFactory, schedule: list[tuple[str, int, int, Any]]
) -> None:
    uri = f"sqlite:///{tmp_path_factory.mktemp('schedule') / 'exporter.db'}"
    store, truth = Store(uri), dict[tuple[int, int, int], int]()
    try:
        for payload, (action, after, version, chosen) in enumerate(schedule):
            day, rows = DAY + after, [make_row(n, version, payload) for n in sorted(chosen)]
            keys = [(day, n, version) for n in sorted(chosen)]
            if action == "reopen":
                store.close()
                store = Store(uri)
                continue
            store.seal_ids()
            try:
                with store.begin() as transaction:
                    if action == "replace":
                        transaction.replace_predictions(day, rows)
                    else:
                        known = transaction.insert_predictions(day, rows)
                        assert known == {(hash_of(k[1]), version): truth[k] for k in keys if k in truth}
                    if action == "fail":
                        raise ZeroDivisionError
            except ZeroDivisionError:
                continue
            truth |= {key: payload for key in keys if action == "replace" or key not in truth}
        assert find(store, list(range(16))) == {(*key, payload) for key, payload in truth.items()}
        for day in range(DAY, DAY + 3):
            expected = {(*key, payload) for key, payload in truth.items() if key[0] == day}
            assert find(store, list(range(16)), [day]) == expected
    finally:
        store.close()
