"""What is not documented fails, and so does what is documented and not there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from exporter.exposition.catalog import metrics_table
from exporter.model_config import ModelConfig, load_config_file
from exporter.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SEVERITIES = ("none", "info", "warning", "critical")


def section(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", README, re.S)
    assert found, f"README has no section {name}"
    return found[1]


def test_metrics_are_those_of_the_catalogue() -> None:
    assert section("metrics") == metrics_table().strip()


def test_settings_are_all_there_with_their_defaults() -> None:
    table = section("settings")
    documented = set(re.findall(r"`(EXPORTER_\w+)`", table))
    assert documented == {f"EXPORTER_{field.name.upper()}" for field in fields(Settings)}
    defaults = Settings()
    for name in documented:
        line = next(line for line in table.splitlines() if f"`{name}`" in line)
        value = getattr(defaults, name.removeprefix("EXPORTER_").lower())
        if name == "EXPORTER_WINDOWS":
            value = ",".join(window.name for window in value)
        if value not in ("", ()):
            shown = (
                str(value).lower()
                if isinstance(value, bool)
                else f"{value:.10g}"
                if isinstance(value, float)
                else str(value)
            )
            assert f"`{shown}`" in line, f"{name} is {shown} by default"


def test_the_example_of_a_configuration_file_can_be_used_and_shows_every_setting(tmp_path: Path) -> None:
    found = re.search(r"## Configuration file\n.*?```yaml\n(.*?)```", README, re.S)
    assert found
    path = tmp_path / "exporter.yml"
    path.write_text(found[1])
    (model,) = load_config_file(path).models.values()
    assert model.model_fields_set == set(ModelConfig.model_fields)


def test_alerts_are_those_of_the_rules() -> None:
    rules = [
        rule
        for path in (ROOT / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    table = README[README.index("## Alerts") : README.index("## Metrics")]
    documented = dict(re.findall(r"^\| \[`(\w+)`\]\(.*?\) \| ([\w, ]+) \|", table, re.M))
    severities: dict[str, list[str]] = {}
    for rule in rules:
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    assert documented == {
        alert: ", ".join(sorted(found, key=SEVERITIES.index)) for alert, found in severities.items()
    }


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http|#)[^)]+)\)", README))))
def test_links_lead_to_files(target: str) -> None:
    assert (ROOT / target).exists()
