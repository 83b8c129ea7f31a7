"""Changes of columns against the weeks before: when they are reported, and what never is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from exporter.aggregates.block import Block
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.change import ChangeEvaluation
from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.context import EvaluationContext, Thresholds
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Floats, Ints
from tests.support.traffic import (
    BROKEN,
    DAY,
    EVEN,
    HOUR,
    NOW,
    SETTINGS,
    WEEK,
    cells_of,
    make_aggregate,
    make_column,
)
from tests.support.traffic import make_reference as reference_of

TWO_DAYS = Window(172800, "2d")
TILTED = np.array([0.04, 0.05, 0.07, 0.09, 0.1, 0.1, 0.11, 0.13, 0.15, 0.16])  # PSI 0.15 against even shares
SKEWED = np.array([0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.14, 0.2, 0.25])  # PSI 0.75
AGE = make_column("age")
REFERENCE = reference_of([AGE], [BROKEN])  # what live values are compared with has nothing to do with it
NOTHING: Ints = np.zeros(12, np.int64)

Live = Callable[[float], Ints]


def rows_of(share: Floats, rows: int = 100) -> Ints:
    return cells_of([share], rows)


def timeline_at(live: Live, now: float = NOW, days: float = 45) -> Timeline:
    """Blocks of a version that is so many days old; `live` says what five minutes bring, by their age in
    days before NOW."""
    horizon = Timeline(SETTINGS).horizon(now)
    first = int(now - days * 86400) // 3600 * 3600

    def blocks(start: int, end: int, length: int) -> dict[int, Block]:
        found = {s: live((NOW - s) / 86400) * (length // 300) for s in range(start, end, length)}
        return {s: make_aggregate(cells, 1) for s, cells in found.items() if cells.any()}

    return Timeline(SETTINGS, blocks(max(first, horizon), int(now), 300), blocks(first, horizon, 3600))


def evaluated(
    timeline: Timeline,
    now: float = NOW,
    windows: tuple[Window, ...] = (DAY,),
    reference: Reference = REFERENCE,
    thresholds: Thresholds | None = None,
    before: Evaluation | None = None,
) -> Evaluation:
    context = EvaluationContext(windows, now, thresholds or Thresholds(), before=before)
    return evaluate(reference, timeline, context.with_effects(reference, timeline))


def change_of(live: Live, now: float = NOW, days: float = 45) -> ChangeEvaluation | None:
    changes = evaluated(timeline_at(live, now, days), now).changes
    return changes[0] if changes else None


def verdict_of(live: Live, now: float = NOW, days: float = 45) -> int:
    """Verdict of a day's window, UNDECIDED without figures."""
    change = change_of(live, now, days)
    return UNDECIDED if change is None else int(change.verdict[0])


def stepped(share: Floats, since_days: float, until_days: float = 0.0, rows: int = 100) -> Live:
    """Even shares, and others between so many days ago and so many."""
    return lambda ago: rows_of(share if until_days < ago <= since_days else EVEN, rows)


# -- what is told -------------------------------------------------------------------------------------------


def test_what_stays_as_it_was_is_stable_however_far_from_the_reference() -> None:
    evaluation = evaluated(timeline_at(stepped(EVEN, 0)))

    assert evaluation.windows[0].verdict.tolist() == [DRIFTED]
    assert evaluation.changes[0].verdict.tolist() == [STABLE]
    assert evaluation.changes[0].score[0] == pytest.approx(0, abs=1e-4)
    assert evaluation.changes[0].limit[0] == pytest.approx(0.1, abs=0.01)


def test_a_change_for_two_days_is_told() -> None:
    change = change_of(stepped(TILTED, 2))

    assert change is not None
    assert change.verdict.tolist() == [DRIFTED]
    assert change.score[0] == pytest.approx(0.15, abs=0.02)
    assert change.significance[0] == 300


def test_a_change_that_the_threshold_allows_is_not_told() -> None:
    slight = EVEN + np.array([-0.02, 0.02] * 5)

    assert verdict_of(stepped(slight, 2)) == STABLE


def test_one_odd_day_is_no_change_whatever_happened_on_it() -> None:
    assert verdict_of(stepped(BROKEN, 1)) == STABLE
    assert verdict_of(stepped(BROKEN, 2, until_days=1)) == STABLE


@pytest.mark.parametrize(("share", "hours"), [(BROKEN, 28), (SKEWED, 35), (TILTED, 44)])
def test_a_change_is_told_in_two_days_a_great_one_sooner(share: Floats, hours: int) -> None:
    told = [verdict_of(stepped(share, after / 24)) == DRIFTED for after in (hours - 1, hours)]

    assert told == [False, True]


@pytest.mark.parametrize(("share", "last"), [(TILTED, 6), (SKEWED, 8), (BROKEN, 6)])
def test_a_change_that_stays_is_told_for_days_and_then_is_normal(share: Floats, last: int) -> None:
    told = [verdict_of(stepped(share, day)) == DRIFTED for day in range(2, last + 1)]
    later = [verdict_of(stepped(share, day)) for day in (last + 1, 10, 20, 30, 34, 45)]

    assert all(told)
    assert DRIFTED not in later
    assert later[-2:] == [STABLE, STABLE]


def test_what_is_over_is_not_told_again() -> None:
    """The weeks before have both: their limit is higher, or there is none."""
    for days_ago in range(1, 40, 3):
        assert verdict_of(stepped(BROKEN, days_ago + 4, until_days=days_ago)) != DRIFTED


def test_a_second_change_is_told_once_the_first_is_out_of_the_past() -> None:
    def live(ago: float) -> Ints:
        return rows_of(EVEN if ago > 36 else TILTED if ago > 2 else SKEWED[::-1])

    assert verdict_of(live) == DRIFTED


def test_a_column_may_have_a_threshold_of_its_own() -> None:
    timeline = timeline_at(stepped(TILTED, 3))

    changes = evaluated(timeline, thresholds=Thresholds(drift_by_column={"age": 0.5})).changes

    assert changes[0].verdict.tolist() == [STABLE]


def test_a_column_that_is_not_judged_has_a_score_and_no_verdict() -> None:
    clock = reference_of([make_column("clock", unjudged="looks like a clock")], [EVEN])

    changes = evaluated(timeline_at(stepped(BROKEN, 3)), reference=clock).changes

    assert changes[0].score[0] > 1
    assert changes[0].verdict.tolist() == [UNDECIDED]


# -- what it is compared with -------------------------------------------------------------------------------


def test_windows_of_a_day_or_two_are_compared_hours_and_weeks_are_not() -> None:
    evaluation = evaluated(timeline_at(stepped(EVEN, 0)), windows=(HOUR, DAY, TWO_DAYS, WEEK))

    assert [change.window for change in evaluation.changes] == [DAY, TWO_DAYS]


def test_the_past_ends_three_days_before_the_windows_and_is_four_weeks() -> None:
    timeline = timeline_at(lambda ago: rows_of(EVEN if 5 < ago <= 33 else BROKEN))

    past = evaluated(timeline).past

    assert past is not None
    assert past.bases[DAY.seconds].counts[:10].tolist() == [28 * 288 * 10] * 10


def test_the_past_is_summed_once_an_hour() -> None:
    live = stepped(EVEN, 0)
    first = evaluated(timeline_at(live))

    same_hour = evaluated(timeline_at(live), NOW + 1800, before=first)
    next_hour = evaluated(timeline_at(live), NOW + 3600, before=first)

    assert same_hour.past is first.past
    assert next_hour.past is not first.past


def test_another_reference_has_a_past_of_its_own() -> None:
    timeline = timeline_at(stepped(EVEN, 0))
    first = evaluated(timeline)

    other = evaluated(timeline, reference=replace(REFERENCE), before=first)

    assert other.past is not first.past


def test_a_restart_changes_no_verdict() -> None:
    first = evaluated(timeline_at(stepped(TILTED, 3)), NOW)
    now = NOW + 900
    timeline = timeline_at(stepped(TILTED, 3))

    went_on, restarted = (evaluated(timeline, now, before=before).changes[0] for before in (first, None))

    assert went_on.verdict.tolist() == restarted.verdict.tolist() == [DRIFTED]
    assert went_on.limit == pytest.approx(restarted.limit)


# -- what cannot be told ------------------------------------------------------------------------------------


def test_a_version_has_no_verdict_before_fourteen_days_lie_behind_its_windows() -> None:
    assert change_of(stepped(BROKEN, 2), days=17.9) is None
    assert verdict_of(stepped(BROKEN, 2), days=19) == DRIFTED


def test_days_of_few_rows_tell_nothing() -> None:
    def live(ago: float) -> Ints:  # 12 rows in every sixth hour
        hour = round(ago * 288) // 12
        return NOTHING if hour % 6 else rows_of(BROKEN if ago <= 3 else np.roll(BROKEN, hour), 1)

    assert verdict_of(live) == UNDECIDED


def test_no_rows_today_are_no_verdict() -> None:
    assert verdict_of(lambda ago: NOTHING if ago <= 1 else rows_of(EVEN)) == UNDECIDED


def day_and_night(ago: float) -> Ints:
    return rows_of(TILTED if ago % 1 < 0.5 else TILTED[::-1])


@pytest.mark.parametrize("silent_since", [0.3, 0.5, 0.7])
def test_half_a_day_without_traffic_is_no_change(silent_since: float) -> None:
    def live(ago: float) -> Ints:
        return NOTHING if ago <= silent_since or 1 < ago <= 1 + silent_since else day_and_night(ago)

    assert verdict_of(day_and_night) == STABLE
    assert verdict_of(live) == UNDECIDED


def test_a_gap_yesterday_confirms_nothing() -> None:
    def live(ago: float) -> Ints:
        return NOTHING if 1 < ago <= 1.7 else rows_of(SKEWED) if ago <= 2 else day_and_night(ago)

    assert verdict_of(live) == UNDECIDED


def test_hours_that_never_bring_rows_are_no_gap() -> None:
    def live(ago: float) -> Ints:
        return rows_of(SKEWED if ago <= 2 else EVEN) if ago % 1 < 0.4 else NOTHING

    assert verdict_of(live) == DRIFTED


def test_a_daily_batch_may_be_an_hour_late() -> None:
    def live(ago: float) -> Ints:
        hour = 5 + int(ago) % 2
        inside = hour <= ago * 24 % 24 < hour + 1
        return rows_of(SKEWED if ago <= 2 else EVEN, 1000) if inside else NOTHING

    assert verdict_of(live) == DRIFTED


def test_weekends_without_traffic_leave_enough_days() -> None:
    def live(ago: float) -> Ints:
        return NOTHING if 3 <= ago % 7 < 5 else rows_of(SKEWED if ago <= 2 else EVEN)

    assert verdict_of(live) == DRIFTED


def test_a_column_that_is_another_every_day_cannot_change() -> None:
    def live(ago: float) -> Ints:
        return rows_of(BROKEN if ago <= 2 else np.roll(BROKEN, int(ago)))

    assert verdict_of(live) == UNDECIDED


# -- months of clean traffic --------------------------------------------------------------------------------


def seasonal_shares(days: int, draw: np.random.Generator, columns: int, noise: float) -> list[Floats]:
    """(five minutes, bins) of each column: another mixture by the hour, at weekends, and from day to day."""
    moment = np.arange(days * 288)
    hour, day = (moment % 288) / 12, moment // 288
    shares = []
    for _ in range(columns):
        base, daily, weekly, daywise = draw.normal(0, 0.7, (4, 10))
        weights = base + np.sin(2 * np.pi * hour / 24)[:, None] * daily
        weights += (day % 7 >= 5)[:, None] * weekly + noise * draw.normal(0, 1, days)[day][:, None] * daywise
        odds = np.exp(weights)
        shares.append(odds / odds.sum(axis=1, keepdims=True))
    return shares


def replayed(
    shares: Sequence[Floats], rows_per_day: int, draw: np.random.Generator, burst: int = 1
) -> list[tuple[float, ChangeEvaluation]]:
    """Every six hours from the first verdict on, with the days that went by; half the rows at weekends."""
    count = len(shares[0])
    moment = np.arange(count)
    volume = (1 + 0.8 * np.sin(2 * np.pi * moment / 288)) * np.where(moment // 288 % 7 >= 5, 0.5, 1)
    sizes = draw.poisson(rows_per_day / burst * volume / volume.sum() * count / 288)
    cells = [np.pad(burst * draw.multinomial(sizes, share), ((0, 0), (0, 2))) for share in shares]
    fine = np.concatenate(cells, axis=1)
    coarse = fine.reshape(-1, 12, fine.shape[1]).sum(axis=1)
    aggregate = partial(make_aggregate, columns=len(shares))
    fine_blocks, coarse_blocks = list(map(aggregate, fine)), list(map(aggregate, coarse))
    first = 20_000 * 86400
    reference = reference_of([make_column(f"c{k}") for k in range(len(shares))], [EVEN] * len(shares))
    found, before = [], None
    for hours in range(19 * 24, count // 12 + 1, 6):
        now = float(first + hours * 3600)
        horizon = (Timeline(SETTINGS).horizon(now) - first) // 3600
        timeline = Timeline(
            SETTINGS,
            {first + 300 * k: fine_blocks[k] for k in range(12 * horizon, 12 * hours)},
            {first + 3600 * k: coarse_blocks[k] for k in range(max(0, horizon - 1080), horizon)},
        )
        before = evaluated(timeline, now, reference=reference, before=before)
        found.append((hours / 24, before.changes[0]))
    return found


@pytest.mark.parametrize(
    ("rows", "noise", "burst"), [(300, 0.1, 1), (3000, 0.2, 1), (100_000, 0.2, 1), (20_000, 0.1, 10)]
)
def test_three_months_of_seasons_are_silent(rows: int, noise: float, burst: int) -> None:
    draw = np.random.default_rng(rows)

    found = replayed(seasonal_shares(91, draw, 8, noise), rows, draw, burst)

    assert not any((change.verdict == DRIFTED).any() for _, change in found)


def test_a_change_among_seasons_is_told_in_two_days_and_in_no_other_column() -> None:
    draw = np.random.default_rng(5)
    shares = seasonal_shares(50, draw, 8, noise=0.1)
    changed = shares[3] * np.exp(np.linspace(-1.5, 1.5, 10))
    since = 35
    shares[3][since * 288 :] = (changed / changed.sum(axis=1, keepdims=True))[since * 288 :]

    found = replayed(shares, 5000, draw)

    told = {day: np.flatnonzero(change.verdict == DRIFTED).tolist() for day, change in found}
    days = [day - since for day, columns in told.items() if columns]
    assert all(columns in ([], [3]) for columns in told.values())
    assert 1 < days[0] <= 2
    assert days[:16] == [days[0] + 0.25 * k for k in range(16)], "four days without a pause"
    assert days[-1] <= 10
