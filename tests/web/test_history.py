"""Figures of a version over time."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import Outcomes, fold_outcomes, tally
from exporter.aggregates.state import VersionCounts
from exporter.formats.columns import from_python
from exporter.web import history
from exporter.web.history import CHECKS, LABELLED_PERIODS, PERIODS, find_history
from tests.support.labelled import make_labelled_reference, make_table
from tests.support.traffic import BROKEN, EVEN, NOW, cells_of, make_column, make_reference, make_timeline

HOUR_SECONDS = 3600


def make_counts(today: int = 24_000) -> VersionCounts:
    """Two columns, of which the first has broken today; half of the second was missing yesterday."""
    reference = make_reference([make_column("amount"), make_column("age")], [EVEN, EVEN])
    days = {0: cells_of([BROKEN, EVEN], today), 1: cells_of([EVEN, EVEN / 2], 24_000)}
    return VersionCounts(1, reference, make_timeline(reference, days))


def test_the_examples_hold() -> None:
    assert doctest.testmod(history).failed == 0


def test_each_hour_has_its_rows_its_drift_and_its_checks() -> None:
    found = find_history(make_counts(), [], NOW - 1)
    assert found.rows.shape == (PERIODS,)
    assert found.rows.sum() == 48_000
    yesterday, today = found.drift[:24], found.drift[24:]
    assert np.nanmax(yesterday[:, 0]) < 0.05
    assert np.nanmin(today[:, 0]) > 1
    assert np.nanmax(found.drift[:, 1]) < 0.05
    missing = found.check("missing")[:, 1]
    assert (missing[:24].mean().round(2), missing[24:].max()) == (0.5, 0)
    assert found.check(CHECKS[-1]).shape == (PERIODS, 2)


def test_an_hour_with_few_rows_has_no_figure() -> None:
    found = find_history(make_counts(today=24), [], NOW - 1)
    assert np.isnan(found.drift[24:]).all()
    assert found.rows[24:].sum() == 24


def test_what_was_measured_is_taken_over_only_where_rows_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = make_counts()
    before = find_history(counts, [], NOW - 1)
    measured = []
    measure = history._measure
    monkeypatch.setattr(history, "_measure", lambda *of: measured.append(len(of[1])) or measure(*of))
    again = find_history(counts, [], NOW - 1, before)
    np.testing.assert_array_equal(again.figures, before.figures)
    last = max(counts.timeline.fine)
    counts.timeline.fine[last] += counts.timeline.fine[last]
    assert measured == []
    later = find_history(counts, [], NOW - 1 + 2 * HOUR_SECONDS, before)
    assert measured == [1]
    np.testing.assert_array_equal(later.figures, find_history(counts, [], NOW - 1 + 7200).figures)


def test_quality_is_by_day_and_only_days_with_other_labels_are_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = make_labelled_reference("binary")
    layout = outcome_layout(reference)
    assert layout is not None
    today = int(NOW) // 86400 * 86400

    def fold(flaw: float, day: int) -> dict[int, Outcomes]:
        rows = make_table("binary", 400, flaw=flaw)
        labels, predictions = (from_python(rows[name].to_pylist()) for name in ("label", "prediction"))
        hours = np.full(len(rows), today - 86400 * day)
        return dict(fold_outcomes(layout, labels, predictions, rows["score"].to_numpy(), hours))

    outcomes = fold(0.0, 2) | fold(1.0, 0)
    counts = replace(make_counts(), reference=reference, layout=layout, outcomes=outcomes)
    empty = make_timeline(reference, {})
    found = find_history(replace(counts, timeline=empty), ["accuracy"], NOW)
    values = found.quality["accuracy"]
    assert len(values) == LABELLED_PERIODS
    assert [np.isfinite(value) for value in values[-3:]] == [True, False, True]
    assert values[-3] > values[-1] + 0.1
    tallied = []
    monkeypatch.setattr(history, "tally", lambda *of: tallied.append(1) or tally(*of))
    changed = replace(counts, timeline=empty, outcomes=outcomes | fold(0.0, 0))
    later = find_history(changed, ["accuracy"], NOW, found).quality["accuracy"]
    assert (later[-3], later[-1], tallied) == (values[-3], values[-3], [1])
