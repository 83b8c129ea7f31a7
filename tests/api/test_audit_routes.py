"""The audit trail over HTTP: records, reports, erasure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event

import httpx
import pytest
import rfc8785
import sqlalchemy as sa

from exporter.api import audit_routes
from exporter.api.app import create_app
from exporter.api.audit_routes import LINES_TYPE
from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.cli import main
from exporter.storage.schema import audit_records
from tests.support.api_server import Server, assert_problem, serving
from tests.support.fakes import TIMEOUT_SECONDS

DAY = 1_793_491_200.0  # 2026-11-01
ADA = "ada (=1+1)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An exporter with five records of the model `churn`, a day apart, beside its own."""
    with serving(tmp_path_factory) as serve:
        server = serve()
        with server.service.store.writing() as connection:
            for day in range(5):
                entry = Entry("hold", ADA, "churn", str(day), data={"reason": "a;b", "score": 1e21})
                append(connection, [entry], DAY + day * 86400)
        yield server


def versions(server: Server, query: str) -> list[str]:
    found = server.client.get(f"/v1/audit?model=churn&{query}").json()["entries"]
    return [entry["model_version"] for entry in found]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "43210"),
        ("version=3", "3"),
        ("kind=hold&actor=ada (%3D1%2B1)", "43210"),
        ("kind=summary", ""),
        ("action_id=c0ffee", ""),
        ("from=2026-11-02&to=2026-11-04T00:00:00Z", "21"),
        ("from=2026-11-04T00:00:00", "43"),
        ("to=2026-11-02T01:00:00%2B02:00", "0"),
        ("actor=%00", "43210"),
    ],
)
def test_records_are_filtered(server: Server, query: str, found: str) -> None:
    assert versions(server, query) == list(found)


def test_records_after_a_number_are_found(server: Server) -> None:
    entries = server.client.get("/v1/audit?model=churn").json()["entries"]
    assert versions(server, f"after={entries[2]['seq']}") == ["4", "3"]


def test_pages_follow_each_other(server: Server) -> None:
    page = server.client.get("/v1/audit?model=churn&limit=3")
    assert [entry["model_version"] for entry in page.json()["entries"]] == ["4", "3", "2"]
    assert versions(server, f"limit=3&next={page.json()['next']}") == ["1", "0"]
    last = server.client.get(page.links["next"]["url"])
    assert [entry["model_version"] for entry in last.json()["entries"]] == ["1", "0"]
    assert last.json()["next"] is None
    assert "link" not in last.headers


def test_json_lines_are_the_same_records(server: Server) -> None:
    lines = server.client.get("/v1/audit?model=churn&limit=2", headers={"Accept": LINES_TYPE})
    assert lines.headers["content-type"] == LINES_TYPE
    page = server.client.get("/v1/audit?model=churn&limit=2").json()
    assert [json.loads(line) for line in lines.text.splitlines()] == page["entries"]
    assert lines.links["next"]["url"] == f"/v1/audit?model=churn&limit=2&next={page['next']}"


def test_records_can_be_verified_by_their_answer(server: Server) -> None:
    older, newer = server.client.get("/v1/audit?limit=2").json()["entries"][::-1]
    digests = newer.pop("body_digest"), newer.pop("digest")
    body_digest = sha256(rfc8785.dumps(newer))
    chained = sha256(b"\x01" + bytes.fromhex(older["digest"]) + body_digest.digest())
    assert digests == (body_digest.hexdigest(), chained.hexdigest())


def test_the_bytes_that_were_hashed_are_in_the_answer(server: Server) -> None:
    text = server.client.get("/v1/audit?model=churn&limit=1", headers={"Accept": LINES_TYPE}).text
    body, _, digests = text.rpartition(',"body_digest":')
    assert json.loads(f'{{"body_digest":{digests}')["body_digest"] == sha256(f"{body}}}".encode()).hexdigest()


def test_an_erased_record_keeps_its_place(serve: Callable[..., Server]) -> None:
    server = serve()
    with server.service.store.writing() as connection:
        seq = append(connection, [Entry("hold", "ada", "churn")], DAY)
        connection.execute(sa.update(audit_records).where(audit_records.c.seq == seq).values(body=None))
    (entry,) = server.client.get("/v1/audit?model=churn").json()["entries"]
    assert (entry["erased"], entry["seq"], entry["kind"]) == (True, seq, "hold")
    assert entry["at"] == "2026-11-01T00:00:00.000000Z"
    assert len(entry["digest"]) == len(entry["body_digest"]) == 64


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "query.limit"),
        ("limit=1001", "query.limit"),
        ("next=first", "query.next"),
        ("after=-1", "query.after"),
        ("from=yesterday", "query.from"),
        ("start=2026-11-01", "query.start"),
        ("until=2026-11-01", "query.until"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(server: Server, query: str, where: str) -> None:
    answer = server.client.get(f"/v1/audit?{query}")
    assert_problem(answer, 422, "Malformed", "", where)


# -- reports ------------------------------------------------------------------------------------------------

REPORT = "/v1/models/churn/versions/3/report"


def test_a_report_is_written_and_that_it_was_asked_for_is_recorded(server: Server) -> None:
    period = {"from": "2026-11-01", "to": "2026-11-05T12:00"}
    page = server.client.get(REPORT, params={**period, "by": "ada", "format": "html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>churn, version 3: evidence of monitoring</title>" in page.text
    assert "for anonymous@127.0.0.1 (ada), by" in page.text
    (entry,) = server.client.get("/v1/audit?kind=report_requested&limit=1").json()["entries"]
    assert (entry["actor"], entry["model"], entry["model_version"]) == (
        "anonymous@127.0.0.1 (ada)",
        "churn",
        "3",
    )
    assert entry["data"] == {
        "format": "html",
        "from": "2026-11-01T00:00:00.000000Z",
        "to": "2026-11-05T12:00:00.000000Z",
    }


def test_a_report_is_markdown_by_default(server: Server) -> None:
    page = server.client.get(REPORT, params={"from": "0001-01-01T00:00:00+14:00", "to": "9999-12-31"})
    assert page.headers["content-type"] == "text/markdown; charset=utf-8"
    assert page.text.startswith("# churn, version 3: evidence of monitoring\n")


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        (REPORT.replace("/3/", "/9/") + "?from=2026-11-01", 404, "no records of version 9 of model 'churn'"),
        (f"{REPORT}?to=2020-01-01", 404, "no records of this period"),
        (f"{REPORT}?format=pdf", 422, "Input should be 'markdown' or 'html'"),
        (f"{REPORT}?window=24h", 422, "unknown"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused(
    server: Server, path: str, status: int, detail: str
) -> None:
    answer = server.client.get(path)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


def test_one_report_is_written_at_a_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on = Event(), Event()

    def write_slowly(*_: object) -> str:
        started.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        return "done"

    monkeypatch.setattr(audit_routes, "write_report", write_slowly)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(server.client.get, REPORT)
        try:
            assert started.wait(TIMEOUT_SECONDS)
            refused = server.client.get(REPORT)
        finally:
            go_on.set()
        assert first.result().text == "done"
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert server.client.get(REPORT).status_code == 200


# -- erasure ------------------------------------------------------------------------------------------------


def test_the_content_of_a_record_is_erased(server: Server) -> None:
    with server.service.store.writing() as connection:
        seq = append(connection, [Entry("hold", "ada", "gone", data={"reason": "a name"})], DAY)
    answer = server.client.post(f"/v1/audit/{seq}/erase", params={"reason": "she asked", "by": "grace"})
    found = server.client.get("/v1/audit?model=gone").json()["entries"]
    assert answer.json() == {"seq": found[0]["seq"]}
    assert (found[0]["kind"], found[0]["actor"]) == ("erased", "anonymous@127.0.0.1 (grace)")
    assert found[0]["data"]["seq"] == seq
    assert (found[1]["erased"], found[1]["seq"]) == (True, seq)
    assert "a name" not in server.client.get("/v1/audit?limit=1000").text


@pytest.mark.parametrize(
    ("path", "where", "detail"),
    [
        ("/v1/audit/9999/erase?reason=so", "path.seq", "there is no record 9999"),
        ("/v1/audit/0/erase?reason=so", "path.seq", "greater than or equal to 1"),
        ("/v1/audit/1/erase", "query.reason", "Field required"),
        ("/v1/audit/1/erase?reason=so&force=yes", "query.force", "unknown"),
    ],
)
def test_an_erasure_that_cannot_be_is_refused(server: Server, path: str, where: str, detail: str) -> None:
    assert_problem(server.client.post(path), 422, "Malformed", detail, where)


async def erase_from(server: Server, host: str) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(server.service), client=(host, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post("/v1/audit/9999/erase?reason=so")


def test_without_a_token_other_machines_erase_nothing(server: Server) -> None:
    assert asyncio.run(erase_from(server, "10.1.2.3")).status_code == 403
    assert asyncio.run(erase_from(server, "127.0.0.1")).status_code == 422


TOKENS = """
ada: ada-s3cret-s3cret audit
grace: grace-s3cret-s3cret ingest,alerts,approve
root: root-s3cret-s3cret admin
"""


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/audit", {"ada", "root"}),
        ("GET", REPORT, {"ada", "root"}),
        ("POST", "/v1/audit/9999/erase?reason=so", {"root"}),
    ],
)
def test_tokens_need_the_scope(
    serve: Callable[..., Server], tmp_path: Path, method: str, path: str, allowed: set[str]
) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    server = serve(api_tokens_file=str(tmp_path / "tokens"))
    statuses = {
        name: server.client.request(
            method, path, headers={"Authorization": f"Bearer {name}-s3cret-s3cret"}
        ).status_code
        for name in ("ada", "grace", "root")
    }
    assert {name for name, status in statuses.items() if status != 403} == allowed
    assert server.client.request(method, path).status_code == 401


# -- the commands -------------------------------------------------------------------------------------------


def run(server: Server, *arguments: object) -> object:
    with pytest.raises(SystemExit) as end:
        main(["audit", *map(str, arguments), "--exporter", str(server.client.base_url)])
    return end.value.code


def test_the_command_asks_for_a_report(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "evidence.html"
    assert run(server, "report", "churn", "3", "--from", "2026-11-01", "--output", path) == 0
    assert path.read_text().startswith("<!doctype html>")


def test_the_command_erases(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with server.service.store.writing() as connection:
        seq = append(connection, [Entry("hold", "ada", "gone")], DAY)
    assert run(server, "erase", seq, "--reason", "she asked", "--by", "grace") == 0
    assert f"the content of record {seq:,} is erased; record {seq + 1:,} says so" in capsys.readouterr().out
    assert run(server, "erase", seq, "--reason", "she asked") == 1
    assert f"the exporter refused (422): record {seq} is erased already" in capsys.readouterr().err
