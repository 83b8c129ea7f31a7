"""Pairs counted in outcomes of the hour of their prediction."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import tally
from exporter.aggregates.state import SegmentCounts, VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.fleet import Live, Version
from exporter.ingest.changes import Changes
from exporter.ingest.join_counts import count_joined, fold_pairs, pairs_by_segment
from exporter.ingest.pairs import Joined, Pairs
from exporter.settings import Settings
from exporter.storage.rows import LABELS, PREDICTIONS, StoredLabel, StoredPrediction
from exporter.storage.schema import StoredVersion
from tests.support.labelled import make_labelled_reference

HOUR = 3600
SETTINGS = Settings()


def make_counts(maturation_seconds: float = 0.0, segments: Sequence[str] = ()) -> VersionCounts:
    reference = make_labelled_reference("binary", 300)
    return VersionCounts(
        1,
        reference,
        Timeline(SETTINGS),
        outcome_layout(reference),
        maturation_seconds=maturation_seconds,
        segments={name: SegmentCounts(Timeline(SETTINGS)) for name in segments},
    )


def make_pairs(*rows: tuple[float, float, int], version: int = 7, segments: str | None = None) -> Pairs:
    """Right predictions: when each was made, when its label came, and its class."""
    predictions = [
        StoredPrediction(bytes([n]) * 16, version, 0, at, str(value), 0.1 + 0.8 * value, None, segments)
        for n, (at, _, value) in enumerate(rows)
    ]
    labels = [
        StoredLabel(bytes([n]) * 16, 1, str(value), known, True) for n, (_, known, value) in enumerate(rows)
    ]
    return Pairs(PREDICTIONS.pack_rows(predictions), LABELS.pack_rows(labels))


def rows_by_hour(counts: VersionCounts, pairs: Pairs, sign: int = 1) -> dict[int, int]:
    assert counts.layout is not None
    folded = fold_pairs(counts, pairs, SETTINGS, sign)
    return {hour: int(tally(counts.layout, [outcomes]).rows) for hour, outcomes in folded.items()}


def test_a_pair_counts_in_the_hour_of_its_prediction() -> None:
    pairs = make_pairs((HOUR, 9 * HOUR, 1), (2 * HOUR - 1, 9 * HOUR, 0), (2 * HOUR, 9 * HOUR, 1))
    assert rows_by_hour(make_counts(), pairs) == {HOUR: 2, 2 * HOUR: 1}
    assert rows_by_hour(make_counts(), pairs, -1) == {HOUR: -2, 2 * HOUR: -1}


@pytest.mark.parametrize(("delay", "rows"), [(HOUR, {0: 2}), (HOUR + 1, {0: 1})])
def test_a_label_after_the_maturation_does_not_count(delay: float, rows: dict[int, int]) -> None:
    pairs = make_pairs((10.0, 11.0, 1), (10.0, 10.0 + delay, 0))
    assert rows_by_hour(make_counts(maturation_seconds=HOUR), pairs) == rows


def test_labels_that_are_all_late_count_nothing() -> None:
    assert rows_by_hour(make_counts(maturation_seconds=1.0), make_pairs((0.0, 9.0, 1))) == {}


def test_segments_that_the_reference_does_not_have_are_left_out() -> None:
    pairs = make_pairs((0.0, 1.0, 1), segments='["eu","gone"]')
    assert list(pairs_by_segment(make_counts(segments=["eu", "us"]), pairs)) == ["eu"]
    assert pairs_by_segment(make_counts(), pairs) == {}


def test_only_first_labels_count_in_the_totals_and_all_changes_in_the_outcomes() -> None:
    version = Version(StoredVersion(7, "fraud", "1", 0, None, "", 0))
    version.live = Live(make_counts(segments=["eu"]))
    joined = Joined(
        first=[make_pairs((0.0, 100.0, 1), segments='["eu"]'), make_pairs((0.0, 5.0, 1), version=99)],
        added=[make_pairs((1.0, 50.0, 1), (2.0, 50.0, 1))],
        removed=[make_pairs((1.0, 50.0, 1))],
    )
    changes = Changes()
    count_joined(changes, joined, {7: version}.get, SETTINGS)
    totals = changes.lives[version].totals
    assert (totals.labels, totals.label_delay_sum) == (1, 100.0)
    counts = version.counts
    assert counts is not None
    assert counts.layout is not None
    assert tally(counts.layout, [changes.outcomes[version, 0]]).rows == 2
    assert tally(counts.layout, [changes.segment_outcomes[version, "eu", 0]]).rows == 1
    assert list(changes.lives) == [version]
