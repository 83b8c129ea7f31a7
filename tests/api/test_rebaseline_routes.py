"""Replacing references over HTTP and from the command line."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import httpx
import pyarrow.parquet as pq
import pytest

from exporter.api.app import create_app
from exporter.cli import main
from exporter.errors import MalformedError
from exporter.formats.raw import PARQUET_TYPE
from tests.support.api_server import Server, assert_problem
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_document, make_rows, make_table, over_a_day

Serve = Callable[..., Server]
PATH = "/v1/models/fraud/versions/1/rebaseline"
WHO = {"by": "ada", "reason": "new prices"}
HINT = "from the exporter's own machine only: set EXPORTER_API_TOKEN_FILE"


def parquet(rows: int = 1500) -> bytes:
    sink = io.BytesIO()
    pq.write_table(make_table(rows, seed=7), sink)
    return sink.getvalue()


def post_file(server: Server, **options: object) -> httpx.Response:
    headers = {"Content-Type": PARQUET_TYPE, **options.pop("headers", {})}  # type: ignore[dict-item]
    return server.client.post(PATH, content=parquet(), params=WHO, headers=headers)


def digest(server: Server) -> str:
    found: str = server.client.get("/v1/models/fraud/versions/1").json()["reference"]["digest"]
    return found


def test_the_answer_has_both_digests(serve: Serve) -> None:
    server = serve()
    before = digest(server)
    answer = post_file(server)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["old_digest"], found["new_digest"]) == (before, digest(server))
    assert (found["rows"], found["provisional"]) == (1500, True)


def test_metrics_do_not_wait_for_many_references(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server, go_on = serve(), Event()

    def profile(*_: object) -> None:
        go_on.wait(3 * TIMEOUT_SECONDS)
        raise MalformedError("it is no reference")

    monkeypatch.setattr(server.service.rebaseliner, "from_file", profile)
    with ThreadPoolExecutor(50) as clients:  # more than a server has threads for its other routes
        answers = [clients.submit(post_file, server) for _ in range(50)]
        try:
            eventually(lambda: server.requests >= 50)
            assert server.client.get("/metrics").status_code == 200
        finally:
            go_on.set()
    assert {answer.result().status_code for answer in answers} == {422}


def test_replaced_references_are_on_record(serve: Serve) -> None:
    server = serve()
    digests = [post_file(server).json()["new_digest"] for _ in range(2)]
    entries = server.client.get("/v1/audit").json()["entries"]
    found = [entry for entry in entries if entry["kind"] == "reference_replaced"]
    assert [entry["data"]["new_digest"] for entry in found] == digests[::-1]
    assert found[0]["actor"] == "anonymous@127.0.0.1 (ada)"


def test_live_rows_become_the_reference(serve: Serve) -> None:
    server = serve()
    rows = over_a_day(make_rows(1200, prefix="r"), time.time())
    for row in rows:
        row["features"]["age"] += 100
    assert server.client.post("/v1/predictions", json=make_document(rows)).status_code == 202
    labels = [{"id": row["id"], "label": row["prediction"]} for row in rows[:900]]
    assert server.client.post("/v1/labels", json={"model": "fraud", "labels": labels}).status_code == 202
    answer = server.client.post(PATH, params={**WHO, "live": "24h"})
    assert (answer.status_code, answer.json()["rows"]) == (200, 1200)
    assert answer.json()["notes"][0].startswith(
        "a uniform sample of 1,200 of the 1,200 live rows of the last 24h"
    )
    rows = over_a_day(make_rows(1200, seed=5, prefix="s"), time.time())
    for row in rows:
        row["features"]["age"] += 100
    assert server.client.post("/v1/predictions", json=make_document(rows)).status_code == 202
    server.service.evaluator.evaluate_all()
    shown = server.client.get("/v1/models/fraud/versions/1").json()
    assert shown["reference"]["digest"] == answer.json()["new_digest"]
    page = server.client.get("/metrics").text
    score = re.search(r'mlflow_model_drift_score{[^}]*column="age"[^}]*window="24h"} (\S+)', page)
    assert score is not None
    assert float(score[1]) < 0.1  # in the bins of before nearly all would be in the last
    assert 'mlflow_model_quality_baseline{model="fraud",model_version="1",metric="precision"} 1.0' in page


@pytest.mark.parametrize(
    ("params", "status", "detail"),
    [
        ({**WHO, "live": "a day"}, 422, "'a day' is not a duration such as 30m, 24h or 7d"),
        ({**WHO, "live": "1h"}, 422, "0 rows came in the last 1h, a reference needs 1,000"),
        (WHO, 422, "either `live` or a Parquet file as the body"),
        ({"by": "ada", "live": "1h"}, 422, "Field required"),
    ],
)
def test_what_cannot_be_done_is_said(serve: Serve, params: dict[str, str], status: int, detail: str) -> None:
    answer = serve().client.post(PATH, params=params)
    assert answer.status_code == status
    assert answer.json()["detail"] == detail


def test_versions_that_nobody_monitors_have_none(serve: Serve) -> None:
    answer = serve().client.post(PATH.replace("/1/", "/9/"), params={**WHO, "live": "1h"})
    assert_problem(answer, 404, "Not monitored", "version 9 of model 'fraud' is not monitored")


def test_where_a_token_is_set_it_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    server = serve(api_token_file=str(token))
    assert post_file(server).status_code == 401
    headers = {"Authorization": "Bearer secret"}
    assert post_file(server, headers=headers).status_code == 200
    assert server.client.get("/v1/audit").status_code == 401
    assert server.client.get("/v1/audit", headers=headers).status_code == 200


async def post_from(server: Server, host: str) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(server.service), client=(host, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post(PATH, params={**WHO, "live": "1h"})


def test_without_a_token_other_machines_are_refused(serve: Serve) -> None:
    server = serve()
    assert_problem(asyncio.run(post_from(server, "10.1.2.3")), 403, "Forbidden", HINT)
    assert asyncio.run(post_from(server, "a.socket")).status_code == 403
    assert asyncio.run(post_from(server, "127.0.0.1")).status_code == 422
    assert asyncio.run(post_from(server, "::1")).status_code == 422


def test_without_a_token_web_pages_are_refused(serve: Serve) -> None:
    answer = serve().client.post(PATH, params={**WHO, "live": "1h"}, headers={"Origin": "http://evil.test"})
    assert_problem(answer, 403, "Forbidden", "pages of other sites")


# -- the command --------------------------------------------------------------------------------------------


def run(server: Server, *arguments: str) -> object:
    address = str(server.client.base_url)
    with pytest.raises(SystemExit) as end:
        main(["rebaseline", "fraud", "1", "--exporter", address, "--reason", "new prices", *arguments])
    return end.value.code


def test_the_command_sends_a_file_and_who_runs_it(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    token, file = tmp_path / "token", tmp_path / "reference.parquet"
    token.write_text("secret\n")
    file.write_bytes(parquet())
    monkeypatch.setenv("EXPORTER_API_TOKEN_FILE", str(token))
    server = serve(api_token_file=str(token))
    assert run(server, "--file", str(file)) == 0
    headers = {"Authorization": "Bearer secret"}
    query = {"kind": "reference_replaced"}
    (entry,) = server.client.get("/v1/audit", params=query, headers=headers).json()["entries"]
    assert (entry["actor"], entry["data"]["reason"]) == ("default (grace)", "new prices")
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [
        "fraud version 1: 1,500 rows are its reference",
        f"  {entry['data']['old_digest'][:12]} -> {entry['data']['new_digest'][:12]}",
    ]


def test_the_command_says_why_it_was_refused(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(serve(), "--live", "24h", "--by", "ada") == 1
    assert "the exporter refused (422): 0 rows came in the last 24h" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("--exporter", "http://127.0.0.1:9", "--live", "24h"),
            1,
            "the exporter at 127.0.0.1:9 cannot be reached: Connection refused\n",
        ),
        (("--exporter", "exporter", "--live", "24h"), 2, "'exporter' is no address"),
        (("--file", "/nowhere.parquet"), 2, "/nowhere.parquet cannot be read"),
    ],
)
def test_the_command_tells_what_is_not_there(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, message: str
) -> None:
    nowhere = SimpleNamespace(client=SimpleNamespace(base_url="http://127.0.0.1:9"))
    assert run(nowhere, *arguments) == status  # type: ignore[arg-type]
    assert message in capsys.readouterr().err
