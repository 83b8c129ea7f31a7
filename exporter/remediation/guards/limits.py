"""Guards on how often and how many: one at a time, cool-down, limits per day, and the breaker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from exporter.config.remediation import Breaker
from exporter.remediation.action import MOVES, Action
from exporter.remediation.case import Case
from exporter.settings import DAY_SECONDS
from exporter.storage.action_states import State

UNDER_WAY = (State.APPLIED, State.VERIFYING, State.INTERRUPTED)
FAILURES = (State.FAILED, State.CONFLICT, State.NOT_RECOVERED, State.INTERRUPTED)
# What was begun counts, whatever came of it.
_BEGUN = (State.EXECUTING, State.FAILED, State.CONFLICT, State.INTERRUPTED)


def concurrent(case: Case) -> str:
    """Refuse while another action of the model is carried out, or one of the same sort has not ended.

    It has not while it is verified, nor while it is interrupted, since its effect is then unknown.
    A retraining changes nothing that serves, so it may run for a day beside a rollback.
    """
    for other in case.others:
        if other.state is State.EXECUTING or (other.state in UNDER_WAY and _same_sort(other, case.action)):
            return f"{other.action} {other.id} of the model is {other.state}"
    return ""


def _same_sort(first: Action, second: Action) -> bool:
    if first.action in MOVES and second.action in MOVES:
        return True
    return first.action == second.action == "retrain"


def cooldown(case: Case) -> str:
    """Refuse for `cooldown` after the policy has acted on the model and alias."""
    policy, action = case.policy, case.action
    if policy is None or not policy.cooldown:
        return ""
    same = [each for each in case.others if (each.policy, each.alias) == (action.policy, action.alias)]
    last = max((at for each in same if (at := acted_at(each)) is not None), default=None)
    if last is None or case.now - last >= policy.cooldown:
        return ""
    return f"the policy acted {_hours(case.now - last)} ago, and waits for {_hours(policy.cooldown)}"


def model_limit(case: Case) -> str:
    """Refuse if the policy has acted `max_per_day` times on the model within a day."""
    policy = case.policy
    if policy is None:
        return ""
    done = [each for each in case.others if each.policy == policy.name and _within_day(each, case.now)]
    if len(done) < policy.max_per_day:
        return ""
    return f"{len(done)} actions of the policy on the model within a day, at most {policy.max_per_day}"


def daily_limit(case: Case) -> str:
    """Refuse if `max_actions_per_day` actions were carried out within a day, on all models.

    Notifications are not counted.
    """
    actions = case.sources.actions_of_day(case.now)
    done = [
        each
        for each in actions
        if each.id != case.action.id and each.action != "notify" and _within_day(each, case.now)
    ]
    if len(done) < case.config.max_actions_per_day:
        return ""
    return f"{len(done)} actions within a day, at most {case.config.max_actions_per_day}"


def breaker(case: Case) -> str:
    """Refuse after failures in a row on the model, until `reset_after` has passed since the last one."""
    rules = case.config.breaker
    if case.action.model not in open_breakers(case.others, rules, case.now):
        return ""
    return f"the last {rules.failures} actions of the model failed; it waits for {_hours(rules.reset_after)}"


def open_breakers(actions: Iterable[Action], rules: Breaker, now: float) -> frozenset[str]:
    """Return the models whose breaker is open; notifications do not count.

    Args:
        actions: stored ones, in any order.
        rules: `failures` in a row open it, for `reset_after` seconds since the last.
        now: seconds since the epoch.
    """
    ended: dict[str, list[Action]] = defaultdict(list)
    for action in actions:
        if action.action != "notify" and (action.state in FAILURES or action.state is State.RECOVERED):
            ended[action.model].append(action)
    return frozenset(model for model, found in ended.items() if _is_open(found, rules, now))


def _is_open(ended: Sequence[Action], rules: Breaker, now: float) -> bool:
    latest = sorted(ended, key=lambda action: action.updated_at, reverse=True)[: rules.failures]
    if len(latest) < rules.failures or any(action.state is State.RECOVERED for action in latest):
        return False
    return now - latest[0].updated_at < rules.reset_after


def acted_at(action: Action) -> float | None:
    """Return when an action took effect, or was begun if that is all that is known; None if it was not."""
    if action.executed_at is not None:
        return action.executed_at
    return action.updated_at if action.attempt and action.state in _BEGUN else None


def _within_day(action: Action, now: float) -> bool:
    at = acted_at(action)
    return at is not None and now - at < DAY_SECONDS


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.3g} h"
