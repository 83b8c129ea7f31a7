"""`python -m tests.study`: runs the study and prints its tables, or writes them into the README."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from tests.study.figures import Delay, Row, alarms_table, delays_table
from tests.study.flights import ROWS as FLIGHTS
from tests.study.flights import run_flights, run_late_clock
from tests.study.incidents import INCIDENTS, run_incident
from tests.study.scenarios import SCENARIOS
from tests.study.simulation import run_scenario

README = Path(__file__).parents[2] / "README.md"
RUNS = 5  # of each incident


def main() -> None:
    """Everything, in one process."""
    parser = argparse.ArgumentParser(prog="python -m tests.study", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two models of each world, no flights")
    parser.add_argument("--write", action="store_true", help="write the tables into the README")
    parser.add_argument("--only", default="", help="scenarios and incidents whose name holds this")
    options = parser.parse_args()
    started = time.process_time()
    rows: list[Row] = []
    delays: list[Delay] = []
    for number, scenario in enumerate(SCENARIOS):
        if options.only in scenario.name:
            rows.append(run_scenario(scenario, number, min(scenario.models, 2 if options.quick else 1000)))
            _tell(rows[-1])
    for number, incident in enumerate(INCIDENTS):
        if options.only in incident.name:
            delays.append(run_incident(incident, number, 2 if options.quick else RUNS))
            _tell(delays[-1])
    if not options.quick and options.only in FLIGHTS[0]:
        rows += run_flights()
        delays += run_late_clock()
    tables = f"{alarms_table(rows)}\n\n{delays_table(delays)}"
    print(tables)
    print(f"{time.process_time() - started:.0f} seconds of CPU", file=sys.stderr)
    if options.write:
        text = README.read_text()
        README.write_text(
            re.sub(
                r"(<!-- study -->\n).*?(\n<!-- /study -->)",
                lambda found: found[1] + tables + found[2],
                text,
                flags=re.S,
            )
        )


def _tell(result: Row | Delay) -> None:
    print(result, file=sys.stderr, flush=True)


main()
