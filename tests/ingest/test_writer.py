"""Requests queue, share a commit, and are answered after it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from exporter.errors import OverloadedError, StoreError, UnavailableError
from exporter.ingest import writer
from exporter.ingest.commit import PredictionAnswer
from exporter.storage.transaction import Transaction
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import Rig, eventually, make_document, make_rows

Start = Callable[..., Rig]


@contextmanager
def commits(rig: Rig) -> Iterator[list[None]]:
    """A list that gets longer with every commit."""
    counted: list[None] = []

    def count(_: object) -> None:
        counted.append(None)

    sa.event.listen(rig.service.store._engine, "commit", count)
    yield counted
    sa.event.remove(rig.service.store._engine, "commit", count)


def break_store(rig: Rig, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., bool]) -> None:
    """Let the insertion of ids fail with what a full disk gives."""
    insert = Transaction.insert_predictions

    def failing(self: Transaction, day: int, rows: Any) -> Any:
        if fails(rows):
            raise sa.exc.OperationalError("INSERT", {}, Exception("database or disk is full"))
        return insert(self, day, rows)

    monkeypatch.setattr(Transaction, "insert_predictions", failing)


# -- sharing ------------------------------------------------------------------------------------------------


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


# -- the queue ----------------------------------------------------------------------------------------------


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
    assert rig.outcomes() == {"accepted": 10, "rejected": 3}
    assert rig.post_rows(make_rows(20)).accepted == 20, (
        "a batch that is larger than the queue, when it is empty"
    )
    assert rig.sample("mlflow_exporter_queue_rows") == 0


def test_no_request_waits_for_a_database_that_does_not_say_whether_a_commit_took_place(rig: Rig) -> None:
    database = rig.service.store._database
    with rig.held():
        queued = rig.submit(make_document(make_rows(2)))
        database.unanswered = True
        database.on_unanswered()
        with pytest.raises(UnavailableError, match="does not answer") as refused:
            queued.result(TIMEOUT_SECONDS)
        assert refused.value.retry_after_seconds == 5
        assert rig.sample("mlflow_exporter_queue_rows") == 0
        with pytest.raises(UnavailableError, match="does not answer"):
            rig.submit(make_document(make_rows(3)))
        database.unanswered = False
    assert rig.post_rows(make_rows(4)).accepted == 4
    assert rig.outcomes() == {"accepted": 4, "rejected": 5}


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
    assert rig.outcomes() == {"accepted": 8000, "rejected": 1}
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


def test_rows_that_were_committed_are_not_kept(rig: Rig) -> None:
    request = rig.request(make_document(make_rows(3, prefix="a")))
    kept = weakref.ref(request)
    answer = rig.service.writer.submit(request)
    assert answer.result(TIMEOUT_SECONDS).accepted == 3  # type: ignore[union-attr]
    del request
    eventually(lambda: kept() is None)


# -- clients and jobs ---------------------------------------------------------------------------------------


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


def test_the_writer_survives_whatever_a_job_raises(rig: Rig) -> None:
    def fail() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        rig.service.writer.call(fail).result(TIMEOUT_SECONDS)
    assert rig.service.writer.alive()
    assert rig.post_rows(make_rows(1)).accepted == 1
