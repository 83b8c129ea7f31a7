"""`mlflow-exporter demo`: the whole stack on this machine, or the traffic alone."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from exporter.demo.errors import DemoError

EXTRA = "pip install 'mlflow-exporter[demo]'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the demo's own flags."""
    parser.add_argument(
        "--until-mail",
        action="store_true",
        help="end by itself: with 0 once the mail of the drift alert has come, with 1 after five minutes",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="how fast the flights are replayed, at most 1: a day in five seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--traffic-only",
        action="store_true",
        help="start nothing: register the model at MLFLOW_TRACKING_URI and replay flights to --exporter",
    )
    parser.add_argument(
        "--exporter",
        default="http://127.0.0.1:19464",
        metavar="URL",
        help="where the exporter is, with --traffic-only (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C, SIGTERM or, with --until-mail, the mail; return the exit status."""
    # OpenMP's threads spin while they wait for each other. Where the demo's other processes want the cores
    # too, two threads train the model twenty times slower than one. It is read when scikit-learn is imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, signal.default_int_handler)
    try:
        from exporter.demo.pace import Pace

        pace = Pace.of_speed(arguments.speed)
        if arguments.traffic_only:
            from exporter.demo.scorer import run_scorer

            run_scorer(arguments.exporter, pace)
        else:
            from exporter.demo.demonstration import demonstrate

            demonstrate(pace, arguments.until_mail)
    except KeyboardInterrupt:
        return 130 if arguments.until_mail else 0
    except DemoError as error:
        print(f"mlflow-exporter demo: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"mlflow-exporter demo: {error.name} is not installed; {EXTRA}", file=sys.stderr)
        return 1
    return 0
