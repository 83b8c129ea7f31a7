"""Identities of actions: the same for every delivery of one incident.

An incident is a policy, a model, and a tenure of the alias: however many columns, severities, repetitions and
replicas report it, and however often Prometheus restarts meanwhile, all of them have one id. Fingerprint and
`startsAt` of an alert change within an incident, and are not part of it. A retraining is numbered for its
version: the next number is due once the run before has ended and the cool-down is over.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import rfc8785

from exporter.config.remediation import ActionKind
from exporter.remediation.action import REJECTED, REOPENED, Action
from exporter.storage.action_states import PENDING

DIGITS = 40  # hexadecimal, as several orchestrators limit what identifies a run


def move_id(policy: str, action: ActionKind, model: str, alias: str, tenure: int, *, rehearsal: bool) -> str:
    """Return the id of an action in a tenure of an alias.

    Args:
        policy: its name.
        action: kind of action.
        model: name of the model.
        alias: the policy's alias.
        tenure: number of the alias's current tenure.
        rehearsal: true for a dry run, which does not use up the action.
    """
    return _id(
        {"policy": policy, "action": action, "model": model, "alias": alias, "tenure": tenure}, rehearsal
    )


def retrain_id(policy: str, model: str, version: str, number: int, *, rehearsal: bool) -> str:
    """Return the id of a retraining."""
    return _id(
        {"policy": policy, "action": "retrain", "model": model, "version": version, "n": number}, rehearsal
    )


def _id(parts: dict[str, Any], rehearsal: bool) -> str:
    said = {**parts, "dry_run": True} if rehearsal else parts
    return sha256(rfc8785.dumps(said)).hexdigest()[:DIGITS]


def next_number(newest: Action | None, cooldown: float, now: float) -> int:
    """Return the number of the retraining that an alert asks for.

    Args:
        newest: the last one of the same policy and version, None if there was none.
        cooldown: time after its end in which no other is due, in seconds.
        now: time, in seconds since the epoch.
    """
    if newest is None:
        return 1
    again = newest.state in REOPENED and newest.guard != REJECTED
    same = newest.state in PENDING or again or now - newest.updated_at < cooldown
    return newest.tenure if same else newest.tenure + 1
