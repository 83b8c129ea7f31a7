"""Importance of a reference's features, and the drift that is weighted by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exporter.evaluation.comparison import UNDECIDED
from exporter.evaluation.importance import make_importance, weigh_drift
from tests.support.views import make_evaluation, make_reference

REFERENCE = make_reference()  # features age, country and user_id, the prediction and its score


def test_shares_sum_to_one_and_fall() -> None:
    importance = make_importance({"country": 3, "age": 9, "user_id": 0}, REFERENCE, "tag")
    assert importance is not None
    assert list(importance.shares.items()) == [("age", 0.75), ("country", 0.25), ("user_id", 0.0)]
    assert importance.notes == ()


def test_names_without_a_feature_and_features_without_a_weight_are_noted() -> None:
    importance = make_importance({"country": 1, "carrier_AA": 5, "score": 2}, REFERENCE, "run_artifact")
    assert importance is not None
    assert dict(importance.shares) == {"country": 1.0, "age": 0.0, "user_id": 0.0}
    assert importance.notes == (
        "importance names 'carrier_AA', 'score', which the reference has no feature of",
        "importance says nothing of 'age', 'user_id', which count as 0",
    )


def test_a_note_names_ten_columns_at_most() -> None:
    importance = make_importance({"age": 1} | {f"c{n:03}": 1 for n in range(500)}, REFERENCE, "tag")
    assert importance is not None
    assert "'c009' and 490 more" in importance.notes[0]


@pytest.mark.parametrize("weights", [{}, {"age": 0.0}, {"score": 1.0}], ids=["none", "zero", "no feature"])
def test_without_a_feature_of_weight_there_is_none(weights: dict[str, float]) -> None:
    assert make_importance(weights, REFERENCE, "tag") is None


def test_outputs_have_no_share() -> None:
    importance = make_importance({"age": 1, "country": 1}, REFERENCE, "tag")
    assert importance is not None
    assert importance.of_columns(REFERENCE) == pytest.approx([0.5, 0.5, 0, np.nan, np.nan], nan_ok=True)


def test_drift_is_weighed_in_windows_where_most_of_the_importance_has_a_verdict() -> None:
    """In the hour age is at .31 of .112 and country stable; user_id and the whole day have no verdict."""
    evaluation = make_evaluation(REFERENCE)
    importance = make_importance({"age": 6, "country": 2, "user_id": 2}, REFERENCE, "tag")
    assert importance is not None
    assert weigh_drift(importance, evaluation) == {"1h": pytest.approx(0.75 * (1 - 0.112 / 0.31))}
    ids = make_importance({"user_id": 6, "age": 4}, REFERENCE, "tag")
    assert ids is not None
    assert weigh_drift(ids, evaluation) == {}


def test_significant_drift_counts_before_it_is_confirmed() -> None:
    evaluation = make_evaluation(REFERENCE)
    hour = evaluation.windows[0]
    undecided = replace(hour, verdict=np.full(len(hour.verdict), UNDECIDED, np.int8))
    importance = make_importance({"age": 6, "country": 4}, REFERENCE, "tag")
    assert importance is not None
    found = weigh_drift(importance, replace(evaluation, windows=(undecided,)))
    assert found == {"1h": pytest.approx(1 - 0.112 / 0.31)}
