"""The form of the rules: short expressions over recorded series, and at most one query an annotation."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.prometheus.alerting import RULE_FILES, RULES, Rule, read_yaml

MAX_LINES = 10
GROUPS = [group for path in RULE_FILES for group in read_yaml(path)["groups"]]
each_group = pytest.mark.parametrize("group", GROUPS, ids=[group["name"] for group in GROUPS])
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.alert}-{rule.severity}")


def named(expr: str) -> set[str]:
    """Recorded series that an expression reads."""
    return set(re.findall(r"\w+:\w+:\w+", expr))


@each_rule
def test_an_expression_is_short_and_judges_by_no_other_alert_nor_by_the_past(rule: Rule) -> None:
    assert len(rule.expr.strip().splitlines()) <= MAX_LINES
    assert "ALERTS" not in rule.expr
    assert " offset " not in rule.expr


@each_rule
def test_an_annotation_asks_one_query_at_most(rule: Rule) -> None:
    for name, text in rule.annotations.items():
        assert len(re.findall(r"\| *query\b", text)) <= 1, name


@each_group
def test_recorded_series_come_first_in_a_group_and_those_that_others_read_before_them(
    group: dict[str, Any],
) -> None:
    """A group is evaluated in its order."""
    kinds = ["record" if "record" in rule else "alert" for rule in group["rules"]]
    assert kinds == sorted(kinds, reverse=True)
    own = {rule["record"] for rule in group["rules"] if "record" in rule}
    known: set[str] = set()
    for rule in group["rules"]:
        assert named(rule["expr"]) & own <= known, rule
        known |= {rule.get("record", "")}


@each_group
def test_every_recorded_series_is_read_by_a_rule(group: dict[str, Any]) -> None:
    read = set().union(
        *(
            named(rule["expr"] + " ".join(rule.get("annotations", {}).values()))
            for each in GROUPS
            for rule in each["rules"]
        )
    )
    recorded = {rule["record"] for rule in group["rules"] if "record" in rule}
    assert recorded - read - {"version_column:mlflow_model_values:psi24h"} == set()  # for people
