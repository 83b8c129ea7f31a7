"""Outcomes counted again are those of the stored rows."""

from __future__ import annotations

import pytest

from exporter.aggregates.outcomes import tally
from exporter.ingest.recount import recount
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import NOON, Rig, make_rows


def count_again(rig: Rig) -> None:
    store, version = rig.service.store, rig.version()
    rig.service.writer.call(lambda: recount(store, rig.settings, version)).result(TIMEOUT_SECONDS)


def labelled_rows(rig: Rig) -> int:
    counts = rig.version().counts
    assert counts is not None
    assert counts.layout is not None
    return tally(counts.layout, counts.outcomes.values()).rows


@pytest.fixture
def labelled(rig: Rig) -> Rig:
    rig.post_rows(make_rows(30, prefix="a", timestamp=NOON - 3600))
    rig.post_labels({f"a{number}": number % 2 for number in range(20)})
    rig.post_labels({f"a{number}": 1 for number in range(5)})  # corrections
    return rig


def test_outcomes_stay_the_same(labelled: Rig) -> None:
    counts = labelled.version().counts
    assert counts is not None
    before = {hour: found.counts.tolist() for hour, found in counts.outcomes.items()}
    count_again(labelled)
    again = labelled.version().counts
    assert again is not None
    assert {hour: found.counts.tolist() for hour, found in again.outcomes.items()} == before
    assert labelled_rows(labelled) == 20


def test_another_maturation_leaves_out_labels_that_came_later(labelled: Rig) -> None:
    labelled.registry.tag("fraud", maturation="30m")
    labelled.poll()
    assert labelled_rows(labelled) == 0
    labelled.registry.tag("fraud", maturation="2h")
    labelled.poll()
    assert labelled_rows(labelled) == 20
