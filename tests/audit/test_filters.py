"""Searching the audit trail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from exporter.audit.filters import Filters, find, sequence_range
from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.storage.store import Store
from tests.support.trail import trail, write

RECORDS = [
    (10.0, Entry("started", "system")),
    (20.0, Entry("summary", "monitor", "fraud", "3")),
    (30.0, Entry("alert_received", "alertmanager", "fraud", "3")),
    (40.0, Entry("remediation", "remediation/rollback", "fraud", "3", action_id="c0ffee")),
    (50.0, Entry("summary", "monitor", "fraud", "2")),
    (60.0, Entry("summary", "monitor", "churn", "3")),
]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(), [6, 5, 4, 3, 2, 1]),
        (Filters(model="fraud"), [5, 4, 3, 2]),
        (Filters(model="fraud", version="3"), [4, 3, 2]),
        (Filters(version="3", kind="summary"), [6, 2]),
        (Filters(actor="monitor"), [6, 5, 2]),
        (Filters(action_id="c0ffee"), [4]),
        (Filters(start=20.0, end=50.0), [4, 3, 2]),
        (Filters(start=50.0), [6, 5]),
        (Filters(end=20.0), [1]),
        (Filters(after=4), [6, 5]),
        (Filters(start=70.0), []),
        (Filters(model="FRAUD"), []),
    ],
)
def test_every_filter_narrows(filters: Filters, found: list[int]) -> None:
    with trail(*RECORDS) as connection:
        records, following = find(connection, filters, 10)
    assert [record.seq for record in records] == found
    assert following is None


def test_pages_are_the_same_while_records_are_appended() -> None:
    with trail(*RECORDS) as connection:
        first, following = find(connection, Filters(model="fraud"), 2)
        write(connection, [(70.0, Entry("summary", "monitor", "fraud", "3"))])
        second, end = find(connection, Filters(model="fraud"), 2, following)
    assert [record.seq for record in (*first, *second)] == [5, 4, 3, 2]
    assert end is None


def test_a_full_last_page_has_no_next() -> None:
    with trail(*RECORDS) as connection:
        assert find(connection, Filters(), 6)[1] is None
        assert find(connection, Filters(), 5)[1] == 2


def test_a_period_is_found_though_the_clock_was_set_back() -> None:
    records = [(at, Entry("summary", "monitor")) for at in (10.0, 30.0, 20.0, 40.0)]
    with trail(*records) as connection:
        assert sequence_range(connection, 15.0, 25.0) == (3, 3)
        assert sequence_range(connection, 25.0, None) == (2, 4)
        assert [record.seq for record in find(connection, Filters(start=25.0), 10)[0]] == [4, 2]
        assert sequence_range(connection, 50.0, None) == (0, -1)


def test_records_have_the_digests_of_the_chain() -> None:
    with trail(*RECORDS) as connection:
        (record,), _ = find(connection, Filters(after=5), 1)
    assert record.body is not None
    assert record.digest is not None
    assert len(record.digest) == len(record.body_digest) == 32


def test_both_databases_are_searched(store_uri: str, open_store: Callable[[str], Store]) -> None:
    store = open_store(store_uri)
    with store.writing() as connection:
        for at, entry in RECORDS:
            append(connection, [entry], at)
    wanted = Filters(model="fraud", version="3", start=20.0, end=50.0)
    with store.reading() as connection:
        first, following = find(connection, wanted, 2)
        assert [record.seq for record in first] == [4, 3]
        assert [record.seq for record in find(connection, wanted, 2, following)[0]] == [2]
