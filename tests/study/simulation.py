"""A scenario -> its false pages."""

from __future__ import annotations

import sys
from collections import Counter

from tests.study.figures import Row
from tests.study.peers import alarms
from tests.study.replay import SETTINGS, replay
from tests.study.rules import firing, pages, told
from tests.study.scenarios import Scenario
from tests.study.worlds import START


def run_scenario(scenario: Scenario, number: int, models: int) -> Row:
    """So many models; the seed of each follows from its number and the scenario's."""
    count, peers = 0, Counter[str]()
    moments = range(START + scenario.step_seconds, START + scenario.days * 86400 + 1, scenario.step_seconds)
    for seed in range(models):
        model = scenario.world.draw(scenario.days, (number, seed))
        met = told(replay(model.reference, model.blocks, moments))
        for page in pages(firing(met, scenario.step_seconds)):
            count += 1
            day = (page.at - START) / 86400
            print(
                f"{scenario.name}: model {seed}, day {day:.1f}: {page.alert} {page.columns}", file=sys.stderr
            )
        for name, beyond in alarms(model.reference, model.days).items():
            peers[name] += int(beyond.any(axis=1).sum())
    days = scenario.days * models
    return Row(scenario.name, days, models * len(moments) * len(SETTINGS.windows), count, dict(peers))
