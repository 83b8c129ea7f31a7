"""A process that takes one action of remediation to its end, and may be killed on the way.

    python -m tests.support.remediation_process

reads lists of `Run`s, a line each, forks, and answers with the statuses of the children, which have the real
store, engine and client of MLflow. One can be killed before each write to MLflow and each commit, when
nothing of it has happened, and after it, when the process has not heard of it yet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from exporter.config.remediation import RemediationConfig
from exporter.exposition.remediation import RemediationTelemetry
from exporter.fleet import Fleet
from exporter.registry.registry import Registry
from exporter.remediation.engine import Engine
from exporter.remediation.evidence import Judgement
from exporter.remediation.holds import Holds
from exporter.remediation.ledger import Ledger
from exporter.remediation.parts import Parts
from exporter.remediation.tenure import current_tenure
from exporter.settings import Settings
from exporter.storage.action_states import PENDING, State
from exporter.storage.schema import AliasMove
from exporter.storage.store import Store
from tests.support.actions import ACTION, plan, stored
from tests.support.engines import POLICY, FakeRuns
from tests.support.fakes import TIMEOUT_SECONDS, Clock

ROOT = Path(__file__).parents[2]
MAX_STEPS = 20
VERIFIED_SECONDS = 24 * 3600.0  # later the verification has ended


@dataclass(frozen=True)
class Run:
    """One life of the process.

    Attributes:
        store: URI.
        mlflow: URI.
        model: with versions 1, 2 and 3, of which 3 is the champion at first.
        now: time at which it starts.
        kill_at: number of the point at which it is killed; 0 for none.
        log: file that gets the names of the points.
    """

    store: str
    mlflow: str
    model: str
    now: float
    kill_at: int
    log: str


class Points:
    """Counts the points that are passed, and kills the process at one of them."""

    def __init__(self, run: Run) -> None:
        self._left = run.kill_at
        self._log = Path(run.log)

    def reach(self, name: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{name}\n")
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalRegistry(Registry):
    """The registry, with a point before and after each call that changes something."""

    def __init__(self, uri: str, points: Points) -> None:
        super().__init__(uri, None, TIMEOUT_SECONDS)
        self._points = points

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        self._points.reach(f"before {name}")
        yield
        self._points.reach(f"after {name}")

    def set_alias(self, model: str, alias: str, version: str) -> None:
        with self._call("set_alias"):
            super().set_alias(model, alias, version)

    def set_model_tag(self, model: str, key: str, value: str) -> None:
        with self._call("set_model_tag"):
            super().set_model_tag(model, key, value)


class MortalStore(Store):
    """The store, with a point before and after each commit."""

    def __init__(self, uri: str, points: Points) -> None:
        super().__init__(uri, check=False)
        write = self.writing

        @contextmanager
        def writing() -> Iterator[sa.Connection]:
            with write() as connection:
                yield connection
                points.reach("before a commit")
            points.reach("after a commit")

        self.writing: Any = writing


def live(run: Run) -> None:
    """Plan the action, as a delivery does that is repeated after a restart, and step until it has ended."""
    points, clock = Points(run), Clock(run.now)
    store = MortalStore(run.store, points)
    registry = MortalRegistry(run.mlflow, points)
    settings = Settings(mlflow_timeout_seconds=5.0)
    fleet = Fleet(settings)
    fleet.record(store.load_alias_moves())
    ledger = Ledger(store, clock)
    parts = Parts(
        ledger=ledger,
        holds=Holds(store, clock),
        registry=registry,
        fleet=fleet,
        runs=FakeRuns(),
        guards=lambda action, now: [],
        judge=lambda version, labels, now: Judgement(False),
        config=lambda: RemediationConfig(mode="auto", policies=(POLICY,)),
        clock=clock,
    )
    telemetry = RemediationTelemetry(CollectorRegistry(), clock)
    engine = Engine(settings, parts, telemetry, wait=clock.advance)
    action = replace(ACTION, model=run.model, created_at=run.now, updated_at=run.now)
    discover(run, store, fleet, registry, clock)
    plan(store, ledger, action)
    for _ in range(MAX_STEPS):
        found = stored(ledger)
        if found.state not in PENDING:
            store.close()
            return
        engine.step()
        discover(run, store, fleet, registry, clock)
        if found.state is State.VERIFYING:
            clock.advance(VERIFIED_SECONDS)
    raise AssertionError(f"it stays {found.state}: {found.reason}")


def discover(run: Run, store: Store, fleet: Fleet, registry: Registry, clock: Clock) -> None:
    """See where the alias is, as the poll of MLflow does, and keep it."""
    found = registry.read_alias(run.model, "champion").version
    tenure = current_tenure(fleet.history(run.model, "champion"))
    if tenure is None or tenure.version != found:
        move = AliasMove(run.model, "champion", found, clock())
        store.add_alias_moves([move])
        fleet.record([move])


class Nursery:
    """Warm process that forks one that lives a `Run`."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.remediation_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def live(self, *runs: Run) -> list[int]:
        """Live runs side by side; the status of each process, negative if a signal ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([asdict(run) for run in runs]), file=self._process.stdin, flush=True)
        return [int(status) for status in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        self._process.communicate(timeout=TIMEOUT_SECONDS)


def main() -> None:
    from mlflow import MlflowClient

    MlflowClient("http://127.0.0.1:1")  # all that it imports when it is first made
    for line in sys.stdin:
        children = [fork(Run(**run)) for run in json.loads(line)]
        ended = [os.waitpid(child, 0)[1] for child in children]
        print(json.dumps([os.waitstatus_to_exitcode(status) for status in ended]), flush=True)


def fork(run: Run) -> int:
    """Live a run in a child; its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            live(run)
            status = 0
        except BaseException:  # noqa: BLE001 - reported by its status
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


if __name__ == "__main__":
    main()
