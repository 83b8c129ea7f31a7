"""`mlflow-exporter check-reference`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.settings import load_settings

if TYPE_CHECKING:
    from exporter.cli.commands import Commands

# Settings of a model that a flag may say, named as in tags.
SAID = {
    "target": "column of the labels",
    "prediction": "column of the predictions",
    "score": "column of the scores",
    "timestamp": "column of the rows' times",
    "task": "binary, multiclass or regression",
    "positive_class": "of a binary model",
    "reference_split": "train, validation, test or live",
}


def add(commands: Commands) -> None:
    check = commands.add_parser(
        "check-reference",
        help="say what the exporter would make of a reference",
        description="Review a reference: monitored columns, verdicts, promised quality. The status is not 0 "
        "if it cannot be used.",
    )
    check.add_argument(
        "reference",
        help="a file (.parquet, .csv, .json), or models:/name/3, models:/name@alias, runs:/id: the reference "
        "that the exporter finds there",
    )
    check.add_argument("--config", metavar="FILE", help="the exporter's configuration file")
    check.add_argument("--model", default="", help="whose entry of the configuration is about a file")
    check.add_argument("--windows", help="of the exporter, such as 1h,24h,7d")
    for name, meaning in SAID.items():
        check.add_argument(f"--{name.replace('_', '-')}", help=meaning)
    check.set_defaults(run=_check_reference)


def _check_reference(options: argparse.Namespace) -> int:
    from exporter.config.file import load_config_file
    from exporter.config.models import ModelsConfig
    from exporter.training.check import Rules, check_reference

    windows = {"EXPORTER_WINDOWS": options.windows} if options.windows else {}
    settings = load_settings({**os.environ, **windows})
    config = options.config or settings.config
    models = load_config_file(Path(config), settings) if config else ModelsConfig()
    said = {name: value for name in SAID if (value := getattr(options, name)) is not None}
    print(check_reference(options.reference, Rules(models, options.model, said, settings)))
    return 0
