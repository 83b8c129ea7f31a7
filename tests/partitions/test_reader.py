"""Labels of a partition are found while its worker merges and drops the tables that they are in."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from exporter.formats.hashing import id_hashes
from exporter.partitions.reader import PartitionReader, count_partitions, partition_readers
from exporter.storage.lsm import tree
from tests.support.fakes import TIMEOUT_SECONDS, Clock
from tests.support.partitioned import Group, make_reference
from tests.support.rig import NOON, make_rows

pytestmark = pytest.mark.needs("initdb", "pg_ctl")
DAY = 86_400.0


@pytest.fixture
def group(postgres_uri: str) -> Iterator[Group]:
    """Two partitions, the first of which has labelled rows."""
    group = Group(postgres_uri, 2, Clock(NOON), make_reference())
    yield group
    group.close()


def commit(group: Group, number: int) -> list[str]:
    """Commit ten rows and their labels in partition 0; returns their ids."""
    counter, rows = group.counters[0], make_rows(10, prefix=f"r{number}-")
    ids = [row["id"] for row in rows]
    for row in rows:
        row["timestamp"] = group.clock() - 1
    counter.counting.commit([counter.predict(rows)])
    counter.counting.commit([counter.label([{"id": each, "label": 1} for each in ids])])
    return ids


def found(reader: PartitionReader, ids: list[str]) -> set[str]:
    hashes = dict(zip(id_hashes("fraud", ids), ids, strict=True))
    with reader.reading_labels() as tables:
        labelled = tables.find_labels(list(hashes))
        predicted, _ = tables.find_latest(list(hashes))
    assert len(predicted) == len(labelled)
    return {hashes[each] for each in labelled}


def test_labels_are_found_in_every_state_of_the_tables(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MEMTABLE_ROWS", 25)
    reader, committed = partition_readers(group.shared)[0], list[str]()
    for number in range(6):
        committed += commit(group, number)
        assert found(reader, committed) == set(committed)


def test_a_reader_waits_for_merges_and_they_for_it(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MEMTABLE_ROWS", 15)  # a merge every second commit
    reader, committed, failures = partition_readers(group.shared)[0], commit(group, 0), list[object]()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            known = list(committed)
            if missing := set(known) - found(reader, known):
                failures.append(missing)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for number in range(1, 10):
            committed.extend(commit(group, number))
            group.clock.advance(DAY / 6)
            group.counters[0].tidy()
    finally:
        done.set()
        reading.join(TIMEOUT_SECONDS)
    assert not failures
    assert not reading.is_alive()


def test_tables_of_days_that_expire_are_dropped_when_readers_have_ended(group: Group) -> None:
    commit(group, 0)
    group.clock.advance(40 * DAY)
    expired = threading.Thread(target=group.counters[0].tidy)
    with partition_readers(group.shared)[0].reading_labels() as tables:
        expired.start()
        expired.join(0.2)
        assert list(tables.all_labels("fraud"))
    expired.join(TIMEOUT_SECONDS)
    with partition_readers(group.shared)[0].reading_labels() as tables:
        assert not list(tables.all_labels("fraud"))


def test_partitions_are_counted_from_what_the_database_has(group: Group) -> None:
    assert count_partitions(group.shared) == 2
