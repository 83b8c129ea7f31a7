"""Several exporters with one PostgreSQL: one leads, and another one follows it, whatever happens to it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.audit.read_only import reading
from exporter.audit.verification import verify_store
from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.postgres import PostgresServer
from tests.support.posting_clients import ROWS, Clients
from tests.support.rig import eventually, make_document, make_rows

pytestmark = pytest.mark.needs("initdb", "pg_ctl")

SETTINGS = {"evaluation_interval_seconds": 0.2, "lease_seconds": 3}
FEW: Any = {"clients": 2, "patience_seconds": 1.0}
LEADER, TRANSITIONS = "mlflow_exporter_leader", "mlflow_exporter_lease_transitions_total"


@pytest.fixture
def replica(
    postgres_uri: str,
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
    exporters: list[ExporterProcess],
) -> Callable[..., ExporterProcess]:
    """Start an exporter of one database, and wait until it answers."""
    make_store(postgres_uri)

    def start(module: str = "") -> ExporterProcess:
        exporter = ExporterProcess(postgres_uri, free_ports(1)[0], tmp_path, module=module, **SETTINGS)
        exporters.append(exporter)
        eventually(lambda: answers(exporter))
        return exporter

    return start


def ask(exporter: ExporterProcess, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, exporter.url + path, timeout=TIMEOUT_SECONDS, verify=False)


def answers(exporter: ExporterProcess) -> bool:
    assert exporter.process.poll() is None, exporter.log
    try:
        return ask(exporter, "/-/healthy").status_code == 200
    except httpx.TransportError:
        return False


def is_ready(exporter: ExporterProcess) -> bool:
    return ask(exporter, "/-/ready").status_code == 200


def is_stopped(exporter: ExporterProcess) -> bool:
    """True once the kernel has stopped the process."""
    return Path(f"/proc/{exporter.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def check_standby(standby: ExporterProcess) -> None:
    assert answers(standby)
    assert not is_ready(standby)
    assert (standby.sample(LEADER), standby.sample(TRANSITIONS)) == (0, 0)
    assert standby.sample("process_start_time_seconds") is not None
    assert standby.window_rows() is None
    for method, path in (("POST", "/v1/predictions"), ("GET", "/v1/models"), ("GET", "/")):
        refused = ask(standby, path, method)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
        assert "stands by" in refused.json()["detail"]


def test_a_leader_that_was_stopped_or_killed_is_followed_by_one_standby_and_writes_no_more(
    replica: Callable[..., ExporterProcess], postgres_uri: str
) -> None:
    first = replica("tests.support.serve_stopped")
    first.await_ready()
    standbys = [replica(), replica()]
    with Clients(first.url, *(each.url for each in standbys), **FEW) as clients:
        eventually(lambda: is_stopped(first))  # in a transaction, whose locks its successor does not wait for
        eventually(lambda: any(map(is_ready, standbys)))
        second, third = sorted(standbys, key=is_ready, reverse=True)
        assert (second.sample(LEADER), second.sample(TRANSITIONS)) == (1, 1)
        check_standby(third)
        clients.await_progress()
        first.process.send_signal(signal.SIGCONT)
        assert first.process.wait(TIMEOUT_SECONDS) == 1
        assert "another exporter took over" in first.log
        assert "transaction of the former owner of the store was ended" in second.log

        second.process.send_signal(signal.SIGSTOP)  # at any time
        third.await_ready()
        clients.await_progress()
        second.process.send_signal(signal.SIGCONT)
        assert second.process.wait(TIMEOUT_SECONDS) == 1
        assert "another exporter took over" in second.log

        fourth = replica()
        clients.urls = (third.url, fourth.url)
        third.kill()
        fourth.await_ready()
        clients.await_progress(10 * ROWS)
    eventually(lambda: fourth.window_rows() == clients.acknowledged)
    with reading(postgres_uri) as connection:
        trail = verify_store(connection)
    assert trail.intact, trail.faults


def test_a_leader_goes_on_once_its_database_is_back(
    replica: Callable[..., ExporterProcess], postgres_server: PostgresServer
) -> None:
    leader = replica()
    leader.await_ready()
    transitions = leader.sample(TRANSITIONS)
    with Clients(leader.url, clients=2) as clients:
        clients.await_progress()
        postgres_server.stop()
        try:
            document = make_document(make_rows(1, prefix="refused"))
            refused = httpx.post(f"{leader.url}/v1/predictions", json=document, timeout=TIMEOUT_SECONDS)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            eventually(lambda: leader.sample(LEADER) == 0)
            assert answers(leader)
            assert is_ready(leader)
        finally:
            postgres_server.start()
        clients.await_progress(10 * ROWS)
    eventually(lambda: leader.sample(LEADER) == 1)
    assert leader.sample(TRANSITIONS) == transitions
    eventually(lambda: leader.window_rows() == clients.acknowledged)
