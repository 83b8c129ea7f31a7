"""The section `reports`, and what models and their tags say otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.file import ConfigFile, load_config_file
from exporter.config.models import ModelConfig
from exporter.config.reports import ModelReportsConfig, ReportsConfig
from exporter.errors import ConfigError
from exporter.evaluation.context import Thresholds
from exporter.monitoring.config_digest import digest_of_config
from exporter.settings import Settings

DAY = 86400


def load(path: Path, text: str) -> ConfigFile:
    (path / "exporter.yml").write_text(text)
    return load_config_file(path / "exporter.yml", Settings())


def test_a_model_says_otherwise_what_it_names(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
reports: {every: 12h, window: 7d, metrics: [DataDriftPreset]}
defaults: {reports: {window: 2d}}
models: {fraud: {reports: {every: 0, metrics: []}}}
""",
    )
    own, _ = config.resolve("fraud", {"monitoring.reports.window": "1d"})
    found = config.reports.of_model(own.reports)
    assert (found.every, found.window, found.metrics) == (0, "1d", ())
    other, _ = config.resolve("spam", {})
    found = config.reports.of_model(other.reports)
    assert (found.every, found.window, len(found.metrics)) == (DAY / 2, "2d", 1)


def test_a_tag_that_cannot_be_used_counts_as_absent() -> None:
    found, problems = ConfigFile().resolve("fraud", {"monitoring.reports.every": "often"})
    assert found.reports == ModelReportsConfig()
    assert problems == (
        "tag monitoring.reports.every is 'often': 'often' is not a duration such as 30m, 24h or 7d",
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("every: 5s", "reports.every: has to be at least 60 s, or 0 for never"),
        ("window: 90d", "reports.window: 90d is more than 60 days, the most there are"),
        ("window: day", "reports.window: 'day' is not a duration such as 30m, 24h or 7d"),
        ("retention: 0", "reports.retention: has to be more than 0 and at most 400d"),
        ("evidently_url: ftp://x", "reports.evidently_url: has to match"),
        ("experiment: '{alias}'", "reports.experiment: the only placeholder is {model}"),
        ("evry: 1h", "reports.evry: unknown key; did you mean every?"),
    ],
    ids=lambda text: text.partition(":")[0],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"exporter\.yml:2: ") as found:
        load(tmp_path, f"reports:\n  {line}\n")
    assert said in str(found.value)


def test_the_secret_is_a_file_beside_the_configuration(tmp_path: Path) -> None:
    config = load(tmp_path, "reports: {evidently_secret_file: secret}\n")
    assert config.reports.evidently_secret_file == str(tmp_path / "secret")


def test_reports_are_no_part_of_what_decides_on_verdicts() -> None:
    every = ModelConfig(reports=ModelReportsConfig(every=3600.0))
    digests = {digest_of_config(each, Thresholds(), ()) for each in (every, ModelConfig())}
    assert len(digests) == 1
    assert ReportsConfig().of_model(every.reports).every == 3600
