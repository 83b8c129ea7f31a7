"""`mlflow-exporter demo`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from exporter.cli.client import DEFAULT_URL
from exporter.errors import DemoError

if TYPE_CHECKING:
    from exporter.cli.commands import Commands

DEMO_EXTRA = "pip install 'mlflow-exporter[demo]'"


def add(commands: Commands) -> None:
    demo = commands.add_parser("demo", help="watch a real model drift, an alert fire and a mail arrive")
    demo.add_argument(
        "--until-mail",
        action="store_true",
        help="end by itself: with 0 once the mail of the drift alert has come, with 1 if it has not come "
        "five minutes after the incident",
    )
    demo.add_argument(
        "--remediate",
        action="store_true",
        help="let the exporter act: a bad release is rolled back, a better model is trained, compared and, "
        "once you approve, promoted; ends by itself",
    )
    demo.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="how fast the flights are replayed, at most 1: a day in five seconds (default: %(default)s)",
    )
    demo.add_argument(
        "--traffic-only",
        action="store_true",
        help="start nothing: register the model at MLFLOW_TRACKING_URI and replay flights to --exporter",
    )
    demo.add_argument(
        "--exporter",
        default=DEFAULT_URL,
        metavar="URL",
        help="where the exporter is, with --traffic-only (default: %(default)s)",
    )
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    try:
        from exporter.demo.app import run

        return run(options)
    except ModuleNotFoundError as error:
        raise DemoError(f"{error.name} is not installed; {DEMO_EXTRA}") from None
