"""The engine of remediation with a registry in memory, which a test steps by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry

from exporter.config.remediation import Policy, RemediationConfig, Tag, Verify
from exporter.exposition.remediation import RemediationTelemetry
from exporter.fleet import Fleet, Version
from exporter.registry.registry import Registry
from exporter.remediation.action import Action
from exporter.remediation.engine import Engine
from exporter.remediation.evidence import Judgement
from exporter.remediation.guards import GuardAnswer
from exporter.remediation.holds import Holds
from exporter.remediation.jobs import JobOutcome
from exporter.remediation.ledger import Ledger
from exporter.remediation.parts import Parts
from exporter.remediation.tenure import current_tenure
from exporter.settings import Settings
from exporter.storage.action_states import State
from exporter.storage.schema import AliasMove
from exporter.storage.store import Store
from tests.support.actions import ACTION, plan, stored
from tests.support.fakes import Clock, FakeRegistry

POLICY = Policy(
    name=ACTION.policy,
    match={"alertname": "ModelQualityDegraded"},
    model="fraud.*",
    action="rollback",
    verify=Verify(after=6 * 3600.0),
    tag=Tag(name="bad"),
    target="airflow",
)


@dataclass
class FakeRuns:
    """Runs of an orchestrator that answers what a test says."""

    answer: JobOutcome = field(default_factory=lambda: JobOutcome("accepted"))
    state: JobOutcome = field(default_factory=lambda: JobOutcome("running"))
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    def dispatch(self, action: Action, target: str, repeated: bool) -> JobOutcome:
        self.asked.append((action.id, target, repeated))
        return self.answer

    def follow(self, action: Action, challenger_alias: str = "") -> JobOutcome:
        return self.state


class Bench:
    """An engine on a store, with what it works with.

    Version 3 of `fraud` is the champion, after 2 and 1. The guards say `refusals`, or raise `failure`;
    `verdict` is what is said of the target of a move.
    """

    def __init__(
        self, store: Store, clock: Clock, registry: Registry | None = None, model: str = "fraud"
    ) -> None:
        self.store, self.clock, self.model = store, clock, model
        self.settings = Settings()
        self.fake = FakeRegistry()
        if registry is None:
            for _ in range(3):
                self.fake.register(model)
            self.fake.set_alias(model, "champion", "3")
            self.fake.set_model_tag(model, "monitoring.auto_rollback", "true")
        self.registry = registry or self.fake
        self.fleet = Fleet(self.settings)
        self.ledger, self.holds = Ledger(store, clock), Holds(store, clock)
        self.runs = FakeRuns()
        self.refusals: list[GuardAnswer] = []
        self.failure: Exception | None = None
        self.verdict = Judgement(False)
        self.config = RemediationConfig(mode="auto", policies=(POLICY,))
        self.leads: Callable[[], bool] = lambda: True
        self.polls = 0
        self.counters = CollectorRegistry()
        self._telemetry = RemediationTelemetry(self.counters, clock)
        self.fleet.record([AliasMove(model, "champion", n, clock.now - 7200 + int(n)) for n in "123"])
        self.engine = self.start()

    def start(self) -> Engine:
        """A new engine, as after a restart."""
        parts = Parts(
            ledger=self.ledger,
            holds=self.holds,
            registry=self.registry,
            fleet=self.fleet,
            runs=self.runs,
            guards=self._guards,
            judge=self._judge,
            config=lambda: self.config,
            clock=self.clock,
            poll=self._count_poll,
            leads=lambda: self.leads(),
        )
        self.engine = Engine(self.settings, parts, self._telemetry, wait=self.clock.advance)
        return self.engine

    def _guards(self, action: Action, now: float) -> list[GuardAnswer]:
        if self.failure is not None:
            raise self.failure
        return self.refusals

    def _judge(self, version: Version, labels: Mapping[str, str], now: float) -> Judgement:
        return self.verdict

    def _count_poll(self) -> None:
        self.polls += 1

    def move(self) -> Action:
        """Plan a move, have it made and seen; return it, in state VERIFYING."""
        self.plan()
        self.step()
        self.discover()
        return self.step()

    def plan(self, **fields: Any) -> Action:
        """Plan an action as the receiver of alerts does."""
        now = {"model": self.model, "created_at": self.clock.now, "updated_at": self.clock.now}
        action = replace(ACTION, **{**now, **fields})
        plan(self.store, self.ledger, action)
        return action

    def set_policy(self, mode: str = "auto", **fields: Any) -> None:
        self.config = RemediationConfig.model_construct(
            mode=mode, policies=(POLICY.model_copy(update=fields),), max_actions_per_day=5
        )

    def step(self, count: int = 1) -> Action:
        """Step the engine; the action as it is then."""
        for _ in range(count):
            self.engine.step()
        return stored(self.ledger)

    def discover(self) -> None:
        """See in the registry where the alias is, as a poll does."""
        found = self.registry.read_alias(self.model, "champion").version
        tenure = current_tenure(self.fleet.history(self.model, "champion"))
        if tenure is None or tenure.version != found:
            self.fleet.record([AliasMove(self.model, "champion", found, self.clock.now)])

    def alias(self) -> str:
        return self.registry.read_alias(self.model, "champion").version

    def states(self) -> list[State]:
        """The states that the action went through, by its audit records."""
        return [State(step.data["state"]) for step in self.ledger.history(ACTION.id)]

    def ended(self, outcome: str, action: str = "rollback") -> float | None:
        """Number of actions that were counted with an outcome."""
        labels = {"action": action, "outcome": outcome}
        return self.counters.get_sample_value("mlflow_exporter_remediations_total", labels)

    def refused(self, guard: str) -> float | None:
        """Number of actions that were counted as refused by a guard."""
        return self.counters.get_sample_value("mlflow_exporter_remediation_refused_total", {"guard": guard})
