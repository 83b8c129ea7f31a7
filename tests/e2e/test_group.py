"""A Kafka group shows the figures of one process that is fed the same, whatever is killed meanwhile."""

from __future__ import annotations

import io
import math
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support.exporter_process import ExporterProcess
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.kafka import KafkaBroker, running_broker
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import World
from tests.support.rig import eventually, make_rows, make_table

pytestmark = pytest.mark.needs("kafka", "initdb", "pg_ctl")

PARTITIONS, BATCHES, BATCH_ROWS = 4, 24, 40
CONSUMING = 'mlflow_exporter_kafka_assigned_partitions{state="consuming"}'
# Of a process and its clock, drawn at random, or of a group alone.
OWN = re.compile(
    r"mlflow_exporter_|mlflow_model_(alias_changed|missing_partitions|sample_|\w*silence_seconds)"
)

Request = tuple[str, dict[str, Any], str]  # path, document, idempotency key


def make_requests(model: str, now: float) -> list[Request]:
    """Predictions with resends, conflicts, rows without ids, late ones and labels that come along; labels
    before and after their prediction, and corrections."""
    random = np.random.default_rng(7)
    rows = make_rows(BATCHES * BATCH_ROWS, prefix="r", seed=3)
    ids = [row["id"] for row in rows]
    requests: list[Request] = []
    for number in range(BATCHES):
        first = number * BATCH_ROWS
        batch = [
            {**row, "timestamp": now - 7200 - float(random.integers(0, 36_000))}
            for row in rows[first : first + BATCH_ROWS]
        ]
        rows[first : first + BATCH_ROWS] = batch
        batch[0]["timestamp"] = now - 10 * 86400  # in blocks of hours
        batch[1]["label"] = int(random.integers(0, 2))
        del batch[2]["id"]
        again = [rows[k] for k in random.integers(0, first + 1, 4)]  # resends
        changed = {**rows[int(random.integers(0, first + 1))], "score": 0.5}  # a conflict, if it has an id
        document = {"model": model, "alias": "champion", "predictions": [*batch, *again, changed]}
        requests.append(("/v1/predictions", document, f"p{number}"))
        chosen = random.integers(0, min(len(ids), first + 3 * BATCH_ROWS), 25)  # some of them are early
        labels = [{"id": ids[k], "label": int(random.integers(0, 2)), "timestamp": now - 600} for k in chosen]
        requests.append(("/v1/labels", {"model": model, "labels": labels}, f"l{number}"))
    return requests


class Processes:
    """Processes of the group and the one that is alone, all with the same MLflow."""

    def __init__(
        self, mlflow: str, uri: str, broker: KafkaBroker, directory: Path, ports: list[int], stack: ExitStack
    ) -> None:
        self._mlflow, self._uri, self._broker, self._directory = mlflow, uri, broker, directory
        self._ports, self._stack = iter(ports), stack
        often = {"evaluation_interval_seconds": 1.0, "mlflow_poll_interval_seconds": 2.0}
        self._own = {**often, "mlflow_timeout_seconds": TIMEOUT_SECONDS, "runs": False}

    def alone(self) -> ExporterProcess:
        return self._start(f"sqlite:///{self._directory}/alone.db", self._mlflow, "")

    def evaluator(self) -> ExporterProcess:
        return self._start(
            self._uri, self._mlflow, "", **self._group("evaluator"), ingest="kafka", lease_seconds=3.0
        )

    def worker(self, module: str = "exporter") -> ExporterProcess:
        return self._start(self._uri, "", module, **self._group("worker"))

    def _group(self, role: str) -> dict[str, Any]:
        return {"role": role, "kafka_brokers": self._broker.address, "kafka_topic": "live"}

    def _start(self, store: str, mlflow: str, module: str, **own: Any) -> ExporterProcess:
        process = ExporterProcess(
            store, next(self._ports), self._directory, mlflow, module=module, **self._own, **own
        )
        self._stack.callback(process.kill)
        return process


class Poster:
    """Posts each request until it is taken, by whichever of the processes takes any."""

    def __init__(self, *processes: ExporterProcess) -> None:
        self._urls = [process.url for process in processes]

    def post(self, request: Request) -> None:
        eventually(lambda: self._is_taken(request))

    def _is_taken(self, request: Request) -> bool:
        path, document, key = request
        for url in self._urls.copy():
            try:
                headers = {"Idempotency-Key": key}
                answer = httpx.post(
                    url + path, json=document, headers=headers, timeout=TIMEOUT_SECONDS, verify=False
                )
            except httpx.TransportError:
                continue
            assert answer.status_code in (202, 404, 503), answer.text  # 404: it is not discovered yet
            if answer.status_code == 202:
                return True
        return False


def figures(process: ExporterProcess, model: str) -> dict[str, float]:
    """Series of a model."""
    page = httpx.get(f"{process.url}/metrics", timeout=TIMEOUT_SECONDS, verify=False).text
    found = {}
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if f'model="{model}"' in name and not OWN.match(name):
            found[name] = float(value)
    return found


def differences(found: dict[str, float], expected: dict[str, float]) -> list[str]:
    """Series that one side lacks, or whose values differ by more than rounding."""
    nan = math.nan
    return [
        f"{name}: {found.get(name)} instead of {expected.get(name)}"
        for name in sorted(found.keys() | expected.keys())
        if not math.isclose(found.get(name, nan), expected.get(name, nan), rel_tol=1e-12)
        and not (math.isnan(found.get(name, 0.0)) and math.isnan(expected.get(name, 0.0)))
    ]


@pytest.fixture
def processes(
    mlflow_server: MlflowServer, postgres_uri: str, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> Iterator[tuple[Processes, KafkaBroker]]:
    with running_broker(free_ports(2)) as broker, ExitStack() as stack:
        broker.create_topic("live", PARTITIONS)
        broker.create_topic("live.dead-letter", 1)
        yield Processes(mlflow_server.uri, postgres_uri, broker, tmp_path, free_ports(8), stack), broker


def test_the_figures_are_those_of_one_process_whatever_is_killed(
    processes: tuple[Processes, KafkaBroker], world: World
) -> None:
    start, broker = processes
    content = io.BytesIO()
    pq.write_table(make_table(2000), content)
    model = world.log_version({"reference.parquet": content.getvalue()})
    alone, first = start.alone(), start.evaluator()
    killed = start.worker("tests.support.serve_killed")
    frozen = start.worker()
    first.await_ready()
    second = start.evaluator()
    to_alone, to_group = Poster(alone), Poster(first, second)
    workers = [frozen]

    for number, request in enumerate(make_requests(model, time.time())):
        to_alone.post(request)
        to_group.post(request)
        if number == 12:  # between a commit and the next messages
            killed.process.wait(TIMEOUT_SECONDS)
            assert killed.process.returncode == -signal.SIGKILL
            workers.append(start.worker())
            workers[-1].await_ready()
        if number == 20:
            frozen.process.send_signal(signal.SIGSTOP)
        if number == 26:
            eventually(lambda: workers[-1].sample(CONSUMING) == PARTITIONS)  # its session has ended
            frozen.process.send_signal(signal.SIGCONT)
            workers.append(start.worker())  # which makes the group share its partitions under load
        if number == 32:
            broker.kill()
            broker.start()
        if number == 40:
            first.kill()
            second.await_ready()

    expected: dict[str, float] = {}

    def settled() -> bool:
        nonlocal expected
        expected = figures(alone, model)
        return not differences(figures(second, model), expected)

    try:
        eventually(settled)
    except AssertionError:
        raise AssertionError("\n".join(differences(figures(second, model), expected))) from None
    rows = f'mlflow_model_window_rows{{model="{model}",model_version="1",window="24h"}}'
    assert expected[rows] > BATCHES * (BATCH_ROWS - 1)
    assert len(expected) > 100
    assert all("Traceback" not in process.log for process in (alone, first, second, killed, *workers))
