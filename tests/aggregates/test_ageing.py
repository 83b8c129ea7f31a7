"""Expiry of counts: coverage stays known for as long as labels may take, and memory is freed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from exporter.aggregates.state import VersionCounts
from tests.ingest.test_join import make_labelled_table
from tests.support.fakes import Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows

DAY = 86400.0
Start = Callable[..., Rig]
VERSION = 'model="fraud",model_version="1"'


def make_registry(**tags: str) -> FakeRegistry:
    registry = FakeRegistry()
    registry.register("fraud", make_labelled_table(), alias="champion")
    registry.tag("fraud", "1", segments="country", **tags)
    return registry


def binning_of(rig: Rig) -> VersionCounts:
    counts = rig.version().counts
    assert counts is not None
    return counts


def answer(rig: Rig, rows: list[dict[str, Any]]) -> None:
    """Labels for three rows of four, which are right."""
    rig.post_labels({row["id"]: row["prediction"] for number, row in enumerate(rows) if number % 4})


def coverage(rig: Rig) -> float | None:
    rig.evaluate()
    return rig.sample(f'mlflow_model_label_coverage_ratio{{{VERSION},window="24h"}}')


@pytest.fixture
def slow(start: Start, store_uri: str) -> Rig:
    """A version whose labels take 50 days, longer than blocks are kept; they came after 40 days."""
    rig = start(store=store_uri, registry=make_registry(maturation="50d"), prediction_retention_days=60)
    rows = make_rows(400, prefix="p")
    rig.post_rows(rows)
    for days in (2, 38):
        rig.clock.advance(days * DAY)
        rig.evaluate()
    answer(rig, rows)
    return rig


def mature(rig: Rig) -> None:
    """Ten days and a half later, when blocks are gone."""
    for days in (4.0, 3.0, 3.5):
        rig.clock.advance(days * DAY)
        rig.evaluate()
    assert not binning_of(rig).timeline.coarse


def test_coverage_is_known_when_blocks_are_gone(slow: Rig) -> None:
    mature(slow)

    assert coverage(slow) == 0.75
    assert slow.sample(f'mlflow_model_quality{{{VERSION},metric="accuracy",window="24h"}}') == 1
    german = f'{{{VERSION},segment="country=DE",metric="accuracy",window="24h"}}'
    assert slow.sample(f"mlflow_segment_quality{german}") == 1


def test_after_a_restart_too_and_once_only(slow: Rig, start: Start) -> None:
    mature(slow)
    slow.stop()

    again = start(
        registry=slow.registry, clock=slow.clock, store=slow.settings.store, prediction_retention_days=60
    )

    assert coverage(again) == 0.75
    assert coverage(again) == 0.75


def test_when_outcomes_are_counted_anew_too(slow: Rig) -> None:
    mature(slow)
    slow.registry.tag("fraud", "1", maturation="1199h")
    slow.poll()

    assert coverage(slow) == 0.75
    findings = slow.version().findings
    assert findings is not None
    (german,) = (part for part in findings.segments if part.segment.name == "country=DE")
    assert 0.7 < next(found.coverage for found in german.quality if found.window.name == "24h") < 0.8


def test_blocks_that_go_leave_the_store_with_what_they_leave_to_outcomes(slow: Rig) -> None:
    mature(slow)
    reference_id = binning_of(slow).reference_id
    store = slow.service.store

    assert store.load_blocks(reference_id) == ({}, {})
    assert not store.load_segment_blocks(reference_id)
    layout = binning_of(slow).layout
    assert layout is not None
    stored = store.load_outcomes(reference_id, layout)
    assert {hour: found.counts.tolist() for hour, found in stored.items()} == {
        hour: found.counts.tolist() for hour, found in binning_of(slow).outcomes.items()
    }


def test_a_maturation_that_cannot_be_known_is_said(start: Start) -> None:
    rig = start(registry=make_registry(maturation="50d"))

    (problem,) = rig.version().facts.problems
    assert problem.startswith("maturation: 50 days are more than the 30 for which ids are kept")


def test_outcomes_that_are_too_old_leave_the_memory(slow: Rig) -> None:
    mature(slow)
    assert binning_of(slow).outcomes
    slow.clock.advance(40 * DAY)
    slow.evaluate()

    assert not binning_of(slow).outcomes
    assert {name: part.outcomes for name, part in binning_of(slow).segments.items()} == {
        "country=AT": {}, "country=DE": {}, "country=FR": {},
    }  # fmt: skip


def test_outcomes_that_hardly_change_any_more_take_little_memory(start: Start) -> None:
    rig = start(registry=make_registry(), clock=Clock(NOON))
    rows = make_rows(100, prefix="p")
    rig.post_rows(rows)
    answer(rig, rows)
    assert not any(found.is_packed for found in binning_of(rig).outcomes.values())
    rig.clock.advance(2 * DAY)
    before = coverage(rig)
    assert all(found.is_packed for found in binning_of(rig).outcomes.values())

    rig.post_labels({"p0": 1})  # a late one is counted all the same

    assert not all(found.is_packed for found in binning_of(rig).outcomes.values())
    assert before is None
    assert sum(found.counts[0] for found in binning_of(rig).outcomes.values()) == 76
