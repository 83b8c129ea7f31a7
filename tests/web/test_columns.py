"""Columns of a version's page, in the order in which they are to be looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.drift import Evaluation
from exporter.monitoring.verdicts import Subject
from exporter.reference.bins import Column
from exporter.web.columns import LEAST_SHOWN, MAX_PICTURES, ColumnList, rank_columns
from tests.support.views import DAY, HOUR, NOW, make_evaluation, make_reference


def make_many(verdicts: list[int], scores: list[float], limits: list[float]) -> Evaluation:
    """Features `f000`, `f001`, ... with these figures over an hour."""
    count = len(verdicts)
    columns = tuple(Column(f"f{k:03d}", "feature", "number", edges=np.array([0.0])) for k in range(count))
    reference = replace(
        make_reference(),
        columns=columns,
        counts=np.tile(np.array([50, 50, 0, 0]), count),
        moments=np.zeros((count, 3)),
    )
    hour = replace(
        make_evaluation(make_reference()).windows[0],
        rows_by_column=np.full(count, 100),
        drift_score=np.array(scores),
        drift_limit=np.array(limits),
        verdict=np.array(verdicts, np.int8),
        undecided=tuple("few rows" if verdict == UNDECIDED else "" for verdict in verdicts),
        distances={},
    )
    return Evaluation(NOW, reference, (hour,), ())


def names(columns: ColumnList) -> list[str]:
    return [column.name for column in columns.all]


def rank(evaluation: Evaluation, importance: dict[str, float] | None = None, **own: str) -> ColumnList:
    live = np.tile(np.array([20, 80, 0, 0]), len(evaluation.reference.columns))
    if len(live) != evaluation.reference.cells:
        live = np.zeros(evaluation.reference.cells, np.int64)
    return rank_columns(evaluation, HOUR.name, live, None, {}, importance=importance or {}, **own)


def test_bad_columns_come_first_then_those_nearest_to_their_limit() -> None:
    evaluation = make_many(
        [STABLE, DRIFTED, UNDECIDED, DRIFTED, STABLE],
        [0.05, 0.3, np.nan, 0.9, 0.09],
        [0.1, 0.1, np.nan, 0.6, 0.1],
    )
    assert names(rank(evaluation)) == ["f001", "f003", "f004", "f000", "f002"]


def test_columns_that_are_bad_in_another_window_come_before_those_that_are_good() -> None:
    evaluation = make_many([STABLE, STABLE], [0.09, 0.01], [0.1, 0.1])
    (hour,) = evaluation.windows
    day = replace(hour, window=DAY, verdict=np.array([STABLE, DRIFTED], np.int8))
    ranked = rank(replace(evaluation, windows=(hour, day)))
    assert names(ranked) == ["f001", "f000"]
    assert [column.name for column in ranked.shown] == ["f001"]
    assert ranked.shown[0].elsewhere == (("24h", "drifted"),)


def test_importance_times_the_excess_orders_bad_columns_where_it_is_known() -> None:
    evaluation = make_many([DRIFTED, DRIFTED, DRIFTED], [0.5, 0.3, 0.9], [0.1, 0.1, 0.1])
    ranked = rank(evaluation, {"f000": 0.2, "f001": 0.75, "f002": 0.05})
    assert names(ranked) == ["f001", "f000", "f002"]  # 0.5, 0.16, 0.044
    assert ranked.shown[0].importance == 0.75


def test_a_column_that_is_asked_for_comes_before_all_others() -> None:
    evaluation = make_many([DRIFTED, STABLE], [0.5, 0.01], [0.1, 0.1])
    assert names(rank(evaluation, first="f001")) == ["f001", "f000"]


def test_bad_columns_are_open_the_others_folded_and_the_rest_has_no_picture() -> None:
    count = MAX_PICTURES + 10
    verdicts = [DRIFTED] * 3 + [STABLE] * (count - 3)
    ranked = rank(make_many(verdicts, [0.5] * 3 + [0.01] * (count - 3), [0.1] * count))
    assert [len(part) for part in (ranked.shown, ranked.folded, ranked.listed)] == [3, MAX_PICTURES - 3, 10]
    assert all(column.distribution is not None for column in (*ranked.shown, *ranked.folded))
    assert all(column.distribution is None for column in ranked.listed)
    assert ranked.shown[0].distribution is not None
    assert [bar.live for bar in ranked.shown[0].distribution.bars] == [0.2, 0.8]


def test_without_a_bad_column_some_are_open() -> None:
    ranked = rank(make_many([STABLE] * 20, [0.01] * 20, [0.1] * 20))
    assert len(ranked.shown) == LEAST_SHOWN


def test_a_column_has_its_verdicts_of_all_kinds_and_since_when_they_are_bad() -> None:
    since = {
        Subject("drift", "age", "1h"): NOW - 60,
        Subject("data_quality/missing", "age"): NOW - 120,
    }
    reference = make_reference()
    live = np.ones(reference.cells, np.int64)
    ranked = rank_columns(make_evaluation(reference), "1h", live, None, since, importance={})
    age = ranked.shown[0]
    assert (age.name, age.bad, age.drift.verdict, age.drift.since) == ("age", True, "drifted", NOW - 60)
    assert (age.drift.score, age.drift.limit) == (0.31, 0.112)
    assert age.elsewhere == (("24h", "undecided"),)
    assert [(c.name, c.ratio, c.window, c.since) for c in age.failed] == [("missing", 0.6, "1h", NOW - 120)]
    assert age.change is None  # is of whole days
    user = next(column for column in ranked.all if column.name == "user_id")
    assert (user.drift.verdict, user.drift.score, user.drift.why) == ("undecided", None, "no row has a value")


def test_change_against_the_weeks_before_makes_a_column_bad_in_its_window() -> None:
    reference = make_reference()
    ranked = rank_columns(make_evaluation(reference), "24h", None, None, {}, importance={})
    age = ranked.shown[0]
    assert age.change is not None
    assert (age.name, age.drift.verdict, age.change.verdict, age.bad) == ("age", "undecided", "changed", True)
    assert age.distribution is None


@pytest.mark.parametrize(("score", "limit"), [(np.nan, 0.1), (0.3, np.nan)])
def test_unknown_figures_have_no_excess(score: float, limit: float) -> None:
    (column,) = rank(make_many([UNDECIDED], [score], [limit])).all
    assert column.drift.excess == 0
