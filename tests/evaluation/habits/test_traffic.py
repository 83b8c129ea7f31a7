"""Unusual silence of an alias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pytest

from exporter.aggregates.activity import STRETCH_SECONDS
from exporter.config.calendar import Calendar
from exporter.evaluation.habits.limits import Habit
from exporter.evaluation.habits.local_time import LocalTime
from exporter.evaluation.habits.traffic import Observed, VersionTraffic, judge_silence
from exporter.settings import HOUR_SECONDS
from exporter.storage.schema import AliasMove
from exporter.typing import Floats
from tests.support.arrivals import MONDAY, at, every, hours_of, office, workdays

DAILY = Calendar()


@dataclass(frozen=True)
class Past:
    """Arrivals by version, and moves of `champion` as (time, version)."""

    arrivals: Mapping[str, Floats]
    moves: tuple[tuple[float, str], ...] = ((MONDAY, "1"),)
    calendar: Calendar = field(default_factory=Calendar)
    down: tuple[float, float] | None = None
    watched_from: float = MONDAY

    def judge(self, now: float) -> Habit:
        """The silence of the alias at a time, of which nothing later is known."""
        traffic = {}
        for number, times in self.arrivals.items():
            known = times[: np.searchsorted(times, now, "right")]
            if len(known):
                stretches = np.unique((known // STRETCH_SECONDS).astype(np.int64))
                traffic[number] = VersionTraffic(stretches, float(known[-1]))
        down = every(STRETCH_SECONDS / 60, *self.down) if self.down else np.zeros(0)
        return judge_silence(
            [AliasMove("m", "champion", number, since) for since, number in self.moves if since <= now],
            traffic,
            Observed(self.watched_from, (down[down <= now] // STRETCH_SECONDS).astype(np.int64)),
            LocalTime(self.calendar),
            now,
        )

    def unusual(self, now: float) -> bool:
        found = self.judge(now)
        return found.figure is not None and found.limit is not None and found.figure > found.limit

    def told(self, start: float, end: float, step_hours: float = 1) -> list[float]:
        """Days from the first Monday at which the silence is unusual."""
        times = every(60 * step_hours, start, end)
        return [round((now - MONDAY) / 86400, 2) for now in times.tolist() if self.unusual(now)]


def one(times: Floats, **further: object) -> Past:
    return Past({"1": times}, **further)  # type: ignore[arg-type]


def batches(days: list[int], hour: float = 2) -> Floats:
    return np.array([at(day, hour) for day in days])


AROUND_THE_CLOCK = one(np.concatenate([every(2, at(0), at(14, 14)), every(2, at(15), at(16))]))


def test_a_busy_hour_that_passes_without_a_prediction_is_told_until_the_next_one() -> None:
    assert (
        AROUND_THE_CLOCK.told(at(0, 1), at(16))
        == [round(14 + hour / 24, 2) for hour in (16, 17, 18, 19, 20, 21, 22, 23)] + [15.0] * 0
    )
    found = AROUND_THE_CLOCK.judge(at(14, 14.5))
    assert found.figure is not None
    assert found.limit is not None
    assert 1700 < found.figure < 2000
    assert 75 * 60 <= found.limit <= 82 * 60


def test_one_week_is_enough_to_know_what_is_busy() -> None:
    younger = one(every(2, at(6, 14), at(14, 14)), moves=((at(6, 14), "1"),))
    assert younger.told(at(6, 15), at(14, 15)) == []
    assert younger.unusual(at(14, 15.5))


def test_two_known_weeks_have_to_be_busy() -> None:
    once = one(np.sort(np.append(batches(list(range(15)), 12), every(2, at(7, 10), at(7, 14)))))
    assert once.told(at(0), at(14, 23)) == []


OFFICE = one(np.concatenate([office(workdays(0, 13)), every(2, at(14, 9), at(14, 10.5))]))


def test_nights_and_weekends_are_no_silence_and_an_outage_in_office_hours_is() -> None:
    assert OFFICE.told(at(0, 10), at(14, 11)) == []
    assert OFFICE.unusual(at(14, 12))
    assert OFFICE.unusual(at(14, 22)), "it does not end with the day"


def test_in_the_night_the_limit_is_the_time_until_traffic_is_due() -> None:
    found = OFFICE.judge(at(9, 22))
    assert found.limit is not None
    assert found.limit == pytest.approx(16 * HOUR_SECONDS + 65 * 60 + 120)


def test_after_clocks_have_changed_the_day_begins_or_ends_an_hour_later() -> None:
    for shift in (-1, 1):
        shifted = one(
            np.concatenate([office(workdays(0, 13)), office(workdays(14, 25), 9 + shift, 17 + shift)])
        )
        assert shifted.told(at(14, 6), at(15, 12), 0.25) == []
    # A week later, when the last hour of the days before the change is due no longer.
    assert (
        one(np.concatenate([office(workdays(0, 29)), office(workdays(30, 40), 8, 16)])).told(
            at(31, 15), at(36, 12), 2
        )
        == []
    )


def test_a_time_zone_knows_when_clocks_change() -> None:
    # On 29 March 2026, day 83, nine in Berlin becomes seven in UTC.
    times = np.append(office(workdays(63, 82), 8, 16), every(2, at(84, 7), at(84, 7.1)))
    past = one(times, calendar=Calendar(timezone="Europe/Berlin"))
    assert past.unusual(at(84, 8.5))
    assert not one(times).unusual(at(84, 8.5)), "in UTC this is the first hour"


def test_a_batch_every_workday_is_told_half_a_day_after_it_is_due_once_four_weeks_are_known() -> None:
    kept = workdays(0, 31)
    assert one(batches(kept)).told(at(7), at(31, 23)) == []
    missed = one(batches([day for day in kept if day < 29]))
    assert not missed.unusual(at(29, 14))
    assert missed.unusual(at(29, 14.5))
    young = one(batches(workdays(0, 12)))
    assert not young.unusual(at(17)), "weekends take three days"
    assert young.unusual(at(17, 4))


def test_a_batch_that_comes_at_other_times_is_judged_by_the_longest_silence() -> None:
    hours = np.random.default_rng(1).uniform(0, 24, 40)
    times = np.array([at(day, hour) for day, hour in enumerate(hours.tolist())])
    assert one(times).told(at(14), at(40), 3) == []
    assert one(times[:35]).unusual(at(38, 20))


def test_a_weekly_batch_that_does_not_come_is_told_the_same_day() -> None:
    weekly = one(batches([0, 7, 14, 21, 28, 35]))
    assert weekly.told(at(28), at(35, 10), 3) == []
    assert one(batches([0, 7, 14, 21, 28])).unusual(at(35, 19))


def test_arrivals_are_read_from_hours_of_activity() -> None:
    times = np.array([at(0, 2), at(0, 2.99), at(3)])
    traffic = VersionTraffic.of(hours_of(times))
    assert traffic is not None
    assert traffic.last == at(3)
    assert traffic.stretches.tolist() == (times // STRETCH_SECONDS).tolist()
    assert VersionTraffic.of(hours_of()) is None


@pytest.mark.parametrize("seed", range(3))
def test_few_requests_at_random_are_not_taken_for_a_silence(seed: int) -> None:
    draw = np.random.default_rng(seed)
    times = np.cumsum(draw.exponential(48 * 60, 1600)) + at(0)
    assert one(times).told(at(7), at(35), 2) == []
    stopped = one(times[times < at(30)])
    assert stopped.unusual(at(31, 12))


def test_a_young_alias_may_be_silent_for_three_days() -> None:
    new = one(every(2, at(1), at(2, 12)), moves=((at(1), "1"),))
    assert new.told(at(1, 1), at(5, 12)) == []
    assert new.unusual(at(5, 13))
    assert new.unusual(at(9)), "when it is a week old, too"


def test_after_two_weeks_a_silence_is_intended() -> None:
    forgotten = one(every(2, at(0), at(1, 2)))
    assert forgotten.unusual(at(15, 1))
    found = forgotten.judge(at(15, 3))
    assert found.limit is None
    assert found.figure == pytest.approx(14 * 86400 + HOUR_SECONDS + 120)


def test_an_alias_whose_version_never_had_a_prediction_has_no_silence() -> None:
    assert Past({}).judge(at(20)) == Habit()
    assert one(np.zeros(0)).judge(at(20)) == Habit()


# -- moves --------------------------------------------------------------------------------------------------


def test_the_pattern_belongs_to_the_alias_and_outlives_versions() -> None:
    swapped = Past(
        {"1": every(2, at(0), at(11, 2)), "2": every(2, at(11, 2), at(14, 14))},
        moves=((at(0), "1"), (at(11, 2), "2")),
    )
    assert swapped.told(at(0, 1), at(14, 15)) == []
    assert swapped.unusual(at(14, 15.5))


def test_a_silent_champion_is_told_although_the_version_before_goes_on() -> None:
    demoted = Past(
        {"1": every(2, at(0), at(12)), "2": every(2, at(6, 16), at(8, 18))},
        moves=((at(0), "1"), (at(6, 16), "2")),
    )
    assert demoted.told(at(0, 1), at(8, 19)) == []
    assert demoted.unusual(at(8, 20))


def test_a_new_version_that_never_answers_is_told_when_the_one_before_was_taken_off() -> None:
    broken = Past(
        {"1": every(2, at(0), at(8, 16)), "3": every(2, at(0), at(9))},
        moves=((at(0), "1"), (at(8, 16), "2")),
    )
    assert broken.told(at(0, 1), at(8, 17)) == []
    assert broken.unusual(at(8, 18))


def test_clients_that_go_on_with_the_version_before_are_no_silence() -> None:
    lagging = Past({"1": every(2, at(0), at(17))}, moves=((at(0), "1"), (at(8, 14), "2")))
    assert lagging.told(at(0, 1), at(17)) == []


def test_a_rollback_is_no_silence() -> None:
    rolled_back = Past(
        {
            "1": np.concatenate([every(2, at(0), at(1, 9)), every(2, at(8, 18.5), at(10))]),
            "2": every(2, at(1, 9), at(8, 18.5)),
        },
        moves=((at(0), "1"), (at(1, 9), "2"), (at(8, 17), "1")),
    )
    assert rolled_back.told(at(8, 12), at(10), 0.5) == []


def test_the_last_requests_to_a_version_set_no_pattern_for_its_next_alias() -> None:
    previous = Past({"1": every(2, at(0), at(2, 3))}, moves=((at(2, 2), "1"),))
    assert previous.told(at(2, 3), at(14)) == []


def test_an_alias_that_moves_every_day_is_judged_by_what_all_its_versions_received() -> None:
    moves = tuple((at(day), str(day)) for day in range(16))
    arrivals = {str(day): every(2, at(day), at(day + 1)) for day in range(15)}
    daily = Past(arrivals, moves=moves)
    assert daily.told(at(1, 1), at(15)) == []
    assert daily.unusual(at(15, 2))


# -- holidays and gaps of the record ------------------------------------------------------------------------


def holidays(*days: date) -> Calendar:
    return Calendar(holidays=days)


def test_a_holiday_is_no_silence_and_sets_no_pattern() -> None:
    days = [day for day in workdays(0, 21) if day != 14]  # 19 January 2026
    times = office(days)
    assert one(times).unusual(at(14, 12))
    calendar = holidays(date(2026, 1, 19))
    assert one(times, calendar=calendar).told(at(13), at(17), 1) == []
    next_monday = times[times < at(21, 10)]
    assert not one(next_monday).unusual(at(21, 12)), "without a calendar the Monday before was quiet"
    assert one(next_monday, calendar=calendar).unusual(at(21, 12)), "the one before the holiday counts"


def test_a_batch_that_a_holiday_delays_is_late_by_it() -> None:
    days = [day for day in workdays(0, 40) if day != 35]
    calendar = holidays(date(2026, 2, 9))
    assert one(batches(days), calendar=calendar).told(at(28), at(36)) == []


def test_hours_in_which_the_exporter_did_not_run_are_neither_silent_nor_known() -> None:
    times = np.concatenate([every(2, at(0), at(14, 6)), every(2, at(14, 9), at(21, 6))])
    away = one(times, down=(at(14, 6), at(14, 9)))
    assert not away.unusual(at(14, 8.9)), "the exporter comes back, clients follow"
    assert one(times).unusual(at(14, 8.9))
    assert away.told(at(14, 9.25), at(21, 6), 2) == []
    assert away.unusual(at(21, 7.5)), "the week before the gap counts in its place"


def test_outages_of_weeks_ago_do_not_hide_a_silence_of_today() -> None:
    times = np.concatenate([every(2, at(0), at(3)), every(2, at(6), at(24))])
    assert one(times).unusual(at(24, 1.5))
