"""Policies: what they match, and their mode."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config import remediation
from exporter.config.remediation import MODES, Mode, Policy, RemediationConfig, full_match

ROLLBACK = {
    "name": "back",
    "match": {"alertname": "ModelQualityDegraded"},
    "model": "fraud.*",
    "action": "rollback",
}
ALERT = {"alertname": "ModelQualityDegraded", "model": "fraud-eu", "severity": "critical"}


def policy(**said: Any) -> Policy:
    return Policy.model_validate({**ROLLBACK, **said})


def test_the_examples_hold() -> None:
    assert doctest.testmod(remediation).failed == 0


@pytest.mark.parametrize(
    ("match", "labels", "expected"),
    [
        ({}, {}, True),
        ({}, {"alertname": "ModelQualityDegradedToo"}, False),  # anchored at both ends
        ({"severity": "critical|page"}, {}, True),
        ({"severity": "critical"}, {"severity": "warning"}, False),
        ({"team": ""}, {}, True),  # a label that is not there is empty
        ({"team": ".+"}, {}, False),
        ({"team": ".+"}, {"team": "risk"}, True),
        ({}, {"model": "credit"}, False),
        ({}, {"model": "fraud\neu"}, False),
        ({"alertname": ".*"}, {"alertname": "MLflowExporterRemediationFailed"}, False),
        ({"alertname": ".*"}, {"alertname": "MLflowExporterOfTomorrow"}, False),
    ],
)
def test_it_matches_as_alertmanager_does(
    match: dict[str, str], labels: dict[str, str], expected: bool
) -> None:
    found = policy(match={"alertname": "ModelQualityDegraded", **match})
    assert found.matches({**ALERT, **labels}) is expected


def test_an_alert_without_a_model_is_selected_and_matches_no_model() -> None:
    labels = {"alertname": "ModelQualityDegraded"}
    assert policy().selects(labels)
    assert not policy().matches(labels)


@pytest.mark.parametrize("everywhere", MODES)
@pytest.mark.parametrize("own", [*MODES, None])
def test_the_more_careful_mode_is_in_force(everywhere: Mode, own: Mode | None) -> None:
    config = RemediationConfig(mode=everywhere, policies=(policy(mode=own),))
    found = config.effective_mode(config.policies[0])
    assert MODES.index(found) == min(MODES.index(everywhere), MODES.index(own or everywhere))


def test_nothing_is_done_by_default() -> None:
    config = RemediationConfig()
    assert (config.mode, config.policies) == ("dry_run", ())


def test_patterns_that_backtracking_would_try_for_years_end() -> None:
    text = "a" * 50_000
    assert not full_match("(a+)+b", text)
    assert not full_match("(a|aa)*c", text)


@pytest.mark.parametrize(
    "pattern", ["((a{100}){100}){10}", "x" * 1001, r"(\p{L}{500}){500}", "a(", r"(?=a)", "\ud800"]
)
def test_patterns_that_are_none_or_too_large_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        policy(model=pattern)


def test_names_of_policies_are_found() -> None:
    config = RemediationConfig(policies=(policy(), policy(name="other")))
    assert config.find("other") is config.policies[1]
    assert config.find("none") is None
