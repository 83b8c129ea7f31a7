"""`mlflow-exporter report`."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from exporter.cli.client import add_client_options, connect, user_name
from exporter.errors import ExporterError
from exporter.formats.addresses import version_path
from exporter.formats.texts import printable

if TYPE_CHECKING:
    from exporter.cli.commands import Commands

WAIT_SECONDS = 900.0  # for the report, behind others that wait
POLL_SECONDS = 1.0


def add(commands: Commands) -> None:
    report = commands.add_parser(
        "report",
        help="have Evidently's report on a version made",
        description="Ask a running exporter for Evidently's report on a version, wait for it, and print "
        "where it is. The exit status is 1 if there is none. Where tokens are set, yours needs the scope "
        "`reports`.",
    )
    report.add_argument("model")
    report.add_argument("version")
    report.add_argument(
        "--window", default="", metavar="24h", help="of the last rows (default as configured)"
    )
    report.add_argument("--reason", default="", help="why; shown in the report and kept")
    report.add_argument("--by", help="who (default the user of this machine)")
    report.add_argument(
        "--wait",
        type=float,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help="wait at most so long (default %(default)g), 0: do not wait",
    )
    add_client_options(report)
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    """Ask for a report, wait for it and print where it is."""
    path = f"/v1/{version_path(options.model, options.version)}/reports"
    query = {"window": options.window, "reason": options.reason, "by": options.by or user_name()}
    with connect(options) as exporter:
        found = exporter.post(path, query)
        deadline = time.monotonic() + options.wait
        while found["state"] in ("waiting", "running") and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            found = exporter.get(f"{path}/{found['id']}")
    return _say(found, options)


def _say(found: dict[str, Any], options: argparse.Namespace) -> int:
    if found["state"] == "failed":
        raise ExporterError(f"there is no report: {printable(found['problem'])}")
    if found["state"] != "done":
        why = f" ({printable(found['problem'])})" if found["problem"] else ""
        print(f"report {found['id']} is {found['state']}{why}")
        return 1 if options.wait else 0
    print(f"{options.exporter.rstrip('/')}{found['page']}")
    print(f"  {found['rows']:,} of {found['counted']:,} rows, {found['start']} to {found['end']}")
    for note in found["notes"]:
        print(f"  {printable(note)}")
    return 0
