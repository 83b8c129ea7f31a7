"""Rows that come again count once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from exporter.errors import MalformedError
from exporter.ingest.commit import PredictionAnswer
from exporter.ingest.deduplication import IdempotencyKey
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_document, make_rows, make_table

Start = Callable[..., Rig]
MIDNIGHT = NOON + 43200


def predictions_total(rig: Rig) -> float | None:
    return rig.sample('mlflow_model_predictions_total{model="fraud",model_version="1"}')


# -- by id and payload --------------------------------------------------------------------------------------


def test_the_same_rows_again_are_duplicates(store_uri: str, start: Start) -> None:
    rig = start(store=store_uri)
    rows = make_rows(10, prefix="r")
    assert rig.post_rows(rows) == PredictionAnswer(10, 0, 0, {})
    assert rig.post_rows([*reversed(rows), *make_rows(5, prefix="s")]) == PredictionAnswer(5, 10, 0, {})
    assert rig.window_rows() == 15
    assert predictions_total(rig) == 15
    assert rig.outcomes() == {"accepted": 15, "duplicate": 10}


def test_another_payload_is_a_conflict_that_counts(store_uri: str, start: Start) -> None:
    rig = start(store=store_uri)
    first, second, third = (make_rows(1, prefix="r", seed=seed) for seed in (1, 2, 3))
    assert rig.post_rows(first) == PredictionAnswer(1, 0, 0, {})
    assert rig.post_rows(second) == PredictionAnswer(0, 0, 1, {})
    assert rig.post_rows(second) == PredictionAnswer(0, 1, 0, {}), "labels join the latest, and so do retries"
    assert rig.post_rows([*third, *second, *second]) == PredictionAnswer(0, 1, 2, {})
    assert rig.window_rows() == 4
    assert rig.outcomes() == {"accepted": 1, "duplicate": 2, "conflict": 3}


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


# -- by idempotency key -------------------------------------------------------------------------------------


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
    assert rig.outcomes() == {"accepted": 5, "rejected": 6}


def test_a_key_is_forgotten_after_a_day(rig: Rig) -> None:
    rows = make_rows(2)
    rig.post_rows(rows, key="k")
    rig.clock.advance(86400 + 1)
    rig.evaluate()
    assert rig.post_rows(rows, key="k") == PredictionAnswer(2, 0, 0, {})


def test_a_key_is_unique_in_its_model_and_comes_with_its_body() -> None:
    first = IdempotencyKey.of("fraud", "k", body=b"1")
    assert len(first.key) == len(first.body) == 16
    assert IdempotencyKey.of("fraud", "k", body=b"1") == first
    changed = IdempotencyKey.of("fraud", "k", body=b"2")
    assert (changed.key, changed.body != first.body) == (first.key, True)
    assert IdempotencyKey.of("spam", "k", body=b"1").key != first.key
    assert IdempotencyKey.of("labels", "fraud", "k", body=b"1").key != first.key
