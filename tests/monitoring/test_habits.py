"""Habits of a fleet, from records of arrivals and from blocks that are older than these."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from exporter.aggregates.timeline import Timeline
from exporter.ingest.arrivals import EXPORTER
from exporter.monitoring import earlier_activity
from exporter.monitoring.earlier_activity import EarlierActivity
from exporter.storage.activity import put_activity
from tests.support.arrivals import every, hours_of
from tests.support.fakes import Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table

Start = Callable[..., Rig]
DAY = 86_400


def predicted_every_hour(days: int) -> list[dict[str, object]]:
    """Rows with times of every hour of the days before noon."""
    times = every(60, NOON - days * DAY, NOON)
    return [row | {"timestamp": at} for row, at in zip(make_rows(len(times)), times.tolist(), strict=True)]


def test_blocks_are_arrivals_only_from_before_the_record(start: Start) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    rig = start(registry=registry, clock=Clock(NOON))
    rig.post_rows(predicted_every_hour(10))
    recorded = hours_of(every(60, NOON - 2 * DAY, NOON))

    def earlier(since: float) -> int:
        hours = EarlierActivity().add_to(recorded, rig.version(), since, NOON)
        return len(hours) - len(recorded)

    assert earlier(since=NOON - 2 * DAY) == 8 * 24  # an older release counted them
    assert earlier(since=NOON - 7 * DAY) == 3 * 24  # the others were sent later
    assert earlier(since=NOON - 11 * DAY) == 0


def test_blocks_do_not_say_that_no_labels_came(start: Start, store_uri: str) -> None:
    registry, clock = FakeRegistry(), Clock(NOON)
    registry.register("fraud", make_table(), alias="champion")
    rig = start(store=store_uri, registry=registry, clock=clock)
    rig.post_rows(predicted_every_hour(20))
    asked, delivered = every(60, NOON - 9 * DAY, NOON), every(24 * 60, NOON - 9 * DAY, NOON)
    with rig.service.store.writing() as connection:
        own = {rig.version().key: hours_of(asked, delivered, each=30)}
        put_activity(connection, {EXPORTER: hours_of(every(5, NOON - 9 * DAY, NOON)), **own})
    rig.stop()
    rig = start(store=store_uri, registry=registry, clock=clock)
    rig.evaluate()
    habit = rig.service.fleet.habits.label_silences["fraud"]
    assert habit.figure == DAY
    assert habit.limit is not None
    assert habit.limit < 2 * DAY


def test_a_model_that_cannot_be_judged_does_not_hold_up_the_others(
    start: Start, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, clock = FakeRegistry(), Clock(NOON)
    for model in ("broken", "fraud"):
        registry.register(model, make_table(), alias="champion")
    rig = start(store=store_uri, registry=registry, clock=clock)
    rig.post_rows(make_rows(20), model="fraud")
    asked = hours_of(every(5, NOON - 9 * DAY, NOON))
    with rig.service.store.writing() as connection:
        put_activity(connection, {rig.version(model=model).key: asked for model in ("broken", "fraud")})
        put_activity(connection, {EXPORTER: asked})
    rig.stop()
    rig = start(store=store_uri, registry=registry, clock=clock)
    read = earlier_activity.rows_by_hour

    def read_or_fail(timeline: Timeline) -> dict[int, int]:
        if not timeline.fine:  # of the model that had no predictions
            raise ValueError("a damaged block")
        return read(timeline)

    monkeypatch.setattr(earlier_activity, "rows_by_hour", read_or_fail)
    rig.evaluate()
    assert rig.service.fleet.habits.silences.keys() == {("fraud", "champion")}
