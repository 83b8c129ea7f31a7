"""Composes remediation: the receiver of alerts, the stored actions and holds, guards, targets and engine."""

from __future__ import annotations

from collections.abc import Callable

from exporter.config.remediation import RemediationConfig
from exporter.exposition.remediation import RemediationTelemetry
from exporter.fleet import Fleet
from exporter.registry.registry import Registry
from exporter.remediation.action import REJECTED
from exporter.remediation.approvals import Approvals
from exporter.remediation.case import Cases
from exporter.remediation.decision import UNDECIDABLE
from exporter.remediation.engine import Engine
from exporter.remediation.evidence import judge, watch
from exporter.remediation.guards import GUARDS, run_guards
from exporter.remediation.holds import Holds
from exporter.remediation.jobs import Jobs
from exporter.remediation.ledger import Ledger
from exporter.remediation.overview import Overview
from exporter.remediation.parts import Parts
from exporter.remediation.receiving import Receiver
from exporter.remediation.simulate import Simulator
from exporter.remediation.targets import Targets
from exporter.settings import Settings
from exporter.storage.store import Store


class Remediation:
    """Parts of remediation. `config` are the policies in force, see `use`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        registry: Registry,
        fleet: Fleet,
        telemetry: RemediationTelemetry,
        clock: Callable[[], float],
        poll: Callable[[], None],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self.config = RemediationConfig()
        self._targets = Targets({})
        self.ledger, self.holds = Ledger(store, clock), Holds(store, clock)
        self.cases = Cases(settings, fleet, registry, store, self.ledger, self.holds, lambda: self.config)
        interval = settings.evaluation_interval_seconds
        parts = Parts(
            ledger=self.ledger,
            holds=self.holds,
            registry=registry,
            fleet=fleet,
            runs=Jobs(lambda: self._targets, registry, clock),
            guards=lambda action, now: run_guards(self.cases.of(action, now)),
            judge=lambda version, labels, now: judge(watch(version), labels, now, interval),
            config=lambda: self.config,
            clock=clock,
            poll=poll,
            leads=leads,
            observe=Overview(store, self.ledger, lambda: self.config, telemetry, clock).refresh,
        )
        self.engine = Engine(settings, parts, telemetry)
        self.approvals = Approvals(self.ledger, self.holds, telemetry, self.engine.wake, clock)
        self.receiver = Receiver(
            store, fleet, self.ledger, lambda: self.config, telemetry, clock, self.engine.wake
        )
        self.simulator = Simulator(store, fleet, self.ledger, self.cases)
        telemetry.watch_guards((*GUARDS, REJECTED, UNDECIDABLE))

    def use(self, config: RemediationConfig) -> None:
        """Use other policies and targets from the next step on. Any thread may call it."""
        self._targets = Targets(config.targets, allow_commands=self._settings.allow_commands)
        self.config = config
