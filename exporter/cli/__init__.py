"""Command line: `mlflow-exporter COMMAND`. Each module has one command, or one group of them.

A module's `add` declares its commands. What a command needs is imported when it runs, so that `--help` is
fast. Commands that ask a running exporter do so through `client`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from signal import SIGINT
from typing import NoReturn

from exporter import __version__
from exporter.cli import (
    audit,
    check_config,
    check_reference,
    demo,
    fold,
    init,
    push,
    rebaseline,
    remediation,
    report,
    serve,
    serve_model,
)
from exporter.errors import CallRefusedError, ConfigError, ExporterError
from exporter.formats.texts import redact

COMMANDS = (
    init,
    serve,
    serve_model,
    check_config,
    check_reference,
    push,
    fold,
    rebaseline,
    report,
    remediation,
    audit,
    demo,
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: with 2 for unusable settings, with 1 for any other known error, with 130
    after Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        status = options.run(options)
        sys.stdout.flush()
        sys.exit(status)
    except ConfigError as error:
        sys.exit(_complain(error, 2))
    except CallRefusedError as error:
        advice = ": name the file of your token with --token-file" if error.status == 401 else ""
        sys.exit(_complain(f"{error}{advice}", 1))
    except ExporterError as error:
        sys.exit(_complain(error, 1))
    except KeyboardInterrupt:
        sys.exit(128 + SIGINT)
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the exit
        sys.exit(1)


def _complain(error: object, status: int) -> int:
    print(f"mlflow-exporter: {redact(str(error))}", file=sys.stderr)
    return status


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; the parsed options have the function `run`."""
    found = argparse.ArgumentParser(
        "mlflow-exporter", description="Prometheus exporter for MLflow models in production."
    )
    found.add_argument("--version", action="version", version=__version__)
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return found
