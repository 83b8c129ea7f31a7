"""States of an action of remediation, as they are stored and shown."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """State of an action."""

    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting_approval"
    EXECUTING = "executing"
    APPLIED = "applied"
    VERIFYING = "verifying"
    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    DRY_RUN = "dry_run"
    REFUSED = "refused"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


# That have not ended. An interrupted action waits for a person.
PENDING = (
    State.PLANNED,
    State.AWAITING_APPROVAL,
    State.EXECUTING,
    State.APPLIED,
    State.VERIFYING,
    State.INTERRUPTED,
)
ENDED = tuple(state for state in State if state not in PENDING)
