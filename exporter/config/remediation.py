"""Configuration of remediation: the section `remediation` of `exporter.yml`.

    remediation:
      mode: dry_run
      policies:
        - name: champion-rollback
          match: {alertname: "ModelQualityDegraded|ModelErrorRateHigh", severity: critical}
          model: "fraud.*"
          alias: champion
          action: rollback
          within: 14d

Patterns are RE2, anchored at both ends, and a label that an alert lacks is empty, as in Alertmanager. RE2
matches in linear time, so that no pattern can stall the exporter.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

import re2
from pydantic import AfterValidator, Field

from exporter.config.section import Count, EmptyMapping, Name, Seconds, Section
from exporter.config.targets import Target
from exporter.settings import DAY_SECONDS

ActionKind = Literal["rollback", "promote", "retrain", "tag", "notify", "freeze"]
Mode = Literal["off", "dry_run", "approve", "auto"]  # from the most careful on
MODES: tuple[Mode, ...] = get_args(Mode)

MAX_POLICIES = 100
MAX_TARGETS = 50
MAX_MATCHERS = 20  # of a policy
MAX_PATTERN_LENGTH = 1000
MAX_PATTERN_BYTES = 2**20  # of memory
MAX_DAYS = 90  # of every duration

LOOP_PREFIX = "MLflowExporter"  # of the alerts about the exporter and the loop itself


@lru_cache(maxsize=2 * MAX_POLICIES * MAX_MATCHERS)
def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_BYTES
    return re2.compile(pattern, options)


@lru_cache(maxsize=2**14)  # a delivery has the same few values many times
def full_match(pattern: str, text: str) -> bool:
    """Return true if a pattern matches the whole text.

    >>> full_match("fraud.*", "fraud-eu"), full_match("a|ab", "ab"), full_match("fraud", "fraud-eu")
    (True, True, False)
    """
    return _compile(pattern).fullmatch(text) is not None


def _check_pattern(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(f"is longer than {MAX_PATTERN_LENGTH} characters")
    try:
        _compile(pattern)
    except re2.error as error:
        said = error.args[0]
        said = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise ValueError(f"is no pattern of RE2: {said}") from None
    except UnicodeError:
        raise ValueError("has characters that are none") from None
    return pattern


def _short(seconds: float) -> float:
    if seconds > MAX_DAYS * DAY_SECONDS:
        raise ValueError(f"{seconds / DAY_SECONDS:g} days are more than {MAX_DAYS}, the most there are")
    return seconds


def _with_alertname(matchers: dict[str, str]) -> dict[str, str]:
    if not matchers.get("alertname"):
        raise ValueError("alertname is missing: a policy has to name its alerts")
    if len(matchers) > MAX_MATCHERS:
        raise ValueError(f"{len(matchers)} labels, at most {MAX_MATCHERS} are taken")
    return matchers


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Duration = Annotated[Seconds, AfterValidator(_short)]
Period = Annotated[Duration, Field(gt=0)]
Number = Annotated[Count, Field(le=1000)]
PolicyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
LabelName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,255}$")]
TagKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./ -]{1,250}$")]


class Verify(Section):
    """Verification of an action: quality and drift are judged `after` the action took effect."""

    after: Period = 6 * 3600.0


class Tag(Section):
    """Tag that the action `tag` sets on the version."""

    name: TagKey
    value: Annotated[str, Field(max_length=5000)] = "true"


class Policy(Section):
    """Rule from alerts to an action.

    Attributes:
        name: of the policy, unique.
        match: pattern by label; all have to match.
        model: pattern of the models that it applies to.
        alias: the alias that is moved, or that the alert's version has to hold; of a promotion the one that
            the better version gets.
        action: kind of action.
        within: longest time since the tenure of the version began, in seconds.
        cooldown: time after an action in which the policy takes none for the same model, in seconds.
        max_per_day: actions of the policy in 24 hours.
        approve_within: time after which an action that waits for approval expires, in seconds.
        verify: how the effect is verified.
        mode: of this policy; the global one wins where it is more careful.
        target: name of the target, for `retrain` and `notify`.
        challenger_alias: alias that the version of a retraining gets, if any.
        tag: for the action `tag`.
        force: allow a rollback on drift of inputs.
    """

    name: PolicyName
    match: Annotated[dict[LabelName, Pattern], AfterValidator(_with_alertname)]
    model: Annotated[Pattern, Field(min_length=1)]
    alias: Name = "champion"
    action: ActionKind
    within: Period = 14 * DAY_SECONDS
    cooldown: Duration = DAY_SECONDS
    max_per_day: Number = 1
    approve_within: Period = DAY_SECONDS
    verify: Annotated[Verify, EmptyMapping] = Verify()
    mode: Mode | None = None
    target: Name | None = None
    challenger_alias: Name | None = None
    tag: Tag | None = None
    force: bool = False

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Return true if an alert with these labels is one of the policy's, of whatever model.

        Alerts about the exporter itself never are.
        """
        if labels.get("alertname", "").startswith(LOOP_PREFIX):
            return False
        return all(full_match(pattern, labels.get(label, "")) for label, pattern in self.match.items())

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return true if an alert with these labels is one of the policy's, of a model of the policy's."""
        return self.selects(labels) and full_match(self.model, labels.get("model", ""))


class Breaker(Section):
    """After so many failures in a row nothing is done for a model until `reset_after` seconds have passed."""

    failures: Number = 3
    reset_after: Period = DAY_SECONDS


class RemediationConfig(Section):
    """The section `remediation`."""

    mode: Mode = "dry_run"
    max_actions_per_day: Number = 5
    breaker: Annotated[Breaker, EmptyMapping] = Breaker()
    targets: Annotated[dict[Name, Target], EmptyMapping, Field(max_length=MAX_TARGETS)] = {}
    policies: Annotated[tuple[Policy, ...], Field(max_length=MAX_POLICIES)] = ()

    def effective_mode(self, policy: Policy) -> Mode:
        """Return the more careful one of the global mode and the policy's own.

        >>> RemediationConfig(mode="approve").effective_mode(Policy.model_construct(mode="auto"))
        'approve'
        """
        return min(self.mode, policy.mode or self.mode, key=MODES.index)

    def find(self, name: str) -> Policy | None:
        """Return the policy with a name, None if there is none."""
        return next((policy for policy in self.policies if policy.name == name), None)
