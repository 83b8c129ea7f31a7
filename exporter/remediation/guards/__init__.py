"""Guards: conditions that stop an action. Each is a function of a `Case` that returns its reason, or nothing.

`GUARDS` has them by name, in the order in which they are asked: the cheap ones and those that say most come
first. All run before an action is carried out, again when it has been approved, and in a rehearsal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from exporter.config.remediation import ActionKind
from exporter.errors import RegistryError
from exporter.remediation.action import MOVES
from exporter.remediation.case import Case
from exporter.remediation.guards import alias, limits, state, target
from exporter.remediation.guards.limits import open_breakers

__all__ = ["GUARDS", "Guard", "GuardAnswer", "check_guards", "open_breakers", "run_guards"]

_Kinds: TypeAlias = frozenset[ActionKind]
ROLLBACK: _Kinds = frozenset({"rollback"})
PROMOTE: _Kinds = frozenset({"promote"})
ACTS: _Kinds = frozenset({*MOVES, "retrain", "tag"})
CHANGES: _Kinds = frozenset({*ACTS, "freeze"})
ALL: _Kinds = frozenset({*CHANGES, "notify"})


@dataclass(frozen=True)
class Guard:
    """A guard and the kinds of action that it applies to."""

    check: Callable[[Case], str]
    actions: frozenset[ActionKind]


GUARDS: Mapping[str, Guard] = {
    "mode": Guard(state.mode, ALL),
    "hold": Guard(state.hold, ACTS),
    "visible": Guard(state.visible, CHANGES),
    "alias": Guard(alias.alias, MOVES),
    "tenure": Guard(alias.tenure, ROLLBACK),
    "evidence": Guard(state.evidence, CHANGES - PROMOTE),
    "better": Guard(target.better, PROMOTE),
    "one_step": Guard(alias.one_step, ROLLBACK),
    "cascade": Guard(alias.cascade, ROLLBACK),
    "target_history": Guard(target.target_history, MOVES),
    "target_health": Guard(target.target_health, MOVES),
    "target_blocked": Guard(target.target_blocked, MOVES),
    "target_loads": Guard(target.target_loads, MOVES),
    "concurrent": Guard(limits.concurrent, CHANGES),
    "cooldown": Guard(limits.cooldown, ALL),
    "model_limit": Guard(limits.model_limit, ALL),
    "daily_limit": Guard(limits.daily_limit, CHANGES),
    "breaker": Guard(limits.breaker, ACTS),
}


@dataclass(frozen=True)
class GuardAnswer:
    """Answer of one guard: `reason` is empty if it passes, `unknown` if MLflow has not answered."""

    guard: str
    reason: str
    unknown: bool = False


def check_guards(case: Case) -> Iterator[GuardAnswer]:
    """Yield the answer of each guard that applies to the action, in order."""
    for name, guard in GUARDS.items():
        if case.action.action in guard.actions:
            try:
                yield GuardAnswer(name, guard.check(case))
            except RegistryError as error:
                yield GuardAnswer(name, f"MLflow has to be asked: {error}", unknown=True)


def run_guards(case: Case) -> tuple[GuardAnswer, ...]:
    """Return all refusals, in order.

    Raises:
        RegistryError: none of the guards that could be asked refuses, but MLflow has not answered others.
    """
    stopping = [answer for answer in check_guards(case) if answer.reason]
    refusals = tuple(answer for answer in stopping if not answer.unknown)
    if stopping and not refusals:
        raise RegistryError(stopping[0].reason)
    return refusals
