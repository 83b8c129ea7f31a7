"""Incidents in clean traffic, and the time until the alert on the affected column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.study.figures import Delay
from tests.study.laws import ALL, NORMAL, categories
from tests.study.peers import PEERS, alarms
from tests.study.replay import replay
from tests.study.rules import told
from tests.study.worlds import HOURS_PER_DAY, START, Change, World

BEGIN_HOUR = 15 * HOURS_PER_DAY + 9  # in the morning, once two weeks have been seen
LOOKED_AT_HOURS = 5 * HOURS_PER_DAY
DAYS = 21


@dataclass(frozen=True)
class Incident:
    """A change of `feature00` in a world where nothing else happens."""

    name: str
    change: Change
    world: World


NUMBERS = World(rows_per_day=5000, columns=10, laws=(NORMAL, *ALL), season=(0.1, 0.1, 0.05))
SPARSE = World(rows_per_day=300, columns=10, laws=(NORMAL, *ALL), season=(0.1, 0.1, 0.05))
CATEGORIES = World(rows_per_day=5000, columns=10, laws=(categories(12), *ALL), season=(0.1, 0.1, 0.05))
INCIDENTS = (
    Incident("mean + 0.1 sd", Change(BEGIN_HOUR, shift=0.1), NUMBERS),
    Incident("mean + 0.25 sd", Change(BEGIN_HOUR, shift=0.25), NUMBERS),
    Incident("mean + 0.5 sd", Change(BEGIN_HOUR, shift=0.5), NUMBERS),
    Incident("mean + 1 sd", Change(BEGIN_HOUR, shift=1.0), NUMBERS),
    Incident("mean + 1 sd, 300 rows a day", Change(BEGIN_HOUR, shift=1.0), SPARSE),
    Incident("another unit, times 1.6", Change(BEGIN_HOUR, stretch=1.609344), NUMBERS),
    Incident("another unit, times 100", Change(BEGIN_HOUR, stretch=100.0), NUMBERS),
    Incident("another unit, times 100, 300 rows a day", Change(BEGIN_HOUR, stretch=100.0), SPARSE),
    Incident("the most frequent category vanishes", Change(BEGIN_HOUR, lost="c0"), CATEGORIES),
    Incident("30 % nulls", Change(BEGIN_HOUR, nulls=0.3), NUMBERS),
)


def run_incident(incident: Incident, number: int, runs: int) -> Delay:
    """So many models of the incident's world."""
    hours, peers = [], {name: [] for name in PEERS}
    for run in range(runs):
        model = incident.world.draw(DAYS, (1000 + number, run), [incident.change])
        begin = START + BEGIN_HOUR * 3600
        moments = range(begin, begin + LOOKED_AT_HOURS * 3600 + 1, 3600)
        hours.append(float("inf"))
        for now, met in told(replay(model.reference, model.blocks, moments)):
            if any(alert.column == incident.change.feature for alert in met):
                hours[-1] = (now - begin) / 3600
                break
        place = [column.name for column in model.reference.columns].index(incident.change.feature)
        for name, beyond in alarms(model.reference, model.days).items():
            days = np.flatnonzero(beyond[BEGIN_HOUR // HOURS_PER_DAY :, place])
            first = days[0] if len(days) else np.inf
            peers[name].append(float((first + 1) * HOURS_PER_DAY - BEGIN_HOUR % HOURS_PER_DAY))
    return Delay(incident.name, tuple(hours), {name: tuple(found) for name, found in peers.items()})
