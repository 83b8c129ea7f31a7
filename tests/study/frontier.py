"""Thresholds: false pages on clean traffic against the hours until a change is told.

The same models, clean and changed, are judged with three settings of the threshold, by daily jobs (see
`peers`) and by change detectors (see `detectors`) on daily means of numbers, or on daily error rates; these
have seen sixty days before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.evaluation.context import Thresholds
from exporter.typing import Bools, Floats
from tests.study.detectors import DETECTORS, PAST_DAYS, daily_means, detections
from tests.study.figures import Choice
from tests.study.labelled import Break, LabelledWorld, Rows, watch
from tests.study.laws import ALL, NORMAL
from tests.study.peers import PEERS, alarms
from tests.study.quality import WOKEN, alerts_of
from tests.study.replay import replay
from tests.study.rules import Alert, Firing, firing, pages, told
from tests.study.worlds import HOURS_PER_DAY, START, Change, Model, World

CLEAN_DAYS, CHANGED_DAYS = 28, 14
KNOWN_SECONDS = 15 * 86400  # that the exporter has seen when it is first looked at
BEGIN_HOUR = 9  # of a change, in the morning of the first day
BEGIN = START + 3600 * (PAST_DAYS * HOURS_PER_DAY + BEGIN_HOUR)

# -- features -----------------------------------------------------------------------------------------------

THRESHOLDS = {f"`monitoring.drift_threshold` {threshold:g}": threshold for threshold in (0.05, 0.1, 0.2)}
CHOICES = (*THRESHOLDS, *PEERS, *DETECTORS)
FEATURE, SHIFTS = "feature00", (0.25, 0.5, 1.0)
CHANGES = tuple(f"+{shift:g} sd" for shift in SHIFTS)
CLEAN_STEP, CHANGED_STEP = 14_400, 7200


def _climate(*season: float) -> World:
    return World(columns=10, laws=(NORMAL, *ALL), season=season)  # type: ignore[arg-type]


CLIMATES = {
    "days alike": _climate(0.1, 0.1, 0.05),
    "weather up to 0.35 sd": _climate(0.2, 0.2, 0.35),
}


@dataclass
class Tally:
    """Counts by choice, as `figures.Choice` has them."""

    pages: Counter[str]
    false_days: Counter[str]
    hours: dict[str, list[list[float]]]

    @classmethod
    def of(cls, changes: Sequence[object]) -> Tally:
        return cls(Counter(), Counter(), defaultdict(lambda: [[] for _ in changes]))

    def add_clean(self, name: str, pages: int, days: int) -> None:
        self.pages[name] += pages
        self.false_days[name] += days

    def choices(self, climate: str, names: Iterable[str], models: int) -> list[Choice]:
        return [
            Choice(
                f"{climate}: {name}",
                CLEAN_DAYS * models,
                self.pages[name],
                self.false_days[name],
                tuple(map(tuple, self.hours[name])),
            )
            for name in names
        ]


def run_climate(name: str, models: int, runs: int) -> list[Choice]:
    """So many clean models, and runs of each shift, of a climate."""
    number, world, tally = list(CLIMATES).index(name), CLIMATES[name], Tally.of(SHIFTS)
    for seed in range(models):
        _add_clean(tally, world.draw(PAST_DAYS + CLEAN_DAYS, (4000 + number, seed)))
    for place, shift in enumerate(SHIFTS):
        change = Change(PAST_DAYS * HOURS_PER_DAY + BEGIN_HOUR, FEATURE, shift=shift)
        for run in range(runs):
            changed = world.draw(PAST_DAYS + CHANGED_DAYS, (4100 + number, place, run), [change])
            for choice, hours in _hours_until_told(changed).items():
                tally.hours[choice][place].append(hours)
    return tally.choices(name, CHOICES, models)


def _add_clean(tally: Tally, model: Model) -> None:
    for name, threshold in THRESHOLDS.items():
        fired = firing(_told(model, _moments(CLEAN_STEP, CLEAN_DAYS), threshold), CLEAN_STEP)
        tally.add_clean(name, len(pages(fired)), days_of(fired))
    for name, (_, beyond) in _daily_alarms(model).items():
        days = beyond.any(axis=1)
        tally.add_clean(name, episodes(days), int(days.sum()))


def _hours_until_told(model: Model) -> dict[str, float]:
    """Hours from the shift to the first alert on the feature, infinity if there is none in two weeks."""
    moments = range(BEGIN, START + 86400 * (PAST_DAYS + CHANGED_DAYS) + 1, CHANGED_STEP)
    found = {}
    for name, threshold in THRESHOLDS.items():
        alerts = _told(model, moments, threshold)
        met = (at for at, told_of in alerts if any(alert.column == FEATURE for alert in told_of))
        found[name] = (next(met, np.inf) - BEGIN) / 3600
    for name, (columns, beyond) in _daily_alarms(model).items():
        found[name] = hours_of_daily_job(beyond[:, columns.index(FEATURE)])
    return found


def _told(model: Model, moments: range, threshold: float) -> Iterable[tuple[float, set[Alert]]]:
    first = moments[0] - KNOWN_SECONDS
    blocks = {start: block for start, block in model.blocks.items() if start >= first}
    return told(replay(model.reference, blocks, moments, Thresholds(drift=threshold)))


def _daily_alarms(model: Model) -> Mapping[str, tuple[list[str], Bools]]:
    """By daily job its columns, and (days, columns) on which days it finds a change of which."""
    columns = [column.name for column in model.reference.columns]
    of_peers = alarms(model.reference, model.days[:, PAST_DAYS:])
    numeric, means = daily_means(model.reference, model.days.sum(axis=0))
    return {
        **{name: (columns, beyond) for name, beyond in of_peers.items()},
        **{name: (numeric, beyond) for name, beyond in detections(means).items()},
    }


# -- labels -------------------------------------------------------------------------------------------------

TOLERANCES = {
    "`monitoring.tolerance.<metric>` half the default": 0.5,
    "`monitoring.tolerance.<metric>` the default": 1.0,
    "`monitoring.tolerance.<metric>` twice the default": 2.0,
}
LABEL_CHOICES = (*TOLERANCES, *DETECTORS)
FLIPPED = 0.1
LABEL_CHANGES = ("a tenth of the labels flipped",)
LABEL_HOURS = 24  # that a daily job on labels waits for them
CLEAN_LABEL_STEP, FLIPPED_STEP = 6 * 3600, 3 * 3600
LABEL_CLIMATES = {
    "labels, days alike": LabelledWorld(),
    "labels, days of different difficulty": LabelledWorld(weather=0.3),
}
Drawn = list[tuple[Rows, Rows]]  # of each model the reference's rows and the live ones


def run_label_climate(name: str, models: int, runs: int) -> list[Choice]:
    """The same of models whose labels come, and a tenth of them is flipped."""
    number, tally = list(LABEL_CLIMATES).index(name), Tally.of(LABEL_CHANGES)
    clean = _draw(name, CLEAN_DAYS, 4200 + number, models)
    flipped = _draw(name, CHANGED_DAYS, 4300 + number, runs, Break(BEGIN, flipped=FLIPPED))
    for choice, factor in TOLERANCES.items():
        for fired in _label_alerts(name, clean, _moments(CLEAN_LABEL_STEP, CLEAN_DAYS), factor):
            tally.add_clean(choice, len(pages(fired)), days_of(fired))
        for fired in _label_alerts(name, flipped, _moments(FLIPPED_STEP, CHANGED_DAYS), factor):
            first = min((one.start for one in fired if one.start >= BEGIN), default=np.inf)
            tally.hours[choice][0].append((first - BEGIN) / 3600)
    for _, rows in clean:
        for choice, beyond in detections(_daily_errors(rows)).items():
            tally.add_clean(choice, episodes(beyond[:, 0]), int(beyond.sum()))
    for _, rows in flipped:
        for choice, beyond in detections(_daily_errors(rows)).items():
            tally.hours[choice][0].append(hours_of_daily_job(beyond[:, 0]) + LABEL_HOURS)
    return tally.choices(name, LABEL_CHOICES, models)


def _draw(climate: str, days: int, seed: int, models: int, broken: Break | None = None) -> Drawn:
    world = LABEL_CLIMATES[climate]
    found = (world.draw(PAST_DAYS + days, (seed, model), broken) for model in range(models))
    return [(reference, rows) for reference, (rows,) in found]


def _label_alerts(climate: str, drawn: Drawn, moments: range, factor: float) -> list[list[Firing]]:
    """Alerts of each model that would be sent, with the default tolerances times a factor."""
    world, first = LABEL_CLIMATES[climate], moments[0] - KNOWN_SECONDS
    versions = {}
    for place, (reference, rows) in enumerate(drawn):
        version, known = (f"m{place}", "1", "champion"), rows.where(rows.times >= first)
        found = watch(
            reference, known, moments, world.task, world.maturation_days, version, tolerance_factor=factor
        )
        versions[version[:2]] = list(found)
    fired = alerts_of(versions, moments).values()
    return [[one for one in found if one.alert.severity in WOKEN] for found in fired]


def _daily_errors(rows: Rows) -> Floats:
    """(days, 1) shares of the rows of each day whose prediction was wrong."""
    days = ((rows.times - START) // 86400).astype(np.int64)
    wrong = (rows.table["prediction"] != rows.table["label"]).to_numpy(np.float64)
    return (np.bincount(days, wrong) / np.bincount(days))[:, None]


# -- alarms -------------------------------------------------------------------------------------------------


def _moments(step: int, days: int) -> range:
    first = START + 86400 * PAST_DAYS
    return range(first + step, first + 86400 * days + 1, step)


def days_of(fired: Iterable[Firing]) -> int:
    """Days on which any of the alerts fires."""
    return len({day for one in fired for day in range(int(one.start // 86400), int(one.end // 86400) + 1)})


def episodes(days: Bools) -> int:
    """Runs of days with an alarm: the first of each is a page, as the first message of an alert is.

    >>> episodes(np.array([True, True, False, True]))
    2
    """
    return int((days & ~np.concatenate([[False], days[:-1]])).sum())


def hours_of_daily_job(days: Bools) -> float:
    """Hours from the change in the morning of the first day to the midnight at which a job tells of it."""
    first = np.flatnonzero(days)
    return float((first[0] + 1) * HOURS_PER_DAY - BEGIN_HOUR) if len(first) else np.inf
