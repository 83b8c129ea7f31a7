from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.config.file import load_config_file
from exporter.demo.configuration import configuration
from exporter.settings import Settings
from tests.demo.conftest import PACE


@pytest.mark.parametrize(
    ("remediate", "modes"),
    [
        (False, {"champion-rollback": "dry_run"}),
        (
            True,
            {"champion-rollback": "auto", "champion-retrain": "auto", "challenger-promote": "approve"},
        ),
    ],
)
def test_the_exporter_takes_the_configuration(remediate: bool, modes: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text(yaml.safe_dump(configuration(PACE, tmp_path, remediate=remediate)))
    config = load_config_file(file, Settings(allow_commands=remediate)).remediation
    assert {policy.name: config.effective_mode(policy) for policy in config.policies} == modes


def test_reports_are_sent_to_evidently_where_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    for url in ("", "http://127.0.0.1:8000"):
        file.write_text(
            yaml.safe_dump(configuration(PACE, tmp_path, remediate=False, evidently_url=url), sort_keys=False)
        )
        reports = load_config_file(file, Settings()).reports
        assert (reports.enabled, reports.on_verdicts, reports.evidently_url) == (True, True, url)
