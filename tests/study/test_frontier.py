"""Change detectors set to days, and the count of their pages, for the table of thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.study import frontier
from tests.study.detectors import DETECTORS, PAST_DAYS, Cusum, daily_means, detections
from tests.study.figures import Choice, frontier_table
from tests.study.frontier import episodes, hours_of_daily_job
from tests.study.laws import NORMAL
from tests.study.worlds import HOURS_PER_DAY, Change, World


def noise(days: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(days)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_tells_of_a_large_shift_after_it_and_not_before(name: str) -> None:
    """`KSWIN, alpha 0.05` is wrong on one day in twenty by its definition."""
    figures = noise(PAST_DAYS + 60)
    figures[PAST_DAYS + 20 :] += 10

    told = detections(figures[:, None])[name][:, 0]

    assert told[20:].any()
    assert told[:20].sum() <= (3 if name == "KSWIN, alpha 0.05" else 0)


def test_the_stricter_of_two_settings_tells_later_or_as_late() -> None:
    figures = noise(PAST_DAYS + 60)
    figures[PAST_DAYS + 20 :] += 2
    found = {name: np.flatnonzero(told[20:, 0]) for name, told in detections(figures[:, None]).items()}

    for kind in ("ADWIN", "Page-Hinkley", "KSWIN", "CUSUM"):
        first = [days[0] if len(days) else 99 for name, days in found.items() if name.startswith(kind)]
        assert first == sorted(first)


def test_a_cusum_starts_anew_after_an_alarm() -> None:
    chart = Cusum(4.0)

    assert [chart.update(score).drift_detected for score in (0.0, -3.0, -3.0, -3.0, 0.0)] == [
        False, False, True, False, False,
    ]  # fmt: skip


def test_means_of_days_are_those_of_the_values_of_numeric_columns() -> None:
    world = World(columns=4, laws=(NORMAL,), reference_rows=20_000, missing=0, reference_days=10)
    model = world.draw(4, (5,), [Change(2 * HOURS_PER_DAY, shift=0.5)])

    names, means = daily_means(model.reference, model.days[0])

    assert names == ["feature00", "feature01", "score"]
    np.testing.assert_allclose(means[:, 0], [0, 0, 0.5, 0.5], atol=0.08)
    np.testing.assert_allclose(means[:, 1], 0, atol=0.08)


def test_days_in_a_row_are_one_page_and_the_first_tells() -> None:
    days = np.array([False, True, True, False, True])

    assert episodes(days) == 2
    assert hours_of_daily_job(days) == 48 - frontier.BEGIN_HOUR
    assert hours_of_daily_job(days & False) == np.inf


def test_the_table_sets_what_is_paid_beside_what_is_bought() -> None:
    choice = Choice("a", 91.3125, 2, 9, ((24.0, 48.0, np.inf), (np.inf,)))

    assert frontier_table([choice], ["+1 sd", "+2 sd"]).splitlines()[2] == (
        "| a | 2.0 (< 6.3) | 10% | 48 h, in 2 of 3 | never |"
    )


def test_a_lower_threshold_tells_no_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(frontier.CLIMATES, "days alike", World(columns=3, laws=(NORMAL,)))
    monkeypatch.setattr(frontier, "SHIFTS", (1.0,))
    monkeypatch.setattr(frontier, "CHANGED_DAYS", 3)
    monkeypatch.setattr(frontier, "CLEAN_DAYS", 2)
    found = {choice.name: choice for choice in frontier.run_climate("days alike", 1, 1)}

    hours = [found[f"days alike: {name}"].hours[0][0] for name in frontier.THRESHOLDS]

    assert hours == sorted(hours)
    assert hours[1] < 24
    assert found["days alike: p < 0.05"].hours == ((24.0 - frontier.BEGIN_HOUR,),)
