"""`mlflow-exporter check-config`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.settings import find_warnings, load_settings

if TYPE_CHECKING:
    from exporter.cli.commands import Commands


def add(commands: Commands) -> None:
    check = commands.add_parser("check-config", help="say what is wrong with a configuration file")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check_config)


def _check_config(options: argparse.Namespace) -> int:
    from exporter.config_file import load_config_file

    settings = load_settings(os.environ)
    for warning in find_warnings(settings):
        print(f"warning: {warning}", file=sys.stderr)
    models = ", ".join(load_config_file(options.file, settings).models)
    print(f"{options.file}: no mistakes; models with an entry: {models or 'none'}")
    return 0
