"""The README of targets against the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from exporter.config.body_template import LABEL_PREFIX, NAMES
from exporter.config.targets import STANDARD_BODY, Target
from exporter.remediation.targets.dispatching import KINDS
from tests.support.docs import page

README = page("exporter/remediation/targets/README.md")


def test_every_kind_is_in_the_table() -> None:
    kinds = re.findall(r"^\| `(\w+)` \| `", README, re.M)
    assert set(kinds) == {*KINDS, "command"}


def test_every_setting_in_the_table_exists() -> None:
    schemas: dict[str, Any] = TypeAdapter(Target).json_schema()["$defs"]
    settings = {each["properties"]["kind"]["const"]: set(each["properties"]) for each in schemas.values()}
    for kind, cell in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", README, re.M):
        named = {name for name in re.findall(r"`(\w+)`", cell) if name.islower()}
        assert named <= settings[kind]


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", README, re.S))
def test_examples_of_targets_are_valid(block: str) -> None:
    document = yaml.load(block, yaml.BaseLoader)
    for settings in document.get("remediation", document).get("targets", {}).values():
        assert TypeAdapter(Target).validate_python(settings).kind == settings["kind"]


def test_the_default_body_and_the_placeholders_are_those_of_the_code() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", README, re.S)
    assert json.loads(shown) == STANDARD_BODY
    assert all(f"`{name}`" in README for name in (*NAMES, f"{LABEL_PREFIX}<name>"))
