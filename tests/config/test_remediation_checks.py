"""Mistakes in the section `remediation`, with their lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.config.file import load_config_file
from exporter.config.remediation import RemediationConfig
from exporter.config.targets import Airflow3
from exporter.errors import ConfigError

EXAMPLE = """\
remediation:
  mode: dry_run
  max_actions_per_day: 5
  breaker: {failures: 3, reset_after: 24h}
  targets:
    airflow: {kind: airflow3, url: "https://airflow.example.org", token_file: token, dag: retrain-fraud}
  policies:
    - name: champion-rollback
      match: {alertname: "ModelQualityDegraded|ModelErrorRateHigh", severity: critical}
      model: "fraud.*"
      alias: champion
      action: rollback
      within: 14d
      cooldown: 24h
      max_per_day: 1
      verify: {after: 6h}
"""
# Below these lines `{policy}` begins on line 4.
FILE = """\
remediation:
  targets: {hook: {kind: webhook, url: "https://ci.example.org/hook"}}
  policies:
    - name: a
      match: {alertname: ModelQualityDegraded}
      model: fraud
      action: rollback
"""
ANOTHER = "    - {name: %s, match: {alertname: %s}, model: fraud, action: %s}\n"


def load(directory: Path, text: str) -> RemediationConfig:
    (directory / "exporter.yml").write_text(text)
    return load_config_file(directory / "exporter.yml").remediation


def mistakes(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as found:
        load(directory, text)
    prefix = f"{directory / 'exporter.yml'}:"
    return [line.removeprefix(prefix) for line in str(found.value).splitlines()]


def test_the_example_is_valid(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    config = load(tmp_path, EXAMPLE)
    target = config.targets["airflow"]
    assert isinstance(target, Airflow3)
    assert target.token_file == str(tmp_path / "token")
    (policy,) = config.policies
    assert (policy.within, policy.cooldown, policy.verify.after) == (14 * 86400, 86400, 6 * 3600)
    assert (config.breaker.reset_after, config.effective_mode(policy)) == (86400, "dry_run")


@pytest.mark.parametrize("text", ["remediation:\n", "remediation: {}\n", "remediation: {policies: []}\n"])
def test_an_empty_section_does_nothing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).policies == ()


KINDS = "'rollback', 'promote', 'retrain', 'tag', 'notify' or 'freeze'"
SAME_INPUTS = "the version before gets the same inputs: name other alerts, or say `force: true`"
SINGLE = {
    "an unknown action": (
        "action: rollback",
        "action: roll_back",
        f"7: {{}}.action: has to be {KINDS}; did you mean rollback?",
    ),
    "an unknown key": (
        "action: rollback",
        "action: rollback\n      cool_down: 1h",
        "8: {}.cool_down: unknown key; did you mean cooldown?",
    ),
    "an unknown mode": (
        "action: rollback",
        "action: rollback\n      mode: automatic",
        "8: {}.mode: has to be 'off', 'dry_run', 'approve' or 'auto'",
    ),
    "no duration": (
        "action: rollback",
        "action: rollback\n      within: 2 weeks",
        "8: {}.within: '2 weeks' is not a duration such as 30m, 24h or 7d",
    ),
    "a long duration": (
        "action: rollback",
        "action: rollback\n      cooldown: 91d",
        "8: {}.cooldown: 91 days are more than 90, the most there are",
    ),
    "no time to verify after": (
        "action: rollback",
        "action: rollback\n      verify: {after: 0}",
        "8: {}.verify.after: has to be greater than 0",
    ),
    "a pattern that is none": (
        "model: fraud",
        "model: fraud(",
        "6: {}.model: is no pattern of RE2: missing ): fraud(",
    ),
    "a pattern of another language": (
        "ModelQualityDegraded",
        '"(?=M).*"',
        "5: {}.match.alertname: is no pattern of RE2: invalid perl operator: (?=",
    ),
    "no alertname": (
        "alertname: ModelQualityDegraded",
        "severity: critical",
        "5: {}.match: alertname is missing: a policy has to name its alerts",
    ),
    "no model": ("      model: fraud\n", "", "4: {}.model: is missing"),
    "a label that is none": (
        "alertname:",
        '"sever ity": x, alertname:',
        "5: {}.match.sever ity: has to match ^[A-Za-z_][A-Za-z0-9_]{{0,255}}$",
    ),
    "alerts about the exporter": (
        "ModelQualityDegraded",
        '"MLflow.+"',
        "5: {}.match.alertname: matches MLflowExporterRemediationFailed: no policy may act on "
        "alerts about the exporter",
    ),
    "drift of inputs": (
        "ModelQualityDegraded",
        '"Model.*"',
        f"5: {{}}.match.alertname: matches ModelFeatureDrift, and {SAME_INPUTS}",
    ),
    "force elsewhere": (
        "action: rollback",
        "action: freeze\n      force: true",
        "8: {}.force: is for the action rollback only",
    ),
    "no target": (
        "action: rollback",
        "action: retrain",
        "7: {}.action: retrain needs one of the targets in its key target",
    ),
    "an unknown target": (
        "action: rollback",
        "action: retrain\n      target: hok",
        "8: {}.target: there is no target hok; there is hook",
    ),
    "a target for a rollback": (
        "action: rollback",
        "action: rollback\n      target: hook",
        "8: {}.target: the action rollback takes no target",
    ),
    "a tag without a name": (
        "action: rollback",
        "action: tag",
        "7: {}.action: the action tag needs the key tag: {{name: ...}}, and no other action takes it",
    ),
    "a challenger of a rollback": (
        "action: rollback",
        "action: rollback\n      challenger_alias: new",
        "8: {}.challenger_alias: rollback makes no challenger",
    ),
    "a champion as challenger": (
        "action: rollback",
        "action: retrain\n      target: hook\n      challenger_alias: champion",
        "9: {}.challenger_alias: is the alias champion itself: a new version is compared first",
    ),
}


@pytest.mark.parametrize("mistake", SINGLE)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, mistake: str) -> None:
    correct, wrong, said = SINGLE[mistake]
    assert correct in FILE
    assert mistakes(tmp_path, FILE.replace(correct, wrong)) == [said.format("remediation.policies.0")]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = FILE + ANOTHER % ("a", "ModelFeatureDrift", "rollback") + ANOTHER % ("b", '"["', "freeze")
    text += ANOTHER % ("c", "ModelQualityDegraded", "retrain") + "defaults: {drift_treshold: 1}\n"
    assert mistakes(tmp_path, text) == [
        f"8: remediation.policies.1.match.alertname: matches ModelFeatureDrift, and {SAME_INPUTS}",
        "8: remediation.policies.1.name: another policy is called a",
        "9: remediation.policies.2.match.alertname: is no pattern of RE2: missing ]: [",
        "10: remediation.policies.3.action: retrain needs one of the targets in its key target",
        "11: defaults.drift_treshold: unknown key; did you mean drift_threshold?",
    ]


def test_a_rollback_on_drift_of_inputs_can_be_forced(tmp_path: Path) -> None:
    text = FILE.replace("ModelQualityDegraded", '"Model.*"') + "      force: true\n"
    assert load(tmp_path, text).policies[0].force


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            '{kind: webhok, url: "https://a.example"}',
            "hook: has to be 'airflow2', .*; did you mean webhook\\?",
        ),
        ('{kind: webhook, url: "https://ada:pw@a.example"}', "hook.url: may not hold a user or password"),
        ('{kind: webhook, url: "ftp://a.example"}', "hook.url: has to be a URL such as"),
        ('{kind: webhook, url: "https://a.example", token: s3cret}', "hook.token: unknown key"),
        (
            '{kind: webhook, url: "https://a.example", token_file: nowhere}',
            "hook.token_file: .*/nowhere cannot be read",
        ),
        (
            '{kind: webhook, url: "https://a.example", token_file: empty}',
            "hook.token_file: .*/empty is empty",
        ),
        ('{kind: webhook, url: "https://a.example", body: {id: "{actionid}"}}', "hook.body: .*actionid"),
    ],
)
def test_a_target_that_cannot_be_used_is_told(tmp_path: Path, target: str, said: str) -> None:
    (tmp_path / "empty").write_text("\n")
    text = FILE.replace('{kind: webhook, url: "https://ci.example.org/hook"}', target)
    (line,) = mistakes(tmp_path, text)
    assert re.search(f"^2: remediation.targets.{said}", line)
    assert "s3cret" not in line
    assert "pw@" not in line


def test_numbers_of_policies_and_targets_are_bounded(tmp_path: Path) -> None:
    many = FILE + "".join(ANOTHER % (f"p{i}", "ModelQualityDegraded", "freeze") for i in range(100))
    assert mistakes(tmp_path, many) == ["3: remediation.policies: has 101 entries, at most 100 are taken"]
    target = '{kind: webhook, url: "https://a.example"}'
    many = "remediation: {targets: {" + ", ".join(f"t{i}: {target}" for i in range(51)) + "}}\n"
    assert mistakes(tmp_path, many) == ["1: remediation.targets: has 51 entries, at most 50 are taken"]
