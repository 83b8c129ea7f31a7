"""Arrivals are recorded, and outlive the process."""

from __future__ import annotations

from collections.abc import Callable

from exporter.aggregates.activity import ACTIVITY_HOURS, Activity
from exporter.storage.activity import load_activity
from tests.support.fakes import Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table

Start = Callable[..., Rig]


def make_registry() -> FakeRegistry:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    return registry


def test_arrivals_are_recorded_by_hour_and_known_after_a_restart(start: Start, store_uri: str) -> None:
    registry, clock = make_registry(), Clock(NOON + 60)
    rig = start(store=store_uri, registry=registry, clock=clock)
    rig.post_rows(make_rows(30, prefix="r"))
    clock.advance(3600)
    rig.post_rows(make_rows(10, prefix="s"))
    rig.post_labels({f"r{place}": place % 2 for place in range(20)})
    rig.evaluate()
    key = rig.version().key

    def recorded(rig: Rig) -> list[tuple[int, int, int]]:
        with rig.service.store.reading() as connection:
            hours = load_activity(connection)[key]
        return [(h["predictions"], h["labels"], h["stretches"]) for h in hours]

    assert recorded(rig) == [(30, 0, 1), (10, 20, 1)]
    assert rig.service.fleet.habits.silences["fraud", "champion"].figure == 0
    rig.stop()
    clock.advance(600)
    rig = start(store=store_uri, registry=registry, clock=clock)
    assert recorded(rig) == [(30, 0, 1), (10, 20, 1)]
    rig.evaluate()
    habits = rig.service.fleet.habits
    assert habits.silences["fraud", "champion"].figure == 600
    assert habits.label_silences["fraud"].figure == 600
    assert rig.sample('mlflow_model_silence_seconds{model="fraud",alias="champion"}') == 600


def test_a_repeated_batch_has_not_arrived_again(start: Start, store_uri: str) -> None:
    clock = Clock(NOON + 60)
    rig = start(store=store_uri, registry=make_registry(), clock=clock)
    rig.post_rows(make_rows(30, prefix="r"))
    clock.advance(900)
    rig.post_rows(make_rows(30, prefix="r"))
    (hour,) = rig.service.counting.arrivals.hours(clock())["fraud", "1"]
    assert (hour["predictions"], hour["last_prediction"]) == (30, NOON + 60)


def test_rows_of_a_clock_that_was_ahead_are_not_the_last_ones(start: Start, store_uri: str) -> None:
    clock = Clock(NOON + 60)
    rig = start(store=store_uri, registry=make_registry(), clock=clock)
    rig.post_rows(make_rows(30, prefix="r"))
    rig.evaluate()
    clock.now += 400 * 86400
    rig.post_rows(make_rows(10, prefix="s"))
    rig.evaluate()
    clock.now -= 400 * 86400 - 7200
    rig.evaluate()
    assert rig.service.fleet.habits.silences["fraud", "champion"].figure == 7200


def test_an_hour_before_all_that_are_kept_is_not_counted_in_the_last() -> None:
    activity = Activity()
    for hour in range(ACTIVITY_HOURS):
        activity.add_predictions(1, NOON + hour * 3600)
    activity.add_predictions(7, NOON - 3600)
    hours = activity.hours()
    assert (len(hours), hours["predictions"][0], hours["predictions"][-1]) == (ACTIVITY_HOURS, 7, 1)
    assert hours["last_prediction"][-1] == NOON + (ACTIVITY_HOURS - 1) * 3600
