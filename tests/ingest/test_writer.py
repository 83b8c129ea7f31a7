"""Commits: what is shared, what counts once, what happens when it fails."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import MalformedError, OverloadedError, StoreError, UnavailableError
from exporter.fleet import Status
from exporter.ingest import writer
from exporter.ingest.commit import PredictionAnswer
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import LabelAnswer
from exporter.storage.transaction import Transaction
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry
from tests.support.postgres import lose_answer
from tests.support.rig import NOON, Rig, eventually, make_document, make_rows, make_table

Start = Callable[..., Rig]
MIDNIGHT = NOON + 43200
ROWS = "mlflow_exporter_ingest_rows_total"


@contextmanager
def commits(rig: Rig) -> Iterator[list[None]]:
    """A list that gets longer with every commit."""
    counted: list[None] = []

    def count(_: object) -> None:
        counted.append(None)

    sa.event.listen(rig.service.store._engine, "commit", count)
    yield counted
    sa.event.remove(rig.service.store._engine, "commit", count)


def outcomes(rig: Rig) -> dict[str, float]:
    found = rig.series(ROWS)
    names = ("accepted", "duplicate", "conflict", "rejected")
    counts = {name: found[f'{ROWS}{{kind="prediction",outcome="{name}"}}'] for name in names}
    return {name: count for name, count in counts.items() if count}


def predictions_total(rig: Rig) -> float | None:
    return rig.sample('mlflow_model_predictions_total{model="fraud",model_version="1"}')


# -- durability and sharing ---------------------------------------------------------------------------------


def test_what_is_answered_is_in_the_store(rig: Rig, start: Start) -> None:
    assert rig.post_rows(make_rows(30)) == PredictionAnswer(30, 0, 0, {})
    rig.service.store.close()  # nothing can be written after the answer
    rig.stop()
    again = start(registry=rig.registry, clock=rig.clock)
    assert again.window_rows() == 30


def test_requests_at_the_same_time_share_a_commit(rig: Rig) -> None:
    with commits(rig) as counted:
        answers = rig.together([make_document(make_rows(4, prefix=f"{k}-")) for k in range(50)])
        assert [answer.result(TIMEOUT_SECONDS) for answer in answers] == [PredictionAnswer(4, 0, 0, {})] * 50
    assert len(counted) == 1
    assert rig.window_rows() == 200


def test_requests_from_many_threads_need_fewer_commits_than_there_are(rig: Rig) -> None:
    barrier = threading.Barrier(50)

    def post(number: int) -> PredictionAnswer:
        barrier.wait(TIMEOUT_SECONDS)
        return rig.post_rows(make_rows(2, prefix=f"{number}-"))

    with commits(rig) as counted, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert answers == [PredictionAnswer(2, 0, 0, {})] * 50
    assert len(counted) < 25


def test_a_commit_is_no_larger_than_its_requests_want_to_wait_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.ingest.writer.MAX_GROUP_ROWS", 10)
    with commits(rig) as counted:
        for answer in rig.together([make_document(make_rows(4)) for _ in range(6)]):
            answer.result(TIMEOUT_SECONDS)
    assert len(counted) == 2


# -- identity -----------------------------------------------------------------------------------------------


def test_the_same_rows_again_are_duplicates(store_uri: str, start: Start) -> None:
    rig = start(store=store_uri)
    rows = make_rows(10, prefix="r")
    assert rig.post_rows(rows) == PredictionAnswer(10, 0, 0, {})
    assert rig.post_rows([*reversed(rows), *make_rows(5, prefix="s")]) == PredictionAnswer(5, 10, 0, {})
    assert rig.window_rows() == 15
    assert predictions_total(rig) == 15
    assert outcomes(rig) == {"accepted": 15, "duplicate": 10}


def test_another_payload_is_a_conflict_that_counts(store_uri: str, start: Start) -> None:
    rig = start(store=store_uri)
    first, second, third = (make_rows(1, prefix="r", seed=seed) for seed in (1, 2, 3))
    assert rig.post_rows(first) == PredictionAnswer(1, 0, 0, {})
    assert rig.post_rows(second) == PredictionAnswer(0, 0, 1, {})
    assert rig.post_rows(second) == PredictionAnswer(0, 1, 0, {}), "labels join the latest, and so do retries"
    assert rig.post_rows([*third, *second, *second]) == PredictionAnswer(0, 1, 2, {})
    assert rig.window_rows() == 4
    assert outcomes(rig) == {"accepted": 1, "duplicate": 2, "conflict": 3}


def test_within_a_request_and_within_a_commit_rows_count_once_too(rig: Rig) -> None:
    rows = make_rows(4, prefix="r")
    first, second = rig.together([make_document([*rows, *rows]), make_document(rows)])
    assert first.result(TIMEOUT_SECONDS) == PredictionAnswer(4, 4, 0, {})
    assert second.result(TIMEOUT_SECONDS) == PredictionAnswer(0, 4, 0, {})
    assert rig.window_rows() == 4


def test_rows_without_ids_always_count(rig: Rig) -> None:
    rows = make_rows(3)
    rig.post_rows(rows)
    assert rig.post_rows(rows) == PredictionAnswer(3, 0, 0, {})
    assert rig.window_rows() == 6


def test_another_version_may_score_the_same_id(start: Start) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    registry.register("fraud", make_table(), alias="shadow")
    rig = start(registry=registry)
    rows = make_rows(5, prefix="r")
    assert rig.post_rows(rows, version="1") == PredictionAnswer(5, 0, 0, {})
    assert rig.post_rows(rows, version="2") == PredictionAnswer(5, 0, 0, {})
    assert (rig.window_rows(version="1"), rig.window_rows(version="2")) == (5, 5)


@pytest.mark.parametrize("timestamp", [None, MIDNIGHT - 60, MIDNIGHT + 100], ids=["none", "before", "ahead"])
@pytest.mark.parametrize("extra", [0, 1], ids=["alone", "with a new row"])
def test_a_retry_after_midnight_counts_once(start: Start, timestamp: float | None, extra: int) -> None:
    clock = Clock(MIDNIGHT - 30)
    rig = start(clock=clock)
    rows = make_rows(3, prefix="r", timestamp=timestamp)
    assert rig.post_rows(rows) == PredictionAnswer(3, 0, 0, {})
    clock.advance(200)
    rows += make_rows(extra, prefix="new", timestamp=timestamp)
    assert rig.post_rows(rows) == PredictionAnswer(extra, 3, 0, {})
    assert rig.post_rows(rows) == PredictionAnswer(0, 3 + extra, 0, {})


def test_a_conflict_with_the_day_before_is_remembered(start: Start) -> None:
    clock = Clock(MIDNIGHT - 30)
    rig = start(clock=clock)
    rig.post_rows(make_rows(1, prefix="r"))
    clock.advance(60)
    changed = make_rows(1, prefix="r", seed=2)
    assert rig.post_rows(changed) == PredictionAnswer(0, 0, 1, {})
    assert rig.post_rows(changed) == PredictionAnswer(0, 1, 0, {})


def test_a_retry_of_an_old_row_goes_to_its_own_day(rig: Rig) -> None:
    rows = make_rows(3, prefix="r", timestamp=NOON - 5 * 86400)
    assert rig.post_rows(rows) == PredictionAnswer(3, 0, 0, {})
    rig.evaluate()
    assert rig.post_rows(rows) == PredictionAnswer(0, 3, 0, {})
    assert rig.window_rows("7d") == 3


def test_a_batch_with_a_key_counts_once(store_uri: str, start: Start) -> None:
    rig = start(store=store_uri)
    rows = make_rows(5)
    assert rig.post_rows(rows, key="k") == PredictionAnswer(5, 0, 0, {})
    assert rig.post_rows(rows, key="k") == PredictionAnswer(0, 5, 0, {})
    rig.stop()
    again = start(store=store_uri, registry=rig.registry, clock=rig.clock)
    assert again.post_rows(rows, key="k") == PredictionAnswer(0, 5, 0, {})
    assert again.window_rows() == 5


def test_batches_with_one_key_at_the_same_time_count_once(rig: Rig) -> None:
    document = make_document(make_rows(5))
    answers = [each.result(TIMEOUT_SECONDS) for each in rig.together([document] * 3, ["k", "k", "other"])]
    assert answers == [
        PredictionAnswer(5, 0, 0, {}),
        PredictionAnswer(0, 5, 0, {}),
        PredictionAnswer(5, 0, 0, {}),
    ]


@pytest.mark.parametrize("together", [False, True])
def test_a_key_with_another_body_is_refused_and_nothing_is_lost_silently(rig: Rig, together: bool) -> None:
    documents = [make_document(make_rows(5)), make_document(make_rows(6))]
    if together:
        first, second = rig.together(documents, ["k", "k"])
    else:
        first = rig.submit(documents[0], "k")
        first.result(TIMEOUT_SECONDS)
        second = rig.submit(documents[1], "k")
    assert first.result(TIMEOUT_SECONDS) == PredictionAnswer(5, 0, 0, {})
    with pytest.raises(MalformedError, match="another body"):
        second.result(TIMEOUT_SECONDS)
    assert outcomes(rig) == {"accepted": 5, "rejected": 6}


def test_a_key_is_forgotten_after_a_day(rig: Rig) -> None:
    rows = make_rows(2)
    rig.post_rows(rows, key="k")
    rig.clock.advance(86400 + 1)
    rig.evaluate()
    assert rig.post_rows(rows, key="k") == PredictionAnswer(2, 0, 0, {})


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


# -- bounds -------------------------------------------------------------------------------------------------


def test_a_full_queue_refuses_and_counts(start: Start) -> None:
    rig = start(max_queue_rows=10)
    with rig.held():
        first = rig.submit(make_document(make_rows(8)))
        assert rig.sample("mlflow_exporter_queue_rows") == 8
        with pytest.raises(OverloadedError, match="8 rows are waiting") as error:
            rig.submit(make_document(make_rows(3)))
        second = rig.submit(make_document(make_rows(2)))
    assert error.value.retry_after_seconds == 1
    assert (first.result(TIMEOUT_SECONDS).accepted, second.result(TIMEOUT_SECONDS).accepted) == (8, 2)
    assert outcomes(rig) == {"accepted": 10, "rejected": 3}
    assert rig.post_rows(make_rows(20)).accepted == 20, (
        "a batch that is larger than the queue, when it is empty"
    )
    assert rig.sample("mlflow_exporter_queue_rows") == 0


def test_rows_that_wait_are_bounded_in_bytes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 1000)
    rig = start()
    for _ in range(2):
        with rig.held():
            wide = rig.submit(make_document(make_rows(30, prefix="r")))  # larger than the bound, and alone
            with pytest.raises(OverloadedError, match="30 rows are waiting"):
                rig.submit(make_document(make_rows(1, prefix="more")))
        answer = wide.result(TIMEOUT_SECONDS)
        assert answer.accepted + answer.duplicates == 30


def test_a_store_at_its_limit_refuses_until_something_was_forgotten(start: Start) -> None:
    rig = start(store_limit_bytes=400_000, prediction_retention_days=2)
    rig.post_rows(make_rows(8000, prefix="r"))
    rig.evaluate()
    assert rig.sample("mlflow_exporter_store_bytes") > 400_000
    assert rig.sample("mlflow_exporter_store_limit_bytes") == 400_000
    with pytest.raises(UnavailableError, match="reached its limit"):
        rig.post_rows(make_rows(1))
    assert outcomes(rig) == {"accepted": 8000, "rejected": 1}
    rig.clock.advance(3 * 86400)
    rig.evaluate()
    assert rig.post_rows(make_rows(1)).accepted == 1


def test_after_its_end_it_refuses_requests_and_jobs(rig: Rig) -> None:
    request = rig.request(make_document(make_rows(1)))
    rig.stop()
    with pytest.raises(UnavailableError, match="stopping"):
        rig.service.writer.submit(request)
    with pytest.raises(StoreError, match="stopping"):
        rig.service.writer.call(lambda: None).result(TIMEOUT_SECONDS)


def test_what_is_queued_at_its_end_is_committed(rig: Rig, start: Start) -> None:
    with rig.held():
        answers = [rig.submit(make_document(make_rows(2))) for _ in range(3)]
        stopping = threading.Thread(target=rig.stop)
        stopping.start()
    stopping.join(TIMEOUT_SECONDS)
    assert [answer.result(TIMEOUT_SECONDS).accepted for answer in answers] == [2, 2, 2]
    assert start(registry=rig.registry, clock=rig.clock).window_rows() == 6


# -- failing ------------------------------------------------------------------------------------------------


def break_store(rig: Rig, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., bool]) -> None:
    """Let the insertion of ids fail with what a full disk gives."""
    insert = Transaction.insert_predictions

    def failing(self: Transaction, day: int, rows: Any) -> Any:
        if fails(rows):
            raise sa.exc.OperationalError("INSERT", {}, Exception("database or disk is full"))
        return insert(self, day, rows)

    monkeypatch.setattr(Transaction, "insert_predictions", failing)


def test_a_client_that_hangs_up_before_the_commit_is_not_counted_after_it_is(rig: Rig) -> None:
    with rig.held():
        gone, stays = (rig.submit(make_document(make_rows(n))) for n in (3, 5))
        assert gone.cancel()
    assert stays.result(TIMEOUT_SECONDS).accepted == 5
    assert rig.window_rows() == 5


def test_a_client_cannot_hang_up_during_the_commit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = []

    def cancel(_: object) -> bool:
        cancelled.append(answer.cancel())
        return False

    break_store(rig, monkeypatch, cancel)
    with rig.held():
        answer = rig.submit(make_document(make_rows(3, prefix="r")))
    assert answer.result(TIMEOUT_SECONDS).accepted == 3
    assert cancelled == [False]


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
    assert outcomes(rig) == {"accepted": 5, "rejected": 6}
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


def test_the_writer_survives_whatever_a_job_raises(rig: Rig) -> None:
    def fail() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        rig.service.writer.call(fail).result(TIMEOUT_SECONDS)
    assert rig.service.writer.alive()
    assert rig.post_rows(make_rows(1)).accepted == 1


# -- rows of which some came before -------------------------------------------------------------------------


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


# -- restarts -----------------------------------------------------------------------------------------------

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


def test_rows_that_were_committed_are_not_kept(rig: Rig) -> None:
    request = rig.request(make_document(make_rows(3, prefix="a")))
    kept = weakref.ref(request)
    answer = rig.service.writer.submit(request)
    assert answer.result(TIMEOUT_SECONDS).accepted == 3  # type: ignore[union-attr]
    del request
    eventually(lambda: kept() is None)
