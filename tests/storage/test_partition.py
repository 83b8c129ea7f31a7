"""A partition is a store of its own beside shared tables."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
import sqlalchemy as sa

from exporter.errors import ConfigError, StoreError
from exporter.sampling.reading import sample_key
from exporter.settings import DAY_SECONDS
from exporter.storage import schema
from exporter.storage.partition import Partition, Partitions, find_partitions
from exporter.storage.store import Store
from exporter.storage.transaction import TOMBSTONE_SECONDS
from exporter.storage.wanted_versions import add_wanted, load_absent, take_wanted
from tests.support.stored import DAY, day_tables, insert, make_aggregate, make_prediction, make_reference

pytestmark = pytest.mark.needs("initdb", "pg_ctl")
REFERENCE = make_reference()
Open = Callable[..., Store]


@pytest.fixture
def shared(postgres_uri: str, open_store: Callable[[str], Store]) -> Store:
    """The evaluator's store, with version 1 of `fraud` and its reference."""
    store = open_store(postgres_uri)
    with store.begin() as transaction:
        version = store.ensure_version("fraud", "1", 0, transaction.connection)
        transaction.save_reference(version.key, REFERENCE, 0.0)
    return store


@pytest.fixture
def open_partition(postgres_uri: str, shared: Store) -> Iterator[Open]:
    """`open_partition(3)` is a store of partition 3 of 8."""
    with ExitStack() as opened:

        def open_one(number: int = 0, topic: str = "rows", count: int = 8) -> Store:
            store = Store(postgres_uri, partition=Partition(number, topic, count))
            opened.callback(store.close)
            return store

        yield open_one


def put(store: Store, *starts: int, rows: int = 1) -> None:
    with store.begin() as transaction:
        transaction.put_aggregates(1, schema.FINE, dict.fromkeys(starts, make_aggregate(REFERENCE, rows)))


def changes(store: Store) -> dict[int, int]:
    """Numbers of the commits that wrote the blocks last, by start; negative where a block was deleted."""
    with store.reading() as connection:
        rows = connection.execute(sa.select(schema.aggregates))
        return {row.start: row.changed if row.payload else -row.changed for row in rows}


def test_partitions_and_the_shared_store_do_not_see_each_others_rows(
    shared: Store, open_partition: Open
) -> None:
    first, second = open_partition(0), open_partition(1)
    assert insert(shared, make_prediction(1)) == {}
    assert insert(first, make_prediction(1)) == {}
    assert insert(second, make_prediction(2)) == {}
    assert [day_tables(each) for each in (first, second)] == [[f"predictions_{DAY}"]] * 2
    put(first, 0, 300)
    assert [len(each.load_blocks(1)[0]) for each in (shared, first, second)] == [0, 2, 0]


def test_a_partition_reads_the_shared_versions_with_a_state_of_its_own(
    shared: Store, open_partition: Open
) -> None:
    first, second = open_partition(0), open_partition(1)
    with first.begin() as transaction:
        transaction.put_state(1, {"last_prediction": 7.0, "unknown_columns": '["a"]'})
        transaction.set_maturation(1, 60.0)
    (stored,), (other,), (whole,) = (each.load_versions() for each in (first, second, shared))
    assert (stored.last_prediction, stored.unknown_columns, stored.maturation_seconds) == (7.0, {"a"}, 60.0)
    assert other == whole
    assert (whole.last_prediction, whole.maturation_seconds) == (None, None)
    assert first.load_reference(1) is not None


def test_what_partitions_share_is_not_written_by_one(shared: Store, open_partition: Open) -> None:
    store = open_partition()
    with shared.begin() as transaction:
        transaction.set_status(1, "collecting")
    with store.begin() as transaction:
        transaction.set_status(1, "")
        transaction.forget_recorded(1)
        transaction.expire(9e9, 9e9, 9e9, 9e9, 9e9, 0)
    assert shared.load_versions()[0].status == "collecting"


def test_a_rows_ids_survive_the_opening_of_a_partition_again(open_partition: Open) -> None:
    store = open_partition()
    insert(store, make_prediction(1))
    with store.begin() as transaction:
        transaction.set_offset(17)
    store.close()
    again = open_partition()
    assert insert(again, make_prediction(1)) == {(make_prediction(1).id_hash, 1): 1}
    assert again.load_offset() == 17
    assert open_partition(1).load_offset() is None


def test_the_former_owner_of_a_partition_is_refused(open_partition: Open) -> None:
    former = open_partition()
    put(former, 0)
    owner = open_partition()
    with pytest.raises(StoreError, match="another exporter took over this database"):
        put(former, 300)
    assert former.was_lost.is_set()
    put(owner, 600)
    assert changes(owner) == {0: 1, 600: 2}


@pytest.mark.parametrize(
    ("topic", "count", "message"),
    [("rows", 16, "topic rows has 16 partitions, the database is of rows with 8"), ("others", 8, "others")],
)
def test_a_topic_that_is_not_the_stores_is_refused(
    open_partition: Open, topic: str, count: int, message: str
) -> None:
    open_partition(0)
    with pytest.raises(ConfigError, match=message):
        open_partition(3, topic, count)
    with pytest.raises(ConfigError, match=message):
        open_partition(0, topic, count)


def test_partitions_are_kept_in_postgresql_only() -> None:
    with pytest.raises(ConfigError, match="in postgresql only"):
        Store("sqlite:///exporter.db", partition=Partition(0, "rows", 8))


def test_a_partition_needs_the_shared_tables(postgres_uri: str) -> None:
    with pytest.raises(StoreError, match="start the evaluator first"):
        Store(postgres_uri, partition=Partition(0, "rows", 8))


def test_a_partition_needs_tables_of_its_own_schema(postgres_uri: str, open_partition: Open) -> None:
    open_partition().close()
    with psycopg.connect(postgres_uri) as connection:
        connection.execute("UPDATE partition_0.meta SET value = '8' WHERE key = 'schema_version'")
    with pytest.raises(StoreError, match="the partition's tables have schema 8"):
        open_partition()


def test_a_partition_is_found(shared: Store, open_partition: Open, postgres_uri: str) -> None:
    with psycopg.connect(postgres_uri) as connection:
        connection.execute("CREATE SCHEMA partition_5")  # of something else
    for number in (10, 2):
        open_partition(number, count=12)
    with shared.reading() as connection:
        assert find_partitions(connection) == Partitions("rows", 12, (2, 10))


def test_values_are_hashed_by_one_key(shared: Store, open_partition: Open) -> None:
    keys = set()
    for store in (open_partition(0), shared, open_partition(1)):
        with store.writing() as connection:
            keys.add(sample_key(connection))
    assert len(keys) == 1


def test_changes_are_numbered_in_order_of_the_commits(open_partition: Open) -> None:
    store = open_partition()
    put(store, 0, 300)
    put(store, 300)
    store.close()
    put(open_partition(), 900)
    assert changes(open_partition()) == {0: 1, 300: 2, 900: 3}


def test_what_is_deleted_leaves_a_tombstone_for_a_while(open_partition: Open) -> None:
    store = open_partition()
    put(store, 0, 300)
    with store.begin() as transaction:
        transaction.delete_aggregates(1, schema.FINE, [0])
    assert store.load_blocks(1)[0].keys() == {300}
    found = []
    for hour in range(4):
        with store.begin() as transaction:
            transaction.sweep(1e9 + hour * TOMBSTONE_SECONDS)
        found.append(changes(store).keys() == {300})
    assert found == [False, True, True, True]
    assert changes(store) == {300: 1}


def test_versions_that_rows_were_for_are_taken_once_and_absent_ones_noted(
    shared: Store, open_partition: Open
) -> None:
    store = open_partition()
    for _ in range(2):
        with store.writing() as connection:
            add_wanted(connection, [("fraud", "2"), ("fraud", "2"), ("fraud", "7"), ("spam", "1")], 5.0)
    registered = {"fraud": {"1", "2"}}
    with shared.writing() as connection:
        assert take_wanted(connection, registered, 5.0) == {("fraud", "2")}
        assert not take_wanted(connection, registered, 5.0)
        assert not load_absent(connection)  # named after MLflow was asked
        assert not take_wanted(connection, registered, 6.0)
        assert load_absent(connection) == {("fraud", "7"), ("spam", "1")}
        assert take_wanted(connection, {"fraud": {"7"}}, 7.0) == {("fraud", "7")}
        assert load_absent(connection) == {("spam", "1")}
        take_wanted(connection, {}, 6.0 + DAY_SECONDS)
        assert not load_absent(connection)


def test_a_commit_during_which_a_process_is_killed_leaves_nothing(
    postgres_uri: str, open_partition: Open
) -> None:
    store = open_partition()
    with store.begin() as transaction:
        transaction.set_offset(7)
    store.close()
    script = f"""
from exporter.storage.partition import Partition
from exporter.storage.rows import PREDICTIONS
from exporter.storage.store import Store
from tests.support.stored import DAY, make_prediction
store = Store({postgres_uri!r}, partition=Partition(0, "rows", 8))
with store.begin() as transaction:
    transaction.insert_predictions(DAY, PREDICTIONS.pack_rows([make_prediction(1)]))
    transaction.set_offset(99)
    print("in it", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in it\n"
        process.send_signal(signal.SIGSTOP)  # the next owner does not wait for one that was stopped either
        owner = open_partition()
        process.kill()
    assert owner.load_offset() == 7
    assert insert(owner, make_prediction(1)) == {}
