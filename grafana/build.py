"""Writes the dashboards: `python grafana/build.py`; `--check` only checks that the files are up to date."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import alerts
import column
import fleet
import health
import model
import runs
import versions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARDS = Path(__file__).parent / "dashboards"


def render(dashboard: Dashboard) -> str:
    """The dashboard as file provisioning takes it: classic JSON; sorted keys make differences readable."""
    return json.dumps(json.loads(JSONEncoder().encode(dashboard)), indent=2, sort_keys=True) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit with 1 if a file would change"
    )
    parser.add_argument("--output", type=Path, default=DASHBOARDS, help="folder of the files")
    arguments = parser.parse_args()
    outdated = False
    boards = (
        fleet.build(),
        model.build(),
        column.build(),
        versions.build(),
        alerts.build(),
        runs.build(),
        health.build(),
    )
    for dashboard in boards:
        path = arguments.output / f"{dashboard.uid}.json"
        text = render(dashboard)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            print(f"{path} is up to date")
        elif arguments.check:
            print(f"{path} differs from its generator: run python grafana/build.py", file=sys.stderr)
            outdated = True
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path} written")
    return int(outdated)


if __name__ == "__main__":
    sys.exit(main())
