"""Unusual silence and coverage of labels."""

from __future__ import annotations

from datetime import date

import numpy as np

from exporter.config.calendar import Calendar
from exporter.evaluation.habits.labels import VersionLabels, judge_label_silence, usual_coverage
from exporter.evaluation.habits.limits import Habit
from exporter.evaluation.habits.local_time import LocalTime
from exporter.typing import Floats
from tests.support.arrivals import at, every, hours_of, office, workdays

NO_HOURS = np.zeros(0, np.int64)


def judge(
    labels: Floats,
    now: float,
    *,
    predictions: Floats | None = None,
    each: int = 30,
    calendar: Calendar | None = None,
    monitored: bool = True,
    moved: float = -np.inf,
    delay: float = 0.0,
) -> Habit:
    asked = every(20, at(0), now) if predictions is None else predictions
    hours = hours_of(asked[asked <= now], labels[labels <= now], each=each, delay=delay)
    known = [VersionLabels(hours, monitored)]
    return judge_label_silence(known, moved, NO_HOURS, LocalTime(calendar or Calendar()), now)


def unusual(labels: Floats, now: float, **further: object) -> bool:
    found = judge(labels, now, **further)  # type: ignore[arg-type]
    return found.figure is not None and found.limit is not None and found.figure > found.limit


def noon(days: list[int]) -> Floats:
    return np.array([at(day, 12) for day in days])


def told(labels: Floats, first: int, last: int, **further: object) -> list[float]:
    return [hour / 24 for hour in range(first * 24, last * 24, 3) if unusual(labels, at(0, hour), **further)]


def test_a_delivery_that_does_not_come_is_told_after_six_hours() -> None:
    daily = noon(list(range(15)))
    assert told(daily, 0, 15) == []
    assert not unusual(daily, at(15, 18))
    assert unusual(daily, at(15, 20))


def test_one_known_week_is_enough() -> None:
    assert unusual(noon(list(range(8))), at(8, 20))


def test_weekends_and_weekly_deliveries_are_known() -> None:
    assert told(noon(workdays(0, 24)), 1, 24) == []
    weekly = noon([0, 7, 14])
    assert told(weekly, 0, 21) == []
    assert unusual(weekly, at(21, 20))


def test_few_labels_and_single_deliveries_set_no_pattern() -> None:
    assert not unusual(noon(list(range(15))), at(17), each=19)
    assert told(noon([1, 8]), 9, 16) == [15.875], "the second week confirms what one week says"
    assert told(noon([8]), 9, 20) == []


def test_without_predictions_no_labels_are_expected() -> None:
    assert judge(noon(list(range(15))), at(17), predictions=every(20, at(0), at(15))).limit is None


def test_after_a_day_without_predictions_labels_are_due_a_day_later() -> None:
    asked = office([day for day in workdays(0, 29) if day != 21])
    kept = noon([day for day in workdays(0, 29) if day != 21])
    assert told(kept, 14, 25, predictions=asked) == []
    ended = kept[kept < at(21)]
    assert not unusual(ended, at(22, 23), predictions=asked)
    assert unusual(ended, at(23, 12), predictions=asked)


def test_a_model_that_never_had_labels_has_no_silence() -> None:
    assert judge(np.zeros(0), at(20)) == Habit()


def test_after_two_weeks_labels_have_ended_on_purpose() -> None:
    assert unusual(noon(list(range(15))), at(28))
    assert judge(noon(list(range(15))), at(28, 13)).limit is None


def test_labels_of_a_version_that_took_over_are_waited_for() -> None:
    late = {"monitored": False, "moved": at(15), "delay": 7 * 86400.0}
    assert not unusual(noon(list(range(16))), at(22, 23), **late)
    assert unusual(noon(list(range(16))), at(23, 1), **late)
    assert unusual(noon(list(range(16))), at(18), monitored=True, moved=at(17), delay=7 * 86400.0)


def test_no_labels_are_expected_on_a_holiday() -> None:
    days = [day for day in workdays(0, 25) if day != 14]
    assert unusual(noon([day for day in days if day < 15]), at(14, 20))
    calendar = Calendar(holidays=(date(2026, 1, 19),))
    assert told(noon(days), 10, 25, calendar=calendar) == []


def test_the_usual_coverage_is_that_of_nine_hours_in_ten() -> None:
    hours = hours_of(every(60, at(0), at(10)))
    hours["coverage"] = 0.8
    assert usual_coverage(hours, at(10)) == 0.4
    hours["coverage"][-30:] = 0.1
    assert usual_coverage(hours, at(10)) == 0.4, "the latest day and a few hours do not lower it"
    assert usual_coverage(hours[hours["start"] >= at(4)], at(10)) is None, "a week is not over"
    assert usual_coverage(hours_of(every(60, at(0), at(10))), at(10)) is None
