"""Pairs of predictions and labels in columns."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.ingest.pairs import Pairs
from exporter.storage.rows import LABELS, PREDICTIONS, StoredLabel, StoredPrediction


def make_pairs() -> Pairs:
    predictions = [
        StoredPrediction(bytes([1]) * 16, 7, 0, 10.0, "a", 0.25, None, '["eu"]'),
        StoredPrediction(bytes([2]) * 16, 8, 0, 20.0, None, None, '{"a":0.5}', '["eu","web"]'),
        StoredPrediction(bytes([3]) * 16, 7, 0, 30.0, "b", None, None, None),
    ]
    labels = [
        StoredLabel(row.id_hash, 1, text, row.at + 5, True)
        for row, text in zip(predictions, "xyx", strict=True)
    ]
    return Pairs(PREDICTIONS.pack_rows(predictions), LABELS.pack_rows(labels))


def test_columns_of_the_pairs() -> None:
    pairs = make_pairs()
    assert pairs.times.tolist() == [10.0, 20.0, 30.0]
    assert pairs.known_at.tolist() == [15.0, 25.0, 35.0]
    assert pairs.outcomes.rows() == ["x", "y", "x"]
    assert pairs.outputs.rows() == ["a", None, "b"]
    assert pairs.score == pytest.approx([0.25, np.nan, np.nan], nan_ok=True)
    assert pairs.scores.rows() == [None, '{"a":0.5}', None]


def test_pairs_by_version_and_by_segment() -> None:
    pairs = make_pairs()
    assert {key: each.times.tolist() for key, each in pairs.by_version()} == {7: [10.0, 30.0], 8: [20.0]}
    by_segment = {name: each.times.tolist() for name, each in pairs.by_segment().items()}
    assert by_segment == {"eu": [10.0, 20.0], "web": [20.0]}


def test_parts_are_joined_in_order() -> None:
    pairs = make_pairs()
    joined = Pairs.join([pairs.take(np.array([2])), pairs.take(np.array([0, 1]))])
    assert joined.outcomes.rows() == ["x", "x", "y"]
    assert joined.times.tolist() == [30.0, 10.0, 20.0]
