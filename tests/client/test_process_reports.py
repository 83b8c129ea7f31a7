"""Reports of serving processes, from the client to the exporter's page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from exporter.client.counts import Counts, Reason
from exporter.client.in_flight import InFlight
from exporter.client.monitor import Monitor
from exporter.client.process_reports import ProcessReports
from exporter.payloads.target import Target
from tests.support.api_server import Server
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually
from tests.support.scripted_exporter import Reply, ScriptedExporter

# A service that is asked on its standard input what to do next; reports are twenty a second.
SERVICE = """
import os, sys
from exporter.client import Monitor, worker
worker.INTERVAL_SECONDS = 0.05
monitor = Monitor(sys.argv[1], model="fraud", version="1", batch_seconds=0.0)
monitor.start()
for order in sys.stdin:
    if order == "work\\n":
        sum(n * n for n in range(3_000_000))
    elif order == "enter\\n":
        request = monitor.in_flight.request()
        request.__enter__()
    elif order == "predict\\n":
        monitor.predictions({"age": 41.0, "country": "DE", "new": True}, 1, score=0.9)
    elif order == "lose\\n":
        monitor.predictions(object(), 1)
    elif order == "fork\\n" and os.fork() == 0:
        monitor.start()
    print(os.getpid(), flush=True)
"""


class Service:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, order: str) -> int:
        """Have it do something, and return the number of its process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def running_service(server: Server) -> Iterator[Service]:
    url = f"http://127.0.0.1:{server.address[1]}"
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Service(process)


def told(server: Server, name: str) -> dict[int, float]:
    """Figure by the number of the process."""
    found = {}
    for family in parse(server.client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == f"mlflow_model_serving_{name}":
                key = int(sample.labels["process"].partition("-")[0])
                found[key] = found.get(key, 0.0) + sample.value
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_real_process_is_shown_without_traffic_and_with_it(server: Server) -> None:
    with running_service(server) as service:
        own = service.do("nothing")
        eventually(lambda: own in told(server, "memory_bytes"))
        assert told(server, "memory_bytes")[own] > 10 * 2**20
        assert told(server, "threads")[own] >= 2
        assert told(server, "open_files")[own] > 2
        assert told(server, "cpu_limit_cores")[own] > 0
        assert told(server, "sent_rows_total")[own] == told(server, "dropped_rows_total")[own] == 0

        before = told(server, "cpu_seconds_total")[own]
        service.do("work")
        eventually(lambda: told(server, "cpu_seconds_total")[own] > before + 0.05)
        service.do("enter")
        eventually(lambda: told(server, "in_flight_requests").get(own) == 1)
        service.do("predict")
        eventually(lambda: told(server, "sent_rows_total")[own] == 1)
        service.do("lose")
        eventually(lambda: told(server, "dropped_rows_total")[own] == 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_is_a_process_of_its_own(server: Server) -> None:
    with running_service(server) as service:
        own = service.do("predict")
        eventually(lambda: told(server, "sent_rows_total").get(own) == 1)
        before = told(server, "sent_rows_total").keys()
        service.do("fork")

        def children() -> dict[int, float]:
            found = told(server, "sent_rows_total")
            return {process: rows for process, rows in found.items() if process not in before}

        eventually(children)
        assert list(children().values()) == [0]


def test_an_exporter_without_the_route_gets_rows_all_the_same(
    scripted: ScriptedExporter, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.replies = [Reply(404)]
    with Monitor(scripted.url, model="fraud", version="1", batch_seconds=0.0) as monitor:
        monitor.start()
        eventually(lambda: scripted.received)
        assert scripted.received[0].path == "/v1/serving"
        monitor.predictions({"age": 41.0}, 1)
        assert monitor.flush(TIMEOUT_SECONDS)
        assert (monitor.sent, monitor.dropped) == ({"prediction": 1}, {})
    assert not caplog.records


def test_without_resources_there_is_no_report(scripted: ScriptedExporter) -> None:
    with Monitor(scripted.url, model="fraud", version="1", batch_seconds=0.0, resources=False) as monitor:
        monitor.start()
        monitor.predictions({"age": 41.0}, 1)
        assert monitor.flush(TIMEOUT_SECONDS)
    assert {request.path for request in scripted.received} == {"/v1/predictions"}


def test_a_report_tells_every_reason_from_zero() -> None:
    counts, in_flight = Counts(None), InFlight()
    counts.drop("expired", 3)
    counts.send("prediction", 5)
    counts.send("label", 2)
    with in_flight.request(), in_flight.request():
        report = json.loads(ProcessReports(Target("fraud", alias="champion"), counts, in_flight).report())
    assert (report["model"], report["alias"], report["in_flight_requests"]) == ("fraud", "champion", 2)
    assert report["sent_rows"] == 7
    assert report["dropped_rows"] == {**dict.fromkeys(get_args(Reason), 0), "expired": 3}
    assert "version" not in report


def test_requests_that_nothing_counts_are_not_told() -> None:
    counts, in_flight = Counts(None), InFlight()
    reports = ProcessReports(Target("fraud", "1"), counts, in_flight)
    assert "in_flight_requests" not in json.loads(reports.report())
    with in_flight.request():
        pass
    assert json.loads(reports.report())["in_flight_requests"] == 0


def test_a_watched_call_is_in_flight() -> None:
    with Monitor("http://127.0.0.1:9", model="fraud", version="1", exit_seconds=0.0) as monitor:

        @monitor.watch
        def predict(_: dict[str, float]) -> int:
            return len(monitor.in_flight)

        assert predict({"age": 41.0}) == 1
        assert len(monitor.in_flight) == 0


def test_a_request_that_fails_is_no_longer_in_flight() -> None:
    in_flight = InFlight()
    with pytest.raises(ZeroDivisionError), in_flight.request():
        _ = 1 / 0
    assert len(in_flight) == 0
