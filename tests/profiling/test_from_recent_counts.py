"""A reference of what was counted lately."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.block import fold
from exporter.aggregates.timeline import Timeline
from exporter.errors import ReferenceInvalidError
from exporter.formats.arrow_columns import from_arrow
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.profiling.from_recent_counts import recent_reference
from exporter.reference.binning import bin_columns
from exporter.reference.profile import Reference
from exporter.settings import Settings, Window, parse_window

SETTINGS = Settings()
NOW = 20_500 * 86400.0
DAY, WEEKS = parse_window("1d"), parse_window("3w")


def make_reference() -> Reference:
    x = np.random.default_rng(0).normal(size=5000)
    table = pa.table({"x": x, "prediction": (x > 0).astype(np.int64), "label": (x > 0.1).astype(np.int64)})
    return build_reference(ReferenceData(table, "tests", split="test"), SETTINGS.windows, 10)


def make_timeline(reference: Reference, days: int, rows: int, shift: float = 0.0) -> Timeline:
    """So many rows in every hour of the days that end now; every day is a little different."""
    random, blocks = np.random.default_rng(1), {}
    for hour in range(24 * days):
        x = random.normal(shift + 0.5 * np.sin(hour // 24), 1, rows)
        values = {("feature", "x"): from_arrow(pa.array(x))}
        values["prediction", ""] = from_arrow(pa.array((x > 0).astype(np.int64)))
        start = int(NOW) - 3600 * (hour + 1)
        binned = bin_columns(reference, values, rows, np.full(rows, float(start)))
        blocks |= fold(reference, binned, np.full(rows, start), None)
    return Timeline(SETTINGS, coarse=blocks)


def recent(reference: Reference, timeline: Timeline, period: Window) -> Reference:
    return recent_reference(reference, timeline, {}, period, SETTINGS.windows, NOW)


def test_it_has_the_counts_of_the_period_in_the_bins_of_before() -> None:
    before = make_reference()
    timeline = make_timeline(before, 3, 100)
    found = recent(before, timeline, DAY)
    assert found.rows == 24 * 100
    assert found.columns == before.columns
    expected = sum(block.counts.astype(np.int64) for s, block in timeline.coarse.items() if s >= NOW - 86400)
    assert (found.counts == expected).all()
    assert found.digest != before.digest


def test_what_was_promised_of_labels_stays() -> None:
    before = make_reference()
    found = recent(before, make_timeline(before, 1, 100), DAY)
    assert before.outcomes
    assert (found.outcomes, found.labels, found.split) == (before.outcomes, before.labels, "test")


def test_a_few_days_tell_no_natural_variation() -> None:
    before = make_reference()
    found = recent(before, make_timeline(before, 7, 100), parse_window("7d"))
    assert found.provisional
    assert any("no natural variation" in note for note in found.notes)


def test_weeks_tell_that_of_windows_they_hold_often_enough() -> None:
    before = make_reference()
    found = recent(before, make_timeline(before, 21, 200), WEEKS)
    assert set(found.variation) == {3600, 86400}  # there are only three weeks
    assert found.variation[86400].chunks == 21
    assert found.variation[86400].drift[0] > 0.1


def test_too_few_rows_are_no_reference() -> None:
    before = make_reference()
    with pytest.raises(ReferenceInvalidError, match="240 rows came in the last 1d, a reference needs 1,000"):
        recent(before, make_timeline(before, 1, 10), DAY)


def test_it_says_which_columns_have_left_their_bins() -> None:
    before = make_reference()
    assert not any(
        "beyond the bins" in note for note in recent(before, make_timeline(before, 1, 100), DAY).notes
    )
    moved = recent(before, make_timeline(before, 1, 100, shift=50.0), DAY)
    assert any("beyond the bins of x" in note for note in moved.notes)
