"""Each guard stops an action that all others let pass, and says why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from exporter.errors import RegistryError, RegistryUnreachableError
from exporter.remediation.action import Action
from exporter.remediation.case import Case
from exporter.remediation.guards import GUARDS, check_guards, run_guards
from exporter.remediation.holds import Hold
from exporter.settings import DAY_SECONDS
from exporter.storage.action_states import State
from exporter.storage.schema import AliasMove
from tests.support.actions import ACTION
from tests.support.cases import (
    MISSING,
    MOVES,
    POLICY,
    PROMOTE,
    FakeSources,
    bad_findings,
    good_findings,
    make_case,
    make_config,
    make_promotion,
    measured,
    watched,
)
from tests.support.docs import page, section
from tests.support.rig import NOON

S = State


def other(state: State, **own: Any) -> Action:
    """Another action of the model, an hour ago, by another policy."""
    values = {"id": "b" * 40, "policy": "other", "alias": "", "updated_at": NOON - 3600, **own}
    return replace(ACTION, state=state, **values)


def stored(*actions: Action) -> dict[str, Any]:
    return {"sources": FakeSources(stored=actions)}


def failures(*states: State, hours: float = 1) -> dict[str, Any]:
    """Actions that ended in these states, the last of them some hours ago."""
    ended = [
        other(state, id=f"{n:040}", alias="x", updated_at=NOON - (hours + n) * 3600)
        for n, state in enumerate(states)
    ]
    return stored(*ended)


def versions(three: object = None, two: object = None) -> dict[str, Any]:
    """Findings of version 3 and of version 2."""
    found = {"3": three or bad_findings(), "2": two or good_findings()}
    return {"versions": {name: watched(name, each) for name, each in found.items()}}  # type: ignore[arg-type]


def alert(**labels: str) -> Action:
    return replace(ACTION, alert={"labels": labels})


def challengers(three: object, four: object) -> dict[str, Any]:
    found = {"3": three, "4": four}
    return {"versions": {name: watched(name, each) for name, each in found.items()}}  # type: ignore[arg-type]


WORSE = measured({"recall": (0.70, 0.75)})
BETTER = measured({"recall": (0.80, 0.85)})
AGAIN = AliasMove("fraud", "champion", "3", NOON - 3600)

# By guard: what is changed about a rollback that passes, and the reason for which it is stopped.
STOPPED: Mapping[str, list[tuple[dict[str, Any], str]]] = {
    "mode": [
        ({"config": make_config(mode="off")}, "remediation is off"),
        ({"config": make_config({**POLICY, "mode": "off"})}, "policy 'champion-rollback' is off"),
        ({"config": make_config(mode="dry_run")}, "it is in dry run now"),
        ({"config": make_config({**POLICY, "name": "x"})}, "has no policy 'champion-rollback' any more"),
        ({"config": make_config({**POLICY, "alias": "live"})}, "for another action now: rollback of 'live'"),
        ({"config": make_config({**POLICY, "model": "churn"})}, "is not for model 'fraud' any more"),
    ],
    "hold": [
        (
            {"sources": FakeSources(held=[Hold(1, "fraud", "", "", "ada moved it back", NOON, None, "")])},
            "on hold: ada moved it back; lift it with `mlflow-exporter remediation resume`",
        )
    ],
    "visible": [
        ({"known": None}, "MLflow does not list model 'fraud': deleted, or this user may not read it"),
        ({"known": frozenset({"3"})}, "MLflow does not list version 2"),
        ({"known": frozenset({"2"})}, "MLflow does not list version 3"),
        (
            {"moves": (*MOVES, AliasMove("fraud", "champion", "", NOON))},
            "MLflow does not list the alias 'champion'",
        ),
    ],
    "alias": [
        ({"sources": FakeSources(holder="")}, "the alias 'champion' points to no version"),
        ({"sources": FakeSources(holder="1")}, "version 1 holds the alias 'champion', not 3"),
        ({"sources": FakeSources(holder=MISSING)}, "leads to no version: MLflow has no such thing"),
        ({"moves": (*MOVES, *MOVES[1:])}, "the alias 'champion' was moved since this was planned"),
    ],
    "tenure": [
        (
            {"config": make_config({**POLICY, "within": "1d"})},
            "version 3 has had the alias for 2 days, at most 1 days",
        )
    ],
    "evidence": [
        (
            versions(three=good_findings()),
            "evaluation version 3 is not as ModelQualityDegraded says",
        ),
        (versions(three=bad_findings(NOON - 51)), "the last evaluation of version 3 is 61 s old"),
        ({"versions": {}}, "version 3 is not monitored"),
        ({"versions": {"3": watched("3", None)}}, "version 3 is not judged: ready"),
        ({"action": alert(alertname="ModelLatencyHigh")}, "no verdict on version 3 that could confirm"),
        (
            {"action": alert(alertname="ModelQualityDegraded", metric="f1")},
            "there is no verdict on version 3 that could confirm ModelQualityDegraded",
        ),
    ],
    "one_step": [
        ({"action": replace(ACTION, target_version="1")}, "version 1 is not the one before, which is 2"),
        (
            {
                "action": replace(ACTION, tenure=1),
                "moves": MOVES[2:],
            },
            "the history of the alias 'champion' has no version before this one",
        ),
        (
            {
                "action": replace(ACTION, target_version="4", tenure=2),
                "moves": (AliasMove("fraud", "champion", "4", NOON - 9000), AGAIN),
                "known": frozenset("234"),
            },
            "version 4 is newer: somebody has gone back from it",
        ),
    ],
    "cascade": [
        (
            stored(
                other(
                    S.RECOVERED,
                    alias="champion",
                    model_version="4",
                    target_version="3",
                    tenure=2,
                    executed_at=NOON - 2 * DAY_SECONDS,
                )
            ),
            f"version 3 holds the alias by the rollback {'b' * 40}",
        )
    ],
    "target_history": [
        (
            stored(
                other(S.RECOVERED, alias="champion", model_version="2", target_version="1", executed_at=1.0)
            ),
            f"rollback {'b' * 40} took the alias from version 2",
        ),
        (
            {"sources": FakeSources(bad=("recall (quality)",))},
            "version 2 was degraded when it lost the alias: recall (quality)",
        ),
    ],
    "target_health": [
        (versions(two=bad_findings()), "version 2: its recall is degraded"),
        (versions(two=good_findings(NOON - 51)), "the last evaluation of version 2 is 61 s old"),
    ],
    "target_blocked": [
        (
            {"sources": FakeSources(tags={"monitoring.blocked": " True"})},
            "version 2 has the tag monitoring.blocked=true",
        ),
        ({"sources": FakeSources(tags=MISSING)}, "version 2 cannot be read: MLflow has no such thing"),
    ],
    "target_loads": [
        ({"sources": FakeSources(loads="no MLmodel")}, "version 2 cannot be loaded: no MLmodel"),
    ],
    "concurrent": [
        (stored(other(S.EXECUTING, action="retrain")), f"retrain {'b' * 40} of the model is executing"),
        (stored(other(S.VERIFYING, action="promote")), f"promote {'b' * 40} of the model is verifying"),
        (stored(other(S.INTERRUPTED, alias="x")), f"rollback {'b' * 40} of the model is interrupted"),
    ],
    "cooldown": [
        (
            stored(
                other(
                    S.RECOVERED,
                    policy=ACTION.policy,
                    alias="champion",
                    model_version="9",
                    executed_at=NOON - 3590,
                )
            ),
            "the policy acted 1 h ago, and waits for 24 h",
        )
    ],
    "model_limit": [
        (
            stored(other(S.RECOVERED, policy=ACTION.policy, alias="live", executed_at=NOON - 3600)),
            "1 actions of the policy on the model within a day, at most 1",
        ),
        (
            stored(other(S.CONFLICT, policy=ACTION.policy, alias="live", attempt=1)),
            "1 actions of the policy on the model within a day, at most 1",
        ),
    ],
    "daily_limit": [
        (
            stored(*(other(S.RECOVERED, id=f"{n:040}", model=f"m{n}", executed_at=NOON) for n in range(5))),
            "5 actions within a day, at most 5",
        )
    ],
    "breaker": [
        (
            failures(S.FAILED, S.NOT_RECOVERED, S.INTERRUPTED),
            "the last 3 actions of the model failed; it waits for 24 h",
        )
    ],
}
PROMOTIONS: list[tuple[dict[str, Any], str, str]] = [
    (challengers(BETTER, BETTER), "better", "no 99 % interval is beyond the champion's over 24h"),
    (challengers(BETTER, WORSE), "better", "its recall is worse than the champion's over 24h"),
    (
        challengers(WORSE, measured({"recall": (0.80, 0.85)}, start=0.0)),
        "better",
        "the champion was not measured over the same 24h",
    ),
    (
        challengers(WORSE, measured({"recall": (0.80, 0.85)}, labels=199)),
        "better",
        "the challenger has 199 labels in 24h, 200 are needed",
    ),
    (
        challengers(measured({"recall": (0.70, 0.75)}, coverage=0.5), BETTER),
        "better",
        "labels cover 50% of the champion's predictions",
    ),
    (
        challengers(WORSE, measured({"recall": (0.80, 0.85)}, NOON - 51)),
        "better",
        "the last evaluation of version 4 is 61 s old",
    ),
    (challengers(None, BETTER), "better", "version 3 is not judged: ready"),
    ({"versions": {}}, "better", "version 4 is not monitored"),
    ({"sources": FakeSources(holder="4")}, "alias", "version 4 holds the alias 'champion' already"),
    ({"sources": FakeSources(holder="2")}, "alias", "was moved since this was planned"),
    (
        stored(other(S.RECOVERED, alias="champion", model_version="4", executed_at=1.0)),
        "target_history",
        f"rollback {'b' * 40} took the alias from version 4",
    ),
    (
        {"sources": FakeSources(tags={"monitoring.blocked": "true"})},
        "target_blocked",
        "version 4 has the tag monitoring.blocked=true",
    ),
]


def refusals(case: Case) -> dict[str, str]:
    return {refusal.guard: refusal.reason for refusal in run_guards(case)}


def test_a_sound_rollback_passes_all_guards() -> None:
    assert not run_guards(make_case())


def test_a_sound_promotion_passes_all_guards() -> None:
    assert not run_guards(make_promotion())


def test_every_guard_is_shown_to_stop_an_action() -> None:
    assert {*STOPPED, *(guard for _, guard, _ in PROMOTIONS)} == set(GUARDS)


@pytest.mark.parametrize(
    ("guard", "changes", "reason"),
    [(guard, *each) for guard, cases in STOPPED.items() for each in cases],
)
def test_a_guard_stops_a_rollback(guard: str, changes: dict[str, Any], reason: str) -> None:
    found = refusals(make_case(**changes))
    assert reason in found[guard]


def test_a_rollback_may_follow_a_promotion_by_an_action() -> None:
    promotion = other(
        S.RECOVERED,
        action="promote",
        alias="champion",
        model_version="3",
        target_version="3",
        executed_at=1.0,
        data={"holder": "2"},
    )
    assert "target_history" not in refusals(make_case(**stored(promotion)))


@pytest.mark.parametrize(("changes", "guard", "reason"), PROMOTIONS)
def test_a_guard_stops_a_promotion(changes: dict[str, Any], guard: str, reason: str) -> None:
    assert reason in refusals(make_promotion(**changes))[guard]


@pytest.mark.parametrize(
    "changes",
    [
        {"action": replace(ACTION, mode="dry_run"), "config": make_config(mode="dry_run")},  # a rehearsal
        {"config": make_config(mode="approve")},
        {"config": make_config({**POLICY, "within": "3d"})},
        {"action": alert(alertname="ModelQualityDegraded", metric="recall")},
        {"action": alert(alertname="ModelErrorRateOfOurs")},  # of one's own: any verdict confirms it
        versions(two=good_findings()),
        {"versions": {"3": watched("3", bad_findings())}},  # the target is not monitored any more
        # what neither moves the alias nor was carried out
        stored(other(S.VERIFYING, action="retrain")),
        stored(other(S.REFUSED, policy=ACTION.policy, alias="champion")),
        stored(other(S.DRY_RUN, policy=ACTION.policy, alias="champion", model_version="2")),
        # another rollback led to another version, or a person has moved the alias since
        stored(other(S.RECOVERED, alias="champion", model_version="9", target_version="2", executed_at=1.0)),
        stored(
            other(
                S.RECOVERED,
                alias="champion",
                model_version="9",
                target_version="3",
                tenure=1,
                executed_at=1.0,
            )
        ),
        failures(S.FAILED, S.FAILED),
        stored(*(other(S.FAILED, id=f"{n:040}", action="notify") for n in range(3))),
        failures(S.FAILED, S.FAILED, S.RECOVERED, S.FAILED),
        failures(S.FAILED, S.FAILED, S.FAILED, hours=25),
        stored(*(other(S.RECOVERED, id=f"{n:040}", action="notify", executed_at=NOON) for n in range(9))),
        stored(*(other(S.RECOVERED, id=f"{n:040}", executed_at=NOON - 86401) for n in range(9))),
    ],
)
def test_what_is_no_reason_stops_nothing(changes: dict[str, Any]) -> None:
    assert not run_guards(make_case(**changes))


def test_a_promotion_may_have_drifted_but_not_degraded() -> None:
    drifted = replace(BETTER, evaluation=replace(bad_findings().evaluation, checks=()))
    assert not run_guards(make_promotion(**challengers(WORSE, drifted)))
    degraded = replace(BETTER, evaluation=bad_findings().evaluation)
    assert list(refusals(make_promotion(**challengers(WORSE, degraded)))) == ["target_health"]


def test_an_action_is_no_obstacle_to_itself() -> None:
    itself = replace(ACTION, state=S.INTERRUPTED, attempt=1, executed_at=NOON - 60)
    assert not run_guards(make_case(itself, **stored(itself)))


def test_a_retraining_is_not_stopped_by_what_became_of_the_alias() -> None:
    config = make_config({**POLICY, "action": "retrain", "target": "airflow"})
    action = replace(ACTION, action="retrain", target_version="")
    rolled_back = FakeSources(holder="2", stored=[other(S.VERIFYING, alias="champion", executed_at=NOON)])
    assert not run_guards(make_case(action, config=config, sources=rolled_back))
    busy = FakeSources(stored=[other(S.VERIFYING, action="retrain", alias="x")])
    assert list(refusals(make_case(action, config=config, sources=busy))) == ["concurrent"]


def test_a_notification_needs_no_evidence() -> None:
    config = make_config({**POLICY, "action": "notify", "target": "chat"})
    action = replace(ACTION, action="notify", target_version="")
    assert not run_guards(make_case(action, config=config, versions={}, known=None))


def test_guards_are_asked_in_their_order() -> None:
    assert run_guards(make_case(config=make_config(mode="off"), versions={}))[0].guard == "mode"
    assert [check.guard for check in check_guards(make_case())] == [
        name for name, guard in GUARDS.items() if "rollback" in guard.actions
    ]


def test_without_mlflow_a_refusal_that_needs_none_is_still_given() -> None:
    down = RegistryUnreachableError("MLflow cannot be reached")
    silent = FakeSources(holder=down, tags=down, loads=down)
    assert list(refusals(make_case(sources=silent, **versions(three=good_findings())))) == ["evidence"]
    with pytest.raises(RegistryError, match="MLflow cannot be reached"):
        run_guards(make_case(sources=silent))
    unknown = [check.guard for check in check_guards(make_case(sources=silent)) if check.unknown]
    assert unknown == ["alias", "target_blocked", "target_loads"]


def test_the_readme_says_which_guard_applies_to_which_action() -> None:
    shown = section(page("exporter/remediation/README.md"), "guards")
    table = re.findall(r"^\| `(\w+)` \| .* \| ([\w, ]+) \|$", shown, re.M)
    kinds = ("rollback", "promote", "retrain", "tag", "freeze", "notify")
    applies = {
        name: ", ".join(kind for kind in kinds if kind in guard.actions) for name, guard in GUARDS.items()
    }
    every = ", ".join(kinds)
    assert table == [(name, "all" if found == every else found) for name, found in applies.items()]


def test_promote_is_the_action_of_the_example() -> None:
    assert make_promotion().action is PROMOTE
