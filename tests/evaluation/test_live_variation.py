"""Natural variation of a version whose reference has no times, learned from its own days."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from exporter.aggregates.block import decode_block
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import DRIFTED, STABLE
from exporter.evaluation.context import EvaluationContext, Thresholds
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.evaluation.live_variation import PRIOR_DRIFT, LiveVariation, learn_variation
from exporter.reference.profile import Reference
from exporter.settings import Settings, Window
from exporter.typing import Floats
from tests.support.traffic import (
    BROKEN,
    DAY,
    EVEN,
    HOUR,
    NOW,
    WEEK,
    cells_of,
    make_aggregate,
    make_column,
    make_reference,
)

MIDNIGHT = int(NOW // 86400) * 86400
WINDOWS = (HOUR, DAY, WEEK)
THRESHOLD = np.array([0.1])
REFERENCE = make_reference([make_column("age")], [EVEN])


def tilted(by: float) -> Floats:
    """Even shares, half of which give so much to the other half: a PSI of by/2 ln((1 + by) / (1 - by))."""
    shares: Floats = EVEN * np.repeat([1 - by, 1 + by], 5)
    return shares


def timeline_of(days: Mapping[int, Floats], rows_per_hour: int = 400) -> Timeline:
    """Hourly blocks of whole days, by how many days before the last midnight each ended."""
    blocks = {
        MIDNIGHT - 86400 * (ago + 1) + 3600 * hour: make_aggregate(cells_of([shares], rows_per_hour), 1)
        for ago, shares in days.items()
        for hour in range(24)
    }
    return Timeline(Settings(), {}, blocks)


def learn(timeline: Timeline, reference: Reference = REFERENCE, now: float = NOW) -> LiveVariation:
    return learn_variation(reference, timeline, EvaluationContext(WINDOWS, now))


def judge(
    timeline: Timeline, now: float = NOW, before: Evaluation | None = None, drift: float = 0.1
) -> Evaluation:
    context = EvaluationContext(WINDOWS, now, Thresholds(drift), before=before)
    return evaluate(REFERENCE, timeline, context.with_effects(REFERENCE, timeline))


def limit_of(evaluation: Evaluation, window: Window) -> float:
    (found,) = (each for each in evaluation.windows if each.window == window)
    return float(found.drift_limit[0])


def test_fourteen_days_that_are_alike_lower_the_limit() -> None:
    before, after = (judge(timeline_of(dict.fromkeys(range(days), EVEN))) for days in (13, 14))

    assert (before.variation, after.variation) == ("none", "live")
    assert limit_of(before, DAY) == pytest.approx(0.1 + PRIOR_DRIFT, abs=0.01)
    assert limit_of(after, DAY) == pytest.approx(0.1, abs=0.01)


def test_the_newest_days_teach_nothing_where_there_are_others() -> None:
    calm = dict.fromkeys(range(5, 30), EVEN)
    allowed = [
        learn(timeline_of(calm | dict.fromkeys(range(5), by))).drift[DAY.seconds][0]
        for by in (EVEN, tilted(0.5))
    ]
    assert allowed[0] == allowed[1]


def test_the_day_that_is_not_over_teaches_nothing() -> None:
    timeline = timeline_of(dict.fromkeys(range(-1, 13), EVEN))
    assert not learn(timeline).learned.any()
    assert learn(timeline, now=NOW + 86400).learned.all()


def test_fourteen_days_within_which_one_is_not_complete_are_too_few() -> None:
    timeline = timeline_of(dict.fromkeys(range(14), EVEN))
    del timeline.coarse[timeline.oldest()]
    assert not learn(timeline).learned.any()


def test_days_that_differ_are_allowed_to_differ() -> None:
    draw = np.random.default_rng(1)
    unlike = {ago: tilted(by) for ago, by in enumerate(draw.normal(0, 0.2, 28))}
    alike, varied = (learn(timeline_of(days)) for days in (dict.fromkeys(range(28), EVEN), unlike))
    assert alike.drift[DAY.seconds][0] < 0.01
    assert 0.1 < varied.drift[DAY.seconds][0] < 2


def test_what_the_prior_has_not_minded_is_allowed_later_too() -> None:
    """Without times it is unknown in which season a reference was sampled."""
    evaluation = judge(timeline_of(dict.fromkeys(range(28), tilted(0.5))))
    day = evaluation.windows[1]
    assert evaluation.variation == "live"
    assert day.drift_score[0] > 0.1
    assert evaluation.windows[1].drift_limit[0] > day.drift_score[0]


def test_a_version_born_broken_does_not_teach_the_breakage() -> None:
    evaluation = judge(timeline_of(dict.fromkeys(range(45), BROKEN)))
    day = evaluation.windows[1]
    assert evaluation.variation == "none"
    assert day.verdict[0] == DRIFTED
    assert limit_of(evaluation, DAY) == pytest.approx(0.1 + PRIOR_DRIFT, abs=0.01)


def test_what_broke_later_teaches_nothing_either() -> None:
    days = dict.fromkeys(range(7), BROKEN) | dict.fromkeys(range(7, 35), EVEN)
    found = learn(timeline_of(days))
    assert found.drift[DAY.seconds][0] < 0.01
    assert found.drift[HOUR.seconds][0] < 0.1


def test_hours_of_a_day_that_had_drifted_teach_nothing() -> None:
    """Drift beyond the prior of a day may be within that of an hour."""
    shares = tilted(0.95)  # a PSI of 1.7
    found = learn(timeline_of(dict.fromkeys(range(28), shares)))
    assert not found.learned.any()


def test_one_odd_day_teaches_like_any_other() -> None:
    """Drift takes two adjacent days, or a gross one."""
    shares = tilted(0.92)  # a PSI of 1.5
    odd = {10: shares} | dict.fromkeys((k for k in range(28) if k != 10), EVEN)
    found = learn(timeline_of(odd)).drift[DAY.seconds][0]
    two = learn(timeline_of(odd | {11: shares})).drift[DAY.seconds][0]
    assert found > 0.1 > two


def test_each_column_learns_for_itself() -> None:
    reference = make_reference([make_column("age"), make_column("income")], [EVEN, EVEN])
    blocks = {
        MIDNIGHT - 3600 * hour: make_aggregate(cells_of([EVEN, BROKEN], 400), 2)
        for hour in range(1, 24 * 20 + 1)
    }
    found = learn(Timeline(Settings(), {}, blocks), reference)
    assert found.learned.tolist() == [True, False]
    assert found.drift[DAY.seconds][1] == PRIOR_DRIFT
    assert np.isnan(found.drift[HOUR.seconds]).tolist() == [False, True]


def test_a_step_that_the_prior_would_not_mind_is_told_once_the_days_before_have_taught() -> None:
    step = tilted(0.5)  # a PSI of 0.27
    verdicts = {
        calm: judge(
            timeline_of(dict.fromkeys(range(2), step) | dict.fromkeys(range(2, calm + 2), EVEN)), MIDNIGHT
        )
        for calm in (10, 30)
    }
    assert {calm: found.windows[1].verdict[0] for calm, found in verdicts.items()} == {
        10: STABLE,
        30: DRIFTED,
    }


def test_it_is_learned_once_a_day_and_anew_for_another_reference_or_threshold() -> None:
    timeline = timeline_of(dict.fromkeys(range(20), EVEN))
    first = judge(timeline)
    again = judge(timeline, before=first)
    next_day = judge(timeline, NOW + 86400, first)
    other = judge(timeline, before=first, drift=0.2)
    assert again.live is first.live
    assert next_day.live is not first.live
    assert other.live is not first.live


def test_a_restart_changes_nothing() -> None:
    """Blocks are all that is stored of it."""
    draw = np.random.default_rng(2)
    timeline = timeline_of({ago: tilted(by) for ago, by in enumerate(draw.normal(0, 0.2, 40))})
    stored = {start: block.encode() for start, block in timeline.coarse.items()}
    restored = Timeline(Settings(), {}, {start: decode_block(data) for start, data in stored.items()})
    before, after = learn(timeline), learn(restored)
    assert before.drift.keys() == after.drift.keys()
    for seconds, allowed in before.drift.items():
        np.testing.assert_array_equal(after.drift[seconds], allowed)


def test_thin_traffic_keeps_the_prior() -> None:
    found = judge(timeline_of(dict.fromkeys(range(28), EVEN), rows_per_hour=2))
    assert found.variation == "none"


def test_a_steady_version_is_stable_before_and_after_it_has_learned() -> None:
    for days in (3, 28):
        evaluation = judge(timeline_of(dict.fromkeys(range(days), EVEN)))
        assert evaluation.windows[1].verdict[0] == STABLE


def test_without_a_block_nothing_is_learned() -> None:
    assert not learn(Timeline(Settings())).learned.any()
