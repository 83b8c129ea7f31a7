"""Verdicts on drift, and reasons why there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.context import Thresholds
from exporter.evaluation.drift import Evaluation, WindowEvaluation
from exporter.evaluation.live_variation import PRIOR_DRIFT
from exporter.measures.psi import sampling_floor
from exporter.reference.profile import Reference
from exporter.settings import DISTANCES
from exporter.typing import Floats, Ints
from tests.support.traffic import (
    BROKEN,
    DAY,
    EVEN,
    HOUR,
    NOW,
    WEEK,
    cells_of,
    judge,
    make_column,
    make_reference,
    make_steady_reference,
    make_timeline,
    variation_of,
)

# PSI against even shares: about 0.18 and 0.75
MODERATE = np.array([0.03, 0.04, 0.08, 0.1, 0.1, 0.1, 0.1, 0.12, 0.15, 0.18])
GROSS = np.array([0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.14, 0.2, 0.25])
AGE = make_column("age")
TWELVE = {0: cells_of([EVEN], 12)}


def day_of(
    reference: Reference, days: Mapping[int, Ints], thresholds: Thresholds | None = None
) -> WindowEvaluation:
    return judge(reference, make_timeline(reference, days), thresholds=thresholds).windows[0]


def verdict_of(
    today: Sequence[float] | Floats,
    yesterday: Sequence[float] | Floats | None = None,
    rows: int = 2000,
    yesterday_rows: int = 2000,
    reference_rows: int = 100_000,
) -> int:
    """Verdict of one column whose reference is evenly distributed."""
    reference = make_steady_reference([AGE], [EVEN], reference_rows)
    days = {0: cells_of([today], rows)}
    if yesterday is not None:
        days[1] = cells_of([yesterday], yesterday_rows)
    return int(day_of(reference, days).verdict[0])


# -- the verdict --------------------------------------------------------------------------------------------


def test_a_window_like_the_reference_is_stable() -> None:
    assert verdict_of(EVEN, EVEN) == STABLE


def test_moderate_drift_in_two_adjacent_windows_is_drift() -> None:
    assert verdict_of(MODERATE, MODERATE) == DRIFTED


def test_moderate_drift_in_one_window_is_not_yet() -> None:
    assert verdict_of(MODERATE, EVEN) == STABLE


def test_moderate_drift_that_is_over_is_stable() -> None:
    assert verdict_of(EVEN, MODERATE) == STABLE


@pytest.mark.parametrize("yesterday", [None, EVEN])
def test_gross_drift_needs_no_second_window(yesterday: Floats | None) -> None:
    assert verdict_of(GROSS, yesterday) == DRIFTED


def test_moderate_drift_without_a_window_before_is_undecided() -> None:
    assert verdict_of(MODERATE) == UNDECIDED
    assert verdict_of(MODERATE, MODERATE, yesterday_rows=50) == UNDECIDED


def test_drift_below_the_threshold_is_stable_however_significant() -> None:
    slight = EVEN + np.array([-0.02, 0.02] * 5)

    reference = make_reference([AGE], [EVEN], 1_000_000)
    today = day_of(reference, {0: cells_of([slight], 100_000), 1: cells_of([slight], 100_000)})

    assert today.drift_significance[0] == 300
    assert today.verdict[0] == STABLE


@pytest.mark.parametrize(("bins", "rows"), [(10, 400), (32, 650)])
def test_the_ordinary_verdict_needs_enough_rows_for_its_bins(bins: int, rows: int) -> None:
    share = np.full(bins, 1 / bins)
    reference = make_reference([make_column("city", bins)], [share], 100_000_000)

    few, enough = (day_of(reference, {0: cells_of([share], n)}) for n in (rows - 16, rows + 40))

    assert few.verdict[0] == UNDECIDED
    assert enough.verdict[0] == STABLE


def test_drift_that_was_told_ends_well_below_the_limit() -> None:
    reference = make_steady_reference([AGE], [EVEN])
    drifted, hovering, ended = (
        make_timeline(
            reference, {ago: cells_of([share * MODERATE + (1 - share) * EVEN], 20_000) for ago in (0, 1)}
        )
        for share in (1.0, 0.7, 0.5)
    )
    told = judge(reference, drifted)

    def verdict(timeline: Timeline, before: Evaluation | None) -> int:
        found = judge(reference, timeline, before=before)
        return int(found.windows[0].verdict[0])

    assert told.windows[0].verdict[0] == DRIFTED
    assert [verdict(hovering, before) for before in (None, told)] == [STABLE, DRIFTED]
    assert verdict(ended, told) == STABLE


def test_few_rows_have_to_be_gross_or_confirmed() -> None:
    reference = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(0.4)})
    gross = {0: cells_of([GROSS], 350)}  # beyond the limit by three standard errors, not three times

    assert day_of(reference, gross | {1: cells_of([EVEN], 350)}).verdict[0] == UNDECIDED
    assert day_of(make_steady_reference([AGE], [EVEN]), gross).verdict[0] == DRIFTED


def test_a_unit_change_is_seen_at_thirty_rows() -> None:
    assert verdict_of(BROKEN, rows=30) == DRIFTED


def test_twelve_rows_never_fire() -> None:
    assert verdict_of(BROKEN, BROKEN, rows=12) == UNDECIDED


def test_a_hundred_rows_do_not_tell_moderate_drift() -> None:
    assert verdict_of(MODERATE, MODERATE, rows=100) == UNDECIDED


def test_a_small_reference_never_gets_the_ordinary_verdict() -> None:
    assert verdict_of(MODERATE, MODERATE, rows=100_000, reference_rows=200) == UNDECIDED
    assert verdict_of(EVEN, EVEN, rows=100_000, reference_rows=200) == UNDECIDED


def test_a_reference_of_one_row_tells_nothing() -> None:
    reference = make_reference([AGE], [BROKEN], rows=1)

    today = day_of(reference, {0: cells_of([EVEN], 5000), 1: cells_of([EVEN], 5000)})

    assert today.verdict[0] == UNDECIDED
    assert np.isfinite(today.drift_score[0])


def test_rows_in_bursts_of_ten_count_once_each() -> None:
    reference = make_reference([AGE], [EVEN])
    unlucky = np.array([0.04, 0.05, 0.07, 0.09, 0.1, 0.1, 0.11, 0.13, 0.15, 0.16])
    timeline = make_timeline(reference, {ago: cells_of([unlucky], 100) for ago in (0, 1)})
    for blocks in (timeline.fine, timeline.coarse):
        for start, block in blocks.items():
            blocks[start] = sum([block] * 9, start=block)

    today = judge(reference, timeline).windows[0]

    assert today.rows == 1000
    assert today.effective_rows[0] == pytest.approx(100, rel=0.25)
    assert today.verdict[0] == UNDECIDED


# -- natural variation and thresholds -----------------------------------------------------------------------


def test_the_limit_is_threshold_and_natural_variation_and_sampling_floor() -> None:
    reference = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(0.2)})

    today = day_of(reference, {0: cells_of([EVEN], 2000)})

    floor = sampling_floor(np.array(10), today.effective_rows[0], np.array(100_000))
    assert today.drift_limit[0] == pytest.approx(0.1 + 0.2 + floor)


def test_natural_variation_is_not_drift() -> None:
    reference = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(0.2)})

    today = day_of(reference, {0: cells_of([MODERATE], 2000), 1: cells_of([MODERATE], 2000)})

    assert today.verdict[0] == STABLE


def test_without_times_in_the_reference_a_prior_is_allowed() -> None:
    reference = make_reference([AGE], [EVEN])

    def verdict(share: Floats) -> int:
        return int(day_of(reference, {ago: cells_of([share], 2000) for ago in (0, 1)}).verdict[0])

    assert reference.provisional
    assert [verdict(share) for share in (MODERATE, GROSS, BROKEN)] == [STABLE, STABLE, DRIFTED]


def test_the_prior_is_in_the_limit_that_is_shown() -> None:
    today = day_of(make_reference([AGE], [EVEN]), {0: cells_of([EVEN], 2000)})

    floor = sampling_floor(np.array(10), today.effective_rows[0], np.array(100_000))
    assert today.drift_limit[0] == pytest.approx(0.1 + PRIOR_DRIFT + floor)


def test_what_is_gross_is_drift_from_the_first_hours_on_without_times_too() -> None:
    reference = make_reference([AGE], [EVEN])

    def first_hours(share: Floats) -> int:
        whole = make_timeline(reference, {0: cells_of([share], 20_000)})
        young = Timeline(whole.settings, {s: b for s, b in whole.fine.items() if s >= NOW - 3600})
        return int(judge(reference, young).windows[0].verdict[0])

    assert first_hours(GROSS) == STABLE
    assert first_hours(BROKEN) == DRIFTED


def test_an_hour_is_not_held_against_a_reference_without_times_where_there_is_a_day() -> None:
    reference = make_reference([AGE], [EVEN])
    timeline = make_timeline(reference, {ago: cells_of([BROKEN], 48_000) for ago in (0, 1)})

    hour, day = judge(reference, timeline, (HOUR, DAY)).windows
    (alone,) = judge(reference, timeline, (HOUR,)).windows

    assert (hour.verdict[0], day.verdict[0], alone.verdict[0]) == (UNDECIDED, DRIFTED, DRIFTED)
    assert np.isnan(hour.drift_limit[0])


def test_a_window_that_the_reference_is_too_short_for_takes_the_next_shorter_ones_variation() -> None:
    variation = {HOUR.seconds: variation_of(0.4), DAY.seconds: variation_of(0.2)}
    reference = make_reference([AGE], [EVEN], variation=variation)
    timeline = make_timeline(reference, {0: cells_of([EVEN], 2000)})

    day, week = judge(reference, timeline, (DAY, WEEK)).windows

    assert week.verdict[0] == STABLE
    assert week.drift_limit[0] == day.drift_limit[0]


def test_a_version_younger_than_a_window_may_vary_as_a_shorter_one() -> None:
    variation = {HOUR.seconds: variation_of(0.4), DAY.seconds: variation_of(0.0)}
    reference = make_reference([AGE], [EVEN], variation=variation)
    whole = make_timeline(reference, {0: cells_of([GROSS], 5000)})
    young = Timeline(whole.settings, {s: b for s, b in whole.fine.items() if s >= NOW - 20 * 3600})

    assert [judge(reference, timeline).windows[0].verdict[0] for timeline in (whole, young)] == [
        DRIFTED,
        UNDECIDED,
    ]


def test_the_first_hours_of_a_version_may_be_a_night_that_nothing_is_known_of() -> None:
    reference = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(0.0)})

    def first_hours(share: Floats) -> int:
        whole = make_timeline(reference, {0: cells_of([share], 20_000)})
        young = Timeline(whole.settings, {s: b for s, b in whole.fine.items() if s >= NOW - 6 * 3600})
        return int(judge(reference, young).windows[0].verdict[0])

    assert first_hours(GROSS) == STABLE
    assert first_hours(BROKEN) == DRIFTED


def test_a_window_shorter_than_all_that_is_known_is_undecided() -> None:
    reference = make_reference([AGE], [EVEN], variation={WEEK.seconds: variation_of(0.2)})

    today = day_of(reference, {0: cells_of([BROKEN], 2000), 1: cells_of([BROKEN], 2000)})

    assert today.verdict[0] == UNDECIDED
    assert np.isnan(today.drift_limit[0])
    assert today.drift_score[0] > 1


def test_a_column_that_cannot_be_told_from_drift_is_undecided() -> None:
    reference = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(np.nan)})

    today = day_of(reference, {0: cells_of([BROKEN], 2000), 1: cells_of([BROKEN], 2000)})

    assert today.verdict[0] == UNDECIDED


def test_a_column_may_have_a_threshold_of_its_own() -> None:
    reference = make_steady_reference([AGE, make_column("income")], [EVEN, EVEN])
    days = {ago: cells_of([MODERATE, MODERATE], 2000) for ago in (0, 1)}

    today = day_of(reference, days, Thresholds(drift=0.5, drift_by_column={"income": 0.05}))

    assert today.verdict.tolist() == [STABLE, DRIFTED]


# -- columns and windows ------------------------------------------------------------------------------------


def test_a_column_that_is_not_judged_has_a_score_and_nothing_else() -> None:
    clock = make_column("clock", unjudged="looks like a clock")
    reference = make_reference([AGE, clock], [EVEN, EVEN])

    today = day_of(reference, {ago: cells_of([EVEN, BROKEN], 2000) for ago in (0, 1)})

    assert today.drift_score[1] > 1
    assert today.verdict.tolist() == [STABLE, UNDECIDED]
    assert np.isnan(today.drift_significance).tolist() == [False, True]


def test_a_column_that_is_not_judged_does_not_weaken_the_others() -> None:
    columns = [AGE, *(make_column(f"id{k}", unjudged="looks like an id") for k in range(9))]
    slight = EVEN + np.array([-0.02, 0.02] * 5)
    many, alone = make_reference(columns, [EVEN] * 10), make_reference([AGE], [EVEN])

    among_ids = day_of(many, {0: cells_of([slight] + [EVEN] * 9, 1000)})
    by_itself = day_of(alone, {0: cells_of([slight], 1000)})

    assert among_ids.drift_significance[0] == pytest.approx(by_itself.drift_significance[0])


def test_no_rows_are_no_figures_and_no_verdict() -> None:
    reference = make_reference([AGE], [EVEN])

    evaluation = judge(reference, make_timeline(reference, {}), (HOUR, DAY, WEEK), distances=DISTANCES)

    for window in evaluation.windows:
        assert window.rows == 0
        assert window.verdict.tolist() == [UNDECIDED]
        assert np.isnan(window.drift_score).all()
        assert np.isnan(window.drift_limit).all()
        assert np.isnan(window.drift_significance).all()
        assert all(np.isnan(figures).all() for figures in window.distances.values())
    assert evaluation.checks == ()


def test_a_column_that_went_missing_does_not_disturb_the_others() -> None:
    reference = make_reference([AGE, make_column("income")], [EVEN, EVEN])

    today = day_of(reference, {0: cells_of([0 * EVEN, EVEN], 2000)})

    assert today.rows_by_column.tolist() == [0, 2000]
    assert today.verdict.tolist() == [UNDECIDED, STABLE]
    assert np.isnan(today.drift_score).tolist() == [True, False]


@pytest.mark.parametrize("moments", [np.nan, np.inf, 1e308])
@pytest.mark.parametrize("broken", [0 * EVEN, BROKEN, EVEN])
def test_a_column_beyond_all_measure_does_not_disturb_the_others(moments: float, broken: Floats) -> None:
    columns = [AGE, make_column("huge")]
    reference = make_steady_reference(columns, [EVEN, broken])
    reference.moments[1] = moments
    days = {ago: cells_of([MODERATE, EVEN], 3000) for ago in (0, 1)}
    alone = make_steady_reference([AGE], [EVEN])

    with np.errstate(all="ignore"):
        found = judge(reference, make_timeline(reference, days), distances=DISTANCES)
    expected = judge(
        alone, make_timeline(alone, {ago: cells_of([MODERATE], 3000) for ago in (0, 1)}), distances=DISTANCES
    )

    today, usual = found.windows[0], expected.windows[0]
    assert today.verdict[0] == usual.verdict[0] == DRIFTED
    assert today.drift_score[0] == pytest.approx(usual.drift_score[0], abs=0.01)
    assert [c.ratio for c in found.checks if c.column == 0] == [c.ratio for c in expected.checks]


def test_a_column_without_values_in_the_reference_is_undecided() -> None:
    reference = make_reference([AGE], [0 * EVEN])

    assert day_of(reference, {0: cells_of([EVEN], 2000)}).verdict[0] == UNDECIDED


def test_a_constant_column_is_stable_until_it_changes() -> None:
    reference = make_reference([make_column("version", 3)], [[0, 1, 0]])

    same = day_of(reference, {0: cells_of([[0, 1, 0]], 2000)})
    other = day_of(reference, {0: cells_of([[0, 0, 1]], 2000)})

    assert (same.verdict[0], same.drift_score[0]) == (STABLE, 0)
    assert other.verdict[0] == DRIFTED


def test_a_column_with_one_bin_cannot_drift() -> None:
    reference = make_reference([make_column("nothing", 1)], [[1.0]])

    today = day_of(reference, {0: cells_of([[1.0]], 2000)})

    assert (today.verdict[0], today.drift_score[0], today.drift_significance[0]) == (STABLE, 0, 0)


def test_each_window_is_measured_on_its_own_rows() -> None:
    reference = make_steady_reference([AGE], [EVEN])
    days = {0: cells_of([EVEN], 1000), 3: cells_of([BROKEN], 1000)}

    day, week = judge(reference, make_timeline(reference, days), (DAY, WEEK)).windows

    assert (day.window, day.rows, day.verdict[0]) == (DAY, 1000, STABLE)
    assert (week.window, week.rows, week.verdict[0]) == (WEEK, 2000, DRIFTED)


def test_only_the_distances_asked_for_are_taken() -> None:
    reference = make_reference([AGE, make_column("city", kind="category")], [EVEN, EVEN])
    timeline = make_timeline(reference, {0: cells_of([BROKEN, BROKEN], 1000)})

    distances = judge(reference, timeline, distances=("total_variation", "ks")).windows[0].distances

    assert set(distances) == {"total_variation", "ks"}
    assert distances["total_variation"] == pytest.approx([0.9, 0.9])
    assert distances["ks"] == pytest.approx([0.9, np.nan], nan_ok=True)


def test_every_distance_that_can_be_configured_is_known() -> None:
    reference = make_reference([AGE], [EVEN])

    today = judge(reference, make_timeline(reference, {}), distances=DISTANCES).windows[0]

    assert tuple(today.distances) == DISTANCES


# -- why there is no verdict --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluation", "reason", "code"),
    [
        (lambda: day_of(make_reference([AGE], [EVEN]), {}), "no row has a value", "no_values"),
        (
            lambda: day_of(make_reference([AGE], [0 * EVEN]), TWELVE),
            "there is no value to compare with",
            "no_base",
        ),
        (
            lambda: day_of(make_reference([AGE], [EVEN]), TWELVE),
            "12 effective rows, window and base combined; 20 are needed for any verdict",
            "rows",
        ),
        (
            lambda: day_of(make_reference([AGE], [EVEN]), {0: cells_of([EVEN], 100)}),
            r"\d+ effective rows, .*; 400 are needed, or a score 3 standard errors \(.* each\) beyond .*",
            "rows",
        ),
        (
            lambda: day_of(make_reference([AGE], [EVEN], 100), {0: cells_of([EVEN], 100_000)}),
            r"\d+ effective rows, .*; 400 are needed, or a score 3 standard errors \(.* each\) beyond .*",
            "rows",
        ),
        (
            lambda: day_of(make_steady_reference([AGE], [EVEN]), {0: cells_of([MODERATE], 2000)}),
            "beyond the limit, and the window before does not confirm it",
            "persistence",
        ),
        (
            lambda: day_of(
                make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(np.nan)}),
                {ago: cells_of([EVEN], 2000) for ago in (0, 1)},
            ),
            "its natural variation is unknown",
            "variation",
        ),
        (
            lambda: day_of(
                make_reference([make_column("age", unjudged="looks like a clock")], [EVEN]), TWELVE
            ),
            "looks like a clock",
            "unjudged",
        ),
    ],
)
def test_an_undecided_column_says_why(
    evaluation: Callable[[], WindowEvaluation], reason: str, code: str
) -> None:
    found = evaluation()

    assert found.verdict[0] == UNDECIDED
    assert re.fullmatch(reason, found.undecided[0])
    assert found.undecided_codes == (code,)


def test_a_high_score_of_few_rows_says_what_is_missing_for_a_verdict() -> None:
    reference = make_steady_reference([AGE], [EVEN], 30)
    few = day_of(reference, {0: cells_of([BROKEN], 30)})

    assert few.verdict[0] == UNDECIDED
    assert few.drift_score[0] > 3 * few.drift_limit[0]
    assert few.undecided[0].startswith("15 effective rows, window and base combined")


def test_a_column_with_a_verdict_has_no_reason() -> None:
    for today in (EVEN, GROSS):
        assert day_of(make_steady_reference([AGE], [EVEN]), {0: cells_of([today], 2000)}).undecided == ("",)
