"""The alerting files of the repository, as the tests of this directory read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROMETHEUS = Path(__file__).parents[2] / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RUNBOOKS = sorted((PROMETHEUS / "runbooks").glob("*.md"))


@dataclass(frozen=True)
class Rule:
    """One alerting rule; two rules may share an alert's name and differ in severity."""

    alert: str
    expr: str
    severity: str
    annotations: dict[str, str]


def read_yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict)
    return content


def grouping(alert: str) -> set[str]:
    """Labels by which Alertmanager makes one message of alerts of this name, on columns those on features."""
    root = read_yaml(PROMETHEUS / "alertmanager.yml")["route"]
    for route in root["routes"]:
        if "group_by" in route and any(alert in matcher for matcher in route["matchers"]):
            return set(route["group_by"])
    return set(root["group_by"])


def switch_on(text: str) -> str:
    """Alertmanager's configuration with everything on that is off: lines with # and no space after it."""
    return re.sub(r"^( *)#(?=[^ #])", r"\1", text, flags=re.MULTILINE)


def _rules() -> tuple[Rule, ...]:
    groups = [group for path in RULE_FILES for group in read_yaml(path)["groups"]]
    return tuple(
        Rule(rule["alert"], rule["expr"], rule["labels"]["severity"], rule["annotations"])
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    )


RECORDED = {
    rule["record"]: rule["expr"]
    for path in RULE_FILES
    for group in read_yaml(path)["groups"]
    for rule in group["rules"]
    if "record" in rule
}


def queried(expr: str) -> str:
    """The expression, followed by those of the recorded series that it is made of."""
    named = dict.fromkeys(re.findall(r"\w+:\w+:\w+", expr))
    return "\n".join([expr, *(queried(RECORDED[name]) for name in named)])


RULES = _rules()
ALERTS = sorted({rule.alert for rule in RULES})
