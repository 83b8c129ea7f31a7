"""The documentation agrees with the code: metrics, settings, the configuration file, alerts, links."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from exporter.config.file import load_config_file
from exporter.config.models import ModelConfig
from exporter.config.remediation import Policy, RemediationConfig
from exporter.config.reports import ReportsConfig
from exporter.exposition.catalog import BY_NAME, metrics_table
from exporter.settings import Settings
from tests.support.docs import PAGES, ROOT, anchors, page, section
from tests.test_architecture import ORDER

EXPORTER = page("exporter/README.md")
SEVERITIES = ("none", "info", "warning", "critical")


def test_the_metrics_are_those_of_the_catalogue() -> None:
    assert section(page("exporter/exposition/README.md"), "metrics") == metrics_table().strip()


def test_the_metrics_of_the_page_for_users_of_evidently_exist() -> None:
    names = set(re.findall(r"\bmlflow_\w+", (ROOT / "grafana" / "EVIDENTLY.md").read_text()))
    assert names - {"mlflow_model_evidently_value"} <= BY_NAME.keys()


def test_every_setting_is_documented_with_its_default() -> None:
    table = section(EXPORTER, "settings")
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


def test_the_example_of_a_configuration_file_is_valid_and_has_every_setting(tmp_path: Path) -> None:
    found = re.search(r"## Configuration file\n.*?```yaml\n(.*?)```", EXPORTER, re.S)
    assert found
    path = tmp_path / "exporter.yml"
    path.write_text(found[1])
    (model,) = load_config_file(path).models.values()
    assert model.model_fields_set == set(ModelConfig.model_fields)


def test_every_key_of_remediation_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (?:`(.*?)`)? ?\|", section(EXPORTER, "remediation"), re.M)
    documented = {name: yaml.safe_load(default or "null") for name, default in rows}
    policy = {f"policies.{name}": field for name, field in Policy.model_fields.items()}
    known = {**RemediationConfig.model_fields, **policy}
    check_defaults(documented, known)


def test_every_key_of_reports_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\|", section(EXPORTER, "reports"), re.M)
    documented = {name: yaml.load(default, yaml.BaseLoader) or None for name, default in rows}
    check_defaults(documented, ReportsConfig.model_fields)


def check_defaults(documented: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> None:
    assert documented.keys() == known.keys()
    for name, default in documented.items():
        said = known[name].default
        if default is None:
            assert said in (PydanticUndefined, None, {}, (), ""), name
        else:
            assert TypeAdapter(known[name].rebuild_annotation()).validate_python(default) == said, name


def test_the_alerts_are_those_of_the_rules() -> None:
    rules = [
        rule
        for path in (ROOT / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    table = re.findall(
        r"^\| \[`(\w+)`\]\(runbooks/(\w+)\.md\) \| ([\w, ]+) \|", page("prometheus/README.md"), re.M
    )
    severities: dict[str, list[str]] = {}
    for rule in rules:
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    assert table == [
        (alert, alert, ", ".join(sorted(severities[alert], key=SEVERITIES.index))) for alert, _, _ in table
    ]
    assert {alert for alert, _, _ in table} == set(severities)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files_and_headings(path: Path) -> None:
    for target in re.findall(r"\]\(((?!\w+:)[^)\s]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{target}: no such file"
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), f"{target}: no such heading"


def test_the_modules_that_the_architecture_names_exist() -> None:
    architecture = EXPORTER[EXPORTER.index("## Architecture") :]
    named = set(re.findall(r"`(\w+(?:/\w*)+)`", architecture))
    missing = {name for name in named if not list((ROOT / "exporter").glob(f"{name.rstrip('/')}*"))}
    assert named
    assert not missing


def test_the_architecture_lists_the_packages_in_the_order_of_their_imports() -> None:
    table = EXPORTER[EXPORTER.index("## Architecture") :]
    rows = re.findall(r"^\| (`.*`) \| ", table, re.M)
    listed = [name.rstrip("/") for row in rows for name in re.findall(r"`(\w+/?)`", row)]
    assert listed == [name for name in ORDER if not name.startswith("__")]


@pytest.mark.parametrize(
    ("name", "value"),
    re.findall(
        r"^\| `([\w.]+)` \| ([\w.]+) \|", section(page("exporter/evaluation/README.md"), "constants"), re.M
    ),
)
def test_the_constants_of_the_statistics_are_those_of_the_code(name: str, value: str) -> None:
    module, _, constant = name.rpartition(".")
    assert getattr(import_module(f"exporter.{module}"), constant) == literal_eval(value)
