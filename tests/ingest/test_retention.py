"""Stored data are merged and expire by a clock without jumps: one that jumps loses nothing for good."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from exporter.errors import ReferenceNotFoundError
from exporter.ingest.commit import PredictionAnswer
from exporter.ingest.retention import RetentionClock, UnmatchedLabels, tidy
from exporter.storage.labels import LabelTables
from exporter.storage.rows import LABELS, StoredLabel
from exporter.storage.store import Store
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table

Start = Callable[..., Rig]
HOUR, DAY = 3600.0, 86400.0
JUMP = 40 * DAY


def jump(rig: Rig, seconds: float) -> None:
    """Set the machine's clock, in no time."""
    rig.clock.now += seconds


def test_ids_and_keys_outlast_a_clock_that_jumps_forty_days_ahead(rig: Rig) -> None:
    rows, keyed = make_rows(3, prefix="a"), make_rows(2, seed=5)
    rig.post_rows([row | {"timestamp": NOON} for row in rows])
    rig.post_rows(keyed, key="k")
    jump(rig, JUMP)
    for _ in range(3):
        rig.clock.advance(30)
        rig.evaluate()
        rig.poll()
    jump(rig, -JUMP)
    rig.evaluate()
    stamped = [row | {"timestamp": NOON} for row in rows]
    assert rig.post_rows(stamped) == PredictionAnswer(0, 3, 0, {})
    assert rig.post_rows(keyed, key="k") == PredictionAnswer(0, 2, 0, {})
    assert rig.post_labels({"a0": 1, "a1": 0}).accepted == 2
    assert rig.window_rows() == 5
    assert len(rig.version().live.counts.timeline.fine) == 1  # type: ignore[union-attr]


def test_they_outlast_it_over_restarts_too(start: Start) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    rig = start(registry=registry)
    rows = [row | {"timestamp": NOON} for row in make_rows(3, prefix="a")]
    rig.post_rows(rows)
    rig.evaluate()
    for _ in range(3):
        rig.stop()
        clock = Clock(NOON + JUMP)
        rig = start(registry=registry, clock=clock)
        rig.post_rows(make_rows(1))  # which make the future the newest
        rig.evaluate()
    rig.stop()
    rig = start(registry=registry, clock=Clock(NOON + 60))
    assert rig.post_rows(rows) == PredictionAnswer(0, 3, 0, {})
    assert rig.window_rows() == 3


def test_rows_counted_in_the_future_are_in_no_window_of_now(rig: Rig) -> None:
    rig.post_rows(make_rows(2))
    jump(rig, JUMP)
    rig.post_rows(make_rows(100, prefix="a"))
    assert rig.window_rows() == 100
    rig.post_labels({f"a{k}": 1 for k in range(50)})
    jump(rig, -JUMP)
    for window in ("1h", "24h", "7d"):
        assert rig.window_rows(window) == 2
    assert rig.sample('mlflow_model_labelled_rows{model="fraud",model_version="1",window="24h"}') in (None, 0)
    last = 'mlflow_model_last_prediction_timestamp_seconds{model="fraud",model_version="1"}'
    assert rig.sample(last) == pytest.approx(NOON, abs=300)
    rig.clock.advance(HOUR)
    rig.post_rows(make_rows(1))
    assert rig.sample(last) == NOON + HOUR
    assert rig.window_rows("24h") == 3


def test_an_alias_that_moved_in_the_future_is_where_it_is(start: Start) -> None:
    registry = FakeRegistry()
    for _ in range(3):
        registry.register("fraud", make_table())
    registry.set_alias("fraud", "champion", "1")
    registry.set_alias("fraud", "challenger", "1")
    rig = start(registry=registry)
    rig.clock.advance(HOUR)
    jump(rig, JUMP)
    registry.set_alias("fraud", "champion", "2")
    registry.delete_alias("fraud", "challenger")
    rig.poll()
    jump(rig, -JUMP)
    rig.poll()
    rig.clock.advance(HOUR)
    for _ in range(2):
        rig.post_rows(make_rows(2), alias="champion")
        assert rig.post_rows(make_rows(1, timestamp=NOON + HOUR / 2), alias="champion").accepted == 1
        rig.stop()
        rig = start(registry=registry, clock=rig.clock)
    assert (rig.window_rows(version="1"), rig.window_rows(version="2")) == (2, 4)
    assert ("fraud", "challenger") not in rig.service.fleet.current_aliases()
    registry.set_alias("fraud", "champion", "3")
    rig.poll()
    rig.post_rows(make_rows(7), alias="champion")
    assert rig.window_rows(version="3") == 7


def test_a_reference_is_looked_for_again_after_the_clock_was_put_back(start: Start) -> None:
    registry = FakeRegistry()
    registry.register("fraud", ReferenceNotFoundError("none"), alias="champion")
    rig = start(registry=registry)
    jump(rig, JUMP)
    rig.poll()
    jump(rig, -JUMP)
    registry.set_reference("fraud", "1", make_table())
    rig.poll()
    assert rig.version().counts is not None


def test_retention_goes_on_at_twice_the_speed_of_time(store: Store) -> None:
    time = Clock(NOON)
    retention = RetentionClock(store, time.monotonic)
    assert retention.advance(NOON) == NOON
    time.advance(100)
    assert retention.advance(time.now) == NOON + 100
    time.advance(100)
    assert retention.advance(time.now + JUMP) == NOON + 300
    assert retention.advance(time.now + JUMP) == NOON + 300
    time.advance(100)
    assert retention.advance(time.now - 50) == NOON + 250


def test_it_goes_on_where_it_was_and_else_at_the_newest_row(store: Store) -> None:
    still = Clock(NOON).monotonic
    assert RetentionClock(store, still).advance(NOON) == NOON
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        transaction.put_state(version.key, {"last_prediction": NOON - 10 * DAY})
    assert RetentionClock(store, still).advance(NOON) == NOON - 10 * DAY
    with store.begin() as transaction:
        transaction.set_retention(NOON - 5 * DAY)
    assert RetentionClock(store, still).advance(NOON) == NOON - 5 * DAY
    assert RetentionClock(store, still).advance(NOON - 6 * DAY) == NOON - 6 * DAY


def tidy_at(rig: Rig, now: float) -> None:
    """Tidy the store up, in the writer's thread as the evaluator does."""
    versions = rig.service.fleet.versions.values()
    job = partial(tidy, rig.service.store, rig.settings, versions, now, now)
    rig.service.writer.call(job).result(TIMEOUT_SECONDS)


def stored_blocks(rig: Rig) -> tuple[list[int], list[int]]:
    """Rows of the fine and of the coarse blocks in the store, which are those in memory."""
    counts = rig.version().counts
    assert counts is not None
    fine, coarse = rig.service.store.load_blocks(counts.reference_id)
    assert (fine.keys(), coarse.keys()) == (counts.timeline.fine.keys(), counts.timeline.coarse.keys())
    return [block.rows for block in fine.values()], [block.rows for block in coarse.values()]


def test_fine_blocks_that_are_old_are_merged_into_hours(rig: Rig) -> None:
    for minutes in (0, 5, 50, 60):
        rig.post_rows(make_rows(2, timestamp=NOON + 60 * minutes - 2 * HOUR))
    assert stored_blocks(rig) == ([2, 2, 2, 2], [])
    tidy_at(rig, NOON)
    assert stored_blocks(rig) == ([2, 2, 2, 2], [])
    tidy_at(rig, NOON + 24 * HOUR)
    assert stored_blocks(rig) == ([2], [6])
    tidy_at(rig, NOON + 27 * HOUR)
    assert stored_blocks(rig) == ([], [6, 2])


def test_data_past_their_retention_are_deleted(rig: Rig) -> None:
    rig.post_rows(make_rows(3, prefix="old"))
    rig.post_labels({"old0": 1})
    store, days = rig.service.store, rig.settings.prediction_retention_days
    for passed, left in ((days, True), (days + 1, False)):
        tidy_at(rig, NOON + passed * DAY)
        with store.begin() as transaction:
            assert bool(transaction.predictions.days()) is left
            assert bool(transaction.labels.days()) is left
    tidy_at(rig, NOON + rig.settings.retention_seconds + 2 * HOUR)
    assert stored_blocks(rig) == ([], [])


def put_unmatched(store: Store, day: int, count: int) -> None:
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        ids = [day.to_bytes(8, "big") + number.to_bytes(8, "big") for number in range(count)]
        rows = [StoredLabel(each, tables.model_id("fraud"), "1", 0.0, False) for each in ids]
        tables.insert(day, LABELS.pack_rows(rows))


def test_labels_without_a_prediction_are_counted_once_a_day_after_theirs(store: Store) -> None:
    day = int(NOON // DAY)
    for number in range(4):
        put_unmatched(store, day - 2 + number, number + 1)
    unmatched = UnmatchedLabels(store)
    assert unmatched.sweep(NOON) == {}, "an earlier process has counted them"
    assert unmatched.sweep(NOON + DAY) == {"fraud": 2}
    assert unmatched.sweep(NOON + DAY) == {}
    assert unmatched.sweep(NOON + 5 * DAY) == {"fraud": 3 + 4}


def test_days_that_come_again_after_the_clock_was_put_back_are_counted(store: Store) -> None:
    day = int(NOON // DAY)
    unmatched = UnmatchedLabels(store)
    assert unmatched.sweep(NOON + JUMP) == {}
    assert unmatched.sweep(NOON) == {}
    put_unmatched(store, day, 3)
    assert unmatched.sweep(NOON + 2 * DAY) == {"fraud": 3}
