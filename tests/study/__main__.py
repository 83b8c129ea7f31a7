"""`python -m tests.study`: runs the study and prints its tables, or writes them into prometheus/README.md."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.study import frontier
from tests.study.figures import (
    Choice,
    Delay,
    Row,
    alarms_table,
    delays_table,
    frontier_table,
    habits_table,
    merge,
)
from tests.study.flights import HELD_OUT as CARRIERS
from tests.study.flights import LATE_CLOCK, run_carriers, run_flights, run_late_clock
from tests.study.flights import ROWS as FLIGHTS
from tests.study.flights import TIMELESS as NO_TIMES
from tests.study.incidents import INCIDENTS, run_incident
from tests.study.quality import (
    FLIGHTS_ROW,
    LABEL_INCIDENTS,
    LABEL_SCENARIOS,
    run_label_incident,
    run_label_scenario,
    run_labelled_flights,
)
from tests.study.scenarios import HELD_OUT, SCENARIOS, TIMELESS
from tests.study.simulation import run_scenario
from tests.study.traffic import OUTAGES, SERVICES, run_outage, run_service

PAGE = Path(__file__).parents[2] / "prometheus" / "README.md"
RUNS, LABEL_RUNS = 5, 2  # of each incident
HELD_OUT_SEED, TIMELESS_SEED = 500, 600

CLEAN = [*(scenario.name for scenario in SCENARIOS), *FLIGHTS]
UNSEEN = [*(scenario.name for scenario in HELD_OUT), *CARRIERS]
UNTIMED = [*(scenario.name for scenario in TIMELESS), *(name + NO_TIMES for name in (*FLIGHTS, *CARRIERS))]
HABITS = [
    *(scenario.name for scenario in LABEL_SCENARIOS),
    FLIGHTS_ROW,
    *(service.name for service in SERVICES),
]
BROKEN = [
    *(incident.name for incident in INCIDENTS),
    LATE_CLOCK,
    *(name for name, _, _ in LABEL_INCIDENTS),
    *(name for name, _, _ in OUTAGES),
]
THRESHOLDS = [f"{climate}: {choice}" for climate in frontier.CLIMATES for choice in frontier.CHOICES]
TOLERANCES = [
    f"{climate}: {choice}" for climate in frontier.LABEL_CLIMATES for choice in frontier.LABEL_CHOICES
]
FRONTIER_MODELS, FRONTIER_RUNS, LABEL_MODELS = 8, 3, 4

TABLES = (
    (alarms_table, CLEAN),
    (alarms_table, UNSEEN),
    (alarms_table, UNTIMED),
    (habits_table, HABITS),
    (delays_table, BROKEN),
    (partial(frontier_table, changes=frontier.CHANGES), THRESHOLDS),
    (partial(frontier_table, changes=frontier.LABEL_CHANGES), TOLERANCES),
)
Job = Callable[[], Sequence[Row | Delay | Choice]]


def jobs(quick: bool) -> list[tuple[str, Job]]:
    """Names of the rows that each makes, in one text, and what makes them."""

    def one(run: Callable[..., Row | Delay], *arguments: object) -> Job:
        return lambda: [run(*arguments)]

    few = 2 if quick else 1000
    found: list[tuple[str, Job]] = []
    for first, scenarios in ((0, SCENARIOS), (HELD_OUT_SEED, HELD_OUT), (TIMELESS_SEED, TIMELESS)):
        for number, each in enumerate(scenarios, start=first):
            found.append((each.name, one(run_scenario, each, number, min(each.models, few))))
    for number, labelled in enumerate(LABEL_SCENARIOS):
        found.append((labelled.name, one(run_label_scenario, labelled, number, min(labelled.models, few))))
    found += [(service.name, one(run_service, service, k)) for k, service in enumerate(SERVICES)]
    for number, incident in enumerate(INCIDENTS):
        found.append((incident.name, one(run_incident, incident, number, min(RUNS, few))))
    for number, (name, _, _) in enumerate(LABEL_INCIDENTS):
        found.append((name, one(run_label_incident, number, min(LABEL_RUNS, few))))
    found += [(name, one(run_outage, k)) for k, (name, _, _) in enumerate(OUTAGES)]
    for climate in frontier.CLIMATES:
        sizes = min(FRONTIER_MODELS, few), min(FRONTIER_RUNS, few)
        found.append((f"frontier: {climate}", partial(frontier.run_climate, climate, *sizes)))
    for climate in frontier.LABEL_CLIMATES:
        sizes = min(LABEL_MODELS, few), min(LABEL_RUNS, few)
        found.append((f"frontier: {climate}", partial(frontier.run_label_climate, climate, *sizes)))
    if not quick:
        found.append((" ".join(FLIGHTS), partial(run_flights)))
        found.append((" ".join(CARRIERS), partial(run_carriers)))
        found.append((" ".join(name + NO_TIMES for name in FLIGHTS), partial(run_flights, times=False)))
        found.append((" ".join(name + NO_TIMES for name in CARRIERS), partial(run_carriers, times=False)))
        found.append((FLIGHTS_ROW, partial(run_labelled_flights)))
        found.append((LATE_CLOCK, partial(run_late_clock)))
    return found


def main() -> None:
    """Everything, in one process."""
    parser = argparse.ArgumentParser(prog="python -m tests.study", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two models of each world, no flights")
    parser.add_argument("--write", action="store_true", help="write them into prometheus/README.md")
    parser.add_argument("--only", default="", help="rows whose name matches this regular expression")
    options = parser.parse_args()
    for name, run in jobs(options.quick):
        if re.search(options.only, name):
            started = time.process_time()
            results = run()
            for result in results:
                print(result, file=sys.stderr, flush=True)
            seconds = time.process_time() - started
            print(f"{name}: {seconds:.0f} seconds of CPU", file=sys.stderr, flush=True)
            text = PAGE.read_text()
            before = re.search(r"<!-- study -->\n(.*?)\n<!-- /study -->", text, re.S)
            assert before is not None
            tables = merge(before[1], results, TABLES)
            if options.write:
                PAGE.write_text(text[: before.start(1)] + tables + text[before.end(1) :])
            else:
                print("\n".join(line for line in tables.splitlines() if line not in before[1]))


main()
