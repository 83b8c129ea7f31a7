"""A monitored model whose champion does not answer, as alerts on its error rate say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

import pytest
import sqlalchemy as sa

from exporter.remediation.action import Action
from exporter.remediation.case import Cases
from exporter.remediation.guards import GuardAnswer, run_guards
from exporter.remediation.holds import Holds
from exporter.remediation.ledger import Ledger
from exporter.storage.schema import audit_records, remediation_holds, remediations
from tests.support.actions import ACTION
from tests.support.cases import make_config
from tests.support.fakes import FakeRegistry
from tests.support.rig import Rig, make_rows, make_table


class World:
    """An exporter that monitors `fraud`, whose version 2 does not answer; 1 had the alias before."""

    def __init__(self, start: Callable[[FakeRegistry], Rig]) -> None:
        self.registry = FakeRegistry()
        for _ in range(2):
            self.registry.register("fraud", make_table(), alias="champion")
        self.registry.set_alias("fraud", "champion", "1")
        self.rig = start(self.registry)
        self.rig.clock.advance(3600)
        self.registry.set_alias("fraud", "champion", "2")
        self.rig.poll()
        self.rig.clock.advance(3600)
        rows = make_rows(400)
        self.rig.post_rows([{**row, "prediction": None} for row in rows], version="2")
        self.rig.evaluate()
        service = self.rig.service
        self.ledger = Ledger(service.store, self.rig.clock)
        self.holds = Holds(service.store, self.rig.clock)
        self._models = deepcopy(self.registry._models)
        self.config = make_config()
        self.cases = Cases(
            *(self.rig.settings, service.fleet, self.registry, service.store, self.ledger, self.holds),
            lambda: self.config,
        )
        labels = {"alertname": "ModelErrorRateHigh", "model": "fraud", "model_version": "2"}
        self.action = replace(
            ACTION, model_version="2", target_version="1", tenure=2, alert={"labels": labels}
        )

    def refusals(self, action: Action | None = None) -> tuple[GuardAnswer, ...]:
        case = self.cases.of(action or self.action, self.rig.clock())
        return run_guards(case)

    def reset(self) -> None:
        """Undo what a test did to MLflow, to the store and to the configuration."""
        self.registry.failure, self.registry._models = None, deepcopy(self._models)
        self.config = make_config()
        with self.rig.service.store.writing() as connection:
            for table in (remediations, remediation_holds):
                connection.execute(sa.delete(table))
            connection.execute(sa.delete(audit_records).where(audit_records.c.kind == "verdict_changed"))


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = f"sqlite:///{tmp_path_factory.mktemp('world')}/exporter.db"
    world = World(lambda registry: Rig(store, registry))
    yield world
    world.rig.stop()


@pytest.fixture
def unanswered(shared_world: World) -> World:
    """The world of all tests, as it was at first."""
    shared_world.reset()
    return shared_world
