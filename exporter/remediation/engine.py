"""Takes actions from state to state: decides, carries out, and verifies.

    planned -> awaiting_approval -> executing -> applied -> verifying -> recovered | not_recovered

One thread steps all actions that have not ended. All that a step is decided on is in the store or in MLflow,
so after a kill between any two steps the next process goes on there, and of two processes that share a store
one acts. A claim has a lease: while it lasts nobody else acts; once it is over the next attempt begins with
what the last one left behind.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import uuid4

from exporter.errors import RegistryError, RegistryUnreachableError, StoreError
from exporter.exposition.remediation import RemediationTelemetry
from exporter.monitoring.loop import Loop
from exporter.remediation.action import MOVES, Action
from exporter.remediation.alias_move import Outcome
from exporter.remediation.decision import Decisions
from exporter.remediation.execution import MAX_ATTEMPTS, Executor
from exporter.remediation.follow_up import FollowUp
from exporter.remediation.objections import Objections
from exporter.remediation.parts import Parts
from exporter.remediation.transitions import Transitions
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.action_states import State

log = logging.getLogger(__name__)

STEP_SECONDS = 5.0
REPEATABLE_SECONDS = 300.0  # after the end of a lease; later a person may have undone the move
INTERRUPTED_SECONDS = 30 * DAY_SECONDS  # for which an interrupted action may be approved
RETENTION_SECONDS = 400 * DAY_SECONDS  # of actions that ended
CALLS_PER_LEASE = 20  # of MLflow's, each of at most its limit on time
MIN_LEASE_SECONDS = 120.0
ASKS_MLFLOW = (State.PLANNED, State.EXECUTING, State.APPLIED)


class Engine:
    """Steps actions in a thread of its own. `wake` may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        telemetry: RemediationTelemetry,
        *,
        wait: Callable[[float], None] | None = None,
    ) -> None:
        self._parts = parts
        self._owner = uuid4().hex
        self._stopping = threading.Event()
        self._longest_call = 2 * settings.mlflow_timeout_seconds
        self._lease_seconds = max(CALLS_PER_LEASE * settings.mlflow_timeout_seconds, MIN_LEASE_SECONDS)
        self._transitions = Transitions(parts.ledger, telemetry)
        self._executor = Executor(parts, self._may_act, wait or self._wait)
        self._objections = Objections(parts)
        self._decisions = Decisions(parts, self._transitions)
        self._follow_up = FollowUp(parts, self._transitions, self._objections, settings.windows)
        self._loop = Loop("remediation", self.step, STEP_SECONDS)
        self._pruned_at = 0.0
        self._steps: dict[State, Callable[[Action], None]] = {
            State.PLANNED: self._decide,
            State.AWAITING_APPROVAL: self._check_approval,
            State.EXECUTING: self._recover,
            State.INTERRUPTED: self._await_person,
            State.APPLIED: self._follow_up.follow,
            State.VERIFYING: self._follow_up.verify,
        }

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        """Have the actions looked at now."""
        self._loop.wake()

    def alive(self) -> bool:
        return self._loop.alive()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Let the thread end after the call of MLflow that it is in."""
        self._stopping.set()
        self._loop.stop()
        self._loop.join(timeout_seconds)

    def step(self) -> None:
        """Take every action as far as it goes now.

        Raises:
            StoreError: the store failed; the next step begins anew.
        """
        unreachable = False
        # Moves first: the answer of an orchestrator may take most of a minute.
        for action in sorted(self._parts.ledger.open(), key=lambda each: each.action not in MOVES):
            if self._stopping.is_set() or not self._parts.leads():
                return
            if unreachable and action.state in ASKS_MLFLOW:
                continue  # each would wait as long
            try:
                self._steps[action.state](action)
            except StoreError:
                raise
            except RegistryError as error:
                unreachable = unreachable or isinstance(error, RegistryUnreachableError)
                log.warning("action %s (%s) waits: %s", action.id[:8], action.state, error)
            except Exception:  # one action never holds up another
                log.exception("action %s (%s) failed and is tried again", action.id[:8], action.state)
        try:
            self._objections.look()
        except RegistryError as error:
            log.warning("whether aliases were moved back is not known yet: %s", error)
        self._prune()
        self._parts.observe()

    def _wait(self, seconds: float) -> None:
        """Sleep, at most until the engine is stopped."""
        self._stopping.wait(seconds)

    def _decide(self, action: Action) -> None:
        if self._decisions.decide(action):
            self._claim(action)

    def _check_approval(self, action: Action) -> None:
        if self._decisions.check_approval(action):
            self._claim(action)

    def _claim(self, action: Action) -> None:
        claimed = self._transitions.claim(action, self._owner, self._lease_seconds)
        if claimed is not None:
            self._execute(claimed, repeated=False)

    def _execute(self, action: Action, *, repeated: bool) -> None:
        """executing -> applied, conflict, failed or interrupted; else it stays until its lease is over."""
        policy = self._parts.config().find(action.policy)
        if policy is None:
            outcome = Outcome(State.FAILED, "its policy is gone")
        else:
            outcome = self._executor.execute(action, policy, repeated=repeated)
        self._conclude(action, outcome)

    def _recover(self, action: Action) -> None:
        """Repeat an action whose lease is over, or find out what it did."""
        over_for = self._parts.clock() - (action.lease_until or 0.0)
        if over_for < 0:
            return
        late = over_for > REPEATABLE_SECONDS or action.attempt >= MAX_ATTEMPTS
        outcome = self._executor.inspect(action) if late else None
        claimed = self._transitions.claim(action, self._owner, self._lease_seconds)
        if claimed is None:
            return
        if outcome is not None:
            self._conclude(claimed, outcome)
        else:
            self._execute(claimed, repeated=True)

    def _await_person(self, action: Action) -> None:
        """interrupted -> applied, superseded or expired; an approval leads back to awaiting_approval."""
        if self._decisions.has_moved_on(action):
            outcome = self._executor.inspect(action)
            if outcome.state is State.APPLIED:
                self._conclude(action, outcome)
            else:
                self._transitions.advance(action, State.SUPERSEDED, "the alias was moved meanwhile")
        elif self._parts.clock() - action.updated_at >= INTERRUPTED_SECONDS:
            self._transitions.advance(action, State.EXPIRED, "it was not approved in time")

    def _conclude(self, action: Action, outcome: Outcome) -> None:
        if outcome.state is State.EXECUTING:
            log.warning("action %s is tried again after its lease: %s", action.id[:8], outcome.reason)
            return
        executed_at = self._parts.clock() if outcome.state is State.APPLIED else None
        self._transitions.advance(
            action, outcome.state, outcome.reason, data=outcome.data, executed_at=executed_at
        )
        if outcome.state is State.APPLIED and action.action in MOVES:
            self._parts.poll()

    def _may_act(self, action: Action) -> bool:
        """True while this process leads and an action's lease lasts for longer than one call of MLflow."""
        if self._stopping.is_set() or not self._parts.leads():
            return False
        return self._parts.clock() + self._longest_call < (action.lease_until or 0)

    def _prune(self) -> None:
        """Delete what ended long ago, once a day."""
        now = self._parts.clock()
        if now - self._pruned_at >= DAY_SECONDS:
            self._pruned_at = now
            self._parts.ledger.prune(now - RETENTION_SECONDS)
            self._parts.holds.prune(now - RETENTION_SECONDS)
