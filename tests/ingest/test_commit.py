"""One transaction: its answers, its failures, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import MalformedError, UnavailableError
from exporter.fleet import Status
from exporter.ingest.commit import PredictionAnswer
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import LabelAnswer
from exporter.storage.transaction import Transaction
from tests.ingest.test_writer import break_store
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry
from tests.support.postgres import lose_answer
from tests.support.rig import NOON, Rig, make_document, make_rows, make_table

Start = Callable[..., Rig]


# -- answers ------------------------------------------------------------------------------------------------


def test_rows_that_cannot_count_are_said_and_counted(rig: Rig) -> None:
    rows = [*make_rows(2), *make_rows(3, timestamp=NOON + 3600), *make_rows(4, timestamp=0)]
    assert rig.post_rows(rows).to_json() == {
        "accepted": 2,
        "duplicates": 0,
        "conflicts": 0,
        "dropped": {"future": 3, "too_old": 4},
    }
    dropped = rig.series("mlflow_exporter_dropped_rows_total")
    assert dropped == {
        'mlflow_exporter_dropped_rows_total{reason="future"}': 3,
        'mlflow_exporter_dropped_rows_total{reason="too_old"}': 4,
        'mlflow_exporter_dropped_rows_total{reason="no_version"}': 0,
    }


def test_rows_from_while_an_alias_pointed_to_nothing_are_said_and_counted(rig: Rig) -> None:
    rig.clock.advance(600)
    rig.registry.delete_alias("fraud", "champion")
    rig.poll()
    rig.clock.advance(600)
    rig.registry.set_alias("fraud", "champion", "1")
    rig.poll()
    rows = [*make_rows(2, prefix="a", label=1), *make_rows(1, prefix="b", timestamp=NOON + 700, label=1)]
    said = {"accepted": 2, "duplicates": 0, "conflicts": 0, "dropped": {"no_version": 1}}
    assert rig.post_rows(rows, "key", alias="champion").to_json() == said
    assert rig.post_rows(rows, "key", alias="champion") == PredictionAnswer(0, 3, 0, {})
    assert rig.sample('mlflow_exporter_dropped_rows_total{reason="no_version"}') == 1
    assert rig.post_labels({"a0": 1, "b0": 1}) == LabelAnswer(0, 1, 0, 1)  # the label went with its row
    # Nothing was remembered of it: sent by version it counts.
    named = [row | {"timestamp": NOON + 700} for row in make_rows(1, prefix="b")]
    assert rig.post_rows(named, version="1") == PredictionAnswer(1, 0, 0, {})


def test_times_without_a_zone_are_counted(rig: Rig) -> None:
    rig.post_rows(make_rows(3, timestamp="2026-02-16T11:00:00"))
    rig.post_rows(make_rows(3, timestamp="2026-02-16T11:00:00Z"))
    assert rig.sample("mlflow_exporter_naive_timestamps_total") == 3


# -- failing ------------------------------------------------------------------------------------------------


def test_a_commit_that_fails_leaves_memory_as_the_store_is(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.post_rows(make_rows(5, prefix="before"))
    rig.evaluate()
    before = rig.series()
    with monkeypatch.context() as broken:
        break_store(rig, broken, lambda _: True)
        for answer in rig.together([make_document(make_rows(2, prefix=f"{k}-")) for k in range(3)]):
            with pytest.raises(UnavailableError, match="disk is full") as error:
                answer.result(TIMEOUT_SECONDS)
            assert error.value.retry_after_seconds == 5
    rig.evaluate()
    assert rig.outcomes() == {"accepted": 5, "rejected": 6}
    changing = ("mlflow_exporter_", "process_", "python_")
    after = rig.series()
    assert {k: v for k, v in after.items() if not k.startswith(changing)} == {
        k: v for k, v in before.items() if not k.startswith(changing)
    }
    assert rig.post_rows(make_rows(2, prefix="0-")).accepted == 2


@pytest.mark.needs("initdb", "pg_ctl")
def test_rows_count_whose_commit_was_not_answered(start: Start, postgres_uri: str) -> None:
    rig = start(store=postgres_uri)
    lose_answer(rig.service.store, done=True)
    rows = make_rows(7, prefix="a")
    assert rig.post_rows(rows).accepted == 7
    assert rig.post_rows(rows).duplicates == 7
    rig.post_rows(make_rows(2, prefix="b"))
    assert rig.window_rows() == 9


def test_a_full_disk_is_an_answer_and_it_recovers(rig: Rig) -> None:
    limits = [60, 1_000_000]
    sa.event.listen(
        rig.service.store._engine,
        "checkout",
        lambda connection, *_: connection.execute(f"PRAGMA max_page_count={limits[0]}").close(),
    )
    with pytest.raises(UnavailableError, match="database or disk is full"):
        rig.post_rows(make_rows(5000, prefix="r"))
    limits.pop(0)
    assert rig.post_rows(make_rows(5000, prefix="r")).accepted == 5000
    assert rig.window_rows() == 5000


def test_a_locked_database_is_an_answer_and_it_recovers(rig: Rig) -> None:
    engine = rig.service.store._engine
    sa.event.listen(
        engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout=50").close()
    )
    intruder = sa.create_engine(rig.settings.store)
    with intruder.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="database is locked"):
            rig.post_rows(make_rows(5, prefix="r"))
        connection.rollback()
    intruder.dispose()
    assert rig.post_rows(make_rows(5, prefix="r")).accepted == 5


def test_a_request_that_cannot_be_committed_does_not_take_others_down(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = Transaction.insert_predictions

    def insert_unless_poisoned(self: Transaction, day: int, rows: Any) -> Any:
        known = insert(self, day, rows)
        assert len(rows) % 7, "poison"
        return known

    monkeypatch.setattr(Transaction, "insert_predictions", insert_unless_poisoned)
    good, poison, better = rig.together(
        [make_document(make_rows(n, prefix=f"{n}-")) for n in (2, 14, 5)]  # 21 together
    )
    assert good.result(TIMEOUT_SECONDS) == PredictionAnswer(2, 0, 0, {})
    assert better.result(TIMEOUT_SECONDS) == PredictionAnswer(5, 0, 0, {})
    with pytest.raises(UnavailableError, match="internal error: AssertionError"):
        poison.result(TIMEOUT_SECONDS)
    assert rig.window_rows() == 7


def test_nor_does_a_value_that_the_database_does_not_take(start: Start, store_uri: str) -> None:
    rig = start(store=store_uri)
    documents = [make_document(make_rows(3, prefix=f"{k}-")) for k in range(3)]
    with rig.held():
        requests = [rig.request(document) for document in documents]
        requests[1] = replace(requests[1], key=IdempotencyKey(b"k" * 16, None))  # type: ignore[arg-type] # NOT NULL
        answers = [rig.service.writer.submit(each) for each in requests]
    assert answers[0].result(TIMEOUT_SECONDS).accepted == 3
    assert answers[2].result(TIMEOUT_SECONDS).accepted == 3
    with pytest.raises(MalformedError, match="the store does not take it"):
        answers[1].result(TIMEOUT_SECONDS)


# -- counts -------------------------------------------------------------------------------------------------


def counted(rig: Rig) -> dict[str, Any]:
    """All that the writer counted of version 1."""
    counts = rig.version().counts
    assert counts is not None
    timelines = {"": counts.timeline} | {name: part.timeline for name, part in counts.segments.items()}
    blocks = {
        (name, family, start): (block.rows, block.counts.tolist(), block.latency.tolist())
        for name, timeline in timelines.items()
        for family, of_family in (("fine", timeline.fine), ("coarse", timeline.coarse))
        for start, block in of_family.items()
    }
    moments = [block.moments for block in counts.timeline.fine.values()]
    traffic = {start: found.counts.tolist() for start, found in counts.outcomes.items()}
    totals = rig.version().live.totals
    return {
        "blocks": blocks,
        "moments": np.sum(moments, axis=0).round(6).tolist(),
        "traffic": traffic,
        "totals": (totals.predictions, totals.values.tolist(), totals.latency.tolist()),
    }


@pytest.mark.parametrize("repeated", [1, 199])
def test_rows_beside_repeated_ones_are_counted_as_without_these(
    tmp_path: Path, start: Start, repeated: int
) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    registry.tag("fraud", "1", segments="country")
    rows = [
        {**row, "timestamp": NOON - 40 * 3600 * (number % 3), "latency_seconds": number / 1000}
        for number, row in enumerate(make_rows(200, prefix="a"))
    ]
    once, again = (start(registry=registry, store=f"sqlite:///{tmp_path}/{name}.db") for name in "ab")
    once.post_rows(rows)
    again.post_rows(rows[:repeated])

    assert again.post_rows(rows) == PredictionAnswer(200 - repeated, repeated, 0, {})
    assert counted(again) == counted(once)
    assert counted(again)["traffic"]


def test_alike_requests_do_not_overtake_others_of_their_commit(tmp_path: Path, start: Start) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    (row,) = make_rows(1, prefix="a")
    fewer = {**row, "features": {"age": 30}, "prediction": 1 - row["prediction"]}
    documents = [
        make_document([{**some, "label": label}])
        for some, label in ((row, 0), (fewer, 1), (row, 0), (fewer, 0), (row, 1))
    ]
    one_by_one, together = (
        start(registry=registry, store=f"sqlite:///{tmp_path}/{name}.db") for name in "ab"
    )
    for document in documents:
        one_by_one.submit(document).result(TIMEOUT_SECONDS)

    answers = [future.result(TIMEOUT_SECONDS) for future in together.together(documents)]

    assert [answer.conflicts for answer in answers] == [0, 1, 1, 1, 1]
    assert counted(together) == counted(one_by_one)
    assert counted(together)["traffic"]


STEPS = st.lists(
    st.one_of(
        st.just("restart"),
        st.just("evaluate"),
        st.integers(1, 36).map(lambda hours: ("wait", hours * 1800)),
        st.tuples(
            st.just("post"),
            st.integers(0, 30),  # which of the batches, so that some are retries
            st.sampled_from([0, 3600, 20 * 3600, 40 * 3600]),  # age of its rows
        ),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=25)
@given(steps=STEPS, waits=st.booleans())
def test_totals_after_any_history_are_those_of_a_recount(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], waits: bool
) -> None:
    """Posts, retries, restarts and passing time against a list of rows, each with its time."""
    registry, clock = FakeRegistry(), Clock(NOON)
    registry.register("fraud", make_table(300), alias="champion")
    if waits:  # for its reference: rows are kept as they came until it is there
        registry.loading.clear()
    store = f"sqlite:///{tmp_path_factory.mktemp('history')}/exporter.db"
    rig = Rig(store, registry, clock, settle=not waits)
    counted: dict[int, tuple[float, list[dict[str, Any]]]] = {}
    for step in steps:
        match step:
            case "restart":
                rig.stop()
                rig = Rig(store, registry, clock, settle=not waits)
            case "evaluate":
                rig.evaluate()
            case ("wait", seconds):
                clock.advance(seconds)
            case ("post", number, age):
                if number not in counted:
                    at = clock() - age
                    rows = make_rows(1 + number % 5, prefix=f"{number}-", seed=number, timestamp=at)
                    counted[number] = (at, rows)
                    expected = PredictionAnswer(len(rows), 0, 0, {})
                else:
                    rows = counted[number][1]
                    expected = PredictionAnswer(0, len(rows), 0, {})
                assert rig.post_rows(rows) == expected
    registry.loading.set()
    rig.poll()
    assert rig.version().status is Status.READY
    try:
        for window in rig.settings.windows:
            # Windows hold whole blocks: what lies on their edge may be in or out.
            length = 300 if window.seconds <= 24 * 3600 else 3600
            start = clock() - window.seconds
            least = sum(len(rows) for at, rows in counted.values() if at >= start)
            most = sum(len(rows) for at, rows in counted.values() if at >= start - length)
            found = rig.window_rows(window.name)
            assert found is not None
            assert least <= found <= most
    finally:
        rig.stop()
