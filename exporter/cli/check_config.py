"""`mlflow-exporter check-config`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.errors import ConfigError, IsolationError, ReportError
from exporter.settings import find_warnings, load_settings

if TYPE_CHECKING:
    from exporter.cli.commands import Commands
    from exporter.config.file import ConfigFile
    from exporter.config.remediation import Mode, Policy


def add(commands: Commands) -> None:
    check = commands.add_parser("check-config", help="say what is wrong with a configuration file")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check_config)


def _check_config(options: argparse.Namespace) -> int:
    from exporter.config.file import load_config_file

    settings = load_settings(os.environ)
    for warning in find_warnings(settings):
        print(f"warning: {warning}", file=sys.stderr)
    config = load_config_file(options.file, settings)
    _check_named_metrics(options.file, config)
    print(f"{options.file}: no mistakes; models with an entry: {', '.join(config.models) or 'none'}")
    for policy in config.remediation.policies:
        print(_summary(policy, config.remediation.effective_mode(policy)))
    return 0


def _check_named_metrics(path: Path, config: ConfigFile) -> None:
    """Have Evidently check the metrics and descriptors that the file names.

    Raises:
        ConfigError: there are mistakes in them.
    """
    entries = [config.defaults.reports, *(model.reports for model in config.models.values())]
    metrics = [*config.reports.metrics, *(named for entry in entries for named in entry.metrics or ())]
    descriptors = [
        *config.reports.descriptors,
        *(named for entry in entries for named in entry.descriptors or ()),
    ]
    if not metrics and not descriptors:
        return

    from exporter.reports.making import check_named_metrics

    try:
        problems = check_named_metrics(metrics, descriptors)
    except (ReportError, IsolationError) as error:
        print(f"warning: metrics of Evidently are not checked: {error}", file=sys.stderr)
        return
    if problems:
        raise ConfigError("\n".join(f"{path}: reports: {problem}" for problem in dict.fromkeys(problems)))


def _summary(policy: Policy, mode: Mode) -> str:
    """Return a line that says what a policy does, and about which alerts of the delivered rules."""
    from exporter.config.delivered_alerts import delivered_alerts

    alerts = [f"{name} ({severity})" for name, severity in sorted(delivered_alerts(policy))]
    further = [label for label in policy.match if label not in ("alertname", "severity")]
    about = ", ".join(alerts) or "no alert of the delivered rules: correct, if it is for alerts of your own"
    by = f", by the labels {', '.join(further)}" if further else ""
    subject = f"{policy.action} of {policy.alias} for models {policy.model}"
    return f"policy {policy.name}, {mode}: {subject}, on {about}{by}"
