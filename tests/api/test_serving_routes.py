"""`POST /v1/serving`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.api.serving_routes import MAX_BODY_BYTES
from tests.support.api_server import Server, assert_problem

REPORT = {
    "model": "fraud",
    "version": "1",
    "host": "web-1",
    "process": "7-1764500000",
    "cpu_seconds": 81.5,
    "cpu_limit_cores": 2,
    "in_flight_requests": 3,
    "dropped_rows": {"queue_full": 12},
    "gpus": [{"gpu": "GPU-8f2a", "utilization_ratio": 0.4}],
}


def report(server: Server, **changes: Any) -> httpx.Response:
    document = {name: value for name, value in {**REPORT, **changes}.items() if value is not None}
    return server.client.post("/v1/serving", json=document)


def shown(server: Server, name: str) -> list[str]:
    return [line for line in server.client.get("/metrics").text.splitlines() if line.startswith(name)]


def outcomes(server: Server) -> dict[tuple[str, ...], int]:
    return server.counts("mlflow_exporter_serving_reports")


def test_a_report_is_on_the_page_at_once(server: Server) -> None:
    answer = report(server)
    assert (answer.status_code, answer.content) == (204, b"")
    labels = 'model="fraud",model_version="1",host="web-1",process="7-1764500000"'
    assert shown(server, "mlflow_model_serving_") == [
        f"mlflow_model_serving_cpu_seconds_total{{{labels}}} 81.5",
        f"mlflow_model_serving_cpu_limit_cores{{{labels}}} 2.0",
        f"mlflow_model_serving_in_flight_requests{{{labels}}} 3",
        f'mlflow_model_serving_dropped_rows_total{{{labels},reason="queue_full"}} 12',
        f'mlflow_model_serving_gpu_utilization_ratio{{{labels},gpu="GPU-8f2a"}} 0.4',
    ]


def test_an_alias_stands_for_its_version(server: Server) -> None:
    assert report(server, version=None, alias="champion", process="8-1").status_code == 204
    found = shown(server, "mlflow_model_serving_cpu_seconds_total")
    assert any('model_version="1",host="web-1",process="8-1"' in line for line in found)


def test_a_device_that_is_told_twice_is_one_series(server: Server) -> None:
    assert report(server, process="9-1", gpus=[{"gpu": "0", "memory_bytes": n} for n in (1, 2)])
    found = shown(server, "mlflow_model_serving_gpu_memory_bytes")
    assert [line.split()[-1] for line in found if 'process="9-1"' in line] == ["2.0"]


def test_keys_of_later_releases_are_ignored(server: Server) -> None:
    assert report(server, version=1, pressure=0.5).status_code == 204


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"model": "spam"}, "model 'spam' is not monitored; monitored are: fraud"),
        ({"version": "7"}, "version '7' of model 'fraud' is not monitored; its versions are 1"),
        ({"version": None, "alias": "shadow"}, "alias 'shadow' of model 'fraud' is not monitored"),
    ],
    ids=["model", "version", "alias"],
)
def test_what_is_not_monitored_is_unknown(server: Server, changes: dict[str, Any], detail: str) -> None:
    before = outcomes(server).get(("rejected",), 0)
    assert_problem(report(server, **changes), 404, "Not monitored", detail)
    assert outcomes(server)["rejected",] == before + 1


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"host": "h" * 257}, "host"),
        ({"process": ""}, "process"),
        ({"cpu_seconds": -1}, "cpu_seconds"),
        ({"memory_bytes": 1e300}, "memory_bytes"),
        ({"threads": "many"}, "threads"),
        ({"dropped_rows": {'a"b': 1}}, 'dropped_rows.a"b.[key]'),
        ({"dropped_rows": {f"r{'_' * n}": 1 for n in range(21)}}, "dropped_rows"),
        ({"gpus": [{"gpu": str(n)} for n in range(17)]}, "gpus"),
        ({"alias": "champion"}, ""),
        ({"version": None}, ""),
    ],
    ids=["host", "process", "negative", "huge", "type", "reason", "reasons", "gpus", "both", "neither"],
)
def test_a_malformed_report_is_refused(server: Server, changes: dict[str, Any], where: str) -> None:
    assert_problem(report(server, **changes), 422, "Malformed", "", where)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": NaN}', b"[" * 30_000])
def test_what_is_no_report_is_malformed(server: Server, body: bytes) -> None:
    answer = server.client.post("/v1/serving", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


def test_large_bodies_and_other_types_are_refused(server: Server) -> None:
    headers = {"content-type": "application/json"}
    large = server.client.post("/v1/serving", content=b" " * (MAX_BODY_BYTES + 1), headers=headers)
    assert large.status_code == 413
    typed = server.client.post("/v1/serving", content=b"", headers={"content-type": "text/csv"})
    assert typed.status_code == 415


def test_reports_of_too_many_processes_are_accepted_and_counted_as_left_out(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.serving_processes.MAX_PROCESSES_OF_VERSION", 2)
    server = serve()
    for number in range(3):
        assert report(server, process=f"{number}-1").status_code == 204
    assert outcomes(server) == {("accepted",): 2, ("left_out",): 1}
    assert len(shown(server, "mlflow_model_serving_cpu_seconds_total")) == 2


def test_a_token_needs_the_scope_of_ingestion(serve: Callable[..., Server], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("web: abcdefghijklmnop ingest\nreader: ponmlkjihgfedcba\n")
    server = serve(api_tokens_file=str(tokens))
    statuses = []
    for token in ("wrong", "ponmlkjihgfedcba", "abcdefghijklmnop"):
        server.client.headers["authorization"] = f"Bearer {token}"
        statuses.append(report(server).status_code)
    assert statuses == [401, 403, 204]
