"""Bins, drift, change and data quality of a version's columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exporter.reference.bins import Column
from exporter.reference.profile import Reference
from tests.support.pages import collect, lines, values
from tests.support.views import make_evaluation, make_reference, make_view


def test_a_reference_without_columns_is_no_problem() -> None:
    reference = Reference((), np.empty(0, np.int64), np.empty((0, 3)), 0, "binary", "file")
    page = collect([make_view(reference, evaluation=None)])
    assert not lines(page, "mlflow_model_values_total")


def test_measures_without_a_figure_are_left_out() -> None:
    page = collect([make_view(quality=())])
    age = 'column="age",role="feature",window="1h"'
    country = 'column="country",role="feature",window="1h"'
    prediction = 'column="prediction",role="prediction",window="1h"'
    assert values(page, "mlflow_model_drift_score") == {age: 0.31, country: 0.002, prediction: 0.01}
    assert values(page, "mlflow_model_drift_limit") == {age: 0.112, country: 0.12, prediction: 0.11}
    assert values(page, "mlflow_model_drift_significance") == {age: 300, country: 0.25}
    assert values(page, "mlflow_model_drift_detected") == {age: 1, country: 0}
    assert values(page, "mlflow_model_drift_distance") == {f'{age},method="ks"': 0.2}


def test_an_empty_window_says_that_it_has_no_rows() -> None:
    found = values(collect([make_view()]), "mlflow_model_window_rows")
    assert found == {'window="1h"': 1204, 'window="24h"': 0}


def test_columns_are_counted_by_all_three_verdicts_of_each_role_and_window() -> None:
    found = values(collect([make_view()]), "mlflow_model_columns")
    assert len(found) == 3 * 2 * 3
    features = {
        (window, verdict): found[f'role="feature",window="{window}",verdict="{verdict}"']
        for window in ("1h", "24h")
        for verdict in ("drifted", "stable", "undecided")
    }
    # user_id is not judged, so it is not undecided either
    assert features == {
        ("1h", "drifted"): 1, ("1h", "stable"): 1, ("1h", "undecided"): 0,
        ("24h", "drifted"): 0, ("24h", "stable"): 0, ("24h", "undecided"): 2,
    }  # fmt: skip


def test_undecided_columns_are_counted_by_reason() -> None:
    page = collect([make_view()])
    by_reason = values(page, "mlflow_model_columns_undecided")
    assert by_reason['role="feature",window="24h",reason="no_values"'] == 2
    by_verdict = values(page, "mlflow_model_columns")
    undecided = [count for labels, count in by_verdict.items() if labels.endswith('verdict="undecided"')]
    assert sum(by_reason.values()) == sum(undecided)


def test_a_role_without_columns_is_not_counted() -> None:
    column = Column("x", "feature", "number", edges=np.array([1.0]))
    reference = Reference((column,), np.ones(4, np.int64), np.zeros((1, 3)), 4, "regression", "file")
    found = values(collect([make_view(reference)]), "mlflow_model_columns")
    assert {labels.partition(",")[0] for labels in found} == {'role="feature"'}


def test_checks_show_what_they_know() -> None:
    page = collect([make_view()])
    missing = 'column="age",role="feature",check="missing"'
    outside = 'column="age",role="feature",check="out_of_range"'
    unseen = 'column="country",role="feature",check="unseen"'
    prefix = "mlflow_model_data_quality"
    assert values(page, f"{prefix}_ratio") == {missing: 0.6, outside: 0, unseen: 0.5}
    assert values(page, f"{prefix}_reference_ratio") == {missing: 0.1, outside: 0}
    assert values(page, f"{prefix}_degraded") == {missing: 1, outside: 0}
    assert values(page, f"{prefix}_window_seconds") == {missing: 3600, outside: 86400, unseen: 86400}


def test_every_bin_of_every_column_is_there_from_zero() -> None:
    reference = make_reference()
    view = make_view(reference, values=np.zeros(reference.cells, np.int64), evaluation=None)
    found = values(collect([view]), "mlflow_model_values_total")
    assert len(found) == reference.cells
    assert set(found.values()) == {0}


def test_bins_are_named_and_can_be_reduced_to_their_index() -> None:
    def bins(**settings: Any) -> list[str]:
        found = values(collect([make_view()], **settings), "mlflow_model_values_total")
        return [labels.partition('bin="')[2].rstrip('"') for labels in found if 'column="age"' in labels]

    assert bins() == ["00 < 18", "01 [18, 25.5)", "02 >= 25.5", "03 (missing)", "04 (mismatch)"]
    assert bins(bin_names=False) == ["00", "01", "02", "03", "04"]
    assert "DE" not in "".join(lines(collect([make_view()], bin_names=False), "mlflow_model_reference_ratio"))


def test_shares_of_the_reference_add_up_to_one_in_each_column() -> None:
    found = values(collect([make_view()]), "mlflow_model_reference_ratio")
    for column in ("age", "country", "user_id", "prediction"):
        shares = [share for labels, share in found.items() if labels.startswith(f'column="{column}"')]
        assert sum(shares) == pytest.approx(1)


def test_a_column_that_the_reference_has_no_rows_of_has_no_shares() -> None:
    found = values(collect([make_view()]), "mlflow_model_reference_ratio")
    assert not [labels for labels in found if 'column="score"' in labels]


def test_an_evaluation_against_a_former_reference_shows_its_own_columns() -> None:
    former = make_reference()
    column = Column("income", "feature", "number", edges=np.array([1.0]))
    current = Reference((column,), np.ones(4, np.int64), np.zeros((1, 3)), 4, "binary", "file")
    page = collect([make_view(current, evaluation=make_evaluation(former))])
    assert all('column="income"' in labels for labels in values(page, "mlflow_model_values_total"))
    assert 'column="age",role="feature",window="1h"' in values(page, "mlflow_model_drift_score")
